/* agent/io/udp_rx.c - receiving batches with what the kernel says about each datagram; see udpsock.h. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include "agent/io/udp_addr.h"
#include "agent/io/udp_stamp.h"
#include "agent/io/udpsock.h"
#include "common/net/now.h"

/* Time, TTL, TOS, packet info, drop count; the largest set is IPv6's. */
#define RX_CONTROL                                                                             \
    (CMSG_SPACE(sizeof(struct scm_timestamping)) + CMSG_SPACE(sizeof(struct scm_ts_pktinfo)) + \
     2 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint32_t)))

struct rx_slot {
    union udp_name name;
    _Alignas(struct cmsghdr) char control[RX_CONTROL];
};

struct udp_rx {
    unsigned batch, used; /* used: headers that the last call has changed */
    size_t bytes, stride;
    struct tw_wall read_at;
    struct mmsghdr *hdr;
    struct iovec *iov;
    struct rx_slot *slot;
    uint8_t *data;
};

static void reset_header(struct udp_rx *rx, unsigned i)
{
    struct msghdr *h = &rx->hdr[i].msg_hdr;

    h->msg_namelen = sizeof rx->slot[i].name;
    h->msg_controllen = sizeof rx->slot[i].control;
    h->msg_flags = 0;
}

static void build_header(struct udp_rx *rx, unsigned i)
{
    rx->iov[i] = (struct iovec){ .iov_base = rx->data + i * rx->stride, .iov_len = rx->bytes };
    rx->hdr[i].msg_hdr = (struct msghdr){ .msg_name = &rx->slot[i].name,
                                          .msg_iov = &rx->iov[i],
                                          .msg_iovlen = 1,
                                          .msg_control = rx->slot[i].control };
    reset_header(rx, i);
}

enum tw_rc udp_rx_new(unsigned batch, size_t datagram_bytes, struct udp_rx **ret)
{
    struct udp_rx *rx = calloc(1, sizeof *rx);

    if (!rx)
        return TW_ENOMEM;
    rx->batch = batch;
    rx->bytes = datagram_bytes;
    rx->stride = udp_stride(datagram_bytes);
    rx->hdr = calloc(batch, sizeof *rx->hdr);
    rx->iov = calloc(batch, sizeof *rx->iov);
    rx->slot = calloc(batch, sizeof *rx->slot);
    rx->data = aligned_alloc(UDP_CACHE_LINE, batch * rx->stride);
    if (!rx->hdr || !rx->iov || !rx->slot || !rx->data) {
        udp_rx_free(rx);
        return TW_ENOMEM;
    }
    for (unsigned i = 0; i < batch; i++)
        build_header(rx, i);
    *ret = rx;
    return TW_OK;
}

void udp_rx_free(struct udp_rx *rx)
{
    if (!rx)
        return;
    free(rx->hdr);
    free(rx->iov);
    free(rx->slot);
    free(rx->data);
    free(rx);
}

/* The kernel's counter runs since the socket was opened, has 32 bits, and comes only once it is not 0. */
static void note_drops(struct udpsock *s, const struct msghdr *h)
{
    uint32_t ovfl;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR((struct msghdr *)h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL)
            continue;
        memcpy(&ovfl, CMSG_DATA(c), sizeof ovfl);
        s->drops += (uint32_t)(ovfl - s->ovfl);
        s->ovfl = ovfl;
    }
}

unsigned udp_rx_recv(struct udp_rx *rx, struct udpsock *s)
{
    int n;

    for (unsigned i = 0; i < rx->used; i++)
        reset_header(rx, i);
    rx->used = 0;
    n = recvmmsg(s->fd, rx->hdr, rx->batch, MSG_DONTWAIT, NULL);
    if (n <= 0) /* a pending ICMP error is used up by this; epoll calls again for what else there is */
        return 0;
    rx->used = (unsigned)n;
    rx->read_at = tw_wall_now();
    note_drops(s, &rx->hdr[n - 1].msg_hdr); /* the newest datagram knows of all drops before it */
    return rx->used;
}

static int16_t octet_of(const struct cmsghdr *c)
{
    int v = 0;

    if (c->cmsg_len < CMSG_LEN(sizeof v)) /* IP_TOS comes as one octet */
        return *CMSG_DATA(c);
    memcpy(&v, CMSG_DATA(c), sizeof v);
    return (int16_t)(v & 0xff);
}

static void take_socket_level(const struct cmsghdr *c, struct udp_in *in)
{
    struct scm_timestamping ts = { 0 }; /* by software, not used any more, raw by the card */
    struct scm_ts_pktinfo info;

    if (c->cmsg_type == SCM_TIMESTAMPING_PKTINFO) {
        memcpy(&info, CMSG_DATA(c), sizeof info);
        in->phc_interface = info.if_index;
        return;
    }
    if (c->cmsg_type == SCM_TIMESTAMPING)
        memcpy(&ts, CMSG_DATA(c), sizeof ts);
    else if (c->cmsg_type == SCM_TIMESTAMPNS) /* kernels that do not know the other */
        memcpy(&ts.ts[0], CMSG_DATA(c), sizeof ts.ts[0]);
    if (ts.ts[0].tv_sec) {
        in->time.ns = (int64_t)ts.ts[0].tv_sec * TW_NS_PER_S + ts.ts[0].tv_nsec;
        in->source = TW_TS_KERNEL;
    }
    if (ts.ts[2].tv_sec || ts.ts[2].tv_nsec)
        in->phc_ns = (int64_t)ts.ts[2].tv_sec * TW_NS_PER_S + ts.ts[2].tv_nsec;
}

static void take_ip4(const struct cmsghdr *c, struct udp_in *in)
{
    struct in_pktinfo info;

    if (c->cmsg_type == IP_TTL) {
        in->ttl = octet_of(c);
    } else if (c->cmsg_type == IP_TOS) {
        in->tos = octet_of(c);
    } else if (c->cmsg_type == IP_PKTINFO) {
        memcpy(&info, CMSG_DATA(c), sizeof info);
        in->to.family = 4;
        memcpy(in->to.ip, &info.ipi_spec_dst, 4); /* ours even if the datagram was broadcast */
    }
}

static void take_ip6(const struct cmsghdr *c, struct udp_in *in)
{
    struct in6_pktinfo info;

    if (c->cmsg_type == IPV6_HOPLIMIT) {
        in->ttl = octet_of(c);
    } else if (c->cmsg_type == IPV6_TCLASS) {
        in->tos = octet_of(c);
    } else if (c->cmsg_type == IPV6_PKTINFO) {
        memcpy(&info, CMSG_DATA(c), sizeof info);
        in->to.family = 6;
        memcpy(in->to.ip, &info.ipi6_addr, 16);
        if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) /* else naming the interface would override routing */
            in->to.scope = info.ipi6_ifindex;
    }
}

void udp_read_control(const struct msghdr *h, struct udp_in *in)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR((struct msghdr *)h, c)) {
        if (c->cmsg_level == SOL_SOCKET)
            take_socket_level(c, in);
        else if (c->cmsg_level == IPPROTO_IP)
            take_ip4(c, in);
        else if (c->cmsg_level == IPPROTO_IPV6)
            take_ip6(c, in);
    }
}

void udp_rx_get(const struct udp_rx *rx, unsigned i, struct udp_in *ret)
{
    const struct msghdr *h = &rx->hdr[i].msg_hdr;
    struct udp_in in = { .time = rx->read_at, .source = TW_TS_USER, .ttl = -1, .tos = -1 };

    tw_addr_from_sockaddr(&rx->slot[i].name.sa, &in.from);
    udp_read_control(h, &in);
    in.truncated = (h->msg_flags & MSG_TRUNC) != 0;
    in.data = rx->iov[i].iov_base;
    in.len = rx->hdr[i].msg_len;
    *ret = in;
}
