/* Coming in: who is let in, who is told why not, and what strangers cannot do to the others. */
#include <dirent.h>
#include "tests/unit/net/rpc_fixture.h"

/* ---- One client, right or wrong ---- */

static void nothing(Tw__ClientHello *m)
{
    (void)m;
}
static void other_name(Tw__ClientHello *m)
{
    m->name = (char *)"ams-2";
}
static void capital_name(Tw__ClientHello *m)
{
    m->name = (char *)"AMS";
}
static void empty_name(Tw__ClientHello *m)
{
    m->name = (char *)"";
}
static void long_name(Tw__ClientHello *m)
{
    m->name = (char *)"a123456789b123456789c123456789d123456789e123456789f123456789ghij";
}
static void bad_utf8(Tw__ClientHello *m)
{
    m->software = (char *)"\xc3\x28";
}
static void terminal_escape(Tw__ClientHello *m)
{
    m->software = (char *)"\x1b[2J";
}
static void short_boot(Tw__ClientHello *m)
{
    m->boot_id.len = 15;
}
static void no_spool(Tw__ClientHello *m)
{
    m->spool_id.len = 0;
}
static void short_key(Tw__ClientHello *m)
{
    m->public_key.len = 31;
}
static void flipped_proof(Tw__ClientHello *m)
{
    m->proof.data[9] ^= 1;
}
static void no_proof(Tw__ClientHello *m)
{
    m->proof.len = 0;
}
static void new_version(Tw__ClientHello *m)
{
    m->version = 2;
}
static void old_version(Tw__ClientHello *m)
{
    m->version = 0;
}
static void as_operator(Tw__ClientHello *m)
{
    m->role = TW__ROLE__ROLE_OPERATOR;
}
static void no_role(Tw__ClientHello *m)
{
    m->role = TW__ROLE__ROLE_NONE;
}
static void unknown_role(Tw__ClientHello *m)
{
    m->role = (Tw__Role)77;
}

static const struct {
    const char *name;
    void (*mangle)(Tw__ClientHello *m);
    Tw__FrameKind answer;
    Tw__Status status;
} cases[] = {
    { "as it should be", nothing, TW__FRAME_KIND__FRAME_HELLO_OK, TW__STATUS__STATUS_OK },
    { "proof for another name", other_name, TW__FRAME_KIND__FRAME_GOAWAY,
      TW__STATUS__STATUS_UNAUTHENTICATED },
    { "capital name", capital_name, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_INVALID_ARGUMENT },
    { "empty name", empty_name, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_INVALID_ARGUMENT },
    { "64 octets of name", long_name, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_INVALID_ARGUMENT },
    { "software not UTF-8", bad_utf8, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_INVALID_ARGUMENT },
    { "software with escape", terminal_escape, TW__FRAME_KIND__FRAME_GOAWAY,
      TW__STATUS__STATUS_INVALID_ARGUMENT },
    { "boot_id short", short_boot, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_INVALID_ARGUMENT },
    { "no spool_id", no_spool, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_INVALID_ARGUMENT },
    { "key short", short_key, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_INVALID_ARGUMENT },
    { "one bit of proof wrong", flipped_proof, TW__FRAME_KIND__FRAME_GOAWAY,
      TW__STATUS__STATUS_UNAUTHENTICATED },
    { "no proof", no_proof, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_UNAUTHENTICATED },
    { "version 2", new_version, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_FAILED_PRECONDITION },
    { "version 0", old_version, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_FAILED_PRECONDITION },
    { "operator here", as_operator, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_FAILED_PRECONDITION },
    { "no role", no_role, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_FAILED_PRECONDITION },
    { "unknown role", unknown_role, TW__FRAME_KIND__FRAME_GOAWAY, TW__STATUS__STATUS_INVALID_ARGUMENT },
};

static void make_id(struct fixture *f, struct hello_id *id)
{
    *id = (struct hello_id){ .role = TW__ROLE__ROLE_AGENT, .name = "ams-1", .software = "raw" };
    memcpy(id->boot_id, test_boot_id, RPC_ID_LEN);
    memcpy(id->spool_id, test_spool_id, RPC_ID_LEN);
    identity_public(f->key, id->public_key);
}

static void read_greeting(struct raw *r, struct hello_server *ret)
{
    Tw__Frame *m = raw_next(r);
    struct tw_err err = { 0 };
    struct arena *a;

    assert_non_null(m);
    assert_int_equal(m->kind, TW__FRAME_KIND__FRAME_HELLO);
    MUST(arena_new(65536, &a));
    if (hello_check_server(m->body.data, m->body.len, a, ret, &err))
        fail_msg("greeting: %s", err.text);
    arena_free(a);
    assert_string_equal(ret->controller, "ctl");
    tw__frame__free_unpacked(m, NULL);
}

static void say_hello(struct fixture *f, struct raw *r, void (*mangle)(Tw__ClientHello *m))
{
    Tw__Frame frame = TW__FRAME__INIT;
    uint8_t sig[IDENTITY_SIG_LEN];
    struct hello_server server;
    Tw__ClientHello m;
    struct hello_id id;

    make_id(f, &id);
    read_greeting(r, &server);
    MUST(hello_make_client(&id, f->key, &server, NULL, sig, &m));
    mangle(&m);
    frame.kind = TW__FRAME_KIND__FRAME_HELLO;
    raw_send(r, &frame, &m.base);
}

static void each_wrong_hello_is_told_why(void **state)
{
    struct fixture *f = *state;
    uint64_t refused = 0;

    serve(f, server_conf(f));
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct raw r = { .fd = raw_connect(f) };
        Tw__Frame *m;

        say_hello(f, &r, cases[i].mangle);
        m = raw_next(&r);
        if (!m || m->kind != cases[i].answer || m->status != cases[i].status)
            fail_msg("%s: kind %d status %d \"%s\"", cases[i].name, m ? (int)m->kind : -1,
                     m ? (int)m->status : -1, m ? m->detail : "end");
        if (m->status && !m->detail[0])
            fail_msg("%s: no reason given", cases[i].name);
        refused += m->status != TW__STATUS__STATUS_OK;
        tw__frame__free_unpacked(m, NULL);
        close(r.fd);
    }
    WAIT(failed_handshakes, refused);
    assert_int_equal(f->srv.ups, 1);
}

static void no_nonce_is_given_twice(void **state)
{
    struct fixture *f = *state;
    struct hello_server a, b;
    struct raw r, q;

    serve(f, server_conf(f));
    r = (struct raw){ .fd = raw_connect(f) };
    q = (struct raw){ .fd = raw_connect(f) };
    read_greeting(&r, &a);
    read_greeting(&q, &b);
    assert_memory_not_equal(a.nonce, b.nonce, HELLO_NONCE_LEN);
    close(r.fd);
    close(q.fd);
}

/* ---- Through the real client ---- */

static void a_welcome_carries_what_the_server_said(void **state)
{
    struct fixture *f = *state;
    const struct rpc_hello *h;
    struct rpc_ahead ahead;

    connect_both(f);
    h = rpc_peer_hello(f->srv.peer);
    assert_int_equal(h->role, TW__ROLE__ROLE_AGENT);
    assert_string_equal(h->name, "ams-1");
    assert_string_equal(h->software, "test 1");
    assert_string_equal(h->address, "127.0.0.1");
    assert_string_equal(rpc_peer_local_address(f->srv.peer), "127.0.0.1");
    assert_memory_equal(h->boot_id, test_boot_id, RPC_ID_LEN);
    assert_memory_equal(h->spool_id, test_spool_id, RPC_ID_LEN);
    assert_string_equal(rpc_peer_hello(f->cli.peer)->name, "ctl");
    assert_true(rpc_client_welcome(f->client).approved);
    assert_int_equal(rpc_client_welcome(f->client).through_seq, 41);
    assert_int_equal(rpc_client_welcome(f->client).window, 500);
    ahead = rpc_client_welcome(f->client).ahead;
    assert_int_equal(ahead.max, 16);
    assert_int_equal(ahead.backlog_per_s, 77);
    assert_true(seqset_equal(&ahead.spans, &f->srv.welcome.ahead.spans));
    assert_int_equal(counters(f).peers, 1);
}

static void a_pending_agent_is_up_but_not_approved(void **state)
{
    struct fixture *f = *state;

    f->srv.welcome = (struct rpc_welcome){ .approved = false };
    connect_both(f);
    assert_false(rpc_client_welcome(f->client).approved);
    assert_int_equal(rpc_client_welcome(f->client).window, 0);
}

static void a_refusal_reaches_the_user(void **state)
{
    struct fixture *f = *state;
    struct rpc_client_conf c;

    f->srv.welcome = (struct rpc_welcome){ .status = TW__STATUS__STATUS_ALREADY_EXISTS,
                                           .detail = "ams-1 has another key" };
    serve(f, server_conf(f));
    c = client_conf(f);
    c.once = true;
    dial_in(f, c);
    WAIT(client_downs, 1);
    assert_int_equal(f->cli.down_status, TW__STATUS__STATUS_ALREADY_EXISTS);
    assert_string_equal(f->cli.down_detail, "ams-1 has another key");
    assert_int_equal(f->cli.ups + f->srv.ups + f->srv.downs, 0);
}

/* Not before the server said, and within as long again; else it would be there again within 0.2 s. */
static void a_refused_client_comes_again_when_it_was_told(void **state)
{
    struct fixture *f = *state;
    struct tw_mono begun = tw_mono_now();
    bool never = false;

    f->srv.welcome = (struct rpc_welcome){ .status = TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                                           .detail = "full",
                                           .retry_ms = 700 };
    serve(f, server_conf(f));
    dial_in(f, client_conf(f));
    loop_run_until(f->loop, &never, (struct tw_mono){ begun.ns + 300 * TW_NS_PER_MS });
    f->srv.welcome = (struct rpc_welcome){ .approved = true };
    WAIT(both_up, 0);
    assert_true(tw_mono_now().ns - begun.ns >= 700 * TW_NS_PER_MS);
}

static void nobody_there_reaches_the_user(void **state)
{
    struct fixture *f = *state;
    struct rpc_client_conf c;

    serve(f, server_conf(f));
    rpc_server_stop(f->server);
    f->server = NULL;
    c = client_conf(f);
    c.once = true;
    dial_in(f, c);
    WAIT(client_downs, 1);
    assert_int_equal(f->cli.down_status, TW__STATUS__STATUS_UNAVAILABLE);
    assert_non_null(strstr(f->cli.down_detail, f->url));
}

static void operators_come_in_on_their_own_listener_only(void **state)
{
    struct fixture *f = *state;
    struct rpc_server_conf s;
    struct rpc_client_conf c;
    char path[128];

    snprintf(path, sizeof path, "%s/sock", f->dir);
    snprintf(f->url, sizeof f->url, "ipc://%s", path);
    s = server_conf(f);
    s.agents = false;
    s.operators = true;
    serve(f, s);
    c = client_conf(f);
    c.once = true;
    c.role = TW__ROLE__ROLE_OPERATOR;
    c.name = "Ann Other";
    c.boot_id = c.spool_id = NULL;
    c.identity = NULL;
    dial_in(f, c);
    WAIT(both_up, 0);
    assert_int_equal(rpc_peer_hello(f->srv.peer)->role, TW__ROLE__ROLE_OPERATOR);
    assert_string_equal(rpc_peer_hello(f->srv.peer)->name, "Ann Other");
    assert_string_equal(rpc_peer_hello(f->srv.peer)->address, "");
    rpc_client_stop(f->client);

    c = client_conf(f);
    c.once = true;
    dial_in(f, c); /* an agent, with key and all */
    WAIT(client_downs, 2);
    assert_int_equal(f->cli.down_status, TW__STATUS__STATUS_FAILED_PRECONDITION);
}

static void bad_configuration_is_refused_with_a_reason(void **state)
{
    static const char *const urls[] = { "tls+tcp://127.0.0.1:1",
                                        "127.0.0.1:1",
                                        "",
                                        "inproc://x",
                                        "ipc://relative",
                                        "tcp://127.0.0.1",
                                        "tcp://127.0.0.1:",
                                        "tcp://127.0.0.1:port",
                                        "tcp://127.0.0.1:65536",
                                        "tcp://[::1]" };
    struct fixture *f = *state;
    struct rpc_server_conf s = server_conf(f);
    struct rpc_client_conf c = client_conf(f);
    struct rpc_server *second = NULL;
    struct tw_err err = { 0 };

    for (size_t i = 0; i < TW_NELEM(urls); i++) {
        s.url = c.url = urls[i];
        if (rpc_server_start(&s, &second, &err) != TW_EINVAL ||
            rpc_client_start(&c, &f->client, &err) != TW_EINVAL)
            fail_msg("%s was not refused", urls[i]);
    }
    c = client_conf(f);
    c.url = "tcp://127.0.0.1:1";
    c.name = "Not-Good";
    assert_int_equal(rpc_client_start(&c, &f->client, &err), TW_EINVAL);
    c.name = "good";
    c.spool_id = NULL;
    assert_int_equal(rpc_client_start(&c, &f->client, &err), TW_EINVAL);
    serve(f, server_conf(f));
    s = server_conf(f);
    assert_int_equal(rpc_server_start(&s, &second, &err), TW_EINUSE);
    assert_non_null(strstr(err.text, f->url));
}

/* ---- Strangers ---- */

static bool timed_out(struct fixture *f, uint64_t n)
{
    return counters(f).handshakes_timed_out >= n;
}

static bool hello_seen(struct fixture *f, uint64_t arg)
{
    (void)arg;
    return f->srv.hello_seen;
}

static bool nobody_waits(struct fixture *f, uint64_t arg)
{
    (void)arg;
    rpc_server_ask_again(f->server); /* which is how it is noticed that somebody has gone */
    return counters(f).peers == 0 && f->srv.ups == f->srv.downs;
}

static void a_welcome_may_come_later(void **state)
{
    struct fixture *f = *state;

    f->srv.welcome.later = true;
    serve(f, server_conf(f));
    dial_in(f, client_conf(f));
    WAIT(hello_seen, 0);
    rpc_server_ask_again(f->server);
    assert_int_equal(f->srv.hellos_again, 1);
    assert_int_equal(f->srv.ups, 0);
    f->srv.welcome.later = false;
    rpc_server_ask_again(f->server);
    assert_int_equal(f->srv.ups, 1);
    WAIT(both_up, 0);
    assert_int_equal(rpc_client_welcome(f->client).through_seq, 41);
    rpc_server_ask_again(f->server); /* nobody */
    assert_int_equal(f->srv.hellos_again, 2);
    /* What comes is read. */
    rpc_client_stop(f->client);
    f->client = NULL;
    WAIT(server_downs, 1);
}

static void a_refusal_may_come_later(void **state)
{
    struct fixture *f = *state;
    struct rpc_client_conf c;

    f->srv.welcome.later = true;
    serve(f, server_conf(f));
    c = client_conf(f);
    c.once = true;
    dial_in(f, c);
    WAIT(hello_seen, 0);
    f->srv.welcome = (struct rpc_welcome){ .status = TW__STATUS__STATUS_PERMISSION_DENIED,
                                           .detail = "not you",
                                           .later = true };
    rpc_server_ask_again(f->server);
    WAIT(client_downs, 1);
    assert_int_equal(f->cli.down_status, TW__STATUS__STATUS_PERMISSION_DENIED);
    assert_non_null(strstr(f->cli.down_detail, "not you"));
    WAIT(failed_handshakes, 1);
}

/* It says more than it may before it is answered, and goes. */
static void whoever_is_put_off_is_not_read(void **state)
{
    struct fixture *f = *state;
    struct raw r = { .fd = -1 };
    Tw__Frame frame = TW__FRAME__INIT;

    f->srv.welcome.later = true;
    serve(f, server_conf(f));
    r.fd = raw_connect(f);
    say_hello(f, &r, nothing);
    WAIT(hello_seen, 0);
    frame.kind = TW__FRAME_KIND__FRAME_DATA;
    raw_send(&r, &frame, NULL);
    close(r.fd);
    f->srv.welcome.later = false;
    WAIT(nobody_waits, 0);
    assert_int_equal(f->srv.ups, 1);
    assert_int_equal(f->srv.downs, 1);
}

static void whoever_is_put_off_for_too_long_is_cut_off(void **state)
{
    struct fixture *f = *state;
    struct rpc_server_conf c = server_conf(f);
    struct raw r = { .fd = -1 };

    f->srv.welcome.later = true;
    c.times.hello_timeout_ms = 100;
    serve(f, c);
    r.fd = raw_connect(f);
    say_hello(f, &r, nothing);
    WAIT(timed_out, 1);
    rpc_server_ask_again(f->server);
    assert_int_equal(f->srv.hellos_again, 0);
    close(r.fd);
}

static void a_silent_connection_is_cut_off(void **state)
{
    struct fixture *f = *state;
    struct rpc_server_conf c = server_conf(f);
    struct raw silent;
    Tw__Frame *m;

    c.times.hello_timeout_ms = 50;
    serve(f, c);
    silent = (struct raw){ .fd = raw_connect(f) };
    m = raw_next(&silent); /* the greeting */
    assert_non_null(m);
    tw__frame__free_unpacked(m, NULL);
    assert_null(raw_next(&silent));
    WAIT(timed_out, 1);
    close(silent.fd);
}

struct drip {
    struct loop_timer timer;
    int fd;
    unsigned sent;
    bool refused;
};

static void drip_one(struct loop_timer *t)
{
    static const uint8_t frame[] = { 0, 0, 0x0f, 0xff }; /* then octets of a body that never is complete */
    struct drip *d = t->ctx;
    uint8_t b = d->sent < sizeof frame ? frame[d->sent] : 0x20;

    d->sent++;
    d->refused = send(d->fd, &b, 1, MSG_NOSIGNAL) < 0;
    if (!d->refused)
        loop_timer_set(the->loop, t, (struct tw_mono){ tw_mono_now().ns + 5 * TW_NS_PER_MS });
}

/* Each octet renews a timeout of the receive, so that alone would not do. Who has begun gets three times as
 * long as the silent. */
static void a_dripping_connection_is_cut_off(void **state)
{
    int64_t began = tw_mono_now().ns;
    struct fixture *f = *state;
    struct rpc_server_conf c = server_conf(f);
    struct drip d = { .sent = 0 };

    c.times.hello_timeout_ms = 200;
    serve(f, c);
    d.fd = raw_connect(f);
    d.timer = (struct loop_timer){ .fn = drip_one, .ctx = &d };
    drip_one(&d.timer);
    WAIT(timed_out, 1);
    assert_true(d.sent > 5);
    assert_true(tw_mono_now().ns - began >= 600 * TW_NS_PER_MS);
    loop_timer_cancel(f->loop, &d.timer);
    close(d.fd);
}

static void a_wrong_first_frame_is_told_why(void **state)
{
    static const struct {
        const char *name;
        uint8_t octets[32];
        size_t len;
    } rows[] = {
        { "garbage", "GET / HTTP/1.1\r\n\r\n", 18 }, /* a length of 1.2 GB */
        { "one octet too long", { 0, 0, 0x10, 1, 8, 1 }, 6 },
        { "empty frame", { 0, 0, 0, 0 }, 4 },
        { "not protobuf", { 0, 0, 0, 3, 0xff, 0xff, 0xff }, 7 },
        { "unknown kind", { 0, 0, 0, 2, 8, 99 }, 6 },
        { "PING before HELLO", { 0, 0, 0, 2, 8, 8 }, 6 },
        { "REQUEST before HELLO", { 0, 0, 0, 4, 8, 3, 16, 1 }, 8 },
        { "HELLO_OK from a client", { 0, 0, 0, 2, 8, 2 }, 6 },
        { "HELLO without body", { 0, 0, 0, 2, 8, 1 }, 6 },
    };
    struct fixture *f = *state;

    serve(f, server_conf(f));
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct raw r = { .fd = raw_connect(f) };
        Tw__Frame *m = raw_next(&r);

        assert_non_null(m);
        tw__frame__free_unpacked(m, NULL);
        assert_int_equal(send(r.fd, rows[i].octets, rows[i].len, MSG_NOSIGNAL), (ssize_t)rows[i].len);
        m = raw_next(&r);
        if (!m || m->kind != TW__FRAME_KIND__FRAME_GOAWAY || !m->status)
            fail_msg("%s: no GOAWAY", rows[i].name);
        tw__frame__free_unpacked(m, NULL);
        if (i == 0) /* it is closed even if the client does not */
            assert_null(raw_next(&r));
        close(r.fd);
    }
    WAIT(failed_handshakes, TW_NELEM(rows));
}

static bool evicted(struct fixture *f, uint64_t n)
{
    return counters(f).handshakes_evicted >= n;
}

static void the_oldest_handshake_makes_room(void **state)
{
    struct fixture *f = *state;
    struct rpc_server_conf c = server_conf(f);
    struct hello_server server;
    struct raw r[6];

    c.max_handshakes = 4;
    serve(f, c);
    for (size_t i = 0; i < 6; i++) {
        r[i] = (struct raw){ .fd = raw_connect(f) };
        read_greeting(&r[i], &server); /* so that they are accepted in this order */
    }
    WAIT(evicted, 2);
    assert_null(raw_next(&r[0]));
    assert_null(raw_next(&r[1]));
    dial_in(f, client_conf(f));
    WAIT(both_up, 0);
    assert_int_equal(counters(f).handshakes_evicted, 3);
    for (size_t i = 0; i < 6; i++)
        close(r[i].fd);
}

static size_t open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static bool descriptors_at_most(struct fixture *f, uint64_t n)
{
    (void)f;
    return open_descriptors() <= n;
}

static bool accepted(struct fixture *f, uint64_t n)
{
    return counters(f).accepted >= n;
}

/* A third closes at once, a third resets after garbage, a third stays, half-open. */
static void three_hundred_bad_connections_harm_nobody(void **state)
{
    enum { BAD = 300 };
    struct fixture *f = *state;
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    struct rpc_server_conf c = server_conf(f);
    int fds[BAD];
    size_t before;

    c.max_handshakes = 32;
    serve(f, c);
    dial_in(f, client_conf(f));
    WAIT(both_up, 0);
    before = open_descriptors();
    for (int i = 0; i < BAD; i++) {
        fds[i] = raw_connect(f);
        if (i % 3 == 1) {
            assert_int_equal(send(fds[i], "\x00\x00\x00\x03garbage", 11, MSG_NOSIGNAL), 11);
            setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        }
        if (i % 3 != 2) {
            close(fds[i]);
            fds[i] = -1;
        }
        if (i % 60 == 59) /* less than the backlog at once, or connect() would have to wait */
            WAIT(accepted, (uint64_t)i);
    }
    WAIT(accepted, BAD + 1);
    rpc_client_stop(f->client);
    f->client = NULL;
    WAIT(server_downs, 1);
    dial_in(f, client_conf(f));
    WAIT(both_up, 0);
    for (int i = 0; i < BAD; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    WAIT(descriptors_at_most, before);
}

static bool client_ups(struct fixture *f, uint64_t n)
{
    return f->cli.ups >= n && f->cli.peer;
}

static void a_client_comes_back_when_the_server_does(void **state)
{
    struct fixture *f = *state;

    connect_both(f);
    rpc_server_stop(f->server);
    f->server = NULL;
    assert_int_equal(f->srv.downs, 1); /* before it returned */
    WAIT(client_downs, 1);
    assert_int_equal(f->cli.down_status, TW__STATUS__STATUS_UNAVAILABLE);
    serve(f, server_conf(f)); /* the same port: f->url names it */
    WAIT(client_ups, 2);
    assert_int_equal(f->srv.ups, 2);
}

/* A peer that accepts and says nothing must not hold a client for ever. */
static void a_silent_server_is_given_up(void **state)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct fixture *f = *state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof sa;
    struct rpc_client_conf c;

    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    snprintf(f->url, sizeof f->url, "tcp://127.0.0.1:%u", ntohs(sa.sin_port));
    c = client_conf(f);
    c.once = true;
    c.times.hello_timeout_ms = 50;
    dial_in(f, c);
    WAIT(client_downs, 1);
    assert_true(f->cli.down_status == TW__STATUS__STATUS_DEADLINE_EXCEEDED ||
                f->cli.down_status == TW__STATUS__STATUS_UNAVAILABLE);
    close(fd);
}

static void too_many_peers_are_told_so(void **state)
{
    struct fixture *f = *state;
    struct rpc_server_conf c = server_conf(f);
    struct raw r;
    Tw__Frame *m;

    c.max_peers = 1;
    serve(f, c);
    dial_in(f, client_conf(f));
    WAIT(both_up, 0);
    r = (struct raw){ .fd = raw_connect(f) };
    say_hello(f, &r, nothing);
    m = raw_next(&r);
    assert_non_null(m);
    assert_int_equal(m->kind, TW__FRAME_KIND__FRAME_GOAWAY);
    assert_int_equal(m->status, TW__STATUS__STATUS_RESOURCE_EXHAUSTED);
    assert_true(m->retry_ms > 0);
    tw__frame__free_unpacked(m, NULL);
    close(r.fd);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_wrong_hello_is_told_why),
        T(no_nonce_is_given_twice),
        T(a_welcome_carries_what_the_server_said),
        T(a_pending_agent_is_up_but_not_approved),
        T(a_welcome_may_come_later),
        T(a_refusal_may_come_later),
        T(whoever_is_put_off_is_not_read),
        T(whoever_is_put_off_for_too_long_is_cut_off),
        T(a_refusal_reaches_the_user),
        T(a_refused_client_comes_again_when_it_was_told),
        T(nobody_there_reaches_the_user),
        T(operators_come_in_on_their_own_listener_only),
        T(bad_configuration_is_refused_with_a_reason),
        T(a_silent_connection_is_cut_off),
        T(a_dripping_connection_is_cut_off),
        T(a_wrong_first_frame_is_told_why),
        T(the_oldest_handshake_makes_room),
        T(three_hundred_bad_connections_harm_nobody),
        T(a_client_comes_back_when_the_server_does),
        T(a_silent_server_is_given_up),
        T(too_many_peers_are_told_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
