#include "controller/registry_list.h"

#include <stdlib.h>
#include <string.h>

const char *registry_state_name(enum registry_state s)
{
    static const char *const names[REGISTRY_STATES] = { "up", "missing", "ended" };

    return names[s];
}

void registry_list_begin(struct registry_list *l)
{
    for (size_t i = 0; i < l->n_members; i++)
        l->members[i].seen = false;
    for (size_t i = 0; i < l->n_known; i++)
        l->known[i].seen = false;
}

static struct registry_member *member_of(const struct registry_list *l, int64_t lease)
{
    for (size_t i = 0; i < l->n_members; i++)
        if (l->members[i].lease == lease)
            return &l->members[i];
    return NULL;
}

static struct registry_known *known_of(const struct registry_list *l, const char *name)
{
    for (size_t i = 0; i < l->n_known; i++)
        if (!strcmp(l->known[i].facts.name, name))
            return &l->known[i];
    return NULL;
}

/* One more, zeroed; NULL: no memory. */
static void *one_more(void *v, size_t *n, size_t size, void **ret)
{
    char *more = reallocarray(v, *n + 1, size);

    if (!more)
        return NULL;
    *ret = more;
    memset(more + *n * size, 0, size);
    return more + (*n)++ * size;
}

static enum tw_rc take_member(struct registry_list *l, const struct presence_text *t,
                              const struct registry_facts *f, int64_t now_ns)
{
    struct registry_member *m = member_of(l, t->lease);
    void *v = l->members;

    if (!m) {
        m = one_more(l->members, &l->n_members, sizeof *m, &v);
        l->members = v;
        if (!m)
            return TW_ENOMEM;
        m->lease = t->lease;
        m->since_ns = now_ns;
    }
    m->facts = *f;
    m->revision = t->revision;
    m->seen = true;
    return TW_OK;
}

static enum tw_rc take_known(struct registry_list *l, const struct presence_text *t,
                             const struct registry_facts *f)
{
    struct registry_known *k = known_of(l, f->name);
    void *v = l->known;

    if (!k) {
        k = one_more(l->known, &l->n_known, sizeof *k, &v);
        l->known = v;
        if (!k)
            return TW_ENOMEM;
    }
    k->facts = *f;
    k->revision = t->revision;
    k->seen = true;
    return TW_OK;
}

enum tw_rc registry_list_take(struct registry_list *l, const struct presence_text *t, int64_t now_ns)
{
    struct registry_facts f;

    if (registry_row_read(t->text, &f) || strcmp(f.name, t->name) != 0)
        return TW_ECORRUPT;
    return t->lease ? take_member(l, t, &f, now_ns) : take_known(l, t, &f);
}

static void drop_unseen(struct registry_list *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n_members; i++)
        if (l->members[i].seen)
            l->members[n++] = l->members[i];
    l->n_members = n;
    n = 0;
    for (size_t i = 0; i < l->n_known; i++)
        if (l->known[i].seen)
            l->known[n++] = l->known[i];
    l->n_known = n;
}

/* The same process with a lease that it lost, or one of the same folder that was followed by this one lately.
 */
static bool is_before(const struct registry_member *old, const struct registry_member *new, int64_t now_ns)
{
    if (old == new || old->facts.owner != new->facts.owner || strcmp(old->facts.name, new->facts.name) != 0)
        return false;
    if (old->facts.started_ns == new->facts.started_ns)
        return old->revision < new->revision;
    return old->facts.started_ns < new->facts.started_ns &&now_ns - new->since_ns < REGISTRY_AGAIN_NS;
}

static void find_before(struct registry_list *l, int64_t now_ns)
{
    for (size_t i = 0; i < l->n_members; i++) {
        l->members[i].before = false;
        for (size_t k = 0; k < l->n_members; k++)
            l->members[i].before |= is_before(&l->members[i], &l->members[k], now_ns);
    }
}

static bool is_up(const struct registry_list *l, const char *name)
{
    for (size_t i = 0; i < l->n_members; i++)
        if (!strcmp(l->members[i].facts.name, name))
            return true;
    return false;
}

static void add_members(struct registry_list *l, int64_t own_lease)
{
    for (size_t i = 0; i < l->n_members; i++) {
        const struct registry_member *m = &l->members[i];

        if (!m->before)
            l->rows[l->n_rows++] = (struct registry_row){ .facts = &m->facts,
                                                          .state = REGISTRY_UP,
                                                          .self = own_lease && m->lease == own_lease };
    }
}

/* Since when one is gone is what we saw ourselves, or when it wrote last. */
static void add_gone(struct registry_list *l, int64_t now_ns)
{
    for (size_t i = 0; i < l->n_known; i++) {
        struct registry_known *k = &l->known[i];
        bool ended = k->facts.ended_ns != 0;

        if (is_up(l, k->facts.name)) {
            k->was_up = true;
            k->gone_ns = 0;
            continue;
        }
        if (!k->gone_ns)
            k->gone_ns = k->was_up ? now_ns : k->facts.time_ns;
        l->rows[l->n_rows++] = (struct registry_row){ .facts = &k->facts,
                                                      .state = ended ? REGISTRY_ENDED : REGISTRY_MISSING,
                                                      .gone_ns = ended ? k->facts.ended_ns : k->gone_ns };
    }
}

static int by_name(const void *a, const void *b)
{
    const struct registry_row *x = a, *y = b;
    int d = strcmp(x->facts->name, y->facts->name);

    if (d || x->self != y->self)
        return d ? d : y->self - x->self;
    return (x->facts->started_ns > y->facts->started_ns) - (x->facts->started_ns < y->facts->started_ns);
}

static void find_twins(struct registry_list *l)
{
    for (size_t i = 1; i < l->n_rows; i++)
        if (!strcmp(l->rows[i].facts->name, l->rows[i - 1].facts->name))
            l->rows[i].twin = l->rows[i - 1].twin = true;
}

enum tw_rc registry_list_end(struct registry_list *l, int64_t own_lease, int64_t now_ns)
{
    struct registry_row *rows;

    drop_unseen(l);
    find_before(l, now_ns);
    rows = reallocarray(l->rows, l->n_members + l->n_known + 1, sizeof *rows);
    if (!rows) {
        l->n_rows = 0;
        return TW_ENOMEM;
    }
    l->rows = rows;
    l->n_rows = 0;
    add_members(l, own_lease);
    add_gone(l, now_ns);
    qsort(l->rows, l->n_rows, sizeof *l->rows, by_name);
    find_twins(l);
    return TW_OK;
}

const struct registry_member *registry_list_member(const struct registry_list *l, int64_t lease)
{
    const struct registry_member *m = member_of(l, lease);

    return m && !m->before ? m : NULL;
}

void registry_list_free(struct registry_list *l)
{
    free(l->members);
    free(l->known);
    free(l->rows);
    *l = (struct registry_list){ 0 };
}
