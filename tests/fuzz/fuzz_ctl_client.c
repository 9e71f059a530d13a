/* A Control-Client before a hostile server. Input: u8 mode, u8 features / 16, u8 flags, then records of
 * { u8 what, u8 argument } and octets: sealed as a server would when `what` says so. */
#include "agent/core/twamp_ctl_msg.h"
#include "tests/fuzz/ctl_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SESSIONS = 4 };
enum told { NEW, ASKED, ACCEPTED, RUNNING };

struct play {
    struct ctl_client *c;
    struct tw_now now;
    uint64_t random;
    struct ctl_tx tx;
    uint8_t sent[CTL_SET_UP_BYTES];
    size_t first_len;
    bool ready, closed;
    enum told told[SESSIONS];
    uint8_t sids[SESSIONS][CTL_SID];
};

static void on_told(struct play *p, const struct ctl_client_out *o, enum told from, enum told to)
{
    for (uint32_t i = 0; i < SESSIONS; i++)
        if (o->id == CTL_ALL ? p->told[i] == from : o->id == i) {
            CHECK(p->told[i] == from);
            p->told[i] = to;
        }
    CHECK(o->id == CTL_ALL || o->id < SESSIONS);
}

static void on_refused(struct play *p, const struct ctl_client_out *o)
{
    CHECK(o->accept);
    if (o->id == CTL_ALL)
        return;
    CHECK(o->id < SESSIONS && (p->told[o->id] == ASKED || p->told[o->id] == ACCEPTED));
    if (p->told[o->id] == ASKED)
        p->told[o->id] = NEW;
}

/* What did not run stays as it is. */
static void on_stopped(struct play *p, const struct ctl_client_out *o)
{
    CHECK(o->id == CTL_ALL || o->id < SESSIONS);
    if (o->id == CTL_ALL || p->told[o->id] == RUNNING)
        on_told(p, o, RUNNING, NEW);
}

static void take_outputs(struct play *p)
{
    struct ctl_client_out o;
    unsigned n = 0;

    while (ctl_client_next(p->c, &o) == TW_OK) {
        CHECK(!p->closed && ++n < 10000);
        if (o.what == CTLC_SEND) {
            CHECK(o.len && o.len <= ctl_many_bytes(SESSIONS) + CTL_SET_UP_BYTES);
            if (!p->first_len)
                memcpy(p->sent, o.data, o.len);
            p->first_len = p->first_len ? p->first_len : o.len;
        } else if (o.what == CTLC_READY) {
            CHECK(!p->ready);
            p->ready = true;
        } else if (o.what == CTLC_ACCEPTED) {
            CHECK(o.session->spec.receiver.port && o.session->mode == ctl_client_mode(p->c));
            on_told(p, &o, ASKED, ACCEPTED);
            memcpy(p->sids[o.id], o.session->sid, CTL_SID);
        } else if (o.what == CTLC_STARTED) {
            on_told(p, &o, ACCEPTED, RUNNING);
        } else if (o.what == CTLC_STOPPED) {
            on_stopped(p, &o);
        } else if (o.what == CTLC_REFUSED) {
            on_refused(p, &o);
        } else if (o.what == CTLC_CLOSE) {
            CHECK(o.text);
            p->closed = true;
        }
    }
}

static void feed(struct play *p, const uint8_t *data, size_t len)
{
    if (len > ctl_client_room(p->c))
        return;
    ctl_client_on_bytes(p->c, p->now, data, len);
    take_outputs(p);
}

static void greet(struct play *p, uint32_t modes)
{
    struct ctl_greeting g = { .modes = modes, .challenge = { 1 }, .salt = { 2 }, .count = 1024 };
    uint8_t wire[CTL_GREETING_BYTES];

    ctl_write_greeting(&g, wire);
    feed(p, wire, sizeof wire);
}

/* As a server that knows the passphrase does it. */
static void let_in(struct play *p)
{
    static const uint8_t salt[16] = { 2 }, challenge[16] = { 1 };
    struct ctl_proof proof = { (const uint8_t *)FUZZ_PASSPHRASE, sizeof FUZZ_PASSPHRASE - 1, salt, challenge,
                               1024 };
    struct ctl_server_start s = { .iv = { 3 } };
    uint8_t wire[CTL_SERVER_START_BYTES];
    struct ctl_keys keys;
    struct ctl_set_up u;

    if (p->first_len != CTL_SET_UP_BYTES || p->tx.aes)
        return;
    ctl_read_set_up(p->sent, &u);
    if (!(u.mode & TWAMP_OPEN)) {
        if (ctl_token_open(&proof, u.token, &keys)) /* the greeting was the input's */
            return;
        CHECK(ctl_tx_set_keys(&p->tx, &keys, s.iv) == TW_OK);
    }
    ctl_write_server_start(&s, wire);
    CHECK(ctl_tx_carry(&p->tx, wire + 32) == TW_OK);
    feed(p, wire, sizeof wire);
}

/* SIDs whose first octet is the number of a session are its. */
static void feed_sealed(struct play *p, const uint8_t *data, size_t len)
{
    uint8_t msg[256] = { 0 };
    size_t bytes = (len + 15) / 16 * 16 + CTL_HMAC;

    memcpy(msg, data, len);
    if (msg[0] == CTL_CMD_START_N_ACK || msg[0] == CTL_CMD_STOP_N_ACK)
        for (size_t at = CTL_HEAD; at + CTL_SID < bytes; at += CTL_SID)
            if (msg[at] < SESSIONS)
                memcpy(msg + at, p->sids[msg[at]], CTL_SID);
    CHECK(ctl_tx_seal(&p->tx, msg, bytes) == TW_OK);
    feed(p, msg, bytes);
}

static void ask(struct play *p, uint8_t arg)
{
    struct ctl_session_spec spec = { .sender = { .port = arg }, .dscp = 46, .padding_bytes = arg };
    uint32_t id = arg % SESSIONS;
    enum tw_rc rc = ctl_client_request(p->c, p->now, id, &spec);

    if (rc == TW_OK) {
        CHECK(p->told[id] == NEW && p->ready && !p->closed);
        p->told[id] = ASKED;
    }
}

static void step(struct play *p, uint8_t what, uint8_t arg, struct wire_rd *in)
{
    const uint8_t *octets = what % 8 < 2 ? wire_take(in, arg % 225) : NULL;
    bool individual = ctl_client_mode(p->c) & TWAMP_INDIVIDUAL;
    uint32_t id = arg % SESSIONS;

    if (octets && what % 8 == 0)
        feed(p, octets, arg % 225);
    else if (octets)
        feed_sealed(p, octets, arg % 225);
    else if (what % 8 == 2)
        p->now.mono.ns += arg * TW_NS_PER_S / 10;
    else if (what % 8 == 3)
        ask(p, arg);
    else if (what % 8 == 4)
        ctl_client_start(p->c, p->now, &id, individual && arg & 4);
    else if (what % 8 == 5)
        ctl_client_stop(p->c, p->now, &id, individual && arg & 4);
    else if (what % 8 == 6)
        let_in(p);
    else if (what == 0x77)
        ctl_client_on_close(p->c, p->now);
    take_outputs(p);
    ctl_client_on_time(p->c, p->now);
    take_outputs(p);
    CHECK(ctl_client_next_due(p->c).ns > p->now.mono.ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_rd in = { .p = data, .end = data + size };
    struct play p = { .now = { { 1 }, { INT64_C(1795424486) * TW_NS_PER_S } } };
    struct ctl_client_cfg cfg = { .features = TWAMP_FEATURES,
                                  .key_id = "f",
                                  .passphrase = (const uint8_t *)FUZZ_PASSPHRASE,
                                  .passphrase_len = sizeof FUZZ_PASSPHRASE - 1,
                                  .answer_ns = 10 * TW_NS_PER_S,
                                  .max_sessions = SESSIONS,
                                  .local = { .family = 4, .ip = { 192, 0, 2, 9 } },
                                  .peer = { .family = 4, .ip = { 192, 0, 2, 1 } },
                                  .random = fuzz_draw,
                                  .ctx = &p.random };
    uint32_t mode = wire_get_u8(&in);

    mode |= (uint32_t)wire_get_u8(&in) << 4;
    CHECK(ctl_client_new(&cfg, p.now, &p.c) == TW_OK);
    take_outputs(&p);
    if (wire_get_u8(&in) & 1) /* else the greeting is the input's, too */
        greet(&p, mode);
    while (in.p < in.end) {
        uint8_t what = wire_get_u8(&in), arg = wire_get_u8(&in);
        if (in.bad)
            break;
        step(&p, what, arg, &in);
    }
    ctl_client_on_close(p.c, p.now);
    take_outputs(&p);
    CHECK(p.closed);
    ctl_client_free(p.c);
    ctl_tx_free(&p.tx);
    return 0;
}
