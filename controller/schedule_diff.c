/* controller/schedule_diff.c - what a new expansion changes in what is scheduled.
 *
 * Both are sorted by names, so they are merged. Names are compared as ranks in the order of all names that
 * occur; a pair that both have, of the same document and with agents of which nothing is different, costs a
 * few loads and no look at its row. What may be a million pairs is done in pieces; names are ranked at the
 * beginning, since another comparison may begin meanwhile, which ranks others. */
#include <stdlib.h>
#include <string.h>
#include "controller/schedule_priv.h"
#include "common/grow.h"

#define LOOKS_OF_A_SUM 4 /* what a digest takes, in pairs that come */

/* One side of the comparison, mesh by mesh. */
struct side {
    const struct wanted *w;
    const struct wanted_mesh *m; /* NULL: there is none */
    uint32_t *agent_rank, *target_rank;
    uint32_t **target_ranks; /* by number of the mesh; ends with NULL */
    size_t at, end;          /* the next pair; of its class */
};
struct merge {
    struct inventory *inv;
    struct wanted *w;
    struct side old, new;
    bool *altered; /* by the new number of an agent: new, or to be reached or able otherwise */
    bool other_document;
    struct summer summer;
    size_t cap;
    size_t mesh; /* the next one: those that are wanted, then those that are scheduled */
    bool in_mesh;
    size_t *left; /* looks in this piece */
};

/* ---- Ranks ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t target_count(const struct wanted_mesh *m)
{
    size_t n = 0;

    while (m->targets[n])
        n++;
    return n;
}

static size_t collect_names(const struct wanted *w, const char **v)
{
    size_t n = 0;

    if (!w)
        return 0;
    for (size_t i = 0; i < w->n_agents; i++)
        v[n++] = w->names[i];
    for (size_t i = 0; i < w->n_meshes; i++)
        for (size_t k = 0; w->meshes[i].targets[k]; k++)
            v[n++] = w->meshes[i].targets[k];
    return n;
}

static size_t names_of(const struct wanted *w)
{
    size_t n = w ? w->n_agents : 0;

    for (size_t i = 0; w && i < w->n_meshes; i++)
        n += target_count(&w->meshes[i]);
    return n;
}

/* Each kept name gets its place among all that occur. */
static enum tw_rc rank_names(const struct wanted *old, const struct wanted *new)
{
    size_t n = names_of(old) + names_of(new), at;
    const char **v = calloc(n + 1, sizeof *v);
    uint32_t rank = 0;

    if (!v)
        return TW_ENOMEM;
    at = collect_names(old, v);
    collect_names(new, v + at);
    if (n)
        qsort(v, n, sizeof *v, by_text);
    for (size_t i = 0; i < n; i++)
        name_of(v[i])->rank = i && v[i] != v[i - 1] ? ++rank : rank;
    free(v);
    return TW_OK;
}

static uint32_t *ranks_of(const char **names, size_t n)
{
    uint32_t *v = calloc(n + 1, sizeof *v);

    for (size_t i = 0; v && i < n; i++)
        v[i] = name_of(names[i])->rank;
    return v;
}

static enum tw_rc side_init(struct side *s, const struct wanted *w)
{
    s->w = w;
    if (!w)
        return TW_OK;
    s->agent_rank = ranks_of(w->names, w->n_agents);
    s->target_ranks = calloc(w->n_meshes + 1, sizeof(uint32_t *));
    if (!s->agent_rank || !s->target_ranks)
        return TW_ENOMEM;
    for (size_t i = 0; i < w->n_meshes; i++) {
        s->target_ranks[i] = ranks_of(w->meshes[i].targets, target_count(&w->meshes[i]));
        if (!s->target_ranks[i])
            return TW_ENOMEM;
    }
    return TW_OK;
}

static size_t mesh_number(const struct side *s)
{
    return (size_t)(s->m - s->w->meshes);
}

static void side_mesh(struct side *s, const struct wanted_mesh *m)
{
    s->m = m;
    s->at = s->end = 0;
    s->target_rank = m ? s->target_ranks[mesh_number(s)] : NULL;
}

static void side_free(struct side *s)
{
    for (size_t i = 0; s->target_ranks && s->target_ranks[i]; i++)
        free(s->target_ranks[i]);
    free(s->target_ranks);
    free(s->agent_rank);
}

/* (source, target) within a class. */
static uint64_t key_of(const struct side *s, size_t i)
{
    const struct mesh_pair *p = &s->m->pairs.v[i];
    uint32_t target = p->target >= 0 ? s->agent_rank[p->target] : s->target_rank[~p->target];

    return (uint64_t)s->agent_rank[p->source] << 32 | target;
}

/* ---- Which agents are the same ---- */

static enum tw_rc find_altered(struct merge *g)
{
    const struct wanted *old = g->old.w, *new = g->w;
    size_t k = 0;

    g->altered = calloc(new->n_agents + 1, sizeof *g->altered);
    if (!g->altered)
        return TW_ENOMEM;
    for (size_t i = 0; i < new->n_agents; i++) {
        while (old && k < old->n_agents && g->old.agent_rank[k] < g->new.agent_rank[i])
            k++;
        g->altered[i] = !old || k == old->n_agents || old->names[k] != new->names[i] ||
                        old->agents[k] != new->agents[i] ||
                        memcmp(&old->reach[k], &new->reach[i], sizeof old->reach[k]) != 0;
    }
    return TW_OK;
}

/* ---- Pair by pair ---- */

static enum tw_rc add_change(struct merge *g, enum wanted_what what, size_t mesh, size_t at, uint32_t row)
{
    struct wanted *w = g->w;

    if (!TW_GROW(&w->changes, w->n_changes, &g->cap, 256))
        return TW_ENOMEM;
    w->changes[w->n_changes++] = (struct wanted_change){
        .what = (uint8_t)what, .mesh = (uint16_t)mesh, .at = (uint32_t)at, .row = row
    };
    return TW_OK;
}

static struct wanted_mesh *new_mesh(struct merge *g)
{
    return (struct wanted_mesh *)g->new.m;
}

static bool was_there(const struct merge *g, size_t old_at)
{
    return g->old.m->rows[old_at] < PAIR_ABSENT;
}

static enum tw_rc removed(struct merge *g, size_t old_at)
{
    return was_there(g, old_at)
               ? add_change(g, WANTED_REMOVED, mesh_number(&g->old), old_at, g->old.m->rows[old_at])
               : TW_OK;
}

static enum tw_rc added(struct merge *g, size_t at)
{
    struct wanted_mesh *m = new_mesh(g);
    struct wanted_pair w;
    struct store_pair row;

    if (!wanted_pair(g->w, m, at, &w)) {
        m->rows[at] = PAIR_ABSENT;
        m->unreachable++;
        return TW_OK;
    }
    row = (struct store_pair){
        .mesh = w.mesh->name, .class_name = w.class_->name, .source = w.source, .target = w.target
    };
    m->rows[at] = inventory_pair_row(g->inv, &row);
    g->w->n++;
    return add_change(g, WANTED_ADDED, mesh_number(&g->new), at, m->rows[at]);
}

bool pair_is_as_wanted(const struct pair *p, const struct wanted_pair *w, const struct digest_sum *sum)
{
    return p->paused == w->paused && p->drained == w->drained && p->scheduled == !w->paused &&
           (p->times == w->class_->times || class_times_same(p->times, w->class_->times)) &&
           p->report_period_ns == w->class_->report_period_ns && p->flows == w->class_->flows &&
           !memcmp(p->sum, sum->v, sizeof p->sum);
}

/* Both have it, but something that it depends on may be different. */
static enum tw_rc compare(struct merge *g, size_t old_at, size_t at)
{
    struct wanted_mesh *m = new_mesh(g);
    struct digest_sum sum;
    struct wanted_pair w;
    const struct pair *p;
    enum tw_rc rc;

    if (!was_there(g, old_at))
        return added(g, at);
    if (!wanted_pair(g->w, m, at, &w)) {
        m->rows[at] = PAIR_ABSENT;
        m->unreachable++;
        return removed(g, old_at);
    }
    g->w->n++;
    m->rows[at] = g->old.m->rows[old_at];
    p = pair_table_at(&g->inv->pairs, m->rows[at]);
    *g->left -= *g->left < LOOKS_OF_A_SUM ? *g->left : LOOKS_OF_A_SUM;
    rc = summer_pair(&g->summer, &w, p->row.id, p->row.slot, &sum);
    if (rc != TW_OK || pair_is_as_wanted(p, &w, &sum))
        return rc;
    rc = add_change(g, WANTED_CHANGED, mesh_number(&g->new), at, m->rows[at]);
    if (rc == TW_OK)
        g->w->changes[g->w->n_changes - 1].restarts = memcmp(p->sum, sum.v, sizeof p->sum) != 0;
    return rc;
}

static enum tw_rc both(struct merge *g, size_t old_at, size_t at)
{
    struct wanted_mesh *m = new_mesh(g);
    const struct mesh_pair *p = &m->pairs.v[at];

    if (g->other_document || g->altered[p->source] || (p->target >= 0 && g->altered[p->target]))
        return compare(g, old_at, at);
    m->rows[at] = g->old.m->rows[old_at];
    if (m->rows[at] < PAIR_ABSENT) {
        g->w->n++;
        return TW_OK;
    }
    if (m->rows[at] == PAIR_ABSENT) {
        m->unreachable++;
        return TW_OK;
    }
    return added(g, at); /* there was no memory for it */
}

/* ---- Class by class, mesh by mesh ---- */

/* The pairs of a class are together. */
static size_t end_of_class(const struct side *s, size_t from)
{
    size_t low = from, high = s->m->pairs.n;
    uint16_t k = s->m->pairs.v[from].class_index;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (s->m->pairs.v[middle].class_index == k)
            low = middle;
        else
            high = middle;
    }
    return low + 1;
}

static enum tw_rc merge_next(struct merge *g)
{
    struct side *o = &g->old, *n = &g->new;
    uint64_t x = o->at < o->end ? key_of(o, o->at) : UINT64_MAX;
    uint64_t y = n->at < n->end ? key_of(n, n->at) : UINT64_MAX;

    if (x == y)
        return both(g, o->at++, n->at++);
    return x < y ? removed(g, o->at++) : added(g, n->at++);
}

static enum tw_rc merge_class(struct merge *g)
{
    while (g->old.at < g->old.end || g->new.at < g->new.end) {
        enum tw_rc rc = *g->left ? TW_OK : TW_EAGAIN;

        if (rc == TW_OK) {
            --*g->left;
            rc = merge_next(g);
        }
        if (rc != TW_OK)
            return rc;
    }
    return TW_OK;
}

static const char *next_class(const struct side *s)
{
    return s->m && s->at < s->m->pairs.n ? s->m->classes[s->m->pairs.v[s->at].class_index] : NULL;
}

/* False: there is none. */
static bool find_class(struct merge *g)
{
    const char *x = next_class(&g->old), *y = next_class(&g->new);
    int order = !x ? 1 : !y ? -1 : strcmp(x, y);

    if (!x && !y)
        return false;
    g->old.end = order <= 0 && x ? end_of_class(&g->old, g->old.at) : g->old.at;
    g->new.end = order >= 0 && y ? end_of_class(&g->new, g->new.at) : g->new.at;
    return true;
}

static enum tw_rc merge_mesh(struct merge *g)
{
    do {
        enum tw_rc rc = merge_class(g);

        if (rc != TW_OK)
            return rc;
    } while (find_class(g));
    return TW_OK;
}

static const struct wanted_mesh *same_mesh(const struct wanted *w, const char *kept_name)
{
    for (size_t i = 0; w && i < w->n_meshes; i++)
        if (w->meshes[i].name == kept_name)
            return &w->meshes[i];
    return NULL;
}

static enum tw_rc begin_pair_of_meshes(struct merge *g, const struct wanted_mesh *old,
                                       struct wanted_mesh *new)
{
    side_mesh(&g->old, old);
    side_mesh(&g->new, new);
    if (new) {
        new->rows = malloc((new->pairs.n + 1) * sizeof *new->rows);
        if (!new->rows)
            return TW_ENOMEM;
    }
    g->other_document = old && new && (old->mesh != new->mesh || old->paused != new->paused);
    return TW_OK;
}

static enum tw_rc begin_mesh(struct merge *g)
{
    const struct wanted *old = g->old.w;
    size_t gone = g->mesh - g->w->n_meshes;

    if (g->mesh < g->w->n_meshes)
        return begin_pair_of_meshes(g, same_mesh(old, g->w->meshes[g->mesh].name), &g->w->meshes[g->mesh]);
    return begin_pair_of_meshes(g, same_mesh(g->w, old->meshes[gone].name) ? NULL : &old->meshes[gone], NULL);
}

static enum tw_rc merge_all(struct merge *g)
{
    size_t n = g->w->n_meshes + (g->old.w ? g->old.w->n_meshes : 0);
    enum tw_rc rc = TW_OK;

    for (; g->mesh < n; g->mesh++, g->in_mesh = false) {
        if (!g->in_mesh)
            rc = begin_mesh(g);
        g->in_mesh = true;
        if (rc == TW_OK)
            rc = merge_mesh(g);
        if (rc != TW_OK)
            return rc;
    }
    return TW_OK;
}

enum tw_rc wanted_merge_new(struct inventory *inv, struct wanted *w, struct merge **ret)
{
    struct merge *g = calloc(1, sizeof *g);
    enum tw_rc rc = g ? rank_names(inv->scheduled, w) : TW_ENOMEM;

    if (!g)
        return rc;
    g->inv = inv;
    g->w = w;
    if (rc == TW_OK)
        rc = side_init(&g->old, inv->scheduled);
    if (rc == TW_OK)
        rc = side_init(&g->new, w);
    if (rc == TW_OK)
        rc = find_altered(g);
    if (rc == TW_OK)
        rc = summer_init(&g->summer);
    if (rc != TW_OK) {
        wanted_merge_free(g);
        return rc;
    }
    *ret = g;
    return TW_OK;
}

enum tw_rc wanted_merge_go_on(struct merge *g, size_t *left)
{
    g->left = left;
    return merge_all(g);
}

void wanted_merge_free(struct merge *g)
{
    if (!g)
        return;
    summer_free(&g->summer);
    side_free(&g->old);
    side_free(&g->new);
    free(g->altered);
    free(g);
}
