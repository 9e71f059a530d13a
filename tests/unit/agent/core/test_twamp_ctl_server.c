#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/agent/core/ctl_rig.h"

#define S TW_NS_PER_S
#define ALL_MODES (TWAMP_SECURITY | TWAMP_FEATURES)

/* What the costly part was asked to do. */
static struct {
    unsigned calls;
    uint64_t rounds;
} pbkdf2;

enum tw_rc __real_crypto_pbkdf2(const uint8_t *passphrase, size_t len, const uint8_t salt[16], uint32_t count,
                                uint8_t ret[16]);
enum tw_rc __wrap_crypto_pbkdf2(const uint8_t *passphrase, size_t len, const uint8_t salt[16], uint32_t count,
                                uint8_t ret[16]);
enum tw_rc __wrap_crypto_pbkdf2(const uint8_t *passphrase, size_t len, const uint8_t salt[16], uint32_t count,
                                uint8_t ret[16])
{
    pbkdf2.calls++;
    pbkdf2.rounds += count;
    return __real_crypto_pbkdf2(passphrase, len, salt, count, ret);
}

/* ---- A server, and the client that the test plays ---- */

enum { OPENED_MAX = 16 };
struct rig {
    struct ctl_server_cfg cfg;
    struct ctl_server *s;
    struct tw_now now;
    struct rig_random random;
    bool hold; /* CTL_OPEN is not answered at once */
    enum ctl_accept answer;
    uint16_t ports[OPENED_MAX]; /* that are answered, 0 = the one that is asked for */

    struct rig_bytes sent;
    unsigned sends, starts, stops, drops, notes, closes;
    unsigned opened;
    uint32_t ids[OPENED_MAX];
    struct ctl_session sessions[OPENED_MAX];
    char note[160], text[160];
    enum ctl_why why;
    enum ctl_accept refused;

    struct ctl_keys keys; /* of the played client */
    struct ctl_tx tx;
    struct ctl_rx rx;
};

static void draw(void *ctx, uint8_t *buf, size_t n)
{
    rig_draw(&((struct rig *)ctx)->random, buf, n);
}

static size_t secret_of(void *ctx, const char *key_id, unsigned which, uint8_t *ret, size_t cap)
{
    (void)ctx;
    static const char *const passphrases[CTL_PASSPHRASES] = { "the next passphrase", RIG_PASSPHRASE };

    if (strcmp(key_id, "alice"))
        return 0;
    assert_true(cap >= strlen(passphrases[which]));
    memcpy(ret, passphrases[which], strlen(passphrases[which]));
    return strlen(passphrases[which]);
}

static struct rig new_rig(uint32_t modes)
{
    struct rig r = { .cfg = { .modes = modes,
                              .count = 1024,
                              .start_time_ntp = 0xe8fe6f8000000000,
                              .servwait_ns = 900 * S,
                              .handshake_ns = 10 * S,
                              .max_timeout_ns = 60 * S,
                              .max_sessions = 4,
                              .max_padding_bytes = 9000,
                              .secret = secret_of,
                              .random = draw },
                     .now = { { 1000 * S }, { INT64_C(1795424486) * S } } };

    assert_int_equal(tw_addr_parse("192.0.2.1:862", 0, &r.cfg.local), TW_OK);
    assert_int_equal(tw_addr_parse("192.0.2.9:40000", 0, &r.cfg.peer), TW_OK);
    return r;
}

static void on_open(struct rig *r, const struct ctl_server_out *o)
{
    unsigned i = r->opened++;

    assert_true(i < OPENED_MAX);
    r->ids[i] = o->id;
    r->sessions[i] = *o->session;
    if (!r->hold)
        assert_true(ctl_server_opened(r->s, r->now, o->id, r->answer,
                                      r->ports[i] ? r->ports[i] : o->session->spec.receiver.port));
}

static void take_outputs(struct rig *r)
{
    struct ctl_server_out o;

    while (ctl_server_next(r->s, &o) == TW_OK) {
        assert_int_equal(r->closes, 0);
        switch (o.what) {
        case CTL_SEND:
            assert_true(o.len > 0);
            rig_add(&r->sent, o.data, o.len);
            r->sends++;
            break;
        case CTL_OPEN:
            on_open(r, &o);
            break;
        case CTL_START:
            r->starts++;
            break;
        case CTL_STOP:
            r->stops++;
            break;
        case CTL_DROP:
            r->drops++;
            break;
        case CTL_NOTE:
            r->notes++;
            r->refused = o.accept;
            snprintf(r->note, sizeof r->note, "%s", o.text);
            break;
        case CTL_CLOSE:
            r->closes++;
            r->why = o.why;
            snprintf(r->text, sizeof r->text, "%s", o.text);
            break;
        }
    }
}

static void start_rig(struct rig *r)
{
    r->cfg.ctx = r;
    assert_int_equal(ctl_server_new(&r->cfg, r->now, &r->s), TW_OK);
    assert_int_equal(ctl_rx_init(&r->rx, 8192), TW_OK);
    take_outputs(r);
}

static void end_rig(struct rig *r)
{
    ctl_server_free(r->s);
    ctl_tx_free(&r->tx);
    ctl_rx_free(&r->rx);
}

static void feed(struct rig *r, const uint8_t *data, size_t len)
{
    ctl_server_on_bytes(r->s, r->now, data, len);
    take_outputs(r);
}

static void wait_until(struct rig *r, int64_t ns)
{
    r->now.mono.ns += ns;
    r->now.wall.ns += ns;
    ctl_server_on_time(r->s, r->now);
    take_outputs(r);
}

/* Set-Up-Response as a client does it; afterwards tx seals and rx reads. */
static void set_up(struct rig *r, uint32_t mode, const char *user, const char *passphrase)
{
    struct ctl_set_up u = { .mode = mode, .iv = { 9 } };
    uint8_t wire[CTL_SET_UP_BYTES];
    struct ctl_greeting g;

    assert_int_equal(r->sent.len, CTL_GREETING_BYTES);
    ctl_read_greeting(r->sent.v, &g);
    memset(&r->keys, 0x5a, sizeof r->keys);
    if (!(mode & TWAMP_OPEN)) {
        struct ctl_proof p = { (const uint8_t *)passphrase, strlen(passphrase), g.salt, g.challenge,
                               g.count };
        snprintf(u.key_id, sizeof u.key_id, "%s", user);
        assert_int_equal(ctl_token_make(&p, &r->keys, u.token), TW_OK);
        assert_int_equal(ctl_tx_set_keys(&r->tx, &r->keys, u.iv), TW_OK);
    }
    ctl_write_set_up(&u, wire);
    r->sent.len = 0;
    feed(r, wire, sizeof wire);
}

static void log_in(struct rig *r, uint32_t mode)
{
    start_rig(r);
    set_up(r, mode, "alice", RIG_PASSPHRASE);
    assert_int_equal(r->sent.len, CTL_SERVER_START_BYTES);
    assert_int_equal(r->sent.v[15], CTL_OK);
    if (!(mode & TWAMP_OPEN))
        assert_int_equal(ctl_rx_set_keys(&r->rx, &r->keys, r->sent.v + 16), TW_OK);
    ctl_rx_put(&r->rx, r->sent.v + 32, 16);
    assert_non_null(ctl_rx_peek(&r->rx, 16));
    ctl_rx_carry(&r->rx);
    r->sent.len = 0;
}

static void give(struct rig *r, uint8_t *msg, size_t len)
{
    assert_int_equal(ctl_tx_seal(&r->tx, msg, len), TW_OK);
    feed(r, msg, len);
}

/* The server's next message, in clear, checked. */
static const uint8_t *answer(struct rig *r, size_t len)
{
    static uint8_t msg[256];

    if (r->sent.len < len)
        fail_msg("%zu octets came, expected %zu", r->sent.len, len);
    ctl_rx_put(&r->rx, r->sent.v, len);
    assert_non_null(ctl_rx_peek(&r->rx, len));
    assert_true(ctl_rx_verify(&r->rx, len));
    memcpy(msg, r->rx.buf, len);
    ctl_rx_drop(&r->rx, len);
    r->sent.len -= len;
    memmove(r->sent.v, r->sent.v + len, r->sent.len);
    return msg;
}

static struct ctl_request good_request(void)
{
    return (struct ctl_request){ .ipvn = 4,
                                 .sender_port = 5000,
                                 .receiver_port = 6000,
                                 .padding_bytes = 27,
                                 .timeout = UINT64_C(2) << 32,
                                 .type_p = 0x2e000000 };
}

static struct ctl_accept_session request(struct rig *r, const struct ctl_request *q)
{
    uint8_t msg[CTL_REQUEST_BYTES];
    struct ctl_accept_session a;

    ctl_write_request(q, msg);
    give(r, msg, sizeof msg);
    ctl_read_accept(answer(r, CTL_ACCEPT_BYTES), &a);
    return a;
}

static void give_start(struct rig *r)
{
    uint8_t msg[CTL_SIMPLE_BYTES];

    ctl_write_start(msg);
    give(r, msg, sizeof msg);
}

static unsigned start_all(struct rig *r)
{
    give_start(r);
    return ctl_read_start_ack(answer(r, CTL_SIMPLE_BYTES));
}

static void stop_all(struct rig *r, uint32_t n)
{
    struct ctl_stop s = { .sessions = n };
    uint8_t msg[CTL_SIMPLE_BYTES];

    ctl_write_stop(&s, msg);
    give(r, msg, sizeof msg);
}

static void run_one(struct rig *r)
{
    struct ctl_request q = good_request();

    assert_int_equal(request(r, &q).accept, CTL_OK);
    assert_int_equal(start_all(r), CTL_OK);
}

/* ---- Captured clients ---- */

static void feed_random(struct rig *r, const struct rig_capture *c)
{
    const cJSON *greeting = cJSON_GetObjectItem(c->doc, "server_greeting"), *m;

    rig_add_hex(&r->random.fed, golden_text(greeting, "challenge"));
    rig_add_hex(&r->random.fed, golden_text(greeting, "salt"));
    if (cJSON_GetObjectItem(c->doc, "keys"))
        rig_add_hex(&r->random.fed, golden_text(cJSON_GetObjectItem(c->doc, "server_start"), "server_iv"));
    for (unsigned i = 0; (m = rig_message(c, "Accept-Session", i)); i++) {
        if (golden_number(m, "accept"))
            continue;
        rig_add_hex(&r->random.fed, golden_text(m, "sid"));
        if (strcmp(golden_text(m, "server_octets"), "0000"))
            rig_add_hex(&r->random.fed, golden_text(m, "server_octets"));
        r->ports[i] = (uint16_t)golden_number(m, "port");
    }
}

static struct rig captured_rig(const struct rig_capture *c)
{
    const cJSON *greeting = cJSON_GetObjectItem(c->doc, "server_greeting");
    struct rig r = new_rig((uint32_t)golden_number(greeting, "modes"));

    r.cfg.count = (uint32_t)golden_number(greeting, "count");
    r.cfg.start_time_ntp = golden_hex(cJSON_GetObjectItem(c->doc, "server_start"), "start_time");
    if (rig_message(c, "Request-TW-Session", 0))
        r.cfg.local = r.cfg.peer = rig_loopback(c);
    return r;
}

static void check_sessions(const char *name, const struct rig *r, const struct rig_capture *c)
{
    for (unsigned i = 0; i < r->opened; i++) {
        const cJSON *m = rig_message(c, "Request-TW-Session", i);
        const struct ctl_session_spec *s = &r->sessions[i].spec;
        const cJSON *test = cJSON_GetArrayItem(cJSON_GetObjectItem(c->doc, "test_sessions"), (int)i);
        uint8_t key[32];
        if (s->sender.port != golden_number(m, "sender_port") ||
            s->receiver.port != golden_number(m, "receiver_port") ||
            s->padding_bytes != golden_number(m, "padding_length") ||
            s->timeout_ns != (int64_t)golden_number(m, "timeout_sec") * S ||
            s->dscp != strtoul(golden_text(m, "type_p"), NULL, 16) >> 24 ||
            s->start_ntp != golden_hex(m, "start_time") || memcmp(s->sender.ip, r->cfg.peer.ip, 16))
            fail_msg("%s: session %u is understood wrongly", name, i);
        if (!*golden_text(test, "test_aes_key"))
            continue;
        test_unhex(golden_text(test, "test_aes_key"), key, sizeof key);
        assert_memory_equal(key, r->sessions[i].keys.aes, 16);
        test_unhex(golden_text(test, "test_hmac_key"), key, sizeof key);
        assert_memory_equal(key, r->sessions[i].keys.hmac, 32);
    }
}

/* The client of a capture is replayed into our server, `chunk` octets at a time: what we say is, octet for
 * octet, what the captured server said. */
static void replay(const char *name, size_t chunk)
{
    struct rig_capture c;
    struct rig r;
    unsigned sessions;

    rig_load(name, &c);
    r = captured_rig(&c);
    feed_random(&r, &c);
    start_rig(&r);
    for (size_t at = 0; at < c.c2s.len; at += chunk)
        feed(&r, c.c2s.v + at, c.c2s.len - at < chunk ? c.c2s.len - at : chunk);
    rig_check(name, "server", &r.sent, &c.s2c, c.s2c.len);
    assert_int_equal(r.sent.len, c.s2c.len);
    sessions = (unsigned)cJSON_GetArraySize(cJSON_GetObjectItem(c.doc, "test_sessions"));
    assert_int_equal(r.opened, sessions);
    assert_int_equal(r.starts, sessions);
    assert_int_equal(r.stops, sessions);
    check_sessions(name, &r, &c);
    if (!r.closes) {
        ctl_server_on_close(r.s, r.now);
        take_outputs(&r);
        assert_int_equal(r.why, CTL_WHY_PEER);
    }
    assert_int_equal(r.closes, 1);
    assert_int_equal(r.drops, 0);
    end_rig(&r);
    cJSON_Delete(c.doc);
}

static void captured_clients(void **state)
{
    static const char *const names[] = { RIG_CAPTURES, RIG_REFUSED };
    static const size_t chunks[] = { 1, 7, 16, 100, 1400 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(names); i++)
        for (size_t k = 0; k < TW_NELEM(chunks); k++)
            replay(names[i], chunks[k]);
}

/* Peers say 0 and 65536 in Stop-Sessions and mean all: said in the log, and done. */
static void stop_with_any_number(void **state)
{
    static const uint32_t numbers[] = { 0, 1, 2, 65536, UINT32_MAX };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(numbers); i++) {
        struct rig r = new_rig(TWAMP_OPEN);
        struct ctl_request q = good_request();
        log_in(&r, TWAMP_OPEN);
        assert_int_equal(request(&r, &q).accept, CTL_OK);
        run_one(&r);
        stop_all(&r, numbers[i]);
        assert_int_equal(r.stops, 2);
        assert_int_equal(r.notes, numbers[i] != 2);
        assert_int_equal(r.closes, 0);
        end_rig(&r);
    }
}

/* ---- Logging in ---- */

/* Nobody can tell an unknown user from a wrong passphrase: same octets, same work. */
static void unknown_user_costs_the_same(void **state)
{
    static const char *const logins[][2] = { { "alice", "wrong passphrase" },
                                             { "mallory", RIG_PASSPHRASE },
                                             { "", RIG_PASSPHRASE } };
    struct rig_bytes first = { .len = 0 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(logins); i++) {
        struct rig r = new_rig(ALL_MODES);
        start_rig(&r);
        pbkdf2.calls = 0;
        pbkdf2.rounds = 0;
        set_up(&r, TWAMP_ENCRYPTED, logins[i][0], logins[i][1]);
        assert_int_equal(pbkdf2.calls, 1 + CTL_PASSPHRASES); /* ours, for the token, and the server's */
        assert_int_equal(pbkdf2.rounds, pbkdf2.calls * r.cfg.count);
        if (!i)
            first = r.sent;
        assert_int_equal(r.sent.len, CTL_SERVER_START_BYTES);
        assert_int_equal(r.sent.v[15], CTL_FAILED);
        assert_memory_equal(r.sent.v, first.v, first.len);
        assert_int_equal(r.closes, 1);
        assert_int_equal(r.why, CTL_WHY_LOGIN);
        assert_string_equal(r.text, "unknown user or wrong passphrase");
        end_rig(&r);
    }
}

/* The old passphrase goes on for a while, at the same cost. */
static void two_passphrases(void **state)
{
    static const char *const passphrases[] = { RIG_PASSPHRASE, "the next passphrase" };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(passphrases); i++) {
        struct rig r = new_rig(ALL_MODES);
        struct ctl_request q = good_request();
        start_rig(&r);
        pbkdf2.calls = 0;
        set_up(&r, TWAMP_ENCRYPTED, "alice", passphrases[i]);
        assert_int_equal(pbkdf2.calls, 1 + CTL_PASSPHRASES);
        assert_int_equal(r.sent.v[15], CTL_OK);
        assert_int_equal(ctl_rx_set_keys(&r.rx, &r.keys, r.sent.v + 16), TW_OK);
        ctl_rx_put(&r.rx, r.sent.v + 32, 16);
        assert_non_null(ctl_rx_peek(&r.rx, 16));
        ctl_rx_carry(&r.rx);
        r.sent.len = 0;
        assert_int_equal(request(&r, &q).accept, CTL_OK);
        end_rig(&r);
    }
}

/* The dummy passphrase of an unknown user opens nothing, even for one who guesses it. */
static void dummy_is_no_passphrase(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    struct ctl_greeting g;
    char dummy[17] = { 0 };

    (void)state;
    start_rig(&r);
    ctl_read_greeting(r.sent.v, &g);
    memcpy(dummy, g.challenge, 16);
    set_up(&r, TWAMP_ENCRYPTED, "mallory", dummy);
    assert_int_equal(r.why, CTL_WHY_LOGIN);
    end_rig(&r);
}

static void modes_refused(void **state)
{
    static const struct {
        uint32_t offered, wanted;
        int accept; /* -1: closed without a word */
    } rows[] = {
        { ALL_MODES, 0, -1 },
        { ALL_MODES, TWAMP_INDIVIDUAL, CTL_UNSUPPORTED },
        { ALL_MODES, TWAMP_OPEN | TWAMP_ENCRYPTED, CTL_UNSUPPORTED },
        { ALL_MODES, TWAMP_OPEN | 0x80, CTL_UNSUPPORTED },
        { ALL_MODES, TWAMP_OPEN | 0x80000000, CTL_UNSUPPORTED },
        { TWAMP_OPEN, TWAMP_ENCRYPTED, CTL_UNSUPPORTED },
        { TWAMP_OPEN, TWAMP_OPEN | TWAMP_REFLECT, CTL_UNSUPPORTED },
        { TWAMP_ENCRYPTED, TWAMP_OPEN, CTL_UNSUPPORTED },
        { TWAMP_OPEN | TWAMP_PTP, TWAMP_OPEN | TWAMP_PTP, CTL_OK },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct rig r = new_rig(rows[i].offered);
        char text[120];
        start_rig(&r);
        pbkdf2.calls = 0;
        set_up(&r, rows[i].wanted | 0, "", "x");
        if (rows[i].accept < 0)
            assert_int_equal(r.sent.len, 0);
        else
            assert_int_equal(r.sent.v[15], rows[i].accept);
        if (rows[i].accept == CTL_UNSUPPORTED) {
            snprintf(text, sizeof text,
                     "the client asks for mode 0x%x, expected one of 0x%x and features of 0x%x",
                     rows[i].wanted, rows[i].offered & TWAMP_SECURITY, rows[i].offered & TWAMP_FEATURES);
            assert_string_equal(r.text, text);
        }
        assert_int_equal(r.closes, rows[i].accept != CTL_OK);
        assert_int_equal(ctl_server_mode(r.s), rows[i].accept == CTL_OK ? rows[i].wanted : 0);
        end_rig(&r);
    }
}

/* Without secrets there are no password modes, and without a mode there is nothing to say. */
static void no_modes(void **state)
{
    struct rig r = new_rig(ALL_MODES), q = new_rig(TWAMP_ENCRYPTED | TWAMP_REFLECT);
    struct ctl_greeting g;

    (void)state;
    r.cfg.secret = q.cfg.secret = NULL;
    start_rig(&r);
    ctl_read_greeting(r.sent.v, &g);
    assert_int_equal(g.modes, TWAMP_OPEN | TWAMP_FEATURES);
    end_rig(&r);
    start_rig(&q);
    ctl_read_greeting(q.sent.v, &g);
    assert_int_equal(g.modes, 0);
    assert_int_equal(q.closes, 1);
    end_rig(&q);
}

static void bad_configurations(void **state)
{
    static const uint32_t counts[] = { 0, 1, 512, 1000, 3000, 131072, UINT32_C(1) << 31 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(counts); i++) {
        struct rig r = new_rig(ALL_MODES);
        r.cfg.count = counts[i];
        assert_int_equal(ctl_server_new(&r.cfg, r.now, &r.s), TW_EINVAL);
    }
}

/* ---- Requests ---- */

static const uint8_t own4[16] = { 192, 0, 2, 1 }, peer4[16] = { 192, 0, 2, 9 }, other4[16] = { 192, 0, 2, 7 };

static void copy_ip(uint8_t *to, const uint8_t *from)
{
    if (from)
        memcpy(to, from, 16);
}

static const struct {
    const char *name;
    uint32_t mode;
    struct ctl_request change; /* what is not 0 */
    const uint8_t *sender, *receiver;
    uint16_t l; /* to reflect */
    int accept;
} requests[] = {
    { "as it should be", TWAMP_OPEN, { 0 }, NULL, NULL, 0, CTL_OK },
    { "own addresses", TWAMP_OPEN, { 0 }, peer4, own4, 0, CTL_OK },
    { "IPVN 6 with zero addresses", TWAMP_OPEN, { .ipvn = 6 }, NULL, NULL, 0, CTL_OK },
    { "IPVN 5", TWAMP_OPEN, { .ipvn = 5 }, NULL, NULL, 0, CTL_UNSUPPORTED },
    { "Conf-Sender", TWAMP_OPEN, { .conf_sender = 1 }, NULL, NULL, 0, CTL_UNSUPPORTED },
    { "Conf-Receiver", TWAMP_ENCRYPTED, { .conf_receiver = 1 }, NULL, NULL, 0, CTL_UNSUPPORTED },
    { "slots", TWAMP_OPEN, { .slots = 1 }, NULL, NULL, 0, CTL_UNSUPPORTED },
    { "packets", TWAMP_MIXED, { .packets = 10 }, NULL, NULL, 0, CTL_UNSUPPORTED },
    { "TOS octet in the wrong place", TWAMP_OPEN, { .type_p = 0xb8 }, NULL, NULL, 0, CTL_UNSUPPORTED },
    { "PHB id", TWAMP_OPEN, { .type_p = 0x40000000 }, NULL, NULL, 0, CTL_UNSUPPORTED },
    { "foreign sender", TWAMP_OPEN, { 0 }, other4, NULL, 0, CTL_UNSUPPORTED },
    { "foreign receiver", TWAMP_OPEN, { 0 }, NULL, other4, 0, CTL_UNSUPPORTED },
    { "IPv6 addresses over IPv4", TWAMP_OPEN, { .ipvn = 6 }, peer4, NULL, 0, CTL_UNSUPPORTED },
    { "largest packet", TWAMP_OPEN, { .padding_bytes = 8986 }, NULL, NULL, 0, CTL_OK },
    { "packet too long", TWAMP_OPEN, { .padding_bytes = 8987 }, NULL, NULL, 0, CTL_UNSUPPORTED },
    { "largest packet", TWAMP_ENCRYPTED, { .padding_bytes = 8952 }, NULL, NULL, 0, CTL_OK },
    { "packet too long", TWAMP_ENCRYPTED, { .padding_bytes = 8953 }, NULL, NULL, 0, CTL_UNSUPPORTED },
    { "largest symmetrical packet",
      TWAMP_MIXED | TWAMP_SYMMETRICAL | TWAMP_DSCP_ECN,
      { .padding_bytes = 8956 },
      NULL,
      NULL,
      0,
      CTL_OK },
    { "symmetrical packet too long",
      TWAMP_MIXED | TWAMP_SYMMETRICAL | TWAMP_DSCP_ECN,
      { .padding_bytes = 8957 },
      NULL,
      NULL,
      0,
      CTL_UNSUPPORTED },
    { "too much padding", TWAMP_OPEN, { .padding_bytes = 9001 }, NULL, NULL, 0, CTL_UNSUPPORTED },
    { "all padding", TWAMP_OPEN, { .padding_bytes = UINT32_MAX }, NULL, NULL, 0, CTL_UNSUPPORTED },
    { "reflect without the mode", TWAMP_OPEN, { .padding_bytes = 1 }, NULL, NULL, 500, CTL_OK },
    { "reflect 2 of 29", TWAMP_OPEN | TWAMP_REFLECT, { .padding_bytes = 29 }, NULL, NULL, 2, CTL_OK },
    { "reflect 2 of 28",
      TWAMP_OPEN | TWAMP_REFLECT,
      { .padding_bytes = 28 },
      NULL,
      NULL,
      2,
      CTL_UNSUPPORTED },
    { "reflect 2 of 66", TWAMP_ENCRYPTED | TWAMP_REFLECT, { .padding_bytes = 66 }, NULL, NULL, 2, CTL_OK },
    { "reflect 2 of 65",
      TWAMP_ENCRYPTED | TWAMP_REFLECT,
      { .padding_bytes = 65 },
      NULL,
      NULL,
      2,
      CTL_UNSUPPORTED },
    { "symmetrical, reflect 2 of 3",
      TWAMP_OPEN | TWAMP_REFLECT | TWAMP_SYMMETRICAL,
      { .padding_bytes = 3 },
      NULL,
      NULL,
      2,
      CTL_OK },
    { "symmetrical, reflect 2 of 2",
      TWAMP_OPEN | TWAMP_REFLECT | TWAMP_SYMMETRICAL,
      { .padding_bytes = 2 },
      NULL,
      NULL,
      2,
      CTL_UNSUPPORTED },
    { "reflect everything",
      TWAMP_OPEN | TWAMP_REFLECT,
      { .padding_bytes = 8999 },
      NULL,
      NULL,
      UINT16_MAX,
      CTL_UNSUPPORTED },
    { "with DSCP, reflect 2 of 32",
      TWAMP_OPEN | TWAMP_REFLECT | TWAMP_DSCP_ECN,
      { .padding_bytes = 32 },
      NULL,
      NULL,
      2,
      CTL_OK },
    { "with DSCP, reflect 2 of 31",
      TWAMP_OPEN | TWAMP_REFLECT | TWAMP_DSCP_ECN,
      { .padding_bytes = 31 },
      NULL,
      NULL,
      2,
      CTL_UNSUPPORTED },
};

static struct ctl_request changed_request(size_t i)
{
    const struct ctl_request *c = &requests[i].change;
    struct ctl_request q = good_request();

    q.ipvn = c->ipvn ? c->ipvn : q.ipvn;
    q.type_p = c->type_p ? c->type_p : q.type_p;
    q.padding_bytes = c->padding_bytes ? c->padding_bytes : q.padding_bytes;
    q.conf_sender = c->conf_sender;
    q.conf_receiver = c->conf_receiver;
    q.slots = c->slots;
    q.packets = c->packets;
    q.reflect_bytes = requests[i].l;
    q.reflect_octets = 0xbeef;
    copy_ip(q.sender, requests[i].sender);
    copy_ip(q.receiver, requests[i].receiver);
    return q;
}

/* A request that cannot be served is answered, and the connection goes on. */
static void all_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(requests); i++) {
        struct rig r = new_rig(ALL_MODES);
        struct ctl_request q = changed_request(i), good = good_request();
        struct ctl_accept_session a;
        log_in(&r, requests[i].mode);
        a = request(&r, &q);
        if (a.accept != requests[i].accept)
            fail_msg("%s: Accept %u (%s)", requests[i].name, a.accept, r.note);
        assert_int_equal(r.opened, a.accept == CTL_OK);
        assert_int_equal(a.port, a.accept ? 0 : 6000);
        assert_int_equal(r.notes, a.accept != CTL_OK);
        if (!a.accept && r.sessions[0].mode & TWAMP_REFLECT) {
            assert_int_equal(a.reflect_octets, 0xbeef);
            assert_int_equal(a.server_octets, r.sessions[0].server_octets);
            assert_int_not_equal(a.server_octets, 0);
        }
        good.padding_bytes = 100;
        assert_int_equal(request(&r, &good).accept, CTL_OK);
        assert_int_equal(start_all(&r), CTL_OK);
        assert_int_equal(r.starts, 1 + !a.accept);
        end_rig(&r);
    }
}

static void padding_limit(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    struct ctl_request q = good_request();

    (void)state;
    r.cfg.max_padding_bytes = 100;
    log_in(&r, TWAMP_OPEN);
    q.padding_bytes = 101;
    assert_int_equal(request(&r, &q).accept, CTL_UNSUPPORTED);
    assert_string_equal(r.note, "the Padding Length is above the limit");
    q.padding_bytes = 100;
    assert_int_equal(request(&r, &q).accept, CTL_OK);
    end_rig(&r);
}

static void sender_port_0(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    struct ctl_request q = good_request();

    (void)state;
    log_in(&r, TWAMP_OPEN);
    q.sender_port = 0;
    assert_int_equal(request(&r, &q).accept, CTL_UNSUPPORTED);
    end_rig(&r);
}

/* What the shell gets to know: addresses filled in, Timeout bounded. */
static void session_as_understood(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    struct ctl_request q = good_request();
    const struct ctl_session_spec *s = &r.sessions[0].spec;

    (void)state;
    r.ports[0] = 7777;
    log_in(&r, TWAMP_ENCRYPTED);
    assert_int_equal(request(&r, &q).port, 7777);
    assert_memory_equal(s->sender.ip, r.cfg.peer.ip, 16);
    assert_memory_equal(s->receiver.ip, r.cfg.local.ip, 16);
    assert_int_equal(s->sender.port, 5000);
    assert_int_equal(s->receiver.port, 6000);
    assert_int_equal(s->dscp, 46);
    assert_int_equal(s->timeout_ns, 2 * S);
    q.timeout = UINT64_MAX;
    assert_int_equal(request(&r, &q).accept, CTL_OK);
    assert_int_equal(r.sessions[1].spec.timeout_ns, r.cfg.max_timeout_ns);
    assert_memory_not_equal(r.sessions[0].sid, r.sessions[1].sid, CTL_SID);
    end_rig(&r);
}

static void too_many_sessions(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    struct ctl_request q = good_request();

    (void)state;
    log_in(&r, TWAMP_OPEN);
    for (unsigned i = 0; i < r.cfg.max_sessions; i++)
        assert_int_equal(request(&r, &q).accept, CTL_OK);
    assert_int_equal(request(&r, &q).accept, CTL_BUSY);
    assert_int_equal(start_all(&r), CTL_OK);
    stop_all(&r, 4);
    assert_int_equal(request(&r, &q).accept, CTL_BUSY); /* they go on for their timeout */
    ctl_server_ended(r.s, r.now, r.ids[2]);
    assert_int_equal(request(&r, &q).accept, CTL_OK);
    end_rig(&r);
}

static void reflector_refused(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    struct ctl_request q = good_request();
    struct ctl_accept_session a;
    static const uint8_t none[CTL_SID];

    (void)state;
    log_in(&r, TWAMP_OPEN);
    r.answer = CTL_NO_RESOURCES;
    a = request(&r, &q);
    assert_int_equal(a.accept, CTL_NO_RESOURCES);
    assert_int_equal(a.port, 0);
    assert_memory_equal(a.sid, none, CTL_SID);
    assert_int_not_equal(start_all(&r), CTL_OK);
    end_rig(&r);
}

/* ---- Order ---- */

static void rounds(void **state)
{
    struct rig r = new_rig(ALL_MODES);

    (void)state;
    log_in(&r, TWAMP_AUTHENTICATED);
    for (unsigned i = 1; i <= 3; i++) {
        run_one(&r);
        stop_all(&r, 1);
        assert_int_equal(r.starts, i);
        assert_int_equal(r.stops, i);
        ctl_server_ended(r.s, r.now, r.ids[i - 1]);
    }
    assert_int_equal(r.notes, 0);
    end_rig(&r);
}

static void out_of_order(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    struct ctl_request q = good_request();

    (void)state;
    log_in(&r, TWAMP_OPEN);
    assert_int_equal(start_all(&r), CTL_FAILED); /* nothing to start */
    run_one(&r);
    assert_int_equal(start_all(&r), CTL_UNSUPPORTED);
    assert_int_equal(request(&r, &q).accept, CTL_UNSUPPORTED);
    assert_int_equal(r.starts, 1);
    assert_int_equal(r.drops, 0);
    stop_all(&r, 1);
    assert_int_equal(request(&r, &q).accept, CTL_OK);
    stop_all(&r, 0); /* accepted, never started */
    assert_int_equal(r.drops, 1);
    assert_int_equal(r.closes, 0);
    end_rig(&r);
}

static void unknown_commands(void **state)
{
    static const uint8_t commands[] = { 0, 1, 4, 6, 7, 8, 9, 10, 11, 99, 255 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(commands); i++)
        for (unsigned mode = TWAMP_OPEN; mode <= TWAMP_MIXED; mode <<= 1) {
            struct rig r = new_rig(ALL_MODES);
            struct ctl_accept_session a;
            uint8_t msg[CTL_SIMPLE_BYTES] = { commands[i], [15] = 1 };
            log_in(&r, mode);
            run_one(&r);
            give(&r, msg, sizeof msg);
            ctl_read_accept(answer(&r, CTL_ACCEPT_BYTES), &a);
            assert_int_equal(a.accept, CTL_UNSUPPORTED);
            assert_int_equal(r.drops, 1);
            assert_int_equal(r.closes, 1);
            assert_int_equal(r.why, CTL_WHY_PROTOCOL);
            end_rig(&r);
        }
}

/* The next command comes while the reflector is being opened: it waits, and more than fits is not taken. */
static void pipelined(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    struct ctl_request q = good_request();
    uint8_t msg[CTL_REQUEST_BYTES];
    unsigned n = 0;

    (void)state;
    r.hold = true;
    log_in(&r, TWAMP_ENCRYPTED);
    while (ctl_server_room(r.s) >= sizeof msg) {
        ctl_write_request(&q, msg);
        give(&r, msg, sizeof msg);
        n++;
        assert_true(n < 1000);
    }
    assert_int_equal(r.opened, 1);
    assert_true(n > 8);
    assert_int_equal(r.sent.len, 0);
    assert_int_equal(ctl_server_next_due(r.s).ns, TW_MONO_NEVER.ns);
    for (unsigned i = 0; i < r.cfg.max_sessions; i++) {
        assert_int_equal(r.opened, i + 1);
        assert_false(ctl_server_opened(r.s, r.now, r.ids[i] + 1, CTL_OK, 1));
        assert_true(ctl_server_opened(r.s, r.now, r.ids[i], CTL_OK, (uint16_t)(9000 + i)));
        assert_false(ctl_server_opened(r.s, r.now, r.ids[i], CTL_OK, 1));
        take_outputs(&r);
    }
    for (unsigned i = 0; i < n; i++) {
        struct ctl_accept_session a;
        ctl_read_accept(answer(&r, CTL_ACCEPT_BYTES), &a);
        assert_int_equal(a.accept, i < r.cfg.max_sessions ? CTL_OK : CTL_BUSY);
        assert_int_equal(a.port, i < r.cfg.max_sessions ? 9000 + i : 0);
    }
    assert_int_equal(r.sent.len, 0);
    end_rig(&r);
}

/* Gone while the reflector is being opened: the answer has no taker. */
static void gone_while_opening(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    struct ctl_request q = good_request();
    uint8_t msg[CTL_REQUEST_BYTES];

    (void)state;
    r.hold = true;
    log_in(&r, TWAMP_OPEN);
    ctl_write_request(&q, msg);
    give(&r, msg, sizeof msg);
    ctl_server_on_close(r.s, r.now);
    assert_false(ctl_server_opened(r.s, r.now, r.ids[0], CTL_OK, 1));
    take_outputs(&r);
    assert_int_equal(r.closes, 1);
    end_rig(&r);
}

/* ---- HMAC ---- */

static void bad_hmac(void **state)
{
    (void)state;
    for (size_t at = 0; at < CTL_REQUEST_BYTES; at += 5) {
        struct rig r = new_rig(ALL_MODES);
        struct ctl_request q = good_request();
        uint8_t msg[CTL_REQUEST_BYTES];
        log_in(&r, TWAMP_ENCRYPTED);
        run_one(&r);
        ctl_write_request(&q, msg);
        assert_int_equal(ctl_tx_seal(&r.tx, msg, sizeof msg), TW_OK);
        msg[at] ^= 0x10;
        feed(&r, msg, sizeof msg);
        if (at >= CRYPTO_BLOCK) { /* else the command is another one */
            assert_int_equal(r.sent.len, 0);
            assert_string_equal(r.text, "the HMAC of a command is wrong");
        }
        assert_int_equal(r.opened, 1);
        assert_int_equal(r.drops, 1);
        assert_int_equal(r.closes, 1);
        assert_int_equal(r.why, CTL_WHY_PROTOCOL);
        end_rig(&r);
    }
}

/* ---- Time ---- */

static void handshake_time(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    uint8_t some[CTL_SET_UP_BYTES - 1] = { 0 };

    (void)state;
    start_rig(&r);
    assert_true(ctl_server_is_handshaking(r.s));
    assert_int_equal(ctl_server_next_due(r.s).ns, r.now.mono.ns + 10 * S);
    wait_until(&r, 9 * S);
    feed(&r, some, sizeof some); /* slowness does not help */
    assert_int_equal(r.closes, 0);
    wait_until(&r, S);
    assert_int_equal(r.closes, 1);
    assert_int_equal(r.why, CTL_WHY_TIMEOUT);
    assert_int_equal(ctl_server_room(r.s), 0);
    end_rig(&r);
}

static void servwait(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    struct ctl_request q = good_request();

    (void)state;
    log_in(&r, TWAMP_OPEN);
    assert_false(ctl_server_is_handshaking(r.s));
    wait_until(&r, 800 * S);
    assert_int_equal(request(&r, &q).accept, CTL_OK);
    assert_int_equal(ctl_server_next_due(r.s).ns, r.now.mono.ns + 900 * S); /* each command puts it off */
    assert_int_equal(start_all(&r), CTL_OK);
    assert_int_equal(ctl_server_next_due(r.s).ns, TW_MONO_NEVER.ns); /* suspended while a session runs */
    wait_until(&r, 10000 * S);
    assert_int_equal(r.closes, 0);
    ctl_server_ended(r.s, r.now, r.ids[0]); /* REFWAIT */
    assert_int_equal(ctl_server_next_due(r.s).ns, r.now.mono.ns + 900 * S);
    wait_until(&r, 900 * S);
    assert_int_equal(r.closes, 1);
    assert_int_equal(r.drops, 0);
    assert_int_equal(r.why, CTL_WHY_TIMEOUT);
    end_rig(&r);
}

/* A message that never becomes whole does not keep the connection. */
static void half_a_command(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    uint8_t half[100] = { CTL_CMD_REQUEST };

    (void)state;
    log_in(&r, TWAMP_OPEN);
    wait_until(&r, 899 * S);
    feed(&r, half, sizeof half);
    wait_until(&r, S);
    assert_int_equal(r.closes, 1);
    end_rig(&r);
}

static void connection_lost(void **state)
{
    struct rig r = new_rig(ALL_MODES);
    struct ctl_request q = good_request();

    (void)state;
    log_in(&r, TWAMP_OPEN);
    run_one(&r);
    stop_all(&r, 1);
    assert_int_equal(request(&r, &q).accept, CTL_OK);
    run_one(&r);
    ctl_server_on_close(r.s, r.now);
    take_outputs(&r);
    assert_int_equal(r.drops, 2); /* the one that was stopped goes on for its timeout */
    assert_int_equal(r.closes, 1);
    end_rig(&r);
}

static void shut_down(void **state)
{
    struct rig idle = new_rig(ALL_MODES), r = new_rig(ALL_MODES | TWAMP_INDIVIDUAL);
    struct ctl_request q = good_request();

    (void)state;
    log_in(&idle, TWAMP_OPEN);
    assert_int_equal(request(&idle, &q).accept, CTL_OK);
    ctl_server_shut_down(idle.s, idle.now);
    take_outputs(&idle);
    assert_int_equal(idle.drops, 1);
    assert_int_equal(idle.closes, 1);
    assert_int_equal(idle.why, CTL_WHY_SHUT_DOWN);
    end_rig(&idle);

    log_in(&r, TWAMP_OPEN);
    run_one(&r);
    ctl_server_shut_down(r.s, r.now);
    take_outputs(&r);
    assert_int_equal(r.closes, 0);
    stop_all(&r, 1);
    assert_int_equal(r.stops, 1);
    assert_int_equal(r.closes, 1);
    end_rig(&r);
}

/* ---- RFC 5938 ---- */

static void give_many(struct rig *r, unsigned command, const uint8_t sids[][CTL_SID], uint32_t n)
{
    struct ctl_many m = { .command = (uint8_t)command, .n = n };
    uint8_t msg[256] = { 0 };

    ctl_write_many(&m, msg);
    memcpy(msg + CTL_HEAD, sids, CTL_SID * n);
    give(r, msg, ctl_many_bytes(n));
}

static void check_ack(struct rig *r, unsigned command, unsigned accept, const uint8_t sids[][CTL_SID],
                      uint32_t n)
{
    const uint8_t *msg = answer(r, ctl_many_bytes(n));
    struct ctl_many m;

    ctl_read_many(msg, &m);
    assert_int_equal(m.command, command);
    assert_int_equal(m.accept, accept);
    assert_int_equal(m.n, n);
    assert_memory_equal(msg + CTL_HEAD, sids, CTL_SID * n);
}

static void one_by_one(uint32_t security)
{
    struct rig r = new_rig(ALL_MODES);
    struct ctl_request q = good_request();
    uint8_t sids[4][CTL_SID];
    unsigned sends;

    log_in(&r, security | TWAMP_INDIVIDUAL);
    for (unsigned i = 0; i < 2; i++)
        memcpy(sids[i], request(&r, &q).sid, CTL_SID);
    give_many(&r, CTL_CMD_START_N, sids, 1);
    check_ack(&r, CTL_CMD_START_N_ACK, CTL_OK, sids, 1);
    assert_int_equal(r.starts, 1);
    memcpy(sids[2], request(&r, &q).sid, CTL_SID); /* while the first runs */
    memset(sids[3], 0xee, CTL_SID);
    sends = r.sends;
    give_many(&r, CTL_CMD_START_N, sids, 4);
    assert_int_equal(r.sends, sends + 1); /* both acknowledgements in one write */
    check_ack(&r, CTL_CMD_START_N_ACK, CTL_OK, sids + 1, 2);
    memcpy(sids[1], sids[0], CTL_SID);
    memcpy(sids[0], sids[2], CTL_SID);
    memcpy(sids[2], sids[3], CTL_SID);
    check_ack(&r, CTL_CMD_START_N_ACK, CTL_FAILED, sids + 1, 2);
    assert_int_equal(r.starts, 3);
    give_many(&r, CTL_CMD_STOP_N, sids, 1);
    check_ack(&r, CTL_CMD_STOP_N_ACK, CTL_OK, sids, 1);
    assert_int_equal(r.stops, 1);
    assert_int_equal(ctl_server_next_due(r.s).ns, TW_MONO_NEVER.ns); /* two still run */
    give_many(&r, CTL_CMD_STOP_N, sids, 1);
    check_ack(&r, CTL_CMD_STOP_N_ACK, CTL_FAILED, sids, 1);
    assert_int_equal(r.closes, 0);
    end_rig(&r);
}

static void individual(void **state)
{
    (void)state;
    one_by_one(TWAMP_OPEN);
    one_by_one(TWAMP_ENCRYPTED);
}

/* The commands for all are out of use then, and N has bounds. */
static void individual_refusals(void **state)
{
    static const struct {
        uint8_t command;
        uint32_t n;
        const char *text;
    } rows[] = {
        { CTL_CMD_START, 0, "command 2 (Start-Sessions) is not for this connection" },
        { CTL_CMD_STOP, 0, "command 3 (Stop-Sessions) is not for this connection" },
        { CTL_CMD_START_N, 0, "Start-N-Sessions of 0 sessions, expected 1 to 4" },
        { CTL_CMD_START_N, 5, "Start-N-Sessions of 5 sessions, expected 1 to 4" },
        { CTL_CMD_STOP_N, UINT32_MAX, "Stop-N-Sessions of 4294967295 sessions, expected 1 to 4" },
        { CTL_CMD_START_N_ACK, 1, "command 8 (Start-N-Ack) is not for this connection" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct rig r = new_rig(ALL_MODES);
        struct ctl_many m = { .command = rows[i].command, .n = rows[i].n };
        struct ctl_request q = good_request();
        uint8_t msg[CTL_SIMPLE_BYTES] = { 0 };
        log_in(&r, TWAMP_OPEN | TWAMP_INDIVIDUAL);
        assert_int_equal(request(&r, &q).accept, CTL_OK);
        ctl_write_many(&m, msg);
        give(&r, msg, sizeof msg);
        assert_int_equal(answer(&r, CTL_ACCEPT_BYTES)[0], CTL_UNSUPPORTED);
        assert_int_equal(r.closes, 1);
        assert_string_equal(r.text, rows[i].text);
        assert_int_equal(r.starts, 0);
        end_rig(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captured_clients),
        cmocka_unit_test(stop_with_any_number),
        cmocka_unit_test(unknown_user_costs_the_same),
        cmocka_unit_test(two_passphrases),
        cmocka_unit_test(dummy_is_no_passphrase),
        cmocka_unit_test(modes_refused),
        cmocka_unit_test(no_modes),
        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(all_requests),
        cmocka_unit_test(padding_limit),
        cmocka_unit_test(sender_port_0),
        cmocka_unit_test(session_as_understood),
        cmocka_unit_test(too_many_sessions),
        cmocka_unit_test(reflector_refused),
        cmocka_unit_test(rounds),
        cmocka_unit_test(out_of_order),
        cmocka_unit_test(unknown_commands),
        cmocka_unit_test(pipelined),
        cmocka_unit_test(gone_while_opening),
        cmocka_unit_test(bad_hmac),
        cmocka_unit_test(handshake_time),
        cmocka_unit_test(servwait),
        cmocka_unit_test(half_a_command),
        cmocka_unit_test(connection_lost),
        cmocka_unit_test(shut_down),
        cmocka_unit_test(individual),
        cmocka_unit_test(individual_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
