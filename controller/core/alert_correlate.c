#include "controller/core/alert_correlate.h"
#include <stdlib.h>
#include <string.h>

/* Of one node, one way. */
struct tally {
    uint32_t total, bad, firing;
};
struct work {
    struct alert_link *links;
    size_t n;
    struct alert_node *nodes;
    size_t n_nodes;
    double share;
    uint32_t min_peers;
    struct tally (*tally)[2]; /* by node: of links to it, from it */
    bool *was, *taken;        /* by node: blamed before; looked at and not, or blamed now */
    uint8_t *seen;            /* by node: as a peer */
};

static bool counts(const struct alert_link *l)
{
    return l->cause < 0 && l->source != l->target;
}

static void add(struct tally *t, const struct alert_link *l)
{
    t->total++;
    t->bad += l->bad;
    t->firing += l->firing;
}

static void count_all(struct work *w)
{
    memset(w->tally, 0, w->n_nodes * sizeof *w->tally);
    for (size_t i = 0; i < w->n; i++) {
        const struct alert_link *l = &w->links[i];

        if (!counts(l))
            continue;
        if (l->target >= 0)
            add(&w->tally[l->target][0], l);
        if (l->source >= 0)
            add(&w->tally[l->source][1], l);
    }
}

static bool is_enough(const struct work *w, size_t node, unsigned way)
{
    const struct tally *t = &w->tally[node][way];
    double share = w->was[node] ? w->share / 2 : w->share;

    return t->bad && (t->firing || w->was[node]) && t->bad >= share * t->total;
}

/* Links without a peer are each with a peer of their own: a target that is no agent. */
static uint32_t bad_peers(struct work *w, size_t node, unsigned way)
{
    uint32_t n = 0;

    memset(w->seen, 0, w->n_nodes);
    for (size_t i = 0; i < w->n; i++) {
        const struct alert_link *l = &w->links[i];
        int32_t own = way ? l->source : l->target, peer = way ? l->target : l->source;

        if (!counts(l) || !l->bad || own != (int32_t)node)
            continue;
        n += peer < 0 || !w->seen[peer];
        if (peer >= 0)
            w->seen[peer] = 1;
    }
    return n;
}

static bool deserves(struct work *w, size_t node)
{
    uint32_t least = w->was[node] ? 1 : w->min_peers;

    for (unsigned way = 0; way < 2; way++)
        if (is_enough(w, node, way) && bad_peers(w, node, way) >= least)
            return true;
    return false;
}

/* The one with the most bad links that may deserve it. */
static bool next_candidate(const struct work *w, size_t *ret)
{
    uint32_t most = 0;

    for (size_t i = 0; i < w->n_nodes; i++) {
        uint32_t bad = w->tally[i][0].bad + w->tally[i][1].bad;

        if (w->taken[i] || bad <= most || (!is_enough(w, i, 0) && !is_enough(w, i, 1)))
            continue;
        most = bad;
        *ret = i;
    }
    return most > 0;
}

static void blame(struct work *w, size_t node)
{
    w->nodes[node].blamed = true;
    for (size_t i = 0; i < w->n; i++) {
        struct alert_link *l = &w->links[i];

        if (!counts(l) || (l->source != (int32_t)node && l->target != (int32_t)node))
            continue;
        w->nodes[node].total++;
        w->nodes[node].bad += l->bad;
        l->cause = (int32_t)node; /* also of a good one: it counts no more */
    }
}

static void find(struct work *w)
{
    size_t node = 0, blamed = 0, looked = 0;

    count_all(w);
    while (blamed < ALERT_BLAMED_MAX && looked++ < 2 * ALERT_BLAMED_MAX && next_candidate(w, &node)) {
        w->taken[node] = true;
        if (!deserves(w, node))
            continue;
        blame(w, node);
        blamed++;
        count_all(w);
    }
}

enum tw_rc alert_correlate(struct alert_link *links, size_t n, struct alert_node *nodes, size_t n_nodes,
                           double share, uint32_t min_peers)
{
    struct work w = {
        .links = links, .n = n, .nodes = nodes, .n_nodes = n_nodes, .share = share, .min_peers = min_peers
    };
    enum tw_rc rc = TW_ENOMEM;

    if (!n_nodes)
        return TW_OK;
    w.tally = calloc(n_nodes, sizeof *w.tally);
    w.was = calloc(n_nodes, sizeof *w.was);
    w.taken = calloc(n_nodes, sizeof *w.taken);
    w.seen = calloc(n_nodes, 1);
    if (w.tally && w.was && w.taken && w.seen) {
        for (size_t i = 0; i < n_nodes; i++) {
            w.was[i] = nodes[i].blamed;
            nodes[i] = (struct alert_node){ 0 };
        }
        find(&w);
        for (size_t i = 0; i < n; i++)
            if (!links[i].bad)
                links[i].cause = -1;
        rc = TW_OK;
    }
    free(w.tally);
    free(w.was);
    free(w.taken);
    free(w.seen);
    return rc;
}
