/* agent/core/twamp_ctl_request.c - see twamp_ctl_request.h. */
#include "agent/core/twamp_ctl_request.h"

#include <string.h>

#define TYPE_P_DSCP UINT32_C(0x3f000000) /* RFC 5357 section 3.5: two bits 00, then the DSCP */

/* Octets of a probe and of its answer before the padding. */
static uint32_t probe_head(uint32_t mode)
{
    return mode & (TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED) ? 48 : 14;
}

static uint32_t reply_head(uint32_t mode)
{
    if (mode & (TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED))
        return 112;
    return mode & TWAMP_DSCP_ECN ? 44 : 41;
}

/* So much padding is cut off, RFC 6038 section 4.2.1. */
static uint32_t cut_off(uint32_t mode)
{
    return mode & TWAMP_SYMMETRICAL ? 0 : reply_head(mode) - probe_head(mode);
}

/* ---- One rule a function: true = broken ---- */

static bool has_conf(const struct ctl_request *r, const struct ctl_request_limits *l)
{
    (void)l;
    return r->conf_sender || r->conf_receiver;
}

static bool has_schedule(const struct ctl_request *r, const struct ctl_request_limits *l)
{
    (void)l;
    return r->slots || r->packets;
}

static bool is_ipvn_unknown(const struct ctl_request *r, const struct ctl_request_limits *l)
{
    (void)l;
    return r->ipvn != 4 && r->ipvn != 6;
}

static bool is_type_p_unknown(const struct ctl_request *r, const struct ctl_request_limits *l)
{
    (void)l;
    return r->type_p & ~TYPE_P_DSCP;
}

/* Of IPv4 only the first four octets count: some clients leave garbage behind them. */
static size_t address_bytes(const struct ctl_request *r)
{
    return r->ipvn == 4 ? 4 : 16;
}

static bool is_zero(const uint8_t *p, size_t n)
{
    static const uint8_t zero[16];

    return !memcmp(p, zero, n);
}

/* Zero stands for the address of the TCP connection, whatever IPVN goes with it. */
static bool is_foreign(const struct ctl_request *r, const uint8_t *ip, const struct tw_addr *own)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    size_t n = address_bytes(r);

    if (is_zero(ip, n))
        return false;
    if (r->ipvn == 6 && own->family == 4) /* a client on an IPv6 socket sees us as ::ffff:a.b.c.d */
        return memcmp(ip, mapped, sizeof mapped) || memcmp(ip + sizeof mapped, own->ip, 4);
    return own->family != r->ipvn || memcmp(ip, own->ip, n);
}

static bool is_sender_foreign(const struct ctl_request *r, const struct ctl_request_limits *l)
{
    return is_foreign(r, r->sender, &l->peer);
}

static bool is_receiver_foreign(const struct ctl_request *r, const struct ctl_request_limits *l)
{
    return is_foreign(r, r->receiver, &l->local);
}

static bool has_no_sender_port(const struct ctl_request *r, const struct ctl_request_limits *l)
{
    (void)l;
    return !r->sender_port;
}

static bool is_padding_too_large(const struct ctl_request *r, const struct ctl_request_limits *l)
{
    return r->padding_bytes > l->max_padding_bytes;
}

/* The reflector would have to drop each of them. */
static bool is_packet_too_long(const struct ctl_request *r, const struct ctl_request_limits *l)
{
    uint32_t head = l->mode & TWAMP_SYMMETRICAL ? reply_head(l->mode) : probe_head(l->mode);

    return r->padding_bytes > TEST_DATAGRAM_MAX - head;
}

static bool is_padding_too_small(const struct ctl_request *r, const struct ctl_request_limits *l)
{
    if (!(l->mode & TWAMP_REFLECT) || !r->reflect_bytes)
        return false;
    return r->padding_bytes <= r->reflect_bytes ||
           r->padding_bytes < (uint64_t)r->reflect_bytes + cut_off(l->mode);
}

static const struct {
    bool (*is_broken)(const struct ctl_request *, const struct ctl_request_limits *);
    const char *text;
} rules[] = {
    { has_conf, "Conf-Sender and Conf-Receiver must be 0" },
    { has_schedule, "Number of Schedule Slots and Number of Packets must be 0" },
    { is_ipvn_unknown, "the IP version must be 4 or 6" },
    { is_type_p_unknown, "the Type-P Descriptor must be a DSCP" },
    { is_sender_foreign, "the Sender Address must be zero or the client's own" },
    { is_receiver_foreign, "the Receiver Address must be zero or the server's own" },
    { has_no_sender_port, "the Sender Port must not be 0" },
    { is_padding_too_large, "the Padding Length is above the limit" },
    { is_packet_too_long, "the Padding Length makes test packets longer than 9000 octets" },
    { is_padding_too_small, "the padding is too short for the octets to be reflected" },
};

/* ---- The whole ---- */

static struct tw_addr with_port(struct tw_addr a, uint16_t port)
{
    a.port = port;
    return a;
}

static void fill_in(const struct ctl_request *r, const struct ctl_request_limits *l,
                    struct ctl_session_spec *ret)
{
    int64_t timeout = ctl_interval_from_wire(r->timeout);
    bool reflects = l->mode & TWAMP_REFLECT;

    *ret = (struct ctl_session_spec){
        .sender = with_port(l->peer, r->sender_port),
        .receiver = with_port(l->local, r->receiver_port),
        .ipvn = l->peer.family,
        .padding_bytes = r->padding_bytes,
        .start_ntp = r->start_ntp,
        .timeout_ns = timeout < l->max_timeout_ns ? timeout : l->max_timeout_ns,
        .dscp = (uint8_t)(r->type_p >> 24),
        .reflect_octets = reflects ? r->reflect_octets : 0,
        .reflect_bytes = reflects ? r->reflect_bytes : 0,
    };
}

enum ctl_accept ctl_request_check(const struct ctl_request *r, const struct ctl_request_limits *l,
                                  struct ctl_session_spec *ret, const char **ret_text)
{
    for (size_t i = 0; i < TW_NELEM(rules); i++)
        if (rules[i].is_broken(r, l)) {
            *ret_text = rules[i].text;
            return CTL_UNSUPPORTED;
        }
    fill_in(r, l, ret);
    return CTL_OK;
}
