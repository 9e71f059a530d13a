/* The probe against scripted reflectors on a virtual clock. Their habits: protocol reference section 10. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/core/probe_run.h"
#include "agent/core/reflect.h"
#include "common/dscp.h"

#define MS TW_NS_PER_MS
#define WALL_START (INT64_C(1795424684) * TW_NS_PER_S)
#define WAY_NS (2 * MS)   /* each way */
#define STAY_NS (MS / 4)  /* inside the reflector, where it tells */
#define AHEAD_NS (7 * MS) /* its clock */
#define HOPS 5

enum { BUF = 512, QUEUE = 1 << 13, PPS = 2000 };

/* ---- Scripted reflectors ---- */

struct request {
    const uint8_t *data;
    size_t len;
    uint8_t tos, ttl; /* as received */
    uint64_t t2, t3;  /* NTP */
};
struct answer {
    uint8_t data[BUF];
    size_t len;
    uint8_t tos, ttl; /* as sent */
};
struct state {
    uint32_t count;
    struct reflector *ours;
};
/* false: no answer. The answer is all zeros before. */
typedef bool (*reflect_fn)(struct state *s, const struct request *q, struct answer *a);

static void put(uint8_t *at, uint64_t v, unsigned n)
{
    while (n--) {
        at[n] = (uint8_t)v;
        v >>= 8;
    }
}

/* 24 octets of its own, the first 14 of the request, its own padding; T2 = T3; no TTL; its own TOS. */
static bool twampy(struct state *s, const struct request *q, struct answer *a)
{
    size_t n = q->len < 14 ? q->len : 14;

    put(a->data, s->count++, 4);
    put(a->data + 4, q->t2, 8);
    put(a->data + 12, 0x0001, 2);
    put(a->data + 16, q->t2, 8);
    memcpy(a->data + 24, q->data, n);
    a->len = 24 + n;
    a->tos = 0x88;
    a->ttl = 64;
    return true;
}

static bool twampy_padded(struct state *s, const struct request *q, struct answer *a)
{
    twampy(s, q, a);
    a->len += 60;
    return q->len >= 14;
}

static bool domoslabs(struct state *s, const struct request *q, struct answer *a)
{
    (void)s;
    memcpy(a->data, q->data, q->len < 12 ? q->len : 12); /* number, and T1 where T3 belongs */
    put(a->data + 12, 0x8001, 2);
    put(a->data + 16, q->t2, 8);
    memcpy(a->data + 24, q->data, 4);
    put(a->data + 28, q->t3, 8);
    memcpy(a->data + 36, q->data + 12, 2);
    a->data[40] = q->ttl;
    a->len = q->len;
    a->ttl = 255;
    return q->len >= 14;
}

/* RFC 5357 section 4.2.1, from the number on. */
static void by_rfc5357(uint32_t number, size_t least, const struct request *q, struct answer *a)
{
    put(a->data, number, 4);
    put(a->data + 4, q->t3, 8);
    put(a->data + 12, 0x0001, 2);
    put(a->data + 16, q->t2, 8);
    memcpy(a->data + 24, q->data, q->len < 14 ? q->len : 14);
    a->data[40] = q->ttl;
    a->len = q->len > least ? q->len : least;
    a->tos = q->tos & 0xfc;
    a->ttl = 255;
}

/* perfSONAR: counts, and answers even what is an octet short. */
static bool stateful(struct state *s, const struct request *q, struct answer *a)
{
    by_rfc5357(s->count++, 41, q, a);
    if (a->len > 41)
        memcpy(a->data + 41, q->data + 14, a->len - 41);
    return true;
}

static bool stateless(struct state *s, const struct request *q, struct answer *a)
{
    (void)s;
    by_rfc5357((uint32_t)q->data[2] << 8 | q->data[3], 41, q, a);
    if (a->len > 41)
        memcpy(a->data + 41, q->data + 14, a->len - 41);
    put(a->data + 12, 0x9007, 2);
    return q->len >= 14;
}

/* One that begins to count with the number it sees first, on a path that clears the DSCP. */
static bool seeded(struct state *s, const struct request *q, struct answer *a)
{
    uint32_t seq = (uint32_t)q->data[2] << 8 | q->data[3];

    if (q->len < 14)
        return false;
    s->count = s->count ? s->count + 1 : seq;
    by_rfc5357(s->count, 41, q, a);
    a->tos = 0;
    return true;
}

static bool stamp_8762(struct state *s, const struct request *q, struct answer *a)
{
    (void)s;
    by_rfc5357((uint32_t)q->data[2] << 8 | q->data[3], 44, q, a);
    if (a->len > 44)
        memcpy(a->data + 44, q->data + 44, a->len - 44);
    a->ttl = 64;
    return q->len >= 14;
}

/* The same in PTP format, with the seconds of NTP, and silent to what is too short. */
static bool stamp_ptp_1900(struct state *s, const struct request *q, struct answer *a)
{
    if (q->len < 44)
        return false;
    stamp_8762(s, q, a);
    put(a->data + 4, (q->t3 & UINT64_C(0xffffffff00000000)) | ((q->t3 & 0xffffffff) * TW_NS_PER_S >> 32), 8);
    put(a->data + 16, (q->t2 & UINT64_C(0xffffffff00000000)) | ((q->t2 & 0xffffffff) * TW_NS_PER_S >> 32), 8);
    put(a->data + 12, 0x4001, 2);
    return true;
}

/* Knows Extra Padding, Timestamp Information and Class of Service; has a key of its own. */
static bool stamp_8972(struct state *s, const struct request *q, struct answer *a)
{
    size_t at = 44;

    by_rfc5357(s->count++, 44, q, a);
    if (q->len < 44)
        return true;
    memcpy(a->data + 14, q->data + 14, 2);
    memcpy(a->data + 44, q->data + 44, q->len - 44);
    if (q->len > 45 && q->data[45] == 8) {
        a->data[44] |= STAMP_TLV_I;
        return true;
    }
    while (at + 4 <= q->len) {
        size_t len = (size_t)q->data[at + 2] << 8 | q->data[at + 3];
        uint8_t type = q->data[at + 1];
        if (at + 4 + len > q->len) {
            a->data[at] = STAMP_TLV_M;
            return true;
        }
        if (type == 1 || type == 3 || type == 4)
            a->data[at] = 0;
        if (type == 3)
            put(a->data + at + 4, 0x01020102, 4);
        if (type == 4) {
            put(a->data + at + 4, (uint32_t)q->data[at + 4] << 24 | (uint32_t)(q->tos >> 2) << 20, 4);
            a->tos = q->data[at + 4] & 0xfc;
        }
        at += 4 + len;
    }
    return true;
}

static bool echo(struct state *s, const struct request *q, struct answer *a)
{
    (void)s;
    memcpy(a->data, q->data, q->len);
    a->len = q->len;
    return true;
}

static bool silent(struct state *s, const struct request *q, struct answer *a)
{
    (void)s;
    (void)q;
    (void)a;
    return false;
}

/* Writes its answers as RFC 4656 forbids. */
static bool multiplier_0(struct state *s, const struct request *q, struct answer *a)
{
    bool is = stateful(s, q, a);

    put(a->data + 12, 0x8100, 2);
    return is;
}

static bool twampmesh(struct state *s, const struct request *q, struct answer *a)
{
    struct reflect_rx rx = { .ttl = q->ttl, .tos = q->tos };
    struct reflect_tx tx;

    tw_addr_parse("192.0.2.1:40000", 0, &rx.from);
    tw_addr_parse("192.0.2.2:862", 0, &rx.to);
    rx.t2 = tw_wall_from_ntp(q->t2, (struct tw_wall){ WALL_START });
    rx.source = TW_TS_KERNEL;
    if (reflect_answer(s->ours, &rx, q->data, q->len, a->data, sizeof a->data, &tx))
        return false;
    reflect_stamp(s->ours, &tx, a->data, tw_wall_from_ntp(q->t3, (struct tw_wall){ WALL_START }));
    a->len = tx.len;
    a->tos = tx.tos;
    a->ttl = 255;
    return true;
}

/* ---- The path ---- */

struct path {
    reflect_fn reflect;
    struct state state;
    unsigned lose_one_in; /* of the answers; 0 = none */
    unsigned max_pps;     /* more than this is dropped; 0 = all is taken */
    int64_t free_at;
    unsigned sent;
    struct {
        int64_t at;
        struct answer a;
    } queue[QUEUE];
    unsigned head, tail;
};

static void cross(struct path *p, int64_t now, const uint8_t *data, size_t len, uint8_t tos)
{
    struct tw_wall t2 = { WALL_START + now + WAY_NS + AHEAD_NS }, t3 = { t2.ns + STAY_NS };
    struct request q = { data, len, tos, 255 - HOPS, tw_wall_to_ntp(t2), tw_wall_to_ntp(t3) };
    struct answer *a = &p->queue[p->tail % QUEUE].a;

    p->sent++;
    if (p->max_pps) {
        if (now < p->free_at)
            return;
        p->free_at = now + TW_NS_PER_S / p->max_pps;
    }
    memset(a, 0, sizeof *a);
    if (!p->reflect(&p->state, &q, a))
        return;
    if (p->lose_one_in && p->sent % p->lose_one_in == 0)
        return;
    p->queue[p->tail++ % QUEUE].at = now + 2 * WAY_NS + STAY_NS;
    assert_true(p->tail - p->head < QUEUE);
}

/* Runs to the end and says how long it took. */
static int64_t run(struct path *p, const struct probe_run_cfg *cfg, struct probe_findings *f,
                   struct probe_run_extra *extra)
{
    struct probe_run *r;
    int64_t now = 0;

    assert_int_equal(probe_run_new(cfg, (struct tw_mono){ 0 }, &r), TW_OK);
    for (;;) {
        struct tw_now t = { { now }, { WALL_START + now } };
        uint8_t buf[PROBE_LEN_MAX];
        struct probe_run_out out;
        while (probe_run_next(r, t, buf, &out) == TW_OK)
            cross(p, now, buf, out.len, out.tos);
        if (probe_run_next_due(r).ns == TW_MONO_NEVER.ns)
            break;
        if (p->head != p->tail && p->queue[p->head % QUEUE].at <= probe_run_next_due(r).ns) {
            const struct answer *a = &p->queue[p->head % QUEUE].a;
            struct probe_run_in in = { { 0 }, (int16_t)(a->ttl - HOPS), a->tos };
            uint8_t *exact = malloc(a->len);
            now = p->queue[p->head++ % QUEUE].at;
            in.time.ns = WALL_START + now;
            memcpy(exact, a->data, a->len);
            probe_run_on_answer(r, (struct tw_mono){ now }, &in, exact, a->len);
            free(exact);
        } else {
            now = probe_run_next_due(r).ns;
        }
        assert_true(now < 60 * TW_NS_PER_S);
    }
    probe_run_findings(r, f);
    probe_run_extra(r, extra);
    probe_run_free(r);
    return now;
}

static const struct probe_run_cfg settings = {
    .dscp = 46, .tries = 3, .spacing_ns = 20 * MS, .timeout_ns = 500 * MS, .max_pps = PPS, .seed = 7
};

static struct path *path_to(reflect_fn reflect)
{
    struct reflect_cfg cfg = { .max_sessions = 4, .refwait_ns = 900 * TW_NS_PER_S, .port = 862 };
    struct path *p = calloc(1, sizeof *p);

    cfg.restart_gap_ns = 3 * TW_NS_PER_S;
    p->reflect = reflect;
    assert_int_equal(reflector_new(&cfg, &p->state.ours), TW_OK);
    return p;
}

static void path_free(struct path *p)
{
    reflector_free(p->state.ours);
    free(p);
}

/* ---- What is found ---- */

static const struct expectation {
    const char *name;
    reflect_fn reflect;
    enum probe_kind kind;
    enum probe_counting counting;
    enum probe_sizing sizing;
    size_t reply_min;
    enum probe_padding padding;
    bool answers_short, swapped, distinct, ttl_returned, stamp, ssid;
    enum probe_format format;
    enum probe_marking marking;
    int16_t reply_ttl;
} expectations[] = {
    { "twampy", twampy, PROBE_TWAMPY, PROBE_STATEFUL, PROBE_FIXED, 38, PROBE_PADDING_UNKNOWN, true, false,
      false, false, false, false, PROBE_NTP, PROBE_MARK_FIXED, 64 - HOPS },
    { "twampy --padding 60", twampy_padded, PROBE_TWAMPY, PROBE_STATEFUL, PROBE_FIXED, 98, PROBE_PADDING_ZERO,
      false, false, false, false, false, false, PROBE_NTP, PROBE_MARK_FIXED, 64 - HOPS },
    { "domoslabs", domoslabs, PROBE_DOMOSLABS, PROBE_STATELESS, PROBE_AS_REQUEST, 14, PROBE_PADDING_ZERO,
      false, true, true, true, false, false, PROBE_NTP, PROBE_MARK_FIXED, 255 - HOPS },
    { "RFC 5357", stateful, PROBE_RFC5357, PROBE_STATEFUL, PROBE_AS_REQUEST, 41, PROBE_PADDING_SHIFTED, true,
      false, true, true, false, false, PROBE_NTP, PROBE_MARK_COPIED, 255 - HOPS },
    { "RFC 5357, counting from what it sees first", seeded, PROBE_RFC5357, PROBE_STATEFUL, PROBE_AS_REQUEST,
      41, PROBE_PADDING_ZERO, false, false, true, true, false, false, PROBE_NTP, PROBE_MARK_FIXED,
      255 - HOPS },
    { "Light without state", stateless, PROBE_LIGHT_STATELESS, PROBE_STATELESS, PROBE_AS_REQUEST, 41,
      PROBE_PADDING_SHIFTED, false, false, true, true, false, false, PROBE_NTP, PROBE_MARK_COPIED,
      255 - HOPS },
    { "STAMP of RFC 8762", stamp_8762, PROBE_STAMP_8762, PROBE_STATELESS, PROBE_AS_REQUEST, 44,
      PROBE_PADDING_KEPT, false, false, true, true, true, false, PROBE_NTP, PROBE_MARK_COPIED, 64 - HOPS },
    { "STAMP with PTP times from 1900", stamp_ptp_1900, PROBE_STAMP_8762, PROBE_STATELESS, PROBE_AS_REQUEST,
      44, PROBE_PADDING_KEPT, false, false, true, true, true, false, PROBE_PTP_1900, PROBE_MARK_COPIED,
      64 - HOPS },
    { "STAMP of RFC 8972", stamp_8972, PROBE_STAMP_8972, PROBE_STATEFUL, PROBE_AS_REQUEST, 44,
      PROBE_PADDING_KEPT, true, false, true, true, true, true, PROBE_NTP, PROBE_MARK_COPIED, 255 - HOPS },
    { "twampmesh", twampmesh, PROBE_TWAMPMESH, PROBE_STATEFUL, PROBE_AS_REQUEST, 41, PROBE_PADDING_SHIFTED,
      false, false, true, true, true, true, PROBE_NTP, PROBE_MARK_COPIED, 255 - HOPS },
    { "multiplier 0", multiplier_0, PROBE_RFC5357, PROBE_STATEFUL, PROBE_AS_REQUEST, 41,
      PROBE_PADDING_SHIFTED, true, false, true, true, false, false, PROBE_NTP, PROBE_MARK_COPIED,
      255 - HOPS },
};

static void check(const char *name, const struct expectation *e, const struct probe_findings *f)
{
    if (f->kind != e->kind)
        fail_msg("%s: %s", name, probe_kind_text(f->kind));
    if (f->counting != e->counting || f->sizing != e->sizing || f->reply_min != e->reply_min ||
        f->padding != e->padding || f->answers_short != e->answers_short)
        fail_msg("%s: counting %d, sizing %d from %zu, padding %d, short %d", name, f->counting, f->sizing,
                 f->reply_min, f->padding, f->answers_short);
    if (!f->readable || f->swapped != e->swapped || f->times_distinct != e->distinct ||
        f->t1_returned != !e->swapped || f->format != e->format || f->format_follows)
        fail_msg("%s: swapped %d, distinct %d, T1 %d, format %d", name, f->swapped, f->times_distinct,
                 f->t1_returned, f->format);
    if (f->ttl_returned != e->ttl_returned || (f->ttl_returned && f->ttl_seen != 255 - HOPS) ||
        f->reply_ttl != e->reply_ttl || f->marking != e->marking)
        fail_msg("%s: ttl %d %u, of the answers %d, marking %d", name, f->ttl_returned, f->ttl_seen,
                 f->reply_ttl, f->marking);
    if (f->stamp != e->stamp || f->ssid_returned != e->ssid)
        fail_msg("%s: stamp %d, ssid %d", name, f->stamp, f->ssid_returned);
}

/* Less than the granularity of the timestamps. */
static bool is_about(int64_t a, int64_t b)
{
    return a - b < 50 && b - a < 50;
}

static void check_times(const char *name, const struct expectation *e, const struct probe_findings *f)
{
    int64_t stay = e->distinct ? STAY_NS : 0;

    if (!is_about(f->residence_min_ns, stay) || !is_about(f->residence_max_ns, stay) ||
        !is_about(f->round_trip_min_ns, 2 * WAY_NS + STAY_NS - stay))
        fail_msg("%s: stays %lld to %lld ns, round trip %lld ns", name, (long long)f->residence_min_ns,
                 (long long)f->residence_max_ns, (long long)f->round_trip_min_ns);
    if (!is_about(f->clock_offset_ns, AHEAD_NS - (STAY_NS - stay) / 2))
        fail_msg("%s: clock offset %lld ns", name, (long long)f->clock_offset_ns);
}

static void kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(expectations); i++) {
        const struct expectation *e = &expectations[i];
        struct path *p = path_to(e->reflect);
        struct probe_findings f;
        struct probe_run_extra extra;
        int64_t took = run(p, &settings, &f, &extra);
        check(e->name, e, &f);
        check_times(e->name, e, &f);
        if (extra.strange || extra.duplicates)
            fail_msg("%s: %llu strange", e->name, (unsigned long long)extra.strange);
        if (f.n_rates != 5 || f.pps_without_loss != PPS)
            fail_msg("%s: %zu stages, %u pps without loss", e->name, f.n_rates, f.pps_without_loss);
        if (took > 8 * TW_NS_PER_S)
            fail_msg("%s: took %lld ms", e->name, (long long)(took / MS));
        path_free(p);
    }
}

/* Every third answer is lost, of some packets two: what is found is the same, but for the rates. */
static void kinds_with_loss(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(expectations); i++) {
        const struct expectation *e = &expectations[i];
        struct path *p = path_to(e->reflect);
        struct probe_run_cfg cfg = settings;
        struct probe_findings f;
        struct probe_run_extra extra;
        cfg.tries = 6;
        p->lose_one_in = 3;
        run(p, &cfg, &f, &extra);
        check(e->name, e, &f);
        if (f.n_rates != 1 || f.pps_without_loss)
            fail_msg("%s: %zu stages, %u pps without loss", e->name, f.n_rates, f.pps_without_loss);
        if (e->counting == PROBE_STATEFUL && probe_rate_lost_forward(&f.rates[0]) > 2)
            fail_msg("%s: %u lost on the way there", e->name, probe_rate_lost_forward(&f.rates[0]));
        path_free(p);
    }
}

static void no_reflector(void **state)
{
    static const struct {
        reflect_fn reflect;
        enum probe_kind kind;
        unsigned sent, stages;
    } rows[] = { { silent, PROBE_NOTHING, 3 * PROBE_STEPS, 0 }, { echo, PROBE_ECHO, 0, 5 } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct path *p = path_to(rows[i].reflect);
        struct probe_findings f;
        struct probe_run_extra extra;
        run(p, &settings, &f, &extra);
        if (f.kind != rows[i].kind || f.n_rates != rows[i].stages ||
            (rows[i].sent && p->sent != rows[i].sent))
            fail_msg("%s: %zu stages, %u packets", probe_kind_name(f.kind), f.n_rates, p->sent);
        path_free(p);
    }
}

static void tlvs(void **state)
{
#define U PROBE_TLV_UNRECOGNISED
#define A PROBE_TLV_ANSWERED
#define N PROBE_TLV_NOT_READ
    static const struct {
        const char *name;
        reflect_fn reflect;
        enum probe_tlv tlv[PROBE_TLV_TYPES], unknown, malformed;
        uint32_t together;
        bool reply_dscp;
    } rows[] = {
        { "RFC 8972",
          stamp_8972,
          { 0, A, U, A, A, U, U, U, PROBE_TLV_INTEGRITY },
          U,
          PROBE_TLV_IS_MALFORMED,
          STAMP_TLV_BIT(1) | STAMP_TLV_BIT(3) | STAMP_TLV_BIT(4),
          true },
        { "twampmesh", twampmesh, { 0, A, A, A, A, A, A, A, U }, U, PROBE_TLV_IS_MALFORMED, 0xfe, true },
        { "RFC 8762", stamp_8762, { 0, N, N, N, N, N, N, N, N }, N, N, 0, false },
        { "Light", stateful, { 0, N, N, N, N, N, N, N, N }, N, N, 0, false },
        { "silent", silent, { 0 }, PROBE_TLV_NO_ANSWER, PROBE_TLV_NO_ANSWER, 0, false },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct path *p = path_to(rows[i].reflect);
        struct probe_findings f;
        struct probe_run_extra extra;
        run(p, &settings, &f, &extra);
        for (unsigned type = 1; type < PROBE_TLV_TYPES; type++)
            if (f.tlv[type] != rows[i].tlv[type])
                fail_msg("%s: TLV %u: %d", rows[i].name, type, f.tlv[type]);
        if (f.tlv_unknown != rows[i].unknown || f.tlv_malformed != rows[i].malformed ||
            f.tlvs_together != rows[i].together)
            fail_msg("%s: unknown %d, malformed %d, together %x", rows[i].name, f.tlv_unknown,
                     f.tlv_malformed, f.tlvs_together);
        if (rows[i].reply_dscp != f.reply_dscp_honoured)
            fail_msg("%s: wished DSCP %d", rows[i].name, f.reply_dscp_honoured);
        path_free(p);
    }
}

/* A reflector that takes 700 packets a second and drops the rest before it counts them. */
static void rate(void **state)
{
    struct path *p = path_to(stateful);
    struct probe_findings f;
    struct probe_run_extra extra;

    (void)state;
    p->max_pps = 700;
    run(p, &settings, &f, &extra);
    assert_int_equal(f.n_rates, 4); /* 100, 200, 500, 1000 */
    assert_int_equal(f.pps_without_loss, 500);
    assert_true(probe_rate_lossy(&f.rates[3]) && !probe_rate_lossy(&f.rates[2]));
    assert_in_range(probe_rate_lost_forward(&f.rates[3]), f.rates[3].sent - f.rates[3].answered - 1,
                    f.rates[3].sent - f.rates[3].answered);
    for (size_t i = 0; i < f.n_rates; i++)
        assert_in_range(f.rates[i].sent_pps, f.rates[i].pps * 95 / 100, f.rates[i].pps * 105 / 100);
    path_free(p);
}

static void rate_limits(void **state)
{
    static const struct {
        uint32_t max, stages, last;
    } rows[] = {
        { 0, 0, 0 }, { 1, 1, 1 }, { 50, 1, 50 }, { 100, 1, 100 }, { 150, 2, 150 }, { 4000, 6, 4000 }
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct path *p = path_to(stateless);
        struct probe_run_cfg cfg = settings;
        struct probe_findings f;
        struct probe_run_extra extra;
        cfg.max_pps = rows[i].max;
        run(p, &cfg, &f, &extra);
        if (f.n_rates != rows[i].stages || (f.n_rates && f.rates[f.n_rates - 1].pps != rows[i].last) ||
            f.pps_without_loss != rows[i].last)
            fail_msg("at most %u: %zu stages, %u without loss", rows[i].max, f.n_rates, f.pps_without_loss);
        path_free(p);
    }
}

/* One that wakes up late, and answers but the last kind of packet: the rates are tried with that. */
static bool only_malformed(struct state *s, const struct request *q, struct answer *a)
{
    return q->len == 52 && q->data[46] == 1 && stateful(s, q, a);
}

static void rate_of_what_is_answered(void **state)
{
    struct path *p = path_to(only_malformed);
    struct probe_findings f;
    struct probe_run_extra extra;

    (void)state;
    run(p, &settings, &f, &extra);
    assert_int_equal(f.steps_answered, 1);
    assert_int_equal(f.n_rates, 5);
    assert_int_equal(f.pps_without_loss, PPS);
    path_free(p);
}

static void bad_settings(void **state)
{
    static const struct probe_run_cfg rows[] = {
        { 64, 3, MS, MS, 0, 0 }, { 0, 0, MS, MS, 0, 0 }, { 0, 9, MS, MS, 0, 0 },
        { 0, 3, 0, MS, 0, 0 },   { 0, 3, MS, 0, 0, 0 },  { 0, 3, MS, MS, PROBE_PPS_MAX + 1, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct probe_run *r = NULL;
        assert_int_equal(probe_run_new(&rows[i], (struct tw_mono){ 0 }, &r), TW_EINVAL);
        assert_null(r);
    }
}

/* Answers twice, answers to nothing, and noise of every length: counted, and nothing else. */
static void strange_answers(void **state)
{
    struct probe_run *r;
    struct probe_run_in in = { { WALL_START }, 64, 0 };
    struct tw_now now = { { 0 }, { WALL_START } };
    uint8_t buf[PROBE_LEN_MAX], noise[PROBE_LEN_MAX];
    struct probe_run_out out;
    struct probe_run_extra extra;
    struct probe_findings f;

    (void)state;
    assert_int_equal(probe_run_new(&settings, now.mono, &r), TW_OK);
    assert_int_equal(probe_run_next(r, now, buf, &out), TW_OK);
    memset(noise, 0xee, sizeof noise);
    for (size_t len = 0; len < sizeof noise; len++) {
        uint8_t *exact = malloc(len + 1);
        memcpy(exact, noise, len);
        probe_run_on_answer(r, now.mono, &in, exact, len);
        free(exact);
    }
    probe_run_on_answer(r, now.mono, &in, buf, out.len);
    probe_run_on_answer(r, now.mono, &in, buf, out.len);
    probe_run_on_send_error(r);
    probe_run_extra(r, &extra);
    assert_int_equal(extra.strange, sizeof noise);
    assert_int_equal(extra.duplicates, 1);
    assert_int_equal(extra.send_errors, 1);
    probe_run_findings(r, &f);
    assert_int_equal(f.steps_answered, 1);
    assert_int_equal(f.kind, PROBE_ECHO);
    probe_run_free(r);
}

static void names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PROBE_KINDS; i++) {
        assert_true(*probe_kind_name(i) && *probe_kind_text(i));
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(probe_kind_name(i), probe_kind_name(k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(kinds_with_loss),
        cmocka_unit_test(no_reflector),
        cmocka_unit_test(tlvs),
        cmocka_unit_test(rate),
        cmocka_unit_test(rate_limits),
        cmocka_unit_test(rate_of_what_is_answered),
        cmocka_unit_test(bad_settings),
        cmocka_unit_test(strange_answers),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
