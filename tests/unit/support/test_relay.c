/* Tests of the relay that system tests measure against: what it understands, decides, and changes in packets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "common/wire.h"
#include "tests/support/relay/rules.h"

static const char *const names[] = { "a", "b", "c" };

static struct rules *rules_of(const char *text)
{
    struct tw_err err = { 0 };
    struct rules *r = NULL;
    char line[512];

    if (rules_parse(text, names, 3, &r, &err))
        fail_msg("%s: %s", text, tw_err_format(&err, line, sizeof line));
    return r;
}

/* ---- understanding ---- */

static void wrong_rules(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *field, *says;
    } cases[] = {
        { "role from=a", 1, "", "seed, rule or clock" },
        { "seed 1\nrule from=d", 2, "from", "name of a port" },
        { "rule delay", 1, "delay", "KEY=VALUE" },
        { "rule delay=10", 1, "delay", "a duration" },
        { "rule color=red", 1, "color", "no such key" },
        { "rule udp=0", 1, "udp", "1 to 65535" },
        { "rule udp=65536", 1, "udp", "1 to 65535" },
        { "rule loss=1.5", 1, "loss", "from 0 to 1" },
        { "rule loss=@0", 1, "loss", "packet numbers" },
        { "rule loss=@9-7", 1, "loss", "packet numbers" },
        { "rule dup=/0", 1, "dup", "each Nth" },
        { "rule burst=0.1", 1, "burst", "two to four" },
        { "rule burst=0.1:0.2:0.3:0.4:0.5", 1, "burst", "two to four" },
        { "rule jitter=2ms", 1, "jitter", "uniform:DURATION" },
        { "rule down=2s-1s", 1, "down", "after its begin" },
        { "rule down=2s", 1, "down", "spans" },
        { "rule ordered=perhaps", 1, "ordered", "yes or no" },
        { "seed x", 1, "", "a number" },
        { "# nothing\n\nclock offset=5ms", 3, "offset", "needs host" },
        { "clock host=a offset=--5ms", 1, "offset", "a duration" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct tw_err err = { 0 };
        struct rules *r = NULL;
        enum tw_rc rc = rules_parse(cases[i].text, names, 3, &r, &err);
        if (rc == TW_OK || r || err.line != cases[i].line || strcmp(err.field, cases[i].field) != 0 ||
            !strstr(err.text, cases[i].says))
            fail_msg("%s: %d, line %u, %s: %s", cases[i].text, (int)rc, err.line, err.field, err.text);
    }
}

/* ---- deciding ---- */

static const struct frame udp862 = { .udp = true, .sport = 40000, .dport = 862 };

/* One letter for each of n packets, a millisecond apart: . sent, l loss, b burst, d down, + sent twice. */
static const char *fates(struct rules *r, const struct frame *f, unsigned n, int64_t *delays)
{
    static char out[4096];

    for (unsigned i = 0; i < n; i++) {
        struct verdict v;
        rules_decide(r, 0, 1, f, (struct tw_wall){ TW_NS_PER_S + i * TW_NS_PER_MS }, &v);
        out[i] = !v.rule ? '?' : v.copy ? '+' : ".lbd"[v.fate];
        if (delays)
            delays[i] = v.delay_ns;
        if (v.rule && v.number != i + 1)
            fail_msg("packet %u is number %llu", i, (unsigned long long)v.number);
    }
    out[n] = '\0';
    return out;
}

static void what_rules_do(void **state)
{
    static const struct {
        const char *text, *fates;
    } cases[] = {
        { "", "????????" },
        { "rule from=b", "????????" },
        { "rule to=c", "????????" },
        { "rule from=a to=b dport=861", "????????" },
        { "rule from=a to=b dport=862 sport=40000", "........" },
        { "rule udp=862 loss=@2,@4-6", ".l.lll.." },
        { "rule udp=40000 loss=/3", "..l..l.." },
        { "rule loss=1", "llllllll" },
        { "rule loss=0", "........" },
        { "rule dup=@1,@8 loss=@8", "+......l" },
        { "rule down=2ms-4ms,6ms-7ms", "..dd..d." },
        { "rule burst=1:1", "b.b.b.b." }, /* enters at once, leaves at once */
        { "rule burst=1:0:1", "bbbbbbbb" },
        { "rule burst=0:1:1:1", "bbbbbbbb" }, /* never in a burst, but all is lost outside */
        { "rule to=a loss=1\nrule to=b\nrule loss=1", "........" }, /* the first that matches */
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct rules *r = rules_of(cases[i].text);
        const char *got = fates(r, &udp862, 8, NULL);
        if (strcmp(got, cases[i].fates) != 0)
            fail_msg("%s: %s, not %s", cases[i].text, got, cases[i].fates);
        rules_free(r);
    }
}

static void only_udp_has_a_fate(void **state)
{
    struct rules *r = rules_of("rule loss=1");
    struct frame other = { 0 };

    (void)state;
    assert_string_equal(fates(r, &other, 3, NULL), "???");
    rules_free(r);
}

static void seeds_repeat(void **state)
{
    static const char text[] =
        "seed %d\nrule from=c loss=0.5\nrule loss=0.3 dup=0.2 jitter=uniform:5ms burst=0.05:0.5";
    static const int seeds[3] = { 7, 7, 8 };
    int64_t delay[3][400];
    char fate[3][401], line[256];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct rules *r;
        snprintf(line, sizeof line, text, seeds[i]);
        r = rules_of(line);
        snprintf(fate[i], sizeof fate[i], "%s", fates(r, &udp862, 400, delay[i]));
        rules_free(r);
    }
    assert_string_equal(fate[0], fate[1]);
    assert_memory_equal(delay[0], delay[1], sizeof delay[0]);
    assert_string_not_equal(fate[0], fate[2]);
    assert_memory_not_equal(delay[0], delay[2], sizeof delay[0]);
}

/* Shares of many packets against what was asked for. */
static void chances_are_right(void **state)
{
    static const struct {
        const char *text;
        char letter;
        double share;
    } cases[] = {
        { "rule loss=0.1", 'l', 0.1 },
        { "rule loss=0.5,0.5", 'l', 0.75 },
        { "rule dup=0.02", '+', 0.02 },
        { "rule burst=0.02:0.18", 'b', 0.1 },
        { "rule burst=0.02:0.18:0.5:0.01", 'b', 0.059 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct rules *r = rules_of(cases[i].text);
        unsigned n = 0, all = 40000;
        for (unsigned k = 0; k < all; k++) {
            struct verdict v;
            rules_decide(r, 0, 1, &udp862, (struct tw_wall){ TW_NS_PER_S }, &v);
            n += (v.copy ? '+' : ".lbd"[v.fate]) == cases[i].letter;
        }
        if (n < 0.8 * cases[i].share * all || n > 1.2 * cases[i].share * all)
            fail_msg("%s: %u of %u", cases[i].text, n, all);
        rules_free(r);
    }
}

static void delays(void **state)
{
    static const struct {
        const char *text;
        int64_t min_ns, max_ns, mean_ns, mean_tolerance_ns;
        bool overtaken;
    } cases[] = {
        { "rule delay=10ms", 10000000, 10000000, 10000000, 0, false },
        { "rule delay=10ms jitter=uniform:4ms", 10000000, 14000000, 12000000, 200000, true },
        { "rule delay=10ms jitter=exp:2ms", 10000000, 40000000, 12000000, 300000, true },
        { "rule delay=10ms jitter=uniform:4ms ordered=yes", 10000000, 14000000, 12500000, 800000, false },
        { "rule delay=10ms reorder=/10 reorder_delay=5ms", 10000000, 15000000, 10500000, 1, true },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        enum { N = 2000 };
        static int64_t d[N];
        struct rules *r = rules_of(cases[i].text);
        double sum = 0;
        bool overtaken = false;
        fates(r, &udp862, N, d);
        for (unsigned k = 0; k < N; k++) {
            if (d[k] < cases[i].min_ns || d[k] > cases[i].max_ns)
                fail_msg("%s: delay %lld", cases[i].text, (long long)d[k]);
            overtaken |= k && d[k] + TW_NS_PER_MS < d[k - 1];
            sum += (double)d[k];
        }
        if (sum / N < (double)(cases[i].mean_ns - cases[i].mean_tolerance_ns) ||
            sum / N > (double)(cases[i].mean_ns + cases[i].mean_tolerance_ns) ||
            overtaken != cases[i].overtaken)
            fail_msg("%s: mean %f, overtaken %d", cases[i].text, sum / N, overtaken);
        rules_free(r);
    }
}

static void clocks(void **state)
{
    static const struct {
        unsigned from, to;
        uint16_t sport;
        int64_t shift_ns;
    } cases[] = {
        { 0, 1, 862, 5000000 }, { 1, 0, 862, -5000000 }, { 1, 2, 862, 2000000 },
        { 0, 2, 862, 7000000 }, { 2, 0, 862, -7000000 }, { 0, 1, 40000, 0 }, /* a probe */
    };
    struct rules *r = rules_of("clock host=a offset=5ms\nclock host=c offset=-2ms port=862");

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct frame f = { .udp = true, .sport = cases[i].sport, .dport = 40000 };
        int64_t got = rules_clock_shift(r, cases[i].from, cases[i].to, &f);
        if (got != cases[i].shift_ns)
            fail_msg("from %u to %u: %lld", cases[i].from, cases[i].to, (long long)got);
    }
    rules_free(r);
}

/* ---- packets ---- */

static uint16_t ones_sum(const uint8_t *p, size_t len, uint32_t s)
{
    for (size_t i = 0; i < len; i++)
        s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

/* What the datagram's sum over pseudo header and all adds up to: 0xffff if its checksum is right. */
static uint16_t udp_sum(const uint8_t *frame, size_t len, bool v6)
{
    const uint8_t *ip = frame + 14, *udp = ip + (v6 ? 40 : 20);
    size_t n = len - 14 - (v6 ? 40 : 20);

    return ones_sum(udp, n, ones_sum(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, 17 + (uint32_t)n));
}

/* An Ethernet frame with an answer: T3 and T2 in it, `tail` after the first 44 octets. */
static size_t build(uint8_t *out, size_t cap, bool v6, bool ptp, const uint8_t *tail, size_t tail_len)
{
    struct wire_wr w = { .p = out, .end = out + cap };
    size_t payload = 44 + tail_len, len;
    uint16_t sum;

    wire_put_zero(&w, 12);
    wire_put_u16(&w, v6 ? 0x86dd : 0x0800);
    if (v6) {
        wire_put_u32(&w, 0x60000000);
        wire_put_u16(&w, (uint16_t)(8 + payload));
        wire_put_u16(&w, 17 << 8 | 64);
        wire_put_u64(&w, UINT64_C(0x20010db800000000));
        wire_put_u64(&w, 1);
        wire_put_u64(&w, UINT64_C(0x20010db900000000));
        wire_put_u64(&w, 1);
    } else {
        wire_put_u32(&w, 0x45000000 | (uint32_t)(28 + payload));
        wire_put_u64(&w, UINT64_C(0x1234400040110000));
        wire_put_u64(&w, UINT64_C(0x0a6350010a635002));
    }
    wire_put_u32(&w, 862u << 16 | 40000);
    wire_put_u32(&w, (uint32_t)(8 + payload) << 16);
    wire_put_u32(&w, 77);
    wire_put_u64(&w, ptp ? UINT64_C(0x6900000000000001) : UINT64_C(0xe900000000000000)); /* T3 */
    wire_put_u32(&w, ptp ? 0xc0010000 : 0x80010000);
    wire_put_u64(&w, ptp ? UINT64_C(0x69000000000f4240) : UINT64_C(0xe900000080000000)); /* T2 */
    wire_put_u32(&w, 55);
    wire_put_u64(&w, UINT64_C(0xe8ffffff00000000)); /* T1 */
    wire_put_zero(&w, 8);
    wire_put_bytes(&w, tail, tail_len);
    assert_false(w.bad);
    len = (size_t)(w.p - out);
    sum = (uint16_t)~udp_sum(out, len, v6);
    out[14 + (v6 ? 40 : 20) + 6] = (uint8_t)(sum >> 8);
    out[14 + (v6 ? 40 : 20) + 7] = (uint8_t)sum;
    assert_int_equal(udp_sum(out, len, v6), 0xffff);
    return len;
}

static uint64_t get64(const uint8_t *p)
{
    struct wire_rd r = { .p = p, .end = p + 8 };

    return wire_get_u64(&r);
}

static void times_are_shifted(void **state)
{
    /* TLV 7: a sequence number, a time, a method */
    static const uint8_t follow_up[20] = { 0, 7, 0, 16, 0, 0, 0, 76, 0xe9, 0, 0, 0, 0x40 };

    (void)state;
    for (int i = 0; i < 8; i++) {
        bool v6 = i & 1, ptp = i & 2, tlv = i & 4;
        uint8_t frame[256], before[256];
        size_t len = build(frame, sizeof frame, v6, ptp, follow_up, tlv ? sizeof follow_up : 0);
        struct frame f;
        frame_parse(frame, len, &f);
        assert_true(f.udp && f.sport == 862 && f.dport == 40000 && f.payload_len == 44 + (tlv ? 20u : 0u));
        assert_int_equal(f.ip_len, v6 ? 16 : 4);
        assert_int_equal(f.src[0] << 8 | f.dst[3], v6 ? 0x20b9 : 0x0a02);
        assert_int_equal(frame_word(&f, 0), 77);
        assert_int_equal(frame_word(&f, 24), 55);
        assert_int_equal(frame_word(&f, f.payload_len - 3), 0);
        memcpy(before, frame, len);
        frame_shift_times(&f, -250 * TW_NS_PER_MS, false);
        assert_int_equal(udp_sum(frame, len, v6), 0xffff);
        assert_int_equal(get64(f.payload + 4),
                         ptp ? UINT64_C(0x68ffffff2cb41781) : UINT64_C(0xe8ffffffc0000000));
        assert_int_equal(get64(f.payload + 16),
                         ptp ? UINT64_C(0x68ffffff2cc359c0) : UINT64_C(0xe900000040000000));
        assert_int_equal(get64(f.payload + 28), UINT64_C(0xe8ffffff00000000));
        if (tlv && !ptp)
            assert_int_equal(get64(f.payload + 52), UINT64_C(0xe900000000000000));
        frame_shift_times(&f, 250 * TW_NS_PER_MS, false);
        assert_memory_equal(frame, before, len);
        /* The network card's work: its part of the sum is not ours to touch. */
        frame_shift_times(&f, TW_NS_PER_MS, true);
        assert_memory_equal(f.checksum, before + (f.checksum - frame), 2);
    }
}

static void other_frames(void **state)
{
    uint8_t frame[256];
    size_t len = build(frame, sizeof frame, false, false, NULL, 0);
    struct frame f;

    (void)state;
    for (size_t cut = 0; cut < len; cut++) { /* never more than is there */
        frame_parse(frame, cut, &f);
        assert_false(f.udp);
    }
    frame_parse(frame, len, &f);
    assert_true(f.udp);
    frame[20] = 0x20; /* More Fragments */
    frame_parse(frame, len, &f);
    assert_false(f.udp);
    frame[20] = 0x40;
    frame[23] = 6; /* TCP */
    frame_parse(frame, len, &f);
    assert_false(f.udp);
    frame[23] = 17;
    frame[38]++; /* the UDP length disagrees */
    frame_parse(frame, len, &f);
    assert_false(f.udp);
}

static void no_times_in_short_packets(void **state)
{
    uint8_t frame[256], before[256];
    size_t len = build(frame, sizeof frame, false, false, NULL, 0);
    struct frame f;

    (void)state;
    frame_parse(frame, len, &f);
    f.payload_len = 40;
    memcpy(before, frame, len);
    frame_shift_times(&f, TW_NS_PER_MS, false);
    assert_memory_equal(frame, before, len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_rules),
        cmocka_unit_test(what_rules_do),
        cmocka_unit_test(only_udp_has_a_fate),
        cmocka_unit_test(seeds_repeat),
        cmocka_unit_test(chances_are_right),
        cmocka_unit_test(delays),
        cmocka_unit_test(clocks),
        cmocka_unit_test(times_are_shifted),
        cmocka_unit_test(other_frames),
        cmocka_unit_test(no_times_in_short_packets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
