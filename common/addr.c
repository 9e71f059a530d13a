/* common/addr.c - see addr.h. */
#include "common/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum tw_rc parse_port(const char *text, uint16_t *ret)
{
    char *end;
    unsigned long v;

    if (*text < '0' || *text > '9')
        return TW_EINVAL;
    v = strtoul(text, &end, 10);
    if (*end || v > 65535)
        return TW_EINVAL;
    *ret = (uint16_t)v;
    return TW_OK;
}

/* Parses the address part alone; an empty one means any IPv4 address. */
static enum tw_rc parse_ip(const char *text, struct tw_addr *a)
{
    struct in6_addr v6;

    if (!*text || inet_pton(AF_INET, text, a->ip) == 1) {
        a->family = 4;
        return TW_OK;
    }
    if (inet_pton(AF_INET6, text, &v6) != 1)
        return TW_EINVAL;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
        a->family = 4;
        memcpy(a->ip, v6.s6_addr + 12, 4);
        return TW_OK;
    }
    a->family = 6;
    memcpy(a->ip, v6.s6_addr, 16);
    return TW_OK;
}

/* Splits "%eth0" or "%3" off an IPv6 address. */
static enum tw_rc take_scope(char *ip, uint32_t *ret)
{
    char *pct = strchr(ip, '%');

    *ret = 0;
    if (!pct)
        return TW_OK;
    *pct++ = '\0';
    *ret = if_nametoindex(pct);
    if (!*ret)
        *ret = (uint32_t)strtoul(pct, NULL, 10);
    return *ret ? TW_OK : TW_EINVAL;
}

enum tw_rc tw_addr_parse(const char *text, uint16_t dflt_port, struct tw_addr *ret)
{
    struct tw_addr a = { .port = dflt_port };
    char ip[TW_ADDR_TEXT];
    const char *port = NULL;
    size_t len = strlen(text);

    if (!len || len >= sizeof ip)
        return TW_EINVAL;
    memcpy(ip, text, len + 1);
    if (ip[0] == '[') {
        char *end = strchr(ip, ']');
        if (!end || (end[1] && end[1] != ':'))
            return TW_EINVAL;
        *end = '\0';
        port = end[1] ? end + 2 : NULL;
        memmove(ip, ip + 1, (size_t)(end - ip));
        if (!strchr(ip, ':'))
            return TW_EINVAL;
    } else if (strchr(ip, ':') && strchr(ip, ':') == strrchr(ip, ':')) {
        char *colon = strchr(ip, ':');
        *colon = '\0';
        port = colon + 1;
    }
    if (port && parse_port(port, &a.port) != TW_OK)
        return TW_EINVAL;
    if (take_scope(ip, &a.scope) != TW_OK || parse_ip(ip, &a) != TW_OK)
        return TW_EINVAL;
    *ret = a;
    return TW_OK;
}

const char *tw_addr_format_ip(const struct tw_addr *a, char buf[TW_ADDR_TEXT])
{
    if (!a->family || !inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, buf, TW_ADDR_TEXT))
        buf[0] = '\0';
    if (a->scope) {
        size_t len = strlen(buf);
        snprintf(buf + len, TW_ADDR_TEXT - len, "%%%u", a->scope);
    }
    return buf;
}

const char *tw_addr_format(const struct tw_addr *a, char buf[TW_ADDR_TEXT])
{
    char ip[TW_ADDR_TEXT];

    tw_addr_format_ip(a, ip);
    snprintf(buf, TW_ADDR_TEXT, a->family == 6 ? "[%.60s]:%u" : "%.60s:%u", ip, a->port);
    return buf;
}

enum tw_rc tw_addr_from_sockaddr(const struct sockaddr *sa, struct tw_addr *ret)
{
    struct tw_addr a = { 0 };

    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
        a.family = 4;
        a.port = ntohs(in->sin_port);
        memcpy(a.ip, &in->sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
        a.port = ntohs(in6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            a.family = 4;
            memcpy(a.ip, in6->sin6_addr.s6_addr + 12, 4);
        } else {
            a.family = 6;
            a.scope = in6->sin6_scope_id;
            memcpy(a.ip, in6->sin6_addr.s6_addr, 16);
        }
    } else {
        return TW_EINVAL;
    }
    *ret = a;
    return TW_OK;
}

socklen_t tw_addr_to_sockaddr(const struct tw_addr *a, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (a->family == 6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(a->port);
        in6->sin6_scope_id = a->scope;
        memcpy(in6->sin6_addr.s6_addr, a->ip, 16);
        return sizeof *in6;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)ret;
    in->sin_family = AF_INET;
    in->sin_port = htons(a->port);
    memcpy(&in->sin_addr, a->ip, 4);
    return sizeof *in;
}

bool tw_addr_is_loopback(const struct tw_addr *a)
{
    static const uint8_t v6[16] = { [15] = 1 };

    return a->family == 4 ? a->ip[0] == 127 : !memcmp(a->ip, v6, sizeof v6);
}
