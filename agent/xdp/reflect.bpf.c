/* agent/xdp/reflect.bpf.c - a Session-Reflector in the network driver, for the commonest packets: TWAMP Light
 * and STAMP without authentication and TLVs, in one Ethernet frame without VLAN tag, IP options or extension
 * headers, whole, from an address that is allowed, to one of ours, with a right UDP checksum. Everything else
 * goes on to the sockets, which judge, answer or count it: so nothing is answered here that they would not
 * answer, and the same way (RFC 5357 section 4.2.1, RFC 8762 section 4.3). A sender that finds the table full
 * is left to them too.
 *
 * T2 and T3 are the moment at which the frame is handled. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "agent/xdp/xdp_abi.h"

#define NTP_OFFSET_S 2208988800ULL /* from 1900 to 1970 */
#define NS_PER_S 1000000000ULL
#define PROBE_MIN 14
#define REPLY_MIN 41
#define STAMP_BASE 44
#define AUTH_BASE 112
#define WELL_KNOWN_PORTS 1024
#define TURNAROUND_MAX (100ULL * (1 << 22)) /* as agent/core/reflect.c */
#define LIMIT_TRIES 4
#define CHANGED_NS 1000000000ULL /* as in source_limit.c: it was emptied at another rate */
#define FRAGMENT 0x3fff /* more fragments, or not the first */
#define DSCP 0xfc

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct xdp_conf);
} conf SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 256);
    __type(key, struct xdp_addr);
    __type(value, __u8);
} locals SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, XDP_ALLOW_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct xdp_prefix);
    __type(value, __u8);
} allow SEC(".maps");

/* When the bucket of a source is full again. The one that was used the longest time ago makes room: it is full. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, XDP_SOURCES);
    __type(key, struct xdp_addr);
    __type(value, __u64);
} buckets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 65536);
    __type(key, struct xdp_sender_key);
    __type(value, struct xdp_sender);
} senders SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct xdp_counters);
} counters SEC(".maps");

struct scratch {
    __u8 octets[2048];
};
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct scratch);
} scratch SEC(".maps");

/* A probe, read out of its frame. */
struct probe {
    struct xdp_sender_key key; /* port and addresses as the probe has them */
    __u32 ip_len;              /* header */
    __u32 len;                 /* UDP payload */
    __u16 to_port;
    __u8 ttl, stamp;
};

static __u64 ntp_of(__u64 ns)
{
    return ((ns / NS_PER_S + NTP_OFFSET_S) << 32) | (((ns % NS_PER_S) << 32) / NS_PER_S);
}

static __u32 add_words(__u32 sum, const __u8 *p, int n) /* n even, known when compiled */
{
#pragma unroll
    for (int i = 0; i < n; i += 2)
        sum += *(const __u16 *)(p + i);
    return sum;
}

static __u16 fold(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (__u16)sum;
}

/* ---- Reading ---- */

static int read_ip4(struct xdp_md *x, struct probe *q)
{
    void *end = (void *)(long)x->data_end;
    struct iphdr *ip = (void *)(long)x->data + sizeof(struct ethhdr);

    if ((void *)(ip + 1) > end || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
        (ip->frag_off & bpf_htons(FRAGMENT)))
        return 0;
    q->ip_len = sizeof *ip;
    q->ttl = ip->ttl;
    q->key.from.ip[10] = q->key.from.ip[11] = q->key.to.ip[10] = q->key.to.ip[11] = 0xff;
    __builtin_memcpy(q->key.from.ip + 12, &ip->saddr, 4);
    __builtin_memcpy(q->key.to.ip + 12, &ip->daddr, 4);
    return fold(add_words(0, (__u8 *)ip, sizeof *ip)) == 0xffff;
}

static int read_ip6(struct xdp_md *x, struct probe *q)
{
    void *end = (void *)(long)x->data_end;
    struct ipv6hdr *ip = (void *)(long)x->data + sizeof(struct ethhdr);

    if ((void *)(ip + 1) > end || ip->nexthdr != IPPROTO_UDP)
        return 0;
    q->ip_len = sizeof *ip;
    q->ttl = ip->hop_limit;
    __builtin_memcpy(&q->key.from, &ip->saddr, 16);
    __builtin_memcpy(&q->key.to, &ip->daddr, 16);
    return 1;
}

/* Link-local addresses mean different hosts on different links. */
static int is_link_local(const struct xdp_addr *a)
{
    return a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

/* Forged ones would be sent to many; one of our own can only be a lie out there. */
static int is_of_one_host(const struct probe *q)
{
    const __u8 *ip = q->key.from.ip;
    __u32 word[4];

    __builtin_memcpy(word, ip, 16);
    if (q->ip_len == sizeof(struct iphdr))
        return ip[12] && ip[12] < 224 && !bpf_map_lookup_elem(&locals, &q->key.from);
    return ip[0] != 0xff && (word[0] | word[1] | word[2] | word[3]) && !bpf_map_lookup_elem(&locals, &q->key.from);
}

static int is_ours(const struct xdp_conf *c, const struct probe *q)
{
    return q->to_port == c->port && q->key.from_port != c->port &&
           bpf_ntohs(q->key.from_port) >= WELL_KNOWN_PORTS && !is_link_local(&q->key.from) &&
           is_of_one_host(q) && bpf_map_lookup_elem(&locals, &q->key.to);
}

static int is_allowed(const struct probe *q)
{
    struct xdp_prefix p = { .prefix_len = 128, .addr = q->key.from };
    __u8 *verdict = bpf_map_lookup_elem(&allow, &p);

    return verdict && *verdict;
}

/* As source_limit_take(): when its bucket is full, moved on by this packet. */
static int is_over(const struct xdp_conf *c, const struct probe *q)
{
    struct xdp_addr key = q->key.from;
    __u64 now = bpf_ktime_get_ns(), *full;

    if (!c->gap_ns)
        return 0;
    if (q->ip_len != sizeof(struct iphdr))
        __builtin_memset(key.ip + 8, 0, 8);
    full = bpf_map_lookup_elem(&buckets, &key);
    if (!full) {
        __u64 first = now + c->gap_ns;
        bpf_map_update_elem(&buckets, &key, &first, BPF_ANY);
        return 0;
    }
    for (int i = 0; i < LIMIT_TRIES; i++) {
        __u64 seen = *(volatile __u64 *)full, from = seen > now ? seen : now, next;

        if (from - now > c->burst_ns + CHANGED_NS)
            from = now + c->burst_ns - c->gap_ns;
        next = from + c->gap_ns;

        if (next - now > c->burst_ns)
            return 1;
        if (__sync_val_compare_and_swap(full, seen, next) == seen)
            return 0;
    }
    return 0;
}

static __u64 ntp_at(const __u8 *p)
{
    __u64 v;

    __builtin_memcpy(&v, p, 8);
    return bpf_be64_to_cpu(v);
}

/* As is_answer() of agent/core/reflect.c: it is not answered. */
static int is_answer(const __u8 *b)
{
    __u64 t3 = ntp_at(b + 4), t2 = ntp_at(b + 16);

    return t2 && !b[38] && !b[39] && t3 - t2 < TURNAROUND_MAX;
}

/* What the packet is, by the rules of the sockets' reflector (docs/protocol.md). 0: not for us. */
static int read_payload(struct xdp_md *x, struct probe *q)
{
    __u8 b[STAMP_BASE + 4] = { 0 };
    __u32 at = sizeof(struct ethhdr) + q->ip_len + sizeof(struct udphdr), n = q->len;
    __u32 zero = 0;

    if (n > sizeof b)
        n = sizeof b;
    if (n < REPLY_MIN || bpf_xdp_load_bytes(x, at, b, n))
        return 0;
    if (!b[13]) /* Error Estimate: the multiplier */
        return 0;
    for (int i = 4; i < 16; i++)
        zero |= b[i];
    if (q->len >= AUTH_BASE && !zero)
        return 0;
    if (is_answer(b))
        return 0;
    if (q->len < STAMP_BASE)
        return 1;
    zero = 0;
#pragma unroll
    for (int i = 16; i < STAMP_BASE; i++)
        zero |= b[i];
    if (zero)
        return 1;
    q->stamp = 1;
    __builtin_memcpy(&q->key.ssid, b + 14, 2);
    return q->len < STAMP_BASE + 4 || !(b[STAMP_BASE] | b[STAMP_BASE + 1]); /* no TLVs */
}

enum what { FOR_OTHERS, OVER_LIMIT, PROBE };

static enum what read_probe(struct xdp_md *x, const struct xdp_conf *c, struct probe *q)
{
    void *end = (void *)(long)x->data_end;
    struct ethhdr *eth = (void *)(long)x->data;
    struct udphdr *udp;
    __u32 frame = (__u32)(x->data_end - x->data), head;

    if ((void *)(eth + 1) > end || (eth->h_dest[0] & 1))
        return FOR_OTHERS;
    if (!(eth->h_proto == bpf_htons(ETH_P_IP)     ? read_ip4(x, q)
          : eth->h_proto == bpf_htons(ETH_P_IPV6) ? read_ip6(x, q)
                                                  : 0))
        return FOR_OTHERS;
    udp = (void *)(long)x->data + sizeof *eth + (q->ip_len & 63);
    if ((void *)(udp + 1) > end)
        return FOR_OTHERS;
    q->key.from_port = udp->source;
    q->to_port = udp->dest;
    head = sizeof *eth + q->ip_len + sizeof *udp;
    q->len = bpf_ntohs(udp->len) - sizeof *udp;
    if (!is_ours(c, q) || !is_allowed(q))
        return FOR_OTHERS;
    if (is_over(c, q)) /* what comes to the sockets has passed here, so that both together give a source its share */
        return OVER_LIMIT;
    if (!udp->check || bpf_ntohs(udp->len) < sizeof *udp + REPLY_MIN || q->len > XDP_PAYLOAD_MAX ||
        frame < head + q->len)
        return FOR_OTHERS;
    return read_payload(x, q) ? PROBE : FOR_OTHERS;
}

/* ---- Checksums ---- */

struct summing {
    struct scratch *s;
    __u64 sum;
};

static long sum_word(__u32 i, void *ctx)
{
    struct summing *c = ctx;

    if (i < sizeof c->s->octets / 4)
        c->sum += ((__u32 *)c->s->octets)[i];
    return 0;
}

/* Of the pseudo header, `udp` and the payload that is in s, followed by 3 zero octets. */
static __u16 udp_sum(const struct xdp_sender_key *k, __u32 len, const struct udphdr *udp, struct scratch *s)
{
    struct summing c = { .s = s };
    __u32 sum = add_words(0, (const __u8 *)k, 32); /* from and to; what is in front of IPv4 addresses, 0xffff
                                                    * twice, is 0 in this arithmetic */

    sum += bpf_htons(IPPROTO_UDP) + udp->len + add_words(0, (const __u8 *)udp, sizeof *udp);
    bpf_loop((len + 3) / 4, sum_word, &c, 0);
    return fold(c.sum + sum);
}

/* ---- Senders ---- */

/* NULL: the table is full. */
static struct xdp_sender *meet_sender(const struct xdp_conf *c, const struct probe *q, __u32 seq)
{
    struct xdp_sender fresh = { 0 }, *s = bpf_map_lookup_elem(&senders, &q->key);
    __u64 now = bpf_ktime_get_ns();

    if (!s) {
        bpf_map_update_elem(&senders, &q->key, &fresh, BPF_NOEXIST);
        s = bpf_map_lookup_elem(&senders, &q->key);
        if (!s)
            return 0;
    } else if (now - s->last_ns >= c->refwait_ns || (!seq && now - s->last_ns >= c->restart_gap_ns)) {
        s->next_seq = 0;
    }
    s->last_ns = now;
    return s;
}

/* ---- Answering ---- */

/* The answer's payload in s: Light shifts the padding, STAMP leaves it where it is. */
static void write_payload(const struct xdp_conf *c, const struct probe *q, struct scratch *s, __u64 now,
                          __u32 seq)
{
    __u8 *p = s->octets, head[PROBE_MIN];
    __u64 t = bpf_cpu_to_be64(now);

    __builtin_memcpy(head, p, sizeof head);
    __builtin_memcpy(p, &seq, 4);
    __builtin_memcpy(p + 4, &t, 8);
    __builtin_memcpy(p + 12, &c->err_est, 2);
    __builtin_memcpy(p + 14, &q->key.ssid, 2);
    __builtin_memcpy(p + 16, &t, 8);
    __builtin_memcpy(p + 24, head, sizeof head);
    p[38] = p[39] = 0;
    p[40] = q->ttl;
    if (q->stamp)
        p[41] = p[42] = p[43] = 0;
}

static void write_headers(struct xdp_md *x, const struct probe *q)
{
    void *end = (void *)(long)x->data_end;
    struct ethhdr *eth = (void *)(long)x->data;
    struct iphdr *ip4 = (void *)(eth + 1);
    struct ipv6hdr *ip6 = (void *)(eth + 1);
    __u8 mac[ETH_ALEN];

    if ((void *)(ip4 + 1) > end)
        return;
    __builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
    __builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
    __builtin_memcpy(eth->h_source, mac, ETH_ALEN);
    if (q->ip_len == sizeof *ip4) {
        __be32 a = ip4->saddr;
        ip4->saddr = ip4->daddr;
        ip4->daddr = a;
        ip4->tos &= DSCP;
        ip4->ttl = 255;
        ip4->frag_off = 0;
        ip4->check = 0;
        ip4->check = (__u16)~fold(add_words(0, (__u8 *)ip4, sizeof *ip4));
    } else if ((void *)(ip6 + 1) <= end) {
        struct in6_addr a = ip6->saddr;
        ip6->saddr = ip6->daddr;
        ip6->daddr = a;
        ip6->flow_lbl[0] &= 0xcf; /* ECN: the low half of the Traffic Class begins there */
        ip6->hop_limit = 255;
    }
}

static int answer(struct xdp_md *x, const struct xdp_conf *c, struct probe *q, struct scratch *s,
                  struct xdp_counters *n)
{
    __u32 at = sizeof(struct ethhdr) + q->ip_len, len = q->len, seq;
    struct udphdr udp;
    struct xdp_sender *sender;

    if (len < REPLY_MIN || len > XDP_PAYLOAD_MAX || bpf_xdp_load_bytes(x, at, &udp, sizeof udp) ||
        bpf_xdp_load_bytes(x, at + sizeof udp, s->octets, len))
        return XDP_PASS;
    __builtin_memset(s->octets + (len & 2047), 0, 4);
    if (udp_sum(&q->key, len, &udp, s) !=
        0xffff) /* broken, or still to be completed by this host's own driver */
        return XDP_PASS;
    __builtin_memcpy(&seq, s->octets, 4);
    if (!q->stamp && len > REPLY_MIN &&
        bpf_xdp_load_bytes(x, at + sizeof udp + PROBE_MIN, s->octets + REPLY_MIN, len - REPLY_MIN))
        return XDP_PASS;
    sender = meet_sender(c, q, seq);
    if (!sender)
        return XDP_PASS;
    if (!c->stateless)
        seq = bpf_htonl(__sync_fetch_and_add(&sender->next_seq, 1));
    write_payload(c, q, s, ntp_of(bpf_ktime_get_tai_ns() + c->tai_to_utc_ns), seq);
    udp = (struct udphdr){ .source = udp.dest, .dest = udp.source, .len = udp.len };
    udp.check = (__u16)~udp_sum(&q->key, len, &udp, s);
    if (!udp.check)
        udp.check = 0xffff;
    write_headers(x, q);
    bpf_xdp_store_bytes(x, at, &udp, sizeof udp);
    bpf_xdp_store_bytes(x, at + sizeof udp, s->octets, len);
    n->reflected++;
    n->reflected_stamp += q->stamp;
    return XDP_TX;
}

SEC("xdp")
int tw_reflect(struct xdp_md *x)
{
    __u32 zero = 0;
    struct xdp_conf *c = bpf_map_lookup_elem(&conf, &zero);
    struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);
    struct xdp_counters *n = bpf_map_lookup_elem(&counters, &zero);
    struct probe q = { 0 };

    if (!c || !s || !n)
        return XDP_PASS;
    switch (read_probe(x, c, &q)) {
    case PROBE:
        return answer(x, c, &q, s, n);
    case OVER_LIMIT:
        n->rate_limited++;
        return XDP_DROP;
    default:
        return XDP_PASS;
    }
}

char _license[] SEC("license") = "Apache-2.0";
