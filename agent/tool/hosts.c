/* agent/tool/hosts.c - see hosts.h. */
#include "agent/tool/hosts.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKUP_MAX = 16 };

/* ---- Forms ---- */

static bool read_port(const char *text, uint16_t *ret)
{
    char *end;
    unsigned long v;

    if (*text < '0' || *text > '9')
        return false;
    v = strtoul(text, &end, 10);
    if (*end || v > 65535)
        return false;
    *ret = (uint16_t)v;
    return true;
}

static bool is_name(const char *s)
{
    if (!*s || *s == '-' || *s == '.')
        return false;
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == strlen(s);
}

/* What stands before the port, and the port, NULL = none. `copy` is changed. */
static bool split(char *copy, char **ret_name, char **ret_port)
{
    char *colon = strchr(copy, ':'), *end;

    *ret_name = copy;
    *ret_port = NULL;
    if (copy[0] == '[') {
        end = strchr(copy, ']');
        if (!end || (end[1] && end[1] != ':'))
            return false;
        *end = '\0';
        *ret_name = copy + 1;
        *ret_port = end[1] ? end + 2 : NULL;
        return strchr(copy + 1, ':') != NULL;
    }
    if (!colon || strchr(colon + 1, ':')) /* no port, or an IPv6 address alone */
        return true;
    *colon = '\0';
    *ret_port = colon + 1;
    return true;
}

enum tw_rc host_parse(const char *text, uint16_t dflt_port, struct host_spec *ret, struct tw_err *err)
{
    struct host_spec h = { .port = dflt_port };
    char copy[256], *name, *port;
    struct tw_addr numeric;
    bool ok = strlen(text) < sizeof copy;

    if (ok) {
        strcpy(copy, text);
        ok = split(copy, &name, &port) && (!port || read_port(port, &h.port));
    }
    if (ok && *name)
        ok = strchr(name, ':') ? tw_addr_parse(name, 0, &numeric) == TW_OK : is_name(name);
    if (!ok)
        return tw_err_set(err, TW_EINVAL,
                          "\"%.80s\" is no address; expected 192.0.2.1, 192.0.2.1:%u, :%u, 2001:db8::1, "
                          "[2001:db8::1]:%u, or a name, name:%u",
                          text, dflt_port, dflt_port, dflt_port, dflt_port);
    strcpy(h.name, name);
    h.port_given = port != NULL;
    *ret = h;
    return TW_OK;
}

/* ---- Addresses ---- */

enum tw_rc host_lookup(const char *name, struct tw_addr *ret, size_t cap, size_t *ret_n, struct tw_err *err)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *list = NULL;
    size_t n = 0;
    int e = getaddrinfo(name, NULL, &hints, &list);

    if (e)
        return tw_err_set(err, TW_ENOENT, "cannot find the address of \"%.80s\": %s", name, gai_strerror(e));
    for (struct addrinfo *i = list; i && n < cap; i = i->ai_next)
        n += tw_addr_from_sockaddr(i->ai_addr, &ret[n]) == TW_OK;
    freeaddrinfo(list);
    *ret_n = n;
    return n ? TW_OK : tw_err_set(err, TW_ENOENT, "\"%.80s\" has no IP address", name);
}

static enum tw_rc pick(const char *name, const struct tw_addr *v, size_t n, uint8_t family,
                       struct tw_addr *ret, struct tw_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!family || v[i].family == family) {
            *ret = v[i];
            return TW_OK;
        }
    return tw_err_set(err, TW_EINVAL, "\"%.80s\" has no IPv%u address, but the other end has", name, family);
}

enum tw_rc host_resolve(const struct host_spec *h, uint8_t family, host_lookup_fn lookup, struct tw_addr *ret,
                        struct tw_err *err)
{
    struct tw_addr found[LOOKUP_MAX], a = { .family = family ? family : 4 };
    size_t n = 1;
    enum tw_rc rc = TW_OK;

    if (h->name[0]) {
        if (tw_addr_parse(h->name, 0, &found[0]) != TW_OK)
            rc = lookup(h->name, found, TW_NELEM(found), &n, err);
        if (rc == TW_OK)
            rc = pick(h->name, found, n, family, &a, err);
    }
    if (rc)
        return rc;
    a.port = h->port;
    *ret = a;
    return TW_OK;
}

static bool is_numeric(const char *name)
{
    struct tw_addr a;

    return *name && tw_addr_parse(name, 0, &a) == TW_OK;
}

enum tw_rc host_resolve_pair(const struct host_spec *remote, const struct host_spec *local,
                             host_lookup_fn lookup, struct host_pair *ret, struct tw_err *err)
{
    struct host_pair p = { .target = "" };
    struct host_spec to = *remote;
    uint8_t family = 0;
    enum tw_rc rc = TW_OK;

    if (!to.port)
        return tw_err_set(err, TW_EINVAL, "port 0 cannot be sent to");
    if (is_numeric(local->name)) { /* then the remote has to be of that family */
        rc = host_resolve(local, 0, lookup, &p.local, err);
        family = p.local.family;
    }
    if (!to.name[0]) /* ":20001": this host */
        strcpy(to.name, family == 6 ? "::1" : "127.0.0.1");
    if (rc == TW_OK)
        rc = host_resolve(&to, family, lookup, &p.remote, err);
    if (rc == TW_OK && !family)
        rc = host_resolve(local, p.remote.family, lookup, &p.local, err);
    if (rc)
        return rc;
    snprintf(p.target, sizeof p.target, strchr(to.name, ':') ? "[%s]:%u" : "%s:%u", to.name, to.port);
    *ret = p;
    return TW_OK;
}
