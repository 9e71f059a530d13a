/* tls+tcp://: who is believed, what everybody else is told, and what cannot be done without a certificate. */
#include <dirent.h>
#include "tests/unit/net/tls_fixture.h"

/* ---- Good ends ---- */

static unsigned enrols, enrol_failures;
static Tw__Status enrol_status;

static void enrol_done(const Tw__EnrolReply *m, void *ctx)
{
    (void)ctx;
    enrol_status = rpc_result().status;
    if (m)
        enrols++;
    else
        enrol_failures++;
}

static void call_enrol(struct tls_fixture *t)
{
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;

    tw__fleet_controller__enrol(
        rpc_peer_service(t->f.cli.peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 20000), &rq,
        enrol_done, NULL);
}

static bool enrolled(struct fixture *f, uint64_t n)
{
    (void)f;
    return enrols >= n;
}
static bool enrol_failed(struct fixture *f, uint64_t n)
{
    (void)f;
    return enrol_failures >= n;
}

static bool data_came(struct fixture *f, uint64_t n)
{
    return f->srv.datas >= n;
}

static void calls_and_results_go_through(void **state)
{
    enum { N = 300, FILLER = 30000 };
    static uint8_t
        filler[3 + FILLER]; /* its length as a varint of three octets, then what a reader does not know */
    struct tls_fixture *t = *state;
    Tw__LiveSession m = TW__LIVE_SESSION__INIT;
    ProtobufCMessageUnknownField unknown = { .tag = 100,
                                             .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                             .data = filler };
    uint64_t sum = 0;

    tls_connect(t);
    enrols = 0;
    call_enrol(t);
    WAIT(enrolled, 1);
    m.base.n_unknown_fields = 1;
    m.base.unknown_fields = &unknown;
    for (unsigned i = 0; i < N; i++) {
        m.sent = i;
        m.received = i * 7;
        m.flow = 1;
        unknown.len = i * 97; /* records and frames end at all points of each other */
        filler[0] = 0x80 | (unknown.len & 0x7f);
        filler[1] = 0x80 | (unknown.len >> 7 & 0x7f);
        filler[2] = (uint8_t)(unknown.len >> 14);
        unknown.len += 3;
        sum += i * 7;
        while (rpc_peer_send_data(t->f.cli.peer, &m.base) == TW_EBUSY)
            WAIT(data_came, i / 2);
    }
    WAIT(data_came, N);
    assert_int_equal(t->f.srv.data_order_errors, 0);
    assert_int_equal(t->f.srv.data_sum, sum);
}

static void both_ends_know_the_other_s_certificate(void **state)
{
    struct tls_fixture *t = *state;
    const struct rpc_hello *h;

    tls_connect(t);
    h = rpc_peer_hello(t->f.srv.peer);
    assert_true(h->tls);
    assert_non_null(h->certificate);
    assert_string_equal(h->certificate->name, "ams-1");
    assert_in_range(h->certificate->not_after_s - wall_ns() / TW_NS_PER_S, 3300, 3601);
    assert_in_range(strlen(h->certificate->serial), 1, 40);
    assert_string_equal(rpc_peer_hello(t->f.cli.peer)->certificate->name, "ctl");
}

/* ---- Wrong ends ---- */

enum who { THE_SERVER, THE_AGENT };

static const struct wrong {
    const char *name;
    enum who who;
    enum pki_purpose purpose;
    const char *cn, *host;
    bool other_ca;
    int64_t from_ns, life_ns;
    bool nothing;                /* shows no certificate */
    const char *server_name;     /* that the client asks for */
    const char *client, *server; /* what each end is told; "" = nothing certain */
} wrongs[] = {
    { "server expired", THE_SERVER, PKI_SERVER, "ctl", "127.0.0.1", false, -2 * HOUR_NS, HOUR_NS, false, NULL,
      "the server's certificate expired at 2", "by its clock it has expired" },
    { "server from the future", THE_SERVER, PKI_SERVER, "ctl", "127.0.0.1", false, HOUR_NS, HOUR_NS, false,
      NULL, "one of the two clocks is wrong", "by its clock it is not valid yet" },
    { "server of another name", THE_SERVER, PKI_SERVER, "ctl", "ctl.example.net", false, 0, HOUR_NS, false,
      NULL, "is for ctl.example.net, not for 127.0.0.1:", "not for the name that it asked for" },
    { "asked for another name", THE_SERVER, PKI_SERVER, "ctl", "127.0.0.1", false, 0, HOUR_NS, false,
      "ctl.example.net", "is for 127.0.0.1, not for ctl.example.net:", "not for the name that it asked for" },
    { "server of another CA", THE_SERVER, PKI_SERVER, "ctl", "127.0.0.1", true, 0, HOUR_NS, false, NULL,
      "the server's certificate is not from an authority (CA) that is known here",
      "authority (CA) that is known there" },
    { "an agent as server", THE_SERVER, PKI_AGENT, "ams-2", NULL, false, 0, HOUR_NS, false, "ams-2",
      "the server's certificate is", "does not accept our certificate" },
    { "agent expired", THE_AGENT, PKI_AGENT, "ams-1", NULL, false, -2 * HOUR_NS, HOUR_NS, false, NULL,
      "the server does not accept our certificate: by its clock it has expired",
      "the client's certificate expired at 2" },
    { "agent from the future", THE_AGENT, PKI_AGENT, "ams-1", NULL, false, HOUR_NS, HOUR_NS, false, NULL,
      "by its clock it is not valid yet", "the client's certificate is not valid before 2" },
    { "agent of another CA", THE_AGENT, PKI_AGENT, "ams-1", NULL, true, 0, HOUR_NS, false, NULL,
      "authority (CA) that is known there", "the client's certificate is not from an authority" },
    { "a server as agent", THE_AGENT, PKI_SERVER, "ams-1", "127.0.0.1", false, 0, HOUR_NS, false, NULL,
      "made for another purpose", "the client's certificate is not made for clients" },
    { "agent of another name", THE_AGENT, PKI_AGENT, "ams-2", NULL, false, 0, HOUR_NS, false, NULL,
      "the certificate shown is for another agent's name",
      "the certificate shown is for another agent's name" },
    { "agent without", THE_AGENT, PKI_AGENT, "ams-1", NULL, false, 0, HOUR_NS, true, NULL,
      "an agent without a certificate", "an agent without a certificate" },
};

static void connect_wrongly(struct tls_fixture *t, const struct wrong *w)
{
    struct rpc_client_conf c;
    struct shown shown = { 0 };
    struct rpc_failure f = { 0 };
    struct rpc_tls wrong;

    issue(w->other_ca ? &t->other_ca : &t->ca, w->purpose, w->cn, w->host, w->from_ns, w->life_ns, &shown);
    wrong = tls_of(&t->ca, w->nothing ? NULL : &shown);
    t->server_tls = w->who == THE_SERVER ? wrong : tls_of(&t->ca, &t->server);
    t->client_tls = w->who == THE_AGENT ? wrong : tls_of(&t->ca, &t->agent);
    t->client_tls.server_name = w->server_name;
    t->f.cli.downs = 0;
    tls_serve(t, tls_server_conf(t));
    c = tls_client_conf(t);
    c.once = true;
    dial_in(&t->f, c);
    WAIT(client_downs, 1);
    WAIT(failed_handshakes, 1);
    if (!strstr(t->f.cli.down_detail, w->client))
        fail_msg("%s: the client is told \"%s\"", w->name, t->f.cli.down_detail);
    assert_int_equal(rpc_server_failures(t->f.server, &f, 1), 1);
    if (!strstr(f.reason, w->server))
        fail_msg("%s: the server is told \"%s\"", w->name, f.reason);
    assert_string_equal(f.address, "127.0.0.1");
    assert_int_equal(f.times, 1);
    assert_int_equal(t->f.srv.ups + t->f.cli.ups, 0);
    rpc_client_stop(t->f.client);
    t->f.client = NULL;
    rpc_server_stop(t->f.server);
    t->f.server = NULL;
    free_shown(&shown);
}

static void both_ends_are_told_what_is_wrong(void **state)
{
    for (size_t i = 0; i < TW_NELEM(wrongs); i++)
        connect_wrongly(*state, &wrongs[i]);
}

static bool timed_out_handshakes(struct fixture *f, uint64_t n)
{
    return counters(f).handshakes_timed_out >= n;
}

/* One end speaks TLS and the other does not: both wait for the other, and who gives up first says what it may be. */
static void plain_text_is_told_apart(void **state)
{
    enum { SOON_MS = 300, LATE_MS = 60000 };
    struct tls_fixture *t = *state;
    struct rpc_server_conf s = tls_server_conf(t);
    struct rpc_client_conf c = client_conf(&t->f);
    struct rpc_failure f = { 0 };
    struct raw raw = { 0 }, silent = { 0 };

    s.times.hello_timeout_ms = LATE_MS;
    c.times.hello_timeout_ms = SOON_MS;
    c.once = true;
    tls_serve(t, s);
    memmove(t->f.url, t->f.url + strlen("tls+"), strlen(t->f.url));
    dial_in(&t->f, c);
    WAIT(client_downs, 1);
    assert_non_null(strstr(t->f.cli.down_detail, "does it listen on tls+tcp://?"));
    rpc_client_stop(t->f.client);
    t->f.client = NULL;
    rpc_server_stop(t->f.server);

    s.times.hello_timeout_ms = SOON_MS;
    tls_serve(t, s);
    silent.fd = raw_connect(&t->f);
    WAIT(timed_out_handshakes, 1);
    assert_int_equal(rpc_server_failures(t->f.server, &f, 1), 1);
    assert_non_null(strstr(f.reason, "does the client connect by tcp://?"));
    close(silent.fd);

    raw.fd = raw_connect(&t->f); /* who speaks first is told at once */
    assert_int_equal(send(raw.fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    WAIT(failed_handshakes, 1);
    rpc_server_failures(t->f.server, &f, 1);
    assert_non_null(strstr(f.reason, "the client speaks plain text to a port of TLS"));
    close(raw.fd);
}

static void tls_to_a_plain_port_is_told_apart(void **state)
{
    struct tls_fixture *t = *state;
    struct rpc_client_conf c = tls_client_conf(t);
    struct rpc_failure f = { 0 };

    serve(&t->f, server_conf(&t->f));
    snprintf(t->f.url, sizeof t->f.url, "tls+tcp://127.0.0.1:%u", rpc_server_port(t->f.server));
    c.once = true;
    dial_in(&t->f, c);
    WAIT(client_downs, 1);
    assert_non_null(strstr(t->f.cli.down_detail, "the server speaks plain text at that port"));
    WAIT(failed_handshakes, 1);
    assert_int_equal(rpc_server_failures(t->f.server, &f, 1), 1);
    assert_non_null(strstr(f.reason, "TLS spoken to a port without"));
}

static void same_failures_are_one(void **state)
{
    struct tls_fixture *t = *state;
    struct rpc_failure f[RPC_FAILURES_KEPT + 1];
    struct raw raw = { 0 };

    tls_serve(t, tls_server_conf(t));
    for (unsigned i = 1; i <= 5; i++) {
        raw.fd = raw_connect(&t->f);
        assert_int_equal(send(raw.fd, "plain", 5, MSG_NOSIGNAL), 5);
        WAIT(failed_handshakes, i);
        close(raw.fd);
    }
    assert_int_equal(rpc_server_failures(t->f.server, f, TW_NELEM(f)), 1);
    assert_int_equal(f[0].times, 5);
    assert_true(f[0].last_ns >= f[0].first_ns);
}

/* ---- Without a certificate ---- */

static void joiner_conf(struct tls_fixture *t, struct rpc_client_conf *c)
{
    *c = tls_client_conf(t);
    c->role = TW__ROLE__ROLE_JOINER;
    c->boot_id = c->spool_id = NULL;
    c->identity = NULL;
    t->client_tls = tls_of(&t->ca, NULL);
}

static bool client_up(struct fixture *f, uint64_t arg)
{
    (void)arg;
    return f->cli.peer != NULL;
}

static void strangers_call_what_is_for_strangers(void **state)
{
    static const struct {
        uint32_t strangers;
        bool works;
    } cases[] = { { 0, false },
                  { RPC_SERVICE_BIT(RPC_FLEET_CONTROLLER), true },
                  { RPC_SERVICE_BIT(RPC_ADMIN) | RPC_SERVICE_BIT(RPC_FLEET_AGENT), false } };
    struct tls_fixture *t = *state;

    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct rpc_server_conf s = tls_server_conf(t);
        struct rpc_client_conf c;

        s.joiners = true;
        s.strangers = cases[i].strangers;
        tls_serve(t, s);
        joiner_conf(t, &c);
        dial_in(&t->f, c);
        WAIT(client_up, 0);
        enrols = enrol_failures = 0;
        call_enrol(t);
        if (cases[i].works)
            WAIT(enrolled, 1);
        else
            WAIT(enrol_failed, 1);
        assert_int_equal(enrol_status,
                         cases[i].works ? TW__STATUS__STATUS_OK : TW__STATUS__STATUS_PERMISSION_DENIED);
        assert_false(t->f.srv.hello_seen);
        assert_int_equal(t->f.srv.ups, 0);
        rpc_client_stop(t->f.client);
        rpc_server_stop(t->f.server);
        t->f.client = NULL;
        t->f.server = NULL;
    }
    assert_int_equal(t->f.srv.downs, 0);
}

static void strangers_bring_no_results(void **state)
{
    struct tls_fixture *t = *state;
    struct rpc_server_conf s = tls_server_conf(t);
    Tw__LiveSession m = TW__LIVE_SESSION__INIT;
    struct rpc_client_conf c;

    s.joiners = true;
    tls_serve(t, s);
    joiner_conf(t, &c);
    dial_in(&t->f, c);
    WAIT(client_up, 0);
    MUST(rpc_peer_send_data(t->f.cli.peer, &m.base));
    WAIT(client_downs, 1);
    assert_int_equal(t->f.cli.down_status, TW__STATUS__STATUS_PERMISSION_DENIED);
    assert_int_equal(t->f.srv.datas, 0);
}

static void strangers_come_in_only_where_they_may(void **state)
{
    struct tls_fixture *t = *state;
    struct rpc_client_conf c;

    tls_serve(t, tls_server_conf(t));
    joiner_conf(t, &c);
    c.once = true;
    dial_in(&t->f, c);
    WAIT(client_downs, 1);
    assert_int_equal(t->f.cli.down_status, TW__STATUS__STATUS_FAILED_PRECONDITION);
}

static void the_oldest_stranger_makes_room(void **state)
{
    struct tls_fixture *t = *state;
    struct rpc_server_conf s = tls_server_conf(t);
    struct rpc_client *more[3] = { 0 };
    struct end ends[3] = { 0 };
    struct rpc_client_conf c;
    struct tw_err err;

    s.joiners = true;
    s.max_joiners = 2;
    tls_serve(t, s);
    joiner_conf(t, &c);
    dial_in(&t->f, c);
    WAIT(client_up, 0);
    for (size_t i = 0; i < 2; i++) {
        c.hooks = hooks_of(&ends[i]);
        MUST(rpc_client_start(&c, &more[i], &err));
        while (!ends[i].ups)
            WAIT(client_downs, 0);
    }
    WAIT(client_downs, 1);
    assert_int_equal(t->f.cli.down_status, TW__STATUS__STATUS_RESOURCE_EXHAUSTED);
    for (size_t i = 0; i < 2; i++)
        rpc_client_stop(more[i]);
}

static void operators_need_more_than_a_certificate(void **state)
{
    struct tls_fixture *t = *state;
    struct rpc_server_conf s = tls_server_conf(t);
    struct rpc_client_conf c = tls_client_conf(t);

    s.operators = true;
    tls_serve(t, s);
    c.role = TW__ROLE__ROLE_OPERATOR;
    c.boot_id = c.spool_id = NULL;
    c.identity = NULL;
    c.once = true;
    dial_in(&t->f, c);
    WAIT(client_downs, 1);
    assert_int_equal(t->f.cli.down_status, TW__STATUS__STATUS_UNAUTHENTICATED);
    assert_non_null(strstr(t->f.cli.down_detail, "need a token"));
    rpc_client_stop(t->f.client);
    t->f.srv.welcome.grant = RPC_SERVICE_BIT(RPC_FLEET_CONTROLLER);
    dial_in(&t->f, c);
    WAIT(both_up, 0);
    enrols = 0;
    call_enrol(t);
    WAIT(enrolled, 1);
}

/* Only for fetching what is then compared with a digest: any server will do, and the agent shows nothing. */
static void unverified_takes_any_server(void **state)
{
    struct tls_fixture *t = *state;
    struct rpc_server_conf s = tls_server_conf(t);
    struct rpc_client_conf c;

    t->server_tls = tls_of(&t->other_ca, &t->server);
    s.joiners = true;
    tls_serve(t, s);
    joiner_conf(t, &c);
    t->client_tls = (struct rpc_tls){ .unverified = true };
    dial_in(&t->f, c);
    WAIT(client_up, 0);
    assert_true(rpc_peer_hello(t->f.cli.peer)->tls);
}

/* ---- Renewal ---- */

static void a_new_certificate_needs_no_restart(void **state)
{
    struct tls_fixture *t = *state;
    struct end second = { 0 };
    struct rpc_client_conf c;
    struct rpc_client *client = NULL;
    struct shown fresh = { 0 };
    struct tw_err err = { 0 };
    struct rpc_tls bad;

    tls_connect(t);
    issue(&t->ca, PKI_SERVER, "ctl-2", "127.0.0.1", 0, HOUR_NS, &fresh);
    t->server_tls = tls_of(&t->ca, &fresh);
    bad = t->server_tls;
    bad.key = (const char *)t->server.key.data;
    assert_int_equal(rpc_server_set_tls(t->f.server, &bad, &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "not that of the certificate"));
    MUST(rpc_server_set_tls(t->f.server, &t->server_tls, &err));
    c = tls_client_conf(t);
    c.hooks = hooks_of(&second);
    MUST(rpc_client_start(&c, &client, &err));
    while (!second.peer)
        WAIT(client_downs, 0);
    assert_string_equal(rpc_peer_hello(second.peer)->certificate->name, "ctl-2");
    assert_string_equal(rpc_peer_hello(t->f.cli.peer)->certificate->name, "ctl");
    enrols = 0;
    call_enrol(t); /* the old connection goes on */
    WAIT(enrolled, 1);
    assert_int_equal(t->f.cli.downs, 0);
    rpc_client_stop(client);
    free_shown(&fresh);
}

static void each_dial_asks_for_the_certificate(void **state)
{
    struct tls_fixture *t = *state;
    unsigned before;

    tls_connect(t);
    before = t->asked;
    rpc_peer_close(t->f.srv.peer, TW__STATUS__STATUS_UNAVAILABLE, "test");
    WAIT(client_downs, 1);
    WAIT(both_up, 0);
    assert_true(t->asked > before);
}

static void a_connection_ends_with_its_certificate(void **state)
{
    struct tls_fixture *t = *state;
    struct rpc_server_conf s = tls_server_conf(t);
    struct shown brief = { 0 };

    issue(&t->ca, PKI_AGENT, "ams-1", NULL, 0, 3 * TW_NS_PER_S, &brief);
    t->client_tls = tls_of(&t->ca, &brief);
    s.times.ping_ms = 100;
    tls_serve(t, s);
    dial_in(&t->f, tls_client_conf(t));
    WAIT(both_up, 0);
    WAIT(client_downs, 1);
    assert_int_equal(t->f.cli.down_status, TW__STATUS__STATUS_UNAUTHENTICATED);
    assert_non_null(strstr(t->f.cli.down_detail, "certificate of this connection has expired"));
    free_shown(&brief);
}

/* ---- Settings ---- */

static enum tw_rc tell_nothing(void *ctx, struct rpc_tls *ret, struct tw_err *err)
{
    (void)ctx;
    (void)ret;
    return tw_err_set(err, TW_ENOENT, "no such file");
}

static void settings_are_checked(void **state)
{
    static const char junk[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    struct tls_fixture *t = *state;
    const char *cert = (const char *)t->server.cert.data, *key = (const char *)t->server.key.data,
               *ca = (const char *)t->ca.pem.data;
    const struct {
        bool server;
        struct rpc_tls tls;
        const char *text; /* NULL: fine */
    } cases[] = {
        { true, { ca, cert, key, NULL, false }, NULL },
        { true, { NULL, cert, key, NULL, false }, "authority" },
        { true, { junk, cert, key, NULL, false }, "authority" },
        { true, { ca, NULL, NULL, NULL, false }, "to show" },
        { true, { ca, junk, key, NULL, false }, "to show" },
        { true, { ca, cert, NULL, NULL, false }, "key of the certificate is missing" },
        { true, { ca, cert, cert, NULL, false }, "not an unencrypted private key" },
        { true, { ca, cert, (const char *)t->agent.key.data, NULL, false }, "not that of the certificate" },
        { false, { ca, NULL, NULL, NULL, false }, NULL },
        { false, { NULL, NULL, NULL, NULL, false }, "authority" },
        { false, { NULL, NULL, NULL, NULL, true }, NULL },
    };

    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct rpc_tls_end *e = NULL;
        struct tw_err err = { 0 };
        enum tw_rc rc = rpc_tls_end_new(&cases[i].tls, cases[i].server, &e, &err);

        if (cases[i].text ? rc != TW_EINVAL || !strstr(err.text, cases[i].text) : rc != TW_OK)
            fail_msg("case %zu: %s", i, err.text);
        rpc_tls_end_free(e);
    }
}

static void without_settings_there_is_no_tls(void **state)
{
    struct tls_fixture *t = *state;
    struct rpc_server_conf s = tls_server_conf(t);
    struct rpc_client_conf c = tls_client_conf(t);
    struct tw_err err = { 0 };

    snprintf(t->f.url, sizeof t->f.url, "tls+tcp://127.0.0.1:0");
    s.tls = NULL;
    assert_int_equal(rpc_server_start(&s, &t->f.server, &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "certificate"));
    c.tls = NULL;
    assert_int_equal(rpc_client_start(&c, &t->f.client, &err), TW_EINVAL);
    tls_serve(t, tls_server_conf(t));
    c.tls = tell_nothing;
    c.once = true;
    dial_in(&t->f, c);
    WAIT(client_downs, 1);
    assert_string_equal(t->f.cli.down_detail, "no such file");
    assert_int_equal(counters(&t->f).accepted, 0);
}

/* ---- Proofs belong to one connection ---- */

static Tw__Status judge(const struct fixture *f, const struct hello_channel *made,
                        const struct hello_channel *told)
{
    struct hello_id id = { .role = TW__ROLE__ROLE_AGENT, .name = "ams-1" }, got;
    struct hello_server server = { .version = 1 };
    struct hello_policy policy = { .agents = true };
    uint8_t sig[IDENTITY_SIG_LEN], packed[1024];
    struct tw_err err;
    Tw__ClientHello m;
    Tw__Status status;
    struct arena *a;
    size_t n;

    memcpy(server.nonce, made->nonce, sizeof server.nonce);
    identity_public(f->key, id.public_key);
    MUST(hello_make_client(&id, f->key, &server, made, sig, &m));
    n = tw__client_hello__pack(&m, packed);
    MUST(arena_new(RPC_ARENA_CAP(n), &a));
    status = hello_check_client(packed, n, policy, told, a, &got, &err);
    arena_free(a);
    return status;
}

static void a_proof_is_for_one_connection_alone(void **state)
{
    struct tls_fixture *t = *state;
    const struct hello_channel plain = { .tls = false }, tls = { .tls = true, .binding = "A" },
                               other = { .tls = true, .binding = "B" },
                               later = { .nonce = "x", .tls = true, .binding = "A" };
    const struct hello_channel *all[] = { &plain, &tls, &other, &later };

    for (size_t i = 0; i < TW_NELEM(all); i++)
        for (size_t j = 0; j < TW_NELEM(all); j++)
            assert_int_equal(judge(&t->f, all[i], all[j]),
                             i == j ? TW__STATUS__STATUS_OK : TW__STATUS__STATUS_UNAUTHENTICATED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, tls_setup, tls_teardown)
    const struct CMUnitTest tests[] = {
        T(calls_and_results_go_through),           T(both_ends_know_the_other_s_certificate),
        T(both_ends_are_told_what_is_wrong),       T(plain_text_is_told_apart),
        T(tls_to_a_plain_port_is_told_apart),      T(same_failures_are_one),
        T(strangers_call_what_is_for_strangers),   T(strangers_bring_no_results),
        T(strangers_come_in_only_where_they_may),  T(the_oldest_stranger_makes_room),
        T(operators_need_more_than_a_certificate), T(unverified_takes_any_server),
        T(a_new_certificate_needs_no_restart),     T(each_dial_asks_for_the_certificate),
        T(a_connection_ends_with_its_certificate), T(settings_are_checked),
        T(without_settings_there_is_no_tls),       T(a_proof_is_for_one_connection_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
