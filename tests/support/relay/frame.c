/* tests/support/relay/frame.c - see frame.h */
#include "tests/support/relay/frame.h"

#include <string.h>
#include "common/clk.h"
#include "common/wire.h"

enum {
    ETH_LEN = 14,
    ETH_IPV4 = 0x0800,
    ETH_IPV6 = 0x86dd,
    IPV6_LEN = 40,
    PROTO_UDP = 17,
    UDP_LEN = 8,
    /* Answers, RFC 5357 section 4.2.1 and RFC 8762 section 4.3.1 */
    ANSWER_T3 = 4,
    ANSWER_ERROR_ESTIMATE = 12,
    ANSWER_T2 = 16,
    ANSWER_MIN = 41,
    STAMP_LEN = 44,
    TLV_HEAD = 4,
    TLV_FOLLOW_UP = 7,
    FOLLOW_UP_LEN = 16,
    FOLLOW_UP_TIME = 4,
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* Octets of the IP header, and of all the packet; 0: not a whole UDP packet. */
static size_t ipv4_header(const uint8_t *ip, size_t len, size_t *ret_total)
{
    size_t head = (size_t)(ip[0] & 15) * 4;

    if (len < 20 || ip[0] >> 4 != 4 || head < 20 || ip[9] != PROTO_UDP || (get16(ip + 6) & 0x3fff))
        return 0; /* 0x3fff: More Fragments and the offset */
    *ret_total = get16(ip + 2);
    return head;
}

static size_t ipv6_header(const uint8_t *ip, size_t len, size_t *ret_total)
{
    if (len < IPV6_LEN || ip[0] >> 4 != 6 || ip[6] != PROTO_UDP)
        return 0;
    *ret_total = IPV6_LEN + (size_t)get16(ip + 4);
    return IPV6_LEN;
}

void frame_parse(uint8_t *data, size_t len, struct frame *ret)
{
    size_t head = 0, total = 0;
    uint8_t *ip = data + ETH_LEN, *udp;
    uint16_t type;

    *ret = (struct frame){ .data = data, .len = len };
    if (len <= ETH_LEN)
        return;
    type = get16(data + 12);
    if (type == ETH_IPV4)
        head = ipv4_header(ip, len - ETH_LEN, &total);
    else if (type == ETH_IPV6)
        head = ipv6_header(ip, len - ETH_LEN, &total);
    if (!head || total < head + UDP_LEN || total > len - ETH_LEN)
        return;
    udp = ip + head;
    if (get16(udp + 4) != total - head)
        return; /* several in one, for the network card to cut: not ours to number */
    ret->udp = true;
    ret->ip_len = type == ETH_IPV4 ? 4 : 16;
    ret->src = ip + (type == ETH_IPV4 ? 12 : 8);
    ret->dst = ret->src + ret->ip_len;
    ret->sport = get16(udp);
    ret->dport = get16(udp + 2);
    ret->checksum = udp + 6;
    ret->payload = udp + UDP_LEN;
    ret->payload_len = total - head - UDP_LEN;
}

uint32_t frame_word(const struct frame *f, size_t offset)
{
    struct wire_rd r = { .p = f->payload, .end = f->payload + f->payload_len };

    wire_take(&r, offset);
    return wire_get_u32(&r);
}

/* RFC 1624, for octets that begin at an even offset of the datagram, as all of ours do. */
static uint16_t checksum_mend(uint16_t sum, const uint8_t *before, const uint8_t *after, size_t len)
{
    uint32_t s = (uint16_t)~sum;

    for (size_t i = 0; i < len; i += 2)
        s += (uint32_t)(uint16_t)~get16(before + i) + get16(after + i);
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)~s ? (uint16_t)~s : 0xffff; /* 0 would say that there is none */
}

/* One timestamp of 8 octets. 0 is no time. */
static void shift_time(uint8_t *at, int64_t ns, bool ptp)
{
    struct wire_rd r = { .p = at, .end = at + 8 };
    struct wire_wr w = { .p = at, .end = at + 8 };
    uint64_t wire = wire_get_u64(&r);
    /* The era does not matter: the difference is the same in each. */
    struct tw_wall near = { 0 }, t = tw_wall_from_ntp(wire, near);

    if (!wire || (ptp && tw_wall_from_ptp(wire, near, &t)))
        return;
    t.ns += ns;
    wire_put_u64(&w, ptp ? tw_wall_to_ptp(t) : tw_wall_to_ntp(t));
}

/* Where the Follow-Up Timestamp is, NULL if there is none: if what follows the base packet is TLVs to its
 * very end. */
static uint8_t *follow_up(const struct frame *f)
{
    struct wire_rd r = { .p = f->payload, .end = f->payload + f->payload_len };
    uint8_t *found = NULL;

    wire_take(&r, STAMP_LEN);
    while (!r.bad && r.p < r.end) {
        const uint8_t *head = wire_take(&r, TLV_HEAD);
        size_t len = head ? get16(head + 2) : 0;
        const uint8_t *value = wire_take(&r, len);
        if (value && head[1] == TLV_FOLLOW_UP && len == FOLLOW_UP_LEN)
            found = f->payload + (value - f->payload) + FOLLOW_UP_TIME;
    }
    return r.bad ? NULL : found;
}

void frame_shift_times(struct frame *f, int64_t ns, bool checksum_open)
{
    uint8_t *at[3], before[8];
    uint16_t sum;
    bool ptp;

    if (!f->udp || f->payload_len < ANSWER_MIN || !ns)
        return;
    at[0] = f->payload + ANSWER_T3;
    at[1] = f->payload + ANSWER_T2;
    at[2] = follow_up(f);
    ptp = f->payload[ANSWER_ERROR_ESTIMATE] & 0x40;
    sum = get16(f->checksum);
    for (size_t i = 0; i < TW_NELEM(at); i++) {
        if (!at[i])
            continue;
        memcpy(before, at[i], sizeof before);
        shift_time(at[i], ns, ptp);
        if (sum && !checksum_open)
            sum = checksum_mend(sum, before, at[i], sizeof before);
    }
    f->checksum[0] = (uint8_t)(sum >> 8);
    f->checksum[1] = (uint8_t)sum;
}
