/* Which days and tables there are, what they hold, and how far days are rolled up. */
#include "db/sqlite/rollup.h"
#include "db/grow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Days and parts ----------------------------------------------------------------------------- */

size_t rollup_find_day(struct rollup *r, int64_t day)
{
    size_t lo = 0, hi = r->n_days;

    if (r->at_day < r->n_days && r->days[r->at_day].day == day)
        return r->at_day;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (r->days[mid].day < day)
            lo = mid + 1;
        else
            hi = mid;
    }
    return r->at_day = lo;
}

static enum tw_rc add_day(struct sqlite_history *s, const struct level_day *d, size_t *ret_at,
                          struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    size_t at = rollup_find_day(r, d->day), cap = r->cap_days;

    *ret_at = at;
    if (at < r->n_days && r->days[at].day == d->day)
        return TW_OK;
    if (!db_grow(&r->durable, r->n_days, &cap, sizeof *r->durable) ||
        !db_grow(&r->days, r->n_days, &r->cap_days, sizeof *r->days))
        return sq_no_memory(&s->q, err);
    memmove(r->days + at + 1, r->days + at, (r->n_days - at) * sizeof *r->days);
    memmove(r->durable + at + 1, r->durable + at, (r->n_days - at) * sizeof *r->durable);
    r->days[at] = r->durable[at] = *d;
    r->day += r->v && r->day >= at;
    r->n_days++;
    return TW_OK;
}

static bool same_part(const struct cells_part *a, const struct cells_part *b)
{
    return a->level == b->level && a->first_day == b->first_day;
}

enum tw_rc rollup_find_part(struct sqlite_history *s, const struct cells_part *p, struct part_state **ret,
                            struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    size_t *at = &r->at_part[p->level];

    if (*at >= r->n_parts || !same_part(&r->parts[*at].part, p))
        for (*at = 0; *at < r->n_parts && !same_part(&r->parts[*at].part, p);)
            ++*at;
    if (*at == r->n_parts) {
        if (!db_grow(&r->parts, r->n_parts, &r->cap_parts, sizeof *r->parts))
            return sq_no_memory(&s->q, err);
        r->parts[r->n_parts++] = (struct part_state){ .part = *p };
    }
    *ret = &r->parts[*at];
    return TW_OK;
}

enum tw_rc rollup_part_add(struct sqlite_history *s, const struct cells_part *p, int64_t rows, int64_t octets,
                           struct tw_err *err)
{
    struct part_state *state;
    enum tw_rc rc = rollup_find_part(s, p, &state, err);

    if (rc)
        return rc;
    state->add_rows += rows;
    state->add_octets += octets;
    return TW_OK;
}

static struct cells_part raw_part(int64_t day)
{
    return (struct cells_part){ STORE_RAW, day, day + 1 };
}

enum tw_rc rollup_note(struct sqlite_history *s, int64_t day, int64_t row, uint64_t octets,
                       int64_t received_ns, struct tw_err *err)
{
    struct cells_part part = raw_part(day);
    size_t at;
    enum tw_rc rc = add_day(s, &(struct level_day){ .day = day }, &at, err);

    if (rc)
        return rc;
    s->rollup.days[at].last = row;
    if (!s->rollup.fresh_since_ns)
        s->rollup.fresh_since_ns = received_ns;
    return rollup_part_add(s, &part, 1, (int64_t)octets + INDEX_OCTETS, err);
}

/* ---- Opening ------------------------------------------------------------------------------------ */

static enum tw_rc load_days(struct sqlite_history *s, struct tw_err *err)
{
    struct sq_cur c;
    size_t at;
    enum tw_rc rc = sq_start(&s->q, ST_DAY_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        struct level_day d = { .day = sq_take_i64(&c) };
        d.last = sq_take_i64(&c);
        d.through = sq_take_i64(&c);
        d.until = sq_take_i64(&c);
        d.next_pair = sq_take_i64(&c);
        rc = add_day(s, &d, &at, err);
        if (rc) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc load_parts(struct sqlite_history *s, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, ST_PART_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        int64_t level = sq_take_i64(&c), day = sq_take_i64(&c);
        struct cells_part p = raw_part(day);
        struct part_state *state;
        if (level < 0 || level >= STORE_LEVELS)
            continue;
        if (level != STORE_RAW)
            p = cells_part_of((enum store_level)level, day);
        rc = rollup_find_part(s, &p, &state, err);
        if (rc) {
            sq_end(&c);
            return rc;
        }
        state->rows = sq_take_i64(&c);
        state->octets = sq_take_i64(&c);
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* A day of before there were roll-ups. What its rows take is told by the first ones. */
static enum tw_rc adopt_day(struct sqlite_history *s, int64_t day, struct tw_err *err)
{
    char name[DAY_NAME], text[200];
    int64_t last = 0, octets = 0;
    struct cells_part part = raw_part(day);
    size_t at;
    enum tw_rc rc;

    snprintf(text, sizeof text, "SELECT ifnull(max(rowid), 0) FROM %s", day_name(day, name));
    rc = sq_get_int(&s->q, text, &last, err);
    snprintf(text, sizeof text,
             "SELECT ifnull(avg(length(delay_forward) + length(delay_backward) + length(delay_roundtrip)), "
             "0) + 200"
             " FROM (SELECT * FROM %s LIMIT 100)",
             name);
    if (!rc)
        rc = sq_get_int(&s->q, text, &octets, err);
    if (!rc)
        rc = add_day(s, &(struct level_day){ .day = day }, &at, err);
    if (rc)
        return rc;
    s->rollup.days[at].last = last;
    return rollup_part_add(s, &part, last, last * (octets + INDEX_OCTETS), err);
}

bool rollup_knows(struct rollup *r, int64_t day)
{
    size_t at = rollup_find_day(r, day);

    return at < r->n_days && r->days[at].day == day;
}

static enum tw_rc adopt_days(struct sqlite_history *s, struct tw_err *err)
{
    int64_t *days = NULL;
    size_t n = 0;
    enum tw_rc rc = day_list(&s->q, DAY_MIN, DAY_MAX, &days, &n, err);

    for (size_t i = 0; i < n && !rc; i++) {
        if (rollup_knows(&s->rollup, days[i]))
            continue;
        if (!s->q.in_txn)
            rc = sqlite_begin(&s->base, err);
        if (!rc)
            rc = adopt_day(s, days[i], err);
    }
    free(days);
    if (!rc && s->q.in_txn)
        return sqlite_commit(&s->base, err);
    sqlite_rollback(&s->base);
    return rc;
}
enum tw_rc rollup_load(struct sqlite_history *s, struct tw_err *err)
{
    enum tw_rc rc = load_days(s, err);

    if (!rc)
        rc = load_parts(s, err);
    return rc ? rc : adopt_days(s, err);
}
