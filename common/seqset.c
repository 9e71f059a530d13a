#include "common/seqset.h"

#include <string.h>

/* The first stretch that ends at `seq` or later, or right before it. */
static size_t first_near(const struct seqset *s, uint64_t seq)
{
    size_t i = 0;

    while (i < s->n && s->v[i].last + 1 < seq)
        i++;
    return i;
}

enum tw_rc seqset_add(struct seqset *s, uint64_t first, uint64_t last)
{
    size_t at, end;

    if (first == 0 || last < first || last == UINT64_MAX)
        return TW_EINVAL;
    at = end = first_near(s, first);
    while (end < s->n && s->v[end].first <= last + 1) /* all that it touches become one with it */
        end++;
    if (at == end) {
        if (s->n == SEQSET_MAX)
            return TW_ENOSPC;
        memmove(&s->v[at + 1], &s->v[at], (s->n - at) * sizeof *s->v);
        s->n++;
    } else {
        first = first < s->v[at].first ? first : s->v[at].first;
        last = last > s->v[end - 1].last ? last : s->v[end - 1].last;
        memmove(&s->v[at + 1], &s->v[end], (s->n - end) * sizeof *s->v);
        s->n -= end - at - 1;
    }
    s->v[at] = (struct seq_span){ first, last };
    return TW_OK;
}

bool seqset_has(const struct seqset *s, uint64_t seq)
{
    for (size_t i = 0; i < s->n; i++)
        if (seq >= s->v[i].first && seq <= s->v[i].last)
            return true;
    return false;
}

bool seqset_missing(const struct seqset *s, uint64_t first, uint64_t last, struct seq_span *ret)
{
    size_t i;

    for (i = 0; i < s->n && s->v[i].first <= first; i++)
        if (s->v[i].last >= first)
            first = s->v[i].last + 1;
    if (first > last)
        return false;
    ret->first = first;
    ret->last = i < s->n && s->v[i].first <= last ? s->v[i].first - 1 : last;
    return true;
}

uint64_t seqset_count_missing(const struct seqset *s, uint64_t first, uint64_t last)
{
    struct seq_span part;
    uint64_t n = 0;

    for (; seqset_missing(s, first, last, &part); first = part.last + 1)
        n += part.last - part.first + 1;
    return n;
}

uint64_t seqset_end(const struct seqset *s)
{
    return s->n ? s->v[s->n - 1].last : 0;
}

uint64_t seqset_absorb(struct seqset *s, uint64_t through)
{
    size_t gone = 0;

    while (gone < s->n && s->v[gone].first <= through + 1) {
        through = s->v[gone].last > through ? s->v[gone].last : through;
        gone++;
    }
    memmove(s->v, s->v + gone, (s->n - gone) * sizeof *s->v);
    s->n -= gone;
    return through;
}

bool seqset_equal(const struct seqset *a, const struct seqset *b)
{
    return a->n == b->n && memcmp(a->v, b->v, a->n * sizeof *a->v) == 0;
}
