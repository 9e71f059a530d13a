#include "controller/core/alert_correlate.h"
#include <stdlib.h>

/* Of one node, one way. */
struct tally {
    uint32_t total, bad, firing;
};
enum step { COUNT, INDEX, PICK, JUDGE, BLAME, CLEAN, OVER };
struct alert_correlator {
    struct alert_link *links;
    size_t n;
    struct alert_node *nodes;
    size_t n_nodes;
    double share;
    uint32_t min_peers;
    struct tally (*tally)[2]; /* by node: of links to it, from it; those that still count */
    bool *was, *taken;        /* by node: blamed before; looked at and not, or blamed now */
    uint32_t *seen;           /* by node: `look` in which it was a peer last */
    uint32_t *first[2];       /* by node: where its links begin in of[]: to it, from it; and the end */
    uint32_t *of[2];          /* links */
    enum step step;
    size_t at; /* of links, or of of[way] */
    size_t node, blamed, looked;
    unsigned way;
    uint32_t look, peers;
};

static bool counts(const struct alert_link *l)
{
    return l->cause < 0 && l->source != l->target;
}

static int32_t end_of(const struct alert_link *l, unsigned way)
{
    return way ? l->source : l->target;
}

static uint32_t least_peers(const struct alert_correlator *c)
{
    return c->was[c->node] ? 1 : c->min_peers;
}

static bool is_enough(const struct alert_correlator *c, size_t node, unsigned way)
{
    const struct tally *t = &c->tally[node][way];
    double share = c->was[node] ? c->share / 2 : c->share;

    return t->bad && (t->firing || c->was[node]) && t->bad >= share * t->total;
}

/* ---- Counting, and finding the links of a node ---- */

static void count(struct alert_correlator *c, const struct alert_link *l)
{
    for (unsigned way = 0; counts(l) && way < 2; way++) {
        int32_t node = end_of(l, way);
        struct tally *t = node >= 0 ? &c->tally[node][way] : NULL;

        if (!t)
            continue;
        t->total++;
        t->bad += l->bad;
        t->firing += l->firing;
        c->first[way][node]++;
    }
}

/* From how many there are to where they end; each that is put in comes before, so that at last it is where
 * they begin. */
static void sum_up(struct alert_correlator *c)
{
    for (unsigned way = 0; way < 2; way++) {
        uint32_t sum = 0;

        for (size_t i = 0; i < c->n_nodes; i++)
            c->first[way][i] = sum += c->first[way][i];
        c->first[way][c->n_nodes] = sum;
    }
}

static void put_in(struct alert_correlator *c, size_t i)
{
    for (unsigned way = 0; counts(&c->links[i]) && way < 2; way++) {
        int32_t node = end_of(&c->links[i], way);

        if (node >= 0)
            c->of[way][--c->first[way][node]] = (uint32_t)i;
    }
}

/* ---- Blaming ---- */

/* The one with the most bad links that may deserve it. */
static bool next_candidate(struct alert_correlator *c)
{
    uint32_t most = 0;

    for (size_t i = 0; i < c->n_nodes; i++) {
        uint32_t bad = c->tally[i][0].bad + c->tally[i][1].bad;

        if (c->taken[i] || bad <= most || (!is_enough(c, i, 0) && !is_enough(c, i, 1)))
            continue;
        most = bad;
        c->node = i;
    }
    return most > 0;
}

static void begin_way(struct alert_correlator *c, enum step step, unsigned way)
{
    c->step = step;
    c->way = way;
    c->at = way < 2 ? c->first[way][c->node] : 0;
    c->peers = 0;
    c->look++;
}

static void pick(struct alert_correlator *c)
{
    bool any = c->blamed < ALERT_BLAMED_MAX && c->looked++ < 2 * ALERT_BLAMED_MAX && next_candidate(c);

    if (any) {
        c->taken[c->node] = true;
        begin_way(c, JUDGE, 0);
    } else {
        c->step = CLEAN;
        c->at = 0;
    }
}

/* Links without a peer are each with a peer of their own: a target that is no agent. */
static void note_peer(struct alert_correlator *c, const struct alert_link *l)
{
    int32_t peer = end_of(l, !c->way);

    if (!counts(l) || !l->bad)
        return;
    c->peers += peer < 0 || c->seen[peer] != c->look;
    if (peer >= 0)
        c->seen[peer] = c->look;
}

static bool way_is_over(const struct alert_correlator *c)
{
    return c->at == c->first[c->way][c->node + 1];
}

static void judge(struct alert_correlator *c)
{
    if (is_enough(c, c->node, c->way) && c->peers >= least_peers(c)) {
        c->nodes[c->node].blamed = true;
        c->blamed++;
        begin_way(c, BLAME, 0);
    } else if (!is_enough(c, c->node, c->way) || way_is_over(c)) {
        begin_way(c, JUDGE, c->way + 1);
        if (c->way == 2)
            c->step = PICK;
    } else {
        note_peer(c, &c->links[c->of[c->way][c->at++]]);
    }
}

static void take_off(struct alert_correlator *c, const struct alert_link *l)
{
    for (unsigned way = 0; way < 2; way++) {
        int32_t node = end_of(l, way);
        struct tally *t = node >= 0 ? &c->tally[node][way] : NULL;

        if (!t)
            continue;
        t->total--;
        t->bad -= l->bad;
        t->firing -= l->firing;
    }
}

static void blame(struct alert_correlator *c)
{
    struct alert_link *l;

    if (way_is_over(c)) {
        begin_way(c, BLAME, c->way + 1);
        if (c->way == 2)
            c->step = PICK;
        return;
    }
    l = &c->links[c->of[c->way][c->at++]];
    if (!counts(l))
        return;
    take_off(c, l);
    c->nodes[c->node].total++;
    c->nodes[c->node].bad += l->bad;
    l->cause = (int32_t)c->node; /* also of a good one: it counts no more */
}

/* ---- Step by step ---- */

static void to_step(struct alert_correlator *c, enum step step)
{
    c->step = step;
    c->at = 0;
}

static size_t go_step(struct alert_correlator *c)
{
    switch (c->step) {
    case COUNT:
        if (c->at < c->n) {
            count(c, &c->links[c->at++]);
            return 1;
        }
        sum_up(c);
        to_step(c, INDEX);
        return c->n_nodes;
    case INDEX:
        if (c->at < c->n)
            put_in(c, c->at++);
        else
            to_step(c, PICK);
        return 1;
    case PICK:
        pick(c);
        return c->n_nodes;
    case JUDGE:
        judge(c);
        return 1;
    case BLAME:
        blame(c);
        return 1;
    case CLEAN:
        if (c->at == c->n)
            c->step = OVER;
        else if (!c->links[c->at++].bad)
            c->links[c->at - 1].cause = -1;
        return 1;
    case OVER:
        break;
    }
    return 1;
}

bool alert_correlator_go(struct alert_correlator *c, size_t *looks)
{
    while (c->step != OVER && *looks) {
        size_t n = go_step(c);

        *looks -= n < *looks ? n : *looks;
    }
    return c->step == OVER;
}

/* ---- Life ---- */

enum tw_rc alert_correlator_new(struct alert_link *links, size_t n, struct alert_node *nodes, size_t n_nodes,
                                double share, uint32_t min_peers, struct alert_correlator **ret)
{
    struct alert_correlator *c = calloc(1, sizeof *c);
    bool all;

    if (!c)
        return TW_ENOMEM;
    *c = (struct alert_correlator){
        .links = links, .n = n, .nodes = nodes, .n_nodes = n_nodes, .share = share, .min_peers = min_peers
    };
    c->tally = calloc(n_nodes + 1, sizeof *c->tally);
    c->was = calloc(n_nodes + 1, sizeof *c->was);
    c->taken = calloc(n_nodes + 1, sizeof *c->taken);
    c->seen = calloc(n_nodes + 1, sizeof *c->seen);
    all = c->tally && c->was && c->taken && c->seen;
    for (unsigned way = 0; way < 2; way++) {
        c->first[way] = calloc(n_nodes + 1, sizeof *c->first[way]);
        c->of[way] = malloc((n + 1) * sizeof *c->of[way]);
        all = all && c->first[way] && c->of[way];
    }
    if (!all) {
        alert_correlator_free(c);
        return TW_ENOMEM;
    }
    for (size_t i = 0; i < n_nodes; i++) {
        c->was[i] = nodes[i].blamed;
        nodes[i] = (struct alert_node){ 0 };
    }
    *ret = c;
    return TW_OK;
}

void alert_correlator_free(struct alert_correlator *c)
{
    if (!c)
        return;
    for (unsigned way = 0; way < 2; way++) {
        free(c->first[way]);
        free(c->of[way]);
    }
    free(c->tally);
    free(c->was);
    free(c->taken);
    free(c->seen);
    free(c);
}

enum tw_rc alert_correlate(struct alert_link *links, size_t n, struct alert_node *nodes, size_t n_nodes,
                           double share, uint32_t min_peers)
{
    struct alert_correlator *c;
    enum tw_rc rc = alert_correlator_new(links, n, nodes, n_nodes, share, min_peers, &c);
    size_t looks = SIZE_MAX;

    if (rc)
        return rc;
    while (!alert_correlator_go(c, &looks))
        looks = SIZE_MAX;
    alert_correlator_free(c);
    return TW_OK;
}
