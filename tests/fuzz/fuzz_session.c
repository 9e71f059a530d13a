/* A hostile peer and a host in trouble against a session: whatever comes, the books balance and every summary
 * is valid. Input: u8 options, then records that begin with an octet: 0..99     time passes, in steps of 5
 * ms, and the session does what is due 100..199  an answer: u8 which probe (how many ago), u8 number (signed,
 * from the probe's), u8 faults 200..219  octets from the peer as they are: u8 length, octets 220..229  the
 * wall clock jumps: u8 by how much 230..239  the last probe could not be sent 240..249  the host stalls for
 * seconds 250       stop     251 flush */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/session.h"
#include "agent/core/twamp_pkt.h"
#include "common/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                    \
    do {                                                               \
        if (!(cond)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                   \
        }                                                              \
    } while (0)

#define MS TW_NS_PER_MS

struct fuzz {
    struct session *s;
    struct tw_now now;
    struct test_probe sent[256];
    size_t n_sent;
    uint64_t summed_sent, summed_received;
    struct tw_summary sum;
};

static void check_books(const struct fuzz *f)
{
    struct session_totals t;

    session_totals(f->s, &t);
    CHECK(t.sent == t.received + t.lost + t.in_flight);
    CHECK(t.in_flight <= 4096);
    CHECK(session_next_due(f->s).ns >= 0);
}

static void take_summaries(struct fuzz *f)
{
    struct tw_err err = { 0 };

    while (session_next_summary(f->s, f->now, &f->sum) == TW_OK) {
        if (summary_validate(&f->sum, &err)) {
            fprintf(stderr, "%s: %s\n", err.field, err.text);
            abort();
        }
        f->summed_sent += f->sum.sent;
        f->summed_received += f->sum.received;
    }
}

static void send_due(struct fuzz *f)
{
    uint8_t buf[64];
    size_t len;

    if (session_next_probe(f->s, f->now, buf, sizeof buf, &len) == TW_OK) {
        CHECK(len == 41);
        CHECK(twamp_decode_probe(buf, len, &f->sent[f->n_sent++ & 255]) == TW_OK);
    }
}

static void pass(struct fuzz *f, int64_t ns)
{
    f->now.mono.ns += ns;
    f->now.wall.ns += ns;
}

static void answer(struct fuzz *f, struct wire_rd *in)
{
    size_t ago = wire_get_u8(in);
    uint8_t off = wire_get_u8(in), faults = wire_get_u8(in);
    const struct test_probe *p = &f->sent[(f->n_sent - 1 - ago) & 255];
    struct tw_wall there = { f->now.wall.ns - faults * MS };
    struct test_reply r = { .seq = p->seq + (uint32_t)(int8_t)off,
                            .t2 = tw_wall_to_ntp(there),
                            .t3 = tw_wall_to_ntp(there),
                            .err_est = faults & 1 ? 0x8001 : 0xc001,
                            .sender_seq = p->seq,
                            .sender_t1 = p->t1,
                            .ttl_known = true,
                            .sender_ttl = faults };
    struct session_rx rx = {
        { f->now.wall.ns - (faults >> 4) * MS }, faults & 2 ? TW_TS_USER : TW_TS_KERNEL, off, faults
    };
    uint8_t wire[TWAMP_REPLY_MIN];

    twamp_encode_reply(&r, wire, sizeof wire);
    session_on_reply(f->s, f->now, &rx, wire, sizeof wire);
}

static void raw(struct fuzz *f, struct wire_rd *in)
{
    size_t len = wire_get_u8(in);
    const uint8_t *data = wire_take(in, len);
    struct session_rx rx = { f->now.wall, TW_TS_KERNEL, -1, -1 };

    if (data)
        session_on_reply(f->s, f->now, &rx, data, len);
}

static void step(struct fuzz *f, struct wire_rd *in)
{
    uint8_t op = wire_get_u8(in);

    if (op < 100) {
        pass(f, op * 5 * MS);
        send_due(f);
        take_summaries(f);
    } else if (op < 200) {
        answer(f, in);
    } else if (op < 220) {
        raw(f, in);
    } else if (op < 230) {
        f->now.wall.ns += ((int64_t)wire_get_u8(in) - 128) * 20 * MS;
    } else if (op < 240) {
        session_on_send_error(f->s);
    } else if (op < 250) {
        pass(f, (op - 239) * TW_NS_PER_S);
    } else if (op == 250) {
        session_stop(f->s, f->now);
    } else if (op == 251) {
        session_flush(f->s, f->now);
    }
}

static void start(struct fuzz *f, uint8_t options)
{
    struct session_cfg cfg = { .pair_id = 1,
                               .spacing_ns = 20 * MS,
                               .size_bytes = 41,
                               .timeout_ns = 300 * MS,
                               .report_period_ns = options & 1 ? 300 * MS : 2000 * MS,
                               .spacing_kind = options & 2 ? SESSION_EXPONENTIAL : SESSION_FIXED,
                               .reflector_stateful = options & 4,
                               .count = options & 8 ? 20 : 0,
                               .seq_start = options & 16 ? UINT32_MAX - 20 : 0,
                               .seed = options };

    f->now = (struct tw_now){ { TW_NS_PER_S }, { INT64_C(1795424480) * TW_NS_PER_S } };
    CHECK(session_new(&cfg, NULL, f->now, &f->s) == TW_OK);
    summary_init(&f->sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz f;
    struct wire_rd in = { .p = data, .end = data + size };
    struct session_totals t;

    memset(&f, 0, sizeof f);
    start(&f, wire_get_u8(&in));
    while (in.p < in.end && !in.bad) {
        step(&f, &in);
        check_books(&f);
    }
    session_flush(f.s, f.now);
    take_summaries(&f);
    CHECK(session_done(f.s));
    session_totals(f.s, &t);
    CHECK(t.in_flight == 0);
    if (!session_summaries_lost(f.s))
        CHECK(f.summed_sent == t.sent && f.summed_received == t.received);
    summary_free(&f.sum);
    session_free(f.s);
    return 0;
}
