#include "common/base64url.h"
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *base64url_encode(const uint8_t in[BASE64URL_OCTETS], char to[BASE64URL_CHARS + 1])
{
    uint32_t bits = 0;
    unsigned have = 0;

    for (size_t i = 0; i < BASE64URL_OCTETS; i++) {
        bits = bits << 8 | in[i];
        for (have += 8; have >= 6; have -= 6)
            *to++ = alphabet[bits >> (have - 6) & 63];
    }
    *to++ = alphabet[bits << (6 - have) & 63];
    *to = '\0';
    return to;
}

/* What is left over of the last character must be zero. */
bool base64url_decode(const char *in, uint8_t ret[BASE64URL_OCTETS])
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;

    for (size_t i = 0; i < BASE64URL_CHARS; i++) {
        const char *at = in[i] ? strchr(alphabet, in[i]) : NULL;

        if (!at)
            return false;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            ret[n++] = (uint8_t)(bits >> have);
        }
    }
    return !(bits & ((1u << have) - 1));
}
