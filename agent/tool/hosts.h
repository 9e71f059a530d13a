/* agent/tool/hosts.h - where to send to and from, as people type it: "192.0.2.1", "192.0.2.1:20001",
 * ":20001",
 * "[2001:db8::1]:20001", "2001:db8::1", "host", "host:20001". Names are looked up once, before the first
 * packet: never while something is timed. */
#ifndef TW_AGENT_TOOL_HOSTS_H
#define TW_AGENT_TOOL_HOSTS_H

#include <stdbool.h>
#include "common/addr.h"

struct host_spec {
    char name[256]; /* address or name; "" = any address */
    uint16_t port;
    bool port_given;
};

/* TW_EINVAL: no such form. */
enum tw_rc host_parse(const char *text, uint16_t dflt_port, struct host_spec *ret, struct tw_err *err);

/* Looks a name up: writes up to cap addresses, the best first, without port. TW_ENOENT: there is none. */
typedef enum tw_rc (*host_lookup_fn)(const char *name, struct tw_addr *ret, size_t cap, size_t *ret_n,
                                     struct tw_err *err);
/* The system's way: /etc/hosts, DNS. */
enum tw_rc host_lookup(const char *name, struct tw_addr *ret, size_t cap, size_t *ret_n, struct tw_err *err);

/* One call of `lookup` at most, none for numeric addresses. family: 4, 6, 0 = whatever comes first. An empty
 * name is the any-address of the family (IPv4 for 0). */
enum tw_rc host_resolve(const struct host_spec *h, uint8_t family, host_lookup_fn lookup, struct tw_addr *ret,
                        struct tw_err *err);

/* Both ends of a run, of the same family. */
struct host_pair {
    struct tw_addr remote, local;
    char target[300]; /* the remote as it was typed, with its port */
};
enum tw_rc host_resolve_pair(const struct host_spec *remote, const struct host_spec *local,
                             host_lookup_fn lookup, struct host_pair *ret, struct tw_err *err);

#endif
