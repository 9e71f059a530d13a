#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/agent/core/ctl_rig.h"

#define S TW_NS_PER_S

static unsigned pbkdf2_calls;

enum tw_rc __real_crypto_pbkdf2(const uint8_t *passphrase, size_t len, const uint8_t salt[16], uint32_t count,
                                uint8_t ret[16]);
enum tw_rc __wrap_crypto_pbkdf2(const uint8_t *passphrase, size_t len, const uint8_t salt[16], uint32_t count,
                                uint8_t ret[16]);
enum tw_rc __wrap_crypto_pbkdf2(const uint8_t *passphrase, size_t len, const uint8_t salt[16], uint32_t count,
                                uint8_t ret[16])
{
    pbkdf2_calls++;
    return __real_crypto_pbkdf2(passphrase, len, salt, count, ret);
}

/* ---- A client, and the server that the test plays ---- */

enum { SESSIONS_MAX = 8 };
struct rig {
    struct ctl_client_cfg cfg;
    struct ctl_client *c;
    struct tw_now now;
    struct rig_random random;
    struct rig_bytes sent;
    unsigned sends, ready, accepted, refused, started, stopped, closes;
    uint32_t started_id, refused_id, stopped_id;
    unsigned accept; /* of the last refusal */
    struct ctl_session sessions[SESSIONS_MAX];
    char text[256];

    struct ctl_keys keys; /* of the played server */
    struct ctl_tx tx;
};

static void draw(void *ctx, uint8_t *buf, size_t n)
{
    rig_draw(&((struct rig *)ctx)->random, buf, n);
}

static struct rig new_rig(const char *user, const char *passphrase)
{
    struct rig r = { .cfg = { .key_id = user,
                              .passphrase = (const uint8_t *)passphrase,
                              .passphrase_len = passphrase ? strlen(passphrase) : 0,
                              .answer_ns = 10 * S,
                              .random = draw },
                     .now = { { 1000 * S }, { INT64_C(1795424486) * S } } };

    assert_int_equal(tw_addr_parse("192.0.2.9:40000", 0, &r.cfg.local), TW_OK);
    assert_int_equal(tw_addr_parse("192.0.2.1:862", 0, &r.cfg.peer), TW_OK);
    return r;
}

static void take_outputs(struct rig *r)
{
    struct ctl_client_out o;

    while (ctl_client_next(r->c, &o) == TW_OK) {
        assert_int_equal(r->closes, 0);
        switch (o.what) {
        case CTLC_SEND:
            rig_add(&r->sent, o.data, o.len);
            r->sends++;
            break;
        case CTLC_READY:
            r->ready++;
            break;
        case CTLC_ACCEPTED:
            assert_true(o.id < SESSIONS_MAX);
            r->sessions[o.id] = *o.session;
            r->accepted++;
            break;
        case CTLC_REFUSED:
            r->refused++;
            r->refused_id = o.id;
            r->accept = o.accept;
            break;
        case CTLC_STARTED:
            r->started++;
            r->started_id = o.id;
            break;
        case CTLC_STOPPED:
            r->stopped++;
            r->stopped_id = o.id;
            break;
        case CTLC_CLOSE:
            r->closes++;
            snprintf(r->text, sizeof r->text, "%s", o.text);
            break;
        }
    }
}

static void start_rig(struct rig *r)
{
    r->cfg.ctx = r;
    assert_int_equal(ctl_client_new(&r->cfg, r->now, &r->c), TW_OK);
    take_outputs(r);
}

static void end_rig(struct rig *r)
{
    ctl_client_free(r->c);
    ctl_tx_free(&r->tx);
}

static void feed(struct rig *r, const void *data, size_t len)
{
    ctl_client_on_bytes(r->c, r->now, data, len);
    take_outputs(r);
}

static void wait_for(struct rig *r, int64_t ns)
{
    r->now.mono.ns += ns;
    r->now.wall.ns += ns;
    ctl_client_on_time(r->c, r->now);
    take_outputs(r);
}

static void closed_with(const struct rig *r, const char *text)
{
    if (r->closes != 1 || strcmp(r->text, text))
        fail_msg("closed %u times, \"%s\", expected \"%s\"", r->closes, r->text, text);
}

static void greet(struct rig *r, uint32_t modes, uint32_t count)
{
    struct ctl_greeting g = { .modes = modes, .challenge = { 1 }, .salt = { 2 }, .count = count };
    uint8_t wire[CTL_GREETING_BYTES];

    ctl_write_greeting(&g, wire);
    feed(r, wire, sizeof wire);
}

/* The played server opens the token, starts, and can seal from then on. */
static void let_in(struct rig *r)
{
    static const uint8_t salt[16] = { 2 }, challenge[16] = { 1 };
    struct ctl_server_start s = { .iv = { 3 }, .start_time = 4 };
    struct ctl_proof p = { (const uint8_t *)RIG_PASSPHRASE, strlen(RIG_PASSPHRASE), salt, challenge, 1024 };
    uint8_t wire[CTL_SERVER_START_BYTES];
    struct ctl_set_up u;

    assert_int_equal(r->sent.len, CTL_SET_UP_BYTES);
    ctl_read_set_up(r->sent.v, &u);
    if (!(u.mode & TWAMP_OPEN)) {
        assert_int_equal(ctl_token_open(&p, u.token, &r->keys), TW_OK);
        assert_int_equal(ctl_tx_set_keys(&r->tx, &r->keys, s.iv), TW_OK);
    }
    ctl_write_server_start(&s, wire);
    assert_int_equal(ctl_tx_carry(&r->tx, wire + 32), TW_OK);
    feed(r, wire, sizeof wire);
    r->sent.len = 0;
}

static void log_in(struct rig *r, uint32_t modes)
{
    start_rig(r);
    greet(r, modes, 1024);
    let_in(r);
    assert_int_equal(r->ready, 1);
}

static struct ctl_session_spec good_spec(void)
{
    return (struct ctl_session_spec){ .sender = { .port = 5000 },
                                      .receiver = { .port = 6000 },
                                      .padding_bytes = 27,
                                      .timeout_ns = 2 * S,
                                      .dscp = 46 };
}

static void ask(struct rig *r, uint32_t id)
{
    struct ctl_session_spec spec = good_spec();

    assert_int_equal(ctl_client_request(r->c, r->now, id, &spec), TW_OK);
    take_outputs(r);
}

static void say(struct rig *r, uint8_t *msg, size_t len)
{
    assert_int_equal(ctl_tx_seal(&r->tx, msg, len), TW_OK);
    feed(r, msg, len);
}

static void say_accept(struct rig *r, unsigned accept, uint16_t port, uint8_t sid)
{
    struct ctl_accept_session a = { .accept = (uint8_t)accept, .port = port, .sid = { sid } };
    uint8_t msg[CTL_ACCEPT_BYTES];

    ctl_write_accept(&a, msg);
    say(r, msg, sizeof msg);
}

static void say_start_ack(struct rig *r, unsigned accept)
{
    uint8_t msg[CTL_SIMPLE_BYTES];

    ctl_write_start_ack(accept, msg);
    say(r, msg, sizeof msg);
}

static void start(struct rig *r)
{
    assert_int_equal(ctl_client_start(r->c, r->now, NULL, 0), TW_OK);
    take_outputs(r);
}

static void stop(struct rig *r)
{
    assert_int_equal(ctl_client_stop(r->c, r->now, NULL, 0), TW_OK);
    take_outputs(r);
}

/* ---- Captured servers ---- */

/* Client-IV and session keys of the capture, so that we say what the captured client said. */
static void feed_random(struct rig *r, const struct rig_capture *c)
{
    struct ctl_greeting g;
    struct ctl_set_up u;
    struct ctl_keys keys;

    ctl_read_greeting(c->s2c.v, &g);
    ctl_read_set_up(c->c2s.v, &u);
    if (!(u.mode & TWAMP_OPEN)) {
        struct ctl_proof p = { r->cfg.passphrase, r->cfg.passphrase_len, g.salt, g.challenge, g.count };
        assert_int_equal(ctl_token_open(&p, u.token, &keys), TW_OK);
        rig_add(&r->random.fed, keys.aes, sizeof keys.aes);
        rig_add(&r->random.fed, keys.hmac, sizeof keys.hmac);
        rig_add(&r->random.fed, u.iv, sizeof u.iv);
    }
    r->cfg.modes = u.mode & TWAMP_SECURITY;
    r->cfg.features = u.mode & TWAMP_FEATURES;
    r->cfg.need = u.mode & TWAMP_FEATURES;
}

static struct ctl_session_spec captured_spec(const cJSON *m)
{
    struct ctl_session_spec s = {
        .ipvn = (uint8_t)golden_number(m, "ipvn"),
        .padding_bytes = (uint32_t)golden_number(m, "padding_length"),
        .start_ntp = golden_hex(m, "start_time"),
        .timeout_ns = (int64_t)golden_number(m, "timeout_sec") * S,
        .dscp = (uint8_t)(strtoul(golden_text(m, "type_p"), NULL, 16) >> 24),
        .reflect_octets = (uint16_t)strtoul(golden_text(m, "octets_to_be_reflected"), NULL, 16),
        .reflect_bytes = (uint16_t)golden_number(m, "length_to_reflect"),
    };

    if (strcmp(golden_text(m, "sender_address"), "0.0.0.0"))
        assert_int_equal(tw_addr_parse(golden_text(m, "sender_address"), 0, &s.sender), TW_OK);
    if (strcmp(golden_text(m, "receiver_address"), "0.0.0.0"))
        assert_int_equal(tw_addr_parse(golden_text(m, "receiver_address"), 0, &s.receiver), TW_OK);
    s.sender.port = (uint16_t)golden_number(m, "sender_port");
    s.receiver.port = (uint16_t)golden_number(m, "receiver_port");
    return s;
}

/* Our client does what the captured one did as its answers come. */
static void go_on(struct rig *r, const struct rig_capture *c, unsigned *asked)
{
    const cJSON *m = rig_message(c, "Request-TW-Session", *asked);

    if (!r->ready || r->closes || r->accepted < *asked)
        return;
    if (m) {
        struct ctl_session_spec spec = captured_spec(m);
        assert_int_equal(ctl_client_request(r->c, r->now, (*asked)++, &spec), TW_OK);
    } else if (*asked < 100) {
        *asked = 100;
        assert_int_equal(ctl_client_start(r->c, r->now, NULL, 0), TW_OK);
    }
    take_outputs(r);
}

static void check_sessions(const char *name, const struct rig *r, const struct rig_capture *c)
{
    for (unsigned i = 0; i < r->accepted; i++) {
        const cJSON *m = rig_message(c, "Accept-Session", i);
        const cJSON *test = cJSON_GetArrayItem(cJSON_GetObjectItem(c->doc, "test_sessions"), (int)i);
        const struct ctl_session *s = &r->sessions[i];
        uint8_t key[32];
        if (s->spec.receiver.port != golden_number(m, "port") ||
            s->server_octets != strtoul(golden_text(m, "server_octets"), NULL, 16) ||
            memcmp(s->spec.receiver.ip, r->cfg.peer.ip, 16) || memcmp(s->spec.sender.ip, r->cfg.local.ip, 16))
            fail_msg("%s: session %u is understood wrongly", name, i);
        if (!*golden_text(test, "test_aes_key"))
            continue;
        test_unhex(golden_text(test, "test_aes_key"), key, sizeof key);
        assert_memory_equal(key, s->keys.aes, 16);
        test_unhex(golden_text(test, "test_hmac_key"), key, sizeof key);
        assert_memory_equal(key, s->keys.hmac, 32);
    }
}

/* The server of a capture is replayed into our client: what it says is the captured client's, octet for octet
 * (but for the numbers that some put into Stop-Sessions). */
static void replay(const char *name, size_t chunk)
{
    struct rig_capture c;
    struct rig r = new_rig("alice", RIG_PASSPHRASE);
    unsigned asked = 0, sessions;
    size_t want;

    rig_load(name, &c);
    sessions = (unsigned)cJSON_GetArraySize(cJSON_GetObjectItem(c.doc, "test_sessions"));
    want = golden_number(rig_message(&c, "Stop-Sessions", 0), "sessions") == sessions ? c.c2s.len : c.stop_at;
    r.cfg.local = r.cfg.peer = rig_loopback(&c);
    feed_random(&r, &c);
    start_rig(&r);
    for (size_t at = 0; at < c.s2c.len && !r.closes; at += chunk) {
        /* not before it was asked for: the captured server did not either */
        size_t n = c.s2c.len - at < chunk ? c.s2c.len - at : chunk;
        feed(&r, c.s2c.v + at, n);
        go_on(&r, &c, &asked);
    }
    assert_int_equal(r.closes, 0);
    assert_int_equal(r.started, 1);
    assert_int_equal(r.started_id, CTL_ALL);
    stop(&r);
    rig_check(name, "client", &r.sent, &c.c2s, want);
    assert_int_equal(r.sent.len, c.c2s.len);
    assert_int_equal(r.accepted, sessions);
    check_sessions(name, &r, &c);
    ctl_client_on_close(r.c, r.now); /* twampd: RST, harmlessly late */
    take_outputs(&r);
    closed_with(&r, "");
    end_rig(&r);
    cJSON_Delete(c.doc);
}

static void captured_servers(void **state)
{
    static const char *const names[] = { RIG_CAPTURES };
    static const size_t chunks[] = { 1, 3, 4, 8, 16 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(names); i++)
        for (size_t k = 0; k < TW_NELEM(chunks); k++)
            if (strcmp(names[i], "control-tcaine-rejected")) /* we cannot say that Type-P */
                replay(names[i], chunks[k]);
}

static void captured_refusals(void **state)
{
    static const struct {
        const char *name, *user, *passphrase;
    } rows[] = { { "auth4-badsecret", "alice", "wrong secret" },
                 { "enc4-unknownuser", "mallory", "nobody" } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct rig r = new_rig(rows[i].user, rows[i].passphrase);
        struct rig_capture c;
        rig_load(rows[i].name, &c);
        feed_random(&r, &c);
        start_rig(&r);
        feed(&r, c.s2c.v, CTL_GREETING_BYTES);
        rig_check(rows[i].name, "client", &r.sent, &c.c2s, c.c2s.len);
        feed(&r, c.s2c.v + CTL_GREETING_BYTES, c.s2c.len - CTL_GREETING_BYTES);
        closed_with(&r, "the server refuses the login: unknown user or wrong passphrase");
        end_rig(&r);
        cJSON_Delete(c.doc);
    }
}

/* The captured refusal of a session (twampd, to tcaine's Type-P) does not end the connection. */
static void session_refused(void **state)
{
    struct rig r = new_rig(NULL, NULL);

    (void)state;
    log_in(&r, 15);
    ask(&r, 3);
    say_accept(&r, CTL_UNSUPPORTED, 0, 0);
    assert_int_equal(r.refused, 1);
    assert_int_equal(r.refused_id, 3);
    assert_int_equal(r.accept, CTL_UNSUPPORTED);
    start(&r);
    assert_int_equal(r.refused, 2); /* nothing to start, so nothing is sent */
    assert_int_equal(r.refused_id, CTL_ALL);
    ask(&r, 3); /* the id is free again */
    say_accept(&r, CTL_OK, 7, 7);
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.closes, 0);
    end_rig(&r);
}

/* ---- Choosing a mode ---- */

static void modes_chosen(void **state)
{
    static const struct {
        uint32_t offered, may, features, need;
        bool user;
        uint32_t chosen; /* 0: text */
        const char *text;
    } rows[] = {
        { 15, 0, 0, 0, true, TWAMP_ENCRYPTED, NULL },
        { 11, 0, 0, 0, true, TWAMP_AUTHENTICATED, NULL },
        { 9, 0, 0, 0, true, TWAMP_MIXED, NULL },
        { 1, 0, 0, 0, true, TWAMP_OPEN, NULL },
        { 15, 0, 0, 0, false, TWAMP_OPEN, NULL },
        { 15, TWAMP_MIXED | TWAMP_OPEN, 0, 0, true, TWAMP_MIXED, NULL },
        { 0x8000037f, TWAMP_OPEN, 0x370, 0, false, TWAMP_OPEN | 0x370, NULL },
        { 0x21, TWAMP_OPEN, 0x370, 0x20, false, 0x21, NULL },
        { 0, 0, 0, 0, true, 0, "the server does not want to talk to us (its greeting offers no mode)" },
        { 0x370, 0, 0, 0, true, 0, "the server does not want to talk to us (its greeting offers no mode)" },
        { 14, 0, 0, 0, false, 0,
          "the server offers modes 0xe, of which we may use none without a user and passphrase" },
        { 1, TWAMP_ENCRYPTED, 0, 0, true, 0,
          "the server offers modes 0x1, of which we may use none (ours are 0x4)" },
        { 15, 0, 0, 0x30, false, 0,
          "the server offers modes 0xf, without the features 0x30 that are needed" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct rig r = new_rig(rows[i].user ? "alice" : NULL, rows[i].user ? RIG_PASSPHRASE : NULL);
        struct ctl_set_up u;
        r.cfg.modes = rows[i].may;
        r.cfg.features = rows[i].features;
        r.cfg.need = rows[i].need;
        start_rig(&r);
        greet(&r, rows[i].offered, 1024);
        assert_int_equal(ctl_client_offered(r.c), rows[i].offered);
        if (rows[i].text) {
            closed_with(&r, rows[i].text);
            assert_int_equal(r.sent.len, 0);
        } else {
            ctl_read_set_up(r.sent.v, &u);
            if (u.mode != rows[i].chosen || ctl_client_mode(r.c) != rows[i].chosen)
                fail_msg("row %zu: mode 0x%x", i, u.mode);
            assert_string_equal(u.key_id, u.mode & TWAMP_OPEN ? "" : "alice");
        }
        end_rig(&r);
    }
}

/* A hostile Count costs us nothing. */
static void counts(void **state)
{
    static const struct {
        uint32_t count, max;
        bool user;
        const char *text;
    } rows[] = {
        { 1024, 0, true, NULL },
        { 32768, 0, true, NULL },
        { 65536, 0, true, "the server asks for 65536 PBKDF2 rounds, we do at most 32768" },
        { 4096, 2048, true, "the server asks for 4096 PBKDF2 rounds, we do at most 2048" },
        { UINT32_C(1) << 31, 0, true, "the server asks for 2147483648 PBKDF2 rounds, we do at most 32768" },
        { UINT32_MAX, 0, true,
          "the server's count of PBKDF2 rounds is 4294967295, expected a power of 2 from 1024 on" },
        { 3000, 0, true, "the server's count of PBKDF2 rounds is 3000, expected a power of 2 from 1024 on" },
        { 512, 0, true, "the server's count of PBKDF2 rounds is 512, expected a power of 2 from 1024 on" },
        { 0, 0, true, "the server's count of PBKDF2 rounds is 0, expected a power of 2 from 1024 on" },
        { 0, 0, false, NULL }, /* an open server may say anything */
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct rig r = new_rig(rows[i].user ? "alice" : NULL, rows[i].user ? RIG_PASSPHRASE : NULL);
        r.cfg.max_count = rows[i].max;
        start_rig(&r);
        pbkdf2_calls = 0;
        greet(&r, 15, rows[i].count);
        if (rows[i].text)
            closed_with(&r, rows[i].text);
        assert_int_equal(pbkdf2_calls, rows[i].user && !rows[i].text);
        assert_int_equal(r.sends, !rows[i].text);
        end_rig(&r);
    }
}

static void start_refusals(void **state)
{
    static const struct {
        bool user;
        uint8_t accept;
        const char *text;
    } rows[] = {
        { true, 1, "the server refuses the login: unknown user or wrong passphrase" },
        { true, 3,
          "the server refuses mode 0x4 (encrypted): some aspect of the request is not supported (Accept 3)" },
        { false, 1, "the server refuses mode 0x1 (open): failure, no reason given (Accept 1)" },
        { false, 5, "the server refuses mode 0x1 (open): temporary lack of resources (Accept 5)" },
        { false, 200, "the server refuses mode 0x1 (open): failure, no reason given (Accept 200)" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct rig r = new_rig(rows[i].user ? "alice" : NULL, rows[i].user ? RIG_PASSPHRASE : NULL);
        struct ctl_server_start s = { .accept = rows[i].accept };
        uint8_t wire[CTL_SERVER_START_BYTES];
        start_rig(&r);
        greet(&r, 15, 1024);
        ctl_write_server_start(&s, wire);
        feed(&r, wire, sizeof wire);
        closed_with(&r, rows[i].text);
        end_rig(&r);
    }
}

/* ---- A connection ---- */

static void port_of_the_server(void **state)
{
    struct rig r = new_rig("alice", RIG_PASSPHRASE);

    (void)state;
    log_in(&r, 15);
    ask(&r, 0);
    say_accept(&r, CTL_OK, 19130, 1); /* not the 6000 that was asked for */
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.sessions[0].spec.receiver.port, 19130);
    assert_int_equal(r.sessions[0].spec.sender.port, 5000);
    assert_memory_equal(r.sessions[0].spec.receiver.ip, r.cfg.peer.ip, 16);
    end_rig(&r);
}

static void port_0(void **state)
{
    struct rig r = new_rig(NULL, NULL);

    (void)state;
    log_in(&r, 1);
    ask(&r, 0);
    say_accept(&r, CTL_OK, 0, 1);
    closed_with(&r, "the server accepts a session without saying at which port");
    end_rig(&r);
}

/* All is given at once: each command waits for the answer to the one before, one message per write. */
static void queued(void **state)
{
    struct rig r = new_rig("alice", RIG_PASSPHRASE);
    struct ctl_session_spec spec = good_spec();

    (void)state;
    log_in(&r, 15);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(ctl_client_request(r.c, r.now, i, &spec), TW_OK);
    assert_int_equal(ctl_client_request(r.c, r.now, 1, &spec), TW_EEXIST);
    assert_int_equal(ctl_client_start(r.c, r.now, NULL, 0), TW_OK);
    assert_int_equal(ctl_client_start(r.c, r.now, NULL, 0), TW_EINVAL);
    assert_int_equal(ctl_client_request(r.c, r.now, 5, &spec), TW_EINVAL); /* sessions will run */
    assert_int_equal(ctl_client_stop(r.c, r.now, NULL, 0), TW_OK);
    assert_int_equal(ctl_client_request(r.c, r.now, 5, &spec), TW_OK); /* the next round */
    take_outputs(&r);
    for (uint8_t i = 0; i < 3; i++) {
        assert_int_equal(r.sent.len, (i + 1) * CTL_REQUEST_BYTES);
        say_accept(&r, i == 1 ? CTL_BUSY : CTL_OK, i == 1 ? 0 : 7000, i);
    }
    assert_int_equal(r.sent.len, 3 * CTL_REQUEST_BYTES + CTL_SIMPLE_BYTES);
    say_start_ack(&r, CTL_OK);
    assert_int_equal(r.started, 1);
    assert_int_equal(r.stopped, 1);
    assert_int_equal(r.sent.len, 4 * CTL_REQUEST_BYTES + 2 * CTL_SIMPLE_BYTES);
    assert_int_equal(r.sends, 1 + 6);
    end_rig(&r);
}

static void start_refused(void **state)
{
    struct rig r = new_rig(NULL, NULL);

    (void)state;
    log_in(&r, 1);
    ask(&r, 0);
    say_accept(&r, CTL_OK, 7000, 1);
    start(&r);
    say_start_ack(&r, CTL_BUSY);
    assert_int_equal(r.refused_id, CTL_ALL);
    assert_int_equal(r.accept, CTL_BUSY);
    start(&r); /* once more */
    say_start_ack(&r, CTL_OK);
    assert_int_equal(r.started, 1);
    end_rig(&r);
}

static void commands_refused(void **state)
{
    struct rig r = new_rig(NULL, NULL);
    struct ctl_session_spec spec = good_spec(), bad[4] = { spec, spec, spec, spec };
    uint32_t id = 1;

    (void)state;
    start_rig(&r);
    assert_int_equal(ctl_client_request(r.c, r.now, 1, &spec), TW_EINVAL); /* not ready */
    assert_int_equal(ctl_client_start(r.c, r.now, NULL, 0), TW_EINVAL);
    assert_int_equal(ctl_client_stop(r.c, r.now, NULL, 0), TW_EINVAL);
    greet(&r, 1, 1024);
    let_in(&r);
    assert_int_equal(ctl_client_start(r.c, r.now, &id, 1), TW_EINVAL); /* no choice without RFC 5938 */
    assert_int_equal(ctl_client_stop(r.c, r.now, &id, 1), TW_EINVAL);
    bad[0].dscp = 64;
    bad[1].sender.port = 0;
    bad[2].ipvn = 5;
    bad[3].reflect_bytes = 2; /* not agreed */
    for (size_t i = 0; i < TW_NELEM(bad); i++)
        assert_int_equal(ctl_client_request(r.c, r.now, 1, &bad[i]), TW_EINVAL);
    for (id = 0; id < 16; id++)
        assert_int_equal(ctl_client_request(r.c, r.now, id, &spec), TW_OK);
    assert_int_equal(ctl_client_request(r.c, r.now, 16, &spec), TW_ENOSPC);
    end_rig(&r);
}

static void bad_configurations(void **state)
{
    static const char long_id[] = "0123456789012345678901234567890123456789"
                                  "0123456789012345678901234567890123456789x";
    struct ctl_client_cfg good = new_rig("alice", RIG_PASSPHRASE).cfg, bad[6];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++)
        bad[i] = good;
    bad[0].key_id = long_id;
    bad[1].key_id = "";
    bad[2].passphrase_len = 0;
    bad[3].passphrase_len = CTL_PASSPHRASE_MAX + 1;
    bad[4].modes = 0x10;
    bad[5].need = 0x80; /* IKEv2 */
    for (size_t i = 0; i < TW_NELEM(bad); i++) {
        struct ctl_client *c;
        assert_int_equal(ctl_client_new(&bad[i], (struct tw_now){ { 0 }, { 0 } }, &c), TW_EINVAL);
    }
}

/* The first HMAC proves the server: it covers Server-Start's last block. */
static void server_without_the_keys(void **state)
{
    struct rig r = new_rig("alice", RIG_PASSPHRASE), q = new_rig("alice", RIG_PASSPHRASE);
    uint8_t msg[CTL_ACCEPT_BYTES] = { 0 };

    (void)state;
    log_in(&r, 4);
    ask(&r, 0);
    feed(&r, msg, sizeof msg);
    closed_with(&r, "the HMAC of the server's answer is wrong");
    assert_int_equal(r.accepted, 0);
    end_rig(&r);

    log_in(&q, 4);
    ask(&q, 0);
    q.tx.text.carried[0] ^= 1; /* Start-Time was changed on the way */
    q.tx.text.carried_len = CRYPTO_BLOCK;
    say_accept(&q, CTL_OK, 7000, 1);
    closed_with(&q, "the HMAC of the server's answer is wrong");
    end_rig(&q);
}

/* Each answer's HMAC counts. */
static void later_hmac(void **state)
{
    struct rig r = new_rig("alice", RIG_PASSPHRASE);
    uint8_t msg[CTL_SIMPLE_BYTES];

    (void)state;
    log_in(&r, 2);
    ask(&r, 0);
    say_accept(&r, CTL_OK, 7000, 1);
    start(&r);
    ctl_write_start_ack(CTL_OK, msg);
    assert_int_equal(ctl_tx_seal(&r.tx, msg, sizeof msg), TW_OK);
    msg[31] ^= 1;
    feed(&r, msg, sizeof msg);
    closed_with(&r, "the HMAC of the server's answer is wrong");
    assert_int_equal(r.started, 0);
    end_rig(&r);
}

static void unasked(void **state)
{
    struct rig r = new_rig(NULL, NULL);

    (void)state;
    log_in(&r, 1);
    feed(&r, "hello", 5);
    closed_with(&r, "the server sends something that was not asked for");
    end_rig(&r);
}

/* ---- Time ---- */

/* twampd says nothing at all to requests that it does not like. */
static void timeouts(void **state)
{
    static const char *const texts[] = {
        "Server-Greeting did not come within 10000 ms",
        "Server-Start did not come within 10000 ms",
        "Accept-Session did not come within 10000 ms",
        "Start-Ack did not come within 10000 ms",
    };

    (void)state;
    for (unsigned stage = 0; stage < TW_NELEM(texts); stage++) {
        struct rig r = new_rig(NULL, NULL);
        start_rig(&r);
        wait_for(&r, 9 * S);
        if (stage >= 1)
            greet(&r, 1, 1024);
        if (stage >= 2) {
            let_in(&r);
            assert_int_equal(ctl_client_next_due(r.c).ns, TW_MONO_NEVER.ns);
            wait_for(&r, 5000 * S); /* nothing is awaited */
            ask(&r, 0);
        }
        if (stage >= 3) {
            say_accept(&r, CTL_OK, 7000, 1);
            start(&r);
        }
        if (stage)
            wait_for(&r, 9 * S);
        assert_int_equal(r.closes, 0);
        wait_for(&r, S);
        closed_with(&r, texts[stage]);
        end_rig(&r);
    }
}

static void closed_by_the_server(void **state)
{
    static const char *const texts[] = {
        "the server closed the connection where Server-Greeting was due",
        "the server closed the connection where Server-Start was due",
        "the server closed the connection",
        "the server closed the connection where Accept-Session was due",
        "the server closed the connection",
        "the server closed the connection where Start-Ack was due",
        "the server closed the connection while sessions run",
        "",
    };

    (void)state;
    for (unsigned stage = 0; stage < TW_NELEM(texts); stage++) {
        struct rig r = new_rig("alice", RIG_PASSPHRASE);
        start_rig(&r);
        if (stage >= 1)
            greet(&r, 8, 1024);
        if (stage >= 2)
            let_in(&r);
        if (stage >= 3)
            ask(&r, 0);
        if (stage >= 4)
            say_accept(&r, CTL_OK, 7000, 1);
        if (stage >= 5)
            start(&r);
        if (stage >= 6)
            say_start_ack(&r, CTL_OK);
        if (stage >= 7)
            stop(&r);
        ctl_client_on_close(r.c, r.now);
        take_outputs(&r);
        closed_with(&r, texts[stage]);
        end_rig(&r);
    }
}

/* ---- RFC 5938 ---- */

static void say_many(struct rig *r, unsigned command, unsigned accept, const char *sids)
{
    struct ctl_many m = { .command = (uint8_t)command,
                          .accept = (uint8_t)accept,
                          .n = (uint32_t)strlen(sids) };
    uint8_t msg[256] = { 0 };

    ctl_write_many(&m, msg);
    for (size_t i = 0; sids[i]; i++)
        msg[CTL_HEAD + CTL_SID * i] = (uint8_t)sids[i];
    say(r, msg, ctl_many_bytes(m.n));
}

static void individual(void **state)
{
    struct rig r = new_rig(NULL, NULL);
    uint32_t two[] = { 0, 2 }, one[] = { 1 };

    (void)state;
    r.cfg.need = TWAMP_INDIVIDUAL;
    log_in(&r, TWAMP_OPEN | TWAMP_INDIVIDUAL);
    for (uint32_t i = 0; i < 3; i++) {
        ask(&r, i);
        say_accept(&r, CTL_OK, 7000, (uint8_t)('a' + i));
    }
    r.sent.len = 0;
    assert_int_equal(ctl_client_start(r.c, r.now, two, 2), TW_OK);
    take_outputs(&r);
    assert_int_equal(r.sent.len, ctl_many_bytes(2));
    assert_int_equal(r.sent.v[0], CTL_CMD_START_N);
    assert_int_equal(r.sent.v[16], 'a');
    assert_int_equal(r.sent.v[32], 'c');
    say_many(&r, CTL_CMD_START_N_ACK, CTL_OK, "c"); /* the server may answer in parts */
    assert_int_equal(r.started, 1);
    assert_int_equal(r.started_id, 2);
    say_many(&r, CTL_CMD_START_N_ACK, CTL_BUSY, "a");
    assert_int_equal(r.refused_id, 0);
    assert_int_equal(ctl_client_next_due(r.c).ns, TW_MONO_NEVER.ns);
    start(&r); /* all that do not run yet */
    say_many(&r, CTL_CMD_START_N_ACK, CTL_OK, "ba");
    assert_int_equal(r.started, 3);
    ask(&r, 7); /* while sessions run */
    say_accept(&r, CTL_OK, 7000, 'd');
    assert_int_equal(ctl_client_stop(r.c, r.now, one, 1), TW_OK);
    take_outputs(&r);
    say_many(&r, CTL_CMD_STOP_N_ACK, CTL_OK, "b");
    assert_int_equal(r.stopped_id, 1);
    stop(&r);
    say_many(&r, CTL_CMD_STOP_N_ACK, CTL_FAILED, "ca"); /* what cannot be stopped does not run */
    assert_int_equal(r.stopped, 3);
    stop(&r);
    assert_int_equal(r.stopped_id, CTL_ALL); /* none left: nothing is sent */
    assert_int_equal(r.closes, 0);
    end_rig(&r);
}

static void individual_nonsense(void **state)
{
    static const struct {
        uint8_t command;
        const char *sids, *text;
    } rows[] = {
        { CTL_CMD_STOP_N_ACK, "a",
          "expected Start-N-Ack, the server sends something else (does it know RFC 5938?)" },
        { 3, "a", "expected Start-N-Ack, the server sends something else (does it know RFC 5938?)" },
        { CTL_CMD_START_N_ACK, "",
          "expected Start-N-Ack, the server sends something else (does it know RFC 5938?)" },
        { CTL_CMD_START_N_ACK, "ab",
          "expected Start-N-Ack, the server sends something else (does it know RFC 5938?)" },
        { CTL_CMD_START_N_ACK, "x", "the server's Start-N-Ack names a session that was not asked about" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct rig r = new_rig(NULL, NULL);
        r.cfg.need = TWAMP_INDIVIDUAL;
        log_in(&r, TWAMP_OPEN | TWAMP_INDIVIDUAL);
        ask(&r, 0);
        say_accept(&r, CTL_OK, 7000, 'a');
        start(&r);
        say_many(&r, rows[i].command, CTL_OK, rows[i].sids);
        closed_with(&r, rows[i].text);
        assert_int_equal(r.started, 0);
        end_rig(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captured_servers),
        cmocka_unit_test(captured_refusals),
        cmocka_unit_test(session_refused),
        cmocka_unit_test(modes_chosen),
        cmocka_unit_test(counts),
        cmocka_unit_test(start_refusals),
        cmocka_unit_test(port_of_the_server),
        cmocka_unit_test(port_0),
        cmocka_unit_test(queued),
        cmocka_unit_test(start_refused),
        cmocka_unit_test(commands_refused),
        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(server_without_the_keys),
        cmocka_unit_test(later_hmac),
        cmocka_unit_test(unasked),
        cmocka_unit_test(timeouts),
        cmocka_unit_test(closed_by_the_server),
        cmocka_unit_test(individual),
        cmocka_unit_test(individual_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
