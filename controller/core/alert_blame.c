/* Alerts of sites and of agents, made of those of pairs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/alert_priv.h"

#define RESTORED_NS \
    (120 * TW_NS_PER_S) /* so long what was stored counts, until all pairs have been looked at */
#define EXPLAINED INT32_MAX

int32_t alert_node_index(struct alert_engine *e, enum alert_kind kind, const char *name)
{
    struct node_key key;
    struct node *n;

    memset(&key, 0, sizeof key);
    key.kind = kind;
    memcpy(key.name, name, strnlen(name, sizeof key.name - 1));
    HASH_FIND(hh, e->nodes, &key, sizeof key, n);
    if (n)
        return (int32_t)n->index;
    if (e->n_nodes == e->cap_nodes) {
        size_t cap = e->cap_nodes ? 2 * e->cap_nodes : 64;
        struct node **at = realloc(e->node_at, cap * sizeof(*at));
        if (!at)
            return -1;
        e->node_at = at;
        e->cap_nodes = cap;
    }
    n = calloc(1, sizeof *n);
    if (!n)
        return -1;
    n->key = key;
    n->site = -1;
    n->index = (uint32_t)e->n_nodes;
    HASH_ADD(hh, e->nodes, key, sizeof n->key, n);
    if (!n->hh.tbl) {
        free(n);
        return -1;
    }
    e->node_at[e->n_nodes++] = n;
    return (int32_t)n->index;
}

struct blame {
    struct alert_engine *e;
    int64_t now_ns;
    struct alert_link *links; /* in the order of e->pairs */
    size_t n;
    struct alert_node *nodes; /* by index */
};

static bool is_down(const struct alert_engine *e, int32_t agent)
{
    return agent >= 0 && e->node_at[agent]->down;
}

/* It is explained by that, unless its pairs were enough to blame it before. */
static bool explains(const struct alert_engine *e, int32_t agent)
{
    return is_down(e, agent) && !e->node_at[agent]->alert;
}

/* What touches an agent that is down is bad, whether its own alert has fired or not yet. */
static bool touches_down(const struct alert_engine *e, const struct seen_pair *p)
{
    return is_down(e, p->agent[0]) || is_down(e, p->agent[1]);
}

static bool is_known(const struct seen_pair *p)
{
    return p->counts || p->active;
}

static void fill_links(struct blame *b)
{
    b->n = 0;
    for (const struct seen_pair *p = b->e->pairs; p; p = p->hh.next) {
        bool down = touches_down(b->e, p);

        if (is_known(p))
            b->links[b->n++] = (struct alert_link){ .source = p->site[0],
                                                    .target = p->site[1],
                                                    .bad = p->active || down,
                                                    .firing = p->firing || down,
                                                    .cause = -1 };
    }
}

static bool is_blamed(const struct blame *b, int32_t node)
{
    return node >= 0 && b->nodes[node].blamed;
}

/* After the sites: what they explain is out, and what touches an agent that is down is explained by that. */
static void turn_to_agents(struct blame *b, bool agents)
{
    size_t i = 0;

    for (struct seen_pair *p = b->e->pairs; p; p = p->hh.next) {
        struct alert_link *l = &b->links[i];

        if (!is_known(p)) {
            p->cause = -1;
            continue;
        }
        i++;
        p->cause = l->bad ? l->cause : -1;
        if (is_blamed(b, p->site[0]) || is_blamed(b, p->site[1]))
            l->cause = EXPLAINED;
        else if (explains(b->e, p->agent[0]) || explains(b->e, p->agent[1])) {
            p->cause = explains(b->e, p->agent[0]) ? p->agent[0] : p->agent[1];
            l->cause = EXPLAINED;
        } else {
            l->cause = agents ? -1 : EXPLAINED;
        }
        l->source = p->agent[0];
        l->target = p->agent[1];
    }
}

static void take_causes(struct blame *b)
{
    size_t i = 0;

    for (struct seen_pair *p = b->e->pairs; p; p = p->hh.next) {
        if (!is_known(p))
            continue;
        if (b->links[i].cause >= 0 && b->links[i].cause != EXPLAINED && b->links[i].bad)
            p->cause = b->links[i].cause;
        i++;
    }
}

/* One kind only: the others keep what they are. */
static enum tw_rc correlate(struct blame *b, enum alert_kind kind)
{
    const struct alert_rules *r = b->e->rules;
    struct alert_node *nodes = calloc(b->e->n_nodes + 1, sizeof *nodes);
    enum tw_rc rc;

    if (!nodes)
        return TW_ENOMEM;
    for (size_t i = 0; i < b->e->n_nodes; i++)
        nodes[i].blamed = b->e->node_at[i]->key.kind == kind && b->e->node_at[i]->alert;
    rc = alert_correlate(b->links, b->n, nodes, b->e->n_nodes, r->share, r->min_peers);
    for (size_t i = 0; rc == TW_OK && i < b->e->n_nodes; i++)
        if (b->e->node_at[i]->key.kind == kind)
            b->nodes[i] = nodes[i];
    free(nodes);
    return rc;
}

/* ---- Their alerts ---- */

static const struct alert *alert_of_node(const struct alert_engine *e, int32_t node)
{
    if (node < 0)
        return NULL;
    return e->node_at[node]->alert ? e->node_at[node]->alert : e->node_at[node]->down;
}

static void open_alert(struct blame *b, struct node *n)
{
    struct alert_key key;
    struct alert *a;

    memset(&key, 0, sizeof key);
    memcpy(key.subject, n->key.name, sizeof key.subject);
    key.kind = n->key.kind;
    key.slot = ALERT_SLOTS;
    a = alert_make(b->e, &key, "");
    if (!a)
        return;
    n->alert = a;
    a->severity = ALERT_INFO;
    alert_fire(b->e, a, b->now_ns);
}

static void settle_node(struct blame *b, size_t i)
{
    struct node *n = b->e->node_at[i];
    const struct alert_node *found = &b->nodes[i];
    bool fresh = b->now_ns - b->e->first_tick_ns < RESTORED_NS;

    if (found->blamed && !n->alert)
        open_alert(b, n);
    else if (!found->blamed && n->alert && !(n->alert->lost_sight && fresh))
        alert_finish(b->e, n->alert, "", b->now_ns);
    if (!found->blamed || !n->alert)
        return;
    n->alert->lost_sight = false;
    if (n->alert->bad == found->bad && n->alert->total == found->total)
        return;
    n->alert->bad = found->bad;
    n->alert->total = found->total;
    b->e->conf.changed(b->e->conf.ctx, n->alert);
}

static void raise_severity(struct alert_engine *e, uint64_t id, enum alert_severity s)
{
    struct alert *a = (struct alert *)alert_engine_find(e, id);

    if (!a || a->key.slot != ALERT_SLOTS || a->severity >= s)
        return;
    a->severity = s;
    a->cond.severity = s;
    a->acked_ns = 0;
    e->conf.changed(e->conf.ctx, a);
}

static int32_t cause_node(const struct alert_engine *e, const struct alert *a, const struct blame *b)
{
    const struct seen_pair *p;
    int32_t node;

    if (a->key.kind == ALERT_PAIR) {
        p = alert_pair_of(e, a->key.pair_id);
        return p ? p->cause : -1;
    }
    if (a->key.kind != ALERT_AGENT)
        return -1;
    node = alert_node_index(b->e, ALERT_AGENT, a->key.subject);
    if (node >= 0 && is_blamed(b, e->node_at[node]->site))
        return e->node_at[node]->site;
    return node >= 0 && e->node_at[node]->alert ? node : -1;
}

/* Its cause was restored, and not all pairs have been looked at. */
static bool keeps_cause(const struct blame *b, const struct alert *a)
{
    const struct alert *cause = a->cause ? alert_engine_find(b->e, a->cause) : NULL;

    return cause && cause->state == ALERT_FIRING && cause->lost_sight;
}

/* What loses its cause is not told at once: perhaps it is just ending, too. */
static void settle_alert(struct blame *b, struct alert *a)
{
    const struct alert *cause = alert_of_node(b->e, cause_node(b->e, a, b));
    uint64_t id = cause && cause != a ? cause->id : 0;

    if (id && a->state == ALERT_FIRING)
        raise_severity(b->e, id, a->severity);
    if (id == a->cause || (!id && keeps_cause(b, a)))
        return;
    if (!id)
        a->due_ns = b->now_ns + b->e->rules->wait_ns;
    else
        b->e->counts.explained++;
    a->cause = id;
    b->e->conf.changed(b->e->conf.ctx, a);
}

static void settle(struct blame *b)
{
    size_t n = b->e->n_nodes;

    for (size_t i = 0; i < n; i++)
        settle_node(b, i);
    for (struct alert *a = b->e->active; a; a = a->hh.next)
        settle_alert(b, a);
}

enum tw_rc alert_blame(struct alert_engine *e, int64_t now_ns)
{
    struct blame b = { .e = e, .now_ns = now_ns };
    enum tw_rc rc = TW_OK;

    if (!e->active)
        return TW_OK;
    b.links = calloc(HASH_COUNT(e->pairs) + 1, sizeof *b.links);
    b.nodes = calloc(e->n_nodes + 1, sizeof *b.nodes);
    if (!b.links || !b.nodes)
        rc = TW_ENOMEM;
    if (rc == TW_OK) {
        fill_links(&b);
        rc = e->rules->sites ? correlate(&b, ALERT_SITE) : TW_OK;
    }
    if (rc == TW_OK) {
        turn_to_agents(&b, e->rules->agents);
        rc = correlate(&b, ALERT_AGENT);
    }
    if (rc == TW_OK) {
        take_causes(&b);
        settle(&b);
    } else {
        e->counts.no_memory++;
    }
    free(b.links);
    free(b.nodes);
    return rc;
}
