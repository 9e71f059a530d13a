/* An agent whose controller is hostile: every method of FleetAgent with any request, any answer to what the
 * agent asks, any acknowledgement, and connections that come and go. Each call of the controller is answered
 * once; no session goes where the agent may not send, or beyond its limits, whatever it is told; the spool's
 * numbers go out in order, and nothing keeps the agent from stopping.
 *
 * Input: u8 flags, then records of { u8 what, u8 which }: octets of a message (pb_make.h), or as they are. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/frozen.h"
#include "agent/ondemand.h"
#include "agent/recorder.h"
#include "agent/schedule_merge.h"
#include "agent/schedule_run.h"
#include "agent/uplink.h"
#include "common/log.h"
#include "common/net/now.h"
#include "common/net/rpc_frame.h"
#include "common/net/rpc_hello.h"
#include "common/net/summary_pb.h"
#include "common/prefix.h"
#include "common/times.h"
#include "db/spool.h"
#include "fleet.pb-c.h"
#include "measure.pb-c.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fake_loop.h"
#include "tests/fuzz/fake_net.h"
#include "tests/fuzz/fake_worker.h"
#include "tests/fuzz/pb_make.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum tw_rc __wrap_identity_random(uint8_t *buf, size_t len);

enum {
    CALLS_MAX = 64,
    ASKED_MAX = 64,
    BODY_MAX = 32768,
    STEPS_MAX = 60,
    WORKERS = 2,
    RECORDS = 12,
    SESSIONS_MAX = 20,
    PPS_MAX = 2000
};

struct call {
    uint64_t id;
    unsigned method;
    bool answered;
};

struct asked {
    uint64_t id;
    uint32_t method;
};

static struct play {
    struct loop *loop;
    struct worker *workers[WORKERS];
    struct spool *spool;
    struct schedule_run *schedule;
    struct ondemand *ondemand;
    struct frozen *frozen;
    struct recorder *recorder;
    struct uplink *uplink;
    struct pb_make in;
    struct call calls[CALLS_MAX];
    struct asked asked[ASKED_MAX];
    size_t n_calls, n_asked;
    uint64_t next_id, sent_through;
    Tw__ScheduleRequest *last; /* that was applied */
    struct schedule_parts parts;
} w;

static char dir[64];
static struct identity *identity;
static struct tw_prefix fence; /* 10.0.0.0/8 */

static const char *const words[] = { "10.0.0.2", "core",        "voice",     "",
                                     "fra",      "10.0.0.3",    "192.0.2.1", "10.255.255.255",
                                     "key1",     "lo",          "a host",    "host.example.net",
                                     "because",  "2001:db8::1", "127.0.0.1", "10.0.0.2" };

enum tw_rc __wrap_identity_random(uint8_t *buf, size_t len)
{
    memset(buf, 0x5a, len);
    return TW_OK;
}

static uint8_t octet(void)
{
    return pb_make_octet(&w.in);
}

/* ---- The agent, as main.c wires it ---- */

/* As agent/results.c does: named, and into the spool. */
static void keep_summary(const struct tw_summary *s)
{
    struct spool_record rec;
    Tw__Summary *m = NULL;
    uint8_t packed[8192];
    struct arena *a;
    uint64_t first;

    CHECK(arena_new(1 << 20, &a) == TW_OK && summary_to_pb(s, a, &m) == TW_OK);
    ondemand_note(w.ondemand, s);
    if (!ondemand_name(w.ondemand, m))
        schedule_run_name(w.schedule, m);
    rec = (struct spool_record){ packed, tw__summary__get_packed_size(m) };
    CHECK(rec.len <= sizeof packed);
    tw__summary__pack(m, packed);
    arena_free(a);
    CHECK(spool_append(w.spool, tw_wall_now().ns, &rec, 1, &first) == TW_OK);
    if (w.uplink)
        uplink_kick(w.uplink);
}

static void take_summaries(void)
{
    struct tw_summary s;

    summary_init(&s);
    for (size_t i = 0; i < WORKERS; i++)
        while (worker_next_summary(w.workers[i], &s) == TW_OK)
            keep_summary(&s);
    summary_free(&s);
}

static void on_results(void *ctx)
{
    struct worker_notice n;

    (void)ctx;
    take_summaries();
    for (size_t i = 0; i < WORKERS; i++)
        while (worker_next_notice(w.workers[i], &n) == TW_OK)
            if (!ondemand_notice(w.ondemand, &n))
                schedule_run_notice(w.schedule, &n);
    if (w.recorder)
        recorder_on_results(w.recorder);
}

static void on_applied(void *ctx)
{
    (void)ctx;
    if (w.uplink)
        uplink_send_ack(w.uplink);
}

static void on_summary(void *ctx, const struct tw_summary *s)
{
    struct tw_err err = { 0 };

    (void)ctx;
    CHECK(summary_validate(s, &err) == TW_OK);
}

static enum tw_rc apply(const Tw__ScheduleRequest *rq, struct tw_err *err)
{
    enum tw_rc rc = schedule_run_apply(w.schedule, rq, err);
    size_t len = tw__schedule_request__get_packed_size(rq);
    uint8_t *packed;

    if (rc != TW_OK)
        return rc;
    packed = malloc(len + 1);
    CHECK(packed);
    tw__schedule_request__pack(rq, packed);
    if (w.last)
        tw__schedule_request__free_unpacked(w.last, NULL);
    w.last = tw__schedule_request__unpack(NULL, len, packed);
    free(packed);
    CHECK(w.last);
    ondemand_on_schedule(w.ondemand);
    return TW_OK;
}

static enum tw_rc on_schedule(void *ctx, const Tw__ScheduleRequest *rq, struct tw_err *err)
{
    Tw__ScheduleRequest *whole = NULL;
    enum tw_rc rc;

    (void)ctx;
    if (!schedule_is_part(rq))
        schedule_parts_drop(&w.parts);
    if (!schedule_is_part(rq) && !rq->base_digest.len)
        return apply(rq, err);
    rc = schedule_is_part(rq) ? schedule_parts_take(&w.parts, rq, &whole, err)
                              : schedule_merge(w.last, rq, &whole, err);
    if (rc == TW_EAGAIN)
        return TW_OK;
    if (rc == TW_OK) {
        rc = apply(whole, err);
        tw__schedule_request__free_unpacked(whole, NULL);
    }
    return rc;
}

static void on_unwanted(void *ctx, const char *why)
{
    (void)ctx;
    CHECK(why);
    ondemand_end_all(w.ondemand, why);
}

static void on_wanted(void *ctx)
{
    (void)ctx;
}

static void fill_health(void *ctx, Tw__HealthReport *h)
{
    (void)ctx;
    ondemand_fill_health(w.ondemand, h);
    recorder_fill_health(w.recorder, h);
}

static void fill_threads(void *ctx, struct thread_list *l)
{
    (void)ctx;
    CHECK(l);
}

static void collect(void *ctx)
{
    (void)ctx;
    take_summaries();
}

static void fill_spool(void)
{
    Tw__Summary s = TW__SUMMARY__INIT;
    uint8_t packed[256];
    struct spool_record rec[RECORDS];
    uint64_t first;

    s.pair_id = 1;
    s.start_ns = tw_wall_now().ns - 20 * TW_NS_PER_S;
    s.end_ns = s.start_ns + 10 * TW_NS_PER_S;
    s.status = TW_STATUS_ALL_LOST;
    s.sent = s.lost_unknown = 10;
    for (size_t i = 0; i < RECORDS; i++)
        rec[i] = (struct spool_record){ packed, tw__summary__get_packed_size(&s) };
    tw__summary__pack(&s, packed);
    rec[5].len = 3; /* one that cannot be read */
    CHECK(spool_append(w.spool, tw_wall_now().ns, rec, RECORDS, &first) == TW_OK);
}

static struct {
    uint8_t *octets;
    size_t len;
} spool_file; /* as each input finds it */

static void spool_path(char ret[96])
{
    snprintf(ret, 96, "%s/spool.db", dir);
}

static void open_spool(void)
{
    struct tw_err err = { 0 };
    char path[96];

    spool_path(path);
    CHECK(spool_open(&(struct spool_cfg){ .path = path }, &w.spool, &err) == TW_OK);
}

static void write_spool(void)
{
    char path[96];
    int fd;

    spool_path(path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, spool_file.octets, spool_file.len) == (ssize_t)spool_file.len);
    close(fd);
}

/* Once: migrations take longer than most inputs. */
static void make_spool(void)
{
    char path[96];
    off_t len;
    int fd;

    open_spool();
    fill_spool();
    spool_close(w.spool);
    spool_path(path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    len = lseek(fd, 0, SEEK_END);
    CHECK(fd >= 0 && len > 0);
    spool_file.len = (size_t)len;
    spool_file.octets = malloc(spool_file.len);
    CHECK(spool_file.octets && pread(fd, spool_file.octets, spool_file.len, 0) == len);
    close(fd);
}

static void start_recorder(void)
{
    CHECK(frozen_new(&(struct frozen_conf){ .loop = w.loop, .spool = w.spool, .max_octets = 1u << 20 },
                     &w.frozen) == TW_OK);
    CHECK(recorder_new(&(struct recorder_conf){ .loop = w.loop,
                                                .workers = w.workers,
                                                .n_workers = WORKERS,
                                                .frozen = w.frozen,
                                                .recording = true },
                       &w.recorder) == TW_OK);
}

static void stop_recorder(void)
{
    recorder_free(w.recorder);
    w.recorder = NULL;
    frozen_free(w.frozen);
}

static void start(void)
{
    static char name[] = "ams", address[] = "10.0.0.1", *addresses[] = { address };
    static const char *const url = "ipc:///fuzz";
    static Tw__EnrolRequest enrolment = TW__ENROL_REQUEST__INIT;
    struct tw_err err = { 0 };

    enrolment.addresses = addresses;
    enrolment.n_addresses = 1;
    CHECK(loop_new(&w.loop) == TW_OK);
    for (size_t i = 0; i < WORKERS; i++)
        w.workers[i] = fake_worker_new(w.loop, on_results, NULL, &fence);
    open_spool();
    CHECK(schedule_run_new(&(struct schedule_run_conf){ .loop = w.loop,
                                                        .workers = w.workers,
                                                        .n_workers = WORKERS,
                                                        .limits = { SESSIONS_MAX, PPS_MAX, 1000000000 },
                                                        .targets = { &fence, 1 },
                                                        .on_summary = on_summary,
                                                        .on_applied = on_applied },
                           &w.schedule) == TW_OK);
    CHECK(ondemand_new(&(struct ondemand_conf){ .loop = w.loop,
                                                .workers = w.workers,
                                                .n_workers = WORKERS,
                                                .schedule = w.schedule,
                                                .recording = true,
                                                .collect = collect },
                       &w.ondemand) == TW_OK);
    start_recorder();
    CHECK(uplink_start(&(struct uplink_conf){ .loop = w.loop,
                                              .urls = &url,
                                              .n_urls = 1,
                                              .name = name,
                                              .identity = identity,
                                              .spool = w.spool,
                                              .schedule = w.schedule,
                                              .workers = w.workers,
                                              .n_workers = WORKERS,
                                              .recorder = w.recorder,
                                              .ondemand = w.ondemand,
                                              .enrolment = &enrolment,
                                              .on_schedule = on_schedule,
                                              .on_unwanted = on_unwanted,
                                              .on_wanted = on_wanted,
                                              .fill_health = fill_health,
                                              .fill_threads = fill_threads },
                       &w.uplink, &err) == TW_OK);
    fake_loop_run(w.loop);
}

static void stop(void)
{
    uplink_stop(w.uplink);
    w.uplink = NULL;
    stop_recorder();
    ondemand_free(w.ondemand);
    schedule_run_free(w.schedule);
    schedule_parts_drop(&w.parts);
    if (w.last)
        tw__schedule_request__free_unpacked(w.last, NULL);
    w.last = NULL;
    for (size_t i = 0; i < WORKERS; i++)
        fake_worker_free(w.workers[i]);
    spool_close(w.spool);
    CHECK(fake_net_clean() && fake_loop_timers(w.loop) == 0);
    loop_free(w.loop);
}

/* ---- What the agent sends ---- */

static void check_answer(const Tw__Frame *f)
{
    for (size_t i = 0; i < w.n_calls; i++) {
        struct call *c = &w.calls[i];
        ProtobufCMessage *m;

        if (c->id != f->id)
            continue;
        CHECK(!c->answered);
        c->answered = true;
        if (f->status) {
            CHECK(f->detail[0]);
            return;
        }
        m = protobuf_c_message_unpack(tw__fleet_agent__descriptor.methods[c->method].output, NULL,
                                      f->body.len, f->body.data);
        CHECK(m);
        protobuf_c_message_free_unpacked(m, NULL);
        return;
    }
}

static void check_batch(const Tw__Frame *f)
{
    Tw__SummaryBatch *b = tw__summary_batch__unpack(NULL, f->body.len, f->body.data);

    CHECK(b && b->first_seq && (b->n_summaries || b->gap));
    CHECK(!b->gap || (b->gap->first_seq <= b->gap->last_seq && b->gap->reason[0]));
    tw__summary_batch__free_unpacked(b, NULL);
}

static void on_out(struct conn *c, size_t number, const uint8_t *data, size_t len)
{
    struct tw_err err = { 0 };
    struct arena *a;
    size_t n;

    (void)c;
    (void)number;
    CHECK(arena_new(2 * RPC_MAX_FRAME, &a) == TW_OK);
    for (; len; data += n, len -= n) {
        Tw__Frame *f = NULL;

        CHECK(rpc_frame_cut(data, len, RPC_MAX_FRAME, &n) == TW_OK);
        CHECK(rpc_frame_unpack(data + RPC_FRAME_HEADER, n - RPC_FRAME_HEADER, a, &f, &err) == TW_OK);
        if (f->kind == TW__FRAME_KIND__FRAME_REPLY)
            check_answer(f);
        else if (f->kind == TW__FRAME_KIND__FRAME_DATA)
            check_batch(f);
        else if (f->kind == TW__FRAME_KIND__FRAME_REQUEST && w.n_asked < ASKED_MAX)
            w.asked[w.n_asked++] = (struct asked){ f->id, f->method };
        arena_reset(a);
    }
    arena_free(a);
}

/* ---- What the controller sends ---- */

static struct conn *connection(void)
{
    for (size_t i = 0; i < FAKE_CONNS; i++)
        if (fake_net_conn(i))
            return fake_net_conn(i);
    return NULL;
}

static void feed(const Tw__Frame *f, const ProtobufCMessage *body)
{
    size_t n = rpc_frame_size(f, body);
    struct conn *c = connection();
    uint8_t *buf = malloc(n);

    CHECK(buf);
    rpc_frame_pack(f, body, buf);
    if (c)
        fake_net_feed(c, buf, n);
    free(buf);
}

/* What is durable beyond through_seq; also what makes no sense. */
struct ahead_room {
    Tw__Ahead m;
    Tw__SeqSpan span[20], *list[20];
};

static Tw__Ahead *any_ahead(struct ahead_room *r)
{
    uint64_t seq = octet() % 40;

    r->m = (Tw__Ahead)TW__AHEAD__INIT;
    r->m.max = octet() % 20;
    r->m.backlog_per_s = octet();
    r->m.n_spans = octet() % 20;
    r->m.spans = r->list;
    for (size_t i = 0; i < r->m.n_spans; i++) {
        uint8_t step = octet();

        r->list[i] = &r->span[i];
        *r->list[i] = (Tw__SeqSpan)TW__SEQ_SPAN__INIT;
        r->span[i].first = seq += step % 16;
        r->span[i].last = seq += step / 16;
        seq += step != 255;
    }
    return &r->m;
}

static void welcome(uint8_t how)
{
    struct ahead_room room;
    Tw__Frame f = TW__FRAME__INIT;
    Tw__ServerHello h = TW__SERVER_HELLO__INIT;
    Tw__HelloOk ok = TW__HELLO_OK__INIT;
    uint8_t nonce[HELLO_NONCE_LEN] = { 0 };
    char name[] = "controller";

    if (!connection() && !fake_net_connect(0, 0))
        fake_loop_advance(w.loop, 40 * TW_NS_PER_S); /* it will dial again */
    fake_loop_run(w.loop);
    w.n_asked = w.n_calls = 0; /* those of another connection are over */
    f.kind = TW__FRAME_KIND__FRAME_HELLO;
    h.version_min = h.version_max = 1;
    h.nonce = (ProtobufCBinaryData){ sizeof nonce, nonce };
    h.controller = name;
    feed(&f, &h.base);
    fake_loop_run(w.loop);
    f.kind = TW__FRAME_KIND__FRAME_HELLO_OK;
    ok.version = 1;
    ok.approved = !(how & 1);
    f.window = how & 2 ? 3 : 100;
    f.through_seq = how >> 3;
    if (how & 4)
        ok.ahead = any_ahead(&room);
    feed(&f, &ok.base);
}

static size_t body(const ProtobufCMessageDescriptor *d, uint8_t *out, bool raw)
{
    size_t n;

    if (!raw)
        return pb_make(&w.in, d, out, BODY_MAX);
    n = octet();
    n = n < (size_t)(w.in.end - w.in.p) ? n : (size_t)(w.in.end - w.in.p);
    memcpy(out, w.in.p, n);
    w.in.p += n;
    return n;
}

static void call(unsigned method, const uint8_t *data, size_t len)
{
    Tw__Frame f = TW__FRAME__INIT;

    if (w.n_calls == CALLS_MAX || !connection())
        return;
    w.next_id += 2;
    w.calls[w.n_calls++] = (struct call){ w.next_id, method, false };
    f.kind = TW__FRAME_KIND__FRAME_REQUEST;
    f.id = w.next_id;
    f.method = RPC_FLEET_AGENT * 256 + method;
    f.body = (ProtobufCBinaryData){ len, (uint8_t *)data };
    feed(&f, NULL);
}

static void call_any(uint8_t which, bool raw)
{
    const ProtobufCServiceDescriptor *d = &tw__fleet_agent__descriptor;
    unsigned method = which % d->n_methods;
    uint8_t out[BODY_MAX];

    call(method, out, body(d->methods[method].input, out, raw));
}

static void fill_good(Tw__SessionSpec *p, uint8_t i)
{
    p->pair_id = 1 + i % 32;
    p->flow = i >> 5;
    p->mesh = (char *)"core";
    p->class_name = (char *)"voice";
    p->target = (char *)"fra";
    p->address = (char *)words[octet() % TW_NELEM(words)];
    p->port = 862;
    p->spacing_ns = (1 + octet()) * TW_NS_PER_MS;
    p->size_bytes = 100u + octet();
    p->ttl = 64;
    p->timeout_ns = TW_NS_PER_S;
    p->report_period_ns = 10 * TW_NS_PER_S;
    p->protocol = (Tw__Protocol)(octet() % 4);
}

/* One that a good controller might send, but for some of what is in it. */
static void call_schedule(uint8_t which)
{
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;
    Tw__SessionSpec specs[16], *list[16];
    uint8_t digest[32], base[32], out[BODY_MAX];
    size_t n = which % 17;

    memset(digest, octet(), sizeof digest);
    memset(base, octet(), sizeof base);
    for (size_t i = 0; i < n; i++) {
        tw__session_spec__init(&specs[i]);
        fill_good(&specs[i], octet());
        list[i] = &specs[i];
    }
    rq.generation = which;
    rq.digest = (ProtobufCBinaryData){ sizeof digest, digest };
    if (which & 0x80) {
        rq.base_digest = (ProtobufCBinaryData){ sizeof base, base };
        rq.added = list;
        rq.n_added = n;
        rq.total = (uint32_t)n;
    } else {
        rq.sessions = list;
        rq.n_sessions = n;
        rq.more = which & 0x40;
        rq.part = which & 0x20 ? 1 : 0;
        rq.total = which & 0x60 ? (uint32_t)(2 * n) : 0;
    }
    call(0, out, tw__schedule_request__pack(&rq, out));
}

/* Sessions that run now and then: every few seconds, or once, a moment from now. */
static size_t some_rule(uint8_t which, uint8_t *out, size_t cap)
{
    struct tw_err err = { 0 };
    struct times *t;
    size_t len;

    CHECK(times_new(&t) == TW_OK);
    t->kind = which & 1 ? TIMES_INTERVAL : TIMES_ONCE;
    t->every_ns = (30 + which % 8) * TW_NS_PER_S;
    t->at_ns = tw_wall_now().ns / TW_NS_PER_S * TW_NS_PER_S + (which >> 4) * TW_NS_PER_S;
    if (which & 2)
        t->count = 20;
    else
        t->for_ns = (2 + which % 16) * TW_NS_PER_S;
    CHECK(times_compile(t, &err) == TW_OK && times_pack(t, out, cap, &len) == TW_OK);
    times_unref(t);
    return len;
}

static void call_timed(uint8_t which)
{
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;
    Tw__TimesRule rule = TW__TIMES_RULE__INIT, *rules = &rule;
    Tw__SessionSpec specs[4], *list[4];
    uint8_t packed[TIMES_PACKED_MAX], digest[32], out[BODY_MAX];

    memset(digest, which, sizeof digest);
    for (uint8_t i = 0; i < 4; i++) {
        tw__session_spec__init(&specs[i]);
        fill_good(&specs[i], i);
        specs[i].times_id = i < 3 ? 1 : 0;
        specs[i].times_phase_ns = (int64_t)i * TW_NS_PER_S;
        list[i] = &specs[i];
    }
    rule.id = 1;
    rule.rule = (ProtobufCBinaryData){ some_rule(which, packed, sizeof packed), packed };
    rq.generation = which;
    rq.digest = (ProtobufCBinaryData){ sizeof digest, digest };
    rq.times = &rules;
    rq.n_times = 1;
    rq.sessions = list;
    rq.n_sessions = 4;
    call(0, out, tw__schedule_request__pack(&rq, out));
}

static void call_test(uint8_t which)
{
    Tw__TestRunRequest rq = TW__TEST_RUN_REQUEST__INIT;
    Tw__SessionSpec spec = TW__SESSION_SPEC__INIT;
    uint8_t out[BODY_MAX];

    fill_good(&spec, which);
    spec.flow = 0;
    rq.test_id = 1 + which % 4;
    rq.spec = &spec;
    rq.flows = octet() % 5;
    rq.count = octet();
    rq.duration_ns = octet() % 3 * TW_NS_PER_S;
    rq.lease_ns = (1 + octet() % 30) * TW_NS_PER_S;
    rq.packets = which & 0x80;
    for (unsigned i = 0; i < tw__fleet_agent__descriptor.n_methods; i++)
        if (!strcmp(tw__fleet_agent__descriptor.methods[i].name, "TestStart"))
            call(i, out, tw__test_run_request__pack(&rq, out));
}

/* ---- What a good controller asks of what runs ---- */

static void call_named(const char *method, const ProtobufCMessage *m)
{
    const ProtobufCServiceDescriptor *d = &tw__fleet_agent__descriptor;
    uint8_t out[BODY_MAX];

    for (unsigned i = 0; i < d->n_methods; i++)
        if (!strcmp(d->methods[i].name, method))
            call(i, out, protobuf_c_message_pack(m, out));
}

static void call_flight(uint8_t which)
{
    Tw__FlightRequest rq = TW__FLIGHT_REQUEST__INIT;

    rq.pair_id = 1 + which % 32;
    rq.one_flow = which & 0x20;
    rq.flow = which >> 6;
    rq.at_ns = tw_wall_now().ns - octet() * TW_NS_PER_S / 16;
    rq.from_ns = rq.at_ns - octet() * TW_NS_PER_S / 4;
    rq.to_ns = rq.at_ns + octet() * TW_NS_PER_S / 4;
    rq.limit = octet() % 16;
    call_named("Flight", &rq.base);
}

static void call_freeze(uint8_t which)
{
    Tw__FlightFreezeRequest rq = TW__FLIGHT_FREEZE_REQUEST__INIT;
    uint64_t pairs[3] = { 1 + which % 32, 2 + which % 32, 3 };

    rq.pair_ids = pairs;
    rq.n_pair_ids = 1 + which % 3;
    rq.cause = (Tw__FlightCause)(octet() % 3);
    rq.reason = (char *)words[octet() % TW_NELEM(words)];
    rq.at_ns = tw_wall_now().ns;
    rq.from_ns = rq.at_ns - octet() * TW_NS_PER_S / 4;
    rq.to_ns = rq.at_ns + TW_NS_PER_S;
    call_named("FlightFreeze", &rq.base);
}

static void call_progress(uint8_t which)
{
    Tw__TestRunProgressRequest rq = TW__TEST_RUN_PROGRESS_REQUEST__INIT;

    rq.test_id = 1 + which % 4;
    rq.pair_id = 1 + which % 32;
    rq.lease_ns = (1 + octet() % 62) * TW_NS_PER_S;
    rq.packets = which & 0x80;
    rq.packets_from_ns = tw_wall_now().ns - octet() * TW_NS_PER_S / 64;
    call_named("TestProgress", &rq.base);
}

static void call_stop(uint8_t which)
{
    Tw__TestRunStopRequest rq = TW__TEST_RUN_STOP_REQUEST__INIT;

    rq.test_id = 1 + which % 4;
    rq.pair_id = 1 + which % 32;
    call_named("TestStop", &rq.base);
}

/* Measured during an outage, or now. */
static void append_many(uint8_t which)
{
    Tw__Summary s = TW__SUMMARY__INIT;
    struct spool_record rec[128];
    uint8_t packed[256];
    uint64_t first;
    int64_t now_ns = tw_wall_now().ns - (which & 0x80 ? 3600 * TW_NS_PER_S : 0);

    s.pair_id = 1;
    s.start_ns = now_ns - 20 * TW_NS_PER_S;
    s.end_ns = s.start_ns + 10 * TW_NS_PER_S;
    s.status = TW_STATUS_NOT_RUN;
    for (size_t i = 0; i < TW_NELEM(rec); i++)
        rec[i] = (struct spool_record){ packed, tw__summary__pack(&s, packed) };
    for (unsigned i = 0; i < which % 8; i++)
        CHECK(spool_append(w.spool, now_ns, rec, TW_NELEM(rec), &first) == TW_OK);
    uplink_kick(w.uplink);
}

/* The agent starts again, on its own spool; what is kept there of the flight recorder may be damaged. */
static void restart(uint8_t which)
{
    uint8_t some[64];
    size_t n = which & 0x3f;

    stop();
    open_spool();
    for (size_t i = 0; i < n; i++)
        some[i] = octet();
    if (n)
        CHECK(spool_put_value(w.spool, which & 0x40 ? "flight/0" : "flight/7", some, n) == TW_OK);
    spool_close(w.spool);
    w.n_calls = w.n_asked = 0;
    start();
}

static void step_good(uint8_t what, uint8_t which)
{
    switch (what % 16) {
    case 0:
        fake_worker_summary(w.workers[which & 1], which >> 1 & 7, which >> 4);
        break;
    case 1:
        fake_worker_incident(w.workers[which & 1], which >> 1 & 7, which >> 4);
        break;
    case 2:
        call_flight(which);
        break;
    case 3:
        call_freeze(which);
        break;
    case 4:
        call_progress(which);
        break;
    case 5:
        call_stop(which);
        break;
    case 6:
        append_many(which);
        break;
    case 7:
        call_timed(which);
        break;
    default:
        restart(which);
    }
}

static void answer(uint8_t which, bool raw)
{
    const ProtobufCServiceDescriptor *d = &tw__fleet_controller__descriptor;
    Tw__Frame f = TW__FRAME__INIT;
    uint8_t out[BODY_MAX];
    char detail[] = "said by the controller";
    struct asked a;

    if (!w.n_asked)
        return;
    a = w.asked[which % w.n_asked];
    w.asked[which % w.n_asked] = w.asked[w.n_asked - 1];
    w.n_asked--;
    CHECK((a.method & 0xff) < d->n_methods);
    f.kind = TW__FRAME_KIND__FRAME_REPLY;
    f.id = a.id;
    if (which & 0x40) {
        f.status = (Tw__Status)(1 + which % 16);
        f.detail = detail;
    } else {
        f.body.len = body(d->methods[a.method & 0xff].output, out, raw);
        f.body.data = out;
    }
    feed(&f, NULL);
}

static void acknowledge(uint8_t which)
{
    struct ahead_room room;
    Tw__Frame f = TW__FRAME__INIT;
    char detail[] = "not like that";

    f.kind = which & 0x80 ? TW__FRAME_KIND__FRAME_GOAWAY : TW__FRAME_KIND__FRAME_ACK;
    f.through_seq = which & 0x20 ? UINT64_MAX - which : which & 0x1f;
    f.window = octet();
    if (which & 0x40) {
        f.status = (Tw__Status)(1 + octet() % 16);
        f.detail = detail;
    }
    feed(&f, which & 8 ? &any_ahead(&room)->base : NULL);
}

static void step(void)
{
    uint8_t what = octet(), which = octet();
    bool raw = what & 0x80;

    if (what / 16 == 7) {
        step_good(what, which);
        what = 9;
        which = 0;
    }
    switch (what % 10) {
    case 0:
        welcome(which);
        break;
    case 1:
    case 2:
        call_any(which, raw);
        break;
    case 3:
        call_schedule(which);
        break;
    case 4:
        call_test(which);
        break;
    case 5:
        answer(which, raw);
        break;
    case 6:
        acknowledge(which);
        break;
    case 7:
        fake_worker_end_one(w.workers[which & 1], which >> 1, which & 0x80 ? TW_EIO : TW_OK);
        break;
    case 8:
        if (connection())
            fake_net_fail(connection(), TW_EIO);
        break;
    default:
        fake_loop_advance(w.loop, which * TW_NS_PER_S / 4);
    }
    fake_loop_run(w.loop);
    CHECK(fake_worker_sessions(w.workers[0]) + fake_worker_sessions(w.workers[1]) <= SESSIONS_MAX);
}

/* ---- Once in a process ---- */

static void at_end(void)
{
    static const char *const names[] = { "spool.db", "spool.db-wal", "spool.db-shm", "spool.db.lock", "key" };
    char path[128];

    for (size_t i = 0; i < TW_NELEM(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
    identity_free(identity);
    free(spool_file.octets);
}

static void prepare(void)
{
    struct tw_err err = { 0 };
    char path[128];

    log_init("fuzz", LOG_INFO_, LOG_TEXT);
    if (!getenv("TW_FUZZ_LOG"))
        log_to(open("/dev/null", O_WRONLY | O_CLOEXEC));
    snprintf(dir, sizeof dir, "%s/tw-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    CHECK(mkdtemp(dir));
    atexit(at_end);
    snprintf(path, sizeof path, "%s/key", dir);
    CHECK(identity_load(path, &identity, &err) == TW_OK);
    CHECK(tw_prefix_parse("10.0.0.0/8", &fence) == TW_OK);
    fake_net_out = on_out;
    make_spool();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conn *c;
    uint8_t flags;

    if (!identity)
        prepare();
    fake_loop_reset_clock();
    memset(&w, 0, sizeof w);
    w.in = (struct pb_make){ data, data + size, words, TW_NELEM(words), tw_wall_now().ns };
    flags = octet();
    write_spool();
    start();
    if (!(flags & 1))
        welcome(flags);
    fake_loop_run(w.loop);
    for (unsigned n = 0; n < STEPS_MAX && w.in.p < w.in.end; n++)
        step();
    c = connection();
    fake_loop_advance(w.loop, 20 * TW_NS_PER_S);
    for (size_t i = 0; c && c == connection() && i < w.n_calls; i++)
        CHECK(w.calls[i].answered);
    stop();
    return 0;
}
