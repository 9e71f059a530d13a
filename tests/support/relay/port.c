/* tests/support/relay/port.c - see port.h */
#include "tests/support/relay/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RX_BYTES = 32 << 20,
    STAMPS = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE,
    CONTROL_LEN = 256,
};

static enum tw_rc ask(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) ? tw_rc_errno(errno) : TW_OK;
}

/* Asking anew makes the kernel count from 0. */
static enum tw_rc ask_for_times(struct port *p)
{
    enum tw_rc rc = ask(p->fd, SOL_SOCKET, SO_TIMESTAMPING, 0);

    if (!rc)
        rc = ask(p->fd, SOL_SOCKET, SO_TIMESTAMPING,
                 STAMPS | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY);
    p->sent = 0;
    return rc;
}

static enum tw_rc set_up(struct port *p, const char *interface)
{
    struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
    struct packet_mreq all = { .mr_type = PACKET_MR_PROMISC };
    enum tw_rc rc;

    at.sll_ifindex = all.mr_ifindex = (int)if_nametoindex(interface);
    if (!at.sll_ifindex)
        return TW_ENOENT;
    if ((rc = ask(p->fd, SOL_PACKET, PACKET_VNET_HDR, 1)) ||
        (rc = ask(p->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)) ||
        (rc = ask(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, RX_BYTES)) || (rc = ask_for_times(p)))
        return rc;
    if (setsockopt(p->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) ||
        bind(p->fd, (struct sockaddr *)&at, sizeof at))
        return tw_rc_errno(errno);
    return TW_OK;
}

enum tw_rc port_open(const char *spec, struct port *ret, struct tw_err *err)
{
    const char *equals = strchr(spec, '='), *interface = equals ? equals + 1 : spec;
    struct port p = { .fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
    enum tw_rc rc;

    snprintf(p.name, sizeof p.name, "%.*s", equals ? (int)(equals - spec) : (int)strlen(spec), spec);
    if (p.fd < 0)
        return tw_err_set(err, tw_rc_errno(errno), "%s: no packet socket: %s", spec, strerror(errno));
    p.buffers = malloc((size_t)PORT_BATCH * PORT_FRAME_MAX);
    rc = p.buffers ? set_up(&p, interface) : TW_ENOMEM;
    if (rc) {
        port_close(&p);
        return tw_err_set(err, rc, "%s: cannot listen on interface %s: %s", spec, interface, tw_rc_name(rc));
    }
    *ret = p;
    return TW_OK;
}

void port_close(struct port *p)
{
    close(p->fd);
    free(p->buffers);
}

/* The kernel's time among the control messages; 0: none. */
static struct tw_wall time_of(struct msghdr *m)
{
    struct tw_wall t = { 0 };

    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPING) {
            struct scm_timestamping s;
            memcpy(&s, CMSG_DATA(c), sizeof s);
            t.ns = s.ts[0].tv_sec * TW_NS_PER_S + s.ts[0].tv_nsec;
        }
    }
    return t;
}

unsigned port_receive(struct port *p, struct packet out[PORT_BATCH])
{
    struct mmsghdr m[PORT_BATCH];
    struct iovec iov[PORT_BATCH][2];
    _Alignas(struct cmsghdr) uint8_t control[PORT_BATCH][CONTROL_LEN];
    unsigned n = 0;
    int got;

    for (unsigned i = 0; i < PORT_BATCH; i++) {
        out[i].data = p->buffers + (size_t)i * PORT_FRAME_MAX;
        iov[i][0] = (struct iovec){ &out[i].offload, sizeof out[i].offload };
        iov[i][1] = (struct iovec){ out[i].data, PORT_FRAME_MAX };
        m[i].msg_hdr = (struct msghdr){
            .msg_iov = iov[i], .msg_iovlen = 2, .msg_control = control[i], .msg_controllen = CONTROL_LEN
        };
    }
    got = recvmmsg(p->fd, m, PORT_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) {
        out[n] = out[i];
        out[n].len = m[i].msg_len - sizeof out[i].offload;
        out[n].arrival = time_of(&m[i].msg_hdr);
        n += m[i].msg_len > sizeof out[i].offload;
    }
    return n;
}

enum tw_rc port_send(struct port *p, const struct packet *pkt, uint32_t *ret_id)
{
    struct virtio_net_hdr offload = pkt->offload;
    struct iovec iov[2] = { { &offload, sizeof offload }, { pkt->data, pkt->len } };
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
    enum tw_rc rc;

    /* "The sum is known to be right" is for receivers: refused when sending. */
    offload.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
    if (sendmsg(p->fd, &m, 0) < 0) {
        rc = tw_rc_errno(errno);
        ask_for_times(p); /* whether the kernel has counted it depends on why it failed */
        return rc;
    }
    *ret_id = p->sent++;
    return TW_OK;
}

bool port_sent_at(struct port *p, uint32_t *ret_id, struct tw_wall *ret)
{
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_LEN];
    struct msghdr m = { .msg_control = control, .msg_controllen = sizeof control };
    bool known = false;

    if (recvmsg(p->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_TX_TIMESTAMP) {
            struct sock_extended_err e;
            memcpy(&e, CMSG_DATA(c), sizeof e);
            *ret_id = e.ee_data;
            known = true;
        }
    }
    *ret = time_of(&m);
    if (!known)
        *ret_id = UINT32_MAX;
    return true;
}

uint64_t port_drops(struct port *p)
{
    struct tpacket_stats s = { 0 };
    socklen_t len = sizeof s;

    return getsockopt(p->fd, SOL_PACKET, PACKET_STATISTICS, &s, &len) ? 0 : s.tp_drops;
}
