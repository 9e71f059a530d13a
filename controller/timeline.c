#include "controller/timeline.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/alerts.h"
#include "controller/series.h"

#define PARTS_MAX 200000
#define TESTS_MAX 1000
#define GENERATIONS_MAX 10000

static const char *const kind_names[] = { "generation", "alert",       "agent_restart", "agent_down",
                                          "clock_step", "maintenance", "ttl_change",    "dscp_change",
                                          "refused",    "dropped",     "test" };
_Static_assert(TW_NELEM(kind_names) == TIMELINE_KINDS, "every kind has a name");

const char *timeline_kind_name(enum timeline_kind k)
{
    return kind_names[k];
}

/* ---- Events ---- */

static int cmp_events(const void *a, const void *b)
{
    const struct timeline_event *x = a, *y = b;

    return x->at_ns != y->at_ns ? (x->at_ns < y->at_ns ? -1 : 1)
           : x->kind != y->kind ? (x->kind < y->kind ? -1 : 1)
                                : strcmp(x->title, y->title);
}

/* The newest stay. */
static void cut(struct timeline *t)
{
    if (t->n)
        qsort(t->v, t->n, sizeof *t->v, cmp_events);
    if (t->n <= TIMELINE_MAX)
        return;
    memmove(t->v, t->v + t->n - TIMELINE_MAX, TIMELINE_MAX * sizeof *t->v);
    t->n = TIMELINE_MAX;
    t->truncated = true;
}

/* NULL: no memory. */
static struct timeline_event *add(struct timeline *t, enum timeline_kind kind, int64_t at_ns,
                                  int64_t until_ns, const char *severity)
{
    struct timeline_event *e;

    if (t->n == (size_t)2 * TIMELINE_MAX)
        cut(t);
    if (t->n == t->cap) {
        size_t cap = 2 * t->cap + 32;
        struct timeline_event *more = realloc(t->v, cap * sizeof *more);

        if (!more)
            return NULL;
        t->v = more;
        t->cap = cap;
    }
    e = &t->v[t->n++];
    *e = (struct timeline_event){ .kind = kind, .at_ns = at_ns, .until_ns = until_ns, .severity = severity };
    return e;
}

static void set_name(char dst[STORE_NAME_MAX], const char *src)
{
    snprintf(dst, STORE_NAME_MAX, "%s", src);
}

/* Is [at, until) in sight? */
static bool overlaps(const struct timeline *t, int64_t at_ns, int64_t until_ns)
{
    return at_ns < t->to_ns && (until_ns ? until_ns > t->from_ns : at_ns >= t->from_ns);
}

static bool is_wanted(const char *wanted, const char *is)
{
    return !*wanted || !strcmp(wanted, is);
}

/* ---- From memory ---- */

struct taking {
    struct timeline *t;
    const struct report_filter *f;
};

static bool alert_is_wanted(const struct report_filter *f, const struct alert *a)
{
    bool any_end = !*f->source && !*f->target;

    switch ((enum alert_kind)a->key.kind) {
    case ALERT_PAIR:
        return is_wanted(f->mesh, a->mesh) && is_wanted(f->class_name, a->class_name) &&
               is_wanted(f->source, a->source) && is_wanted(f->target, a->target);
    case ALERT_AGENT:
        return any_end || !strcmp(f->source, a->key.subject) || !strcmp(f->target, a->key.subject);
    default:
        return any_end;
    }
}

static enum tw_rc take_alert(void *ctx, const struct alert *a)
{
    const struct taking *k = ctx;
    int64_t until_ns = a->state == ALERT_FIRING ? INT64_MAX : a->ended_ns;
    char text[ALERT_SUMMARY_MAX];
    struct timeline_event *e;

    if (!a->fired_ns || !overlaps(k->t, a->fired_ns, until_ns) || !alert_is_wanted(k->f, a))
        return TW_OK;
    e = add(k->t, TIMELINE_ALERT, a->fired_ns, until_ns, alert_severity_name(a->severity));
    if (!e)
        return TW_ENOMEM;
    e->number = a->id;
    snprintf(e->title, sizeof e->title, "alert %s", a->rule);
    snprintf(e->detail, sizeof e->detail, "%.*s", (int)sizeof e->detail - 1, alert_summary(a, text));
    set_name(e->mesh, a->mesh);
    set_name(e->class_name, a->class_name);
    set_name(e->source, a->source);
    set_name(e->target, a->target);
    if (a->key.kind == ALERT_AGENT)
        set_name(e->agent, a->key.subject);
    return TW_OK;
}

static enum tw_rc take_maintenance(struct timeline *t, const struct agent *a)
{
    for (size_t i = 0; a->ops && i < a->ops->n_spans; i++) {
        const struct agent_span *s = &a->ops->spans[i];
        struct timeline_event *e;

        if (!overlaps(t, s->from_ns, s->to_ns))
            continue;
        e = add(t, TIMELINE_MAINTENANCE, s->from_ns, s->to_ns, "info");
        if (!e)
            return TW_ENOMEM;
        snprintf(e->title, sizeof e->title, "maintenance of %s", a->row.name);
        snprintf(e->detail, sizeof e->detail, "%s%s%s", s->reason, *s->reason && *s->author ? ", by " : "",
                 s->author);
        set_name(e->agent, a->row.name);
    }
    return TW_OK;
}

/* Agents at the ends that the filter names; all, if it names none. */
static enum tw_rc take_agents(struct controller *c, const struct report_filter *f, struct timeline *t)
{
    enum tw_rc rc = TW_OK;

    t->agents = calloc(HASH_COUNT(c->inv.agents) + 1, sizeof *t->agents);
    if (!t->agents)
        return TW_ENOMEM;
    for (const struct agent *a = c->inv.agents; rc == TW_OK && a; a = a->hh.next) {
        if (!t->all && strcmp(a->row.name, f->source) != 0 && strcmp(a->row.name, f->target) != 0)
            continue;
        set_name(t->agents[t->n_agents++], a->row.name);
        rc = take_maintenance(t, a);
    }
    return rc;
}

enum tw_rc timeline_take(struct controller *c, const struct report_filter *f, const struct pair *one,
                         struct timeline *ret)
{
    struct timeline t = { .from_ns = f->from_ns, .to_ns = f->to_ns, .all = !*f->source && !*f->target };
    enum tw_rc rc = take_agents(c, f, &t);

    if (one) {
        t.pair = one->row;
        t.period_ns = one->report_period_ns;
    }
    if (rc == TW_OK && c->alerts)
        rc = alert_engine_each(alerts_engine(c->alerts), take_alert, &(struct taking){ &t, f });
    if (rc == TW_OK)
        *ret = t;
    else
        timeline_free(&t);
    return rc;
}

void timeline_free(struct timeline *t)
{
    free(t->v);
    free(t->agents);
    *t = (struct timeline){ 0 };
}

/* ---- From the store ---- */

#define ENOUGH TW_ECLOSED /* no error: the rest is older */

static enum tw_rc add_generation(void *ctx, const struct store_generation *g)
{
    struct timeline *t = ctx;
    struct timeline_event *e;

    if (g->time_ns < t->from_ns)
        return ENOUGH;
    if (g->time_ns >= t->to_ns)
        return TW_OK;
    e = add(t, TIMELINE_GENERATION, g->time_ns, 0, "info");
    if (!e)
        return TW_ENOMEM;
    e->number = g->number;
    snprintf(e->title, sizeof e->title, "generation %llu", (unsigned long long)g->number);
    snprintf(e->detail, sizeof e->detail, "%s%s%s%s%s", g->what, *g->author ? ", by " : "", g->author,
             *g->reason ? ": " : "", g->reason);
    return TW_OK;
}

static const struct {
    enum timeline_kind kind;
    const char *severity, *text;
} causes[STORE_CAUSES] = {
    [STORE_REFUSED] = { TIMELINE_REFUSED, "warning", "refuses a session" },
    [STORE_DROPPED] = { TIMELINE_DROPPED, "warning", "had no room for results" },
    [STORE_AGENT_DOWN] = { TIMELINE_AGENT_DOWN, "critical", "did not run" },
    [STORE_AWAITED] = { TIMELINE_AGENT_DOWN, "critical", "is not heard of" },
    [STORE_UNKNOWN] = { TIMELINE_KINDS, NULL, NULL },
};

static enum tw_rc add_restart(struct timeline *t, const struct store_absence *a)
{
    struct timeline_event *e;

    if (a->cause != STORE_AGENT_DOWN || a->until_ns >= t->to_ns)
        return TW_OK;
    e = add(t, TIMELINE_AGENT_RESTART, a->until_ns, 0, "info");
    if (!e)
        return TW_ENOMEM;
    snprintf(e->title, sizeof e->title, "%s started", a->source);
    set_name(e->agent, a->source);
    return TW_OK;
}

static enum tw_rc add_absence(void *ctx, const struct store_absence *a)
{
    struct timeline *t = ctx;
    struct timeline_event *e;

    if (causes[a->cause].kind == TIMELINE_KINDS || (a->pair_id && (t->all || a->pair_id != t->pair.id)))
        return TW_OK; /* of many pairs would be too many */
    e = add(t, causes[a->cause].kind, a->from_ns, a->until_ns, causes[a->cause].severity);
    if (!e)
        return TW_ENOMEM;
    snprintf(e->title, sizeof e->title, "%s %s", a->source, causes[a->cause].text);
    snprintf(e->detail, sizeof e->detail, "%s", a->reason ? a->reason : "");
    set_name(e->agent, a->source);
    return add_restart(t, a);
}

static enum tw_rc add_test(void *ctx, const struct store_test *s)
{
    struct timeline *t = ctx;
    struct timeline_event *e;

    if (!s->started_ns || !overlaps(t, s->started_ns, s->ended_ns))
        return TW_OK;
    e = add(t, TIMELINE_TEST, s->started_ns, s->ended_ns, s->failed ? "warning" : "info");
    if (!e)
        return TW_ENOMEM;
    e->number = s->id;
    snprintf(e->title, sizeof e->title, "test %llu", (unsigned long long)s->id);
    snprintf(e->detail, sizeof e->detail, "%s, %s%s%s", s->what, s->state, *s->author ? ", by " : "",
             s->author);
    return TW_OK;
}

/* ---- Changes of one pair ---- */

static int cmp_parts(const void *a, const void *b)
{
    const struct timeline_part *x = a, *y = b;

    return x->flow != y->flow        ? (x->flow < y->flow ? -1 : 1)
           : x->from_ns < y->from_ns ? -1
                                     : x->from_ns > y->from_ns;
}

static struct timeline_event *add_change(struct timeline *t, enum timeline_kind kind,
                                         const struct timeline_part *p, const char *severity)
{
    struct timeline_event *e = add(t, kind, p->from_ns, 0, severity);

    if (!e)
        return NULL;
    set_name(e->mesh, t->pair.mesh);
    set_name(e->class_name, t->pair.class_name);
    set_name(e->source, t->pair.source);
    set_name(e->target, t->pair.target);
    return e;
}

static const struct {
    enum timeline_kind kind;
    const char *what;
} octets[] = { { TIMELINE_TTL_CHANGE, "TTL forward" },
               { TIMELINE_TTL_CHANGE, "TTL backward" },
               { TIMELINE_DSCP_CHANGE, "traffic class forward" },
               { TIMELINE_DSCP_CHANGE, "traffic class backward" } };

static bool is_same(const struct tw_octet_range *a, const struct tw_octet_range *b)
{
    return a->min == b->min && a->max == b->max;
}

static enum tw_rc add_octet_change(struct timeline *t, size_t which, const struct tw_octet_range *before,
                                   const struct timeline_part *p)
{
    const struct tw_octet_range *now = &p->octet[which];
    struct timeline_event *e = add_change(t, octets[which].kind, p, "info");

    if (!e)
        return TW_ENOMEM;
    snprintf(e->title, sizeof e->title, now->min == now->max ? "%s %u" : "%s %u to %u", octets[which].what,
             now->min, now->max);
    snprintf(e->detail, sizeof e->detail, "flow %u, was %u to %u, changed %llu times in this period", p->flow,
             before->min, before->max, (unsigned long long)now->changes);
    return TW_OK;
}

static enum tw_rc add_steps(struct timeline *t, const struct timeline_part *p, uint32_t steps,
                            const char *whose)
{
    struct timeline_event *e = steps ? add_change(t, TIMELINE_CLOCK_STEP, p, "warning") : NULL;

    if (!e)
        return steps ? TW_ENOMEM : TW_OK;
    snprintf(e->title, sizeof e->title, "the clock of %s stepped", whose);
    snprintf(e->detail, sizeof e->detail, "flow %u, %u times", p->flow, steps);
    return TW_OK;
}

enum tw_rc timeline_changes(struct timeline *t, struct timeline_part *v, size_t n)
{
    struct tw_octet_range before[TW_NELEM(octets)] = { 0 };
    enum tw_rc rc = TW_OK;

    if (n)
        qsort(v, n, sizeof *v, cmp_parts);
    for (size_t i = 0; rc == TW_OK && i < n; i++) {
        if (i && v[i].flow != v[i - 1].flow)
            memset(before, 0, sizeof before);
        for (size_t k = 0; rc == TW_OK && k < TW_NELEM(octets); k++) {
            if (!v[i].octet[k].n)
                continue;
            if (before[k].n && !is_same(&before[k], &v[i].octet[k]))
                rc = add_octet_change(t, k, &before[k], &v[i]);
            before[k] = v[i].octet[k];
        }
        if (rc == TW_OK)
            rc = add_steps(t, &v[i], v[i].clock_steps, t->pair.source);
        if (rc == TW_OK)
            rc = add_steps(t, &v[i], v[i].remote_steps, t->pair.target);
    }
    return rc;
}

struct parts {
    struct timeline *t;
    struct timeline_part *v;
    size_t n, cap;
};

static enum tw_rc add_part(void *ctx, const struct store_cell *c)
{
    struct parts *p = ctx;
    const struct tw_summary *s = c->merged;

    if (p->n == PARTS_MAX) {
        p->t->truncated = true;
        return TW_OK;
    }
    if (p->n == p->cap) {
        size_t cap = 2 * p->cap + 256;
        struct timeline_part *more = realloc(p->v, cap * sizeof *more);

        if (!more)
            return TW_ENOMEM;
        p->v = more;
        p->cap = cap;
    }
    p->v[p->n++] = (struct timeline_part){ .from_ns = s->start_ns,
                                           .flow = s->flow,
                                           .clock_steps = s->clock_steps,
                                           .remote_steps = s->clock_remote.steps,
                                           .octet = { s->ttl_forward, s->ttl_backward, s->tos_forward,
                                                      s->tos_backward } };
    return TW_OK;
}

static enum tw_rc read_changes(struct timeline *t, struct store_reader *db, struct tw_err *err)
{
    struct parts p = { .t = t };
    int64_t period_ns = t->period_ns > 0 ? t->period_ns : 60 * TW_NS_PER_S;
    enum tw_rc rc = store_read_span(
        db,
        &(struct store_span){ .pair_ids = &t->pair.id,
                              .n_pairs = 1,
                              .from_ns = t->from_ns,
                              .to_ns = t->to_ns,
                              .step_ns = series_step_ns(t->from_ns, t->to_ns, period_ns, SERIES_POINTS_MAX),
                              .raw_from_ns = INT64_MAX,
                              .fn = add_part,
                              .ctx = &p },
        err);

    if (rc == TW_OK)
        rc = timeline_changes(t, p.v, p.n);
    free(p.v);
    return rc;
}

enum tw_rc timeline_read(struct timeline *t, struct store_reader *db, struct tw_err *err)
{
    enum tw_rc rc = store_read_generations(db, 0, GENERATIONS_MAX, add_generation, t, err);

    if (rc == ENOUGH)
        rc = TW_OK;
    for (size_t i = 0; rc == TW_OK && i < t->n_agents; i++)
        rc = store_read_absences(db, t->agents[i], t->from_ns, t->to_ns, add_absence, t, err);
    if (rc == TW_OK && t->all)
        rc = store_read_tests(db, 0, TESTS_MAX, add_test, t, err);
    if (rc == TW_OK && t->pair.id)
        rc = read_changes(t, db, err);
    if (rc == TW_ENOMEM)
        tw_err_set(err, rc, "out of memory");
    cut(t);
    return rc;
}
