/* What another database had. Rows go where append() and the roll-up put theirs, under the numbers of our own
 * commits, and how far it has come is a cursor that each commit moves: so a commit counts as a whole, and a
 * row that is put twice is one.
 *
 * Summaries that are in cells come first, and are then said to be rolled up, by a round of which the cells
 * are; what waits comes by later commits. */
#include "db/clickhouse/ch_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ch_import {
    struct ch_insert cells[STORE_LEVELS], chains;
};

static enum tw_rc begin_import(struct ch_history *h, struct tw_err *err)
{
    static char columns[ROW_MAX * 64];

    if (h->import)
        return TW_OK;
    h->import = calloc(1, sizeof *h->import);
    if (!h->import)
        return ch_no_memory(err);
    snprintf(columns, sizeof columns, "cell_ns, n_rows, n_whole, longest_ns, txn, has, %s", ch_row_names());
    for (int l = STORE_1MIN; l < STORE_LEVELS; l++) {
        h->import->cells[l].table = ch_level_tables[l];
        h->import->cells[l].columns = columns;
    }
    h->import->chains.table = "loss_chain";
    h->import->chains.columns =
        "pair_id, start_ns, flow, seq_first, length_ns, probes, direction, continues, parts";
    return TW_OK;
}

void ch_import_forget(struct ch_history *h)
{
    for (int l = STORE_1MIN; h->import && l < STORE_LEVELS; l++)
        ch_insert_forget(&h->import->cells[l]);
    if (h->import)
        ch_insert_forget(&h->import->chains);
}

void ch_import_close(struct ch_history *h)
{
    for (int l = STORE_1MIN; h->import && l < STORE_LEVELS; l++)
        ch_buf_free(&h->import->cells[l].rows);
    if (h->import)
        ch_buf_free(&h->import->chains.rows);
    free(h->import);
}

enum tw_rc ch_import_send(struct ch_history *h, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (int l = STORE_1MIN; h->import && l < STORE_LEVELS && !rc; l++)
        rc = ch_insert_send(h, &h->import->cells[l], err);
    return rc || !h->import ? rc : ch_insert_send(h, &h->import->chains, err);
}

/* ---- Rows ---- */

static enum tw_rc bad_row(const struct history_row *row, struct tw_err *err)
{
    return tw_err_set(err, TW_EINVAL, "pair %llu: histogram cannot be encoded",
                      (unsigned long long)row->summary->pair_id);
}

static enum tw_rc put_summary(struct ch_history *h, const struct history_row *row, struct tw_err *err)
{
    const struct tw_summary *s = row->summary;
    struct ch_buf *to = &h->summaries.rows;
    enum tw_rc rc = ch_insert_room(h, &h->summaries, s->start_ns / CH_DAY_NS, err);

    if (rc)
        return rc;
    ch_put_i64(to, row->agent_id);
    ch_put_octets(to, row->spool_id, STORE_ID_LEN);
    ch_put_i64(to, (int64_t)row->seq);
    ch_put_i64(to, row->early ? s->start_ns - CH_EARLY_NS - 1 : 0);
    ch_put_commit(h, to);
    rc = ch_row_put(to, s, true);
    h->txn_rows++;
    return rc ? bad_row(row, err) : ch_rollup_note(h, s->start_ns, 0, err);
}

static enum tw_rc put_cell(struct ch_history *h, const struct history_row *row, struct tw_err *err)
{
    struct ch_insert *to;

    if (row->level <= STORE_RAW || row->level >= STORE_LEVELS)
        return tw_err_set(err, TW_EINVAL, "clickhouse: there are no cells of that level");
    to = &h->import->cells[row->level];
    if (ch_insert_room(h, to, row->cell_ns / ch_level_partition_ns((int)row->level), err))
        return TW_ENOMEM;
    ch_put_i64(&to->rows, row->cell_ns);
    ch_put_i64(&to->rows, (int64_t)row->n_rows);
    ch_put_i64(&to->rows, (int64_t)row->n_whole);
    ch_put_i64(&to->rows, row->longest_ns);
    ch_put_i64(&to->rows, h->view.rolled_no);
    ch_rollup_put_has(h, &to->rows);
    return ch_row_put(&to->rows, row->summary, false) ? bad_row(row, err) : TW_OK;
}

static enum tw_rc put_run(struct ch_history *h, const struct history_row *row, struct tw_err *err)
{
    const struct tw_loss_run *r = row->run;
    bool chain = row->kind == HISTORY_CHAIN;
    struct ch_insert *to = chain ? &h->import->chains : &h->runs;
    enum tw_rc rc = ch_insert_room(h, to, r->start_ns / (chain ? 365 * CH_DAY_NS : CH_DAY_NS), err);

    ch_put_i64(&to->rows, (int64_t)row->pair_id);
    ch_put_i64(&to->rows, r->start_ns);
    ch_put_u32(&to->rows, r->flow);
    ch_put_u32(&to->rows, r->seq_first);
    ch_put_i64(&to->rows, r->length_ns);
    ch_put_i64(&to->rows, (int64_t)r->probes);
    ch_put_u8(&to->rows, (uint8_t)r->direction);
    ch_put_u8(&to->rows, (uint8_t)(r->continues_before | r->continues_after << 1));
    if (chain)
        ch_put_i64(&to->rows, (int64_t)row->parts);
    else
        ch_put_commit(h, &to->rows);
    return rc;
}

static enum tw_rc put_gap(struct ch_history *h, const struct history_row *row, struct tw_err *err)
{
    const struct history_gap *g = row->gap;
    struct ch_buf *to = &h->gaps.rows;
    enum tw_rc rc = ch_insert_room(h, &h->gaps, g->received_ns / CH_DAY_NS, err);

    ch_put_i64(to, g->agent_id);
    ch_put_octets(to, row->spool_id, STORE_ID_LEN);
    ch_put_i64(to, (int64_t)g->first_seq);
    ch_put_i64(to, (int64_t)g->last_seq);
    ch_put_string(to, g->reason, strlen(g->reason));
    ch_put_i64(to, g->received_ns);
    ch_put_i64(to, g->from_ns);
    ch_put_i64(to, g->until_ns);
    ch_put_commit(h, to);
    return rc;
}

static enum tw_rc put_row(struct ch_history *h, const struct history_row *row, struct tw_err *err)
{
    switch (row->kind) {
    case HISTORY_ROLLED:
    case HISTORY_WAITING:
        return put_summary(h, row, err);
    case HISTORY_CELL:
        return put_cell(h, row, err);
    case HISTORY_RUN:
    case HISTORY_CHAIN:
        return put_run(h, row, err);
    case HISTORY_GAP:
        return put_gap(h, row, err);
    case HISTORY_CURSOR:
    case HISTORY_KINDS:
        break;
    }
    return cursors_set(&h->cursors, row->agent_id, row->spool_id, &row->cursor) ? ch_no_memory(err) : TW_OK;
}

enum tw_rc ch_import(struct history *base, const struct history_row *row, struct tw_err *err)
{
    struct ch_history *h = (struct ch_history *)base;
    enum tw_rc rc = begin_import(h, err);

    if (!rc && (!h->in_txn || h->broken))
        return tw_err_set(err, TW_EINVAL, "clickhouse: import without a good transaction");
    /* All summaries that are in cells are committed: so far it is rolled up. */
    if (!rc && !h->view.rolled_no && (row->kind == HISTORY_CELL || row->kind == HISTORY_WAITING))
        rc = ch_rollup_reached(h, err);
    if (!rc)
        rc = put_row(h, row, err);
    h->broken |= rc != TW_OK;
    return rc;
}

bool ch_import_is_under_way(const struct ch_history *h)
{
    for (size_t i = 0; i < h->cursors.n; i++)
        if (h->cursors.e[i].agent_id == HISTORY_CARRYING && h->cursors.e[i].now.through)
            return true;
    return false;
}
