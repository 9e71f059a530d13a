/* Calls and streamed results between two ends that are up. */
#include <poll.h>
#include <pthread.h>
#include "tests/unit/net/rpc_fixture.h"

/* ---- Calls ---- */

struct outcome {
    unsigned n;
    bool replied;
    Tw__Status status;
    char detail[128];
    unsigned live_sessions;
};

static void note(struct outcome *o, bool replied)
{
    struct rpc_result r = rpc_result();

    o->n++;
    o->replied = replied;
    o->status = r.status;
    snprintf(o->detail, sizeof o->detail, "%s", r.detail);
}

static void schedule_done(const Tw__ScheduleReply *m, void *ctx)
{
    note(ctx, m != NULL);
}
static void live_done(const Tw__LiveReply *m, void *ctx)
{
    struct outcome *o = ctx;

    note(o, m != NULL);
    o->live_sessions = m ? (unsigned)m->n_sessions : 0;
}
static void enrol_done(const Tw__EnrolReply *m, void *ctx)
{
    note(ctx, m && m->approved);
}

static struct outcome *awaited;
static bool call_ended(struct fixture *f, uint64_t n)
{
    (void)f;
    return awaited->n >= n;
}
static void wait_call(struct outcome *o, unsigned n)
{
    awaited = o;
    WAIT(call_ended, n);
}

static void call_schedule(struct rpc_peer *p, uint64_t generation, uint32_t deadline_ms, struct outcome *o)
{
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;

    rq.generation = generation;
    tw__fleet_agent__schedule(rpc_peer_service(p, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, deadline_ms),
                              &rq, schedule_done, o);
}

static void call_live(struct rpc_peer *p, uint32_t deadline_ms, struct outcome *o)
{
    Tw__LiveRequest rq = TW__LIVE_REQUEST__INIT;

    tw__fleet_agent__live(rpc_peer_service(p, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, deadline_ms),
                          &rq, live_done, o);
}

static void calls_go_both_ways(void **state)
{
    struct fixture *f = *state;
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;
    struct outcome down = { 0 }, up = { 0 };

    connect_both(f);
    call_schedule(f->srv.peer, 1, 10000, &down);
    rq.max_pps = 7;
    tw__fleet_controller__enrol(
        rpc_peer_service(f->cli.peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 10000), &rq,
        enrol_done, &up);
    assert_int_equal(down.n + up.n, 0); /* never from inside the call */
    wait_call(&down, 1);
    wait_call(&up, 1);
    assert_true(down.replied && up.replied);
    assert_int_equal(down.status, TW__STATUS__STATUS_OK);
    assert_int_equal(f->schedules, 1);
    assert_int_equal(counters(f).calls_in, 1);
    assert_int_equal(counters(f).calls_out, 1);
}

static void a_failure_comes_with_status_and_reason(void **state)
{
    struct fixture *f = *state;
    struct outcome o = { 0 };

    connect_both(f);
    call_schedule(f->srv.peer, 13, 10000, &o);
    wait_call(&o, 1);
    assert_false(o.replied);
    assert_int_equal(o.status, TW__STATUS__STATUS_FAILED_PRECONDITION);
    assert_string_equal(o.detail, "generation 13 is unlucky");
    assert_string_equal(rpc_status_name(o.status), "FAILED_PRECONDITION");
    assert_string_equal(rpc_status_name((Tw__Status)99), "UNKNOWN");
}

static bool n_waiting(struct fixture *f, uint64_t n)
{
    return f->n_waiting >= n;
}

static void answer_live(struct fixture *f, size_t i, unsigned n_sessions)
{
    Tw__LiveReply m = TW__LIVE_REPLY__INIT;
    Tw__LiveSession s = TW__LIVE_SESSION__INIT, *all[64];

    for (unsigned k = 0; k < n_sessions; k++)
        all[k] = &s;
    m.n_sessions = n_sessions;
    m.sessions = all;
    f->waiting[i](&m.base, f->waiting_data[i]);
}

static void concurrent_calls_get_their_own_answers(void **state)
{
    enum { N = 40 };
    struct fixture *f = *state;
    struct outcome o[N] = { 0 };

    connect_both(f);
    for (int i = 0; i < N; i++)
        call_live(f->srv.peer, 20000, &o[i]);
    WAIT(n_waiting, N);
    for (unsigned i = N; i-- > 0;) { /* in the opposite order */
        assert_ptr_equal(rpc_call_peer(f->waiting_data[i]), f->cli.peer);
        answer_live(f, i, i);
    }
    f->n_waiting = 0;
    for (unsigned i = 0; i < N; i++) {
        wait_call(&o[i], 1);
        if (!o[i].replied || o[i].live_sessions != i)
            fail_msg("call %u got the answer with %u", i, o[i].live_sessions);
    }
}

static bool late(struct fixture *f, uint64_t n)
{
    return counters(f).late_replies >= n;
}

static void a_deadline_ends_a_call_and_cancels_it(void **state)
{
    struct fixture *f = *state;
    struct outcome o = { 0 }, next = { 0 };
    struct rpc_counters before;

    connect_both(f);
    call_live(f->srv.peer, 30, &o);
    wait_call(&o, 1);
    assert_false(o.replied);
    assert_int_equal(o.status, TW__STATUS__STATUS_DEADLINE_EXCEEDED);
    call_schedule(f->srv.peer, 1, 20000, &next);
    wait_call(&next, 1); /* so the CANCEL before it has come, too */
    WAIT(n_waiting, 1);
    before = counters(f);
    answer_live(f, 0, 1); /* allowed, and goes nowhere */
    f->n_waiting = 0;
    call_schedule(f->srv.peer, 1, 20000, &next);
    wait_call(&next, 2);
    assert_int_equal(o.n, 1);
    assert_int_equal(counters(f).frames_in - before.frames_in, 1); /* the answer to `next` alone */
}

static void raw_up(struct fixture *f, struct raw *r)
{
    struct hello_id id = { .role = TW__ROLE__ROLE_AGENT, .name = "raw-1", .software = "raw" };
    Tw__Frame frame = TW__FRAME__INIT, *m;
    uint8_t sig[IDENTITY_SIG_LEN];
    struct hello_server server;
    Tw__ClientHello hello;
    struct arena *a;

    *r = (struct raw){ .fd = raw_connect(f) };
    identity_public(f->key, id.public_key);
    m = raw_next(r);
    assert_non_null(m);
    MUST(arena_new(65536, &a));
    assert_int_equal(hello_check_server(m->body.data, m->body.len, a, &server, NULL), 0);
    arena_free(a);
    tw__frame__free_unpacked(m, NULL);
    MUST(hello_make_client(&id, f->key, &server, NULL, sig, &hello));
    frame.kind = TW__FRAME_KIND__FRAME_HELLO;
    raw_send(r, &frame, &hello.base);
    m = raw_next(r);
    assert_non_null(m);
    assert_int_equal(m->kind, TW__FRAME_KIND__FRAME_HELLO_OK);
    assert_int_equal(m->window, 500);
    tw__frame__free_unpacked(m, NULL);
}

static bool one_peer(struct fixture *f, uint64_t n)
{
    return counters(f).peers == n;
}

static void raw_request(struct raw *r, uint64_t id, uint32_t method, const char *body, size_t len)
{
    Tw__Frame m = TW__FRAME__INIT;
    uint8_t buf[256];
    size_t n;

    m.kind = TW__FRAME_KIND__FRAME_REQUEST;
    m.id = id;
    m.method = method;
    m.body = (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)body };
    n = tw__frame__pack(&m, buf + RPC_FRAME_HEADER);
    buf[0] = buf[1] = buf[2] = 0;
    buf[3] = (uint8_t)n;
    assert_int_equal(send(r->fd, buf, n + RPC_FRAME_HEADER, MSG_NOSIGNAL), (ssize_t)n + RPC_FRAME_HEADER);
}

static void requests_that_cannot_be_served_are_answered(void **state)
{
    enum { ENROL = RPC_FLEET_CONTROLLER << 8 };
    static const struct {
        const char *name;
        uint32_t method;
        const char *body;
        size_t len;
        Tw__Status status;
    } rows[] = {
        { "no such method", ENROL + 99, "", 0, TW__STATUS__STATUS_UNIMPLEMENTED },
        { "no such service", 77 << 8, "", 0, TW__STATUS__STATUS_UNIMPLEMENTED },
        { "a service of the other side", RPC_FLEET_AGENT << 8, "", 0, TW__STATUS__STATUS_UNIMPLEMENTED },
        { "body is no message", ENROL, "\xff\xff", 2, TW__STATUS__STATUS_INVALID_ARGUMENT },
        { "string is not UTF-8", ENROL, "\x12\x02\xc3\x28", 4, TW__STATUS__STATUS_INVALID_ARGUMENT },
        { "overlong UTF-8", ENROL, "\x12\x02\xc0\xaf", 4, TW__STATUS__STATUS_INVALID_ARGUMENT },
        { "empty body is all defaults", ENROL, "", 0, TW__STATUS__STATUS_OK },
    };
    struct fixture *f = *state;
    struct raw r;

    serve(f, server_conf(f));
    raw_up(f, &r);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        Tw__Frame *m;

        raw_request(&r, 2 * i + 1, rows[i].method, rows[i].body, rows[i].len);
        m = raw_next(&r);
        if (!m || m->kind != TW__FRAME_KIND__FRAME_REPLY || m->id != 2 * i + 1 || m->status != rows[i].status)
            fail_msg("%s: kind %d, status %d, %s", rows[i].name, m ? (int)m->kind : -1,
                     m ? (int)m->status : -1, m ? m->detail : "");
        tw__frame__free_unpacked(m, NULL);
    }
    close(r.fd);
}

/* *m is freed by the caller. */
static Tw__Frame *expect_status(struct raw *r, uint64_t id, Tw__Status status)
{
    Tw__Frame *m = raw_next(r);

    if (!m || m->id != id || m->status != status)
        fail_msg("%llu: id %lld, status %d, %s", (unsigned long long)id, m ? (long long)m->id : -1,
                 m ? (int)m->status : -1, m ? m->detail : "");
    return m;
}

static void expect_full(struct raw *r, uint64_t id, const char *detail)
{
    Tw__Frame *m = expect_status(r, id, TW__STATUS__STATUS_RESOURCE_EXHAUSTED);

    if (!strstr(m->detail, detail) || m->retry_ms != 500)
        fail_msg("%s, again after %u ms", m->detail, m->retry_ms);
    tw__frame__free_unpacked(m, NULL);
}

#define LIVE                                                                                             \
    ((uint32_t)RPC_FLEET_AGENT << 8 |                                                                    \
     (uint32_t)(protobuf_c_service_descriptor_get_method_by_name(&tw__fleet_agent__descriptor, "Live") - \
                tw__fleet_agent__descriptor.methods))

/* Handlers have at most two calls of a connection and three in all; those of who has hung up count until they
 * end. */
static void unanswered_calls_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct rpc_server_conf c = server_conf(f);
    const uint32_t live = LIVE;
    struct raw a, b;

    c.services = f->agent_services;
    c.max_calls = 2;
    c.max_calls_all = 3;
    serve(f, c);
    raw_up(f, &a);
    raw_up(f, &b);
    for (uint64_t id = 1; id <= 5; id += 2)
        raw_request(&a, id, live, "", 0);
    expect_full(&a, 5, "on this connection");
    raw_request(&b, 1, live, "", 0);
    raw_request(&b, 3, live, "", 0);
    expect_full(&b, 3, "too many unanswered calls:");
    assert_int_equal(counters(f).calls_now, 3);
    close(a.fd);
    WAIT(one_peer, 1);
    assert_int_equal(counters(f).calls_now, 1);
    raw_request(&b, 5, live, "", 0);
    expect_full(&b, 5, "too many unanswered calls:");
    for (unsigned i = 0; i < 3; i++)
        answer_live(f, i, 0);
    f->n_waiting = 0;
    tw__frame__free_unpacked(expect_status(&b, 1, TW__STATUS__STATUS_OK), NULL);
    raw_request(&b, 7, live, "", 0);
    WAIT(n_waiting, 1);
    rpc_fail_later(f->waiting_data[0], 70, "not %s", "now");
    f->n_waiting = 0;
    Tw__Frame *m = expect_status(&b, 7, TW__STATUS__STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(m->detail, "not now");
    assert_int_equal(m->retry_ms, 70);
    tw__frame__free_unpacked(m, NULL);
    assert_int_equal(counters(f).calls_refused, 4);
    assert_int_equal(counters(f).calls_now, 0);
    close(b.fd);
}

/* Beyond its bound a connection is read in pieces of some sixty calls, and not for 20 ms behind each: every
 * one is told so, and whoever goes on asking waits. Once there is room it is served as before. */
static void who_asks_without_end_is_held_back(void **state)
{
    enum { MORE = 1000, PIECE = 1024 / 10, HELD_MS = 20 }; /* 10 octets: less than a call has */
    struct fixture *f = *state;
    struct rpc_server_conf c = server_conf(f);
    struct tw_mono begin;
    struct raw r;

    c.services = f->agent_services;
    c.max_calls = 2;
    serve(f, c);
    raw_up(f, &r);
    for (uint64_t id = 1; id <= 5; id += 2)
        raw_request(&r, id, LIVE, "", 0);
    expect_full(&r, 5, "on this connection");
    begin = tw_mono_now();
    for (uint64_t i = 0; i < MORE; i++)
        raw_request(&r, 7 + 2 * i, LIVE, "", 0);
    for (uint64_t i = 0; i < MORE; i++)
        expect_full(&r, 7 + 2 * i, "on this connection");
    assert_true(tw_mono_now().ns - begin.ns >= (MORE / PIECE - 1) * HELD_MS * TW_NS_PER_MS);
    assert_int_equal(counters(f).calls_refused, MORE + 1);
    answer_live(f, 0, 0);
    answer_live(f, 1, 0);
    f->n_waiting = 0;
    tw__frame__free_unpacked(expect_status(&r, 1, TW__STATUS__STATUS_OK), NULL);
    tw__frame__free_unpacked(expect_status(&r, 3, TW__STATUS__STATUS_OK), NULL);
    raw_request(&r, 7 + 2 * MORE, LIVE, "", 0);
    WAIT(n_waiting, 1);
    answer_live(f, 0, 0);
    f->n_waiting = 0;
    tw__frame__free_unpacked(expect_status(&r, 7 + 2 * MORE, TW__STATUS__STATUS_OK), NULL);
    close(r.fd);
}

static void breaking_the_rules_ends_the_connection(void **state)
{
    static const struct {
        const char *name;
        const char *octets;
        size_t len;
    } rows[] = {
        { "HELLO again", "\0\0\0\2\x08\1", 6 },
        { "an even id from a client", "\0\0\0\7\x08\3\x10\2\x18\x80\4", 11 },
        { "no id", "\0\0\0\5\x08\3\x18\x80\4", 9 },
        { "a frame of 2 MiB + 1", "\0\x20\0\1\x08\6", 6 },
        { "DATA that decode() refuses", "\0\0\0\5\x08\6\x4a\1\xff", 9 },
        { "no frame", "\0\0\0\0", 4 },
    };
    struct fixture *f = *state;

    serve(f, server_conf(f));
    for (unsigned i = 0; i < TW_NELEM(rows); i++) {
        struct raw r;
        Tw__Frame *m;

        raw_up(f, &r);
        assert_int_equal(send(r.fd, rows[i].octets, rows[i].len, MSG_NOSIGNAL), (ssize_t)rows[i].len);
        m = raw_next(&r);
        if (!m || m->kind != TW__FRAME_KIND__FRAME_GOAWAY || m->status != TW__STATUS__STATUS_INVALID_ARGUMENT)
            fail_msg("%s: kind %d", rows[i].name, m ? (int)m->kind : -1);
        tw__frame__free_unpacked(m, NULL);
        close(r.fd);
        WAIT(server_downs, i + 1);
        assert_int_equal(f->srv.down_status, TW__STATUS__STATUS_INVALID_ARGUMENT);
    }
    assert_int_equal(counters(f).bad_frames, TW_NELEM(rows));
}

static void a_reply_nobody_waits_for_is_counted(void **state)
{
    struct fixture *f = *state;
    struct raw r;

    serve(f, server_conf(f));
    raw_up(f, &r);
    assert_int_equal(send(r.fd, "\0\0\0\4\x08\4\x10\2", 8, MSG_NOSIGNAL), 8);
    WAIT(late, 1);
    assert_int_equal(f->srv.downs, 0);
    close(r.fd);
}

static void a_peer_that_dies_ends_its_calls(void **state)
{
    struct fixture *f = *state;
    struct outcome o[3] = { 0 };

    connect_both(f);
    for (int i = 0; i < 3; i++)
        call_live(f->srv.peer, 0, &o[i]);
    WAIT(n_waiting, 3);
    rpc_client_stop(f->client); /* the handlers have not answered */
    f->client = NULL;
    assert_null(rpc_call_peer(f->waiting_data[0]));
    answer_live(f, 0, 1);
    rpc_fail(f->waiting_data[1], TW__STATUS__STATUS_INTERNAL, "too late");
    f->waiting_data[0] = f->waiting_data[2];
    f->n_waiting = 1; /* the third is answered when all is over */
    WAIT(server_downs, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(o[i].n, 1);
        assert_int_equal(o[i].status, TW__STATUS__STATUS_UNAVAILABLE);
    }
}

static void stopping_ends_calls_before_it_returns(void **state)
{
    struct fixture *f = *state;
    struct outcome o = { 0 };

    connect_both(f);
    call_live(f->srv.peer, 0, &o);
    WAIT(n_waiting, 1);
    rpc_server_stop(f->server);
    f->server = NULL;
    assert_int_equal(o.n, 1);
    assert_int_equal(o.status, TW__STATUS__STATUS_UNAVAILABLE);
    assert_int_equal(f->srv.downs, 1);
}

static void closing_tells_the_other_end_why(void **state)
{
    struct fixture *f = *state;
    struct outcome o = { 0 };

    connect_both(f);
    rpc_peer_close(f->srv.peer, TW__STATUS__STATUS_NOT_FOUND, "agent removed");
    assert_int_equal(rpc_peer_send_ack(f->srv.peer, 1, NULL, 1, 0, NULL), TW_ECLOSED);
    call_schedule(f->srv.peer, 1, 1000, &o);
    assert_int_equal(f->srv.downs + o.n, 0); /* both follow from the loop */
    WAIT(client_downs, 1);
    WAIT(server_downs, 1);
    assert_int_equal(f->cli.down_status, TW__STATUS__STATUS_NOT_FOUND);
    assert_string_equal(f->cli.down_detail, "agent removed");
    assert_int_equal(f->srv.down_status, TW__STATUS__STATUS_NOT_FOUND);
    wait_call(&o, 1);
    assert_int_equal(o.status, TW__STATUS__STATUS_UNAVAILABLE);
}

static void what_is_too_large_is_refused_here(void **state)
{
    struct fixture *f = *state;
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;
    Tw__LiveSession ok = TW__LIVE_SESSION__INIT;
    struct outcome o = { 0 }, next = { 0 };

    connect_both(f);
    rq.digest.len = RPC_MAX_FRAME;
    rq.digest.data = calloc(1, RPC_MAX_FRAME);
    tw__fleet_agent__schedule(
        rpc_peer_service(f->srv.peer, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, 1000), &rq,
        schedule_done, &o);
    assert_int_equal(rpc_peer_send_data(f->cli.peer, &rq.base), TW_ERANGE);
    rq.digest.len = RPC_MAX_FRAME - 100; /* fits */
    tw__fleet_agent__schedule(
        rpc_peer_service(f->srv.peer, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, 20000), &rq,
        schedule_done, &next);
    free(rq.digest.data);
    wait_call(&o, 1);
    assert_int_equal(o.status, TW__STATUS__STATUS_RESOURCE_EXHAUSTED);
    wait_call(&next, 1);
    assert_true(next.replied);
    MUST(rpc_peer_send_data(f->cli.peer, &ok.base));
}

/* ---- Streamed results ---- */

static bool data_seen(struct fixture *f, uint64_t n)
{
    return f->srv.datas >= n;
}
static bool acked(struct fixture *f, uint64_t through)
{
    return f->cli.acks && f->cli.through_seq >= through;
}

static enum tw_rc send_data(struct fixture *f, uint64_t i, bool want_ack)
{
    Tw__LiveSession m = TW__LIVE_SESSION__INIT;

    m.sent = i;
    m.received = 3;
    m.flow = want_ack ? 0 : 1;
    return rpc_peer_send_data(f->cli.peer, &m.base);
}

static void data_and_acks_come_in_order(void **state)
{
    enum { N = 5000 };
    struct fixture *f = *state;

    connect_both(f);
    for (unsigned i = 0; i < N; i++)
        MUST(send_data(f, i, true));
    WAIT(data_seen, N);
    WAIT(acked, N - 1);
    assert_int_equal(f->srv.data_order_errors + f->cli.data_order_errors, 0);
    assert_int_equal(f->srv.data_sum, 3 * N);
    assert_int_equal(f->cli.acks, N);
    assert_int_equal(f->cli.window, 1000);
    assert_int_equal(f->srv.drops, 0);
}

static void a_refused_batch_is_told_in_the_ack(void **state)
{
    struct fixture *f = *state;

    connect_both(f);
    MUST(rpc_peer_send_ack(f->srv.peer, 77, NULL, 5, TW__STATUS__STATUS_OUT_OF_RANGE, "expected 78"));
    WAIT(acked, 77);
    assert_int_equal(f->cli.ack_status, TW__STATUS__STATUS_OUT_OF_RANGE);
    assert_int_equal(f->cli.window, 5);
}

static void an_ack_tells_what_is_durable_ahead(void **state)
{
    const struct rpc_ahead ahead = { 16, 9, { { { 80, 90 }, { 100, 100 } }, 2 } };
    const struct rpc_ahead odd = { 16, 9, { { { 80, 90 }, { 70, 75 } }, 2 } };
    struct fixture *f = *state;

    connect_both(f);
    MUST(rpc_peer_send_ack(f->srv.peer, 77, &ahead, 5, TW__STATUS__STATUS_OK, NULL));
    WAIT(acked, 77);
    assert_int_equal(f->cli.ahead.max, 16);
    assert_int_equal(f->cli.ahead.backlog_per_s, 9);
    assert_true(seqset_equal(&f->cli.ahead.spans, &ahead.spans));
    MUST(rpc_peer_send_ack(f->srv.peer, 78, NULL, 5, TW__STATUS__STATUS_OK, NULL));
    WAIT(acked, 78);
    assert_int_equal(f->cli.ahead.max + f->cli.ahead.spans.n, 0);
    MUST(rpc_peer_send_ack(f->srv.peer, 79, &odd, 5, TW__STATUS__STATUS_OK, NULL));
    WAIT(client_downs, 1);
    assert_int_equal(f->cli.through_seq, 78);
}

/* The receiving loop stands still (it is this thread): sending must come to a bound, and all of what was
 * accepted must arrive afterwards. */
static void sending_has_a_bound_and_nothing_is_lost(void **state)
{
    struct fixture *f = *state;
    enum tw_rc rc = TW_OK;
    unsigned n = 0;

    connect_both(f);
    while (n < 2000000 && (rc = send_data(f, n, false)) == TW_OK)
        n++;
    assert_int_equal(rc, TW_EBUSY);
    WAIT(data_seen, n);
    assert_int_equal(f->srv.datas, n);
    assert_int_equal(f->srv.data_order_errors, 0);
    MUST(send_data(f, n, false)); /* there is room again */
}

static void objects_that_nobody_took_are_dropped(void **state)
{
    struct fixture *f = *state;

    connect_both(f);
    for (unsigned i = 0; i < 100; i++)
        MUST(send_data(f, i, false));
    rpc_client_stop(f->client);
    f->client = NULL;
    /* Whatever has been decoded by now and was not delivered belongs to drop(); the leak checker looks on. */
    rpc_server_stop(f->server);
    f->server = NULL;
    assert_int_equal(f->srv.data_order_errors, 0);
}

/* ---- Life and death ---- */

static bool dead_peers(struct fixture *f, uint64_t n)
{
    return counters(f).dead_peers >= n;
}

static void a_peer_that_says_nothing_is_dead(void **state)
{
    struct fixture *f = *state;
    struct rpc_server_conf c = server_conf(f);
    struct raw r;

    c.times = (struct rpc_times){ .ping_ms = 10, .dead_ms = 60 };
    serve(f, c);
    raw_up(f, &r);
    WAIT(dead_peers, 1);
    WAIT(server_downs, 1);
    assert_int_equal(f->srv.down_status, TW__STATUS__STATUS_UNAVAILABLE);
    close(r.fd);
}

static bool frames_in(struct fixture *f, uint64_t n)
{
    return counters(f).frames_in >= n;
}

static void pings_keep_an_idle_connection_alive(void **state)
{
    struct fixture *f = *state;
    struct rpc_server_conf c = server_conf(f);

    c.times = (struct rpc_times){ .ping_ms = 5, .dead_ms = 2000 };
    serve(f, c);
    dial_in(f, client_conf(f)); /* itself pings each 15 s only */
    WAIT(both_up, 0);
    WAIT(frames_in, 20); /* PONGs */
    assert_int_equal(f->srv.downs + f->cli.downs, 0);
}

/* It lets the answers pile up until even an ACK does not fit: then it is cut off, memory stays bounded. */
static void a_peer_that_does_not_read_is_cut_off(void **state)
{
    struct fixture *f = *state;
    struct raw r;
    enum tw_rc rc = TW_OK;

    serve(f, server_conf(f));
    raw_up(f, &r);
    for (unsigned i = 0; i < 10000000 && !rc; i++)
        rc = rpc_peer_send_ack(f->srv.peer, i, NULL, 1, 0,
                               "a reason that takes some room: ..............................");
    assert_int_equal(rc, TW_EBUSY);
    WAIT(server_downs, 1);
    assert_int_equal(f->srv.down_status, TW__STATUS__STATUS_RESOURCE_EXHAUSTED);
    close(r.fd);
}

/* ---- Two loops in two threads, as in real life ---- */

struct other_thread {
    struct loop *loop;
    struct rpc_client *client;
    struct end end;
    struct fixture *f;
    struct loop_timer timer;
    unsigned sent;
    pthread_t thread;
};

static void other_send(struct loop_timer *t)
{
    struct other_thread *o = t->ctx;
    Tw__LiveSession m = TW__LIVE_SESSION__INIT;

    for (int i = 0; o->end.peer && i < 50 && o->sent < 20000; i++) {
        m.sent = o->sent;
        m.received = 1;
        if (rpc_peer_send_data(o->end.peer, &m.base))
            break;
        o->sent++;
    }
    if (o->end.acks && o->end.through_seq == 19999)
        loop_stop(o->loop);
    else
        loop_timer_set(o->loop, t, (struct tw_mono){ loop_now(o->loop).mono.ns + 100000 });
}

static void *other_main(void *arg)
{
    struct other_thread *o = arg;
    struct rpc_client_conf c = client_conf(o->f);
    struct tw_err err = { 0 };

    c.loop = o->loop;
    c.hooks = hooks_of(&o->end);
    c.n_services = 0;
    if (rpc_client_start(&c, &o->client, &err))
        return NULL;
    o->timer = (struct loop_timer){ .fn = other_send, .ctx = o };
    loop_timer_set(o->loop, &o->timer, tw_mono_now());
    loop_run_until(o->loop, &(bool){ false }, (struct tw_mono){ tw_mono_now().ns + PATIENCE_NS });
    loop_timer_cancel(o->loop, &o->timer);
    rpc_client_stop(o->client);
    return NULL;
}

static void two_threads_exchange_results(void **state)
{
    struct fixture *f = *state;
    struct other_thread o = { .f = f };

    serve(f, server_conf(f));
    MUST(loop_new(&o.loop));
    assert_int_equal(pthread_create(&o.thread, NULL, other_main, &o), 0);
    WAIT(data_seen, 20000);
    WAIT(server_downs, 1);
    pthread_join(o.thread, NULL);
    loop_free(o.loop);
    assert_int_equal(o.end.acks, 20000);
    assert_int_equal(f->srv.data_order_errors + o.end.data_order_errors, 0);
}

/* ---- Many at once ---- */

/* A server that has other things to do while agents of another controller come: none is dropped by the kernel, which lets
 * them wait for seconds. */
static void who_waits_to_be_accepted_is_not_dropped(void **state)
{
    enum { CROWD = 600 };
    struct fixture *f = *state;
    struct pollfd fds[CROWD];
    size_t up = 0;

    serve(f, server_conf(f));
    for (size_t i = 0; i < CROWD; i++)
        fds[i] = (struct pollfd){ .fd = raw_connect_begin(f), .events = POLLOUT };
    for (size_t i = 0; i < CROWD; i++)
        up += poll(&fds[i], 1, 500) == 1; /* the first one that is dropped tries again after a second */
    for (size_t i = 0; i < CROWD; i++)
        close(fds[i].fd);
    assert_int_equal(up, CROWD);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(calls_go_both_ways),
        T(a_failure_comes_with_status_and_reason),
        T(concurrent_calls_get_their_own_answers),
        T(a_deadline_ends_a_call_and_cancels_it),
        T(requests_that_cannot_be_served_are_answered),
        T(unanswered_calls_are_bounded),
        T(who_asks_without_end_is_held_back),
        T(breaking_the_rules_ends_the_connection),
        T(a_reply_nobody_waits_for_is_counted),
        T(a_peer_that_dies_ends_its_calls),
        T(stopping_ends_calls_before_it_returns),
        T(closing_tells_the_other_end_why),
        T(what_is_too_large_is_refused_here),
        T(data_and_acks_come_in_order),
        T(a_refused_batch_is_told_in_the_ack),
        T(an_ack_tells_what_is_durable_ahead),
        T(sending_has_a_bound_and_nothing_is_lost),
        T(objects_that_nobody_took_are_dropped),
        T(a_peer_that_says_nothing_is_dead),
        T(pings_keep_an_idle_connection_alive),
        T(a_peer_that_does_not_read_is_cut_off),
        T(two_threads_exchange_results),
        T(who_waits_to_be_accepted_is_not_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
