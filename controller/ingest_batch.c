#include "controller/ingest_batch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/arena.h"
#include "common/net/summary_pb.h"

/* An honest batch of 256 takes under a MiB unpacked; without a cap a hostile one takes a hundred. */
#define ARENA_CAP (8u << 20)
static const char *const refusal_reason[] = {
    [INGEST_ROW_OK] = "",
    [INGEST_UNKNOWN_PAIR] = "unknown_pair",
    [INGEST_BAD_TIME] = "bad_time",
};

/* ---- Decoding ---- */

static enum tw_rc check_gap(const Tw__SummaryBatch *m, struct tw_err *err)
{
    const Tw__Gap *g = m->gap;

    if (!g)
        return m->n_summaries ? TW_OK : tw_err_set(err, TW_EINVAL, "a batch without summaries or gap");
    if (m->n_summaries)
        return tw_err_set(err, TW_EINVAL, "a gap stands alone in its batch");
    if (g->first_seq != m->first_seq || g->last_seq < g->first_seq || g->last_seq > INT64_MAX)
        return tw_err_set(err, TW_EINVAL, "the numbers of a gap contradict themselves");
    if (strcmp(g->reason, "spool_full") != 0 && strcmp(g->reason, "spool_age") != 0 &&
        strcmp(g->reason, "spool_corrupt") != 0)
        return tw_err_set(err, TW_EINVAL, "a gap has an unknown reason");
    if (g->from_ns < 0 || g->until_ns < g->from_ns)
        return tw_err_set(err, TW_EINVAL, "the times of a gap contradict themselves");
    return TW_OK;
}

static enum tw_rc check_batch(const Tw__SummaryBatch *m, struct tw_err *err)
{
    if (m->spool_id.len != STORE_ID_LEN)
        return tw_err_set(err, TW_EINVAL, "spool_id has %zu octets, not %d", m->spool_id.len, STORE_ID_LEN);
    if (m->n_summaries > INGEST_BATCH_MAX)
        return tw_err_set(err, TW_EINVAL, "%zu summaries in a batch, at most %d are allowed", m->n_summaries,
                          INGEST_BATCH_MAX);
    if (!m->first_seq || m->first_seq > INT64_MAX - INGEST_BATCH_MAX)
        return tw_err_set(err, TW_EINVAL, "first_seq is out of range");
    return check_gap(m, err);
}

void ingest_batch_free(struct ingest_batch *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n; i++)
        summary_free(&b->rows[i]);
    free(b->rows);
    free(b->refused);
    free(b->names);
    free(b->name_text);
    free(b->learned);
    if (b->link)
        fleet_link_unref(b->link);
    free(b);
}

/* One copy of all names, since the message goes with its arena. */
static const char *keep_text(char **at, const char *text)
{
    const char *kept = *at;

    *at = stpcpy(*at, text) + 1;
    return kept;
}

static bool keep_names(const Tw__SummaryBatch *m, struct ingest_batch *b)
{
    size_t octets = 1;
    char *at;

    for (size_t i = 0; i < m->n_summaries; i++) {
        const Tw__Summary *s = m->summaries[i];
        octets += strlen(s->mesh) + strlen(s->class_name) + strlen(s->target) + 3;
    }
    b->names = calloc(m->n_summaries + 1, sizeof *b->names);
    b->name_text = at = malloc(octets);
    if (!b->names || !b->name_text)
        return false;
    for (size_t i = 0; i < m->n_summaries; i++) {
        const Tw__Summary *s = m->summaries[i];
        b->names[i].mesh = keep_text(&at, s->mesh);
        b->names[i].class_name = keep_text(&at, s->class_name);
        b->names[i].target = keep_text(&at, s->target);
    }
    return true;
}

static enum tw_rc fill_rows(const Tw__SummaryBatch *m, struct ingest_batch *b, struct tw_err *err)
{
    b->rows = calloc(m->n_summaries + 1, sizeof *b->rows);
    b->refused = calloc(m->n_summaries + 1, sizeof *b->refused);
    if (!b->rows || !b->refused || !keep_names(m, b))
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    for (size_t i = 0; i < m->n_summaries; i++) {
        enum tw_rc rc;

        summary_init(&b->rows[b->n++]);
        rc = summary_from_pb(m->summaries[i], &b->rows[i], err);
        if (rc != TW_OK)
            return rc;
        if (b->rows[i].status == TW_STATUS_AGENT_DOWN)
            return tw_err_set(err, TW_EINVAL, "only the controller says that an agent is down");
    }
    return TW_OK;
}

static struct ingest_batch *batch_new(const Tw__SummaryBatch *m, struct tw_err *err)
{
    struct ingest_batch *b;

    if (check_batch(m, err) != TW_OK)
        return NULL;
    b = calloc(1, sizeof *b);
    if (!b) {
        tw_err_set(err, TW_ENOMEM, "out of memory");
        return NULL;
    }
    memcpy(b->spool_id, m->spool_id.data, sizeof b->spool_id);
    b->first_seq = m->first_seq;
    b->ahead = m->ahead;
    if (m->gap) {
        b->gap_last_seq = m->gap->last_seq;
        snprintf(b->gap_reason, sizeof b->gap_reason, "%s", m->gap->reason);
        b->gap_from_ns = m->gap->from_ns;
        b->gap_until_ns = m->gap->until_ns;
    }
    if (fill_rows(m, b, err) == TW_OK)
        return b;
    ingest_batch_free(b);
    return NULL;
}

struct ingest_batch *ingest_batch_decode(const uint8_t *body, size_t len, struct tw_err *err)
{
    struct ingest_batch *b = NULL;
    Tw__SummaryBatch *m;
    struct arena *ar;

    if (arena_new(ARENA_CAP, &ar) != TW_OK) {
        tw_err_set(err, TW_ENOMEM, "out of memory");
        return NULL;
    }
    m = tw__summary_batch__unpack(arena_allocator(ar), len, body);
    if (m)
        b = batch_new(m, err);
    else
        tw_err_set(err, TW_ECORRUPT, "not a batch of summaries, or one that unpacks to too much");
    arena_free(ar);
    return b;
}

/* ---- Storing, writer thread ---- */

static size_t run_length(const struct ingest_batch *b, size_t from)
{
    size_t n = 1;

    while (from + n < b->n && b->refused[from + n] == b->refused[from])
        n++;
    return n;
}

static enum tw_rc store_run(const struct ingest_batch *b, struct store *s, size_t from, size_t n,
                            enum store_append_result *ret, uint64_t *ret_through, struct tw_err *err)
{
    struct store_batch sb = { .agent_id = b->agent_id,
                              .first_seq = b->first_seq + from,
                              .received_ns = b->received_ns,
                              .ahead = b->ahead };

    memcpy(sb.spool_id, b->spool_id, sizeof sb.spool_id);
    if (!b->n) {
        sb.gap_last_seq = b->gap_last_seq;
        sb.gap_reason = b->gap_reason;
        sb.gap_from_ns = b->gap_from_ns;
        sb.gap_until_ns = b->gap_until_ns;
    } else if (b->refused[from]) {
        sb.gap_last_seq = b->first_seq + from + n - 1;
        sb.gap_reason = refusal_reason[b->refused[from]];
    } else {
        sb.rows = b->rows + from;
        sb.n = n;
    }
    return store_append(s, &sb, ret, ret_through, err);
}

static enum tw_rc store_learned(struct ingest_batch *b, struct store *s, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < b->n_learned && rc == TW_OK; i++)
        rc = store_put_pair(s, &b->learned[i], err);
    return rc;
}

/* Runs of rows and of dropped rows one after the other. Only the first can be out of sequence. */
enum tw_rc ingest_batch_store(struct writer_job *j, struct store *s, struct tw_err *err)
{
    struct ingest_batch *b = (struct ingest_batch *)j;
    enum store_append_result part;
    enum tw_rc rc;
    size_t from = 0, n;

    rc = store_learned(b, s, err);
    if (rc != TW_OK)
        return rc;
    b->result = STORE_REPEATED;
    do {
        n = b->n ? run_length(b, from) : 0;
        rc = store_run(b, s, from, n, &part, &b->at.through, err);
        if (rc != TW_OK)
            return rc;
        if (part != STORE_REPEATED)
            b->result = part;
        from += n;
    } while (from < b->n && part != STORE_OUT_OF_SEQ);
    return store_full_cursor(s, b->agent_id, b->spool_id, &b->at, err);
}
