/* common/fnv1a.h - FNV-1a, 64 bit: tells texts apart where nobody gains from two that look alike. Pure. */
#ifndef TW_COMMON_FNV1A_H
#define TW_COMMON_FNV1A_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TW_FNV1A_INIT UINT64_C(0xcbf29ce484222325)

/* h: TW_FNV1A_INIT, or what came out for what stands before it. */
static inline uint64_t tw_fnv1a(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static inline uint64_t tw_fnv1a_text(const char *text)
{
    return tw_fnv1a(TW_FNV1A_INIT, text, strlen(text));
}

#endif
