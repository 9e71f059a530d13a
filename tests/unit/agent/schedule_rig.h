/* tests/unit/agent/schedule_rig.h - a schedule on real workers on loopback, one of which reflects: what the
 * tests of schedule_run and twamp_run share. */
#ifndef TW_TEST_SCHEDULE_RIG_H
#define TW_TEST_SCHEDULE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/io/worker_priv.h" /* to fill the command ring, a worker is opened without its thread */
#include "agent/io/ctl_listener.h"
#include "agent/keyring.h"
#include "agent/ondemand.h"
#include "agent/schedule_run.h"
#include "common/net/now.h"
#include "common/net/summary_pb.h"

#define WORKERS 2
#define PAIRS 32
#define SPECS 64
#define SESSIONS_MAX 16
#define PPS_MAX 5000
#define BPS_MAX 10000000
#define PATIENCE_NS (20 * TW_NS_PER_S)

struct seen { /* of a pair's summaries */
    unsigned n;
    uint64_t sent, received, skipped, last_generation;
    int64_t start_ns, end_ns; /* the first's, the last's */
    int tos_forward_min, tos_forward_max, tos_backward_min; /* -1 = not known */
    uint64_t last_test_id;
    char names[64];
};

struct fx {
    struct loop *loop;
    struct worker *workers[WORKERS];
    struct resolver *resolver; /* NULL: none */
    struct schedule_run *run;
    struct ondemand *ondemand; /* NULL: none */
    struct keyring *keys;
    struct ctl_listener *control;
    uint16_t control_port;
    char path[32]; /* of the file of secrets */
    bool keys_changed;
    uint16_t port;
    unsigned applied, ended, failed;
    uint64_t applied_generation;
    struct tw_summary scratch;
    struct seen seen[PAIRS];
    Tw__SessionSpec spec[SPECS], *list[SPECS];
    size_t n;
    Tw__TimesRule *rules[4];
    size_t n_rules;
    uint8_t digest;
};

/* ---- Fixture ---- */

static const char *rig_reflects_at = "127.0.0.1";

__attribute__((unused)) static void take_summaries(struct fx *f, struct worker *w)
{
    while (worker_next_summary(w, &f->scratch) == TW_OK) {
        Tw__Summary m = TW__SUMMARY__INIT;
        struct seen *s;

        m.pair_id = f->scratch.pair_id;
        if (f->ondemand)
            ondemand_note(f->ondemand, &f->scratch);
        if (!f->ondemand || !ondemand_name(f->ondemand, &m))
            schedule_run_name(f->run, &m);
        s = &f->seen[m.pair_id % PAIRS];
        s->last_test_id = m.test_id;
        snprintf(s->names, sizeof s->names, "%s/%s/%s", m.mesh, m.class_name, m.target);
        s->n++;
        s->sent += f->scratch.sent;
        s->received += f->scratch.received;
        s->skipped += f->scratch.skipped;
        s->start_ns = s->start_ns ? s->start_ns : f->scratch.start_ns;
        s->end_ns = f->scratch.end_ns;
        s->last_generation = f->scratch.generation;
        s->tos_forward_min = f->scratch.tos_forward.n ? f->scratch.tos_forward.min : -1;
        s->tos_forward_max = f->scratch.tos_forward.n ? f->scratch.tos_forward.max : -1;
        s->tos_backward_min = f->scratch.tos_backward.n ? f->scratch.tos_backward.min : -1;
    }
}

static void on_results(void *ctx)
{
    struct fx *f = ctx;
    struct worker_notice n;

    if (f->control)
        ctl_listener_on_results(f->control);
    for (size_t i = 0; i < WORKERS; i++) {
        take_summaries(f, f->workers[i]);
        while (worker_next_notice(f->workers[i], &n) == TW_OK) {
            f->ended += n.rc == TW_OK;
            f->failed += n.rc != TW_OK;
            if (!f->ondemand || !ondemand_notice(f->ondemand, &n))
                schedule_run_notice(f->run, &n);
        }
    }
}

static void on_applied(void *ctx)
{
    struct fx *f = ctx;

    f->applied++;
    f->applied_generation = schedule_run_generation(f->run);
}

__attribute__((unused)) static int setup_with(void **state, bool run)
{
    struct fx *f = calloc(1, sizeof *f);
    struct schedule_run_conf c = {
        .n_workers = WORKERS, .limits = { SESSIONS_MAX, PPS_MAX, BPS_MAX }, .on_applied = on_applied, .ctx = f
    };
    struct tw_addr a;
    struct tw_err err = { 0 };

    assert_int_equal(loop_new(&f->loop), TW_OK);
    summary_init(&f->scratch);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker_cfg wc = { .index = i,
                                 .loop = f->loop,
                                 .on_results = on_results,
                                 .ctx = f,
                                 .max_sessions = SESSIONS_MAX,
                                 .max_reflect_sessions = run ? SESSIONS_MAX : 1 };
        if (i == 0)
            assert_int_equal(tw_addr_parse(rig_reflects_at, 0, &wc.reflect[0]), TW_OK);
        assert_int_equal(worker_open(&wc, &f->workers[i], &err), TW_OK);
        if (run)
            assert_int_equal(worker_run(f->workers[i], &err), TW_OK);
    }
    assert_int_equal(worker_reflector_addr(f->workers[0], 0, &a), TW_OK);
    f->port = a.port;
    c.loop = f->loop;
    c.workers = f->workers;
    assert_int_equal(schedule_run_new(&c, &f->run), TW_OK);
    *state = f;
    return 0;
}

__attribute__((unused)) static int setup(void **state)
{
    return setup_with(state, true);
}

__attribute__((unused)) static void turn(struct fx *f)
{
    static const bool never = false;

    loop_run_until(f->loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS });
}

#define WAIT(f, condition)                                    \
    do {                                                      \
        int64_t wait_end_ns = tw_mono_now().ns + PATIENCE_NS; \
        while (!(condition)) {                                \
            if (tw_mono_now().ns > wait_end_ns)               \
                fail_msg("never happened: %s", #condition);   \
            turn(f);                                          \
        }                                                     \
    } while (0)

__attribute__((unused)) static bool commands_done(struct fx *f)
{
    for (size_t i = 0; i < WORKERS; i++)
        if (atomic_load(&f->workers[i]->cmds_done) != f->workers[i]->cmds_sent)
            return false;
    return true;
}

static void on_keys_changed(void *ctx)
{
    ((struct fx *)ctx)->keys_changed = true;
}

__attribute__((unused)) static void write_secrets(struct fx *f, const char *text)
{
    char fresh[sizeof f->path + 4];
    FILE *file;

    snprintf(fresh, sizeof fresh, "%s.new", f->path);
    file = fopen(fresh, "w");
    assert_non_null(file);
    assert_int_equal(fchmod(fileno(file), 0600), 0);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(fresh, f->path), 0);
}

/* With a file of secrets that has one key, "site". */
__attribute__((unused)) static int setup_with_keys(void **state)
{
    struct tw_err err = { 0 };
    struct keyring_conf kc = { .n_workers = WORKERS, .on_changed = on_keys_changed };
    struct fx *f;
    int fd;

    setup_with(state, true);
    f = *state;
    strcpy(f->path, "/tmp/twsecretsXXXXXX");
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    close(fd);
    write_secrets(f, "site old-passphrase\n");
    kc.loop = f->loop;
    kc.path = f->path;
    kc.workers = f->workers;
    kc.ctx = f;
    if (keyring_open(&kc, &f->keys, &err))
        fail_msg("%s", err.text);
    schedule_run_free(f->run);
    assert_int_equal(schedule_run_new(&(struct schedule_run_conf){ .loop = f->loop,
                                                                   .workers = f->workers,
                                                                   .n_workers = WORKERS,
                                                                   .limits = { SESSIONS_MAX, PPS_MAX, BPS_MAX },
                                                                   .keys = f->keys,
                                                                   .on_applied = on_applied,
                                                                   .ctx = f },
                                      &f->run),
                     TW_OK);
    WAIT(f, commands_done(f)); /* the one that reflects has the keys before anything is signed */
    return 0;
}

__attribute__((unused)) static int setup_without_threads(void **state)
{
    return setup_with(state, false);
}

__attribute__((unused)) static int teardown(void **state)
{
    struct fx *f = *state;

    ctl_listener_stop(f->control);
    f->control = NULL;
    for (size_t i = 0; i < WORKERS; i++)
        worker_free(f->workers[i]);
    ondemand_free(f->ondemand);
    schedule_run_free(f->run);
    resolver_free(f->resolver);
    keyring_free(f->keys);
    if (f->path[0])
        unlink(f->path);
    loop_free(f->loop);
    summary_free(&f->scratch);
    free(f);
    return 0;
}

/* ---- Schedules ---- */

__attribute__((unused)) static Tw__SessionSpec *add(struct fx *f, uint64_t pair, uint32_t flow)
{
    Tw__SessionSpec *p = &f->spec[f->n];

    f->list[f->n++] = p;
    tw__session_spec__init(p);
    p->pair_id = pair;
    p->flow = flow;
    p->mesh = (char *)"mesh";
    p->class_name = (char *)"class";
    p->target = (char *)"target";
    p->address = (char *)"127.0.0.1";
    p->port = f->port;
    p->spacing_ns = 5 * TW_NS_PER_MS;
    p->size_bytes = 64;
    p->ttl = 255;
    p->timeout_ns = 200 * TW_NS_PER_MS;
    p->report_period_ns = 366 * 86400 * TW_NS_PER_S; /* the longest, so that only a stop closes it */
    p->reflector_stateful = true;
    return p;
}

__attribute__((unused)) static enum tw_rc try_apply(struct fx *f, uint64_t generation, struct tw_err *err)
{
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;

    f->digest = (uint8_t)generation;
    rq.generation = generation;
    rq.digest = (ProtobufCBinaryData){ 1, &f->digest };
    rq.sessions = f->list;
    rq.n_sessions = f->n;
    rq.times = f->rules;
    rq.n_times = f->n_rules;
    f->n = 0;
    return schedule_run_apply(f->run, &rq, err);
}

__attribute__((unused)) static void apply(struct fx *f, uint64_t generation)
{
    struct tw_err err = { 0 };

    if (try_apply(f, generation, &err))
        fail_msg("generation %u: %s", (unsigned)generation, err.text);
    WAIT(f, f->applied_generation == generation);
}

__attribute__((unused)) static uint64_t sessions_in_workers(struct fx *f)
{
    struct worker_counters c;
    uint64_t n = 0;

    for (size_t i = 0; i < WORKERS; i++) {
        worker_counters(f->workers[i], &c);
        n += c.sessions;
    }
    return n;
}

__attribute__((unused)) static uint64_t sent_by(struct fx *f, uint64_t pair)
{
    struct worker_live live[64];
    uint64_t sent = 0;
    size_t n = 0;

    for (size_t i = 0; i < WORKERS; i++) {
        assert_int_equal(worker_live(f->workers[i], live, TW_NELEM(live), &n), TW_OK);
        for (size_t k = 0; k < n; k++)
            sent += live[k].pair_id == pair ? live[k].totals.sent : 0;
    }
    return sent;
}

/* Totals of a pair, all flows. */
__attribute__((unused)) static struct session_totals totals_of(struct fx *f, uint64_t pair)
{
    struct worker_live live[64];
    struct session_totals t = { 0 };
    size_t n = 0;

    for (size_t i = 0; i < WORKERS; i++) {
        assert_int_equal(worker_live(f->workers[i], live, TW_NELEM(live), &n), TW_OK);
        for (size_t k = 0; k < n; k++) {
            if (live[k].pair_id != pair)
                continue;
            t.received += live[k].totals.received;
            t.rejected += live[k].totals.rejected;
            t.lost += live[k].totals.lost;
        }
    }
    return t;
}

__attribute__((unused)) static struct worker_counters counters(struct fx *f)
{
    struct worker_counters c;

    worker_counters(f->workers[0], &c); /* the one that reflects */
    return c;
}

__attribute__((unused)) static const char *refusal_of(struct fx *f, uint64_t pair, uint32_t flow)
{
    Tw__Refusal **list = NULL;
    uint64_t more;
    size_t n = schedule_run_refusals(f->run, &list, &more);

    for (size_t i = 0; i < n; i++)
        if (list[i]->pair_id == pair && list[i]->flow == flow)
            return list[i]->reason;
    return "";
}

__attribute__((unused)) static size_t refusals(struct fx *f)
{
    Tw__Refusal **list;
    uint64_t more;

    return schedule_run_refusals(f->run, &list, &more);
}

__attribute__((unused)) static void new_secrets(struct fx *f, const char *text)
{
    f->keys_changed = false;
    write_secrets(f, text);
    keyring_look(f->keys);
    assert_true(f->keys_changed);
}

__attribute__((unused)) static void received_more(struct fx *f, uint64_t pair)
{
    uint64_t before = totals_of(f, pair).received;

    WAIT(f, totals_of(f, pair).received >= before + 20);
}

/* What was commanded is in force, and everything that the session sent before is answered, however long its
 * worker or the one that reflects had to wait for a processor. */
__attribute__((unused)) static void answered_so_far(struct fx *f, uint64_t pair)
{
    uint64_t before, sent;

    WAIT(f, commands_done(f));
    before = sent_by(f, pair);
    WAIT(f, (sent = sent_by(f, pair)) > before); /* figures of after that */
    WAIT(f, totals_of(f, pair).received >= sent);
}

#endif
