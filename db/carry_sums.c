#include "db/carry_sums.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "db/digest.h"
#include "db/grow.h"
#include "db/row_cols.h"

#define DAY_NS (86400 * TW_NS_PER_S)

const char *carry_kind_name(enum history_kind k)
{
    static const char *const names[] = { [HISTORY_ROLLED] = "summaries",
                                         [HISTORY_CELL] = "cells",
                                         [HISTORY_WAITING] = "summaries not rolled up yet",
                                         [HISTORY_RUN] = "loss runs",
                                         [HISTORY_CHAIN] = "loss chains",
                                         [HISTORY_GAP] = "gaps",
                                         [HISTORY_CURSOR] = "spools" };

    return names[k];
}

/* ---- Digests ---- */

/* The digest of a row is a sum, too, so that columns which only one of two releases knows make no difference
 * while they are 0. */
static enum tw_rc add_columns(const struct tw_summary *s, uint64_t *sum)
{
    uint8_t scratch[HIST_MAX_BLOB > UNAVAIL_MAX_BLOB ? HIST_MAX_BLOB : UNAVAIL_MAX_BLOB];
    enum tw_rc rc = TW_OK;
    size_t len;

    for (size_t i = 0; i < row_cols_n && !rc; i++) {
        if (row_cols[i].kind == ROW_DIGEST)
            continue;
        if (!row_is_blob(&row_cols[i])) {
            *sum += row_share_of_number(i, row_number(&row_cols[i], s));
            continue;
        }
        rc = row_encode(&row_cols[i], s, scratch, &len);
        if (!rc)
            *sum += row_share_of_octets(i, scratch, len);
    }
    return rc;
}

static uint64_t of_numbers(const uint64_t *v, size_t n)
{
    return digest_of(n, v, n * sizeof *v);
}

static uint64_t of_run(const struct history_row *row)
{
    const struct tw_loss_run *r = row->run;
    const uint64_t v[] = { row->pair_id, (uint64_t)r->start_ns, (uint64_t)r->length_ns,
                           r->flow,      r->seq_first,          r->probes,
                           r->direction, r->continues_before,   r->continues_after,
                           row->parts };

    return of_numbers(v, TW_NELEM(v));
}

static uint64_t of_gap(const struct history_row *row)
{
    const struct history_gap *g = row->gap;
    const uint64_t v[] = { (uint64_t)g->agent_id,    g->first_seq,         g->last_seq,
                           (uint64_t)g->received_ns, (uint64_t)g->from_ns, (uint64_t)g->until_ns };

    return digest_of(digest_of(of_numbers(v, TW_NELEM(v)), row->spool_id, STORE_ID_LEN), g->reason,
                     strlen(g->reason));
}

static uint64_t of_cursor(const struct history_row *row)
{
    uint64_t v[2 + 2 * SEQSET_MAX] = { (uint64_t)row->agent_id, row->cursor.through };
    size_t n = 2;

    for (size_t i = 0; i < row->cursor.ahead.n; i++) {
        v[n++] = row->cursor.ahead.v[i].first;
        v[n++] = row->cursor.ahead.v[i].last;
    }
    return digest_of(of_numbers(v, n), row->spool_id, STORE_ID_LEN);
}

static enum tw_rc digest_row(const struct history_row *row, uint64_t *ret)
{
    const uint64_t own[] = { row->early, (uint64_t)row->cell_ns, row->n_rows, row->n_whole,
                             (uint64_t)row->longest_ns };
    uint64_t columns = 0;
    enum tw_rc rc = row->summary ? add_columns(row->summary, &columns) : TW_OK;

    *ret = row->summary ? digest_of(columns, own, sizeof own)
           : row->run   ? of_run(row)
           : row->gap   ? of_gap(row)
                        : of_cursor(row);
    return rc;
}

/* ---- Days ---- */

static int64_t floor_day(int64_t ns)
{
    return ns / DAY_NS - (ns % DAY_NS < 0);
}

static int64_t day_of_row(const struct history_row *row)
{
    switch (row->kind) {
    case HISTORY_ROLLED:
    case HISTORY_WAITING:
        return floor_day(row->summary->start_ns);
    case HISTORY_CELL:
        return floor_day(row->cell_ns);
    case HISTORY_RUN:
    case HISTORY_CHAIN:
        return floor_day(row->run->start_ns);
    case HISTORY_GAP:
        return floor_day(row->gap->received_ns);
    case HISTORY_CURSOR:
    case HISTORY_KINDS:
        break;
    }
    return 0;
}

static int compare(const struct carry_day *a, const struct carry_day *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->level != b->level)
        return a->level < b->level ? -1 : 1;
    return (a->day > b->day) - (a->day < b->day);
}

static size_t find(const struct carry_days *d, const struct carry_day *want)
{
    size_t lo = 0, hi = d->n;

    if (d->at < d->n && !compare(&d->v[d->at], want))
        return d->at;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (compare(&d->v[mid], want) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

enum tw_rc carry_days_add(struct carry_days *d, const struct history_row *row, struct tw_err *err)
{
    const struct carry_day fresh = { .kind = row->kind, .level = row->level, .day = day_of_row(row) };
    uint64_t digest = 0;
    struct carry_day *at;
    enum tw_rc rc = digest_row(row, &digest);

    if (rc)
        return tw_err_set(err, rc, "pair %llu: histogram cannot be encoded",
                          (unsigned long long)row->summary->pair_id);
    d->at = find(d, &fresh);
    if (d->at == d->n || compare(&d->v[d->at], &fresh)) {
        if (!db_grow(&d->v, d->n, &d->cap, sizeof *d->v))
            return tw_err_set(err, TW_ENOMEM, "out of memory");
        memmove(d->v + d->at + 1, d->v + d->at, (d->n++ - d->at) * sizeof *d->v);
        d->v[d->at] = fresh;
    }
    at = &d->v[d->at];
    at->rows++;
    at->digest += digest;
    at->sent += row->summary ? row->summary->sent : 0;
    at->lost += row->summary ? row->summary->sent - row->summary->received : row->run ? row->run->probes : 0;
    return TW_OK;
}

void carry_days_free(struct carry_days *d)
{
    free(d->v);
    *d = (struct carry_days){ .n = 0 };
}

static enum tw_rc tell(const struct carry_day *d, uint64_t from, uint64_t to, const char *what,
                       struct tw_err *err)
{
    time_t t = (time_t)(d->day * 86400);
    char when[16] = "";
    struct tm tm;

    gmtime_r(&t, &tm);
    if (d->kind != HISTORY_CURSOR)
        strftime(when, sizeof when, " of %Y-%m-%d", &tm);
    return tw_err_set(
        err, TW_ECORRUPT,
        "it is not the same on both sides: %s%s%s%s: %s %llu where it comes from, %llu where it is to be",
        carry_kind_name(d->kind), d->kind == HISTORY_CELL ? " of " : "",
        d->kind == HISTORY_CELL ? store_level_name(d->level) : "", when, what, (unsigned long long)from,
        (unsigned long long)to);
}

enum tw_rc carry_days_compare(const struct carry_days *from, const struct carry_days *to, struct tw_err *err)
{
    for (size_t i = 0, k = 0; i < from->n || k < to->n;) {
        int c = i == from->n ? 1 : k == to->n ? -1 : compare(&from->v[i], &to->v[k]);
        const struct carry_day *a = c <= 0 ? &from->v[i++] : NULL, *b = c >= 0 ? &to->v[k++] : NULL;
        if (!a || !b)
            return tell(a ? a : b, a ? a->rows : 0, b ? b->rows : 0, "rows", err);
        if (a->rows != b->rows)
            return tell(a, a->rows, b->rows, "rows", err);
        if (a->sent != b->sent || a->lost != b->lost)
            return tell(a, a->sent + a->lost, b->sent + b->lost, "probes", err);
        if (a->digest != b->digest)
            return tell(a, a->digest, b->digest, "digest", err);
    }
    return TW_OK;
}

void carry_days_report(const struct carry_days *d, struct carry_report *ret)
{
    struct carry_sum *to = NULL;

    ret->n = 0;
    ret->rows = 0;
    for (size_t i = 0; i < d->n; i++) {
        const struct carry_day *day = &d->v[i];
        if (!to || to->kind != day->kind || to->level != day->level) {
            to = &ret->v[ret->n++];
            *to = (struct carry_sum){ .kind = day->kind, .level = day->level };
        }
        to->days += day->kind != HISTORY_CURSOR;
        to->rows += day->rows;
        to->sent += day->sent;
        to->lost += day->lost;
        to->digest += day->digest;
        ret->rows += day->rows;
    }
}
