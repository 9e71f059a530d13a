/* agent/io/ctl_listener_priv.h - what the files of the TWAMP-Control server share: ctl_listener.c (sockets,
 * limits, life), ctl_conn.c (one connection), ctl_reflectors.c (sessions at the workers). */
#ifndef TW_AGENT_CTL_LISTENER_PRIV_H
#define TW_AGENT_CTL_LISTENER_PRIV_H

#include "agent/io/ctl_listener.h"
#include "agent/io/ctl_random.h"
#include "common/log.h"

struct ctl_conn {
    struct ctl_listener *l;
    struct ctl_conn *next, **link; /* link: the pointer that points here */
    struct loop_watch watch;
    struct loop_timer timer;
    struct tw_addr local, peer;
    struct ctl_server *server;
    uint8_t *out; /* not written yet */
    size_t out_len;
    bool closed;    /* by the server's CTL_CLOSE: what is in `out` still goes out */
    bool lingering; /* ours is shut, theirs is read until it ends */
    bool gone;      /* nothing more can be read or written */
    bool guessed;   /* its login failed: it counts as a handshake until its timer fires, `over` */
    bool over;
};

/* One session at a worker. It may outlive its connection, for the timeout after its stop. */
struct ctl_reflector {
    struct ctl_reflector *next;
    struct ctl_conn *conn; /* NULL: gone */
    struct tw_addr peer;   /* of the connection, which may be gone */
    uint32_t id;           /* by which the connection's server knows it */
    unsigned worker;
    uint64_t worker_id;
    enum { CTL_NOTHING, CTL_TO_START, CTL_TO_STOP, CTL_TO_DROP } todo; /* the worker was busy */
    bool to_start_first;
};

struct ctl_socket {
    struct ctl_listener *l;
    struct loop_watch watch;
    struct tw_addr local;
};

struct ctl_listener {
    struct ctl_listener_cfg cfg;
    uint64_t start_ntp;
    struct ctl_socket sockets[CTL_LISTEN_MAX];
    size_t n_sockets;
    struct loop_timer pause; /* accepting, when descriptors have run out */
    bool paused;
    struct ctl_conn *conns;
    struct ctl_reflector *reflectors;
    struct loop_timer retry;
    unsigned next_worker;
    struct ctl_listener_counters n;
    struct source_limit *connects; /* NULL: no limit */
    struct log_limit refused, logins, sessions, ends;
};

/* ctl_conn.c. Takes over fd, on failure, too. */
void ctl_conn_new(struct ctl_listener *l, int fd, const struct tw_addr *peer);
void ctl_conn_free(struct ctl_conn *c);
bool ctl_conn_is_handshaking(const struct ctl_conn *c);
void ctl_conn_session_ended(struct ctl_conn *c, uint32_t id); /* may free it */

/* ctl_reflectors.c */
enum ctl_accept ctl_reflectors_open(struct ctl_conn *c, uint32_t id, const struct ctl_session *s,
                                    uint16_t *ret_port);
void ctl_reflectors_start(struct ctl_conn *c, uint32_t id);
void ctl_reflectors_stop(struct ctl_conn *c, uint32_t id);
void ctl_reflectors_drop(struct ctl_conn *c, uint32_t id);
/* The connection goes; what was stopped goes on. */
void ctl_reflectors_leave(struct ctl_conn *c);
void ctl_reflectors_take_ends(struct ctl_listener *l);
void ctl_reflectors_free(struct ctl_listener *l);
void ctl_reflectors_retry(struct loop_timer *t);

bool ctl_is_same_host(const struct tw_addr *a, const struct tw_addr *b);

#endif
