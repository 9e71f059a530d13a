#include "controller/publish_copy.h"
#include <stdlib.h>
#include <string.h>
#include "common/metrics_health.h"

#define OF_GROUPS (METRICS_AGENT | METRICS_SITE | METRICS_MESH)

struct agent_names {
    char name[STORE_NAME_MAX], software[STORE_NAME_MAX];
};

/* ---- Life ---- */

static void free_delays(struct hist (*v)[3], size_t n)
{
    for (size_t i = 0; v && i < n; i++)
        for (int d = 0; d < 3; d++)
            hist_free(&v[i][d]);
    free(v);
}

void publish_copy_free_shown(struct page_copy *c)
{
    free_delays(c->pair_delays, c->snap.n_pairs);
    free(c->pairs);
    free(c->pair_rows);
    for (int by = 0; by < GROUP_KINDS; by++) {
        free_delays(c->groups[by].delays, c->groups[by].n);
        free(c->groups[by].v);
        free(c->groups[by].keys);
        c->groups[by] = (struct copy_groups){ 0 };
    }
    free(c->fleet);
    free(c->fleet_names);
    c->pair_delays = NULL;
    c->pairs = NULL;
    c->pair_rows = NULL;
    c->fleet = NULL;
    c->fleet_names = NULL;
    c->snap = (struct metrics_snapshot){ 0 };
}

void publish_copy_free(struct page_copy *c)
{
    publish_copy_free_shown(c);
    publish_missing_free(&c->lacking);
}

static bool in_scope(const struct page_copy *c, const char *mesh)
{
    return !c->mesh[0] || !strcmp(c->mesh, mesh);
}

/* Histograms are copied on the loop, so that they may grow while the page is written. */
static enum tw_rc copy_delays(struct hist dst[3], const struct hist src[3])
{
    enum tw_rc rc = TW_OK;

    for (int d = 0; d < 3; d++)
        hist_init(&dst[d]);
    for (int d = 0; !rc && d < 3; d++)
        rc = hist_copy(&dst[d], &src[d]);
    return rc;
}

/* ---- Beginning ---- */

static enum tw_rc make_room(struct page_copy *c)
{
    size_t n = c->end + 1;
    bool delays = c->native && c->levels & METRICS_PAIR;

    c->pairs = malloc(n * sizeof c->pairs[0]);
    c->pair_rows = malloc(n * sizeof c->pair_rows[0]);
    if (delays)
        c->pair_delays = calloc(n, sizeof c->pair_delays[0]);
    return c->pairs && c->pair_rows && (c->pair_delays || !delays) ? TW_OK : TW_ENOMEM;
}

static void clear_counts(struct publish *p)
{
    for (int by = 0; by < GROUP_KINDS; by++)
        for (struct group *g = p->groups[by]; g; g = g->hh.next) {
            g->sum.pairs = g->sum.pairs_fresh = 0;
            g->fed = false;
        }
}

static enum tw_rc begin(struct page_copy *c, size_t *budget)
{
    (void)budget;
    c->end = c->p->conf.inventory->pairs.n;
    c->native = c->native && c->p->conf.native_buckets; /* also if that is altered meanwhile */
    clear_counts(c->p);
    c->stage = COPY_PAIRS;
    return make_room(c);
}

/* ---- Pairs ---- */

static void take_live(struct metrics_pair *m, const struct pair *pair)
{
    const struct pair_live *l = pair->live;

    m->last_end_ns = l->last_end_ns;
    m->last = *publish_view(pair);
    metrics_show(m, &l->n);
}

static enum tw_rc take_delays(struct page_copy *c, size_t i, const struct pair *pair)
{
    enum tw_rc rc = copy_delays(c->pair_delays[i], pair->live->delay);

    for (int d = 0; d < 3; d++)
        c->pairs[i].delay[d] = &c->pair_delays[i][d];
    return rc;
}

static enum tw_rc take_figures(struct page_copy *c, const struct pair *pair, int64_t now_ns)
{
    size_t i = c->snap.n_pairs++;
    struct store_pair *row = &c->pair_rows[i];

    *row = pair->row;
    c->pairs[i] = (struct metrics_pair){
        .mesh = row->mesh,
        .class_name = row->class_name,
        .source = row->source,
        .target = row->target,
        .state = pair_state(pair, now_ns),
        .maintenance = pair_in_maintenance(pair, now_ns),
        .fresh = publish_is_fresh(pair, now_ns),
        .completeness_ratio = publish_completeness(c->p, pair, now_ns),
    };
    if (pair->live)
        take_live(&c->pairs[i], pair);
    return pair->live && c->pair_delays ? take_delays(c, i, pair) : TW_OK;
}

static enum tw_rc count_in_groups(struct publish *p, const struct pair *pair, bool fresh)
{
    for (enum group_by by = 0; by < GROUP_KINDS; by++) {
        struct group *g = publish_group(p, by, &pair->row);

        if (!g)
            return TW_ENOMEM;
        g->sum.pairs++;
        g->sum.pairs_fresh += fresh;
    }
    return TW_OK;
}

/* Else it is another controller that shows it: nobody's figures are there twice. */
static bool is_ours(const struct page_copy *c, const struct agent *a)
{
    return !c->p->conf.shared || (a && a->ours);
}

static enum tw_rc take_pair(struct page_copy *c, const struct pair *pair, int64_t now_ns)
{
    enum tw_rc rc;

    if (!pair->scheduled || pair->paused || !in_scope(c, pair->row.mesh) || !is_ours(c, pair_source(pair)))
        return TW_OK;
    rc = take_figures(c, pair, now_ns);
    if (!rc)
        rc = count_in_groups(c->p, pair, publish_is_fresh(pair, now_ns));
    if (!rc && c->levels & OF_GROUPS)
        rc = publish_missing_note(c->p, &c->lacking, pair, &c->pair_rows[c->snap.n_pairs - 1], now_ns);
    return rc;
}

/* By the time of each slice: the clock may be set in between. */
static enum tw_rc take_pairs(struct page_copy *c, size_t *budget)
{
    int64_t now_ns = loop_now(c->p->conf.loop).wall.ns;
    enum tw_rc rc = TW_OK;

    for (; !rc && *budget && c->at < c->end; --*budget)
        rc = take_pair(c, pair_table_at(&c->p->conf.inventory->pairs, c->at++), now_ns);
    if (c->at == c->end) {
        c->stage = COPY_GROUPS;
        c->group = c->p->groups[c->by];
    }
    return rc;
}

/* ---- Groups ---- */

static enum tw_rc make_group_room(const struct page_copy *c, struct copy_groups *t, size_t n)
{
    t->room = n + 1;
    t->v = calloc(t->room, sizeof t->v[0]);
    t->keys = malloc(t->room * sizeof t->keys[0]);
    if (c->native)
        t->delays = calloc(t->room, sizeof t->delays[0]);
    return t->v && t->keys && (t->delays || !c->native) ? TW_OK : TW_ENOMEM;
}

static enum tw_rc copy_group(struct copy_groups *t, enum group_by by, struct group *g)
{
    size_t i = g->at = t->n++;
    struct metrics_group *m = &t->v[i];
    struct group_key *key = &t->keys[i];
    enum tw_rc rc = TW_OK;

    *key = g->key;
    *m = g->sum;
    m->mesh = key->mesh;
    m->class_name = key->class_name;
    m->source = by == BY_AGENT ? key->source : NULL;
    m->source_site = by == BY_SITE ? key->source : NULL;
    m->target_site = by == BY_SITE ? key->target : NULL;
    if (t->delays)
        rc = copy_delays(t->delays[i], g->delay);
    for (int d = 0; t->delays && d < 3; d++)
        m->delay[d].native = &t->delays[i][d];
    return rc;
}

/* Copies a group that has pairs, and lets go of one that has none left: not of one whose pairs came after the
 * beginning. */
static enum tw_rc take_group(struct page_copy *c, struct group *g)
{
    if (!in_scope(c, g->key.mesh))
        return TW_OK;
    if (g->sum.pairs)
        return copy_group(&c->groups[c->by], c->by, g);
    if (!g->fed)
        publish_free_group(c->p, c->by, g);
    return TW_OK;
}

/* Those that are made in between stand at the end, and have no pairs: they need no room. */
static enum tw_rc take_groups(struct page_copy *c, size_t *budget)
{
    struct copy_groups *t = &c->groups[c->by];
    enum tw_rc rc = t->room ? TW_OK : make_group_room(c, t, HASH_COUNT(c->p->groups[c->by]));

    for (; !rc && *budget && c->group; --*budget) {
        struct group *g = c->group;

        c->group = g->hh.next;
        rc = take_group(c, g);
    }
    if (c->group)
        return rc;
    if (++c->by < GROUP_KINDS)
        c->group = c->p->groups[c->by];
    else
        c->stage = COPY_FLEET;
    return rc;
}

/* ---- Fleet, and the controller itself ---- */

/* Only what is known: whom the audit cannot judge has no figures. */
static void take_audit(struct metrics_agent *m, const struct agent_audit *f)
{
    enum clock_verdict v = f->host.verdict;
    bool judged = f->known && (v == CLOCK_OK || v == CLOCK_OFFSET);

    m->clock_offset_s = (struct tw_num){ judged, f->host.offset_s };
    m->clock_suspect = (struct tw_num){ judged, v == CLOCK_OFFSET };
}

static void take_agent(struct page_copy *c, const struct agent *a, struct tw_mono now)
{
    size_t i = c->snap.n_fleet++;
    struct agent_names *names = &c->fleet_names[i];

    memcpy(names->name, a->row.name, sizeof names->name);
    memcpy(names->software, a->row.software, sizeof names->software);
    c->fleet[i] = (struct metrics_agent){
        .name = names->name,
        .software = names->software,
        .state = agent_state(a),
        .generation = agent_generation(c->p->conf.inventory, a),
    };
    if (a->health)
        metrics_take_health(&c->fleet[i], a->health);
    take_audit(&c->fleet[i], &a->audit);
    late_of(&c->p->late, names->name, now, &c->fleet[i].lateness_p99_s, &c->fleet[i].lateness_max_s);
}

static void point_to(struct page_copy *c)
{
    struct publish *p = c->p;
    struct metrics_snapshot *s = &c->snap;

    s->pairs = c->pairs;
    s->agents = c->groups[BY_AGENT].v;
    s->n_agents_groups = c->groups[BY_AGENT].n;
    s->sites = c->groups[BY_SITE].v;
    s->n_sites = c->groups[BY_SITE].n;
    s->meshes = c->groups[BY_MESH].v;
    s->n_meshes = c->groups[BY_MESH].n;
    s->fleet = c->fleet;
    s->generation = p->conf.inventory->generation;
    s->self = c->self;
    s->n_self = p->conf.self ? p->conf.self(p->conf.self_ctx, c->self, COPY_SELF) : 0;
    s->max_pair_series = p->conf.max_pair_series;
}

/* Not in slices: agents are taken out of their table, unlike pairs. With what is left of the budget, or a
 * piece of its own. */
static enum tw_rc take_fleet(struct page_copy *c, size_t *budget)
{
    struct tw_mono now = loop_now(c->p->conf.loop).mono;
    size_t n = HASH_COUNT(c->p->conf.inventory->agents);

    if (n > *budget && *budget < c->budget) {
        *budget = 0;
        return TW_OK;
    }
    c->fleet = calloc(n + 1, sizeof c->fleet[0]);
    c->fleet_names = malloc((n + 1) * sizeof c->fleet_names[0]);
    if (!c->fleet || !c->fleet_names)
        return TW_ENOMEM;
    publish_missing_place(&c->lacking);
    late_sweep(&c->p->late, now);
    for (const struct agent *a = c->p->conf.inventory->agents; a; a = a->hh.next)
        if (is_ours(c, a))
            take_agent(c, a, now);
    point_to(c);
    c->stage = COPY_DONE;
    return TW_OK;
}

enum tw_rc publish_copy_go_on(struct page_copy *c, size_t budget)
{
    static enum tw_rc (*const stages[])(struct page_copy * c,
                                        size_t * budget) = { [COPY_BEGIN] = begin,
                                                             [COPY_PAIRS] = take_pairs,
                                                             [COPY_GROUPS] = take_groups,
                                                             [COPY_FLEET] = take_fleet };
    enum tw_rc rc = TW_OK;

    c->budget = budget;
    while (!rc && budget && c->stage != COPY_DONE)
        rc = stages[c->stage](c, &budget);
    return rc ? rc : c->stage == COPY_DONE ? TW_OK : TW_EAGAIN;
}
