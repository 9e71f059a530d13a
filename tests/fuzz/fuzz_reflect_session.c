/* Datagrams into the reflector of a controlled session: each is answered or counted exactly once, answers are
 * as long as requests (or the smallest), and only what is authentic is answered. Input: u8 form, then records
 * of { u8 what, u8 seconds, u8 length, octets }. What: 1 from elsewhere, 2 start first, 4 stop first, 8 the
 * octets 0..13 are the values of a good probe that is to be protected as the form wants it. */
#include <string.h>

#include "agent/core/reflect_session.h"
#include "common/wire.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CAP = 400 };
enum { FOREIGN = 1, START = 2, STOP = 4, GOOD = 8 };

static const uint32_t modes[] = {
    TWAMP_OPEN,
    TWAMP_AUTHENTICATED,
    TWAMP_ENCRYPTED,
    TWAMP_MIXED,
    TWAMP_OPEN | TWAMP_FEATURES,
    TWAMP_AUTHENTICATED | TWAMP_FEATURES,
    TWAMP_ENCRYPTED | TWAMP_FEATURES,
    TWAMP_OPEN | TWAMP_DSCP_ECN,
};

struct fuzz {
    struct reflect_session *s;
    struct twamp_form *peer;
    struct reflect_rx rx;
    bool secure;
    uint64_t answered;
};

static uint64_t refusals(const struct reflect_session *s)
{
    struct reflect_counters n;

    reflect_session_counters(s, &n);
    return n.too_short + n.too_long + n.bad_error_estimate + n.auth_failed + n.foreign + n.not_started;
}

/* As long as before, or longer where that is too short for the form. */
static size_t make_good(struct fuzz *f, uint8_t *packet, size_t len)
{
    struct wire_rd r = { .p = packet, .end = packet + len };
    struct test_probe p = { .seq = wire_get_u32(&r) };

    p.t1 = wire_get_u64(&r);
    p.err_est = wire_get_u16(&r);
    if (len < twamp_form_probe_min(f->peer) + 2)
        len = twamp_form_probe_min(f->peer) + 2;
    CHECK(twamp_form_write_probe(f->peer, &p, packet, len) == TW_OK);
    return len;
}

static void ask(struct fuzz *f, const uint8_t *packet, size_t len, bool good)
{
    uint64_t refused = refusals(f->s);
    struct test_reply reply;
    struct reflect_tx tx = { 0 };
    uint8_t answer[CAP];

    memset(answer, 0xee, sizeof answer);
    if (reflect_session_answer(f->s, &f->rx, packet, len, answer, CAP - 1, &tx)) {
        CHECK(refusals(f->s) == refused + 1);
        return;
    }
    CHECK(good || !f->secure); /* nobody guesses an HMAC */
    CHECK(refusals(f->s) == refused);
    CHECK(tx.len == twamp_form_reply_len(f->peer, len) && answer[tx.len] == 0xee);
    reflect_session_stamp(f->s, &tx, answer, f->rx.t2);
    CHECK(twamp_form_read_reply(f->peer, answer, tx.len, &reply) == TW_OK);
    CHECK(reply.seq == tx.seq && answer[tx.len] == 0xee);
    f->answered++;
    if (packet[len - 1] & 1)
        reflect_session_unsent(f->s, &tx);
}

static void step(struct fuzz *f, uint8_t what, int64_t seconds, const uint8_t *octets, size_t len)
{
    uint8_t packet[CAP] = { 0 };

    memcpy(packet, octets, len);
    f->rx.mono.ns += seconds * TW_NS_PER_S;
    f->rx.from.ip[3] = what & FOREIGN;
    f->rx.ttl = f->rx.tos = (int16_t)(seconds - 1);
    if (what & START)
        reflect_session_start(f->s, f->rx.mono);
    if (what & STOP)
        reflect_session_stop(f->s, f->rx.mono);
    CHECK(reflect_session_ends(f->s).ns >= 0);
    if (what & GOOD)
        len = make_good(f, packet, len);
    ask(f, packet, len, what & GOOD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_rd in = { .p = data, .end = data + size };
    uint8_t form = wire_get_u8(&in) % TW_NELEM(modes);
    struct reflect_session_cfg cfg = {
        .form = { .mode = modes[form], .keys = { { 1 }, { 2 } }, .server_octets = 0x1234 },
        .sender = { .family = 4, .port = 5000 },
        .dscp = 46,
        .refwait_ns = 200 * TW_NS_PER_S,
        .timeout_ns = 2 * TW_NS_PER_S
    };
    struct fuzz f = { .rx = { .from = cfg.sender, .t2 = { INT64_C(1795424480) * TW_NS_PER_S } } };
    struct reflect_counters n;

    f.secure = modes[form] & (TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED);
    CHECK(reflect_session_new(&cfg, f.rx.mono, &f.s) == TW_OK);
    CHECK(twamp_form_new(&cfg.form, &f.peer) == TW_OK);
    while (in.p < in.end) {
        uint8_t what = wire_get_u8(&in);
        int64_t seconds = wire_get_u8(&in);
        size_t len = wire_get_u8(&in);
        const uint8_t *octets = wire_take(&in, len);
        if (!octets)
            break;
        step(&f, what, seconds, octets, len);
    }
    reflect_session_counters(f.s, &n);
    CHECK(n.answered == f.answered);
    reflect_session_free(f.s);
    twamp_form_free(f.peer);
    return 0;
}
