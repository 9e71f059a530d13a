/* tests/fuzz/flood.c - datagrams of every kind, good and bad, against a reflector that runs already:
 *
 *     flood ADDR:PORT COUNT SEED [KEY]
 *
 * sends COUNT datagrams of 0 to 2,000 octets: octets at random, TWAMP Light and STAMP probes, with TLVs,
 * authenticated with KEY (a passphrase that the reflector knows) and with another, and all of these damaged.
 * After each small batch a marker probe is awaited, so that neither side's socket buffer overflows: whatever
 * is not answered has been refused, not lost. At the end good probes of each kind must be answered rightly.
 * Prints what it sent and got as one line of JSON, for the comparison with the reflector's counters. The same
 * seed sends the same datagrams (but for their times). Exit code 1: the reflector answers no more, or
 * wrongly; 2: usage. */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/core/stamp_pkt.h"
#include "agent/core/stamp_tlv.h"
#include "agent/core/twamp_pkt.h"
#include "common/addr.h"
#include "common/wire.h"
#include "tests/unit/common/rng.h"

enum {
    LENGTH_MAX = 2000,
    ANSWER_MAX = 2048,
    BATCH = 48, /* with a marker: less than the smallest usual socket buffer holds */
    SOCKETS = 16,
    MARKER_TRIES = 20,
    MARKER_MS = 500,
    GOOD_EE = 0x8c01,
    RCVBUF = 4 << 20
};
#define MARKER_T1 UINT64_C(0xfeedfacecafebeef)
#define ANSWER_PORT 862 /* reflectors answer nothing that comes from there */

enum kind { RANDOM, LIGHT, STAMP, TLVS, SOUP, AUTH, AUTH_TLVS, FOREIGN, LOOP, KINDS };
static const char *const kind_names[KINDS] = { "random", "light",     "stamp",   "tlvs", "soup",
                                               "auth",   "auth_tlvs", "foreign", "loop" };

struct flood {
    struct sockaddr_storage to;
    socklen_t to_len;
    int fd[SOCKETS], loop_fd; /* loop_fd: bound to ANSWER_PORT; -1 = we may not */
    uint64_t rng, seq;
    struct stamp_keys keys, foreign; /* keys.n 0: no KEY was given */
    uint8_t buf[BATCH][LENGTH_MAX];
    uint8_t answers[BATCH][ANSWER_MAX];
    uint64_t sent, good[KINDS], damaged[KINDS], markers, repeated, answered, own_drops[SOCKETS];
};

static void die(const char *what)
{
    fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t below(struct flood *f, uint64_t n)
{
    return rng_below(&f->rng, n);
}

static void fill(struct flood *f, uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = rng_next(&f->rng);
        memcpy(buf + i, &v, len - i < 8 ? len - i : 8);
    }
}

/* ---- One datagram ---- */

static struct test_probe next_probe(struct flood *f)
{
    return (struct test_probe){ .seq = (uint32_t)f->seq++,
                                .t1 = rng_next(&f->rng) | 1, /* not 0, which would look authenticated */
                                .err_est = GOOD_EE,
                                .ssid = (uint16_t)below(f, 4) };
}

static size_t make_light(struct flood *f, uint8_t *buf)
{
    size_t len = TWAMP_PROBE_MIN + below(f, LENGTH_MAX - TWAMP_PROBE_MIN + 1);
    struct test_probe p = next_probe(f);

    fill(f, buf, len);
    twamp_encode_probe(&p, buf, len);
    return len;
}

/* A base packet, and TLVs of our own making behind it. */
static size_t make_stamp(struct flood *f, uint8_t *buf, struct stamp_keys *keys, bool tlvs)
{
    size_t base = stamp_base(keys), len = base;
    struct test_probe p = next_probe(f);
    struct stamp_tlv_want w = { .types = (uint32_t)below(f, 128) << STAMP_TLV_LOCATION,
                                .cos_dscp = (uint8_t)below(f, 64),
                                .tx_count = (uint32_t)f->sent,
                                .access_id = (uint8_t)(1 + below(f, 2)),
                                .access_code = 1 };

    stamp_write_probe(keys, 0, &p, buf, LENGTH_MAX);
    if (!tlvs)
        return len;
    if (keys)
        w.types |= STAMP_TLV_BIT(STAMP_TLV_HMAC);
    else if (!f->keys.n)
        w.types &= ~STAMP_TLV_BIT(STAMP_TLV_HMAC);
    len += stamp_tlv_size(&w);
    if (below(f, 2))
        len += 4 + below(f, LENGTH_MAX - len - 3);
    fill(f, buf + base, len - base);
    if (stamp_tlv_write(&w, p.seq, keys ? keys->key[0] : f->keys.key[0], buf + base, len - base)) {
        fprintf(stderr, "flood: TLVs %x of %zu octets cannot be written\n", w.types, len - base);
        exit(2);
    }
    return len;
}

/* TLVs of random types and lengths that mostly fit, behind a good base packet. */
static size_t make_soup(struct flood *f, uint8_t *buf)
{
    size_t len = make_stamp(f, buf, NULL, false), end = len + below(f, LENGTH_MAX - len + 1);

    while (len < end) {
        static const uint16_t lengths[] = { 0, 3, 4, 4, 4, 12, 16, 16, 20, 56, 400, 65535 };
        struct wire_wr w = { .p = buf + len, .end = buf + end };
        size_t value = lengths[below(f, TW_NELEM(lengths))];
        wire_put_u8(&w, (uint8_t)(below(f, 4) ? STAMP_TLV_U : below(f, 256)));
        wire_put_u8(&w, (uint8_t)below(f, below(f, 8) ? 13 : 256));
        wire_put_u16(&w, (uint16_t)value);
        len = (size_t)(w.p - buf);
        if (w.bad || value > end - len)
            value = end - len;
        if (below(f, 2))
            fill(f, buf + len, value);
        else
            memset(buf + len, 0, value);
        len += value;
    }
    return end;
}

static size_t make(struct flood *f, enum kind kind, uint8_t *buf)
{
    size_t len;

    switch (kind) {
    case LIGHT:
        return make_light(f, buf);
    case STAMP:
        return make_stamp(f, buf, NULL, false);
    case TLVS:
        return make_stamp(f, buf, NULL, true);
    case SOUP:
        return make_soup(f, buf);
    case AUTH:
        return make_stamp(f, buf, &f->keys, false);
    case AUTH_TLVS:
        return make_stamp(f, buf, &f->keys, true);
    case FOREIGN:
        return make_stamp(f, buf, &f->foreign, below(f, 2));
    case LOOP:
        return make_light(f, buf);
    case RANDOM:
    case KINDS:
        break;
    }
    len = below(f, LENGTH_MAX + 1);
    fill(f, buf, len);
    return len;
}

/* Bits, octets, runs of zeros, another length. */
static size_t damage(struct flood *f, uint8_t *buf, size_t len)
{
    for (uint64_t n = 1 + below(f, 3); n; n--) {
        size_t at = below(f, len < 160 ? len + 1 : 160), room = len - (at < len ? at : len);
        switch (below(f, 6)) {
        case 0:
            len = below(f, len + 1);
            break;
        case 1: {
            size_t more = below(f, LENGTH_MAX - len + 1);
            fill(f, buf + len, more);
            len += more;
            break;
        }
        case 2:
            memset(buf + at, below(f, 2) ? 0 : 0xff, room < 16 ? room : 16);
            break;
        case 3:
            fill(f, buf + at, room < 8 ? room : 8);
            break;
        default:
            if (at < len)
                buf[at] ^= (uint8_t)(1 << below(f, 8));
        }
    }
    return len;
}

static enum kind choose(struct flood *f)
{
    static const enum kind without_key[] = { RANDOM, LIGHT, STAMP, TLVS, SOUP, FOREIGN };

    return f->keys.n ? (enum kind)below(f, LOOP) : without_key[below(f, TW_NELEM(without_key))];
}

/* ---- Sending and receiving ---- */

static void note_drops(struct flood *f, unsigned s, struct msghdr *h)
{
    uint32_t n;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL)
            continue;
        memcpy(&n, CMSG_DATA(c), sizeof n);
        f->own_drops[s] = n; /* since the socket was opened */
    }
}

/* Takes what has come to socket s; says whether the answer to marker `seq` was there. */
static bool take_answers(struct flood *f, unsigned s, uint32_t seq)
{
    struct mmsghdr h[BATCH];
    struct iovec iov[BATCH];
    char control[BATCH][CMSG_SPACE(sizeof(uint32_t))];
    bool found = false;
    int n;

    do {
        for (unsigned i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){ f->answers[i], ANSWER_MAX };
            h[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i],
                                                  .msg_iovlen = 1,
                                                  .msg_control = control[i],
                                                  .msg_controllen = sizeof control[i] } };
        }
        n = recvmmsg(f->fd[s], h, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) {
            struct test_reply r;
            note_drops(f, s, &h[i].msg_hdr);
            if (twamp_decode_reply(f->answers[i], h[i].msg_len, &r) == TW_OK && r.sender_t1 == MARKER_T1 &&
                r.sender_seq == seq)
                found = true;
        }
        f->answered += n > 0 ? (uint64_t)n : 0;
    } while (n == BATCH);
    return found;
}

/* One datagram alone. */
static void send_one(struct flood *f, int fd, const uint8_t *buf, size_t len)
{
    while (sendto(fd, buf, len, 0, (const struct sockaddr *)&f->to, f->to_len) < 0) {
        if (errno != EINTR && errno != ENOBUFS && errno != EAGAIN)
            die("cannot send");
    }
    f->sent++;
}

static void send_batch(struct flood *f, int fd, const size_t *len, unsigned n)
{
    struct mmsghdr h[BATCH];
    struct iovec iov[BATCH];
    unsigned done = 0;

    for (unsigned i = 0; i < n; i++) {
        iov[i] = (struct iovec){ f->buf[i], len[i] };
        h[i] = (struct mmsghdr){
            .msg_hdr = { .msg_name = &f->to, .msg_namelen = f->to_len, .msg_iov = &iov[i], .msg_iovlen = 1 }
        };
    }
    while (done < n) {
        int k = sendmmsg(fd, h + done, n - done, 0);
        if (k < 0 && errno != EINTR && errno != ENOBUFS && errno != EAGAIN)
            die("cannot send");
        done += k > 0 ? (unsigned)k : 0;
    }
    f->sent += n;
}

/* Waits until the reflector has done all that socket s has sent. */
static bool await_marker(struct flood *f, unsigned s)
{
    uint32_t seq = (uint32_t)f->seq++;
    struct test_probe p = { .seq = seq, .t1 = MARKER_T1, .err_est = GOOD_EE };
    uint8_t buf[TWAMP_REPLY_MIN] = { 0 };

    memset(buf + TWAMP_PROBE_MIN, 0xaa, sizeof buf - TWAMP_PROBE_MIN);
    twamp_encode_probe(&p, buf, sizeof buf);
    for (unsigned try = 0; try < MARKER_TRIES; try++) {
        struct pollfd pfd = { .fd = f->fd[s], .events = POLLIN };
        send_one(f, f->fd[s], buf, sizeof buf);
        f->markers++;
        f->repeated += try > 0;
        while (poll(&pfd, 1, MARKER_MS) > 0)
            if (take_answers(f, s, seq))
                return true;
    }
    return false;
}

static bool flood(struct flood *f, uint64_t count)
{
    uint64_t made = 0;

    while (made < count) {
        unsigned s = (unsigned)below(f, SOCKETS), n = 0;
        size_t len[BATCH];
        for (; n < BATCH && made < count; n++, made++) {
            enum kind k = choose(f);
            bool bad = k != RANDOM && k != SOUP && below(f, 2);
            len[n] = make(f, k, f->buf[n]);
            if (bad)
                len[n] = damage(f, f->buf[n], len[n]);
            ++*(bad ? &f->damaged[k] : &f->good[k]);
        }
        send_batch(f, f->fd[s], len, n);
        if (f->loop_fd >= 0 && made < count) {
            uint8_t buf[LENGTH_MAX];
            send_one(f, f->loop_fd, buf, make(f, LOOP, buf));
            f->good[LOOP]++;
            made++;
        }
        if (!await_marker(f, s)) {
            fprintf(stderr, "flood: no answer to a good probe after %" PRIu64 " datagrams\n", f->sent);
            return false;
        }
    }
    return true;
}

/* ---- Is it well? ---- */

static size_t ask(struct flood *f, const uint8_t *buf, size_t len, uint8_t *ret)
{
    struct pollfd pfd = { .fd = f->fd[0], .events = POLLIN };
    ssize_t n;

    send_one(f, f->fd[0], buf, len);
    n = poll(&pfd, 1, 5000) > 0 ? recv(f->fd[0], ret, ANSWER_MAX, 0) : 0;
    f->answered += n > 0;
    return n > 0 ? (size_t)n : 0;
}

/* A good probe of this kind is answered by what the RFC says. */
static bool is_well(struct flood *f, enum kind kind)
{
    struct stamp_keys *keys = kind == AUTH || kind == AUTH_TLVS ? &f->keys : NULL;
    uint8_t probe[LENGTH_MAX], answer[ANSWER_MAX];
    size_t len = make(f, kind, probe), n = ask(f, probe, len, answer), base = stamp_base(keys);
    struct stamp_tlv_seen seen = { 0 };
    struct test_probe p;
    struct test_reply r;
    unsigned key = 0;

    if (n != (len < TWAMP_REPLY_MIN ? TWAMP_REPLY_MIN : len))
        return false;
    if (kind == LIGHT
            ? twamp_decode_probe(probe, len, &p) || twamp_decode_reply(answer, n, &r)
            : stamp_read_probe(keys, probe, len, &p, &key) || stamp_read_reply(keys, answer, n, &r, &key))
        return false;
    if (r.sender_seq != p.seq || r.sender_t1 != p.t1 || r.sender_err_est != p.err_est)
        return false;
    if (kind == LIGHT)
        return true;
    if (n > base)
        stamp_tlv_read(answer + base, n - base, r.seq, keys ? keys->key[0] : NULL, &seen);
    return r.ssid == p.ssid && !seen.malformed && !seen.integrity && !seen.unrecognised &&
           (n == base || seen.answered);
}

static bool all_well(struct flood *f)
{
    static const enum kind kinds[] = { LIGHT, STAMP, TLVS, AUTH, AUTH_TLVS };
    bool well = true;

    for (size_t i = 0; i < TW_NELEM(kinds); i++) {
        if ((kinds[i] == AUTH || kinds[i] == AUTH_TLVS) && !f->keys.n)
            continue;
        for (unsigned n = 0; n < 100; n++) {
            if (is_well(f, kinds[i]))
                continue;
            fprintf(stderr, "flood: a good %s probe is not answered as it should be\n", kind_names[kinds[i]]);
            well = false;
            break;
        }
    }
    return well;
}

/* ---- Begin and end ---- */

static int open_socket(int family, uint16_t port)
{
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1, bytes = RCVBUF;

    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (bind(fd, family == AF_INET ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6,
             family == AF_INET ? sizeof a4 : sizeof a6) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void begin(struct flood *f, const struct tw_addr *to, uint64_t seed, const char *key)
{
    f->rng = seed;
    f->to_len = tw_addr_to_sockaddr(to, &f->to);
    for (unsigned i = 0; i < SOCKETS; i++) {
        f->fd[i] = open_socket(f->to.ss_family, 0);
        if (f->fd[i] < 0)
            die("bind");
    }
    f->loop_fd = open_socket(f->to.ss_family, ANSWER_PORT);
    if (stamp_keys_add(&f->foreign, (const uint8_t *)"not a key of the reflector", 26) ||
        (key && stamp_keys_add(&f->keys, (const uint8_t *)key, strlen(key))))
        die("keys");
}

static void print_kinds(const char *name, const uint64_t n[KINDS])
{
    printf(", \"%s\": {", name);
    for (unsigned k = 0; k < KINDS; k++)
        printf("%s\"%s\": %" PRIu64, k ? ", " : "", kind_names[k], n[k]);
    printf("}");
}

static void report(const struct flood *f, bool well)
{
    uint64_t drops = 0;

    for (unsigned i = 0; i < SOCKETS; i++)
        drops += f->own_drops[i];
    printf("{\"sent\": %" PRIu64 ", \"answers\": %" PRIu64 ", \"own_drops\": %" PRIu64
           ", \"markers\": %" PRIu64 ", \"repeated\": %" PRIu64,
           f->sent, f->answered, drops, f->markers, f->repeated);
    print_kinds("good", f->good);
    print_kinds("damaged", f->damaged);
    printf(", \"well\": %s}\n", well ? "true" : "false");
}

static void end(struct flood *f)
{
    for (unsigned i = 0; i < SOCKETS; i++)
        close(f->fd[i]);
    if (f->loop_fd >= 0)
        close(f->loop_fd);
    stamp_keys_clear(&f->keys);
    stamp_keys_clear(&f->foreign);
}

int main(int argc, char **argv)
{
    static struct flood f;
    struct tw_addr to;
    bool well;

    if (argc < 4 || argc > 5 || tw_addr_parse(argv[1], 0, &to) || !to.port) {
        fprintf(stderr, "usage: flood ADDR:PORT COUNT SEED [KEY]\n");
        return 2;
    }
    begin(&f, &to, strtoull(argv[3], NULL, 0), argc > 4 ? argv[4] : NULL);
    well = flood(&f, strtoull(argv[2], NULL, 0)) && all_well(&f);
    report(&f, well);
    end(&f);
    return well ? 0 : 1;
}
