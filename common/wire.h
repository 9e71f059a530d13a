/* common/wire.h - cursors over bytes, big-endian. A cursor remembers the first overrun in `bad`, so a codec
 * follows the RFC diagram top to bottom and checks once at the end. Pure. Inline: these are on the packet path. */
#ifndef TW_COMMON_WIRE_H
#define TW_COMMON_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct wire_rd {
    const uint8_t *p, *end;
    bool bad;
};
struct wire_wr {
    uint8_t *p, *end;
    bool bad;
};

/* Steps over n octets and returns their start; past the end: NULL, sets bad, does not move. */
static inline const uint8_t *wire_take(struct wire_rd *r, size_t n)
{
    const uint8_t *at = r->p;

    if (r->bad || (size_t)(r->end - r->p) < n) {
        r->bad = true;
        return NULL;
    }
    r->p += n;
    return at;
}
static inline uint64_t wire_get_be(struct wire_rd *r, unsigned n)
{
    const uint8_t *p = wire_take(r, n);
    uint64_t v = 0;

    for (unsigned i = 0; p && i < n; i++)
        v = v << 8 | p[i];
    return v;
}
static inline uint8_t wire_get_u8(struct wire_rd *r)
{
    return (uint8_t)wire_get_be(r, 1);
}
static inline uint16_t wire_get_u16(struct wire_rd *r)
{
    return (uint16_t)wire_get_be(r, 2);
}
static inline uint32_t wire_get_u32(struct wire_rd *r)
{
    return (uint32_t)wire_get_be(r, 4);
}
static inline uint64_t wire_get_u64(struct wire_rd *r)
{
    return wire_get_be(r, 8);
}
/* LEB128, at most 10 octets; a longer or overflowing one sets bad. */
static inline uint64_t wire_get_varint(struct wire_rd *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = wire_get_u8(r);
        if (r->bad)
            return 0;
        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    r->bad = true;
    return 0;
}
static inline int64_t wire_get_zigzag(struct wire_rd *r)
{
    uint64_t v = wire_get_varint(r);

    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* Reserves n octets and returns their start; past the end: NULL, sets bad, does not move. */
static inline uint8_t *wire_room(struct wire_wr *w, size_t n)
{
    uint8_t *at = w->p;

    if (w->bad || (size_t)(w->end - w->p) < n) {
        w->bad = true;
        return NULL;
    }
    w->p += n;
    return at;
}
static inline void wire_put_be(struct wire_wr *w, uint64_t v, unsigned n)
{
    uint8_t *p = wire_room(w, n);

    for (unsigned i = 0; p && i < n; i++)
        p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}
static inline void wire_put_u8(struct wire_wr *w, uint8_t v)
{
    wire_put_be(w, v, 1);
}
static inline void wire_put_u16(struct wire_wr *w, uint16_t v)
{
    wire_put_be(w, v, 2);
}
static inline void wire_put_u32(struct wire_wr *w, uint32_t v)
{
    wire_put_be(w, v, 4);
}
static inline void wire_put_u64(struct wire_wr *w, uint64_t v)
{
    wire_put_be(w, v, 8);
}
static inline void wire_put_bytes(struct wire_wr *w, const void *data, size_t n)
{
    uint8_t *p = wire_room(w, n);

    if (p && n)
        memcpy(p, data, n);
}
static inline void wire_put_zero(struct wire_wr *w, size_t n)
{
    uint8_t *p = wire_room(w, n);

    if (p && n)
        memset(p, 0, n);
}
static inline void wire_put_varint(struct wire_wr *w, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        wire_put_u8(w, (uint8_t)(v | 0x80));
    wire_put_u8(w, (uint8_t)v);
}
static inline void wire_put_zigzag(struct wire_wr *w, int64_t v)
{
    wire_put_varint(w, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

#endif
