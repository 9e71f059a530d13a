/* The RPC layer with its state, on a network and clock made up: as a server whose clients are a stranger, an
 * operator, an agent and one who joins, or as a client of a hostile server. Whatever comes and goes: what it
 * sends can be read, hooks are called in pairs, every call of ours ends once, no call of theirs is answered
 * twice or by a service that they may not use, and the books balance.
 *
 * Input: u8 side and policy, then records of { u8 what, u8 argument } and what these want. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/net/rpc_peer.h"
#include "fleet.pb-c.h"
#include "join.pb-c.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fake_loop.h"
#include "tests/fuzz/fake_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum tw_rc __wrap_identity_random(uint8_t *buf, size_t len);

enum { ASKED_MAX = 64, CALLS_MAX = 64, IDS_MAX = 4096 };

/* A call that waits for our handler. */
struct asked {
    void *closure_data;
    ProtobufCClosure closure;
    const ProtobufCMessageDescriptor *output;
};

/* What the target knows of a connection, beside what the RPC layer does. */
struct seen {
    bool welcomed, bye;       /* HELLO_OK, GOAWAY have gone out */
    uint8_t replies[IDS_MAX]; /* by the id's lowest bits, if it is small: unanswered requests */
};

static struct play {
    const uint8_t *p, *end;
    bool server;
    struct loop *loop;
    struct rpc_server *s;
    struct rpc_client *c;
    struct seen seen[FAKE_CONNS];
    struct asked asked[ASKED_MAX];
    size_t n_asked;
    struct rpc_peer *up[FAKE_CONNS];
    size_t n_up, made, taken, calls, ended, accepted, welcomes;
    int done[CALLS_MAX];
} w;

static struct identity *identity;
static const uint8_t boot_id[RPC_ID_LEN] = "boot of the test", spool_id[RPC_ID_LEN] = "spool of a test";

enum tw_rc __wrap_identity_random(uint8_t *buf, size_t len)
{
    memset(buf, 0x5a, len);
    return TW_OK;
}

static uint8_t octet(void)
{
    return w.p < w.end ? *w.p++ : 0;
}

static size_t octets(const uint8_t **ret)
{
    size_t n = octet();

    n = n < (size_t)(w.end - w.p) ? n : (size_t)(w.end - w.p);
    *ret = w.p;
    w.p += n;
    return n;
}

/* ---- What we serve ---- */

static void serve(ProtobufCService *service, unsigned method, const ProtobufCMessage *input,
                  ProtobufCClosure closure, void *closure_data)
{
    struct rpc_peer *p = rpc_call_peer(closure_data);
    const ProtobufCMethodDescriptor *m = &service->descriptor->methods[method];

    CHECK(p && p->state == PEER_UP && input->descriptor == m->input);
    CHECK(!p->joiner || service->descriptor == &tw__join__descriptor);
    CHECK(protobuf_c_message_check(input));
    if (w.n_asked == ASKED_MAX) {
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "too many");
        return;
    }
    w.asked[w.n_asked++] = (struct asked){ closure_data, closure, m->output };
}

static ProtobufCService fleet = { .descriptor = &tw__fleet_controller__descriptor, .invoke = serve };
static ProtobufCService agent = { .descriptor = &tw__fleet_agent__descriptor, .invoke = serve };
static ProtobufCService join = { .descriptor = &tw__join__descriptor, .invoke = serve };
static const struct rpc_service of_server[] = { { RPC_FLEET_CONTROLLER, &fleet }, { RPC_JOIN, &join } };
static const struct rpc_service of_client[] = { { RPC_FLEET_AGENT, &agent } };

/* One that waits is answered: with a reply of nothing, or with a failure. */
static void answer_one(uint8_t which)
{
    struct asked a;

    if (!w.n_asked)
        return;
    a = w.asked[which % w.n_asked];
    w.asked[which % w.n_asked] = w.asked[w.n_asked - 1];
    w.n_asked--;
    if (which & 0x80) {
        rpc_fail(a.closure_data, (Tw__Status)(which % 17), "a reason with \xff\xc3 and %d", which);
        return;
    }
    union {
        ProtobufCMessage base;
        uint8_t room[512];
    } reply;

    CHECK(a.output->sizeof_message <= sizeof reply);
    protobuf_c_message_init(a.output, &reply);
    a.closure(&reply.base, a.closure_data);
}

/* ---- Hooks ---- */

static size_t find_up(const struct rpc_peer *p)
{
    size_t i = 0;

    while (i < w.n_up && w.up[i] != p)
        i++;
    return i;
}

static void on_up(void *ctx, struct rpc_peer *p)
{
    CHECK(ctx == &w && find_up(p) == w.n_up && w.n_up < FAKE_CONNS);
    CHECK(!p->joiner && p->hello.name[0]);
    w.up[w.n_up++] = p;
}

static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    size_t i = find_up(p);

    (void)status;
    CHECK(ctx == &w && detail && i < w.n_up);
    w.up[i] = w.up[--w.n_up];
}

static void *decode(void *ctx, const uint8_t *body, size_t len, struct tw_err *err)
{
    CHECK(ctx == &w);
    if (!len || body[0] == 0xff) {
        tw_err_set(err, TW_ECORRUPT, "not like that");
        return NULL;
    }
    w.made++;
    return memcpy(malloc(len), body, len);
}

static void drop(void *ctx, void *object)
{
    CHECK(ctx == &w);
    w.taken++;
    free(object);
}

static void on_data(void *ctx, struct rpc_peer *p, void *object)
{
    CHECK(find_up(p) < w.n_up && !p->joiner);
    drop(ctx, object);
}

static void on_ack(void *ctx, struct rpc_peer *p, uint64_t through_seq, const struct rpc_ahead *ahead, uint32_t window, Tw__Status status,
                   const char *detail)
{
    (void)through_seq;
    (void)window;
    (void)status;
    CHECK(ctx == &w && find_up(p) < w.n_up && detail && ahead->spans.n <= SEQSET_MAX);
}

static void on_refused(void *ctx, Tw__Status status, const char *detail)
{
    CHECK(ctx == &w && status && detail);
}

static void on_hello(void *ctx, const struct rpc_hello *h, struct rpc_welcome *ret)
{
    CHECK(ctx == &w && h->name[0] && h->role != TW__ROLE__ROLE_JOINER);
    if (!strcmp(h->name, "refused"))
        *ret = (struct rpc_welcome){ .status = TW__STATUS__STATUS_PERMISSION_DENIED, .detail = "not you" };
    else
        *ret = (struct rpc_welcome){
            .approved = true, .window = 100, .through_seq = 7, .later = !strcmp(h->name, "x") && !h->again
        };
}

static const struct rpc_hooks hooks = { .ctx = &w,
                                        .on_up = on_up,
                                        .on_down = on_down,
                                        .decode = decode,
                                        .drop = drop,
                                        .on_data = on_data,
                                        .on_ack = on_ack,
                                        .on_refused = on_refused,
                                        .on_hello = on_hello };

/* ---- What goes out ---- */

static void on_opened(size_t number, size_t place)
{
    (void)place;
    memset(&w.seen[number], 0, sizeof w.seen[number]);
}

static void check_frame(struct seen *s, const Tw__Frame *f)
{
    CHECK(!s->bye); /* nothing after the last word */
    switch (f->kind) {
    case TW__FRAME_KIND__FRAME_HELLO:
        CHECK(!s->welcomed);
        break;
    case TW__FRAME_KIND__FRAME_HELLO_OK:
        CHECK(w.server && !s->welcomed);
        s->welcomed = true;
        w.welcomes++;
        break;
    case TW__FRAME_KIND__FRAME_GOAWAY:
        CHECK(f->status);
        s->bye = true;
        break;
    case TW__FRAME_KIND__FRAME_REPLY:
        CHECK(f->id % 2 == w.server);
        if (f->id < IDS_MAX) {
            CHECK(s->replies[f->id]);
            s->replies[f->id]--;
        }
        break;
    case TW__FRAME_KIND__FRAME_REQUEST:
    case TW__FRAME_KIND__FRAME_CANCEL:
        CHECK(f->id && f->id % 2 != w.server);
        break;
    default:
        break;
    }
    CHECK(f->kind <= TW__FRAME_KIND__FRAME_HELLO_OK || f->kind == TW__FRAME_KIND__FRAME_GOAWAY || !w.server ||
          s->welcomed);
}

static void on_out(struct conn *c, size_t number, const uint8_t *data, size_t len)
{
    struct tw_err err = { 0 };
    struct arena *a;
    size_t n;

    (void)c;
    CHECK(arena_new(2 * RPC_MAX_FRAME, &a) == TW_OK);
    for (; len; data += n, len -= n) {
        Tw__Frame *f = NULL;

        CHECK(rpc_frame_cut(data, len, RPC_MAX_FRAME, &n) == TW_OK);
        CHECK(rpc_frame_unpack(data + RPC_FRAME_HEADER, n - RPC_FRAME_HEADER, a, &f, &err) == TW_OK);
        check_frame(&w.seen[number], f);
        arena_reset(a);
    }
    arena_free(a);
}

/* ---- What comes in ---- */

static void feed_frame(struct conn *c, const Tw__Frame *f, const ProtobufCMessage *body)
{
    size_t n = rpc_frame_size(f, body);
    uint8_t *buf = malloc(n);

    CHECK(buf);
    rpc_frame_pack(f, body, buf);
    fake_net_feed(c, buf, n);
    free(buf);
}

static void note_request(size_t number, const Tw__Frame *f)
{
    if (f->kind == TW__FRAME_KIND__FRAME_REQUEST && f->id < IDS_MAX &&
        w.seen[number].replies[f->id] < UINT8_MAX)
        w.seen[number].replies[f->id]++;
}

/* One octet each for what matters; big numbers only sometimes. */
static void feed_any(struct conn *c, size_t number)
{
    Tw__Frame f = TW__FRAME__INIT;
    const uint8_t *body;
    char detail[] = "said by the peer";

    f.kind = (Tw__FrameKind)(octet() % 12);
    f.id = octet();
    f.method = (uint32_t)octet() << 8;
    f.method |= octet();
    f.status = (Tw__Status)(octet() % 18);
    f.deadline_ms = octet() * 100u;
    f.through_seq = octet();
    f.window = octet();
    if (f.status)
        f.detail = detail;
    f.body.len = octets(&body);
    f.body.data = (uint8_t *)body;
    note_request(number, &f);
    feed_frame(c, &f, NULL);
}

static void hello_of_agent(Tw__ClientHello *m, struct hello_id *id, uint8_t sig[IDENTITY_SIG_LEN])
{
    struct hello_server server = { .version = 1 };
    struct hello_channel ch = { .tls = false };

    memset(server.nonce, 0x5a, sizeof server.nonce);
    memcpy(id->boot_id, boot_id, sizeof id->boot_id);
    memcpy(id->spool_id, spool_id, sizeof id->spool_id);
    identity_public(identity, id->public_key);
    CHECK(hello_make_client(id, id->role == TW__ROLE__ROLE_AGENT ? identity : NULL, &server, &ch, sig, m) ==
          TW_OK);
}

static void feed_hello(struct conn *c, uint8_t how)
{
    static const char *const names[] = { "ams", "refused", "bad name", "x" };
    static const Tw__Role roles[] = { TW__ROLE__ROLE_AGENT, TW__ROLE__ROLE_OPERATOR, TW__ROLE__ROLE_JOINER,
                                      TW__ROLE__ROLE_AGENT };
    Tw__Frame f = TW__FRAME__INIT;
    Tw__ClientHello m;
    struct hello_id id = { .role = roles[how & 3] };
    uint8_t sig[IDENTITY_SIG_LEN];

    f.kind = TW__FRAME_KIND__FRAME_HELLO;
    snprintf(id.name, sizeof id.name, "%s", names[(how >> 2) & 3]);
    snprintf(id.software, sizeof id.software, "test");
    hello_of_agent(&m, &id, sig);
    if ((how & 0x70) == 0x70) /* a proof of somebody else */
        sig[how >> 7] ^= 1;
    feed_frame(c, &f, &m.base);
}

static void feed_welcome(struct conn *c, uint8_t how)
{
    Tw__Frame f = TW__FRAME__INIT;
    Tw__ServerHello h = TW__SERVER_HELLO__INIT;
    Tw__HelloOk ok = TW__HELLO_OK__INIT;
    uint8_t nonce[HELLO_NONCE_LEN] = { how };
    char name[] = "controller";

    f.kind = how & 1 ? TW__FRAME_KIND__FRAME_HELLO_OK : TW__FRAME_KIND__FRAME_HELLO;
    h.version_min = h.version_max = 1;
    h.nonce = (ProtobufCBinaryData){ sizeof nonce - (how >> 7), nonce };
    h.controller = name;
    ok.version = 1;
    ok.approved = true;
    f.window = how;
    feed_frame(c, &f, how & 1 ? &ok.base : &h.base);
}

/* ---- What we do ---- */

static void call_done(const ProtobufCMessage *reply, void *ctx)
{
    int *done = ctx;
    struct rpc_result r = rpc_result();

    CHECK(++*done == 1 && r.detail);
    CHECK(reply ? r.status == TW__STATUS__STATUS_OK && r.answered : r.status || r.answered);
    w.ended++;
}

static void call_peer(uint8_t how)
{
    Tw__LiveRequest live = TW__LIVE_REQUEST__INIT;
    Tw__AckRequest ack = TW__ACK_REQUEST__INIT;
    struct rpc_peer *p;

    if (!w.n_up || w.calls == CALLS_MAX)
        return;
    p = w.up[how % w.n_up];
    if (w.server) {
        ProtobufCService *s = rpc_peer_service(p, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, how * 100u);
        s->invoke(s, 1, &live.base, call_done, &w.done[w.calls++]);
    } else {
        ProtobufCService *s =
            rpc_peer_service(p, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, how * 100u);
        s->invoke(s, 1, &ack.base, call_done, &w.done[w.calls++]);
    }
}

static void say(uint8_t how)
{
    Tw__SummaryBatch batch = TW__SUMMARY_BATCH__INIT;
    const struct rpc_ahead ahead = { 16, how, { { { 1u + how, 300 }, { 400, 400 } }, 2 } };
    struct rpc_peer *p;

    if (!w.n_up)
        return;
    p = w.up[how % w.n_up];
    if (how & 0x40)
        rpc_peer_send_data(p, &batch.base);
    else if (how & 0x20)
        rpc_peer_close(p, TW__STATUS__STATUS_UNAVAILABLE, how & 0x10 ? NULL : "go");
    else
        rpc_peer_send_ack(p, how, how & 8 ? &ahead : NULL, how, (Tw__Status)(how % 17), "so far");
}

static void on_raw(struct conn *c)
{
    const uint8_t *raw;
    size_t n = octets(&raw), number = 0;

    while (fake_net_conn(number) != c)
        number++;
    memset(w.seen[number].replies, UINT8_MAX, sizeof w.seen[number].replies); /* who knows what it asks */
    fake_net_feed(c, raw, n);
}

static void step(void)
{
    uint8_t what = octet(), arg = octet();
    size_t number = arg % FAKE_CONNS;
    struct conn *c = fake_net_conn(number);

    switch (what % 12) {
    case 0:
        if (fake_net_connect(0, arg & 0x80 ? 1 : 0) && !(arg & 0x80))
            w.accepted++;
        break;
    case 1:
        if (c && w.server)
            feed_hello(c, octet());
        else if (c)
            feed_welcome(c, octet());
        break;
    case 2:
    case 3:
    case 4:
        if (c)
            feed_any(c, number);
        break;
    case 5:
        if (c)
            on_raw(c);
        break;
    case 6:
        if (w.server && (arg & 1))
            rpc_server_ask_again(w.s);
        fake_loop_advance(w.loop, arg * TW_NS_PER_S / 4);
        return;
    case 7:
        if (c)
            fake_net_fail(c, arg & 0x80 ? TW_ETIMEOUT : TW_EIO);
        break;
    case 8:
        call_peer(arg);
        break;
    case 9:
        answer_one(arg);
        break;
    case 10:
        say(arg);
        break;
    default:
        if (c)
            fake_net_clog(c, arg & 0x80);
    }
    if (!(what & 0x80)) /* else several things happen at once */
        fake_loop_run(w.loop);
}

/* ---- Beginning and end ---- */

static void start(uint8_t how)
{
    struct tw_err err = { 0 };
    struct rpc_server_conf s = { .loop = w.loop,
                                 .url = "ipc:///fuzz",
                                 .name = "fuzz",
                                 .agents = how & 2,
                                 .operators = how & 4,
                                 .joiners = how & 8,
                                 .strangers = RPC_SERVICE_BIT(RPC_JOIN),
                                 .services = of_server,
                                 .n_services = TW_NELEM(of_server),
                                 .hooks = hooks,
                                 .max_peers = how & 16 ? 2 : 0,
                                 .max_handshakes = 3,
                                 .max_joiners = 2 };
    struct rpc_client_conf c = { .loop = w.loop,
                                 .url = "ipc:///fuzz",
                                 .role = how & 2 ? TW__ROLE__ROLE_OPERATOR : TW__ROLE__ROLE_AGENT,
                                 .name = "ams",
                                 .software = "fuzz",
                                 .boot_id = boot_id,
                                 .spool_id = spool_id,
                                 .identity = identity,
                                 .services = of_client,
                                 .n_services = TW_NELEM(of_client),
                                 .hooks = hooks };

    if (w.server)
        CHECK(rpc_server_start(&s, &w.s, &err) == TW_OK);
    else
        CHECK(rpc_client_start(&c, &w.c, &err) == TW_OK);
    fake_loop_run(w.loop);
}

static void check_server(void)
{
    struct rpc_failure failures[RPC_FAILURES_KEPT + 1];
    const struct rpc_side *side = (const struct rpc_side *)w.s; /* its first member */
    struct rpc_counters n;
    size_t kept;

    rpc_server_counters(w.s, &n);
    CHECK(n.accepted == w.accepted && n.peers == w.n_up && side->n_up == w.n_up);
    CHECK(n.accepted == n.handshakes_failed + n.handshakes_timed_out + n.handshakes_evicted +
                            side->n_handshakes + w.welcomes);
    CHECK(side->n_handshakes <= 3 && side->n_joiners <= 3);
    kept = rpc_server_failures(w.s, failures, TW_NELEM(failures));
    CHECK(kept <= RPC_FAILURES_KEPT);
    for (size_t i = 0; i < kept; i++)
        CHECK(failures[i].times && failures[i].first_ns <= failures[i].last_ns &&
              memchr(failures[i].reason, 0, sizeof failures[i].reason));
}

static void stop(void)
{
    if (w.s)
        rpc_server_stop(w.s);
    else
        rpc_client_stop(w.c);
    CHECK(w.n_up == 0 && fake_net_clean());
    while (w.n_asked) /* those whose peers have gone are answered all the same */
        answer_one(w.n_asked & 1 ? 0x83 : 0);
    CHECK(w.ended == w.calls && w.made == w.taken);
    CHECK(fake_loop_timers(w.loop) == 0);
}

static void set_up(void)
{
    char path[] = "/tmp/tw-fuzz-XXXXXX", file[64];
    struct tw_err err = { 0 };

    if (identity)
        return;
    log_init("fuzz", LOG_ERROR_, LOG_TEXT);
    CHECK(mkdtemp(path));
    snprintf(file, sizeof file, "%s/key", path);
    CHECK(identity_load(file, &identity, &err) == TW_OK);
    unlink(file);
    rmdir(path);
    fake_net_opened = on_opened;
    fake_net_out = on_out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t how;

    set_up();
    fake_loop_reset_clock();
    memset(&w, 0, sizeof w);
    w.p = data;
    w.end = data + size;
    how = octet();
    w.server = how & 1;
    CHECK(loop_new(&w.loop) == TW_OK);
    start(how);
    for (unsigned n = 0; n < 200 && w.p < w.end; n++)
        step();
    fake_loop_run(w.loop);
    if (w.server)
        check_server();
    stop();
    loop_free(w.loop);
    return 0;
}
