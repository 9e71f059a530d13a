/* Alerts of sites and of agents, made of those of pairs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/alert_priv.h"
#include "common/grow.h"

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
    if (!TW_GROW(&e->node_at, e->n_nodes, &e->cap_nodes, 64))
        return -1;
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

/* ---- What there is to blame for ---- */

enum step { LINKS, SITES, TURN, AGENTS, CAUSES, SEVERITIES, NODES, ALERTS, OVER };
/* Of the pair with that number, as it was when it was looked at. */
struct ends {
    uint64_t seq;
    int32_t site[2], agent[2];
    int32_t cause; /* found so far; -1 */
};
struct blame {
    struct alert_engine *e;
    int64_t now_ns;
    enum step step;
    struct alert_link *links;
    struct ends *ends; /* of them */
    size_t n, cap, at;
    size_t n_nodes;           /* there may be more by now */
    struct alert_node *nodes; /* by index: what was found */
    struct alert_node *found; /* of one kind */
    uint8_t *worst;           /* by index: severity of what it explains */
    struct alert_correlator *correlator;
    struct seen_pair *pair;
    struct alert *alert;
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

/* One that came since the beginning is none this time. */
static int32_t node_of(const struct blame *b, int32_t node)
{
    return node >= 0 && (size_t)node < b->n_nodes ? node : -1;
}

static enum tw_rc make_room(struct blame *b)
{
    size_t cap = b->cap + HASH_COUNT(b->e->pairs) / 8 + 64;
    struct alert_link *links = realloc(b->links, cap * sizeof *links);
    struct ends *ends;

    b->links = links ? links : b->links;
    ends = links ? realloc(b->ends, cap * sizeof *ends) : NULL;
    b->ends = ends ? ends : b->ends;
    b->cap = ends ? cap : b->cap;
    return ends ? TW_OK : TW_ENOMEM;
}

static enum tw_rc take_link(struct blame *b, const struct seen_pair *p)
{
    bool down = touches_down(b->e, p);

    if (!is_known(p))
        return TW_OK;
    if (b->n == b->cap && make_room(b) != TW_OK)
        return TW_ENOMEM;
    b->ends[b->n] = (struct ends){ .seq = p->seq, .cause = -1 };
    for (int i = 0; i < 2; i++) {
        b->ends[b->n].site[i] = node_of(b, p->site[i]);
        b->ends[b->n].agent[i] = node_of(b, p->agent[i]);
    }
    b->links[b->n] = (struct alert_link){ .source = b->ends[b->n].site[0],
                                          .target = b->ends[b->n].site[1],
                                          .bad = p->active || down,
                                          .firing = p->firing || down,
                                          .cause = -1 };
    b->n++;
    return TW_OK;
}

static bool is_blamed(const struct blame *b, int32_t node)
{
    return node_of(b, node) >= 0 && b->nodes[node].blamed;
}

/* After the sites: what they explain is out, and what touches an agent that is down is explained by that. */
static void turn_to_agents(struct blame *b, size_t i)
{
    struct alert_link *l = &b->links[i];
    struct ends *x = &b->ends[i];

    x->cause = l->bad ? l->cause : -1;
    if (is_blamed(b, x->site[0]) || is_blamed(b, x->site[1])) {
        l->cause = EXPLAINED;
    } else if (explains(b->e, x->agent[0]) || explains(b->e, x->agent[1])) {
        x->cause = explains(b->e, x->agent[0]) ? x->agent[0] : x->agent[1];
        l->cause = EXPLAINED;
    } else {
        l->cause = b->e->rules->agents ? -1 : EXPLAINED;
    }
    l->source = x->agent[0];
    l->target = x->agent[1];
}

/* Pairs stand in the order of their numbers: those that went since are passed over here, those that came have
 * none. */
static void take_cause(struct blame *b, struct seen_pair *p)
{
    const struct alert_link *l;

    while (b->at < b->n && b->ends[b->at].seq < p->seq)
        b->at++;
    p->cause = -1;
    if (b->at == b->n || b->ends[b->at].seq != p->seq)
        return;
    l = &b->links[b->at];
    p->cause = l->cause >= 0 && l->cause != EXPLAINED && l->bad ? l->cause : b->ends[b->at].cause;
}

/* One kind only: the others keep what they are. */
static enum tw_rc begin_correlating(struct blame *b, enum alert_kind kind)
{
    const struct alert_rules *r = b->e->rules;

    for (size_t i = 0; i < b->n_nodes; i++)
        b->found[i].blamed = b->e->node_at[i]->key.kind == kind && b->e->node_at[i]->alert;
    return alert_correlator_new(b->links, b->n, b->found, b->n_nodes, r->share, r->min_peers, &b->correlator);
}

static void end_correlating(struct blame *b, enum alert_kind kind)
{
    for (size_t i = 0; i < b->n_nodes; i++)
        if (b->e->node_at[i]->key.kind == kind)
            b->nodes[i] = b->found[i];
    alert_correlator_free(b->correlator);
    b->correlator = NULL;
}

/* ---- Their alerts ---- */

static const struct alert *alert_of_node(const struct alert_engine *e, int32_t node)
{
    if (node < 0)
        return NULL;
    return e->node_at[node]->alert ? e->node_at[node]->alert : e->node_at[node]->down;
}

static void open_alert(struct blame *b, struct node *n, enum alert_severity severity)
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
    a->severity = severity;
    alert_fire(b->e, a, b->now_ns);
}

static void raise_severity(struct blame *b, struct alert *a, enum alert_severity s)
{
    if (a->severity >= s)
        return;
    a->severity = s;
    a->cond.severity = s;
    a->acked_ns = 0;
    b->e->conf.changed(b->e->conf.ctx, a);
}

static void settle_node(struct blame *b, size_t i)
{
    struct node *n = b->e->node_at[i];
    const struct alert_node *found = &b->nodes[i];
    bool fresh = b->now_ns - b->e->first_tick_ns < RESTORED_NS;

    if (found->blamed && !n->alert)
        open_alert(b, n, (enum alert_severity)b->worst[i]);
    else if (!found->blamed && n->alert && !(n->alert->lost_sight && fresh))
        alert_finish(b->e, n->alert, "", b->now_ns);
    if (!found->blamed || !n->alert)
        return;
    n->alert->lost_sight = false;
    raise_severity(b, n->alert, (enum alert_severity)b->worst[i]);
    if (n->alert->bad == found->bad && n->alert->total == found->total)
        return;
    n->alert->bad = found->bad;
    n->alert->total = found->total;
    b->e->conf.changed(b->e->conf.ctx, n->alert);
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

/* Before there are alerts of nodes, or they change: whoever looks, or is told, between two pieces sees the one that all
 * of them come to. */
static void take_severity(struct blame *b, const struct alert *a)
{
    int32_t node = a->state == ALERT_FIRING ? node_of(b, cause_node(b->e, a, b)) : -1;

    if (node >= 0 && b->worst[node] < a->severity)
        b->worst[node] = (uint8_t)a->severity;
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

    if (id == a->cause || (!id && keeps_cause(b, a)))
        return;
    if (!id)
        a->due_ns = b->now_ns + b->e->rules->wait_ns;
    else
        b->e->counts.explained++;
    a->cause = id;
    b->e->conf.changed(b->e->conf.ctx, a);
}

/* ---- Step by step ---- */

static void free_blame(struct blame *b)
{
    alert_correlator_free(b->correlator);
    free(b->links);
    free(b->ends);
    free(b->nodes);
    free(b->found);
    free(b->worst);
    free(b);
}

void alert_blame_stop(struct alert_engine *e)
{
    if (e->blame)
        free_blame(e->blame);
    e->blame = NULL;
}

void alert_blame_forget_pair(struct alert_engine *e, const struct seen_pair *p)
{
    if (e->blame && e->blame->pair == p)
        e->blame->pair = p->hh.next;
}

void alert_blame_forget_alert(struct alert_engine *e, const struct alert *a)
{
    if (e->blame && e->blame->alert == a)
        e->blame->alert = a->hh.next;
}

static void to_step(struct blame *b, enum step step)
{
    b->step = step;
    b->at = 0;
    b->pair = b->e->pairs;
    b->alert = b->e->active;
}

enum tw_rc alert_blame_begin(struct alert_engine *e)
{
    struct blame *b;

    if (!e->active)
        return TW_OK;
    b = calloc(1, sizeof *b);
    if (!b)
        return TW_ENOMEM;
    b->e = e;
    b->n_nodes = e->n_nodes;
    b->cap = HASH_COUNT(e->pairs) + 1;
    b->links = malloc(b->cap * sizeof *b->links);
    b->ends = malloc(b->cap * sizeof *b->ends);
    b->nodes = calloc(e->n_nodes + 1, sizeof *b->nodes);
    b->found = calloc(e->n_nodes + 1, sizeof *b->found);
    b->worst = calloc(e->n_nodes + 1, sizeof *b->worst);
    if (!b->links || !b->ends || !b->nodes || !b->found || !b->worst) {
        free_blame(b);
        return TW_ENOMEM;
    }
    to_step(b, LINKS);
    e->blame = b;
    return TW_OK;
}

static enum tw_rc go_correlating(struct blame *b, enum alert_kind kind, enum step next, size_t *looks)
{
    enum tw_rc rc = b->correlator ? TW_OK : begin_correlating(b, kind);

    if (rc == TW_OK && alert_correlator_go(b->correlator, looks)) {
        end_correlating(b, kind);
        to_step(b, next);
    }
    return rc;
}

static enum tw_rc go_links(struct blame *b)
{
    struct seen_pair *p = b->pair;

    if (!p) {
        to_step(b, b->e->rules->sites ? SITES : TURN);
        return TW_OK;
    }
    b->pair = p->hh.next;
    if (b->pair)
        __builtin_prefetch(b->pair->hh.next);
    return take_link(b, p);
}

/* To give tens of megabytes back takes the kernel as long as all of a piece may. */
static void free_for_long(void *p, size_t *looks)
{
    free(p);
    *looks = 0;
}

static void go_causes(struct blame *b, size_t *looks)
{
    struct seen_pair *p = b->pair;

    if (p) {
        b->pair = p->hh.next;
        take_cause(b, p);
        return;
    }
    free_for_long(b->ends, looks);
    b->ends = NULL;
    to_step(b, SEVERITIES);
}

static void go_severities(struct blame *b)
{
    struct alert *a = b->alert;

    if (!a) {
        to_step(b, NODES);
        return;
    }
    b->alert = a->hh.next;
    take_severity(b, a);
}

/* What that makes dirty is what it found. */
static void go_nodes(struct blame *b, size_t *looks)
{
    bool dirty = b->e->dirty;

    if (b->links) {
        free_for_long(b->links, looks);
        b->links = NULL;
        return;
    }
    for (size_t i = 0; i < b->n_nodes; i++)
        settle_node(b, i);
    b->e->dirty = dirty;
    to_step(b, ALERTS);
}

static void go_alerts(struct blame *b)
{
    struct alert *a = b->alert;

    if (a) {
        b->alert = a->hh.next;
        settle_alert(b, a);
    } else {
        b->step = OVER;
    }
}

static enum tw_rc go_step(struct blame *b, size_t *looks)
{
    switch (b->step) {
    case LINKS:
        return go_links(b);
    case SITES:
        return go_correlating(b, ALERT_SITE, TURN, looks);
    case TURN:
        if (b->at < b->n)
            turn_to_agents(b, b->at++);
        else
            to_step(b, AGENTS);
        return TW_OK;
    case AGENTS:
        return go_correlating(b, ALERT_AGENT, CAUSES, looks);
    case CAUSES:
        go_causes(b, looks);
        return TW_OK;
    case SEVERITIES:
        go_severities(b);
        return TW_OK;
    case NODES:
        go_nodes(b, looks);
        return TW_OK;
    case ALERTS:
        go_alerts(b);
        return TW_OK;
    case OVER:
        break;
    }
    return TW_OK;
}

enum tw_rc alert_blame_go(struct alert_engine *e, int64_t now_ns, size_t *looks)
{
    struct blame *b = e->blame;
    enum tw_rc rc = TW_OK;

    if (!b)
        return TW_OK;
    b->now_ns = now_ns;
    while (rc == TW_OK && b->step != OVER && *looks) {
        if (b->step != SITES && b->step != AGENTS) /* the correlator takes them off itself */
            *looks -= 1;
        rc = go_step(b, looks);
    }
    if (rc != TW_OK || b->step == OVER)
        alert_blame_stop(e);
    return rc;
}
