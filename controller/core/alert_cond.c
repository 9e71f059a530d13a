#include "controller/core/alert_cond.h"

const char *alert_state_name(enum alert_state s)
{
    static const char *const names[] = { "ok", "pending", "firing", "resolved" };

    return names[s];
}

static bool is_raised(const struct alert_cond_rule *r, unsigned s, double v)
{
    if (!r->level[s].given)
        return false;
    return r->low_is_bad ? v < r->level[s].raise : v >= r->level[s].raise;
}

static bool is_clear(const struct alert_cond_rule *r, unsigned s, double v)
{
    if (!r->level[s].given)
        return true;
    return r->low_is_bad ? v >= r->level[s].clear : v < r->level[s].clear;
}

/* An unbroken time that began at or before 1970 would look like none. */
static int64_t begin(int64_t start_ns)
{
    return start_ns > 0 ? start_ns : 1;
}

static void note_raised(struct alert_cond *c, const struct alert_cond_rule *r, double v, int64_t start_ns)
{
    for (unsigned s = 0; s < ALERT_SEVERITY_COUNT; s++) {
        if (!is_raised(r, s, v))
            c->since_ns[s] = 0;
        else if (!c->since_ns[s])
            c->since_ns[s] = begin(start_ns);
    }
}

/* The highest severity that is raised, for so long; false: none. */
static bool highest(const struct alert_cond *c, int64_t for_ns, int64_t end_ns, enum alert_severity *ret)
{
    for (int s = ALERT_SEVERITY_COUNT - 1; s >= 0; s--)
        if (c->since_ns[s] && end_ns - c->since_ns[s] >= for_ns) {
            *ret = (enum alert_severity)s;
            return true;
        }
    return false;
}

static enum alert_step feed_quiet(struct alert_cond *c, const struct alert_cond_rule *r, int64_t end_ns)
{
    enum alert_state before = c->state;

    if (highest(c, r->for_ns, end_ns, &c->severity)) {
        c->state = ALERT_FIRING;
        c->clear_since_ns = 0;
        return ALERT_STEP_FIRED;
    }
    c->state = highest(c, INT64_MIN, end_ns, &c->severity) ? ALERT_PENDING : ALERT_OK;
    if (c->state == before)
        return ALERT_STEP_NONE;
    return c->state == ALERT_PENDING ? ALERT_STEP_PENDING : ALERT_STEP_DROPPED;
}

/* The highest severity below that is not clear: there it stays. */
static bool lower(const struct alert_cond_rule *r, enum alert_severity from, double v,
                  enum alert_severity *ret)
{
    for (int s = (int)from - 1; s >= 0; s--)
        if (r->level[s].given && !is_clear(r, (unsigned)s, v)) {
            *ret = (enum alert_severity)s;
            return true;
        }
    return false;
}

static enum alert_step feed_firing(struct alert_cond *c, const struct alert_cond_rule *r, double v,
                                   int64_t start_ns, int64_t end_ns)
{
    enum alert_severity s;

    if (highest(c, r->for_ns, end_ns, &s) && s > c->severity) {
        c->severity = s;
        c->clear_since_ns = 0;
        return ALERT_STEP_SEVERITY;
    }
    if (!is_clear(r, c->severity, v)) {
        c->clear_since_ns = 0;
        return ALERT_STEP_NONE;
    }
    if (!c->clear_since_ns)
        c->clear_since_ns = begin(start_ns);
    if (end_ns - c->clear_since_ns < r->clear_for_ns)
        return ALERT_STEP_NONE;
    c->clear_since_ns = 0;
    if (lower(r, c->severity, v, &s)) {
        c->severity = s;
        return ALERT_STEP_SEVERITY;
    }
    *c = (struct alert_cond){ .severity = c->severity, .last_end_ns = c->last_end_ns };
    return ALERT_STEP_RESOLVED;
}

/* Of one that was restored it is not known when the last period ended. It was not as good without a break until now, or it would have
 * ended before it was restored. */
static bool has_unseen_gap(const struct alert_cond *c, const struct alert_cond_rule *r, int64_t start_ns)
{
    return !c->last_end_ns && c->clear_since_ns && start_ns - c->clear_since_ns - r->clear_for_ns > r->gap_ns;
}

enum alert_step alert_cond_feed(struct alert_cond *c, const struct alert_cond_rule *r, struct tw_num value,
                                int64_t start_ns, int64_t end_ns)
{
    if (!value.known || end_ns <= c->last_end_ns)
        return ALERT_STEP_NONE;
    if (c->last_end_ns && start_ns - c->last_end_ns > r->gap_ns) {
        for (unsigned s = 0; s < ALERT_SEVERITY_COUNT; s++)
            c->since_ns[s] = 0;
        c->clear_since_ns = 0;
    }
    if (has_unseen_gap(c, r, start_ns))
        c->clear_since_ns = 0;
    c->last_end_ns = end_ns;
    note_raised(c, r, value.value, start_ns);
    return c->state == ALERT_FIRING ? feed_firing(c, r, value.value, start_ns, end_ns)
                                    : feed_quiet(c, r, end_ns);
}
