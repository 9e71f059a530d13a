#include "db/clickhouse/ch_commits.h"

#include <stdlib.h>
#include <string.h>
#include "db/grow.h"

#define STRETCH_OCTETS 24

void ch_commits_free(struct ch_commits *c)
{
    free(c->v);
    *c = (struct ch_commits){ 0 };
}

/* The first stretch that ends at the number or behind it. */
static size_t find(const struct ch_commits *c, int64_t writer, int64_t number)
{
    size_t lo = 0, hi = c->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct ch_stretch *s = &c->v[mid];
        if (s->writer < writer || (s->writer == writer && s->last < number))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool ch_commits_have(const struct ch_commits *c, int64_t writer, int64_t number)
{
    size_t i = find(c, writer, number);

    return i < c->n && c->v[i].writer == writer && c->v[i].first <= number;
}

int64_t ch_commits_last(const struct ch_commits *c, int64_t writer)
{
    size_t i = find(c, writer, INT64_MAX);

    return i && c->v[i - 1].writer == writer ? c->v[i - 1].last : 0;
}

enum tw_rc ch_commits_add(struct ch_commits *c, int64_t writer, int64_t first, int64_t last)
{
    struct ch_stretch new = { writer, first, last };
    size_t i, to;

    if (last < first || first == INT64_MIN)
        return TW_EINVAL;
    i = to = find(c, writer, first - 1);
    for (; to < c->n && c->v[to].writer == writer && c->v[to].first - 1 <= last; to++) {
        new.first = c->v[to].first < new.first ? c->v[to].first : new.first;
        new.last = c->v[to].last > new.last ? c->v[to].last : new.last;
    }
    if (to == i && !db_grow(&c->v, c->n, &c->cap, sizeof *c->v))
        return TW_ENOMEM;
    memmove(c->v + i + 1, c->v + to, (c->n - to) * sizeof *c->v);
    c->n = c->n + 1 - (to - i);
    c->v[i] = new;
    return TW_OK;
}

static enum tw_rc add_rest_of(struct ch_commits *to, struct ch_stretch s, const struct ch_commits *less)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = find(less, s.writer, s.first); !rc; i++) {
        const struct ch_stretch *l = i < less->n && less->v[i].writer == s.writer ? &less->v[i] : NULL;
        if (!l || l->first > s.last)
            return ch_commits_add(to, s.writer, s.first, s.last);
        if (l->first > s.first)
            rc = ch_commits_add(to, s.writer, s.first, l->first - 1);
        if (l->last >= s.last)
            return rc;
        s.first = l->last + 1;
    }
    return rc;
}

enum tw_rc ch_commits_add_rest(struct ch_commits *to, const struct ch_commits *all,
                               const struct ch_commits *less)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < all->n && !rc; i++)
        rc = add_rest_of(to, all->v[i], less);
    return rc;
}

void ch_commits_close_holes(struct ch_commits *c, int64_t far)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n; i++) {
        struct ch_stretch *before = kept ? &c->v[kept - 1] : NULL, *s = &c->v[i];
        if (before && before->writer == s->writer && s->first - 1 < ch_commits_last(c, s->writer) - far)
            before->last = s->last;
        else
            c->v[kept++] = *s;
    }
    c->n = kept;
}

/* ---- In a column ---- */

void ch_commits_put(struct ch_buf *b, const struct ch_commits *c)
{
    struct ch_buf octets = { 0 };

    for (size_t i = 0; i < c->n; i++) {
        ch_put_i64(&octets, c->v[i].writer);
        ch_put_i64(&octets, c->v[i].first);
        ch_put_i64(&octets, c->v[i].last);
    }
    b->bad |= octets.bad;
    ch_put_string(b, octets.p, octets.len);
    ch_buf_free(&octets);
}

enum tw_rc ch_commits_take(const uint8_t *p, size_t len, struct ch_commits *c)
{
    struct wire_rd r = { .p = p, .end = p + len };
    enum tw_rc rc = len % STRETCH_OCTETS ? TW_ECORRUPT : TW_OK;

    while (r.p < r.end && !rc) {
        int64_t writer = ch_get_i64(&r), first = ch_get_i64(&r), last = ch_get_i64(&r);
        rc = ch_commits_add(c, writer, first, last);
    }
    return rc == TW_EINVAL ? TW_ECORRUPT : rc;
}

/* ---- In a statement ---- */

/* The writer's stretches from v on, n of them, as bounds and the holes between: those are single numbers
 * mostly. */
static void add_writer(struct ch_sql *s, const struct ch_stretch *v, size_t n)
{
    const char *before = " AND txn NOT IN (";

    ch_sql_add(s, "(writer = %lld AND txn >= %lld AND txn <= %lld", (long long)v->writer, (long long)v->first,
               (long long)v[n - 1].last);
    for (size_t i = 1; i < n; i++) {
        if (v[i].first - v[i - 1].last != 2)
            continue;
        ch_sql_add(s, "%s%lld", before, (long long)v[i].first - 1);
        before = ", ";
    }
    ch_sql_add(s, *before == ',' ? ")" : "");
    for (size_t i = 1; i < n; i++)
        if (v[i].first - v[i - 1].last > 2)
            ch_sql_add(s, " AND (txn <= %lld OR txn >= %lld)", (long long)v[i - 1].last,
                       (long long)v[i].first);
    ch_sql_add(s, ")");
}

void ch_commits_where(struct ch_sql *s, const struct ch_commits *c)
{
    ch_sql_add(s, c->n ? " AND (" : " AND 0");
    for (size_t at = 0, n; at < c->n; at += n) {
        for (n = 1; at + n < c->n && c->v[at + n].writer == c->v[at].writer; n++)
            ;
        ch_sql_add(s, at ? " OR " : "");
        add_writer(s, c->v + at, n);
    }
    ch_sql_add(s, c->n ? ")" : "");
}
