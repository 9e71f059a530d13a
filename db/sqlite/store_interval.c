/* When pairs were scheduled, and what was expected of them. */
#include "db/store_priv.h"

/* ---- Writing ------------------------------------------------------------------------------------ */

static void put_expectation(struct sq_cur *c, uint64_t id, const struct store_expectation *x)
{
    sq_put_i64(c, (int64_t)id);
    sq_put_i64(c, x->report_period_ns);
    sq_put_i64(c, x->flows);
    sq_put_i64(c, (int64_t)x->rule_id);
    sq_put_i64(c, x->rule_id ? x->spacing_ns : 0);
    sq_put_i64(c, x->rule_id && x->exponential);
    sq_put_i64(c, x->rule_id ? x->slot : 0);
}

/* Is one open, with the same expectation? TW_ENOENT: none is open. */
static enum tw_rc look_at_open(struct store *s, uint64_t id, const struct store_expectation *x, bool *ret_same,
                               struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_INTERVAL_SAME, &c, err);

    if (rc)
        return rc;
    put_expectation(&c, id, x);
    rc = sq_next(&c, err);
    if (rc)
        return rc;
    *ret_same = sq_take_i64(&c) != 0;
    return sq_run(&c, err);
}

static enum tw_rc put_rule(struct store *s, const struct store_expectation *x, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_RULE_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)x->rule_id);
    sq_put_blob(&c, x->rule, x->rule_len);
    return sq_run(&c, err);
}

static enum tw_rc open_interval(struct store *s, uint64_t id, uint64_t generation,
                                const struct store_expectation *x, int64_t from_ns, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_INTERVAL_OPEN, &c, err);

    if (rc)
        return rc;
    put_expectation(&c, id, x);
    sq_put_i64(&c, (int64_t)generation);
    sq_put_i64(&c, from_ns);
    return sq_run(&c, err);
}

enum tw_rc store_pair_scheduled(struct store *s, uint64_t id, uint64_t generation,
                                const struct store_expectation *x, int64_t from_ns, struct tw_err *err)
{
    bool same = false, none;
    enum tw_rc rc;

    if (x->report_period_ns <= 0 || x->flows == 0)
        return tw_err_set(err, TW_EINVAL, "pair %llu: report period and flows must be above 0",
                          (unsigned long long)id);
    if (x->rule_id && (!x->rule_len || x->spacing_ns <= 0))
        return tw_err_set(err, TW_EINVAL,
                          "pair %llu: its rule must have octets, and its probes a spacing above 0",
                          (unsigned long long)id);
    rc = look_at_open(s, id, x, &same, err);
    none = rc == TW_ENOENT;
    if (same || (rc && !none))
        return rc;
    rc = x->rule_id ? put_rule(s, x, err) : TW_OK;
    if (!rc && !none)
        rc = store_pair_unscheduled(s, id, from_ns, err);
    return rc ? rc : open_interval(s, id, generation, x, from_ns, err);
}

enum tw_rc store_pair_unscheduled(struct store *s, uint64_t id, int64_t until_ns, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_INTERVAL_CLOSE, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)id);
    sq_put_i64(&c, until_ns);
    return sq_run(&c, err);
}

/* ---- Reading ------------------------------------------------------------------------------------ */

static struct store_interval take_interval(struct sq_cur *c, int64_t from_ns, int64_t to_ns)
{
    struct store_interval i = { .x.report_period_ns = sq_take_i64(c) };

    i.x.flows = (uint32_t)sq_take_i64(c);
    i.from_ns = sq_take_i64(c);
    i.until_ns = sq_take_i64(c);
    i.x.rule_id = (uint64_t)sq_take_i64(c);
    i.x.spacing_ns = sq_take_i64(c);
    i.x.exponential = sq_take_i64(c) != 0;
    i.x.slot = (uint8_t)sq_take_i64(c);
    i.x.rule = sq_take_blob(c, &i.x.rule_len);
    i.x.rule_unknown = sq_take_i64(c) != 0;
    i.from_ns = i.from_ns > from_ns ? i.from_ns : from_ns;
    i.until_ns = i.until_ns < to_ns ? i.until_ns : to_ns;
    return i;
}

enum tw_rc store_read_intervals(struct store_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                enum tw_rc (*fn)(void *ctx, const struct store_interval *i), void *ctx,
                                struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(r->q, ST_READ_INTERVALS, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)pair_id);
    sq_put_i64(&c, from_ns);
    sq_put_i64(&c, to_ns);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        struct store_interval i = take_interval(&c, from_ns, to_ns);

        if (i.x.report_period_ns > 0 && (rc = fn(ctx, &i)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}
