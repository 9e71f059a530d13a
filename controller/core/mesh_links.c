#include "controller/core/mesh_links.h"
#include "common/grow.h"

#include <stdlib.h>

enum tw_rc links_push(struct links *l, uint32_t source, uint32_t target)
{
    if (!TW_GROW(&l->v, l->n, &l->cap, 64))
        return TW_ENOMEM;
    l->v[l->n++] = (uint64_t)source << 32 | target;
    return TW_OK;
}

void links_free(struct links *l)
{
    free(l->v);
    *l = (struct links){ 0 };
}

/* ---- Into order ---- */

static enum tw_rc add_run(struct links_sort *s, size_t begin)
{
    if (!TW_GROW(&s->runs, s->n_runs, &s->cap, 16))
        return TW_ENOMEM;
    s->runs[s->n_runs++] = begin;
    return TW_OK;
}

static enum tw_rc find_runs(struct links_sort *s, const struct links *l, size_t *left)
{
    for (; s->at < l->n; s->at++, --*left) {
        if (!*left)
            return TW_EAGAIN;
        if ((!s->at || l->v[s->at - 1] >= l->v[s->at]) && add_run(s, s->at) != TW_OK)
            return TW_ENOMEM;
    }
    return TW_OK;
}

static size_t run_end(const struct links_sort *s, const struct links *l, size_t run)
{
    return run + 1 < s->n_runs ? s->runs[run + 1] : l->n;
}

static void take_two(struct links_sort *s, const struct links *l, size_t run)
{
    s->run = run;
    s->a = run < s->n_runs ? s->runs[run] : l->n;
    s->b = run_end(s, l, run);
}

static bool merge_two(struct links_sort *s, const struct links *l, size_t *left)
{
    size_t a_end = run_end(s, l, s->run), b_end = run_end(s, l, s->run + 1);

    for (; s->a < a_end || s->b < b_end; --*left) {
        bool first = s->b == b_end || (s->a < a_end && l->v[s->a] <= l->v[s->b]);

        if (!*left)
            return false;
        s->room[s->out++] = l->v[first ? s->a++ : s->b++];
    }
    return true;
}

/* All runs, two by two, from the links into the room, which changes places with them. */
static bool merge_all(struct links_sort *s, struct links *l, size_t *left)
{
    uint64_t *swap = l->v;

    while (s->run < s->n_runs) {
        if (!merge_two(s, l, left))
            return false;
        s->runs[s->run / 2] = s->runs[s->run]; /* only those before are looked up no more */
        take_two(s, l, s->run + 2);
    }
    l->v = s->room;
    l->cap = l->n;
    s->room = swap;
    s->n_runs = (s->n_runs + 1) / 2;
    s->out = 0;
    take_two(s, l, 0);
    return true;
}

enum tw_rc links_sort_go_on(struct links_sort *s, struct links *l, size_t *left)
{
    enum tw_rc rc = find_runs(s, l, left);

    if (rc != TW_OK || s->n_runs < 2)
        return rc;
    if (!s->room) {
        s->room = malloc(l->n * sizeof *s->room);
        if (!s->room)
            return TW_ENOMEM;
        take_two(s, l, 0);
    }
    while (s->n_runs > 1)
        if (!merge_all(s, l, left))
            return TW_EAGAIN;
    return TW_OK;
}

void links_sort_free(struct links_sort *s)
{
    free(s->runs);
    free(s->room);
    *s = (struct links_sort){ 0 };
}

/* ---- Fewer ---- */

enum tw_rc links_thin_go_on(struct links_thin *t, struct links *l, const struct links *gone, size_t *left)
{
    for (; t->at < l->n; t->at++, --*left) {
        uint64_t link = l->v[t->at];

        for (; t->gone < gone->n && gone->v[t->gone] < link; t->gone++, --*left)
            if (!*left)
                return TW_EAGAIN;
        if (!*left)
            return TW_EAGAIN;
        if ((t->gone == gone->n || gone->v[t->gone] != link) && (!t->out || l->v[t->out - 1] != link))
            l->v[t->out++] = link;
    }
    l->n = t->out;
    return TW_OK;
}
