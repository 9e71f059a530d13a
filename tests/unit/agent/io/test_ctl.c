/* TWAMP-Control over real sockets: the listener with a worker, our dialer, and clients that do not behave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/core/twamp_ctl_msg.h"
#include "agent/io/ctl_dialer.h"
#include "agent/io/ctl_listener.h"
#include "common/log.h"
#include "common/net/now.h"

#define PASSPHRASE "correct horse battery"
#define FEATURES_ALL TWAMP_FEATURES

struct rig {
    struct loop *loop;
    struct worker *worker;
    struct ctl_listener *listener;
    struct ctl_listener_cfg cfg;
    struct tw_addr at; /* where the listener is */
    bool (*until)(struct rig *);
    bool met;
    struct loop_timer look;
    uint64_t wanted;

    /* What the dialer told. */
    struct ctl_dialer *dialer;
    unsigned ready, accepted, refused, started, stopped, closed, accept;
    struct ctl_session session;
    char text[256];
};

static size_t secret_of(void *ctx, const char *key_id, unsigned which, uint8_t *ret, size_t cap)
{
    (void)ctx;
    if (strcmp(key_id, "alice") || which || cap < strlen(PASSPHRASE))
        return 0;
    memcpy(ret, PASSPHRASE, strlen(PASSPHRASE));
    return strlen(PASSPHRASE);
}

static void on_results(void *ctx)
{
    struct rig *r = ctx;

    if (r->listener)
        ctl_listener_on_results(r->listener);
}

static void setup(struct rig *r)
{
    struct worker_cfg worker = { .on_results = on_results, .ctx = r };
    struct tw_err err = { 0 };

    assert_int_equal(loop_new(&r->loop), TW_OK);
    worker.loop = r->loop;
    assert_int_equal(worker_start(&worker, &r->worker, &err), TW_OK);
    r->cfg.loop = r->loop;
    r->cfg.workers = &r->worker;
    r->cfg.n_workers = 1;
    r->cfg.modes = TWAMP_SECURITY | TWAMP_FEATURES;
    r->cfg.secret = secret_of;
    r->cfg.count = 1024;
    assert_int_equal(tw_addr_parse("127.0.0.1", 0, &r->cfg.listen[0]), TW_OK);
    if (ctl_listener_start(&r->cfg, &r->listener, &err))
        fail_msg("%s", err.text);
    assert_int_equal(ctl_listener_addr(r->listener, 0, &r->at), TW_OK);
    assert_int_not_equal(r->at.port, 0);
    assert_int_equal(ctl_listener_addr(r->listener, 1, &r->at), TW_ENOENT);
}

static void teardown(struct rig *r)
{
    ctl_dialer_free(r->dialer);
    worker_stop(r->worker);
    ctl_listener_on_results(r->listener);
    ctl_listener_stop(r->listener);
    worker_free(r->worker);
    loop_free(r->loop);
}

static void on_look(struct loop_timer *t)
{
    struct rig *r = t->ctx;

    r->met = r->until(r);
    loop_timer_set(r->loop, t, (struct tw_mono){ tw_mono_now().ns + 2 * TW_NS_PER_MS });
}

static void wait_for(struct rig *r, bool (*until)(struct rig *), const char *what)
{
    r->until = until;
    r->met = false;
    r->look = (struct loop_timer){ .fn = on_look, .ctx = r };
    loop_timer_set(r->loop, &r->look, tw_mono_now());
    if (loop_run_until(r->loop, &r->met, (struct tw_mono){ tw_mono_now().ns + 10 * TW_NS_PER_S }) != TW_OK)
        fail_msg("waited in vain for %s (closed %u: %s)", what, r->closed, r->text);
    loop_timer_cancel(r->loop, &r->look);
}
#define WAIT_FOR(r, condition) wait_for(r, condition, #condition)

static struct ctl_listener_counters counters(const struct rig *r)
{
    struct ctl_listener_counters c;

    ctl_listener_counters(r->listener, &c);
    return c;
}

/* ---- The dialer ---- */

static void on_ready(void *ctx)
{
    ((struct rig *)ctx)->ready++;
}
static void on_accepted(void *ctx, uint32_t id, const struct ctl_session *s)
{
    struct rig *r = ctx;

    (void)id;
    r->accepted++;
    r->session = *s;
}
static void on_refused(void *ctx, uint32_t id, unsigned accept)
{
    struct rig *r = ctx;

    (void)id;
    r->refused++;
    r->accept = accept;
}
static void on_started(void *ctx, uint32_t id)
{
    (void)id;
    ((struct rig *)ctx)->started++;
}
static void on_stopped(void *ctx, uint32_t id)
{
    (void)id;
    ((struct rig *)ctx)->stopped++;
}
static void on_closed(void *ctx, const char *text)
{
    struct rig *r = ctx;

    r->closed++;
    snprintf(r->text, sizeof r->text, "%s", text);
}

static enum tw_rc dial(struct rig *r, uint32_t modes, uint32_t features, const char *passphrase)
{
    struct ctl_dialer_cfg cfg = { .loop = r->loop,
                                  .server = r->at,
                                  .client = { .modes = modes,
                                              .need = features,
                                              .key_id = "alice",
                                              .passphrase = (const uint8_t *)passphrase,
                                              .passphrase_len = strlen(passphrase) },
                                  .on_ready = on_ready,
                                  .on_accepted = on_accepted,
                                  .on_refused = on_refused,
                                  .on_started = on_started,
                                  .on_stopped = on_stopped,
                                  .on_closed = on_closed,
                                  .ctx = r };
    struct tw_err err = { 0 };

    return ctl_dialer_start(&cfg, &r->dialer, &err);
}

static bool is_ready(struct rig *r)
{
    return r->ready;
}
static bool is_accepted(struct rig *r)
{
    return r->accepted == r->wanted;
}
static bool is_refused(struct rig *r)
{
    return r->refused == r->wanted;
}
static bool is_started(struct rig *r)
{
    return r->started;
}
static bool is_stopped(struct rig *r)
{
    return r->stopped;
}
static bool is_closed(struct rig *r)
{
    return r->closed;
}
static bool are_all_ended(struct rig *r)
{
    struct ctl_listener_counters c = counters(r);

    return c.opened == r->wanted && c.ended == r->wanted && !c.sessions;
}
static bool are_all_closed(struct rig *r)
{
    return !counters(r).connections;
}

static void ask(struct rig *r, uint32_t id, uint16_t port)
{
    struct ctl_session_spec spec = { .sender = { .port = 40000 },
                                     .receiver = { .port = port },
                                     .padding_bytes = 100 };

    assert_int_equal(ctl_dialer_request(r->dialer, id, &spec), TW_OK);
}

/* Every mode, with all features and without: login, session, start, stop, end. */
static void all_modes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        uint32_t security = 1u << i % 4, features = i < 4 ? 0 : FEATURES_ALL;
        struct rig r = { .wanted = 1 };
        setup(&r);
        assert_int_equal(dial(&r, security, features, PASSPHRASE), TW_OK);
        WAIT_FOR(&r, is_ready);
        assert_int_equal(ctl_dialer_mode(r.dialer), security | features);
        assert_int_equal(ctl_dialer_offered(r.dialer), TWAMP_SECURITY | TWAMP_FEATURES);
        ask(&r, 0, 0);
        WAIT_FOR(&r, is_accepted);
        assert_int_not_equal(r.session.spec.receiver.port, 0);
        assert_memory_equal(r.session.spec.receiver.ip, r.at.ip, 16);
        assert_int_equal(ctl_dialer_start_sessions(r.dialer, NULL, 0), TW_OK);
        WAIT_FOR(&r, is_started);
        assert_int_equal(counters(&r).sessions, 1);
        assert_int_equal(ctl_dialer_stop_sessions(r.dialer, NULL, 0), TW_OK);
        WAIT_FOR(&r, is_stopped);
        WAIT_FOR(&r, are_all_ended); /* its timeout is 0 */
        assert_int_equal(counters(&r).started, 1);
        assert_int_equal(r.closed, 0);
        ctl_dialer_free(r.dialer);
        r.dialer = NULL;
        WAIT_FOR(&r, are_all_closed);
        assert_int_equal(counters(&r).closed[CTL_WHY_PEER], 1);
        teardown(&r);
    }
}

static void wrong_passphrase(void **state)
{
    struct rig r = { 0 };

    (void)state;
    setup(&r);
    assert_int_equal(dial(&r, TWAMP_ENCRYPTED, 0, "wrong"), TW_OK);
    WAIT_FOR(&r, is_closed);
    assert_string_equal(r.text, "the server refuses the login: unknown user or wrong passphrase");
    assert_int_equal(ctl_dialer_start_sessions(r.dialer, NULL, 0), TW_ECLOSED);
    WAIT_FOR(&r, are_all_closed);
    assert_int_equal(counters(&r).closed[CTL_WHY_LOGIN], 1);
    teardown(&r);
}

static void nobody_listens(void **state)
{
    struct rig r = { 0 };
    uint16_t port;

    (void)state;
    setup(&r);
    port = r.at.port;
    ctl_listener_stop(r.listener);
    r.listener = NULL;
    assert_int_equal(dial(&r, 0, 0, PASSPHRASE), TW_OK);
    WAIT_FOR(&r, is_closed);
    assert_non_null(strstr(r.text, "Connection refused"));
    r.cfg.listen[0].port = port; /* the port is free at once */
    assert_int_equal(ctl_listener_start(&r.cfg, &r.listener, &(struct tw_err){ 0 }), TW_OK);
    teardown(&r);
}

static void bad_client_configuration(void **state)
{
    struct rig r = { 0 };

    (void)state;
    setup(&r);
    assert_int_equal(dial(&r, 0, 0, ""), TW_EINVAL);
    teardown(&r);
}

/* ---- Ports ---- */

/* A range of one port: the second session must wait until the first has ended. */
static void port_range(void **state)
{
    struct rig probe = { .wanted = 1 }, r = { .wanted = 1 };
    uint16_t port;

    (void)state;
    setup(&probe); /* finds a free port */
    assert_int_equal(dial(&probe, 0, 0, PASSPHRASE), TW_OK);
    WAIT_FOR(&probe, is_ready);
    ask(&probe, 0, 0);
    WAIT_FOR(&probe, is_accepted);
    port = probe.session.spec.receiver.port;
    teardown(&probe);

    r.cfg.port_low = r.cfg.port_high = port;
    setup(&r);
    assert_int_equal(dial(&r, 0, 0, PASSPHRASE), TW_OK);
    WAIT_FOR(&r, is_ready);
    ask(&r, 0, 20001); /* outside: another is offered */
    WAIT_FOR(&r, is_accepted);
    assert_int_equal(r.session.spec.receiver.port, port);
    ask(&r, 1, 0);
    WAIT_FOR(&r, is_refused);
    assert_int_equal(r.accept, CTL_BUSY);
    assert_int_equal(counters(&r).requests_refused[CTL_BUSY], 1);
    teardown(&r);
}

static void port_in_use(void **state)
{
    struct rig r = { .wanted = 1 };
    uint16_t port;

    (void)state;
    setup(&r);
    assert_int_equal(dial(&r, 0, 0, PASSPHRASE), TW_OK);
    WAIT_FOR(&r, is_ready);
    ask(&r, 0, 0);
    WAIT_FOR(&r, is_accepted);
    port = r.session.spec.receiver.port;
    r.wanted = 2;
    ask(&r, 1, port);
    WAIT_FOR(&r, is_accepted);
    assert_int_not_equal(r.session.spec.receiver.port, port);
    r.wanted = 3;
    ask(&r, 2, 22); /* not a client's to choose */
    WAIT_FOR(&r, is_accepted);
    assert_int_not_equal(r.session.spec.receiver.port, 22);
    teardown(&r);
}

static void too_many_sessions(void **state)
{
    struct rig r = { .wanted = 2, .cfg = { .max_sessions = 2 } };

    (void)state;
    setup(&r);
    assert_int_equal(dial(&r, 0, 0, PASSPHRASE), TW_OK);
    WAIT_FOR(&r, is_ready);
    for (uint32_t i = 0; i < 3; i++)
        ask(&r, i, 0);
    WAIT_FOR(&r, is_accepted);
    r.wanted = 1;
    WAIT_FOR(&r, is_refused);
    assert_int_equal(r.accept, CTL_BUSY);
    teardown(&r);
}

/* ---- Connections ---- */

/* The client vanishes: what runs ends at once, not after REFWAIT. */
static void lost_connection(void **state)
{
    struct rig r = { .wanted = 1 };

    (void)state;
    setup(&r);
    assert_int_equal(dial(&r, TWAMP_MIXED, 0, PASSPHRASE), TW_OK);
    WAIT_FOR(&r, is_ready);
    ask(&r, 0, 0);
    WAIT_FOR(&r, is_accepted);
    ctl_dialer_start_sessions(r.dialer, NULL, 0);
    WAIT_FOR(&r, is_started);
    ctl_dialer_free(r.dialer);
    r.dialer = NULL;
    WAIT_FOR(&r, are_all_ended);
    WAIT_FOR(&r, are_all_closed);
    teardown(&r);
}

static int connect_raw(const struct rig *r)
{
    struct sockaddr_storage ss;
    socklen_t len = tw_addr_to_sockaddr(&r->at, &ss);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    return fd;
}

/* How many octets have come; -1: the other end has closed. */
static ssize_t heard(int fd)
{
    uint8_t buf[512];
    ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);

    return n == 0 ? -1 : n < 0 ? 0 : n;
}

/* Logs in to the open mode and asks for n sessions, without waiting for any answer. */
static int ask_raw(const struct rig *r, unsigned n, int64_t timeout_ns)
{
    const struct ctl_set_up up = { .mode = TWAMP_OPEN };
    const struct ctl_request rq = { .ipvn = 4,
                                    .sender_port = 5000,
                                    .timeout = ctl_interval_to_wire(timeout_ns) };
    uint8_t set_up[CTL_SET_UP_BYTES], request[CTL_REQUEST_BYTES];
    int fd = connect_raw(r);

    ctl_write_set_up(&up, set_up);
    ctl_write_request(&rq, request);
    assert_int_equal(send(fd, set_up, sizeof set_up, 0), sizeof set_up);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(send(fd, request, sizeof request, 0), sizeof request);
    return fd;
}

static bool are_all_asked(struct rig *r)
{
    return counters(r).opened + counters(r).requests_refused[CTL_BUSY] == r->wanted;
}

/* Sessions that go on for their timeout without their connection are still of the address that asked. */
static void sessions_of_one_address(void **state)
{
    struct rig r = { .wanted = 3, .cfg = { .max_peer_sessions = 3 } };
    uint8_t start[CTL_SIMPLE_BYTES], stop[CTL_SIMPLE_BYTES];
    int fd;

    (void)state;
    setup(&r);
    fd = ask_raw(&r, 2, 10 * TW_NS_PER_S);
    ctl_write_start(start);
    ctl_write_stop(&(struct ctl_stop){ .sessions = 2 }, stop);
    assert_int_equal(send(fd, start, sizeof start, 0), sizeof start);
    assert_int_equal(send(fd, stop, sizeof stop, 0), sizeof stop);
    shutdown(fd, SHUT_WR);
    r.wanted = 2;
    WAIT_FOR(&r, are_all_asked);
    WAIT_FOR(&r, are_all_closed);
    close(fd);
    fd = ask_raw(&r, 2, 0);
    r.wanted = 4;
    WAIT_FOR(&r, are_all_asked);
    assert_int_equal(counters(&r).opened, 3);
    assert_int_equal(counters(&r).sessions, 3);
    close(fd);
    WAIT_FOR(&r, are_all_closed);
    teardown(&r);
}

static bool all_taken(struct rig *r)
{
    struct ctl_listener_counters c = counters(r);

    return c.accepted + c.refused_peer + c.refused_handshakes + c.refused_connections == r->wanted;
}

static void limits(void **state)
{
    static const struct {
        uint32_t connections, peer, handshakes;
    } rows[] = { { 3, 0, 0 }, { 0, 3, 0 }, { 0, 0, 3 } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct rig r = { .wanted = 5 };
        struct ctl_listener_counters c;
        int fds[5];
        r.cfg.max_connections = rows[i].connections;
        r.cfg.max_per_peer = rows[i].peer;
        r.cfg.max_handshakes = rows[i].handshakes;
        setup(&r);
        for (size_t k = 0; k < TW_NELEM(fds); k++)
            fds[k] = connect_raw(&r);
        WAIT_FOR(&r, all_taken);
        c = counters(&r);
        assert_int_equal(c.accepted, 3);
        assert_int_equal(c.handshakes, 3);
        assert_int_equal(c.refused_connections, rows[i].connections ? 2 : 0);
        assert_int_equal(c.refused_peer, rows[i].peer ? 2 : 0);
        assert_int_equal(c.refused_handshakes, rows[i].handshakes ? 2 : 0);
        for (size_t k = 0; k < TW_NELEM(fds); k++)
            assert_int_equal(heard(fds[k]), k < 3 ? CTL_GREETING_BYTES : -1);
        for (size_t k = 0; k < TW_NELEM(fds); k++)
            close(fds[k]);
        WAIT_FOR(&r, are_all_closed);
        teardown(&r);
    }
}

static bool have_logins_failed(struct rig *r)
{
    return counters(r).closed[CTL_WHY_LOGIN] == r->wanted;
}

/* Each wrong passphrase costs the server its PBKDF2 and the client nothing, so a failed login keeps its place
 * among the handshakes for a while, though the client has gone. */
static void failed_logins_are_slow(void **state)
{
    const struct ctl_set_up up = { .mode = TWAMP_ENCRYPTED, .key_id = "mallory" };
    struct rig r = { .cfg = { .max_handshakes = 2 } };
    uint8_t set_up[CTL_SET_UP_BYTES];
    int fd;

    (void)state;
    setup(&r);
    ctl_write_set_up(&up, set_up);
    for (r.wanted = 1; r.wanted <= 2; r.wanted++) {
        fd = connect_raw(&r);
        assert_int_equal(send(fd, set_up, sizeof set_up, 0), sizeof set_up);
        WAIT_FOR(&r, have_logins_failed);
        assert_int_equal(heard(fd), CTL_GREETING_BYTES + CTL_SERVER_START_BYTES);
        assert_int_equal(heard(fd), -1); /* told at once */
        close(fd);
    }
    fd = connect_raw(&r);
    r.wanted = 3;
    WAIT_FOR(&r, all_taken);
    assert_int_equal(counters(&r).refused_handshakes, 1);
    close(fd);
    WAIT_FOR(&r, are_all_closed);
    fd = connect_raw(&r);
    r.wanted = 4;
    WAIT_FOR(&r, all_taken);
    assert_int_equal(counters(&r).accepted, 3);
    close(fd);
    WAIT_FOR(&r, are_all_closed);
    teardown(&r);
}

static void silent_client(void **state)
{
    struct rig r = { .cfg = { .handshake_ns = 50 * TW_NS_PER_MS } };
    int fd;

    (void)state;
    setup(&r);
    fd = connect_raw(&r);
    r.wanted = 1;
    WAIT_FOR(&r, all_taken);
    WAIT_FOR(&r, are_all_closed);
    assert_int_equal(counters(&r).closed[CTL_WHY_TIMEOUT], 1);
    assert_int_equal(heard(fd), CTL_GREETING_BYTES);
    assert_int_equal(heard(fd), -1);
    close(fd);
    teardown(&r);
}

/* A refusal is read to its end, though the client went on talking. */
static void last_words(void **state)
{
    struct rig r = { .wanted = 1 };
    uint8_t talk[CTL_SET_UP_BYTES + 1000] = { [3] = 0x80 }; /* a mode that nobody has, and more */
    int fd;
    ssize_t n;

    (void)state;
    setup(&r);
    fd = connect_raw(&r);
    assert_int_equal(send(fd, talk, sizeof talk, 0), sizeof talk);
    WAIT_FOR(&r, all_taken);
    shutdown(fd, SHUT_WR);
    WAIT_FOR(&r, are_all_closed);
    n = heard(fd);
    assert_int_equal(n, CTL_GREETING_BYTES + CTL_SERVER_START_BYTES);
    assert_int_equal(heard(fd), -1);
    assert_int_equal(counters(&r).closed[CTL_WHY_MODE], 1);
    close(fd);
    teardown(&r);
}

static void address_in_use(void **state)
{
    struct rig r = { 0 };
    struct ctl_listener *second = NULL;
    struct ctl_listener_cfg cfg;
    struct tw_err err = { 0 };

    (void)state;
    setup(&r);
    cfg = r.cfg;
    cfg.listen[0] = r.at;
    assert_int_equal(ctl_listener_start(&cfg, &second, &err), TW_EINUSE);
    assert_non_null(strstr(err.text, "cannot listen on TCP 127.0.0.1:"));
    teardown(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_modes),
        cmocka_unit_test(wrong_passphrase),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(bad_client_configuration),
        cmocka_unit_test(port_range),
        cmocka_unit_test(port_in_use),
        cmocka_unit_test(too_many_sessions),
        cmocka_unit_test(lost_connection),
        cmocka_unit_test(sessions_of_one_address),
        cmocka_unit_test(limits),
        cmocka_unit_test(failed_logins_are_slow),
        cmocka_unit_test(silent_client),
        cmocka_unit_test(last_words),
        cmocka_unit_test(address_in_use),
    };

    log_init("test", LOG_ERROR_ + 1, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
