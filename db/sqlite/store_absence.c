/* Why summaries are missing. */
#include <stdlib.h>
#include <string.h>
#include "db/store_priv.h"

static const char *const cause_names[STORE_CAUSES] = {
    [STORE_AGENT_DOWN] = "agent_down", [STORE_AWAITED] = "awaited", [STORE_REFUSED] = "refused",
    [STORE_DROPPED] = "dropped",       [STORE_UNKNOWN] = "unknown",
};

const char *store_cause_name(enum store_cause c)
{
    return cause_names[c];
}

/* ---- Writing ------------------------------------------------------------------------------------ */

static enum tw_rc put(struct store *s, const struct store_absence *a, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_ABSENCE_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, a->source);
    sq_put_i64(&c, (int64_t)a->pair_id);
    sq_put_text(&c, store_cause_name(a->cause));
    sq_put_text(&c, a->reason);
    sq_put_i64(&c, a->from_ns);
    return sq_run(&c, err);
}

enum tw_rc store_agent_lost(struct store *s, const char *source, int64_t from_ns, struct tw_err *err)
{
    return put(s, &(struct store_absence){ source, 0, STORE_AWAITED, "", from_ns, 0 }, err);
}

enum tw_rc store_agent_found(struct store *s, const char *source, int64_t started_ns, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_ABSENCE_DOWN, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, source);
    sq_put_i64(&c, started_ns);
    rc = sq_run(&c, err);
    if (rc)
        return rc;
    rc = sq_start(s->q, ST_ABSENCE_FORGET, &c, err);
    if (rc)
        return rc;
    sq_put_text(&c, source);
    return sq_run(&c, err);
}

static int cmp_refusals(const void *a, const void *b)
{
    uint64_t ia = ((const struct store_refusal *)a)->pair_id, ib = ((const struct store_refusal *)b)->pair_id;

    return ia < ib ? -1 : ia > ib;
}

static enum tw_rc end_refusal(struct store *s, int64_t id, int64_t at_ns, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_ABSENCE_END, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, id);
    sq_put_i64(&c, at_ns);
    return sq_run(&c, err);
}

struct open_refusal {
    int64_t id;
    uint64_t pair_id;
};

/* Those that are open, in a list of the caller's: the statement must not run while the table changes. */
static enum tw_rc open_refusals(struct store *s, const char *source, struct open_refusal **ret, size_t *ret_n,
                                struct tw_err *err)
{
    struct sq_cur c;
    size_t cap = 0;
    enum tw_rc rc = sq_start(s->q, ST_ABSENCE_REFUSED, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, source);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        if (*ret_n == cap) {
            struct open_refusal *more = realloc(*ret, (2 * cap + 16) * sizeof *more);
            if (!more) {
                sq_end(&c);
                return tw_err_set(err, TW_ENOMEM, "out of memory");
            }
            *ret = more;
            cap = 2 * cap + 16;
        }
        (*ret)[*ret_n].id = sq_take_i64(&c);
        (*ret)[(*ret_n)++].pair_id = (uint64_t)sq_take_i64(&c);
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc store_put_refusals(struct store *s, const char *source, struct store_refusal *v, size_t n,
                              int64_t at_ns, struct tw_err *err)
{
    struct open_refusal *open = NULL;
    size_t n_open = 0;
    enum tw_rc rc = open_refusals(s, source, &open, &n_open, err);

    if (n)
        qsort(v, n, sizeof *v, cmp_refusals);
    for (size_t i = 0; !rc && i < n_open; i++) {
        struct store_refusal key = { .pair_id = open[i].pair_id },
                             *still = n ? bsearch(&key, v, n, sizeof key, cmp_refusals) : NULL;

        if (still)
            still->known = true;
        else
            rc = end_refusal(s, open[i].id, at_ns, err);
    }
    for (size_t i = 0; !rc && i < n; i++)
        if (!v[i].known && (!i || v[i].pair_id != v[i - 1].pair_id))
            rc = put(s, &(struct store_absence){ source, v[i].pair_id, STORE_REFUSED, v[i].reason, at_ns, 0 },
                     err);
    free(open);
    return rc;
}

/* ---- Reading ------------------------------------------------------------------------------------ */

static enum store_cause cause_of(const char *name)
{
    for (int i = 0; i < STORE_CAUSES; i++)
        if (!strcmp(name, cause_names[i]))
            return (enum store_cause)i;
    return STORE_UNKNOWN;
}

enum tw_rc control_read_absences(struct store_reader *r, const char *source, int64_t from_ns, int64_t to_ns,
                                 enum tw_rc (*fn)(void *ctx, const struct store_absence *a), void *ctx,
                                 struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(r->q, ST_READ_ABSENCES, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, source);
    sq_put_i64(&c, from_ns);
    sq_put_i64(&c, to_ns);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        struct store_absence a = { .source = source, .pair_id = (uint64_t)sq_take_i64(&c) };

        a.cause = cause_of(sq_take_text(&c));
        a.reason = sq_take_text(&c);
        a.from_ns = sq_take_i64(&c);
        a.until_ns = sq_take_i64(&c);
        rc = fn(ctx, &a);
        if (rc) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}
