/* agent/io/ctl_listener.h - the TWAMP-Control server on an event loop: takes connections at TCP 862 or
 * wherever it is told, runs one ctl_server each, and opens the reflectors of their sessions at the workers.
 * Loop thread only. RFC 5357 section 3; the limits are those of section 9 of RFC 4656 and ours.
 *
 * Everything a client can use up is bounded: connections in all and per address, handshakes going on (each
 * costs a PBKDF2), sessions per connection, per address and in all, octets waiting in either direction. What
 * is refused is counted, and its log lines are rationed. */
#ifndef TW_AGENT_CTL_LISTENER_H
#define TW_AGENT_CTL_LISTENER_H

#include "agent/core/twamp_ctl.h"
#include "agent/io/worker.h"

#define CTL_LISTEN_MAX 8
#define CTL_ACCEPTS (CTL_BUSY + 1)

struct ctl_listener_cfg {
    struct loop *loop;
    struct worker *const *workers; /* their reflectors take turns; they outlive the listener */
    size_t n_workers;
    struct tw_addr listen[CTL_LISTEN_MAX]; /* family 0 ends the list; port 0: the kernel chooses */
    uint32_t modes;                        /* offered; password modes only with `secret` */
    ctl_secret_fn secret;
    void *secret_ctx;
    struct acl *acl; /* whose connections are taken; it takes a hold of its own; NULL: everybody's */
    /* 0 = the value in brackets. */
    uint32_t connects_per_second; /* of one source, an IPv4 address or an IPv6 /64; 0: as many as it likes */
    uint32_t connects_burst;      /* at once after silence (a second's) */
    uint32_t count;               /* PBKDF2 rounds (2048) */
    uint32_t max_connections;     /* in all (1000) */
    uint32_t max_per_peer;        /* of one address; of IPv6, of one /64 (32) */
    uint32_t max_handshakes;      /* that have not logged in, or failed to in the last 2 s (100) */
    uint32_t max_sessions;        /* in all, those included that go on for their timeout (1000) */
    uint32_t max_conn_sessions;   /* of one connection (100) */
    uint32_t max_peer_sessions;   /* of one address (a quarter of max_sessions, but as many as of a
                                   * connection), those included whose connection has ended */
    uint32_t max_padding_bytes;   /* (as much as test packets of 9000 octets have) */
    int64_t servwait_ns;          /* (900 s) */
    int64_t refwait_ns;           /* (900 s) */
    int64_t handshake_ns;         /* (10 s) */
    int64_t max_timeout_ns;       /* how long a session may go on after its stop (60 s) */
    uint16_t port_low, port_high; /* test ports, inclusive; 0, 0 = the one asked for, else any */
};

struct ctl_listener;

/* TW_EINUSE, TW_EPERM, TW_EINVAL: *err says which address and what to do. */
enum tw_rc ctl_listener_start(const struct ctl_listener_cfg *cfg, struct ctl_listener **ret,
                              struct tw_err *err);
/* Another access list, for connections to come; takes a hold of its own. */
void ctl_listener_set_acl(struct ctl_listener *l, struct acl *acl);
/* Another connects_per_second. */
void ctl_listener_set_rate(struct ctl_listener *l, uint32_t connects_per_second);
/* Closes all connections; their sessions end at once. */
void ctl_listener_stop(struct ctl_listener *l);
/* Where address i of the list listens: tells the port that the kernel chose. TW_ENOENT. */
enum tw_rc ctl_listener_addr(const struct ctl_listener *l, size_t i, struct tw_addr *ret);
/* To be called by the workers' on_results(): takes the ends of reflectors. */
void ctl_listener_on_results(struct ctl_listener *l);

struct ctl_listener_counters {
    uint64_t connections, handshakes, sessions;                               /* now */
    uint64_t accepted, refused_connections, refused_peer, refused_handshakes; /* connections */
    uint64_t refused_acl, refused_rate;                                       /* the same */
    uint64_t closed[CTL_WHYS];
    uint64_t opened, started, ended;        /* sessions */
    uint64_t requests_refused[CTL_ACCEPTS]; /* by Accept value */
    struct reflect_counters reflected;      /* of the sessions that ended, together */
};
void ctl_listener_counters(const struct ctl_listener *l, struct ctl_listener_counters *ret);

#endif
