#include "db/clickhouse/ch_wire.h"

#include <stdlib.h>
#include <string.h>

void ch_buf_free(struct ch_buf *b)
{
    free(b->p);
    *b = (struct ch_buf){ 0 };
}

uint8_t *ch_buf_room(struct ch_buf *b, size_t n)
{
    if (!b->bad && b->cap - b->len < n) {
        size_t cap = 2 * b->cap > b->len + n ? 2 * b->cap : b->len + n;
        uint8_t *more = realloc(b->p, cap);
        b->bad = !more;
        if (more) {
            b->p = more;
            b->cap = cap;
        }
    }
    if (b->bad)
        return NULL;
    b->len += n;
    return b->p ? b->p + b->len - n : NULL; /* no octets of an empty one */
}

static void put_le(struct ch_buf *b, uint64_t v, unsigned n)
{
    uint8_t *p = ch_buf_room(b, n);

    for (unsigned i = 0; p && i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

void ch_put_u8(struct ch_buf *b, uint8_t v)
{
    put_le(b, v, 1);
}

void ch_put_u32(struct ch_buf *b, uint32_t v)
{
    put_le(b, v, 4);
}

void ch_put_i64(struct ch_buf *b, int64_t v)
{
    put_le(b, (uint64_t)v, 8);
}

void ch_put_octets(struct ch_buf *b, const void *data, size_t len)
{
    uint8_t *p = ch_buf_room(b, len);

    if (p && len)
        memcpy(p, data, len);
}

void ch_put_string(struct ch_buf *b, const void *data, size_t len)
{
    uint64_t left = len;

    for (; left >= 0x80; left >>= 7)
        ch_put_u8(b, (uint8_t)(left | 0x80));
    ch_put_u8(b, (uint8_t)left);
    ch_put_octets(b, data, len);
}

static uint64_t get_le(struct wire_rd *r, unsigned n)
{
    const uint8_t *p = wire_take(r, n);
    uint64_t v = 0;

    for (unsigned i = 0; p && i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

uint8_t ch_get_u8(struct wire_rd *r)
{
    return (uint8_t)get_le(r, 1);
}

uint32_t ch_get_u32(struct wire_rd *r)
{
    return (uint32_t)get_le(r, 4);
}

int64_t ch_get_i64(struct wire_rd *r)
{
    return (int64_t)get_le(r, 8);
}

const uint8_t *ch_get_string(struct wire_rd *r, size_t *ret_len)
{
    uint64_t len = wire_get_varint(r);

    *ret_len = 0;
    if (r->bad || len > (size_t)(r->end - r->p)) {
        r->bad = true;
        return NULL;
    }
    *ret_len = (size_t)len;
    return wire_take(r, (size_t)len);
}

const char *ch_type_name(enum ch_type t)
{
    static const char *const names[] = { [CH_U8] = "UInt8", [CH_U32] = "UInt32", [CH_I64] = "Int64",
                                         [CH_STRING] = "String", [CH_ID] = "FixedString(16)" };

    return names[t];
}

void ch_skip(struct wire_rd *r, enum ch_type t)
{
    static const uint8_t lengths[] = { [CH_U8] = 1, [CH_U32] = 4, [CH_I64] = 8, [CH_ID] = CH_ID_LEN };
    size_t len;

    if (t == CH_STRING)
        ch_get_string(r, &len);
    else
        wire_take(r, lengths[t]);
}
