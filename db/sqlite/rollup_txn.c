/* Roll-ups and the open transaction: what it adds is durable with it, or had never been; and what is counted. */
#include "db/sqlite/rollup.h"

#include <stdlib.h>
#include <string.h>

static void close_writers(struct rollup *r)
{
    for (int l = 0; l < STORE_LEVELS; l++)
        cells_close(&r->writers[l]);
}

void rollup_end_round(struct rollup *r)
{
    free(r->v);
    r->v = NULL;
    r->n = r->at = 0;
}

enum tw_rc rollup_open(struct sqlite_history *s, struct tw_err *err)
{
    struct rollup *r = &s->rollup;

    summary_init(&r->row);
    summary_init(&r->stored.merged);
    for (int l = 0; l < STORE_LEVELS; l++)
        summary_init(&r->acc[l].cell.merged);
    return rollup_load(s, err);
}
void rollup_close(struct sqlite_history *s)
{
    struct rollup *r = &s->rollup;

    close_writers(r);
    day_cache_clear(&r->by_row);
    rollup_end_round(r);
    summary_free(&r->row);
    summary_free(&r->stored.merged);
    for (int l = 0; l < STORE_LEVELS; l++)
        summary_free(&r->acc[l].cell.merged);
    free(r->days);
    free(r->durable);
    free(r->parts);
}

/* ---- Transactions ------------------------------------------------------------------------------- */

/* Without a row the day is gone. */
static enum tw_rc put_day(struct sqlite_history *s, const struct level_day *d, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, d->last ? ST_DAY_PUT : ST_DAY_DELETE, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, d->day);
    if (!d->last)
        return sq_run(&c, err);
    sq_put_i64(&c, d->last);
    sq_put_i64(&c, d->through);
    sq_put_i64(&c, d->until);
    sq_put_i64(&c, d->next_pair);
    return sq_run(&c, err);
}

static enum tw_rc add_part(struct sqlite_history *s, const struct part_state *p, struct tw_err *err)
{
    bool gone = p->rows + p->add_rows <= 0;
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, gone ? ST_PART_DELETE : ST_PART_ADD, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, p->part.level);
    sq_put_i64(&c, p->part.first_day);
    if (gone)
        return sq_run(&c, err);
    sq_put_i64(&c, p->add_rows);
    sq_put_i64(&c, p->add_octets);
    return sq_run(&c, err);
}

static bool differs(const struct level_day *a, const struct level_day *b)
{
    return a->last != b->last || a->through != b->through || a->until != b->until ||
           a->next_pair != b->next_pair;
}

enum tw_rc rollup_flush(struct sqlite_history *s, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < r->n_days && !rc; i++)
        if (differs(&r->days[i], &r->durable[i]))
            rc = put_day(s, &r->days[i], err);
    for (size_t i = 0; i < r->n_parts && !rc; i++)
        if (r->parts[i].add_rows || r->parts[i].add_octets)
            rc = add_part(s, &r->parts[i], err);
    return rc;
}

void rollup_committed(struct sqlite_history *s)
{
    struct rollup *r = &s->rollup;

    if (r->n_days)
        memcpy(r->durable, r->days, r->n_days * sizeof *r->days);
    for (size_t i = 0; i < r->n_parts; i++) {
        struct part_state *p = &r->parts[i];
        p->rows += p->add_rows;
        p->octets += p->add_octets;
        p->add_rows = p->add_octets = 0;
    }
    s->stats.rollup_rows += r->add_rows;
    s->stats.rollup_cells += r->add_cells;
    r->add_rows = r->add_cells = 0;
}

void rollup_rolled_back(struct sqlite_history *s)
{
    struct rollup *r = &s->rollup;

    close_writers(r); /* tables that it made are gone, too */
    day_cache_clear(&r->by_row);
    for (size_t i = 0; i < r->n_days; i++) {
        int64_t looked = r->days[i].looked_ns;
        r->days[i] = r->durable[i];
        r->days[i].looked_ns = looked;
    }
    for (size_t i = 0; i < r->n_parts; i++)
        r->parts[i].add_rows = r->parts[i].add_octets = 0;
    for (int l = 0; l < STORE_LEVELS; l++)
        r->acc[l].active = false;
    r->add_rows = r->add_cells = 0;
    if (r->v)
        r->days[r->day].looked_ns = 0;
    rollup_end_round(r); /* begins again where it is durable */
}

enum tw_rc rollup_forget(struct sqlite_history *s, const struct cells_part *p, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    struct part_state *state;
    enum tw_rc rc = rollup_find_part(s, p, &state, err);
    size_t at;

    if (rc)
        return rc;
    state->add_rows = -state->rows;
    state->add_octets = -state->octets;
    if (p->level != STORE_RAW) {
        if (r->writers[p->level].open && r->writers[p->level].part.first_day == p->first_day)
            cells_close(&r->writers[p->level]);
        return TW_OK;
    }
    at = rollup_find_day(r, p->first_day);
    day_cache_drop(&r->by_row, p->first_day);
    if (r->v && r->day == at)
        rollup_end_round(r);
    if (at < r->n_days && r->days[at].day == p->first_day)
        r->days[at] = (struct level_day){ .day = p->first_day };
    return TW_OK;
}

void rollup_stats(const struct sqlite_history *s, struct store_stats *ret)
{
    const struct rollup *r = &s->rollup;

    for (size_t i = 0; i < r->n_parts; i++) {
        const struct part_state *p = &r->parts[i];
        struct store_level_stats *l = &ret->levels[p->part.level];
        int64_t first = p->part.first_day * DAY_NS;
        if (p->rows <= 0)
            continue;
        if (!l->rows || first < l->oldest_ns)
            l->oldest_ns = first;
        l->rows += (uint64_t)p->rows;
        l->bytes += p->octets > 0 ? (uint64_t)p->octets : 0;
    }
    for (size_t i = 0; i < r->n_days; i++)
        ret->rollup_waiting += (uint64_t)(r->durable[i].last - r->durable[i].through);
    if (ret->rollup_waiting)
        ret->rollup_since_ns = r->round_since_ns ? r->round_since_ns : r->fresh_since_ns;
}
