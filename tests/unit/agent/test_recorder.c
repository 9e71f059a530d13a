/* The loop's side of the flight recorder: what it freezes and how long it keeps it, and what it answers. The
 * worker is real, reflector and sender on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include "agent/recorder.h"
#include "common/log.h"
#include "tests/unit/agent/io/worker_rig.h"

#define MIB ((size_t)1 << 20)

/* ---- Frozen parts ---- */

struct cold {
    char dir[64], path[96];
    struct loop *loop;
    struct spool *spool;
    struct frozen *frozen;
};

static void thaw(struct cold *c, size_t octets)
{
    struct spool_cfg sc = { .path = c->path };
    struct frozen_conf fc = { .loop = c->loop, .max_octets = octets };
    struct tw_err err = { 0 };

    if (spool_open(&sc, &c->spool, &err))
        fail_msg("%s", err.text);
    fc.spool = c->spool;
    assert_int_equal(frozen_new(&fc, &c->frozen), TW_OK);
}

static void stop(struct cold *c)
{
    frozen_free(c->frozen);
    spool_close(c->spool);
}

static struct cold begin(size_t octets)
{
    struct cold c = { .dir = "/tmp/twtest-frozen-XXXXXX" };

    log_init("test", LOG_ERROR_, LOG_TEXT);
    assert_non_null(mkdtemp(c.dir));
    snprintf(c.path, sizeof c.path, "%s/spool.db", c.dir);
    assert_int_equal(loop_new(&c.loop), TW_OK);
    thaw(&c, octets);
    return c;
}

static void end(struct cold *c)
{
    char cmd[96];

    stop(c);
    loop_free(c->loop);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", c->dir);
    assert_int_equal(system(cmd), 0);
}

/* n records about the second `at`, of which every third was lost. */
static enum tw_rc add(struct cold *c, uint64_t pair, int64_t at, Tw__FlightCause cause, size_t n)
{
    static struct flight_record r[FROZEN_PROBES_MAX];
    const struct frozen_part *part;
    struct frozen_part head = { .pair_id = pair, .cause = cause, .reason = "why", .at_ns = at * TW_NS_PER_S };

    for (size_t i = 0; i < n && i < FROZEN_PROBES_MAX; i++)
        r[i] = (struct flight_record){ .t1_ns = at * TW_NS_PER_S + (int64_t)i,
                                       .seq = (uint32_t)i,
                                       .fate = i % 3 ? FLIGHT_RECEIVED : FLIGHT_LOST,
                                       .way = i % 3 ? TW_UNKNOWN : TW_BACKWARD,
                                       .forward_ns = -5,
                                       .flags = flight_flags(i % 3 ? FLIGHT_TIMED | FLIGHT_TOS_BACKWARD
                                                                   : FLIGHT_DECIDED,
                                                             TW_TS_KERNEL, TW_TS_HARDWARE),
                                       .tos_backward = i % 3 ? 184 : 0,
                                       .ttl_forward = 60 };
    return frozen_add(c->frozen, &head, r, n, &part);
}

#define BY_HAND TW__FLIGHT_CAUSE__FLIGHT_CAUSE_COMMAND
#define BY_ITSELF TW__FLIGHT_CAUSE__FLIGHT_CAUSE_LOSS_RUN

static struct frozen_stats stats(const struct cold *c)
{
    struct frozen_stats st;

    frozen_stats(c->frozen, &st);
    return st;
}

static void bounds_are_kept(void **state)
{
    struct cold c = begin(MIB);

    (void)state;
    assert_int_equal(add(&c, 1, 1, BY_HAND, 0), TW_EINVAL);
    assert_int_equal(add(&c, 1, 1, BY_HAND, FROZEN_PROBES_MAX + 1), TW_EINVAL);
    for (int64_t i = 0; i < 20; i++) /* each takes 160 KiB: 6 fit */
        assert_int_equal(add(&c, 1, i, i == 3 ? BY_HAND : BY_ITSELF, FROZEN_PROBES_MAX), TW_OK);
    assert_true(stats(&c).parts == 6 && stats(&c).gave_way == 14 && stats(&c).octets <= MIB);
    assert_int_equal(frozen_at(c.frozen, 0)->at_ns, 3 * TW_NS_PER_S); /* pinned */
    assert_int_equal(frozen_at(c.frozen, 1)->at_ns, 15 * TW_NS_PER_S);
    for (int64_t i = 20; i < 26; i++)
        assert_int_equal(add(&c, 1, i, BY_HAND, FROZEN_PROBES_MAX), TW_OK);
    assert_int_equal(frozen_at(c.frozen, 0)->at_ns, 20 * TW_NS_PER_S); /* pinned by pinned */
    assert_int_equal(add(&c, 1, 30, BY_ITSELF, 10), TW_OK);            /* a little room is left */
    assert_int_equal(add(&c, 1, 31, BY_ITSELF, FROZEN_PROBES_MAX), TW_ENOSPC);
    assert_int_equal(stats(&c).refused, 1);
    end(&c);
}

static void the_same_again_is_replaced(void **state)
{
    struct cold c = begin(MIB);

    (void)state;
    assert_int_equal(add(&c, 1, 5, BY_HAND, 10), TW_OK);
    assert_int_equal(add(&c, 1, 5, BY_ITSELF, 10), TW_OK);
    assert_int_equal(add(&c, 2, 5, BY_HAND, 10), TW_OK);
    assert_int_equal(add(&c, 1, 5, BY_HAND, 20), TW_OK);
    assert_true(stats(&c).parts == 3 && !stats(&c).gave_way);
    assert_true(frozen_at(c.frozen, 2)->n == 20 && !frozen_at(c.frozen, 3));
    end(&c);
}

static void a_restart_loses_nothing(void **state)
{
    struct cold c = begin(4 * MIB);
    const struct frozen_part *p;
    Tw__FlightFrozen m;

    (void)state;
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(add(&c, i, (int64_t)i, i % 2 ? BY_HAND : BY_ITSELF, 100 + i), TW_OK);
    assert_int_equal(add(&c, 3, 3, BY_HAND, 200), TW_OK);
    stop(&c);
    thaw(&c, 4 * MIB);
    assert_true(stats(&c).parts == 20 && !stats(&c).unwritten);
    p = frozen_at(c.frozen, 19); /* the one that was replaced is the newest */
    assert_true(p->pair_id == 3 && p->n == 200 && p->cause == BY_HAND);
    assert_string_equal(p->reason, "why");
    assert_true(p->records[1].fate == FLIGHT_RECEIVED && p->records[1].forward_ns == -5 &&
                p->records[1].tos_backward == 184 && p->records[1].ttl_forward == 60);
    assert_true(p->records[3].fate == FLIGHT_LOST && p->records[3].way == TW_BACKWARD &&
                p->records[3].flags == flight_flags(FLIGHT_DECIDED, TW_TS_KERNEL, TW_TS_HARDWARE));
    frozen_describe(p, &m);
    assert_true(m.lost == 67 && m.probes == 200 && m.first_ns == 3 * TW_NS_PER_S &&
                m.last_ns == 3 * TW_NS_PER_S + 199);
    stop(&c);
    thaw(&c, MIB / 16); /* less room than before */
    assert_true(stats(&c).parts < 20 && stats(&c).octets <= MIB / 16);
    assert_int_equal(stats(&c).parts + stats(&c).gave_way, 20);
    stop(&c);
    thaw(&c, 4 * MIB); /* what gave way is gone from the disk, too */
    assert_true(stats(&c).parts > 0 && stats(&c).parts < 20);
    end(&c);
}

/* Bits rot: what is on the disk is read as any other input is. */
static void what_cannot_be_read_is_left_out(void **state)
{
    static const char rotten[] = "\xff\xff\xff";
    Tw__FlightFrozen m = TW__FLIGHT_FROZEN__INIT;
    Tw__FlightRecord r = TW__FLIGHT_RECORD__INIT, *list[] = { &r };
    struct cold c = begin(MIB);
    uint8_t data[128];
    size_t len;

    (void)state;
    assert_int_equal(add(&c, 1, 1, BY_HAND, 5), TW_OK);
    stop(&c);
    thaw(&c, MIB);
    m.n_records = 1;
    m.records = list;
    r.ttl_forward = 256; /* no octet */
    len = tw__flight_frozen__pack(&m, data);
    assert_int_equal(spool_put_value(c.spool, "flight/7", rotten, 3), TW_OK);
    assert_int_equal(spool_put_value(c.spool, "flight/8", data, len), TW_OK);
    stop(&c);
    thaw(&c, MIB);
    assert_int_equal(stats(&c).parts, 1);
    end(&c);
}

/* ---- Answers ---- */

struct answers {
    unsigned n, failed;
    size_t flows, frozen, records, lost;
    uint64_t total, kept;
    int64_t last_ns;
    bool running, recording, in_order;
};

static void on_flight(const Tw__FlightReply *m, void *ctx)
{
    struct answers *a = ctx;

    *a = (struct answers){
        .n = a->n + 1, .flows = m->n_flows, .frozen = m->n_frozen, .recording = m->recording, .in_order = true
    };
    for (size_t i = 0; i < m->n_flows; i++) {
        const Tw__FlightFlow *f = m->flows[i];
        a->total += f->total;
        a->kept += f->kept;
        a->running = f->running;
        a->records += f->n_records;
        for (size_t k = 0; k < f->n_records; k++) {
            a->lost += f->records[k]->fate == TW__FLIGHT_FATE__FLIGHT_FATE_LOST;
            a->in_order &= f->records[k]->t1_ns > a->last_ns;
            a->last_ns = f->records[k]->t1_ns;
        }
        a->last_ns = 0;
    }
}

static void on_freeze(const Tw__FlightFreezeReply *m, void *ctx)
{
    struct answers *a = ctx;

    *a = (struct answers){ .n = a->n + 1, .frozen = m->n_frozen, .recording = m->recording };
}

static void on_list(const Tw__FlightListReply *m, void *ctx)
{
    struct answers *a = ctx;

    *a = (struct answers){ .n = a->n + 1, .frozen = m->n_frozen };
}

static Tw__FlightRequest everything(uint64_t pair)
{
    Tw__FlightRequest rq = TW__FLIGHT_REQUEST__INIT;

    rq.pair_id = pair;
    rq.to_ns = INT64_MAX;
    return rq;
}

static struct recorder *recorder_of(struct rig *r, struct frozen *frozen)
{
    struct recorder_conf c = {
        .loop = r->loop, .workers = &r->w, .n_workers = 1, .frozen = frozen, .recording = true
    };
    struct recorder *rec;

    assert_int_equal(recorder_new(&c, &rec), TW_OK);
    return rec;
}

static void begin_rig(struct rig *r)
{
    rig_prepare(r);
    r->cfg.flight_probes = 64; /* forgets soon, so that it freezes at once */
    r->cfg.flight_bytes = MIB;
    r->cfg.flight_loss_run = 3;
    rig_go(r);
}

static void a_run_of_losses_is_frozen_and_found(void **state)
{
    struct rig r;
    struct udpsock silent = rig_socket("127.0.0.1");
    struct session_cfg cfg = rig_session(9, 0);
    struct frozen_conf fc = { .max_octets = MIB };
    struct answers a = { 0 };
    struct recorder *rec;
    struct frozen *frozen;
    Tw__FlightRequest rq = everything(9);
    Tw__HealthReport h = TW__HEALTH_REPORT__INIT;

    (void)state;
    begin_rig(&r);
    fc.loop = r.loop;
    assert_int_equal(frozen_new(&fc, &frozen), TW_OK);
    rec = recorder_of(&r, frozen);
    cfg.timeout_ns = 20 * TW_NS_PER_MS;
    assert_int_equal(rig_add(&r, &cfg, &silent.local, 255), TW_OK);
    RIG_WAIT(&r, (recorder_on_results(rec), frozen_at(frozen, 0) != NULL));
    assert_int_equal(frozen_at(frozen, 0)->cause, TW__FLIGHT_CAUSE__FLIGHT_CAUSE_LOSS_RUN);
    assert_int_equal(frozen_at(frozen, 0)->records[0].fate, FLIGHT_LOST);
    recorder_flight(rec, &rq, on_flight, &a); /* ring and part overlap: each probe once */
    assert_true(a.n == 1 && a.flows == 1 && a.frozen == 1 && a.running && a.recording && a.in_order);
    assert_true(a.records == a.total && a.records >= a.kept && a.lost >= 3);
    rq.limit = 5;
    recorder_flight(rec, &rq, on_flight, &a);
    assert_true(a.records == 5 && a.total > 5);
    /* The session goes, what is frozen stays. */
    assert_int_equal(worker_remove(r.w, 9, 0), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    rq = everything(9);
    recorder_flight(rec, &rq, on_flight, &a);
    assert_true(a.flows == 1 && !a.running && !a.kept && a.records == frozen_at(frozen, 0)->n);
    recorder_list(rec, on_list, &a);
    assert_int_equal(a.frozen, 1);
    recorder_fill_health(rec, &h);
    assert_true(h.flight_frozen == 1 && h.flight_share == 64 && h.flight_frozen_bytes > 0);
    recorder_free(rec);
    frozen_free(frozen);
    rig_end(&r);
    udp_close(&silent);
}

static void commands_freeze_every_flow(void **state)
{
    struct rig r;
    struct tw_addr to;
    struct frozen_conf fc = { .max_octets = MIB };
    Tw__FlightFreezeRequest rq = TW__FLIGHT_FREEZE_REQUEST__INIT;
    uint64_t ids[] = { 7, 8 };
    struct answers a = { 0 };
    struct recorder *rec;
    struct frozen *frozen;

    (void)state;
    begin_rig(&r);
    fc.loop = r.loop;
    assert_int_equal(frozen_new(&fc, &frozen), TW_OK);
    rec = recorder_of(&r, frozen);
    to = rig_reflector(&r, 0);
    for (uint32_t flow = 0; flow < 3; flow++) {
        struct session_cfg cfg = rig_session(7, 0);
        cfg.flow = flow;
        assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    }
    RIG_WAIT(&r, rig_counters(&r).probes_received > 30);
    rq.n_pair_ids = 2; /* nothing of pair 8 */
    rq.pair_ids = ids;
    rq.to_ns = INT64_MAX;
    rq.reason = (char *)"x";
    recorder_freeze(rec, &rq, on_freeze, &a);
    assert_true(a.n == 1 && a.frozen == 3 && a.recording);
    rq.to_ns = 1; /* long ago */
    recorder_freeze(rec, &rq, on_freeze, &a);
    assert_true(a.n == 2 && a.frozen == 0);
    assert_true(frozen_at(frozen, 2) && !frozen_at(frozen, 3));
    assert_string_equal(frozen_at(frozen, 0)->reason, "x");
    recorder_free(rec);
    frozen_free(frozen);
    rig_end(&r);
}

/* What cannot be asked: no answer, but a reason. */
static unsigned refused;

void __wrap_rpc_fail(void *closure_data, Tw__Status status, const char *fmt, ...);
void __wrap_rpc_fail(void *closure_data, Tw__Status status, const char *fmt, ...)
{
    (void)closure_data;
    (void)fmt;
    refused += status == TW__STATUS__STATUS_INVALID_ARGUMENT;
}

static void nonsense_is_refused(void **state)
{
    struct cold c = begin(MIB);
    struct recorder_conf rc = { .loop = c.loop, .frozen = c.frozen };
    Tw__FlightFreezeRequest freeze = TW__FLIGHT_FREEZE_REQUEST__INIT;
    Tw__FlightRequest rq = everything(1);
    struct answers a = { 0 };
    char reason[FROZEN_REASON_MAX + 2] = "";
    struct recorder *rec;

    (void)state;
    assert_int_equal(recorder_new(&rc, &rec), TW_OK);
    rq.from_ns = rq.to_ns;
    recorder_flight(rec, &rq, on_flight, &a);
    rq = everything(1);
    rq.at_ns = -1;
    recorder_flight(rec, &rq, on_flight, &a);
    memset(reason, 'x', FROZEN_REASON_MAX + 1);
    freeze.to_ns = 1;
    freeze.reason = reason;
    recorder_freeze(rec, &freeze, on_freeze, &a);
    assert_true(refused == 3 && !a.n);
    recorder_free(rec);
    end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_kept),
        cmocka_unit_test(the_same_again_is_replaced),
        cmocka_unit_test(a_restart_loses_nothing),
        cmocka_unit_test(what_cannot_be_read_is_left_out),
        cmocka_unit_test(a_run_of_losses_is_frozen_and_found),
        cmocka_unit_test(commands_freeze_every_flow),
        cmocka_unit_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
