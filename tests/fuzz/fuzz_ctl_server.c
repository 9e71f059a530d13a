/* A server between a hostile client and a careless shell: it never gives out more than one end of a session,
 * or anything after its own. Input: u8 mode, u8 features / 16, then records of { u8 what, u8 argument } and
 * for octets as many as the argument says: sealed as a client would when `what` says so. */
#include "agent/core/twamp_ctl_msg.h"
#include "tests/fuzz/ctl_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SESSIONS = 3, OPENED_MAX = 64 };
enum life { OPENING, OPEN, STARTED, ENDED };

struct play {
    struct ctl_server *s;
    struct tw_now now;
    uint64_t random;
    struct ctl_tx tx;
    struct ctl_session opened[OPENED_MAX];
    enum life lives[OPENED_MAX];
    unsigned n_opened;
    bool closed, hold;
    uint8_t greeting[CTL_GREETING_BYTES];
    bool greeted;
};

static size_t secret_of(void *ctx, const char *key_id, unsigned which, uint8_t *ret, size_t cap)
{
    (void)ctx;
    CHECK(cap >= sizeof FUZZ_PASSPHRASE);
    memcpy(ret, FUZZ_PASSPHRASE, sizeof FUZZ_PASSPHRASE - 1);
    return which || strcmp(key_id, "f") ? 0 : sizeof FUZZ_PASSPHRASE - 1;
}

static enum life *life_of(struct play *p, uint32_t id)
{
    CHECK(id >= 1 && id <= p->n_opened);
    return &p->lives[id - 1];
}

static void on_open(struct play *p, const struct ctl_server_out *o)
{
    CHECK(p->n_opened < OPENED_MAX && o->id == p->n_opened + 1);
    CHECK(o->session->spec.padding_bytes <= 9000 && o->session->spec.sender.port);
    p->opened[p->n_opened] = *o->session;
    p->lives[p->n_opened++] = OPENING;
}

static bool answer_open(struct play *p, uint8_t how)
{
    bool any = false;

    for (uint32_t id = 1; id <= p->n_opened; id++)
        if (p->lives[id - 1] == OPENING) {
            bool taken = ctl_server_opened(p->s, p->now, id, how % 4 ? CTL_OK : CTL_BUSY, 7);
            p->lives[id - 1] = taken && how % 4 ? OPEN : ENDED;
            any |= taken;
        }
    return any;
}

static void take_outputs(struct play *p)
{
    struct ctl_server_out o;
    unsigned n = 0;

    while (ctl_server_next(p->s, &o) == TW_OK) {
        CHECK(!p->closed && ++n < 10000);
        if (o.what == CTL_SEND) {
            CHECK(o.len && o.len <= ctl_many_bytes(SESSIONS) + 32);
            if (!p->greeted)
                memcpy(p->greeting, o.data, CTL_GREETING_BYTES);
            p->greeted = true;
        } else if (o.what == CTL_OPEN) {
            on_open(p, &o);
            if (!p->hold)
                answer_open(p, (uint8_t)o.id);
        } else if (o.what == CTL_START) {
            CHECK(*life_of(p, o.id) == OPEN);
            *life_of(p, o.id) = STARTED;
        } else if (o.what == CTL_STOP) {
            CHECK(*life_of(p, o.id) == STARTED);
            *life_of(p, o.id) = ENDED;
        } else if (o.what == CTL_DROP) {
            CHECK(*life_of(p, o.id) == OPEN || *life_of(p, o.id) == STARTED);
            *life_of(p, o.id) = ENDED;
        } else if (o.what == CTL_CLOSE) {
            p->closed = true;
        }
    }
}

static void feed(struct play *p, const uint8_t *data, size_t len)
{
    if (len > ctl_server_room(p->s))
        return;
    ctl_server_on_bytes(p->s, p->now, data, len);
    take_outputs(p);
}

/* As a client with the right passphrase does it. */
static void set_up(struct play *p, uint32_t mode)
{
    struct ctl_keys keys = { .aes = { 1 }, .hmac = { 2 } };
    struct ctl_set_up u = { .mode = mode, .key_id = "f", .iv = { 3 } };
    uint8_t wire[CTL_SET_UP_BYTES];
    struct ctl_greeting g;

    ctl_read_greeting(p->greeting, &g);
    if (mode & (TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED | TWAMP_MIXED)) {
        struct ctl_proof proof = { (const uint8_t *)FUZZ_PASSPHRASE, sizeof FUZZ_PASSPHRASE - 1, g.salt,
                                   g.challenge, g.count };
        CHECK(ctl_token_make(&proof, &keys, u.token) == TW_OK);
        CHECK(ctl_tx_set_keys(&p->tx, &keys, u.iv) == TW_OK);
    }
    ctl_write_set_up(&u, wire);
    feed(p, wire, sizeof wire);
}

/* Octets as a whole message, with HMAC, encrypted; SIDs whose first octet is the number of a session are its.
 */
static void feed_sealed(struct play *p, const uint8_t *data, size_t len)
{
    uint8_t msg[256] = { 0 };
    size_t bytes = (len + 15) / 16 * 16 + CTL_HMAC;

    memcpy(msg, data, len);
    if (msg[0] == CTL_CMD_START_N || msg[0] == CTL_CMD_STOP_N)
        for (size_t at = CTL_HEAD; at + CTL_SID < bytes; at += CTL_SID)
            if (msg[at] < p->n_opened)
                memcpy(msg + at, p->opened[msg[at]].sid, CTL_SID);
    CHECK(ctl_tx_seal(&p->tx, msg, bytes) == TW_OK);
    feed(p, msg, bytes);
}

static void end_some(struct play *p, uint8_t which)
{
    uint32_t id = which % 8 + 1u;

    if (id <= p->n_opened && p->lives[id - 1] == STARTED)
        p->lives[id - 1] = ENDED;
    else if (id <= p->n_opened && p->lives[id - 1] != ENDED)
        return; /* a shell says so only of what it has */
    ctl_server_ended(p->s, p->now, id);
}

static void step(struct play *p, uint8_t what, uint8_t arg, struct wire_rd *in)
{
    const uint8_t *octets = what % 8 < 2 ? wire_take(in, arg % 225) : NULL;

    p->now.mono.ns += (int64_t)(what >> 4) * arg * TW_NS_PER_MS;
    if (octets && what % 8 == 0)
        feed(p, octets, arg % 225);
    else if (octets)
        feed_sealed(p, octets, arg % 225);
    else if (what % 8 == 2)
        p->now.mono.ns += arg * TW_NS_PER_S;
    else if (what % 8 == 3)
        answer_open(p, arg);
    else if (what % 8 == 4)
        end_some(p, arg);
    else if (what % 8 == 5)
        p->hold = arg & 1;
    else if (what == 0x76)
        ctl_server_shut_down(p->s, p->now);
    else if (what == 0x77)
        ctl_server_on_close(p->s, p->now);
    take_outputs(p);
    ctl_server_on_time(p->s, p->now);
    take_outputs(p);
    CHECK(ctl_server_next_due(p->s).ns > p->now.mono.ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_rd in = { .p = data, .end = data + size };
    struct play p = { .now = { { 1 }, { INT64_C(1795424486) * TW_NS_PER_S } } };
    struct ctl_server_cfg cfg = { .modes = TWAMP_SECURITY | TWAMP_FEATURES,
                                  .count = 1024,
                                  .servwait_ns = 900 * TW_NS_PER_S,
                                  .handshake_ns = 10 * TW_NS_PER_S,
                                  .max_timeout_ns = 10 * TW_NS_PER_S,
                                  .max_sessions = SESSIONS,
                                  .max_padding_bytes = 9000,
                                  .local = { .family = 4, .ip = { 192, 0, 2, 1 } },
                                  .peer = { .family = 4, .ip = { 192, 0, 2, 9 } },
                                  .secret = secret_of,
                                  .random = fuzz_draw,
                                  .ctx = &p.random };
    uint32_t mode = wire_get_u8(&in);

    mode |= (uint32_t)wire_get_u8(&in) << 4;
    CHECK(ctl_server_new(&cfg, p.now, &p.s) == TW_OK);
    take_outputs(&p);
    if (mode & 15)
        set_up(&p, mode);
    while (in.p < in.end && p.n_opened < OPENED_MAX - 30) {
        uint8_t what = wire_get_u8(&in), arg = wire_get_u8(&in);
        if (in.bad)
            break;
        step(&p, what, arg, &in);
    }
    ctl_server_on_close(p.s, p.now);
    answer_open(&p, 1);
    take_outputs(&p);
    CHECK(p.closed && ctl_server_room(p.s) == 0);
    for (unsigned i = 0; i < p.n_opened; i++)
        CHECK(p.lives[i] == ENDED);
    ctl_server_free(p.s);
    ctl_tx_free(&p.tx);
    return 0;
}
