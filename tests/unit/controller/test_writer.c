/* The store writer: order, groups, what fails alone, what is tried again, what a stop leaves behind. */
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/writer.h"
#include "db/sqlite/history.h"
#include "db/store_priv.h"
#include "tests/unit/controller/wait.h"

#define MAX_JOBS 512

struct fixture {
    char dir[64], path[128];
    struct loop *loop;
    struct store *store;
    struct writer *w;
    unsigned order[MAX_JOBS], n_done;
};

/* A job that puts the agent "agent-N". */
struct job {
    struct writer_job job; /* first */
    struct fixture *f;
    unsigned number;
    _Atomic bool fails; /* its run fails with fail_rc */
    enum tw_rc fail_rc;
    unsigned slow_ms; /* its run takes so long, as on a slow disk */
    _Atomic unsigned runs;
    enum tw_rc outcome;
    bool done;
    unsigned weight; /* so many keys of control state; 0: one */
};

static unsigned keys_changed; /* by jobs of the open transaction; the writer's thread */

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct tw_err err = { 0 };

    log_init("test", LOG_ERROR_ + 1, LOG_TEXT);
    strcpy(f->dir, "/tmp/tw-writer-XXXXXX");
    if (!mkdtemp(f->dir) || loop_new(&f->loop) != TW_OK)
        return -1;
    snprintf(f->path, sizeof f->path, "%s/test.db", f->dir);
    if (store_open(f->path, &f->store, &err) != TW_OK)
        return -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char cmd[128];

    writer_stop(f->w);
    store_close(f->store);
    loop_free(f->loop);
    snprintf(cmd, sizeof cmd, "rm -rf %s", f->dir);
    free(f);
    return system(cmd) ? -1 : 0;
}

static void start(struct fixture *f, struct writer_conf c)
{
    struct tw_err err = { 0 };

    c.loop = f->loop;
    c.store = f->store;
    assert_int_equal(writer_start(&c, &f->w, &err), TW_OK);
}

static enum tw_rc run(struct writer_job *j, struct store *s, struct tw_err *err)
{
    struct job *job = (struct job *)j;
    struct store_agent a = { .first_seen_ns = 1 };

    job->runs++;
    usleep(job->slow_ms * 1000);
    if (job->fails)
        return tw_err_set(err, job->fail_rc, "made to fail");
    keys_changed += job->weight ? job->weight : 1;
    snprintf(a.name, sizeof a.name, "agent-%u", job->number);
    return store_put_agent(s, &a, err);
}

static void done(struct writer_job *j)
{
    struct job *job = (struct job *)j;

    job->done = true;
    job->outcome = j->rc;
    job->f->order[job->f->n_done++] = job->number;
}

static void init_job(struct fixture *f, struct job *j, unsigned number, size_t rows)
{
    memset(j, 0, sizeof *j);
    j->job = (struct writer_job){ .run = run, .done = done, .rows = rows };
    j->f = f;
    j->number = number;
}

static enum tw_rc count_agent(void *ctx, const struct store_agent *a)
{
    (void)a;
    ++*(unsigned *)ctx;
    return TW_OK;
}

static unsigned stored(struct fixture *f)
{
    unsigned n = 0;
    struct tw_err err = { 0 };

    assert_int_equal(store_each_agent(f->store, count_agent, &n, &err), TW_OK);
    return n;
}

static struct writer_stats stats(struct fixture *f)
{
    struct writer_stats st;

    writer_stats(f->w, &st);
    return st;
}

static void stop(struct fixture *f)
{
    writer_stop(f->w);
    f->w = NULL;
}

static void jobs_end_in_order_and_share_commits(void **state)
{
    struct fixture *f = *state;
    struct job j[40];
    uint64_t commits;

    start(f, (struct writer_conf){ .linger_ns = 50 * TW_NS_PER_MS });
    commits = stats(f).store.commits;
    for (unsigned i = 0; i < 40; i++) {
        init_job(f, &j[i], i, 1);
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    WAIT(f->n_done == 40);
    for (unsigned i = 0; i < 40; i++)
        if (f->order[i] != i || j[i].outcome != TW_OK)
            fail_msg("place %u: job %u, outcome %s", i, f->order[i], tw_rc_name(j[i].outcome));
    assert_in_range(stats(f).store.commits - commits, 1, 5);
    assert_int_equal(stats(f).queued_rows, 0);
    stop(f);
    assert_int_equal(stored(f), 40);
}

static void a_full_disk_is_waited_for(void **state)
{
    static const enum tw_rc reasons[] = { TW_ENOSPC, TW_EIO };
    struct fixture *f = *state;
    struct job j[3];

    for (size_t r = 0; r < TW_NELEM(reasons); r++) {
        f->n_done = 0;
        start(f, (struct writer_conf){ .linger_ns = 20 * TW_NS_PER_MS, .retry_ns = 20 * TW_NS_PER_MS });
        for (unsigned i = 0; i < 3; i++)
            init_job(f, &j[i], (unsigned)r * 3 + i, 1);
        j[1].fail_rc = reasons[r];
        j[1].fails = true;
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
        WAIT(j[1].runs >= 3);
        assert_int_equal(f->n_done, 0); /* nothing is said to be done that is not durable */
        assert_non_null(strstr(stats(f).problem, r ? "cannot be written" : "disk full"));
        assert_non_null(strstr(stats(f).problem, "made to fail"));
        assert_true(stats(f).retries >= 2);
        j[1].fails = false;
        WAIT(f->n_done == 3);
        assert_string_equal(stats(f).problem, "");
        stop(f);
        assert_int_equal(stored(f), 3 * (r + 1));
    }
}

/* ---- A history in a database of its own: another SQLite file, that can be away ---- */

static struct history_ops away_ops;
static atomic_bool away;

static enum tw_rc begin_unless_away(struct history *h, struct tw_err *err)
{
    return away ? tw_err_set(err, TW_ETIMEOUT, "nobody answers") : sqlite_history.begin(h, err);
}

static enum tw_rc look_unless_away(struct history *h, struct tw_err *err)
{
    (void)h;
    return away ? tw_err_set(err, TW_ETIMEOUT, "nobody answers") : TW_OK;
}

static void tell_address(struct history *h, struct store_history_info *ret)
{
    (void)h;
    snprintf(ret->address, sizeof ret->address, "elsewhere");
}

static void open_apart(struct fixture *f)
{
    char path[160];
    struct history *h;
    struct tw_err err = { 0 };

    store_close(f->store);
    snprintf(path, sizeof path, "%s.history", f->path);
    away_ops = sqlite_history;
    away_ops.begin = begin_unless_away;
    away_ops.look = look_unless_away;
    away_ops.info = tell_address;
    assert_int_equal(sqlite_history.open(&(struct history_conf){ .location = path }, &h, &err), TW_OK);
    h->ops = &away_ops;
    assert_int_equal(store_open_with(f->path, h, &f->store, &err), TW_OK);
}

static void what_needs_no_history_does_not_wait_for_it(void **state)
{
    struct fixture *f = *state;
    struct job j[6];

    away = true;
    open_apart(f);
    start(f, (struct writer_conf){ .linger_ns = TW_NS_PER_MS, .retry_ns = 20 * TW_NS_PER_MS });
    WAIT(strstr(stats(f).history_problem,
                "history at elsewhere cannot be used: nobody answers")); /* with nothing to write */
    for (unsigned i = 0; i < 6; i++) {
        init_job(f, &j[i], i, i < 2 || i == 3 ? 1 : 0);
        j[i].job.urgent = i == 3;  /* rows that are not of the history */
        j[i].job.history = i == 2; /* no rows, and it is */
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
        if (i >= 3)
            WAIT(j[i].done);
    }
    assert_int_equal(f->n_done, 3);
    WAIT(stats(f).history_retries >= 3);
    assert_string_equal(stats(f).problem, "");
    assert_int_equal(stats(f).queued_rows, 2);
    away = false;
    WAIT(f->n_done == 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(j[i].outcome, TW_OK);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(f->order[3 + i], i);
    WAIT(!*stats(f).history_problem);
    assert_string_equal(stats(f).history_error, "nobody answers");
    stop(f);
    assert_int_equal(stored(f), 6);
}

static void a_stop_without_the_history_says_what_is_lost(void **state)
{
    struct fixture *f = *state;
    struct job j[2];

    away = true;
    open_apart(f);
    start(f, (struct writer_conf){ .linger_ns = TW_NS_PER_MS, .retry_ns = 20 * TW_NS_PER_MS });
    init_job(f, &j[0], 0, 1);
    init_job(f, &j[1], 1, 0);
    assert_int_equal(writer_submit(f->w, &j[0].job), TW_OK);
    WAIT(stats(f).history_retries >= 1);
    assert_int_equal(writer_submit(f->w, &j[1].job), TW_OK);
    stop(f);
    assert_int_equal(j[0].outcome, TW_ECLOSED);
    assert_int_equal(j[1].outcome, TW_OK);
    away = false;
    assert_int_equal(stored(f), 1);
}

/* ---- Control state that others change, too ---- */

static struct {
    struct control_shared shared; /* first */
    struct store *s;
    atomic_bool away;
    atomic_llong holder, fence; /* who holds the role, and who has to */
    atomic_uint conflicts;    /* commits that others come before */
    atomic_uint most;         /* keys of a commit; 0: any number */
    atomic_bool leaves;       /* it is away once it has refused such a commit */
    const char *_Atomic news; /* a key that others changed */
    void (*fn)(void *ctx, const char *key);
    void *ctx;
} others;

static enum tw_rc follow_others(struct control_shared *c, struct tw_err *err)
{
    const char *key = atomic_exchange(&others.news, NULL);

    (void)c;
    (void)err;
    keys_changed = 0;
    if (key && others.fn)
        others.fn(others.ctx, key);
    return TW_OK;
}

static enum tw_rc agree_with_others(struct control_shared *c, struct tw_err *err)
{
    (void)c;
    if (others.away && others.s->q->touched)
        return tw_err_set(err, TW_ETIMEOUT, "nobody knows");
    if (others.fence && others.fence != others.holder)
        return tw_err_set(err, TW_EPERM, "others hold it");
    if (others.conflicts && others.conflicts--)
        return tw_err_set(err, TW_EAGAIN, "others were first");
    if (others.most && keys_changed > others.most) {
        if (others.leaves)
            others.away = true;
        others.leaves = false;
        return tw_err_set(err, TW_ERANGE, "%u keys are too many", keys_changed);
    }
    return TW_OK;
}

static void done_with_others(struct control_shared *c, bool committed)
{
    (void)c;
    assert_true(committed);
}

static void hurry_others(struct control_shared *c, int64_t by_mono_ns)
{
    (void)c;
    (void)by_mono_ns;
}

static void listen_to_others(struct control_shared *c, void (*fn)(void *ctx, const char *key), void *ctx)
{
    (void)c;
    others.fn = fn;
    others.ctx = ctx;
}

static void tell_others(struct control_shared *c, struct store_shared_info *ret)
{
    (void)c;
    snprintf(ret->address, sizeof ret->address, "there");
    ret->away = others.away;
    snprintf(ret->why, sizeof ret->why, "%s", others.away ? "nobody answers" : "");
}

static void fence_off_others(struct control_shared *c, const char *role, int64_t number)
{
    (void)c;
    assert_string_equal(role, "planner");
    others.fence = number;
}

static void leave_others(struct control_shared *c)
{
    (void)c;
}

static struct {
    unsigned n;
    uint64_t number;
    char last[32];
} heard;

static void hear(void *ctx, const char *const *keys, size_t n, uint64_t number)
{
    (void)ctx;
    assert_true(n > 0 && number >= heard.number);
    heard.n += (unsigned)n;
    heard.number = number;
    snprintf(heard.last, sizeof heard.last, "%s", keys[n - 1]);
}

static void start_shared(struct fixture *f)
{
    memset(&others, 0, sizeof others);
    memset(&heard, 0, sizeof heard);
    away = false;
    open_apart(f);
    others.shared = (struct control_shared){ .follow = follow_others,
                                             .agree = agree_with_others,
                                             .done = done_with_others,
                                             .hurry = hurry_others,
                                             .listen = listen_to_others,
                                             .info = tell_others,
                                             .fence = fence_off_others,
                                             .close = leave_others };
    others.s = f->store;
    f->store->shared = &others.shared;
    start(f, (struct writer_conf){ .linger_ns = TW_NS_PER_MS,
                                   .retry_ns = 20 * TW_NS_PER_MS,
                                   .turn_ns = TW_NS_PER_MS,
                                   .news = hear });
}

static enum tw_rc run_result(struct writer_job *j, struct store *s, struct tw_err *err)
{
    (void)s;
    (void)err;
    ((struct job *)j)->runs++;
    return TW_OK;
}

static void results_do_not_wait_for_shared_control_state(void **state)
{
    struct fixture *f = *state;
    struct job j[8];

    start_shared(f);
    others.away = true;
    WAIT(strstr(stats(f).control_problem, "control state at there cannot be used: nobody answers"));
    for (unsigned i = 0; i < 4; i++) {
        init_job(f, &j[i], i, i == 2);
        if (i == 2)
            j[i].job.run = run_result;
        j[i].job.urgent = i == 1;
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    WAIT(j[2].done);
    WAIT(stats(f).control_retries >= 3);
    assert_int_equal(f->n_done, 1);
    assert_string_equal(stats(f).history_problem, "");
    assert_string_equal(stats(f).problem, "");
    assert_true(*stats(f).control_problem);
    for (unsigned i = 4; i < 8;
         i++) { /* those that have to look at control state wait for that, and do not hold up others */
        init_job(f, &j[i], i, 1);
        if (i % 2)
            j[i].job.run = run_result;
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    WAIT(j[5].done && j[7].done);
    WAIT(j[4].runs >= 3 && j[6].runs >= 3);
    assert_int_equal(f->n_done, 3);
    assert_int_equal(stats(f).queued_rows, 2);
    assert_string_equal(stats(f).history_problem, "");
    assert_true(*stats(f).control_problem);
    others.away = false;
    WAIT(f->n_done == 8);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(j[i].outcome, TW_OK);
    WAIT(!*stats(f).control_problem);
    assert_true(*stats(f).control_error);
    stop(f);
    assert_int_equal(stored(f), 5);
}

static void who_comes_second_is_run_again_at_once(void **state)
{
    struct fixture *f = *state;
    struct job j[2];

    start_shared(f);
    for (unsigned i = 0; i < 2; i++) {
        others.conflicts = 3;
        init_job(f, &j[i], i, i);
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
        WAIT(j[i].done);
        assert_int_equal(j[i].outcome, TW_OK);
        assert_int_equal(j[i].runs, 4);
    }
    assert_int_equal(stats(f).again, 6);
    assert_int_equal(stats(f).control_retries + stats(f).history_retries + stats(f).retries, 0);
    assert_string_equal(stats(f).control_error, "");
    stop(f);
}

/* As when many agents join while etcd is away. */
static void what_is_too_much_for_one_commit_goes_in_several(void **state)
{
    struct fixture *f = *state;
    struct job j[40];
    uint64_t tries;

    start_shared(f);
    others.most = 6;
    others.away = true;
    for (unsigned i = 0; i < 40; i++) {
        init_job(f, &j[i], i, 0);
        j[i].weight = i == 17 ? 7 : 1; /* which is too large by itself */
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    WAIT(stats(f).control_retries >= 1);
    others.leaves = true;
    others.away = false;
    WAIT(others.away && !others.leaves); /* between two halves */
    tries = stats(f).control_retries;
    WAIT(stats(f).control_retries > tries + 1);
    others.away = false;
    WAIT(f->n_done == 40);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(f->order[i], i);
        assert_int_equal(j[i].outcome, i == 17 ? TW_ERANGE : TW_OK);
    }
    assert_string_equal(j[17].job.err.text, "7 keys are too many");
    stop(f);
    assert_int_equal(stored(f), 39);
}

/* As many as take many commits: none is run again for each of them, and results go in between. */
static void what_takes_many_commits_does_not_hold_up_results(void **state)
{
    enum { MANY = 120, FIT = 6 };
    struct fixture *f = *state;
    struct job *j = calloc(MANY + 1, sizeof *j);
    unsigned runs = 0;

    assert_non_null(j);
    start_shared(f);
    others.most = FIT;
    others.away = true;
    for (unsigned i = 0; i < MANY; i++) {
        init_job(f, &j[i], i, 0);
        j[i].slow_ms = 3; /* so that there are some left when the result comes */
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    WAIT(stats(f).control_retries >= 1);
    runs = j[0].runs;
    others.away = false;
    WAIT(j[0].done);
    init_job(f, &j[MANY], MANY, 1);
    j[MANY].job.run = run_result;
    assert_int_equal(writer_submit(f->w, &j[MANY].job), TW_OK);
    WAIT(f->n_done == MANY + 1);
    assert_int_not_equal(f->order[MANY], MANY);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(j[i].outcome, TW_OK);
        runs += i ? j[i].runs : j[i].runs - runs;
    }
    if (runs > 8 * MANY)
        fail_msg("%u jobs were run %u times", MANY, runs);
    stop(f);
    assert_int_equal(stored(f), MANY);
    free(j);
}

static void what_only_the_planner_does_is_done_by_nobody_else(void **state)
{
    struct fixture *f = *state;
    struct job j[5];

    start_shared(f);
    others.holder = 7;
    for (unsigned i = 0; i < 5; i++) { /* in one group, but for those that are fenced */
        init_job(f, &j[i], i, 1);
        j[i].job.fence = i == 1 ? 7 : i == 3 ? 6 : 0;
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    WAIT(f->n_done == 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(j[i].outcome, i == 3 ? TW_EPERM : TW_OK);
        assert_int_equal(f->order[i], i);
    }
    assert_string_equal(stats(f).control_problem, "");
    assert_string_equal(stats(f).history_problem, "");
    others.away = true; /* a fenced one waits for nobody, and holds nobody up */
    WAIT(*stats(f).control_problem);
    init_job(f, &j[0], 9, 1);
    j[0].job.fence = 7;
    assert_int_equal(writer_submit(f->w, &j[0].job), TW_OK);
    WAIT(j[0].done);
    assert_int_equal(j[0].outcome, TW_EPERM);
    others.away = false;
    stop(f);
    assert_int_equal(stored(f), 4);
}

static void what_was_decided_by_what_is_gone_is_not_done(void **state)
{
    static const struct {
        const char *news;
        uint64_t decided, number;
        enum tw_rc rc;
    } cases[] = {
        { NULL, WRITER_MEMORY_START, 0, TW_OK },
        { "audit/7", WRITER_MEMORY_START, WRITER_MEMORY_START, TW_OK }, /* a note */
        { "agent/1", WRITER_MEMORY_START, WRITER_MEMORY_START + 1, TW_EAGAIN },
        { NULL, WRITER_MEMORY_START + 1, WRITER_MEMORY_START + 1, TW_OK },
        { "", WRITER_MEMORY_START + 1, WRITER_MEMORY_START + 2, TW_EAGAIN },
    };
    struct fixture *f = *state;

    start_shared(f);
    for (unsigned i = 0; i < TW_NELEM(cases); i++) {
        struct job decided, fact;

        init_job(f, &decided, i, 0);
        init_job(f, &fact, i + 20, 0);
        decided.job.decided = cases[i].decided;
        fact.job.urgent = true;
        others.news = cases[i].news;
        assert_int_equal(writer_submit(f->w, &decided.job), TW_OK);
        assert_int_equal(writer_submit(f->w, &fact.job), TW_OK);
        WAIT(decided.done && fact.done);
        assert_int_equal(decided.outcome, cases[i].rc);
        assert_int_equal(fact.outcome, TW_OK);
        WAIT(heard.number == cases[i].number);
        if (cases[i].news)
            assert_string_equal(heard.last, cases[i].news);
    }
    assert_int_equal(stats(f).decided, 2);
    assert_int_equal(heard.n, 3);
    others.news = "mesh/m"; /* with nothing to write */
    WAIT(heard.number == WRITER_MEMORY_START + 3);
    stop(f);
    assert_int_equal(stored(f), 8);
}

static sqlite3 *other_program(struct fixture *f, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    return db;
}

/* A reader of the file, however long it reads, holds nobody up; who locks it for writing is waited for. */
static void a_locked_database_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct job j[6];
    sqlite3 *db = other_program(f, "BEGIN; SELECT count(*) FROM agent");

    start(f, (struct writer_conf){ .linger_ns = TW_NS_PER_MS, .retry_ns = 20 * TW_NS_PER_MS });
    for (unsigned i = 0; i < 3; i++) {
        init_job(f, &j[i], i, 1);
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
        WAIT(f->n_done == i + 1);
        assert_int_equal(j[i].outcome, TW_OK);
    }
    assert_int_equal(stats(f).retries, 0);
    sqlite3_close(db);

    db = other_program(f, "BEGIN IMMEDIATE");
    for (unsigned i = 3; i < 6; i++) {
        init_job(f, &j[i], i, 1);
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    loop_run_until(f->loop, &j[3].done, (struct tw_mono){ tw_mono_now().ns + 300 * TW_NS_PER_MS });
    assert_int_equal(f->n_done, 3); /* nothing is said to be done that is not durable, and nothing fails */
    sqlite3_close(db);
    WAIT(f->n_done == 6);
    for (unsigned i = 3; i < 6; i++)
        assert_int_equal(j[i].outcome, TW_OK);
    stop(f);
    assert_int_equal(stored(f), 6);
}

struct release {
    sqlite3 *db;
};

static void *release_soon(void *arg)
{
    struct release *r = arg;

    usleep(500000);
    sqlite3_close(r->db);
    return NULL;
}

static void a_job_that_is_wrong_fails_alone(void **state)
{
    struct fixture *f = *state;
    struct job j[3];

    start(f, (struct writer_conf){ .linger_ns = 20 * TW_NS_PER_MS });
    for (unsigned i = 0; i < 3; i++)
        init_job(f, &j[i], i, 1);
    j[1].fail_rc = TW_EINVAL;
    j[1].fails = true;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    WAIT(f->n_done == 3);
    assert_int_equal(j[0].outcome, TW_OK);
    assert_int_equal(j[1].outcome, TW_EINVAL);
    assert_string_equal(j[1].job.err.text, "made to fail");
    assert_int_equal(j[2].outcome, TW_OK);
    assert_int_equal(j[1].runs, 1);
    stop(f);
    assert_int_equal(stored(f), 2);
}

static void the_queue_is_bounded_and_says_when_it_fills(void **state)
{
    struct fixture *f = *state;
    struct job stuck, a, b, control;

    start(f, (struct writer_conf){ .max_rows = 10, .linger_ns = 1, .retry_ns = 10 * TW_NS_PER_MS });
    init_job(f, &stuck, 0, 4);
    stuck.fail_rc = TW_ENOSPC;
    stuck.fails = true;
    assert_int_equal(writer_submit(f->w, &stuck.job), TW_OK);
    assert_false(writer_pressed(f->w));
    init_job(f, &a, 1, 6);
    assert_int_equal(writer_submit(f->w, &a.job), TW_OK);
    assert_true(writer_pressed(f->w));
    init_job(f, &b, 2, 1);
    assert_int_equal(writer_submit(f->w, &b.job), TW_EBUSY);
    init_job(f, &control, 3, 0);
    assert_int_equal(writer_submit(f->w, &control.job), TW_OK);
    stuck.fails = false;
    WAIT(f->n_done == 3);
    assert_false(writer_pressed(f->w));
    assert_int_equal(writer_submit(f->w, &b.job), TW_OK);
    WAIT(f->n_done == 4);
}

static void what_people_wait_for_goes_with_the_next_commit(void **state)
{
    struct fixture *f = *state;
    struct job j[6], control, urgent;

    start(f, (struct writer_conf){ .group_rows = 1, .linger_ns = 1 });
    for (unsigned i = 0; i < 6; i++) {
        init_job(f, &j[i], i, 1);
        j[i].slow_ms = 50;
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    WAIT(f->n_done == 1);
    init_job(f, &control, 6, 0);
    init_job(f, &urgent, 7, 1);
    urgent.job.urgent = true;
    assert_int_equal(writer_submit(f->w, &control.job), TW_OK);
    assert_int_equal(writer_submit(f->w, &urgent.job), TW_OK);
    WAIT(f->n_done == 8);
    for (unsigned i = 0, next = 0; i < 8; i++) {
        if (f->order[i] == 6) {
            assert_in_range(i, 1, 2); /* one commit may be under way */
            assert_int_equal(f->order[++i], 7);
        } else {
            assert_int_equal(f->order[i], next++);
        }
    }
}

/* What waits must not be old before it is written; a group is what is fast. */
static void a_slow_disk_wants_a_short_queue(void **state)
{
    struct fixture *f = *state;
    struct job j[16];

    start(f, (struct writer_conf){ .max_rows = 1000, .group_rows = 10, .linger_ns = 1 });
    assert_int_equal(writer_capacity(f->w), 1000);
    for (unsigned i = 0; i < 4; i++) {
        init_job(f, &j[i], i, 10);
        j[i].slow_ms = 60; /* at most 167 rows/s */
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    WAIT(f->n_done == 4);
    assert_in_range(writer_capacity(f->w), 60, 333);
    assert_int_equal(stats(f).wanted_rows, writer_capacity(f->w));
    for (unsigned i = 4; i < 8; i++) {
        init_job(f, &j[i], i, 10);
        j[i].slow_ms = 700;
    }
    assert_int_equal(writer_submit(f->w, &j[4].job), TW_OK);
    WAIT(f->n_done == 5);
    for (unsigned i = 5; i < 8; i++)
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    WAIT(f->n_done == 8);
    assert_in_range(writer_capacity(f->w), 60, 70); /* six groups at least */
    assert_false(writer_pressed(f->w));
}

static void a_stop_writes_what_is_queued(void **state)
{
    struct fixture *f = *state;
    struct job j[30];

    start(f, (struct writer_conf){ .linger_ns = 10 * TW_NS_PER_S, .group_rows = 7 });
    for (unsigned i = 0; i < 30; i++) {
        init_job(f, &j[i], i, 1);
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    stop(f);
    assert_int_equal(f->n_done, 30);
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(j[i].outcome, TW_OK);
    assert_int_equal(stored(f), 30);
}

static void a_stop_on_a_full_disk_ends_and_says_what_is_lost(void **state)
{
    struct fixture *f = *state;
    struct job j[2];
    int64_t before = tw_mono_now().ns;

    start(f, (struct writer_conf){ .linger_ns = 1, .retry_ns = 3600 * TW_NS_PER_S });
    for (unsigned i = 0; i < 2; i++) {
        init_job(f, &j[i], i, 1);
        j[i].fail_rc = TW_ENOSPC;
        j[i].fails = true;
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    WAIT(stats(f).retries);
    stop(f);
    assert_int_equal(j[0].outcome, TW_ECLOSED);
    assert_int_equal(j[1].outcome, TW_ECLOSED);
    assert_true(tw_mono_now().ns - before < 10 * TW_NS_PER_S);
    assert_int_equal(stored(f), 0);
}

/* What is told to be done is in the database; the rest is told not to be, and its agent sends it again. */
static void a_stop_with_a_full_queue_and_a_slow_disk_ends_in_time(void **state)
{
    enum { JOBS = 60, SLOW_MS = 100 };
    struct fixture *f = *state;
    struct job j[JOBS], late;
    int64_t before;
    unsigned kept = 0;

    start(f, (struct writer_conf){ .max_rows = JOBS, .group_rows = 1, .linger_ns = 1 });
    for (unsigned i = 0; i < JOBS; i++) {
        init_job(f, &j[i], i, 1);
        j[i].slow_ms = SLOW_MS;
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    init_job(f, &late, JOBS, JOBS); /* a few may be done by now */
    assert_int_equal(writer_submit(f->w, &late.job), TW_EBUSY);
    before = tw_mono_now().ns;
    stop(f);
    assert_true(tw_mono_now().ns - before < JOBS * SLOW_MS * TW_NS_PER_MS / 2);
    assert_int_equal(f->n_done, JOBS);
    for (unsigned i = 0; i < JOBS; i++) {
        assert_true(j[i].outcome == TW_OK || j[i].outcome == TW_ECLOSED);
        kept += j[i].outcome == TW_OK;
    }
    assert_in_range(kept, 1, JOBS - 1);
    assert_int_equal(stored(f), kept);
}

/* Nobody waits longer than the end may take, and nothing is said to be done that is not. */
static void a_stop_while_somebody_else_has_the_database_ends_in_time(void **state)
{
    struct fixture *f = *state;
    struct job j[3];
    sqlite3 *db;
    int64_t before;

    start(f, (struct writer_conf){ .linger_ns = 1, .group_rows = 1 });
    db = other_program(f, "BEGIN IMMEDIATE");
    for (unsigned i = 0; i < 3; i++) {
        init_job(f, &j[i], i, i < 2);
        assert_int_equal(writer_submit(f->w, &j[i].job), TW_OK);
    }
    loop_run_until(f->loop, &j[0].done, (struct tw_mono){ tw_mono_now().ns + 200 * TW_NS_PER_MS });
    before = tw_mono_now().ns;
    stop(f);
    assert_in_range(tw_mono_now().ns - before, TW_NS_PER_S, 1900 * TW_NS_PER_MS);
    sqlite3_close(db);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(j[i].outcome, TW_ECLOSED);
    assert_int_equal(stored(f), 0);
}

static void a_stop_waits_a_little_for_who_has_the_database(void **state)
{
    struct fixture *f = *state;
    struct release r = { .db = NULL };
    struct job j;
    pthread_t t;

    start(f, (struct writer_conf){ .linger_ns = 1 });
    r.db = other_program(f, "BEGIN IMMEDIATE");
    init_job(f, &j, 0, 1);
    assert_int_equal(writer_submit(f->w, &j.job), TW_OK);
    assert_int_equal(pthread_create(&t, NULL, release_soon, &r), 0);
    stop(f);
    pthread_join(t, NULL);
    assert_int_equal(j.outcome, TW_OK);
    assert_int_equal(stored(f), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        T(jobs_end_in_order_and_share_commits),
        T(a_full_disk_is_waited_for),
        T(what_needs_no_history_does_not_wait_for_it),
        T(a_stop_without_the_history_says_what_is_lost),
        T(results_do_not_wait_for_shared_control_state),
        T(who_comes_second_is_run_again_at_once),
        T(what_is_too_much_for_one_commit_goes_in_several),
        T(what_takes_many_commits_does_not_hold_up_results),
        T(what_was_decided_by_what_is_gone_is_not_done),
        T(what_only_the_planner_does_is_done_by_nobody_else),
        T(a_locked_database_is_waited_for),
        T(a_job_that_is_wrong_fails_alone),
        T(the_queue_is_bounded_and_says_when_it_fills),
        T(what_people_wait_for_goes_with_the_next_commit),
        T(a_slow_disk_wants_a_short_queue),
        T(a_stop_writes_what_is_queued),
        T(a_stop_on_a_full_disk_ends_and_says_what_is_lost),
        T(a_stop_with_a_full_queue_and_a_slow_disk_ends_in_time),
        T(a_stop_while_somebody_else_has_the_database_ends_in_time),
        T(a_stop_waits_a_little_for_who_has_the_database),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
