/* common/utf8.h - is this text UTF-8? RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF.
 * Pure. */
#ifndef TW_COMMON_UTF8_H
#define TW_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the well-formed sequence at s, 0 if it is none; of NUL it is 1. The text ends with NUL. */
static inline size_t tw_utf8_len(const unsigned char *s)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : 0;
    unsigned char lo = 0x80, hi = 0xbf;

    if (s[0] >= 0xf0 && s[0] < 0xf5)
        n = 4;
    if (s[0] == 0xe0)
        lo = 0xa0; /* overlong */
    if (s[0] == 0xed)
        hi = 0x9f; /* surrogates */
    if (s[0] == 0xf0)
        lo = 0x90;
    if (s[0] == 0xf4)
        hi = 0x8f;
    for (size_t i = 1; i < n; i++, lo = 0x80, hi = 0xbf)
        if (s[i] < lo || s[i] > hi) /* also stops at the terminating NUL */
            return 0;
    return n;
}

static inline bool tw_utf8_ok(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n;

    for (; *s; s += n) {
        n = tw_utf8_len(s);
        if (!n)
            return false;
    }
    return true;
}

#endif
