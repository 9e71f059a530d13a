#include "controller/core/budget.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "controller/core/class_diff.h"
#include "common/metrics_page.h"

static const struct {
    const char *name;
    const char *text;     /* value, limit */
    const char *of_agent; /* the same of one agent: name, value, whose, limit */
} kinds[] = {
    [BUDGET_PAIRS] = { "pairs", "there would be %.0f pairs: the budget is %.0f", NULL },
    [BUDGET_SERIES] = { "series", "there would be %.0f Prometheus series: the budget is %.0f", NULL },
    [BUDGET_STORE] = { "store_bytes_per_day", "the database would grow by %.0f octets a day: the budget is %.0f",
                       NULL },
    [BUDGET_SESSIONS] = { "sessions", NULL, "agent %s would run %.0f sessions: %s is %.0f" },
    [BUDGET_PPS] = { "packets_per_second", NULL, "agent %s would send %.0f packets/s: %s is %.0f" },
    [BUDGET_BPS] = { "bits_per_second", NULL, "agent %s would send %.0f bit/s: %s is %.0f" },
};

const char *budget_kind_name(enum budget_kind k)
{
    return kinds[k].name;
}

const char *budget_text(const struct budget_excess *e, char buf[BUDGET_TEXT])
{
    /* The formats are the table's: as many arguments as each has. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (e->agent)
        snprintf(buf, BUDGET_TEXT, kinds[e->kind].of_agent, e->agent, e->value,
                 e->hard ? "its own limit" : "the budget of an agent", e->limit);
    else
        snprintf(buf, BUDGET_TEXT, kinds[e->kind].text, e->value, e->limit);
#pragma GCC diagnostic pop
    return buf;
}

/* ---- Who costs how much ---- */

static double cost_of(const struct budget_mesh *m, const struct mesh_pair *p, enum budget_kind kind)
{
    const struct mesh_class *k = &m->pairs->mesh->classes[p->class_index];
    struct plan_pair_cost c;

    plan_pair_cost(m->pairs, p, m->ipv6, &c);
    switch (kind) {
    case BUDGET_PAIRS:
        return 1;
    case BUDGET_SERIES:
        return metrics_series_per_pair();
    case BUDGET_STORE:
        return c.store_bytes_per_day;
    case BUDGET_SESSIONS:
        return k->flows;
    case BUDGET_PPS:
        return c.pps;
    case BUDGET_BPS:
        return c.bps;
    }
    return 0;
}

static void keep_share(struct budget_excess *e, const struct budget_share *s)
{
    size_t i = e->n_shares;

    if (s->value <= 0)
        return;
    while (i && e->shares[i - 1].value < s->value)
        i--;
    if (i == BUDGET_SHARES)
        return;
    if (e->n_shares < BUDGET_SHARES)
        e->n_shares++;
    memmove(&e->shares[i + 1], &e->shares[i], (e->n_shares - 1 - i) * sizeof *s);
    e->shares[i] = *s;
}

/* The first pair from `from` on that is of a later class. */
static size_t end_of_class(const struct mesh_pairs *m, size_t from)
{
    size_t low = from, high = m->n;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (m->v[middle].class_index == m->v[from].class_index)
            low = middle;
        else
            high = middle;
    }
    return low + 1;
}

/* The first of a class whose source is not before the agent. */
static size_t find_source(const struct mesh_pairs *m, size_t from, size_t end, const char *agent)
{
    while (from < end) {
        size_t middle = from + (end - from) / 2;

        if (strcmp(mesh_pair_source(m->agents, &m->v[middle]), agent) < 0)
            from = middle + 1;
        else
            end = middle;
    }
    return from;
}

/* What is not of an agent is the same for all pairs of a class. */
static void count_share(struct budget_share *s, const struct budget_excess *e, const struct budget_mesh *m,
                        size_t from, size_t end)
{
    const struct mesh_pairs *pairs = m->pairs;

    if (!e->agent) {
        s->pairs = end - from;
        s->value = (double)s->pairs * cost_of(m, &pairs->v[from], e->kind);
        return;
    }
    for (size_t i = find_source(pairs, from, end, e->agent);
         i < end && !strcmp(mesh_pair_source(pairs->agents, &pairs->v[i]), e->agent); i++) {
        s->value += cost_of(m, &pairs->v[i], e->kind);
        s->pairs++;
    }
}

/* The pairs are in order of class, then source: there may be a million, and this is one piece. */
static void find_shares(struct budget_excess *e, const struct budget_mesh *m)
{
    const struct mesh_pairs *pairs = m->pairs;

    for (size_t from = 0, end; from < pairs->n; from = end) {
        struct budget_share s = { .mesh = pairs->mesh->name,
                                  .class_name = pairs->mesh->classes[pairs->v[from].class_index].name };

        end = end_of_class(pairs, from);
        count_share(&s, e, m, from, end);
        keep_share(e, &s);
    }
}

/* ---- What would fit ---- */

static const struct mesh_class *class_of(const struct budget_question *q, const struct budget_share *s)
{
    for (size_t i = 0; i < q->n_meshes; i++) {
        const struct mesh *m = q->meshes[i].pairs->mesh;

        if (strcmp(m->name, s->mesh) != 0)
            continue;
        for (size_t k = 0; k < m->n_classes; k++)
            if (!strcmp(m->classes[k].name, s->class_name))
                return &m->classes[k];
    }
    return NULL;
}

/* Up to two digits, in whole milliseconds, so that people can write it. */
static int64_t round_spacing(double ns)
{
    double ms = ceil(ns / (double)TW_NS_PER_MS), step = 1;

    while (ms / step >= 100)
        step *= 10;
    return (int64_t)(ceil(ms / step) * step) * TW_NS_PER_MS;
}

/* The next that divides a day. 0: there is none up to an hour. */
static int64_t round_period(double ns)
{
    for (int64_t s = (int64_t)ceil(ns / (double)TW_NS_PER_S); s <= 3600; s++)
        if (s > 0 && 86400 % s == 0)
            return s * TW_NS_PER_S;
    return 0;
}

static void suggest_pairs(struct budget_excess *e, const struct budget_share *s, double factor)
{
    snprintf(e->fits, sizeof e->fits, "%.0f pairs instead of %llu%s of %s/%s: fewer members, or k-regular or hub-spoke",
             floor((double)s->pairs / factor), (unsigned long long)s->pairs, e->agent ? " there" : "", s->mesh,
             s->class_name);
}

static void suggest_time(struct budget_excess *e, const struct budget_share *s, const char *key, int64_t now_ns,
                         int64_t then_ns)
{
    char now[24], then[24];

    snprintf(e->fits, sizeof e->fits, "a %s of %s instead of %s in %s/%s", key, class_duration(then_ns, then),
             class_duration(now_ns, now), s->mesh, s->class_name);
}

/* Takes what is too much from the biggest contributor alone. */
static void suggest(struct budget_excess *e, const struct budget_question *q)
{
    const struct budget_share *s = &e->shares[0];
    const struct mesh_class *k = e->n_shares ? class_of(q, s) : NULL;
    double left = e->n_shares ? s->value - (e->value - e->limit) : 0, factor;
    int64_t ns = 0;

    if (!k || left <= 0) {
        snprintf(e->fits, sizeof e->fits, "no single class makes up for it: about %.0f%% of all would fit",
                 floor(100 * e->limit / e->value));
        return;
    }
    factor = s->value / left;
    if (e->kind == BUDGET_PPS || e->kind == BUDGET_BPS)
        ns = round_spacing((double)k->spacing_ns * factor);
    else if (e->kind == BUDGET_STORE)
        ns = round_period((double)k->report_period_ns * factor);
    if (ns && ns <= 3600 * TW_NS_PER_S)
        suggest_time(e, s, e->kind == BUDGET_STORE ? "report_period" : "spacing",
                     e->kind == BUDGET_STORE ? k->report_period_ns : k->spacing_ns, ns);
    else
        suggest_pairs(e, s, factor);
}

/* ---- The check ---- */

static void look(struct budget_report *r, const char *agent, enum budget_kind kind, bool hard, double before,
                 double after, double limit)
{
    /* A hair over it is what adding up fractions makes. */
    if (limit <= 0 || after <= limit * (1 + 1e-9) || after <= before)
        return;
    if (hard)
        r->hard++;
    else
        r->soft++;
    if (r->n < BUDGET_EXCESSES)
        r->v[r->n++] = (struct budget_excess){
            .kind = kind, .hard = hard, .agent = agent, .value = after, .limit = limit
        };
}

static const struct plan_agent *find_agent(const struct plan_cost *c, const char *name)
{
    static const struct plan_agent none;
    size_t lo = 0, hi = c->n_agents;

    while (lo < hi) { /* sorted by name */
        size_t mid = lo + (hi - lo) / 2;
        int d = strcmp(c->agents[mid].name, name);

        if (!d)
            return &c->agents[mid];
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return &none;
}

static void look_at_agent(const struct budget_question *q, struct budget_report *r, const struct plan_agent *a,
                          bool hard)
{
    const struct plan_agent *b = find_agent(q->before, a->name);
    struct budget_agent own = { 0 };

    if (!hard) {
        look(r, a->name, BUDGET_PPS, false, b->pps, a->pps, q->limits->agent_pps);
        look(r, a->name, BUDGET_BPS, false, b->bps, a->bps, q->limits->agent_bps);
        return;
    }
    q->agent(q->ctx, a->name, &own);
    look(r, a->name, BUDGET_SESSIONS, true, (double)b->sessions, (double)a->sessions, own.sessions);
    look(r, a->name, BUDGET_PPS, true, b->pps, a->pps, own.pps);
    look(r, a->name, BUDGET_BPS, true, b->bps, a->bps, own.bps);
}

void budget_check(const struct budget_question *q, struct budget_report *ret)
{
    const struct plan_cost *b = q->before, *a = q->after;
    struct budget_report r = { .n = 0 };

    for (size_t i = 0; i < a->n_agents; i++)
        look_at_agent(q, &r, &a->agents[i], true);
    look(&r, NULL, BUDGET_PAIRS, false, (double)b->pairs, (double)a->pairs, q->limits->pairs);
    look(&r, NULL, BUDGET_SERIES, false, (double)b->series, (double)a->series, q->limits->series);
    look(&r, NULL, BUDGET_STORE, false, b->store_bytes_per_day, a->store_bytes_per_day,
         q->limits->store_bytes_per_day);
    for (size_t i = 0; i < a->n_agents; i++)
        look_at_agent(q, &r, &a->agents[i], false);
    for (size_t i = 0; i < r.n; i++) {
        for (size_t k = 0; k < q->n_meshes; k++)
            find_shares(&r.v[i], &q->meshes[k]);
        suggest(&r.v[i], q);
    }
    *ret = r;
}
