/* agent/xdp/xdp_abi.h - what the program in the kernel (reflect.bpf.c) and the one that loads it
 * (xdp_reflect.c) agree on. Addresses and ports are in network order; an IPv4 address is mapped
 * (::ffff:a.b.c.d). */
#ifndef TW_AGENT_XDP_ABI_H
#define TW_AGENT_XDP_ABI_H

#include <linux/types.h>

#define XDP_PAYLOAD_MAX 1472 /* octets of UDP payload; longer ones are for the sockets */
#define XDP_ALLOW_MAX 65538 /* ACL_RULES_MAX and the two for all others */
#define XDP_SOURCES 65536

struct xdp_conf {
    __s64 tai_to_utc_ns; /* added to the kernel's TAI time */
    __u64 refwait_ns, restart_gap_ns;
    __u64 gap_ns, burst_ns; /* of a source's bucket (source_limit.h); gap 0: no limit */
    __u16 port, err_est; /* network order */
    __u8 stateless;
    __u8 pad[3];
};

struct xdp_addr {
    __u8 ip[16];
};

/* Key of `allow`; the value is 1: is answered here, or 0. prefix_len counts from the mapped address' first bit. */
struct xdp_prefix {
    __u32 prefix_len;
    struct xdp_addr addr;
};

struct xdp_sender_key {
    struct xdp_addr from, to;
    __u16 from_port, ssid;
};

struct xdp_sender {
    __u64 last_ns; /* CLOCK_MONOTONIC */
    __u32 next_seq, pad;
};

/* Per CPU; the rest of what came is counted by the sockets. */
struct xdp_counters {
    __u64 reflected, reflected_stamp;
    __u64 rate_limited; /* dropped here: the sockets do not see it */
};

#endif
