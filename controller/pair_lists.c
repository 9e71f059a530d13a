#include "controller/pair_lists.h"
#include <stdlib.h>
#include <string.h>

static bool same(const struct report_filter *a, const struct report_filter *b)
{
    return !strcmp(a->mesh, b->mesh) && !strcmp(a->class_name, b->class_name) &&
           !strcmp(a->source, b->source) && !strcmp(a->target, b->target) && !strcmp(a->select, b->select) &&
           !strcmp(a->target_select, b->target_select) && a->on_demand == b->on_demand &&
           !a->test_id == !b->test_id;
}

static void clear(struct pair_list *p)
{
    free(p->ids);
    *p = (struct pair_list){ .ids = NULL };
}

void pair_lists_clear(struct pair_lists *l)
{
    for (unsigned i = 0; i < PAIR_LISTS_MAX; i++)
        clear(&l->v[i]);
}

static struct pair_list *find(struct pair_lists *l, const struct report_filter *f)
{
    for (unsigned i = 0; i < PAIR_LISTS_MAX; i++)
        if (l->v[i].ids && same(&l->v[i].f, f))
            return &l->v[i];
    return NULL;
}

/* The filter's own, or a free one, or the one that was used least lately. */
static struct pair_list *take_place(struct pair_lists *l, const struct report_filter *f)
{
    struct pair_list *p = find(l, f);

    for (unsigned i = 0; !p && i < PAIR_LISTS_MAX; i++)
        p = l->v[i].ids ? NULL : &l->v[i];
    if (p)
        return p;
    p = &l->v[0];
    for (unsigned i = 1; i < PAIR_LISTS_MAX; i++)
        if (l->v[i].used_ns < p->used_ns)
            p = &l->v[i];
    return p;
}

static enum tw_rc fill(struct pair_list *p, const struct inventory *inv, const struct report_filter *f)
{
    const struct pair **v;
    size_t n;
    enum tw_rc rc = report_select(inv, f, &v, &n);

    if (rc)
        return rc;
    clear(p);
    p->ids = malloc((n + 1) * sizeof *p->ids);
    for (size_t i = 0; p->ids && i < n; i++)
        p->ids[i] = v[i]->row.id;
    free(v);
    if (!p->ids)
        return TW_ENOMEM;
    p->n = n;
    p->f = *f;
    return TW_OK;
}

static size_t place(const struct pair_list *p, uint64_t id)
{
    size_t at = 0;

    while (at < p->n && p->ids[at] != id)
        at++;
    return at;
}

static struct pair_list *recall(struct pair_lists *l, const struct report_filter *f, struct tw_mono now)
{
    for (unsigned i = 0; i < PAIR_LISTS_MAX; i++)
        if (l->v[i].ids && now.ns - l->v[i].used_ns > PAIR_LISTS_NS)
            clear(&l->v[i]);
    return find(l, f);
}

static enum tw_rc select_anew(struct pair_lists *l, const struct inventory *inv,
                              const struct report_filter *f, struct pair_list **ret)
{
    *ret = take_place(l, f);
    return fill(*ret, inv, f);
}

enum tw_rc pair_lists_get(struct pair_lists *l, const struct inventory *inv, const struct report_filter *f,
                          uint64_t from, struct tw_mono now, const struct pair_list **ret, size_t *ret_at)
{
    struct pair_list *p = recall(l, f, now);
    size_t at = from && p ? place(p, from) : 0;

    if (!from || !p || at == p->n) { /* another list of the same filter may have been begun meanwhile */
        enum tw_rc rc = select_anew(l, inv, f, &p);

        if (rc)
            return rc;
        at = from ? place(p, from) : 0;
    }
    p->used_ns = now.ns;
    if (from && at == p->n)
        return TW_ENOENT;
    *ret = p;
    *ret_at = at;
    return TW_OK;
}

enum tw_rc pair_lists_get_from(struct pair_lists *l, const struct inventory *inv,
                               const struct report_filter *f, size_t skip, struct tw_mono now,
                               const struct pair_list **ret)
{
    struct pair_list *p = recall(l, f, now);
    enum tw_rc rc = skip && p ? TW_OK : select_anew(l, inv, f, &p);

    if (rc)
        return rc;
    p->used_ns = now.ns;
    *ret = p;
    return TW_OK;
}
