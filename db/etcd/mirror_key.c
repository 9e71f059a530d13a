#include "db/etcd/mirror_key.h"

#include <stdint.h>
#include <string.h>

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-~";
static const char digits[] = "0123456789ABCDEF";

size_t mirror_key_add(char *to, size_t cap, size_t len, bool first, const char *part)
{
    if (!first && len + 1 < cap)
        to[len++] = '/';
    for (; *part; part++) {
        unsigned char c = (unsigned char)*part;
        bool escape = !strchr(plain, c);
        if (len + (escape ? 3 : 1) >= cap)
            return SIZE_MAX;
        if (!escape) {
            to[len++] = (char)c;
            continue;
        }
        to[len++] = '%';
        to[len++] = digits[c >> 4];
        to[len++] = digits[c & 15];
    }
    if (len >= cap)
        return SIZE_MAX;
    to[len] = '\0';
    return len;
}

static bool take_digit(char c, unsigned *v)
{
    const char *at = c ? strchr(digits, c) : NULL;

    if (at)
        *v = *v * 16 + (unsigned)(at - digits);
    return at != NULL;
}

static bool unescape(char *part)
{
    char *to = part;

    for (const char *p = part; *p; p++) {
        unsigned v = 0;
        if (*p != '%') {
            *to++ = *p;
            continue;
        }
        if (!take_digit(p[1], &v) || !take_digit(p[2], &v) || !v)
            return false;
        *to++ = (char)v;
        p += 2;
    }
    *to = '\0';
    return true;
}

bool mirror_key_parse(char *key, char **ret, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *slash = strchr(key, '/');
        if (!slash != (i == n - 1))
            return false;
        if (slash)
            *slash = '\0';
        if (!unescape(key))
            return false;
        ret[i] = key;
        key = slash + 1;
    }
    return true;
}
