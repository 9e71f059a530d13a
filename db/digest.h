/* db/digest.h - a checksum against accidents of disks and memory: a database tells a page that is no page
 * from one that is, and not an altered octet within a value. No protection from anybody who means it. */
#ifndef TW_DB_DIGEST_H
#define TW_DB_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t digest_mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Of octets, begun with any number that belongs to them. */
static inline uint64_t digest_of(uint64_t begin, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t h = digest_mix(begin + len * UINT64_C(0x9e3779b97f4a7c15)), part;

    for (; len >= sizeof part; p += sizeof part, len -= sizeof part) {
        memcpy(&part, p, sizeof part);
        h = digest_mix(h ^ part) + UINT64_C(0x9e3779b97f4a7c15);
    }
    part = 0;
    if (len)
        memcpy(&part, p, len);
    return digest_mix(h ^ part);
}

/* As it is stored; 0 is for "there is none", as in rows of programs that knew of no digests. */
static inline int64_t digest_stored(uint64_t h)
{
    return h ? (int64_t)h : 1;
}

#endif
