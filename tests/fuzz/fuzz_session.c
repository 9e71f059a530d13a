/* A hostile peer and a host in trouble against a session: whatever comes, the books balance and every summary
 * is valid. Input: u8 form, u8 options, then records that begin with an octet:
 *   0..99     time passes, in steps of 5 ms, and the session does what is due
 *   100..199  an answer: u8 which probe (how many ago), u8 number (signed, from the probe's), u8 faults; with
 *             TLVs: u8 length, octets
 *   200..219  octets from the peer as they are: u8 length, octets
 *   220..229  the wall clock jumps: u8 by how much
 *   230..239  the last probe could not be sent
 *   240..249  the host stalls for seconds
 *   250       stop
 *   251       flush
 *   252       the form is made anew, as when keys change
 *   253       the kernel is to tell when the last probe left; u8 even: the hardware, too
 *   254       it tells: u8 which probe (how many ago), u8 when (signed, ms after T1), u8 odd: the hardware */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/session.h"
#include "common/wire.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MS TW_NS_PER_MS

static const uint8_t key[16] = "a key";

static const struct {
    struct form_cfg cfg;
    uint16_t imix[3];
} forms[] = {
    { .cfg = { .kind = FORM_TWAMP } },
    { .cfg = { .twamp = { .mode = TWAMP_AUTHENTICATED } } },
    { .cfg = { .twamp = { .mode = TWAMP_ENCRYPTED | TWAMP_FEATURES, .server_octets = 0x1234 } } },
    { .cfg = { .twamp = { .mode = TWAMP_OPEN | TWAMP_DSCP_ECN } } },
    { .cfg = { .kind = FORM_STAMP } },
    { .cfg = { .kind = FORM_STAMP,
               .ssid = 7,
               .authenticated = true,
               .keys = { { key, sizeof key } },
               .n_keys = 1 } },
    { .cfg = { .kind = FORM_STAMP,
               .ssid = 7,
               .tlvs = { .types = STAMP_TLV_BIT(STAMP_TLV_COS) | STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP) } } },
    { .cfg = { .kind = FORM_TWAMP }, .imix = { 50, 100, 200 } },
};

struct fuzz {
    struct session *s;
    unsigned form;
    struct twamp_form *twamp; /* of the peer */
    struct stamp_keys keys;
    uint64_t samples[SAMPLE_SEND_ERROR + 1];
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
        CHECK(f->sum.delay[TW_ROUNDTRIP].count + f->sum.invalid_time == f->sum.received);
        CHECK(f->sum.tx_user_time <= f->sum.received && f->sum.followed_up <= f->sum.received);
    }
}

static void take_samples(struct fuzz *f)
{
    struct session_sample m;

    while (session_next_sample(f->s, &m) == TW_OK) {
        CHECK(m.kind <= SAMPLE_SEND_ERROR);
        f->samples[m.kind]++;
    }
}

/* What the peer reads of it. */
static struct test_probe read_probe(struct fuzz *f, const uint8_t *buf, size_t len)
{
    struct stamp_keys *keys = forms[f->form].cfg.authenticated ? &f->keys : NULL;
    struct test_probe p;
    unsigned used = 0;

    if (f->twamp)
        CHECK(twamp_form_read_probe(f->twamp, buf, len, &p) == TW_OK);
    else
        CHECK(stamp_read_probe(keys, buf, len, &p, &used) == TW_OK);
    return p;
}

static void send_due(struct fuzz *f)
{
    uint8_t buf[300];
    size_t len;

    if (session_next_probe(f->s, f->now, buf, sizeof buf, &len) == TW_OK) {
        CHECK(len >= 41 && len <= 200);
        f->sent[f->n_sent++ & 255] = read_probe(f, buf, len);
    }
}

static void pass(struct fuzz *f, int64_t ns)
{
    f->now.mono.ns += ns;
    f->now.wall.ns += ns;
}

static size_t write_reply(struct fuzz *f, const struct test_reply *r, struct wire_rd *in, uint8_t *wire)
{
    static const uint8_t request[200];
    bool auth = forms[f->form].cfg.authenticated;
    size_t base = stamp_base(auth), len = 0;
    const uint8_t *tlvs;

    if (f->twamp) {
        len = twamp_form_reply_min(f->twamp);
        CHECK(twamp_form_write_reply(f->twamp, r, request, len, wire) == TW_OK);
        CHECK(twamp_form_seal_reply(f->twamp, wire, r->t3, r->err_est) == TW_OK);
        return len;
    }
    CHECK(stamp_write_reply(auth, r, wire, base) == TW_OK);
    stamp_seal_reply(auth ? &f->keys : NULL, 0, wire, r->t3, r->err_est);
    if (forms[f->form].cfg.tlvs.types && (tlvs = wire_take(in, len = wire_get_u8(in))))
        memcpy(wire + base, tlvs, len);
    else
        len = 0;
    return base + len;
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
                            .ssid = p->ssid,
                            .ttl_known = true,
                            .sender_ttl = faults,
                            .tos_known = true,
                            .sender_tos = off };
    struct session_rx rx = {
        { f->now.wall.ns - (faults >> 4) * MS }, faults & 2 ? TW_TS_USER : TW_TS_KERNEL, off, faults
    };
    uint8_t wire[400];
    size_t len = write_reply(f, &r, in, wire);

    session_on_reply(f->s, f->now, &rx, wire, len);
}

static void raw(struct fuzz *f, struct wire_rd *in)
{
    size_t len = wire_get_u8(in);
    const uint8_t *data = wire_take(in, len);
    struct session_rx rx = { f->now.wall, TW_TS_KERNEL, -1, -1 };

    if (data)
        session_on_reply(f->s, f->now, &rx, data, len);
}

static struct form *make_form(const struct fuzz *f)
{
    struct form *form;

    CHECK(form_new(&forms[f->form].cfg, &form) == TW_OK);
    return form;
}

static void await_stamp(struct fuzz *f, struct wire_rd *in)
{
    session_await_txstamp(f->s, wire_get_u8(in) & 1 ? TW_TS_KERNEL : TW_TS_HARDWARE);
}

static void stamp(struct fuzz *f, struct wire_rd *in)
{
    const struct test_probe *p = &f->sent[(f->n_sent - 1 - wire_get_u8(in)) & 255];
    struct tw_wall t = tw_wall_from_ntp(p->t1, f->now.wall);

    t.ns += (int8_t)wire_get_u8(in) * MS;
    session_on_txstamp(f->s, p->seq, t, wire_get_u8(in) & 1 ? TW_TS_HARDWARE : TW_TS_KERNEL);
}

static void step(struct fuzz *f, struct wire_rd *in)
{
    uint8_t op = wire_get_u8(in);

    if (op < 100) {
        pass(f, op * 5 * MS);
        send_due(f);
        take_summaries(f);
        take_samples(f);
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
    } else if (op == 252) {
        CHECK(session_set_form(f->s, make_form(f)) == TW_OK);
    } else if (op == 253) {
        await_stamp(f, in);
    } else if (op == 254) {
        stamp(f, in);
    }
}

static void start(struct fuzz *f, uint8_t form, uint8_t options)
{
    struct twamp_form_cfg twamp;
    struct session_cfg cfg = { .pair_id = 1,
                               .spacing_ns = 20 * MS,
                               .size_bytes = 41,
                               .timeout_ns = 300 * MS,
                               .report_period_ns = options & 1 ? 300 * MS : 2000 * MS,
                               .spacing_kind = options & 2 ? SESSION_EXPONENTIAL : SESSION_FIXED,
                               .reflector_stateful = options & 4,
                               .count = options & 8 ? 20 : 0,
                               .seq_start = options & 16 ? UINT32_MAX - 20 : 0,
                               .seed = options,
                               .samples = 4096 };

    f->now = (struct tw_now){ { TW_NS_PER_S }, { INT64_C(1795424480) * TW_NS_PER_S } };
    f->form = form % TW_NELEM(forms);
    twamp = forms[f->form].cfg.twamp;
    if (!twamp.mode)
        twamp.mode = TWAMP_OPEN;
    memcpy(cfg.imix_bytes, forms[f->form].imix, sizeof cfg.imix_bytes);
    if (forms[f->form].cfg.kind == FORM_TWAMP)
        CHECK(twamp_form_new(&twamp, &f->twamp) == TW_OK);
    CHECK(stamp_keys_add(&f->keys, key, sizeof key) == TW_OK);
    CHECK(session_new(&cfg, make_form(f), f->now, &f->s) == TW_OK);
    summary_init(&f->sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz f;
    struct wire_rd in = { .p = data, .end = data + size };
    struct session_totals t;
    uint8_t form;

    memset(&f, 0, sizeof f);
    form = wire_get_u8(&in);
    start(&f, form, wire_get_u8(&in));
    while (in.p < in.end && !in.bad) {
        step(&f, &in);
        check_books(&f);
    }
    session_flush(f.s, f.now);
    take_summaries(&f);
    CHECK(session_done(f.s));
    session_totals(f.s, &t);
    CHECK(t.in_flight == 0);
    take_samples(&f);
    if (!session_samples_lost(f.s))
        CHECK(f.samples[SAMPLE_RECEIVED] == t.received && f.samples[SAMPLE_LOST] == t.lost &&
              f.samples[SAMPLE_LATE] == t.late && f.samples[SAMPLE_DUPLICATE] == t.duplicates &&
              f.samples[SAMPLE_SEND_ERROR] == t.send_errors);
    if (!session_summaries_lost(f.s))
        CHECK(f.summed_sent == t.sent && f.summed_received == t.received);
    summary_free(&f.sum);
    session_free(f.s);
    twamp_form_free(f.twamp);
    stamp_keys_clear(&f.keys);
    return 0;
}
