/* agent/io/udp_stamp.c - the kernel's send times, and the error queue by which they come; see udpsock.h.
 *
 * With SOF_TIMESTAMPING_OPT_ID the kernel numbers the datagrams of a socket that ask, from 0. One that asks
 * and fails may or may not have taken a number, that depends on where it failed and on the kernel. So after a
 * failure nothing asks for a while, until what is still on its way has left or is lost, and then the kernel
 * is made to start again from 0. */
#include "agent/io/udp_stamp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include "common/net/now.h"

#define REST_NS TW_NS_PER_S

enum {
    ERRORS_AT_A_TIME = 64,
    STAMP_CONTROL = 256, /* times, the extended error with the offender's address, packet info */
    WITHOUT_ID = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY,
    /* The card's besides the kernel's, and by which interface a datagram came. */
    HARDWARE = SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE | SOF_TIMESTAMPING_OPT_PKTINFO |
               SOF_TIMESTAMPING_OPT_TX_SWHW
};

static bool set_flags(const struct udpsock *s, bool with_id)
{
    int flags = WITHOUT_ID | (with_id ? SOF_TIMESTAMPING_OPT_ID : 0) | (s->hw_times ? HARDWARE : 0);

    return setsockopt(s->fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags) == 0;
}

void udp_stamps_open(struct udpsock *s)
{
    int on = 1;

    if (set_flags(s, true))
        return;
    s->stamp_rest = TW_MONO_NEVER;
    setsockopt(s->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
}

static bool start_again(struct udpsock *s)
{
    if (!set_flags(s, false) || !set_flags(s, true)) {
        s->stamp_rest = TW_MONO_NEVER;
        return false;
    }
    s->stamp_next = 0;
    s->stamps_unsure = false;
    return true;
}

bool udp_txstamp_ready(struct udpsock *s, struct tw_mono now)
{
    if (now.ns < s->stamp_rest.ns)
        return false;
    return !s->stamps_unsure || start_again(s);
}

void udp_stamps_unsure(struct udpsock *s)
{
    s->stamps_unsure = true;
    s->stamp_rest.ns = tw_mono_now().ns + REST_NS;
}

static int64_t ns_of(const struct timespec *t)
{
    return (int64_t)t->tv_sec * TW_NS_PER_S + t->tv_nsec;
}

static bool is_extended_error(const struct cmsghdr *c)
{
    return (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
           (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
}

bool udp_read_stamp(const struct msghdr *h, struct udp_txstamp *ret)
{
    struct scm_timestamping ts = { 0 };
    struct sock_extended_err e = { 0 };

    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR((struct msghdr *)h, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPING)
            memcpy(&ts, CMSG_DATA(c), sizeof ts);
        else if (is_extended_error(c))
            memcpy(&e, CMSG_DATA(c), sizeof e);
    }
    if (e.ee_origin != SO_EE_ORIGIN_TIMESTAMPING || e.ee_info != SCM_TSTAMP_SND)
        return false;
    ret->id = e.ee_data;
    ret->hardware = !ns_of(&ts.ts[0]); /* one of the two: by software, and raw by the card */
    ret->time.ns = ns_of(&ts.ts[ret->hardware ? 2 : 0]);
    return ret->time.ns;
}

/* One look at the error queue: fills in at most `cap` of *ret. Returns how many things were in it. */
static int take_batch(const struct udpsock *s, struct udp_txstamp *ret, unsigned cap, unsigned *ret_n)
{
    struct {
        _Alignas(struct cmsghdr) char control[STAMP_CONTROL];
    } room[ERRORS_AT_A_TIME];
    struct mmsghdr hdr[ERRORS_AT_A_TIME];
    unsigned batch = cap && cap < ERRORS_AT_A_TIME ? cap : ERRORS_AT_A_TIME;
    int n;

    for (unsigned i = 0; i < batch; i++)
        hdr[i].msg_hdr =
            (struct msghdr){ .msg_control = room[i].control, .msg_controllen = sizeof room[i].control };
    n = recvmmsg(s->fd, hdr, batch, MSG_ERRQUEUE | MSG_DONTWAIT, NULL);
    for (int i = 0; cap && i < n; i++)
        *ret_n += udp_read_stamp(&hdr[i].msg_hdr, &ret[*ret_n]);
    return n;
}

unsigned udp_take_errors(struct udpsock *s, struct udp_txstamp *ret, unsigned cap)
{
    socklen_t len = sizeof(int);
    unsigned n = 0;
    int pending;

    if (take_batch(s, ret, cap, &n) <= 0) /* epoll told of an error all the same; reading it uses it up */
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &pending, &len);
    return n;
}
