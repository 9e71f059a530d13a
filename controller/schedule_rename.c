/* controller/schedule_rename.c - what is scheduled, when an agent has another name. All of it is in order of
 * names: one agent goes to another place among the agents, so do the pairs that it is the source of, and one
 * pair of every other source. So it takes one pass, and no memory, which may not be there. */
#include <string.h>
#include "controller/schedule_priv.h"

struct move {
    const struct wanted *w;
    uint32_t from, to;
};

static uint32_t moved(const struct move *r, uint32_t i)
{
    if (i == r->from)
        return r->to;
    if (r->from < i && i <= r->to)
        return i - 1;
    return r->to <= i && i < r->from ? i + 1 : i;
}

/* ---- Agents ---- */

static void move_element(void *v, size_t size, size_t from, size_t to)
{
    uint8_t *p = v, one[sizeof(struct reach)];

    memcpy(one, p + from * size, size);
    if (from < to)
        memmove(p + from * size, p + (from + 1) * size, (to - from) * size);
    else
        memmove(p + (to + 1) * size, p + to * size, (from - to) * size);
    memcpy(p + to * size, one, size);
}

static bool find_agent(const struct wanted *w, const struct agent *a, uint32_t *ret)
{
    for (size_t i = 0; i < w->n_agents; i++)
        if (w->agents[i] == a) {
            *ret = (uint32_t)i;
            return true;
        }
    return false;
}

static uint32_t place_among_others(const struct wanted *w, uint32_t self, const char *name)
{
    uint32_t place = 0;

    for (uint32_t i = 0; i < w->n_agents; i++)
        place += i != self && strcmp(w->names[i], name) < 0;
    return place;
}

/* ---- Pairs ---- */

static void swap_pairs(struct wanted_mesh *m, size_t x, size_t y)
{
    struct mesh_pair p = m->pairs.v[x];
    uint32_t row = m->rows[x];

    m->pairs.v[x] = m->pairs.v[y];
    m->rows[x] = m->rows[y];
    m->pairs.v[y] = p;
    m->rows[y] = row;
}

static void reverse(struct wanted_mesh *m, size_t from, size_t end)
{
    while (from + 1 < end)
        swap_pairs(m, from++, --end);
}

/* What begins at `middle` comes before what begins at `from`. */
static void rotate(struct wanted_mesh *m, size_t from, size_t middle, size_t end)
{
    reverse(m, from, middle);
    reverse(m, middle, end);
    reverse(m, from, end);
}

/* The pairs that the agent is the source of, within a class; they are together. */
static void place_source(const struct move *r, struct wanted_mesh *m, size_t from, size_t end)
{
    const struct mesh_pair *v = m->pairs.v;
    size_t begin = from, after, place = from;

    while (begin < end && v[begin].source != r->to)
        begin++;
    for (after = begin; after < end && v[after].source == r->to;)
        after++;
    while (place < begin && v[place].source < r->to)
        place++;
    rotate(m, place, begin, after);
    for (place = after; place < end && v[place].source < r->to;)
        place++;
    if (place > after)
        rotate(m, begin, after, place);
}

static bool goes_before(const struct wanted *w, const struct wanted_mesh *m, const struct mesh_pair *x,
                        const struct mesh_pair *y)
{
    if (x->target >= 0 && y->target >= 0)
        return x->target < y->target;
    return strcmp(x->target >= 0 ? w->names[x->target] : m->targets[~x->target],
                  y->target >= 0 ? w->names[y->target] : m->targets[~y->target]) < 0;
}

/* Of one source and class; one at most is out of its place. */
static void place_targets(const struct wanted *w, struct wanted_mesh *m, size_t from, size_t end)
{
    for (size_t i = from + 1; i < end; i++)
        for (size_t k = i; k > from && goes_before(w, m, &m->pairs.v[k], &m->pairs.v[k - 1]); k--)
            swap_pairs(m, k, k - 1);
}

static size_t end_of_class(const struct wanted_mesh *m, size_t from)
{
    size_t end = from;

    while (end < m->pairs.n && m->pairs.v[end].class_index == m->pairs.v[from].class_index)
        end++;
    return end;
}

static size_t end_of_source(const struct wanted_mesh *m, size_t from, size_t class_end)
{
    size_t end = from;

    while (end < class_end && m->pairs.v[end].source == m->pairs.v[from].source)
        end++;
    return end;
}

static void move_in_mesh(const struct move *r, struct wanted_mesh *m)
{
    size_t class_end, end;

    for (size_t i = 0; i < m->pairs.n; i++) {
        struct mesh_pair *p = &m->pairs.v[i];

        p->source = moved(r, p->source);
        p->target = p->target >= 0 ? (int32_t)moved(r, (uint32_t)p->target) : p->target;
    }
    for (size_t from = 0; from < m->pairs.n; from = class_end) {
        class_end = end_of_class(m, from);
        place_source(r, m, from, class_end);
        for (size_t i = from; i < class_end; i = end) {
            end = end_of_source(m, i, class_end);
            place_targets(r->w, m, i, end);
        }
    }
}

void schedule_rename(struct inventory *inv, const struct agent *a, const char *name)
{
    struct wanted *w = inv->scheduled;
    struct move r = { .w = w };

    if (!w || !find_agent(w, a, &r.from))
        return;
    r.to = place_among_others(w, r.from, name);
    w->names[r.from] = name;
    move_element(w->names, sizeof *w->names, r.from, r.to);
    move_element(w->agents, sizeof(struct agent *), r.from, r.to);
    move_element(w->reach, sizeof *w->reach, r.from, r.to);
    for (size_t i = 0; i < w->n_meshes; i++)
        move_in_mesh(&r, &w->meshes[i]);
}
