#include "agent/io/phc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/ptp_clock.h>
#include <linux/sockios.h>

enum { READINGS = 5 }; /* of which the fastest counts */

#define NEEDED (SOF_TIMESTAMPING_TX_HARDWARE | SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE)

/* An ioctl about the interface. */
static int ask(const char *interface, unsigned long request, void *data)
{
    struct ifreq r = { .ifr_data = data };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc, e;

    if (fd < 0)
        return -1;
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", interface);
    rc = ioctl(fd, request, &r);
    e = errno;
    close(fd);
    errno = e;
    return rc;
}

static enum tw_rc find_clock(const char *interface, int *ret, struct tw_err *err)
{
    struct ethtool_ts_info info = { .cmd = ETHTOOL_GET_TS_INFO };

    if (ask(interface, SIOCETHTOOL, &info) < 0 || info.phc_index < 0 ||
        (info.so_timestamping & NEEDED) != NEEDED || !(info.rx_filters & 1u << HWTSTAMP_FILTER_ALL))
        return tw_err_set(err, TW_EINVAL,
                          "interface %s cannot stamp all packets by a clock of its own (ethtool -T %s shows "
                          "what it can): leave it out, its packets are stamped by the kernel",
                          interface, interface);
    *ret = info.phc_index;
    return TW_OK;
}

static enum tw_rc switch_on(const char *interface, struct tw_err *err)
{
    struct hwtstamp_config c = { .tx_type = HWTSTAMP_TX_ON, .rx_filter = HWTSTAMP_FILTER_ALL };

    if (ask(interface, SIOCSHWTSTAMP, &c) == 0)
        return TW_OK;
    if (errno == EPERM)
        return tw_err_set(
            err, TW_EPERM,
            "not allowed to switch on the time stamps of interface %s: that needs CAP_NET_ADMIN", interface);
    return tw_err_set(err, TW_EINVAL, "cannot switch on the time stamps of interface %s: %s", interface,
                      strerror(errno));
}

static int64_t ns_of(const struct ptp_clock_time *t)
{
    return (int64_t)t->sec * TW_NS_PER_S + t->nsec;
}

enum tw_rc phc_read(struct phc *p)
{
    struct ptp_sys_offset_extended o = { .n_samples = READINGS };
    unsigned best = 0;

    if (ioctl(p->fd, PTP_SYS_OFFSET_EXTENDED, &o) < 0)
        return tw_rc_errno(errno);
    for (unsigned i = 1; i < READINGS; i++)
        if (ns_of(&o.ts[i][2]) - ns_of(&o.ts[i][0]) < ns_of(&o.ts[best][2]) - ns_of(&o.ts[best][0]))
            best = i;
    phc_map_add(&p->map, (struct tw_wall){ ns_of(&o.ts[best][0]) }, ns_of(&o.ts[best][1]),
                (struct tw_wall){ ns_of(&o.ts[best][2]) });
    return TW_OK;
}

static enum tw_rc open_clock(struct phc *p, int index, struct tw_err *err)
{
    char path[32];
    enum tw_rc rc;

    snprintf(path, sizeof path, "/dev/ptp%d", index);
    p->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (p->fd < 0)
        return tw_err_set(err, tw_rc_errno(errno), "cannot open %s, the clock of interface %s: %s", path,
                          p->interface, strerror(errno));
    rc = phc_read(p);
    if (rc)
        tw_err_set(err, rc, "cannot read %s, the clock of interface %s, beside the system's: %s", path,
                   p->interface, strerror(errno));
    return rc;
}

enum tw_rc phc_open(const char *interface, struct phc *ret, struct tw_err *err)
{
    struct phc p = { .fd = -1, .index = if_nametoindex(interface) };
    enum tw_rc rc;
    int clock = -1;

    if (!p.index)
        return tw_err_set(err, TW_EINVAL, "this host has no interface \"%.15s\"", interface);
    snprintf(p.interface, sizeof p.interface, "%s", interface);
    rc = find_clock(interface, &clock, err);
    if (rc)
        return rc;
    ask(interface, SIOCGHWTSTAMP, &p.before); /* zeros, that is off, if it cannot tell */
    rc = switch_on(interface, err);
    if (!rc)
        rc = open_clock(&p, clock, err);
    if (rc) {
        phc_close(&p);
        return rc;
    }
    *ret = p;
    return TW_OK;
}

void phc_close(struct phc *p)
{
    if (!p->index)
        return;
    ask(p->interface, SIOCSHWTSTAMP, &p->before);
    if (p->fd >= 0)
        close(p->fd);
    *p = (struct phc){ .fd = -1 };
}
