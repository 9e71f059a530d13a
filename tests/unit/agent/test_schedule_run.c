/* Schedules taken over by real workers on loopback: what goes on, what restarts, what stops, what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/io/worker_priv.h" /* to fill the command ring, a worker is opened without its thread */
#include "agent/keyring.h"
#include "agent/schedule_run.h"
#include "common/net/now.h"
#include "common/net/summary_pb.h"

#define WORKERS 2
#define PAIRS 32
#define SPECS 64
#define SESSIONS_MAX 16
#define PPS_MAX 5000
#define PATIENCE_NS (20 * TW_NS_PER_S)

struct seen { /* of a pair's summaries */
    unsigned n;
    uint64_t sent, received, last_generation;
    int tos_forward_min, tos_forward_max, tos_backward_min; /* -1 = not known */
    char names[64];
};

struct fx {
    struct loop *loop;
    struct worker *workers[WORKERS];
    struct schedule_run *run;
    struct keyring *keys;
    char path[32]; /* of the file of secrets */
    bool keys_changed;
    uint16_t port;
    unsigned applied, ended, failed;
    uint64_t applied_generation;
    struct tw_summary scratch;
    struct seen seen[PAIRS];
    Tw__SessionSpec spec[SPECS], *list[SPECS];
    size_t n;
    uint8_t digest;
};

/* ---- Fixture ---- */

static void take_summaries(struct fx *f, struct worker *w)
{
    while (worker_next_summary(w, &f->scratch) == TW_OK) {
        struct seen *s = &f->seen[f->scratch.pair_id % PAIRS];
        Tw__Summary m = TW__SUMMARY__INIT;

        m.pair_id = f->scratch.pair_id;
        schedule_run_name(f->run, &m);
        snprintf(s->names, sizeof s->names, "%s/%s/%s", m.mesh, m.class_name, m.target);
        s->n++;
        s->sent += f->scratch.sent;
        s->received += f->scratch.received;
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

    for (size_t i = 0; i < WORKERS; i++) {
        take_summaries(f, f->workers[i]);
        while (worker_next_notice(f->workers[i], &n) == TW_OK) {
            f->ended += n.rc == TW_OK;
            f->failed += n.rc != TW_OK;
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

static int setup_with(void **state, bool run)
{
    struct fx *f = calloc(1, sizeof *f);
    struct schedule_run_conf c = {
        .n_workers = WORKERS, .limits = { SESSIONS_MAX, PPS_MAX }, .on_applied = on_applied, .ctx = f
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
                                 .max_reflect_sessions = 1 };
        if (i == 0)
            assert_int_equal(tw_addr_parse("127.0.0.1", 0, &wc.reflect[0]), TW_OK);
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

static int setup(void **state)
{
    return setup_with(state, true);
}

static void on_keys_changed(void *ctx)
{
    ((struct fx *)ctx)->keys_changed = true;
}

static void write_secrets(struct fx *f, const char *text)
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
static int setup_with_keys(void **state)
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
                                                                   .limits = { SESSIONS_MAX, PPS_MAX },
                                                                   .keys = f->keys,
                                                                   .on_applied = on_applied,
                                                                   .ctx = f },
                                      &f->run),
                     TW_OK);
    return 0;
}

static int setup_without_threads(void **state)
{
    return setup_with(state, false);
}

static int teardown(void **state)
{
    struct fx *f = *state;

    for (size_t i = 0; i < WORKERS; i++)
        worker_free(f->workers[i]);
    schedule_run_free(f->run);
    keyring_free(f->keys);
    if (f->path[0])
        unlink(f->path);
    loop_free(f->loop);
    summary_free(&f->scratch);
    free(f);
    return 0;
}

static void turn(struct fx *f)
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

/* ---- Schedules ---- */

static Tw__SessionSpec *add(struct fx *f, uint64_t pair, uint32_t flow)
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
    p->report_period_ns = 1000 * TW_NS_PER_S; /* so that only a stop closes it */
    p->reflector_stateful = true;
    return p;
}

static enum tw_rc try_apply(struct fx *f, uint64_t generation, struct tw_err *err)
{
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;

    f->digest = (uint8_t)generation;
    rq.generation = generation;
    rq.digest = (ProtobufCBinaryData){ 1, &f->digest };
    rq.sessions = f->list;
    rq.n_sessions = f->n;
    f->n = 0;
    return schedule_run_apply(f->run, &rq, err);
}

static void apply(struct fx *f, uint64_t generation)
{
    struct tw_err err = { 0 };

    if (try_apply(f, generation, &err))
        fail_msg("generation %u: %s", (unsigned)generation, err.text);
    WAIT(f, f->applied_generation == generation);
}

static uint64_t sessions_in_workers(struct fx *f)
{
    struct worker_counters c;
    uint64_t n = 0;

    for (size_t i = 0; i < WORKERS; i++) {
        worker_counters(f->workers[i], &c);
        n += c.sessions;
    }
    return n;
}

static uint64_t sent_by(struct fx *f, uint64_t pair)
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
static struct session_totals totals_of(struct fx *f, uint64_t pair)
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

static struct worker_counters counters(struct fx *f)
{
    struct worker_counters c;

    worker_counters(f->workers[0], &c); /* the one that reflects */
    return c;
}

static const char *refusal_of(struct fx *f, uint64_t pair, uint32_t flow)
{
    Tw__Refusal **list = NULL;
    size_t n = schedule_run_refusals(f->run, &list);

    for (size_t i = 0; i < n; i++)
        if (list[i]->pair_id == pair && list[i]->flow == flow)
            return list[i]->reason;
    return "";
}

static size_t refusals(struct fx *f)
{
    Tw__Refusal **list;

    return schedule_run_refusals(f->run, &list);
}

/* ---- Tests ---- */

static void the_same_sessions_go_on_under_a_new_generation(void **state)
{
    struct fx *f = *state;
    uint64_t before;

    add(f, 1, 0);
    add(f, 1, 1);
    apply(f, 1);
    WAIT(f, sent_by(f, 1) >= 20);
    before = sent_by(f, 1);
    add(f, 1, 0);
    add(f, 1, 1);
    apply(f, 2);
    assert_true(sent_by(f, 1) >= before);
    assert_int_equal(f->seen[1].n, 0);
    assert_int_equal(f->ended, 0);
    apply(f, 3); /* nothing any more: the last summaries come, each of one piece */
    WAIT(f, f->ended == 2 && f->seen[1].n == 2);
    assert_int_equal(f->seen[1].last_generation, 2);
    assert_true(f->seen[1].received >= before);
}

static void a_changed_session_restarts(void **state)
{
    struct fx *f = *state;

    add(f, 1, 0);
    add(f, 2, 0);
    apply(f, 1);
    WAIT(f, sent_by(f, 1) >= 5 && sent_by(f, 2) >= 5);
    add(f, 1, 0)->dscp = 46;
    add(f, 2, 0);
    apply(f, 2);
    WAIT(f, f->ended == 1 && f->seen[1].n == 1);
    assert_int_equal(f->seen[1].last_generation, 1);
    assert_int_equal(f->seen[2].n, 0);
    WAIT(f, sent_by(f, 1) >= 5);
    assert_int_equal(sessions_in_workers(f), 2);
}

static void a_removed_session_stops_and_its_last_summary_has_names(void **state)
{
    struct fx *f = *state;

    add(f, 1, 0)->timeout_ns = 400 * TW_NS_PER_MS;
    f->spec[0].port = 9; /* nobody answers: the last summary waits for the timeout */
    add(f, 2, 0);
    apply(f, 1);
    WAIT(f, sent_by(f, 1) >= 5);
    for (uint64_t g = 2; g <= 5; g++) { /* an operator who changes the mesh several times in a row */
        add(f, 2, 0);
        apply(f, g);
    }
    assert_int_equal(f->seen[1].n, 0);
    WAIT(f, f->seen[1].n == 1 && f->ended == 1);
    assert_string_equal(f->seen[1].names, "mesh/class/target");
    assert_true(f->seen[1].sent >= 5);
    WAIT(f, sessions_in_workers(f) == 1);
}

static void names_are_forgotten_at_last(void **state)
{
    struct fx *f = *state;
    Tw__Summary m = TW__SUMMARY__INIT;

    m.pair_id = 1;
    add(f, 1, 0);
    apply(f, 1);
    apply(f, 2);
    WAIT(f, f->ended == 1);
    schedule_run_name(f->run, &m);
    assert_string_equal(m.mesh, "mesh"); /* one more generation */
    apply(f, 3);
    m = (Tw__Summary)TW__SUMMARY__INIT;
    m.pair_id = 1;
    schedule_run_name(f->run, &m);
    assert_string_equal(m.mesh, "");
}

static void what_cannot_run_is_refused_with_a_reason(void **state)
{
    static const struct {
        const char *name, *want;
        int64_t spacing_ns, timeout_ns, period_ns;
        const char *address;
        uint32_t port, size, dscp, ttl;
    } rows[] = {
        { "fine", "", TW_NS_PER_S, TW_NS_PER_S, TW_NS_PER_S, "127.0.0.1", 9, 64, 0, 1 },
        { "name", "target address", TW_NS_PER_S, TW_NS_PER_S, TW_NS_PER_S, "localhost", 9, 64, 0, 1 },
        { "port", "port", TW_NS_PER_S, TW_NS_PER_S, TW_NS_PER_S, "127.0.0.1", 65536, 64, 0, 1 },
        { "spacing", "spacing", TW_NS_PER_MS - 1, TW_NS_PER_S, TW_NS_PER_S, "127.0.0.1", 9, 64, 0, 1 },
        { "size", "size", TW_NS_PER_S, TW_NS_PER_S, TW_NS_PER_S, "127.0.0.1", 9, 13, 0, 1 },
        { "dscp", "dscp", TW_NS_PER_S, TW_NS_PER_S, TW_NS_PER_S, "127.0.0.1", 9, 64, 64, 1 },
        { "ttl", "ttl", TW_NS_PER_S, TW_NS_PER_S, TW_NS_PER_S, "127.0.0.1", 9, 64, 0, 256 },
        { "timeout", "timeout", TW_NS_PER_S, TW_NS_PER_S + 1, TW_NS_PER_S, "127.0.0.1", 9, 64, 0, 1 },
        { "in flight", "in flight", TW_NS_PER_MS, 3600 * TW_NS_PER_S, 3600 * TW_NS_PER_S, "127.0.0.1", 9, 64,
          0, 1 },
        { "period", "report period", TW_NS_PER_S, TW_NS_PER_S, INT64_MAX, "127.0.0.1", 9, 64, 0, 1 },
    };
    struct fx *f = *state;

    for (uint64_t i = 0; i < TW_NELEM(rows); i++) {
        Tw__SessionSpec *p = add(f, i + 1, 7);
        p->address = (char *)rows[i].address;
        p->spacing_ns = rows[i].spacing_ns;
        p->timeout_ns = rows[i].timeout_ns;
        p->report_period_ns = rows[i].period_ns;
        p->port = rows[i].port;
        p->size_bytes = rows[i].size;
        p->dscp = rows[i].dscp;
        p->ttl = rows[i].ttl;
    }
    apply(f, 1);
    for (uint64_t i = 0; i < TW_NELEM(rows); i++) {
        const char *got = refusal_of(f, i + 1, 7);
        if (*rows[i].want ? !strstr(got, rows[i].want) : *got)
            fail_msg("%s: refused with \"%s\"", rows[i].name, got);
    }
    assert_int_equal(schedule_run_sessions(f->run), 1);
    WAIT(f, sessions_in_workers(f) == 1);
}

/* The controller knew that it cannot run: the operator shall see it where all refusals are seen. */
static void what_the_controller_wants_refused_is_refused(void **state)
{
    struct fx *f = *state;
    Tw__SessionSpec *p = add(f, 1, 0);

    p->refuse = (char *)"the target agent has no TWAMP-Control server";
    p->port = 0;
    add(f, 2, 0);
    apply(f, 1);
    assert_string_equal(refusal_of(f, 1, 0), "the target agent has no TWAMP-Control server");
    assert_int_equal(schedule_run_sessions(f->run), 1);
}

/* ---- Keys ---- */

static void add_signed(struct fx *f, uint64_t pair, const char *key_id)
{
    Tw__SessionSpec *p = add(f, pair, 0);

    p->protocol = TW__PROTOCOL__PROTOCOL_STAMP;
    p->auth = TW__AUTH__AUTH_AUTHENTICATED;
    p->key_id = (char *)key_id;
    p->size_bytes = 112;
}

static void new_secrets(struct fx *f, const char *text)
{
    f->keys_changed = false;
    write_secrets(f, text);
    keyring_look(f->keys);
    assert_true(f->keys_changed);
}

static void received_more(struct fx *f, uint64_t pair)
{
    uint64_t before = totals_of(f, pair).received;

    WAIT(f, totals_of(f, pair).received >= before + 20);
}

/* The passphrase changes step by step while a session runs: it goes on, and no probe or answer is turned
 * away. */
static void a_key_changes_without_a_gap(void **state)
{
    static const char *const steps[] = {
        "site old-passphrase\nsite new-passphrase\n", /* both taken, the old one signs */
        "site new-passphrase\nsite old-passphrase\n", /* the new one signs */
        "site new-passphrase\n",
    };
    struct fx *f = *state;
    struct session_totals t;

    add_signed(f, 1, "site");
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 20);
    for (size_t i = 0; i < TW_NELEM(steps); i++) {
        new_secrets(f, steps[i]);
        add_signed(f, 1, "site");
        apply(f, 1); /* the kept schedule, as main does */
        assert_int_equal(refusals(f), 0);
        received_more(f, 1);
    }
    t = totals_of(f, 1);
    assert_int_equal(f->ended + f->seen[1].n, 0); /* of one piece */
    assert_int_equal(t.rejected, 0);
    assert_int_equal(t.lost, 0);
    assert_int_equal(counters(f).reflector_auth_failed, 0);
    assert_true(counters(f).reflected_auth >= t.received);
}

static void keys_that_come_and_go(void **state)
{
    struct fx *f = *state;

    add_signed(f, 1, "site");
    add_signed(f, 2, "other");
    apply(f, 1);
    assert_non_null(strstr(refusal_of(f, 2, 0), "not in the agent's file of secrets"));
    WAIT(f, totals_of(f, 1).received >= 5);
    new_secrets(f, "other passphrase of many words\n");
    add_signed(f, 1, "site");
    add_signed(f, 2, "other");
    apply(f, 1);
    assert_non_null(strstr(refusal_of(f, 1, 0), "not in the agent's file of secrets"));
    assert_string_equal(refusal_of(f, 2, 0), "");
    WAIT(f, f->ended == 1 && totals_of(f, 2).received >= 5);
    assert_int_equal(totals_of(f, 2).rejected, 0);
}

/* A change that cannot be read leaves everything as it is, and says so. */
static void a_bad_file_changes_nothing(void **state)
{
    struct fx *f = *state;
    uint64_t version = keyring_version(f->keys);

    add_signed(f, 1, "site");
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 5);
    assert_string_equal(keyring_error(f->keys), "");
    write_secrets(f, "site\n");
    keyring_look(f->keys);
    assert_false(f->keys_changed);
    assert_true(*keyring_error(f->keys));
    assert_null(strstr(keyring_error(f->keys), "passphrase\n"));
    assert_int_equal(keyring_version(f->keys), version);
    received_more(f, 1);
    assert_int_equal(totals_of(f, 1).rejected, 0);
    new_secrets(f, "site old-passphrase\n");
    assert_string_equal(keyring_error(f->keys), "");
}

static void without_a_file_of_secrets(void **state)
{
    struct fx *f = *state;

    add_signed(f, 1, "site");
    apply(f, 1);
    assert_non_null(strstr(refusal_of(f, 1, 0), "--secrets"));
}

/* STAMP without keys: plain, and with what the far end saw of our marking. */
static void stamp_tells_the_marking(void **state)
{
    struct fx *f = *state;
    Tw__SessionSpec *p = add(f, 1, 0);

    p->protocol = TW__PROTOCOL__PROTOCOL_STAMP;
    p->tlvs = STAMP_TLV_BIT(STAMP_TLV_COS);
    p->dscp = 46;
    p->reply_dscp = 34;
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 10);
    apply(f, 2);
    WAIT(f, f->seen[1].n == 1);
    assert_true(f->seen[1].tos_forward_min == 46 << 2 && f->seen[1].tos_forward_max == 46 << 2);
    assert_true(f->seen[1].tos_backward_min == 34 << 2);
    assert_true(counters(f).reflected_stamp >= 10);
}

static void the_agents_own_limits_hold(void **state)
{
    struct fx *f = *state;

    for (uint32_t i = 0; i < SESSIONS_MAX + 1; i++)
        add(f, 1, i)->spacing_ns = TW_NS_PER_S;
    apply(f, 1);
    assert_int_equal(refusals(f), 1);
    assert_non_null(strstr(refusal_of(f, 1, SESSIONS_MAX), "--max-sessions"));
    for (uint32_t i = 0; i < 6; i++) /* 6 * 1000 probes per second */
        add(f, 1, i)->spacing_ns = TW_NS_PER_MS;
    apply(f, 2);
    assert_int_equal(refusals(f), 1);
    assert_non_null(strstr(refusal_of(f, 1, 5), "--max-pps"));
    for (uint32_t i = 0; i < 5; i++) { /* 500,000 probes in flight each */
        Tw__SessionSpec *p = add(f, 1, i);
        p->spacing_ns = TW_NS_PER_MS;
        p->timeout_ns = 500 * TW_NS_PER_S;
    }
    apply(f, 3);
    assert_int_equal(refusals(f), 1);
    assert_non_null(strstr(refusal_of(f, 1, 4), "in flight"));
    apply(f, 4);
    assert_int_equal(refusals(f), 0);
}

static void a_malformed_schedule_changes_nothing(void **state)
{
    struct fx *f = *state;
    struct tw_err err = { 0 };
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;

    add(f, 1, 0);
    apply(f, 1);
    add(f, 2, 3);
    add(f, 4, 0);
    add(f, 2, 3);
    assert_int_equal(try_apply(f, 2, &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "pair 2 flow 3"));
    assert_int_equal(schedule_run_apply(f->run, &rq, &err), TW_EINVAL); /* no digest */
    assert_int_equal(schedule_run_generation(f->run), 1);
    assert_int_equal(schedule_run_sessions(f->run), 1);
    assert_int_equal(sent_by(f, 2) + sent_by(f, 4), 0);
    assert_int_equal(f->applied, 1);
}

static void a_full_command_ring_is_tried_again(void **state)
{
    struct fx *f = *state;
    struct tw_err err = { 0 };

    for (uint64_t g = 1; g <= 8; g++) { /* more commands than two rings of 2 * (SESSIONS_MAX + 1) take */
        for (uint32_t i = 0; i < SESSIONS_MAX; i++)
            add(f, 1, i);
        assert_int_equal(try_apply(f, g, &err), TW_OK);
    }
    assert_true(f->applied_generation < 8);
    turn(f);
    assert_true(f->applied_generation < 8);
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(worker_run(f->workers[i], &err), TW_OK);
    WAIT(f, f->applied_generation == 8);
    WAIT(f, sent_by(f, 1) >= 1);
    apply(f, 9);
    WAIT(f, f->ended == SESSIONS_MAX && f->seen[1].n == SESSIONS_MAX);
    assert_int_equal(f->seen[1].last_generation, 8);
}

/* No more descriptors; the previous limit is returned. */
static struct rlimit forbid_sockets(void)
{
    struct rlimit old, low;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    return old;
}

static void a_session_that_cannot_start_is_reported(void **state)
{
    struct fx *f = *state;
    struct rlimit old = forbid_sockets();

    add(f, 1, 0);
    apply(f, 1);
    WAIT(f, f->failed == 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_non_null(strstr(refusal_of(f, 1, 0), "descriptors"));
    assert_int_equal(schedule_run_sessions(f->run), 0);
    assert_int_equal(f->applied, 2); /* it is acknowledged once more, with the refusal */
    add(f, 1, 0);
    apply(f, 2); /* the next schedule tries again */
    WAIT(f, sent_by(f, 1) >= 1);
    assert_int_equal(refusals(f), 0);
}

/* The failure of what ran before must not be taken for one of its successor. */
static void a_late_notice_does_not_hit_the_successor(void **state)
{
    struct fx *f = *state;
    struct rlimit old = forbid_sockets();
    struct tw_err err = { 0 };

    add(f, 1, 0);
    assert_int_equal(try_apply(f, 1, &err), TW_OK);
    assert_int_equal(sent_by(f, 1), 0); /* the worker has answered, so its notice is waiting */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    add(f, 1, 0)->dscp = 46;
    assert_int_equal(try_apply(f, 2, &err), TW_OK);
    WAIT(f, f->failed == 1);
    WAIT(f, sent_by(f, 1) >= 1);
    assert_string_equal(refusal_of(f, 1, 0), "");
    assert_int_equal(schedule_run_sessions(f->run), 1);
    apply(f, 3);
    WAIT(f, f->ended == 1 && sessions_in_workers(f) == 0);
}

int main(void)
{
#define ROW(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(the_same_sessions_go_on_under_a_new_generation),
        ROW(a_changed_session_restarts),
        ROW(a_removed_session_stops_and_its_last_summary_has_names),
        ROW(names_are_forgotten_at_last),
        ROW(what_cannot_run_is_refused_with_a_reason),
        ROW(what_the_controller_wants_refused_is_refused),
        cmocka_unit_test_setup_teardown(a_key_changes_without_a_gap, setup_with_keys, teardown),
        cmocka_unit_test_setup_teardown(keys_that_come_and_go, setup_with_keys, teardown),
        cmocka_unit_test_setup_teardown(a_bad_file_changes_nothing, setup_with_keys, teardown),
        ROW(without_a_file_of_secrets),
        ROW(stamp_tells_the_marking),
        ROW(the_agents_own_limits_hold),
        ROW(a_malformed_schedule_changes_nothing),
        cmocka_unit_test_setup_teardown(a_full_command_ring_is_tried_again, setup_without_threads, teardown),
        ROW(a_session_that_cannot_start_is_reported),
        ROW(a_late_notice_does_not_hit_the_successor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
