/* agent/io/udp_tx.c - sending batches, each message with its own destination, source, TOS and TTL; see
 * udpsock.h. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <linux/net_tstamp.h>
#include "agent/io/udp_addr.h"
#include "agent/io/udp_stamp.h"
#include "agent/io/udpsock.h"

/* TOS, TTL, send time, packet info. */
#define TX_CONTROL (3 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo)))

struct tx_slot {
    union udp_name name;
    _Alignas(struct cmsghdr) char control[TX_CONTROL];
    int error;
    bool want_stamp, stamped; /* stamped: stamp_id is valid */
    uint32_t stamp_id;
};

struct udp_tx {
    unsigned batch, n;
    bool want_stamps; /* any of the n does */
    size_t stride;
    struct mmsghdr *hdr;
    struct iovec *iov;
    struct tx_slot *slot;
    uint8_t *data;
};

enum tw_rc udp_tx_new(unsigned batch, size_t datagram_bytes, struct udp_tx **ret)
{
    struct udp_tx *tx = calloc(1, sizeof *tx);

    if (!tx)
        return TW_ENOMEM;
    tx->batch = batch;
    tx->stride = udp_stride(datagram_bytes);
    tx->hdr = calloc(batch, sizeof *tx->hdr);
    tx->iov = calloc(batch, sizeof *tx->iov);
    tx->slot = calloc(batch, sizeof *tx->slot);
    tx->data = aligned_alloc(UDP_CACHE_LINE, batch * tx->stride);
    if (!tx->hdr || !tx->iov || !tx->slot || !tx->data) {
        udp_tx_free(tx);
        return TW_ENOMEM;
    }
    for (unsigned i = 0; i < batch; i++) {
        tx->iov[i].iov_base = tx->data + i * tx->stride;
        tx->hdr[i].msg_hdr =
            (struct msghdr){ .msg_name = &tx->slot[i].name, .msg_iov = &tx->iov[i], .msg_iovlen = 1 };
    }
    *ret = tx;
    return TW_OK;
}

void udp_tx_free(struct udp_tx *tx)
{
    if (!tx)
        return;
    free(tx->hdr);
    free(tx->iov);
    free(tx->slot);
    free(tx->data);
    free(tx);
}

unsigned udp_tx_len(const struct udp_tx *tx)
{
    return tx->n;
}

bool udp_tx_full(const struct udp_tx *tx)
{
    return tx->n == tx->batch;
}

uint8_t *udp_tx_buf(const struct udp_tx *tx, unsigned i)
{
    return tx->data + i * tx->stride;
}

static socklen_t put_name(union udp_name *n, const struct tw_addr *a)
{
    if (a->family == 6) {
        n->in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
                                        .sin6_port = htons(a->port),
                                        .sin6_scope_id = a->scope };
        memcpy(&n->in6.sin6_addr, a->ip, 16);
        return sizeof n->in6;
    }
    n->in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(a->port) };
    memcpy(&n->in.sin_addr, a->ip, 4);
    return sizeof n->in;
}

static char *put_cmsg(char *at, int level, int type, const void *data, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)at;

    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), data, len);
    return at + CMSG_SPACE(len);
}

static char *put_int(char *at, int level, int type, int value)
{
    return put_cmsg(at, level, type, &value, sizeof value);
}

static char *put_from4(char *at, const struct tw_addr *from)
{
    struct in_pktinfo info = { 0 };

    memcpy(&info.ipi_spec_dst, from->ip, 4);
    return put_cmsg(at, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
}

static char *put_from6(char *at, const struct tw_addr *from)
{
    struct in6_pktinfo info = { .ipi6_ifindex = from->scope };

    memcpy(&info.ipi6_addr, from->ip, 16);
    return put_cmsg(at, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

/* Only what differs from the socket's own settings: TOS 0, TTL 255, source by routing. */
static size_t put_control(struct tx_slot *s, const struct udp_dest *d)
{
    bool six = d->to.family == 6;
    int level = six ? IPPROTO_IPV6 : IPPROTO_IP;
    char *at = s->control;

    if (d->tos)
        at = put_int(at, level, six ? IPV6_TCLASS : IP_TOS, d->tos);
    if (d->ttl && d->ttl != 255)
        at = put_int(at, level, six ? IPV6_HOPLIMIT : IP_TTL, d->ttl);
    if (d->from.family)
        at = six ? put_from6(at, &d->from) : put_from4(at, &d->from);
    if (d->want_txstamp)
        at = put_int(at, SOL_SOCKET, SO_TIMESTAMPING,
                     SOF_TIMESTAMPING_TX_SOFTWARE | (d->want_hw_time ? SOF_TIMESTAMPING_TX_HARDWARE : 0));
    return (size_t)(at - s->control);
}

void udp_tx_add(struct udp_tx *tx, size_t len, const struct udp_dest *d)
{
    struct tx_slot *s = &tx->slot[tx->n];
    struct msghdr *h = &tx->hdr[tx->n].msg_hdr;

    h->msg_namelen = put_name(&s->name, &d->to);
    h->msg_controllen = put_control(s, d);
    h->msg_control = h->msg_controllen ? s->control : NULL;
    tx->iov[tx->n].iov_len = len;
    s->error = 0;
    s->stamped = false;
    s->want_stamp = d->want_txstamp;
    tx->want_stamps |= d->want_txstamp;
    tx->n++;
}

/* An ICMP answer to something sent before, reported at the next call: says nothing about this message. */
static bool is_stale_error(int e)
{
    return e == ECONNREFUSED || e == EHOSTUNREACH;
}

/* The kernel numbers those that ask in the order in which it takes them. */
static void number_stamps(struct udp_tx *tx, unsigned from, unsigned n, struct udpsock *s)
{
    for (unsigned i = from; i < from + n; i++) {
        if (!tx->slot[i].want_stamp || s->stamps_unsure)
            continue;
        tx->slot[i].stamp_id = s->stamp_next++;
        tx->slot[i].stamped = true;
    }
    if (from + n < tx->n) /* the next one was tried and failed: it may go through at the second attempt */
        udp_stamps_unsure(s);
}

unsigned udp_tx_send(struct udp_tx *tx, struct udpsock *s)
{
    unsigned at = 0, failed = 0;
    bool retried = false;

    while (at < tx->n) {
        /* Stops early at a message that fails; that message's errno comes when it is the first of a call. */
        int n = sendmmsg(s->fd, tx->hdr + at, tx->n - at, MSG_DONTWAIT), e = errno;

        if (n > 0) {
            if (tx->want_stamps)
                number_stamps(tx, at, (unsigned)n, s);
            at += (unsigned)n;
            retried = false;
        } else if (e != EINTR && (retried || !is_stale_error(e))) {
            tx->slot[at++].error = e;
            failed++;
            retried = false;
        } else {
            retried = e != EINTR;
        }
        if (tx->want_stamps && n <= 0)
            udp_stamps_unsure(s);
    }
    return failed;
}

int udp_tx_error(const struct udp_tx *tx, unsigned i)
{
    return tx->slot[i].error;
}

bool udp_tx_stamp_id(const struct udp_tx *tx, unsigned i, uint32_t *ret)
{
    if (!tx->slot[i].stamped)
        return false;
    *ret = tx->slot[i].stamp_id;
    return true;
}

void udp_tx_clear(struct udp_tx *tx)
{
    tx->n = 0;
    tx->want_stamps = false;
}
