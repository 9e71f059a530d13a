/* agent/xdp/xdp_reflect.h - loads the reflector that answers in the network driver (reflect.bpf.c), tells it
 * what it needs to know, and reads what it counted. It answers the common packets; all others come to the
 * sockets as ever, so it may fail to start, or go at any moment, and only speed is lost. Linux 6.1 or newer,
 * a driver with native XDP, CAP_NET_ADMIN and CAP_BPF. Loop thread only. Built with -DTW_XDP=ON (clang,
 * libbpf); else xdp_reflect_open() says that it was not. */
#ifndef TW_AGENT_XDP_REFLECT_H
#define TW_AGENT_XDP_REFLECT_H

#include "agent/core/reflect.h"
#include "common/addr.h"

struct xdp_reflect;

struct xdp_reflect_cfg {
    const char *interface;
    const struct tw_addr *reflect; /* where the sockets listen; all with the same port */
    size_t n_reflect;
    struct reflect_cfg
        rules; /* max_sessions, refwait, restart_gap, port, stateless, acl */
    int64_t per_second, burst; /* of one source, as struct source_limit_cfg; 0: no limit */
};

/* Copies *cfg. TW_EINVAL: no such interface, or the kernel or the driver cannot; TW_EPERM; *err says it in
 * words. */
enum tw_rc xdp_reflect_open(const struct xdp_reflect_cfg *cfg, struct xdp_reflect **ret, struct tw_err *err);
/* Another rate and burst of one source; from the next xdp_reflect_tick() on. x NULL: nothing. */
void xdp_reflect_set_rate(struct xdp_reflect *x, int64_t per_second, int64_t burst);
/* Another access list. What cannot be told to the driver is left to the sockets. */
enum tw_rc xdp_reflect_set_acl(struct xdp_reflect *x, struct acl *acl);
/* Takes the program off the interface. NULL: nothing. */
void xdp_reflect_close(struct xdp_reflect *x);
/* To be called once a second: the clock's state for Error Estimates, addresses that came and went, silent
 * senders. */
void xdp_reflect_tick(struct xdp_reflect *x, const struct tw_clock_state *c);

struct xdp_reflect_counters {
    uint64_t reflected, reflected_stamp, sessions;
    uint64_t rate_limited;
};
/* NULL: zeroes. */
void xdp_reflect_counters(const struct xdp_reflect *x, struct xdp_reflect_counters *ret);

#endif
