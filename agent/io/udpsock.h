/* agent/io/udpsock.h - UDP sockets for measuring: what the kernel knows about each datagram (receive time,
 * TTL, TOS, the address it came to, drops) comes with it, and batches go in and out with one system call.
 * IPv4 and IPv6 are separate sockets. No allocation after the *_new() and udp_open() calls. Not thread-safe:
 * one owner each. */
#ifndef TW_AGENT_UDPSOCK_H
#define TW_AGENT_UDPSOCK_H

#include <stdbool.h>
#include <stdint.h>
#include "common/addr.h"
#include "common/clk.h"
#include "common/stats.h"

#define UDP_INTERFACE 16 /* octets of an interface name, with its end */

struct udp_conf {
    struct tw_addr local; /* family 4 or 6; all-zero address: any; port 0: the kernel chooses */
    bool reuse_port;      /* several sockets of ours share the port (SO_REUSEPORT) */
    bool want_to;         /* report the local address of each datagram */
    int rcvbuf_bytes;     /* asked for; the kernel may give less without CAP_NET_ADMIN */
    bool df;              /* Don't Fragment: what is longer than the path's MTU is refused (EMSGSIZE).
                           * Else routers may fragment, and so does this host. */
    bool hw_times; /* of network cards, too, where they have been switched on (phc.h) */
    char interface[UDP_INTERFACE]; /* in and out by this one only (SO_BINDTODEVICE); "" = any */
};

struct udpsock {
    int fd; /* nonblocking, for epoll */
    struct tw_addr local;
    bool any;       /* bound to any address */
    uint32_t ovfl;  /* SO_RXQ_OVFL as last reported */
    uint64_t drops; /* not yet taken by udp_take_drops() */
    /* udp_stamp.c's own: */
    bool stamps_unsure, hw_times;
    uint32_t stamp_next;
    struct tw_mono stamp_rest;
};

/* Packets leave with TTL / hop limit 255. On failure *ret is left alone and *err says what to do: TW_EINUSE,
 * TW_EPERM, TW_EINVAL (no such address or interface here), TW_EIO. */
enum tw_rc udp_open(const struct udp_conf *conf, struct udpsock *ret, struct tw_err *err);
/* TW_EINUSE if any socket of this host has the address and port, even one that would share it. */
enum tw_rc udp_check_free(const struct tw_addr *local, struct tw_err *err);
void udp_close(struct udpsock *s);
/* Datagrams that the kernel dropped because the buffer was full, since the last call. */
uint64_t udp_take_drops(struct udpsock *s);

/* ---- Receiving
 * ---------------------------------------------------------------------------------------------- */

struct udp_rx; /* buffers for one batch; may serve many sockets in turn */

struct udp_in {
    struct tw_addr from, to; /* to: family 0 if not asked for; its port is 0 */
    struct tw_wall time;
    enum tw_ts_source source; /* TW_TS_KERNEL, or TW_TS_USER: read after the batch came */
    int64_t phc_ns;           /* when the card received it, by the card's clock; 0 = not known */
    uint32_t phc_interface;   /* whose card that is; 0 = not known */
    int16_t ttl, tos;         /* -1 = not known */
    bool truncated;           /* longer than the buffer */
    const uint8_t *data;      /* valid until the next udp_rx_recv() */
    size_t len;
};

enum tw_rc udp_rx_new(unsigned batch, size_t datagram_bytes, struct udp_rx **ret);
void udp_rx_free(struct udp_rx *rx);
/* Takes what is there, at most a batch; 0 = nothing. */
unsigned udp_rx_recv(struct udp_rx *rx, struct udpsock *s);
/* i < what udp_rx_recv() returned. */
void udp_rx_get(const struct udp_rx *rx, unsigned i, struct udp_in *ret);

/* ---- Sending
 * ------------------------------------------------------------------------------------------------ */

struct udp_tx; /* messages on their way into one sendmmsg() */

struct udp_dest {
    struct tw_addr to;
    struct tw_addr from; /* source address; family 0: the kernel chooses */
    uint8_t tos, ttl;    /* ttl 0 = 255 */
    bool want_txstamp;   /* only after udp_txstamp_ready() */
    bool want_hw_time;   /* the card's, too */
};

enum tw_rc udp_tx_new(unsigned batch, size_t datagram_bytes, struct udp_tx **ret);
void udp_tx_free(struct udp_tx *tx);
unsigned udp_tx_len(const struct udp_tx *tx);
bool udp_tx_full(const struct udp_tx *tx);
/* Buffer of message i; i == udp_tx_len() is the one to fill before udp_tx_add(). */
uint8_t *udp_tx_buf(const struct udp_tx *tx, unsigned i);
/* Not when full. */
void udp_tx_add(struct udp_tx *tx, size_t len, const struct udp_dest *d);
/* Hands all to the kernel, skipping those it refuses; returns how many it refused. udp_tx_error() tells which
 * until udp_tx_clear(). A full send buffer is a refusal too (EAGAIN): a probe that waits is worth nothing. */
unsigned udp_tx_send(struct udp_tx *tx, struct udpsock *s);
int udp_tx_error(const struct udp_tx *tx, unsigned i); /* errno, 0 = sent */
void udp_tx_clear(struct udp_tx *tx);

/* ---- When a datagram left, and errors
 * ------------------------------------------------------------------------ */

/* The kernel's time of handing a datagram to the device, for those that ask. It comes later, by the socket's
 * error queue, or never: the queue is bounded by the receive buffer, and not every device tells. */
struct udp_txstamp {
    uint32_t id;
    struct tw_wall time;
    bool hardware; /* the card's: time is by the card's clock, and comes besides the kernel's */
};

/* May datagrams ask now? Not for a second after one that asked could not be sent: whether the kernel has numbered that one is not known. */
bool udp_txstamp_ready(struct udpsock *s, struct tw_mono now);
/* By which id message i will be told of, until udp_tx_clear(). false: it did not ask, was not sent, or its
 * number is not certain. Ids wrap. */
bool udp_tx_stamp_id(const struct udp_tx *tx, unsigned i, uint32_t *ret);
/* For EPOLLERR: takes what is in the error queue, at most `cap` send times and a bounded number of other
 * things, which are let go of (ICMP errors say nothing about a single probe). What is left makes epoll call
 * again. Returns how many send times there are; ret may be NULL when cap is 0: then they are let go of too.
 */
unsigned udp_take_errors(struct udpsock *s, struct udp_txstamp *ret, unsigned cap);

#endif
