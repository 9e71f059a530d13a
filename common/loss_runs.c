#include "common/loss_runs.h"

#include <stdlib.h>
#include <string.h>

void loss_runs_free(struct tw_loss_runs *l)
{
    free(l->v);
    *l = (struct tw_loss_runs){ 0 };
}

enum tw_rc loss_runs_reserve(struct tw_loss_runs *l, size_t n)
{
    struct tw_loss_run *more;

    if (n <= l->cap)
        return TW_OK;
    more = realloc(l->v, n * sizeof *more);
    if (!more)
        return TW_ENOMEM;
    l->v = more;
    l->cap = (uint16_t)n;
    return TW_OK;
}

/* ---- A bounded list in order ---- */

static bool is_before(const struct tw_loss_run *a, const struct tw_loss_run *b)
{
    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns;
    return a->flow != b->flow ? a->flow < b->flow : a->seq_first < b->seq_first;
}

static bool is_shorter(const struct tw_loss_run *a, const struct tw_loss_run *b)
{
    if (a->length_ns != b->length_ns)
        return a->length_ns < b->length_ns;
    return a->probes != b->probes ? a->probes < b->probes : is_before(b, a);
}

static void take_out(struct tw_loss_runs *l, size_t at)
{
    memmove(&l->v[at], &l->v[at + 1], (--l->n - at) * sizeof *l->v);
}

/* One more place, or else that of the shortest, unless *r is shorter still. */
static bool make_room(struct tw_loss_runs *l, const struct tw_loss_run *r)
{
    size_t cap = l->cap ? 2 * (size_t)l->cap : 4, least = 0;

    if (l->n < l->cap)
        return true;
    if (l->cap < TW_LOSS_RUNS_MAX &&
        loss_runs_reserve(l, cap < TW_LOSS_RUNS_MAX ? cap : TW_LOSS_RUNS_MAX) == TW_OK)
        return true;
    for (size_t i = 1; i < l->n; i++)
        if (is_shorter(&l->v[i], &l->v[least]))
            least = i;
    if (!l->n || !is_shorter(&l->v[least], r))
        return false;
    take_out(l, least);
    return true;
}

void loss_runs_add(struct tw_loss_runs *l, const struct tw_loss_run *r)
{
    size_t at;

    if (!make_room(l, r))
        return;
    for (at = l->n; at && is_before(r, &l->v[at - 1]); at--)
        ;
    memmove(&l->v[at + 1], &l->v[at], (l->n - at) * sizeof *l->v);
    l->v[at] = *r;
    l->n++;
}

void loss_runs_fit(struct tw_loss_runs *l, int64_t start_ns, int64_t end_ns)
{
    for (size_t i = 0; i < l->n; i++) {
        struct tw_loss_run *r = &l->v[i];
        if (r->start_ns < start_ns)
            r->start_ns = start_ns;
        if (r->start_ns >= end_ns)
            r->start_ns = end_ns - 1;
        if (r->length_ns > end_ns - r->start_ns)
            r->length_ns = end_ns - r->start_ns;
    }
}

/* ---- Joining ---- */

/* The next part begins with the first probe after the boundary: a spacing later, or as many as the host had
 * to skip. Further away it is another session's that counts from the start again. */
#define FOLLOWS_SPACINGS 64
#define FOLLOWS_NS (60 * TW_NS_PER_S)

static int64_t spacing_of(const struct tw_loss_run *r)
{
    return r->probes ? r->length_ns / (int64_t)r->probes : 0;
}

bool loss_run_continues(const struct tw_loss_run *first, const struct tw_loss_run *next)
{
    int64_t spacing = spacing_of(first) > spacing_of(next) ? spacing_of(first) : spacing_of(next);
    __int128 gap = (__int128)next->start_ns - first->start_ns - first->length_ns;

    return first->continues_after && next->continues_before && first->flow == next->flow &&
           first->seq_first + (uint32_t)first->probes == next->seq_first &&
           next->start_ns >= first->start_ns && gap <= FOLLOWS_NS + (__int128)FOLLOWS_SPACINGS * spacing;
}

/* A part is forward or backward only where that was found of the whole run, whose other parts may have closed
 * before. */
static enum tw_direction direction_of_both(enum tw_direction a, enum tw_direction b)
{
    if (a == TW_UNKNOWN || a == b)
        return b;
    return b == TW_UNKNOWN ? a : TW_MIXED;
}

void loss_run_join(struct tw_loss_run *first, const struct tw_loss_run *next)
{
    first->length_ns = next->start_ns + next->length_ns - first->start_ns;
    first->probes += next->probes;
    first->direction = direction_of_both(first->direction, next->direction);
    first->continues_after = next->continues_after;
}

unsigned loss_runs_add_joined(struct tw_loss_runs *l, const struct tw_loss_run *r,
                              struct tw_loss_run *ret_whole)
{
    struct tw_loss_run whole = *r;
    unsigned joined = 0;

    for (size_t i = 0; i < l->n;) {
        struct tw_loss_run other = l->v[i];
        bool after = loss_run_continues(&whole, &other);
        if (!after && !loss_run_continues(&other, &whole)) {
            i++;
            continue;
        }
        take_out(l, i);
        joined++;
        if (after) {
            loss_run_join(&whole, &other);
        } else {
            loss_run_join(&other, &whole);
            whole = other;
        }
        i = 0; /* there is one on either side at most, but which comes first is not known */
    }
    loss_runs_add(l, &whole);
    if (ret_whole)
        *ret_whole = whole;
    return joined;
}
