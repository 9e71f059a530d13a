#include "common/prefix.h"

#include <stdlib.h>
#include <string.h>

static bool parse_len(const char *text, unsigned max, uint8_t *ret)
{
    unsigned v = 0;

    if (!*text || strlen(text) > 3)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        v = v * 10 + (unsigned)(*text - '0');
    }
    *ret = (uint8_t)v;
    return v <= max;
}

static uint8_t mask_at(unsigned octet, unsigned len)
{
    unsigned bits = len > octet * 8 ? len - octet * 8 : 0;

    return (uint8_t)(bits >= 8 ? 0xff : 0xff00 >> bits);
}

enum tw_rc tw_prefix_parse(const char *text, struct tw_prefix *ret)
{
    char address[TW_ADDR_TEXT];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    struct tw_prefix p = { 0 };
    struct tw_addr a;
    unsigned mapped;

    if (n >= sizeof address)
        return TW_EINVAL;
    memcpy(address, text, n);
    address[n] = '\0';
    if (tw_addr_parse(address, 0, &a) || a.port || a.scope || strchr(address, '['))
        return TW_EINVAL;
    mapped = a.family == 4 && strchr(address, ':') ? 96 : 0; /* ::ffff:192.0.2.0/120 */
    p.family = a.family;
    p.len = (uint8_t)((a.family == 4 ? 32 : 128) + mapped);
    memcpy(p.ip, a.ip, sizeof p.ip);
    if ((slash && !parse_len(slash + 1, p.len, &p.len)) || p.len < mapped)
        return TW_EINVAL;
    p.len = (uint8_t)(p.len - mapped);
    for (unsigned i = 0; i < sizeof p.ip; i++)
        if (p.ip[i] & ~mask_at(i, p.len))
            return TW_EINVAL;
    *ret = p;
    return TW_OK;
}

bool tw_prefix_contains(const struct tw_prefix *p, const struct tw_addr *a)
{
    if (a->family != p->family)
        return false;
    for (unsigned i = 0; i * 8 < p->len; i++)
        if ((a->ip[i] & mask_at(i, p->len)) != p->ip[i])
            return false;
    return true;
}
