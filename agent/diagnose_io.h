/* agent/diagnose_io.h - the sockets of diagnose.c: packets with a token and what ICMP says of them, TCP
 * connections that are only tried, names. Loop thread only; nothing here blocks it but diag_lookup_free(). */
#ifndef TW_AGENT_DIAGNOSE_IO_H
#define TW_AGENT_DIAGNOSE_IO_H

#include <pthread.h>
#include "agent/core/diag.h"
#include "common/addr.h"
#include "common/net/loop.h"

#define DIAG_REASON 160

/* ---- UDP ---- */

struct diag_icmp {
    bool six;
    uint8_t type, code;
    uint32_t mtu; /* told by "packet too big" */
    struct tw_addr from;
};

/* Packets of one size. Numbers go on from set to set. */
#define DIAG_SET_MAX 16
struct diag_set {
    enum diag_kind kind;
    uint32_t size; /* UDP payload */
    uint32_t first_seq;
    unsigned wanted, tried, sent, received, elsewhere, icmp_count;
    bool answered[DIAG_SET_MAX];
    int64_t sent_ns[DIAG_SET_MAX], rtt_min_ns; /* 0: no answer */
    struct tw_addr elsewhere_from;
    int send_errno;        /* of the last that this host refused to send */
    bool too_long;         /* EMSGSIZE */
    struct diag_icmp icmp; /* the last one, if icmp_count */
};

struct diag_sock {
    struct loop *loop;
    int fd; /* -1 = closed */
    struct loop_watch watch;
    struct tw_addr to, local;
    uint64_t token;
    bool stamp;
    struct diag_set *set;    /* that answers are counted in */
    void (*news)(void *ctx); /* an answer or an error came */
    void *ctx;
};
/* bind: source address or interface; "" = by routing. *err says what is wrong. */
enum tw_rc diag_sock_open(struct diag_sock *s, struct loop *loop, const struct tw_addr *to, const char *bind,
                          uint8_t dscp, struct tw_err *err);
void diag_sock_close(struct diag_sock *s);
/* Makes the set the present one. fragment: routers may (IPv4), and so may this host. */
void diag_set_begin(struct diag_sock *s, struct diag_set *set, enum diag_kind kind, uint32_t size,
                    unsigned wanted, bool fragment);
/* The next packet of the set; false: this host refuses. */
bool diag_send(struct diag_sock *s);
/* Octets of the largest IP packet that the interface takes which leads there; 0 = not known. */
uint32_t diag_local_mtu(const struct diag_sock *s);
/* Octets that IP and UDP put before the payload. */
static inline uint32_t diag_overhead(const struct tw_addr *a)
{
    return a->family == 6 ? 48 : 28;
}

/* ---- TCP ---- */

enum diag_connected { DIAG_TRYING, DIAG_SPOKEN, DIAG_MUTE, DIAG_REFUSED, DIAG_TIMEOUT, DIAG_UNREACHABLE };
struct diag_connect {
    struct loop *loop;
    int fd;
    struct loop_watch watch;
    struct loop_timer timer;
    enum diag_connected state;
    int64_t began_ns, took_ns; /* until it was connected */
    char why[DIAG_REASON];
    uint8_t heard[64]; /* the first that the other end said */
    size_t n_heard;
    void (*done)(void *ctx); /* the state is no longer DIAG_TRYING; not from inside diag_connect_start() */
    void *ctx;
};
/* Connects, and waits a moment for the other end to speak first. TW_OK: done() will come. */
enum tw_rc diag_connect_start(struct diag_connect *c, struct loop *loop, const struct tw_addr *to);
void diag_connect_close(struct diag_connect *c);

/* ---- Names ---- */

#define DIAG_ADDRESSES 8
struct diag_lookup {
    struct loop_task task; /* first */
    pthread_t thread;
    bool started, finished; /* by the loop's count */
    char host[256];
    uint8_t family; /* 0 = any */
    struct tw_addr addresses[DIAG_ADDRESSES];
    size_t n;
    char error[DIAG_REASON]; /* "": there are addresses */
    int64_t took_ns;
    struct loop *loop;
    void (*done)(struct diag_lookup *l);
    void *ctx; /* the caller's */
};
/* By a thread of its own, which asks each name server once for a second. done() on the loop thread. */
enum tw_rc diag_lookup_start(struct loop *loop, const char *host, uint8_t family,
                             void (*done)(struct diag_lookup *l), void *ctx, struct diag_lookup **ret);
/* Waits for the thread. */
void diag_lookup_free(struct diag_lookup *l);

#endif
