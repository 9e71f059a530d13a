#include "common/unavail.h"

#include <stdlib.h>
#include <string.h>
#include "common/wire.h"

enum { BLOB_VERSION = 1 };

void unavail_free(struct tw_unavail *l)
{
    free(l->v);
    *l = (struct tw_unavail){ 0 };
}

enum tw_rc unavail_reserve(struct tw_unavail *l, size_t n)
{
    struct tw_unavail_run *more;

    if (n <= l->cap)
        return TW_OK;
    more = realloc(l->v, n * sizeof *more);
    if (!more)
        return TW_ENOMEM;
    l->v = more;
    l->cap = (uint16_t)n;
    return TW_OK;
}

uint64_t unavail_windows(const struct tw_unavail *l)
{
    uint64_t n = 0;

    for (size_t i = 0; i < l->n; i++)
        n += l->v[i].windows;
    return n;
}

/* ---- A bounded list in order ---- */

static bool is_before(const struct tw_unavail_run *a, const struct tw_unavail_run *b)
{
    return a->start_ns != b->start_ns ? a->start_ns < b->start_ns : a->flow < b->flow;
}

static bool is_shorter(const struct tw_unavail_run *a, const struct tw_unavail_run *b)
{
    int64_t la = a->end_ns - a->start_ns, lb = b->end_ns - b->start_ns;

    return la != lb ? la < lb : is_before(b, a);
}

static void take_out(struct tw_unavail *l, size_t at)
{
    memmove(&l->v[at], &l->v[at + 1], (--l->n - at) * sizeof *l->v);
}

/* One more place, or else that of the shortest, unless *r is shorter still. */
static bool make_room(struct tw_unavail *l, const struct tw_unavail_run *r)
{
    size_t cap = l->cap ? 2 * (size_t)l->cap : 2, least = 0;

    if (l->n < l->cap)
        return true;
    if (l->cap < TW_UNAVAIL_MAX && unavail_reserve(l, cap < TW_UNAVAIL_MAX ? cap : TW_UNAVAIL_MAX) == TW_OK)
        return true;
    for (size_t i = 1; i < l->n; i++)
        if (is_shorter(&l->v[i], &l->v[least]))
            least = i;
    if (!l->n || !is_shorter(&l->v[least], r))
        return false;
    take_out(l, least);
    return true;
}

static bool touches(const struct tw_unavail_run *a, const struct tw_unavail_run *b)
{
    return a->flow == b->flow && (a->end_ns == b->start_ns || b->end_ns == a->start_ns);
}

void unavail_add(struct tw_unavail *l, const struct tw_unavail_run *r)
{
    struct tw_unavail_run whole = *r;
    size_t at;

    for (size_t i = l->n; i--;) {
        const struct tw_unavail_run *o = &l->v[i];
        if (!touches(&whole, o))
            continue;
        whole.start_ns = o->start_ns < whole.start_ns ? o->start_ns : whole.start_ns;
        whole.end_ns = o->end_ns > whole.end_ns ? o->end_ns : whole.end_ns;
        whole.windows = whole.windows + o->windows < whole.windows ? UINT32_MAX : whole.windows + o->windows;
        take_out(l,
                 i); /* what stands behind it has been looked at, and the other side of *r may still come */
    }
    if (!make_room(l, &whole))
        return;
    for (at = l->n; at && is_before(&whole, &l->v[at - 1]); at--)
        ;
    memmove(&l->v[at + 1], &l->v[at], (l->n - at) * sizeof *l->v);
    l->v[at] = whole;
    l->n++;
}

void unavail_fit(struct tw_unavail *l, int64_t start_ns, int64_t end_ns)
{
    for (size_t i = 0; i < l->n; i++) {
        struct tw_unavail_run *r = &l->v[i];
        if (r->start_ns < start_ns)
            r->start_ns = start_ns;
        if (r->start_ns >= end_ns)
            r->start_ns = end_ns - 1;
        if (r->end_ns > end_ns)
            r->end_ns = end_ns;
        if (r->end_ns <= r->start_ns)
            r->end_ns = r->start_ns + 1;
    }
}

/* ---- As octets ---- */

enum tw_rc unavail_encode(const struct tw_unavail *l, uint8_t *buf, size_t cap, size_t *ret_len)
{
    struct wire_wr w = { .p = buf, .end = buf + cap };
    int64_t last = 0;

    if (!l->n) {
        *ret_len = 0;
        return TW_OK;
    }
    wire_put_u8(&w, BLOB_VERSION);
    wire_put_u8(&w, (uint8_t)l->n);
    for (size_t i = 0; i < l->n; i++) {
        const struct tw_unavail_run *r = &l->v[i];
        wire_put_varint(&w, (uint64_t)(r->start_ns - last));
        wire_put_varint(&w, (uint64_t)(r->end_ns - r->start_ns));
        wire_put_varint(&w, r->windows);
        wire_put_varint(&w, r->flow);
        last = r->start_ns;
    }
    if (w.bad)
        return TW_ETRUNC;
    *ret_len = (size_t)(w.p - buf);
    return TW_OK;
}

static bool decode_run(struct wire_rd *r, int64_t last, struct tw_unavail_run *ret)
{
    uint64_t ahead = wire_get_varint(r), length = wire_get_varint(r);
    uint64_t windows = wire_get_varint(r), flow = wire_get_varint(r);

    if (r->bad || ahead > (uint64_t)(INT64_MAX - last) || windows > UINT32_MAX || flow > UINT32_MAX)
        return false;
    ret->start_ns = last + (int64_t)ahead;
    if (length > (uint64_t)(INT64_MAX - ret->start_ns))
        return false;
    ret->end_ns = ret->start_ns + (int64_t)length;
    ret->windows = (uint32_t)windows;
    ret->flow = (uint32_t)flow;
    return true;
}

enum tw_rc unavail_decode(struct tw_unavail *l, const uint8_t *data, size_t len)
{
    struct wire_rd r = { .p = data };
    int64_t last = 0;
    uint8_t version, n;

    l->n = 0;
    if (!len) /* and maybe no data */
        return TW_OK;
    r.end = data + len;
    version = wire_get_u8(&r);
    n = wire_get_u8(&r);
    if (!r.bad && version != BLOB_VERSION)
        return TW_EVERSION;
    if (r.bad || !n || n > TW_UNAVAIL_MAX)
        return TW_ECORRUPT;
    if (unavail_reserve(l, n))
        return TW_ENOMEM;
    for (uint8_t i = 0; i < n; i++) {
        if (!decode_run(&r, last, &l->v[i])) {
            l->n = 0;
            return TW_ECORRUPT;
        }
        last = l->v[i].start_ns;
        l->n = (uint16_t)(i + 1);
    }
    if (r.p == r.end)
        return TW_OK;
    l->n = 0;
    return TW_ECORRUPT;
}
