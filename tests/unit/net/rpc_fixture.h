/* Both ends of the RPC layer on one loop over 127.0.0.1, an enrolled-like agent, and raw sockets for what no
 * honest client would send. */
#ifndef TW_TEST_RPC_FIXTURE_H
#define TW_TEST_RPC_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/net/now.h"
#include "common/net/rpc.h"
#include "common/net/rpc_frame.h"
#include "common/net/rpc_hello.h"
#include "common/wire.h"
#include "fleet.pb-c.h"

#define PATIENCE_NS (30 * TW_NS_PER_S) /* of every wait; sanitizers are slow */

/* What the hooks of one end saw. */
struct end {
    struct rpc_peer *peer; /* NULL: down */
    unsigned ups, downs, datas, acks, drops;
    Tw__Status down_status, ack_status;
    char down_detail[513];
    uint64_t through_seq, data_sum;
    struct rpc_ahead ahead;
    uint32_t window;
    struct rpc_welcome welcome; /* server: what to say */
    bool refuse_data, hello_seen;
    unsigned hellos_again;
    unsigned data_order_errors;
    uint64_t data_next;
};

struct fixture {
    struct loop *loop;
    struct rpc_server *server;
    struct rpc_client *client;
    struct end srv, cli;
    char dir[64], url[256];
    struct identity *key;
    struct rpc_service agent_services[1], controller_services[1];
    ProtobufCClosure waiting[64]; /* calls of Live, held back */
    void *waiting_data[64];
    size_t n_waiting;
    unsigned schedules;
};

/* The services' handlers get no context of their own. */
static struct fixture *the;

#define MUST(x) assert_int_equal((x), TW_OK)

/* Runs the loop until `cond` holds. */
struct until {
    struct loop_timer timer;
    bool (*cond)(struct fixture *f, uint64_t arg);
    uint64_t arg;
    bool done;
};

static void until_tick(struct loop_timer *t)
{
    struct until *u = t->ctx;

    u->done = u->cond(the, u->arg);
    if (!u->done)
        loop_timer_set(the->loop, t, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS });
}

static inline bool wait_for(bool (*cond)(struct fixture *f, uint64_t arg), uint64_t arg)
{
    struct until u = { .cond = cond, .arg = arg };
    struct tw_mono deadline = { tw_mono_now().ns + PATIENCE_NS };

    u.timer = (struct loop_timer){ .fn = until_tick, .ctx = &u };
    loop_timer_set(the->loop, &u.timer, tw_mono_now());
    loop_run_until(the->loop, &u.done, deadline);
    loop_timer_cancel(the->loop, &u.timer);
    return u.done;
}
#define WAIT(cond, arg)                                               \
    do {                                                              \
        if (!wait_for(cond, arg))                                     \
            fail_msg("waited in vain for %s(%d)", #cond, (int)(arg)); \
    } while (0)

/* ---- Hooks ---- */

static void hook_up(void *ctx, struct rpc_peer *p)
{
    struct end *e = ctx;

    e->peer = p;
    e->ups++;
    assert_ptr_equal(rpc_peer_ctx(p), NULL);
    rpc_peer_set_ctx(p, e);
}

static void hook_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct end *e = ctx;

    e->downs++;
    e->down_status = status;
    snprintf(e->down_detail, sizeof e->down_detail, "%s", detail);
    if (p == e->peer)
        e->peer = NULL;
}

/* DATA is a LiveSession here: any message will do. */
static void *hook_decode(void *ctx, const uint8_t *body, size_t len, struct tw_err *err)
{
    struct end *e = ctx;
    Tw__LiveSession *m = e->refuse_data ? NULL : tw__live_session__unpack(NULL, len, body);

    if (!m)
        tw_err_set(err, TW_EINVAL, "no such data");
    return m;
}

static void hook_drop(void *ctx, void *object)
{
    struct end *e = ctx;

    __atomic_add_fetch(&e->drops, 1, __ATOMIC_RELAXED);
    tw__live_session__free_unpacked(object, NULL);
}

static void hook_data(void *ctx, struct rpc_peer *p, void *object)
{
    struct end *e = ctx;
    Tw__LiveSession *m = object;

    if (m->sent != e->data_next++)
        e->data_order_errors++;
    e->datas++;
    e->data_sum += m->received;
    if (m->flow == 0)
        assert_int_equal(rpc_peer_send_ack(p, m->sent, NULL, 1000, TW__STATUS__STATUS_OK, NULL), TW_OK);
    tw__live_session__free_unpacked(m, NULL);
}

static void hook_ack(void *ctx, struct rpc_peer *p, uint64_t through_seq, const struct rpc_ahead *ahead, uint32_t window, Tw__Status status,
                     const char *detail)
{
    struct end *e = ctx;

    (void)p;
    e->ahead = *ahead;
    (void)detail;
    if (e->acks && through_seq < e->through_seq)
        e->data_order_errors++;
    e->acks++;
    e->through_seq = through_seq;
    e->window = window;
    e->ack_status = status;
}

static void hook_hello(void *ctx, const struct rpc_hello *h, struct rpc_welcome *ret)
{
    struct end *e = ctx;

    assert_non_null(h->name);
    e->hello_seen = true;
    e->hellos_again += h->again;
    *ret = e->welcome;
}

static inline struct rpc_hooks hooks_of(struct end *e)
{
    return (struct rpc_hooks){ .ctx = e,
                               .on_up = hook_up,
                               .on_down = hook_down,
                               .decode = hook_decode,
                               .drop = hook_drop,
                               .on_data = hook_data,
                               .on_ack = hook_ack,
                               .on_hello = hook_hello };
}

/* ---- Services ---- */

static void serve_schedule(Tw__FleetAgent_Service *s, const Tw__ScheduleRequest *rq,
                           Tw__ScheduleReply_Closure done, void *data)
{
    static const Tw__ScheduleReply ok = TW__SCHEDULE_REPLY__INIT;

    (void)s;
    the->schedules++;
    if (rq->generation == 13)
        rpc_fail(data, TW__STATUS__STATUS_FAILED_PRECONDITION, "generation %d is unlucky", 13);
    else
        done(&ok, data);
}

/* Answered when the test says so. */
static void serve_live(Tw__FleetAgent_Service *s, const Tw__LiveRequest *rq, Tw__LiveReply_Closure done,
                       void *data)
{
    (void)s;
    (void)rq;
    the->waiting[the->n_waiting] = (ProtobufCClosure)done;
    the->waiting_data[the->n_waiting++] = data;
}

static Tw__FleetAgent_Service fleet_agent = { .base = TW__FLEET_AGENT__BASE_INIT,
                                              .schedule = serve_schedule,
                                              .live = serve_live };

static void serve_enrol(Tw__FleetController_Service *s, const Tw__EnrolRequest *rq,
                        Tw__EnrolReply_Closure done, void *data)
{
    Tw__EnrolReply r = TW__ENROL_REPLY__INIT;

    (void)s;
    r.approved = rq->max_pps == 7;
    done(&r, data);
}

static void serve_ack(Tw__FleetController_Service *s, const Tw__AckRequest *rq, Tw__AckReply_Closure done,
                      void *data)
{
    static const Tw__AckReply ok = TW__ACK_REPLY__INIT;

    (void)s;
    (void)rq;
    done(&ok, data);
}

static void serve_report(Tw__FleetController_Service *s, const Tw__HealthReport *rq,
                         Tw__HealthReply_Closure done, void *data)
{
    static const Tw__HealthReply ok = TW__HEALTH_REPLY__INIT;

    (void)s;
    (void)rq;
    done(&ok, data);
}

static void serve_renew(Tw__FleetController_Service *s, const Tw__RenewRequest *rq, Tw__JoinReply_Closure done,
                        void *data)
{
    (void)s;
    (void)rq;
    (void)done;
    rpc_fail(data, TW__STATUS__STATUS_UNIMPLEMENTED, "no certificates here");
}

static Tw__FleetController_Service fleet_controller = TW__FLEET_CONTROLLER__INIT(serve_);

/* ---- Both ends ---- */

static const uint8_t test_boot_id[RPC_ID_LEN] = "boot-0123456789",
                     test_spool_id[RPC_ID_LEN] = "spool-012345678";

static inline struct rpc_server_conf server_conf(struct fixture *f)
{
    return (struct rpc_server_conf){ .loop = f->loop,
                                     .url = f->url,
                                     .name = "ctl",
                                     .agents = true,
                                     .services = f->controller_services,
                                     .n_services = 1,
                                     .hooks = hooks_of(&f->srv) };
}

static inline struct rpc_client_conf client_conf(struct fixture *f)
{
    return (struct rpc_client_conf){ .loop = f->loop,
                                     .url = f->url,
                                     .role = TW__ROLE__ROLE_AGENT,
                                     .name = "ams-1",
                                     .software = "test 1",
                                     .boot_id = test_boot_id,
                                     .spool_id = test_spool_id,
                                     .identity = f->key,
                                     .services = f->agent_services,
                                     .n_services = 1,
                                     .hooks = hooks_of(&f->cli) };
}

/* Starts a server on a port of the system's choice and notes its URL. */
static inline void serve(struct fixture *f, struct rpc_server_conf c)
{
    struct tw_err err = { 0 };

    if (rpc_server_start(&c, &f->server, &err))
        fail_msg("server: %s", err.text);
    if (rpc_server_port(f->server))
        snprintf(f->url, sizeof f->url, "tcp://127.0.0.1:%u", rpc_server_port(f->server));
}

static inline void dial_in(struct fixture *f, struct rpc_client_conf c)
{
    struct tw_err err = { 0 };

    if (rpc_client_start(&c, &f->client, &err))
        fail_msg("client: %s", err.text);
}

static inline bool both_up(struct fixture *f, uint64_t arg)
{
    (void)arg;
    return f->srv.peer && f->cli.peer;
}
static inline bool client_downs(struct fixture *f, uint64_t n)
{
    return f->cli.downs >= n;
}
static inline bool server_downs(struct fixture *f, uint64_t n)
{
    return f->srv.downs >= n;
}

static inline struct rpc_counters counters(struct fixture *f)
{
    struct rpc_counters c;

    rpc_server_counters(f->server, &c);
    return c;
}
static inline bool failed_handshakes(struct fixture *f, uint64_t n)
{
    return counters(f).handshakes_failed >= n;
}

static inline void connect_both(struct fixture *f)
{
    serve(f, server_conf(f));
    dial_in(f, client_conf(f));
    WAIT(both_up, 0);
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct tw_err err = { 0 };
    char path[128];

    snprintf(f->dir, sizeof f->dir, "/tmp/twrpc.XXXXXX");
    if (!mkdtemp(f->dir) || loop_new(&f->loop))
        return -1;
    snprintf(path, sizeof path, "%s/key", f->dir);
    if (identity_load(path, &f->key, &err))
        return -1;
    snprintf(f->url, sizeof f->url, "tcp://127.0.0.1:0");
    f->srv.welcome = (struct rpc_welcome){ .approved = true, .through_seq = 41, .window = 500,
                                           .ahead = { 16, 77, { { { 43, 50 }, { 60, 60 } }, 2 } } };
    f->agent_services[0] = (struct rpc_service){ RPC_FLEET_AGENT, &fleet_agent.base };
    f->controller_services[0] = (struct rpc_service){ RPC_FLEET_CONTROLLER, &fleet_controller.base };
    the = f;
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    char path[128];

    rpc_client_stop(f->client);
    rpc_server_stop(f->server);
    for (size_t i = 0; i < f->n_waiting; i++) /* handlers must answer, even when nobody is there any more */
        rpc_fail(f->waiting_data[i], TW__STATUS__STATUS_ABORTED, "test over");
    identity_free(f->key);
    loop_free(f->loop);
    snprintf(path, sizeof path, "%s/key", f->dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/sock", f->dir);
    unlink(path);
    rmdir(f->dir);
    free(f);
    return 0;
}

/* ---- Raw clients ---- */

static inline int raw_connect_as(struct fixture *f, int type)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons(rpc_server_port(f->server)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    if (fd < 0 || (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0 && errno != EINPROGRESS))
        fail_msg("connect: %s", strerror(errno));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}
static inline int raw_connect(struct fixture *f)
{
    return raw_connect_as(f, SOCK_STREAM);
}
/* Does not wait until it is connected. */
static inline int raw_connect_begin(struct fixture *f)
{
    return raw_connect_as(f, SOCK_STREAM | SOCK_NONBLOCK);
}

/* One frame at a time; runs the loop meanwhile. */
struct raw {
    int fd;
    uint8_t buf[8192];
    size_t len;
    bool eof;
};
static struct raw *reading;

static inline bool raw_has_frame(struct fixture *f, uint64_t arg)
{
    struct raw *r = reading;
    ssize_t n = read(r->fd, r->buf + r->len, sizeof r->buf - r->len);
    size_t need;

    (void)f;
    (void)arg;
    if (n > 0)
        r->len += (size_t)n;
    r->eof = n == 0 || (n < 0 && errno != EAGAIN);
    return r->eof || rpc_frame_cut(r->buf, r->len, RPC_MAX_FRAME, &need) == TW_OK;
}

/* The next frame, to be freed with tw__frame__free_unpacked(); NULL at the end of the connection. */
static inline Tw__Frame *raw_next(struct raw *r)
{
    Tw__Frame *m;
    size_t n;

    reading = r;
    WAIT(raw_has_frame, 0);
    if (rpc_frame_cut(r->buf, r->len, RPC_MAX_FRAME, &n))
        return NULL;
    m = tw__frame__unpack(NULL, n - RPC_FRAME_HEADER, r->buf + RPC_FRAME_HEADER);
    assert_non_null(m);
    memmove(r->buf, r->buf + n, r->len - n);
    r->len -= n;
    return m;
}

static inline void raw_send(const struct raw *r, const Tw__Frame *m, const ProtobufCMessage *body)
{
    uint8_t buf[65536];
    size_t n = rpc_frame_size(m, body);

    rpc_frame_pack(m, body, buf);
    assert_int_equal(send(r->fd, buf, n, MSG_NOSIGNAL), (ssize_t)n);
}

#endif
