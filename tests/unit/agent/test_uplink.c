/* What the uplink delivers, against a controller played by this file: every number of the spool once, in
 * order, whatever the connection and the controller do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/uplink.h"
#include "common/log.h"
#include "common/net/now.h"
#include "common/splitmix.h"

#define PATIENCE_NS (30 * TW_NS_PER_S)
#define NUMBERS 4096
#define PAIR_BASE 1000000 /* record `seq` is the summary of pair PAIR_BASE + seq */

struct fx {
    char dir[64], path[96], url[64];
    struct loop *loop;
    struct spool *spool;
    struct identity *key;
    struct schedule_run *schedule;
    struct uplink *uplink;
    struct rpc_server *server;
    struct rpc_peer *peer;
    Tw__EnrolRequest enrolment;
    Tw__FleetController_Service service;
    struct rpc_service services[1];

    /* The controller. */
    bool known; /* it has something of this spool */
    uint64_t through;
    uint32_t window;
    uint32_t ahead_max, backlog_per_s; /* ahead_max 0: a controller of an earlier release */
    struct seqset ahead;
    uint64_t lag_at_fresh; /* numbers of the backlog that were still missing when the last fresh one came */
    unsigned refuse; /* so many batches more, as if its queue were full */
    bool pending;    /* the agent is not approved */
    Tw__Status verdict; /* not 0: HELLOs are refused so */
    unsigned hellos;
    bool silent;     /* stores, but does not acknowledge */
    unsigned reports, pending_reports;
    unsigned unwanted, wanted; /* what the agent has been told of itself */
    char why[64];
    unsigned ups, enrols, acks, refused, repeated, out_of_seq, too_much;
    uint8_t stored[NUMBERS], gaps[NUMBERS]; /* how often each number was stored */
    int64_t age_ns;                         /* of what is appended */
};

static struct fx *the; /* the services' handlers get no context */

/* ---- The controller ---- */

static void on_hello(void *ctx, const struct rpc_hello *h, struct rpc_welcome *ret)
{
    struct fx *f = ctx;

    (void)h;
    f->hellos++;
    if (f->verdict) {
        *ret = (struct rpc_welcome){ .status = f->verdict, .detail = "by an operator" };
        return;
    }
    *ret = (struct rpc_welcome){ .approved = !f->pending,
                                 .through_seq = f->known ? f->through : 0,
                                 .window = f->window,
                                 .detail = "",
                                 .ahead = { f->ahead_max, f->backlog_per_s, f->ahead } };
}

static void on_up(void *ctx, struct rpc_peer *p)
{
    struct fx *f = ctx;

    f->peer = p;
    f->ups++;
}

static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct fx *f = ctx;

    (void)p;
    (void)status;
    (void)detail;
    f->peer = NULL;
}

static void *decode(void *ctx, const uint8_t *body, size_t len, struct tw_err *err)
{
    void *m = tw__summary_batch__unpack(NULL, len, body);

    (void)ctx;
    if (!m)
        tw_err_set(err, TW_ECORRUPT, "no batch");
    return m;
}

static void drop(void *ctx, void *object)
{
    (void)ctx;
    tw__summary_batch__free_unpacked(object, NULL);
}

static void answer(struct fx *f, struct rpc_peer *p, Tw__Status status)
{
    const struct rpc_ahead ahead = { f->ahead_max, f->backlog_per_s, f->ahead };

    if (!f->silent)
        rpc_peer_send_ack(p, f->known ? f->through : 0, f->ahead_max ? &ahead : NULL, f->window, status, "");
}

static void store_batch(struct fx *f, const Tw__SummaryBatch *b, uint64_t through, uint64_t last)
{
    for (uint64_t seq = b->first_seq; seq <= last; seq++) {
        if (seq <= through || seqset_has(&f->ahead, seq))
            continue;
        if (b->gap)
            f->gaps[seq % NUMBERS]++;
        else if (b->summaries[seq - b->first_seq]->pair_id == PAIR_BASE + seq)
            f->stored[seq % NUMBERS]++;
    }
    f->known = true;
    if (b->first_seq > through + 1) {
        assert_int_equal(seqset_add(&f->ahead, b->first_seq, last), TW_OK);
        f->lag_at_fresh = b->first_seq - 1 - through;
    } else {
        f->through = seqset_absorb(&f->ahead, last);
    }
}

/* Is there room for one more stretch ahead? An agent counts before it jumps, but not with what happens
 * meanwhile: a batch that is refused leaves a hole before those that follow it already, and a controller that
 * is started anew may take fewer than it has. */
static bool has_room(const struct fx *f, uint64_t first, uint64_t last)
{
    size_t most = f->ahead.n > f->ahead_max ? f->ahead.n : f->ahead_max;
    struct seqset grown = f->ahead;

    return f->ahead_max && seqset_add(&grown, first, last) == TW_OK && grown.n <= most;
}

/* As the store does it. */
static void on_data(void *ctx, struct rpc_peer *p, void *object)
{
    struct fx *f = ctx;
    Tw__SummaryBatch *b = object;
    uint64_t last = b->gap ? b->gap->last_seq : b->first_seq + b->n_summaries - 1;
    uint64_t through = f->known ? f->through : b->first_seq - 1;
    Tw__Status status = TW__STATUS__STATUS_OK;

    if (last - through > f->window && !b->gap && !b->ahead && !f->ahead.n)
        f->too_much++;
    if (f->refuse) {
        f->refuse--;
        f->refused++;
        status = TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
    } else if (last <= through) {
        f->repeated++;
    } else if (b->first_seq > through + 1 && !(b->ahead && f->known && has_room(f, b->first_seq, last))) {
        f->out_of_seq++;
        status = TW__STATUS__STATUS_OUT_OF_RANGE;
    } else {
        store_batch(f, b, through, last);
    }
    answer(f, p, status);
    tw__summary_batch__free_unpacked(b, NULL);
}

static void serve_enrol(Tw__FleetController_Service *s, const Tw__EnrolRequest *rq,
                        Tw__EnrolReply_Closure done, void *data)
{
    Tw__EnrolReply r = TW__ENROL_REPLY__INIT;

    (void)s;
    (void)rq;
    the->enrols++;
    r.approved = !the->pending;
    done(&r, data);
}

static void serve_ack(Tw__FleetController_Service *s, const Tw__AckRequest *rq, Tw__AckReply_Closure done,
                      void *data)
{
    Tw__AckReply r = TW__ACK_REPLY__INIT;

    (void)s;
    the->acks += rq->n_refusals > 0;
    done(&r, data);
}

static void serve_report(Tw__FleetController_Service *s, const Tw__HealthReport *rq,
                         Tw__HealthReply_Closure done, void *data)
{
    Tw__HealthReply r = TW__HEALTH_REPLY__INIT;

    (void)s;
    (void)rq;
    the->reports++;
    the->pending_reports += the->pending;
    done(&r, data);
}

static void serve_renew(Tw__FleetController_Service *s, const Tw__RenewRequest *rq, Tw__JoinReply_Closure done,
                        void *data)
{
    (void)s;
    (void)rq;
    (void)done;
    rpc_fail(data, TW__STATUS__STATUS_UNIMPLEMENTED, "no certificates here");
}

/* ---- Fixture ---- */

static void on_applied(void *ctx)
{
    (void)ctx;
}

static enum tw_rc on_schedule(void *ctx, const Tw__ScheduleRequest *rq, struct tw_err *err)
{
    (void)ctx;
    (void)rq;
    (void)err;
    return TW_OK;
}

static void fill_health(void *ctx, Tw__HealthReport *h)
{
    (void)ctx;
    h->time_ns = 1;
}

static void start_server(struct fx *f)
{
    struct tw_err err = { 0 };
    struct rpc_server_conf c = { .loop = f->loop,
                                 .url = f->url,
                                 .name = "ctl",
                                 .agents = true,
                                 .services = f->services,
                                 .n_services = 1,
                                 .hooks = { .ctx = f,
                                            .on_hello = on_hello,
                                            .on_up = on_up,
                                            .on_down = on_down,
                                            .decode = decode,
                                            .drop = drop,
                                            .on_data = on_data } };

    if (rpc_server_start(&c, &f->server, &err))
        fail_msg("%s", err.text);
    snprintf(f->url, sizeof f->url, "tcp://127.0.0.1:%u", rpc_server_port(f->server));
}

static void open_spool(struct fx *f, int64_t max_bytes)
{
    struct spool_cfg sc = { .path = f->path, .max_bytes = max_bytes, .keep_acked_ns = TW_NS_PER_S };
    struct tw_err err = { 0 };

    if (spool_open(&sc, &f->spool, &err))
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    struct fx *f = the = calloc(1, sizeof *f);
    struct schedule_run_conf sc = { .on_applied = on_applied };
    struct tw_err err = { 0 };
    char path[128];

    log_init("test", LOG_ERROR_, LOG_TEXT);
    snprintf(f->dir, sizeof f->dir, "/tmp/twtest-uplink-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/spool.db", f->dir);
    snprintf(path, sizeof path, "%s/key", f->dir);
    snprintf(f->url, sizeof f->url, "tcp://127.0.0.1:0");
    assert_int_equal(identity_load(path, &f->key, &err), TW_OK);
    open_spool(f, 0);
    assert_int_equal(loop_new(&f->loop), TW_OK);
    sc.loop = f->loop;
    assert_int_equal(schedule_run_new(&sc, &f->schedule), TW_OK);
    f->enrolment = (Tw__EnrolRequest)TW__ENROL_REQUEST__INIT;
    f->service = (Tw__FleetController_Service)TW__FLEET_CONTROLLER__INIT(serve_);
    f->services[0] = (struct rpc_service){ RPC_FLEET_CONTROLLER, &f->service.base };
    f->window = 300;
    start_server(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    char cmd[96];

    uplink_stop(f->uplink);
    rpc_server_stop(f->server);
    schedule_run_free(f->schedule);
    spool_close(f->spool);
    identity_free(f->key);
    loop_free(f->loop);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", f->dir);
    free(f);
    return system(cmd);
}

static void on_unwanted(void *ctx, const char *why)
{
    struct fx *f = ctx;

    f->unwanted++;
    snprintf(f->why, sizeof f->why, "%s", why);
}

static void on_wanted(void *ctx)
{
    ((struct fx *)ctx)->wanted++;
}

static void start_uplink(struct fx *f)
{
    struct tw_err err = { 0 };
    const char *const url = f->url; /* the texts are borrowed, not the list */
    struct uplink_conf c = { .loop = f->loop,
                             .urls = &url,
                             .n_urls = 1,
                             .name = "ams-1",
                             .identity = f->key,
                             .spool = f->spool,
                             .schedule = f->schedule,
                             .enrolment = &f->enrolment,
                             .on_schedule = on_schedule,
                             .on_unwanted = on_unwanted,
                             .on_wanted = on_wanted,
                             .fill_health = fill_health,
                             .ctx = f };

    if (uplink_start(&c, &f->uplink, &err))
        fail_msg("%s", err.text);
}

#define WAIT(f, condition)                                                                          \
    do {                                                                                            \
        static const bool never = false;                                                            \
        int64_t wait_end_ns = tw_mono_now().ns + PATIENCE_NS;                                       \
        while (!(condition)) {                                                                      \
            if (tw_mono_now().ns > wait_end_ns)                                                     \
                fail_msg("never happened: %s (through %u)", #condition, (unsigned)(f)->through);    \
            loop_run_until((f)->loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS }); \
        }                                                                                           \
    } while (0)

static struct spool_stats stats(struct fx *f)
{
    struct spool_stats st;

    spool_stats(f->spool, &st);
    return st;
}

/* n records that are to get the numbers from `seq` on. */
static void append_as(struct fx *f, uint64_t seq, size_t n)
{
    for (size_t i = 0; i < n; i += 64) {
        uint8_t data[64][64];
        struct spool_record rec[64];
        size_t m = n - i < 64 ? n - i : 64;
        uint64_t first;

        for (size_t k = 0; k < m; k++) {
            Tw__Summary s = TW__SUMMARY__INIT;
            s.pair_id = PAIR_BASE + seq + i + k;
            s.start_ns = TW_NS_PER_S;
            s.end_ns = 2 * TW_NS_PER_S;
            s.status = TW_STATUS_NOT_RUN;
            rec[k] = (struct spool_record){ data[k], tw__summary__pack(&s, data[k]) };
        }
        assert_int_equal(spool_append(f->spool, tw_wall_now().ns - f->age_ns, rec, m, &first), TW_OK);
    }
}

static void append(struct fx *f, size_t n)
{
    append_as(f, stats(f).last_seq + 1, n);
}

/* Each number of [first, last] was stored once, as a record. */
static void check_stored(struct fx *f, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++)
        if (f->stored[seq] != 1 || f->gaps[seq])
            fail_msg("number %u: stored %u times, %u times in a gap", (unsigned)seq, f->stored[seq],
                     f->gaps[seq]);
    assert_int_equal(f->too_much, 0);
}

/* ---- Tests ---- */

static void a_new_controller_gets_everything(void **state)
{
    struct fx *f = *state;

    append(f, 1000);
    start_uplink(f);
    WAIT(f, f->through == 1000);
    append(f, 1);
    uplink_kick(f->uplink);
    WAIT(f, f->through == 1001 && stats(f).acked_seq == 1001);
    check_stored(f, 1, 1001);
    assert_int_equal(f->repeated + f->out_of_seq, 0);
}

/* Bits rot, and programs have bugs: what is no summary is reported as lost, and what follows still arrives.
 */
static void a_record_that_cannot_be_read_holds_up_nothing(void **state)
{
    static const uint8_t rotten[] = { 0xff, 0xff, 0xff };
    const struct spool_record rec = { rotten, sizeof rotten };
    struct fx *f = *state;
    uint64_t first;

    append(f, 10);
    assert_int_equal(spool_append(f->spool, tw_wall_now().ns, &rec, 1, &first), TW_OK);
    append(f, 10);
    start_uplink(f);
    WAIT(f, f->through == 21);
    check_stored(f, 1, 10);
    check_stored(f, 12, 21);
    assert_int_equal(f->gaps[11], 1);
    assert_int_equal(f->stored[11], 0);
}

/* It would take the second batch for the beginning. */
static void a_new_controller_may_refuse_the_first_batch(void **state)
{
    struct fx *f = *state;

    append(f, 600);
    f->refuse = 1;
    start_uplink(f);
    WAIT(f, f->through == 600 && stats(f).acked_seq == 600);
    check_stored(f, 1, 600);
    assert_int_equal(f->refused, 1);
}

static void a_refusal_in_the_middle_goes_back(void **state)
{
    struct fx *f = *state;

    append(f, 100);
    start_uplink(f);
    WAIT(f, f->through == 100);
    append(f, 700);
    f->refuse = 2;
    uplink_kick(f->uplink);
    WAIT(f, f->through == 800 && stats(f).acked_seq == 800);
    check_stored(f, 1, 800);
    assert_int_equal(f->refused, 2);
}

static void it_goes_on_where_the_controller_is(void **state)
{
    struct fx *f = *state;

    append(f, 300);
    f->known = true;
    f->through = 200;
    start_uplink(f);
    WAIT(f, f->through == 300 && stats(f).acked_seq == 300);
    check_stored(f, 201, 300);
    assert_int_equal(f->stored[200], 0);
}

static void lost_acknowledgements_are_made_up_for(void **state)
{
    struct fx *f = *state;

    append(f, 500);
    f->known = true;
    f->through = 100;
    f->silent = true;
    start_uplink(f);
    WAIT(f, f->through == 400); /* all of the window */
    assert_int_equal(stats(f).acked_seq, 100);
    rpc_server_stop(f->server);
    f->silent = false;
    start_server(f);
    WAIT(f, f->through == 500 && stats(f).acked_seq == 500);
    check_stored(f, 101, 500);
    assert_int_equal(f->repeated, 0);
}

static void what_the_welcome_says_is_noted(void **state)
{
    struct fx *f = *state;

    append(f, 10);
    f->known = true;
    f->through = 10;
    start_uplink(f);
    WAIT(f, f->enrols == 1);
    assert_int_equal(stats(f).acked_seq, 10);
    assert_int_equal(stats(f).waiting, 0);
}

static void a_loss_at_the_beginning_is_reported(void **state)
{
    struct fx *f = *state;
    uint64_t first;

    spool_count_lost(f->spool, 7);
    assert_int_equal(spool_append(f->spool, 1, NULL, 0, &first), TW_OK);
    append(f, 20);
    start_uplink(f);
    WAIT(f, f->through == 27);
    for (uint64_t seq = 1; seq <= 7; seq++)
        assert_int_equal(f->gaps[seq], 1);
    check_stored(f, 8, 27);
}

static void what_another_controller_had_is_no_loss(void **state)
{
    struct fx *f = *state;
    int64_t now_ns = tw_wall_now().ns;

    append(f, 30);
    assert_int_equal(spool_ack(f->spool, 10, now_ns - 3600 * TW_NS_PER_S), TW_OK);
    assert_int_equal(spool_trim(f->spool, now_ns), TW_OK);
    assert_int_equal(spool_trim(f->spool, now_ns), TW_OK);
    assert_int_equal(stats(f).first_seq, 11);
    start_uplink(f);
    WAIT(f, f->through == 30);
    for (uint64_t seq = 1; seq <= 10; seq++)
        assert_int_equal(f->gaps[seq] + f->stored[seq], 0);
    check_stored(f, 11, 30);
}

/* More than the window, yet one record. */
static void a_wide_gap_fits_the_window(void **state)
{
    struct fx *f = *state;
    uint64_t first;

    append(f, 10);
    spool_count_lost(f->spool, 1000);
    assert_int_equal(spool_append(f->spool, 1, NULL, 0, &first), TW_OK);
    append(f, 10);
    start_uplink(f);
    WAIT(f, f->through == 1020);
    check_stored(f, 1, 10);
    for (uint64_t seq = 11; seq <= 1010; seq++)
        assert_int_equal(f->gaps[seq], 1);
    check_stored(f, 1011, 1020);
}

/* The spool is an old copy: new results must not go under numbers that the controller has. */
static void a_controller_ahead_of_the_spool_loses_nothing_new(void **state)
{
    struct fx *f = *state;

    append(f, 10);
    f->known = true;
    f->through = 50;
    start_uplink(f);
    WAIT(f, f->enrols == 1);
    append_as(f, 51, 5);
    uplink_kick(f->uplink);
    WAIT(f, f->through == 55);
    check_stored(f, 51, 55);
    assert_int_equal(f->repeated, 0);
    assert_int_equal(stats(f).last_seq, 55);
}

/* The same, but the agent has measured for a while before it reached the controller: what it put under those
 * numbers must not be taken for what the controller has. */
static void what_an_old_copy_measured_before_it_was_told_is_kept(void **state)
{
    struct fx *f = *state;

    append(f, 10);
    f->known = true;
    f->through = 50;
    start_uplink(f);
    append_as(f, 51, 100); /* numbers 11 to 110 now */
    WAIT(f, f->through == 150);
    check_stored(f, 51, 150);
    assert_int_equal(f->repeated, 0);
    assert_int_equal(stats(f).last_seq, 150);
    /* It knows now what it has sent: the next connection has nothing to mend. */
    rpc_peer_close(f->peer, TW__STATUS__STATUS_UNAVAILABLE, "come again");
    WAIT(f, !f->peer);
    append_as(f, 151, 5);
    WAIT(f, f->through == 155);
    check_stored(f, 51, 155);
    assert_int_equal(stats(f).last_seq, 155);
}

/* Another one with the same spool has sent more meanwhile. */
static void a_clone_takes_no_numbers_of_ours(void **state)
{
    struct fx *f = *state;

    append(f, 10);
    start_uplink(f);
    WAIT(f, f->through == 10);
    rpc_peer_close(f->peer, TW__STATUS__STATUS_UNAVAILABLE, "come again");
    WAIT(f, !f->peer);
    f->through = 30;
    append_as(f, 31, 40); /* numbers 11 to 50 now */
    WAIT(f, f->through == 70);
    check_stored(f, 31, 70);
    assert_int_equal(f->repeated, 0);
}

static void a_pending_agent_only_enrols(void **state)
{
    struct fx *f = *state;

    append(f, 10);
    f->pending = true;
    start_uplink(f);
    WAIT(f, f->enrols == 1);
    uplink_kick(f->uplink);
    WAIT(f, f->peer);
    for (int i = 0; i < 20; i++) { /* rounds of the loop, enough for what is due at once */
        static const bool never = false;
        loop_run_until(f->loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS });
    }
    assert_int_equal(f->through, 0);
    rpc_peer_close(f->peer, TW__STATUS__STATUS_UNAVAILABLE, "approved: come again");
    WAIT(f, !f->peer);
    f->pending = false;
    WAIT(f, f->through == 10 && f->reports);
    assert_int_equal(f->pending_reports, 0);
}

/* ---- Fresh ones before a backlog ---- */

#define HOUR_NS (3600 * TW_NS_PER_S)

static void with_backlog(struct fx *f, size_t n)
{
    f->ahead_max = 16;
    f->backlog_per_s = 20000;
    f->age_ns = HOUR_NS;
    append(f, n);
    f->age_ns = 0;
}

static void fresh_ones_do_not_wait_behind_a_backlog(void **state)
{
    struct fx *f = *state;

    append(f, 10);
    f->known = true;
    f->through = 10;
    with_backlog(f, 2990);
    append(f, 20);
    start_uplink(f);
    WAIT(f, f->lag_at_fresh);
    assert_int_equal(f->lag_at_fresh, 2990); /* the first that comes is fresh */
    f->lag_at_fresh = 0;
    append(f, 5);
    uplink_kick(f->uplink);
    WAIT(f, f->lag_at_fresh);
    assert_true(f->lag_at_fresh > 1000);
    assert_true(uplink_backlog(f->uplink) > 1000);
    WAIT(f, stats(f).waiting + 20 <= stats(f).last_seq - stats(f).acked_seq); /* what is ahead does not wait */
    WAIT(f, f->through == 3025 && stats(f).acked_seq == 3025);
    check_stored(f, 11, 3025);
    assert_int_equal(f->repeated + f->out_of_seq, 0);
    assert_int_equal(uplink_backlog(f->uplink), 0);
}

static void a_backlog_comes_at_its_rate(void **state)
{
    struct fx *f = *state;
    int64_t begin_ns = tw_mono_now().ns, took_ns;

    append(f, 1);
    f->known = true;
    f->through = 1;
    with_backlog(f, 1500);
    append(f, 1);
    f->backlog_per_s = 2000;
    start_uplink(f);
    WAIT(f, f->through == 1502);
    took_ns = tw_mono_now().ns - begin_ns;
    assert_true(took_ns > 1300 * TW_NS_PER_S / 2000); /* all but the first batch wait */
    check_stored(f, 2, 1502);
}

/* What the spool had to drop of the backlog is a gap that ends where fresh ones are stored. */
static void a_gap_in_a_backlog_ends_where_fresh_ones_are(void **state)
{
    struct fx *f = *state;
    uint64_t first;

    append(f, 1);
    f->known = true;
    f->through = 1;
    with_backlog(f, 600);
    append(f, 10);
    f->silent = true; /* stores 602 to 611 and more, and the agent does not know */
    f->backlog_per_s = 1;
    start_uplink(f);
    WAIT(f, f->ahead.n);
    uplink_stop(f->uplink);
    f->uplink = NULL;
    WAIT(f, !f->peer);
    spool_close(f->spool);
    open_spool(f, 1); /* hardly any room: all goes that is not acknowledged */
    assert_int_equal(spool_append(f->spool, tw_wall_now().ns, NULL, 0, &first), TW_OK);
    assert_int_equal(spool_trim(f->spool, tw_wall_now().ns), TW_OK);
    f->silent = false;
    start_uplink(f);
    WAIT(f, f->through == 611 && stats(f).acked_seq == 611);
    for (uint64_t seq = 2; seq <= 611; seq++)
        if (f->stored[seq] + f->gaps[seq] != 1)
            fail_msg("number %u: stored %u times, %u times in a gap", (unsigned)seq, f->stored[seq],
                     f->gaps[seq]);
    check_stored(f, 602, 611);
}

/* Agents and controllers that end, connections that break, batches that are refused, acknowledgements that
 * are lost: in any order. */
static void each_once_whatever_happens(void **state)
{
    struct fx *f = *state;
    uint64_t seed = 8071127, last;

    append(f, 10);
    f->known = true;
    f->through = 10;
    start_uplink(f);
    for (unsigned i = 0; i < 60 && stats(f).last_seq < NUMBERS - 400; i++) {
        int64_t until_ns = tw_mono_now().ns + (int64_t)(tw_splitmix64(&seed) % 20) * TW_NS_PER_MS;
        static const bool never = false;

        with_backlog(f, tw_splitmix64(&seed) % 3 ? tw_splitmix64(&seed) % 20 : 300);
        append(f, tw_splitmix64(&seed) % 6);
        switch (tw_splitmix64(&seed) % 6) {
        case 0:
            if (f->peer)
                rpc_peer_close(f->peer, TW__STATUS__STATUS_UNAVAILABLE, "for a while");
            break;
        case 1:
            f->refuse = 1 + tw_splitmix64(&seed) % 2;
            break;
        case 2:
            f->silent = true;
            break;
        case 3: /* kill -9, as far as the uplink is concerned */
            uplink_stop(f->uplink);
            f->uplink = NULL;
            spool_close(f->spool);
            open_spool(f, 0);
            start_uplink(f);
            break;
        case 4:
            rpc_server_stop(f->server);
            f->ahead_max = tw_splitmix64(&seed) % 2 ? 16 : 3;
            start_server(f);
            break;
        default:
            break;
        }
        uplink_kick(f->uplink);
        while (tw_mono_now().ns < until_ns)
            loop_run_until(f->loop, &never, (struct tw_mono){ until_ns });
        if (f->silent && f->peer) /* what was not acknowledged is asked for again only by a new connection */
            rpc_peer_close(f->peer, TW__STATUS__STATUS_UNAVAILABLE, "for a while");
        f->silent = false;
    }
    f->refuse = 0;
    last = stats(f).last_seq;
    assert_true(last > 1000);
    WAIT(f, f->through == last && stats(f).acked_seq == last);
    check_stored(f, 11, last);
}

/* ---- Who is not wanted ---- */

static void wait_for_hellos(struct fx *f, unsigned n)
{
    unsigned before = f->hellos;

    WAIT(f, f->hellos >= before + n);
}

static void who_is_revoked_while_away_hears_it_once(void **state)
{
    struct fx *f = *state;

    f->verdict = TW__STATUS__STATUS_PERMISSION_DENIED;
    start_uplink(f);
    WAIT(f, f->unwanted == 1);
    assert_string_equal(f->why, "by an operator");
    wait_for_hellos(f, 2); /* it goes on asking */
    assert_int_equal(f->unwanted, 1);
    assert_int_equal(f->wanted, 0);
    f->verdict = TW__STATUS__STATUS_OK;
    f->pending = true;
    WAIT(f, f->enrols == 1);
    assert_int_equal(f->wanted, 1);
}

static void who_is_revoked_while_connected_hears_it(void **state)
{
    struct fx *f = *state;

    start_uplink(f);
    WAIT(f, f->peer);
    f->verdict = TW__STATUS__STATUS_PERMISSION_DENIED;
    rpc_peer_close(f->peer, TW__STATUS__STATUS_PERMISSION_DENIED, "revoked by an operator");
    WAIT(f, f->unwanted == 1);
    wait_for_hellos(f, 1);
    assert_int_equal(f->unwanted, 1);
}

/* A controller that is full, has another key under this name, or is away does not end what runs. */
static void other_refusals_end_nothing(void **state)
{
    static const Tw__Status others[] = { TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                                         TW__STATUS__STATUS_UNAUTHENTICATED, TW__STATUS__STATUS_UNAVAILABLE,
                                         TW__STATUS__STATUS_FAILED_PRECONDITION };
    struct fx *f = *state;

    f->verdict = others[0];
    start_uplink(f);
    for (size_t i = 0; i < TW_NELEM(others); i++) {
        f->verdict = others[i];
        wait_for_hellos(f, 1);
    }
    f->verdict = TW__STATUS__STATUS_OK;
    WAIT(f, f->peer);
    rpc_peer_close(f->peer, TW__STATUS__STATUS_ABORTED, "a newer connection took over");
    WAIT(f, f->ups == 2);
    assert_int_equal(f->unwanted + f->wanted, 0);
}

static void refusals_are_told_again_after_connecting(void **state)
{
    struct fx *f = *state;
    struct tw_err err = { 0 };
    uint8_t digest = 1;
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;
    Tw__SessionSpec spec = TW__SESSION_SPEC__INIT, *list[] = { &spec };

    rq.generation = 1;
    rq.digest = (ProtobufCBinaryData){ 1, &digest };
    rq.sessions = list;
    rq.n_sessions = 1;
    assert_int_equal(schedule_run_apply(f->schedule, &rq, &err), TW_OK);
    start_uplink(f);
    WAIT(f, f->acks == 1);
}

int main(void)
{
#define ROW(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(a_new_controller_gets_everything),
        ROW(a_record_that_cannot_be_read_holds_up_nothing),
        ROW(a_new_controller_may_refuse_the_first_batch),
        ROW(a_refusal_in_the_middle_goes_back),
        ROW(it_goes_on_where_the_controller_is),
        ROW(lost_acknowledgements_are_made_up_for),
        ROW(what_the_welcome_says_is_noted),
        ROW(a_loss_at_the_beginning_is_reported),
        ROW(what_another_controller_had_is_no_loss),
        ROW(a_wide_gap_fits_the_window),
        ROW(a_controller_ahead_of_the_spool_loses_nothing_new),
        ROW(what_an_old_copy_measured_before_it_was_told_is_kept),
        ROW(a_clone_takes_no_numbers_of_ours),
        ROW(fresh_ones_do_not_wait_behind_a_backlog),
        ROW(a_backlog_comes_at_its_rate),
        ROW(a_gap_in_a_backlog_ends_where_fresh_ones_are),
        ROW(each_once_whatever_happens),
        ROW(a_pending_agent_only_enrols),
        ROW(refusals_are_told_again_after_connecting),
        ROW(who_is_revoked_while_away_hears_it_once),
        ROW(who_is_revoked_while_connected_hears_it),
        ROW(other_refusals_end_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
