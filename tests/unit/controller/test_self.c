/* What /readyz and Status give as reasons: each of them comes, and goes again; and what is told of the
 * threads. */
#include "tests/unit/controller/fixture.h"

struct failing {
    struct writer_job job; /* first */
    _Atomic bool full;
    bool done;
};

static enum tw_rc fail_once(struct writer_job *j, struct store *s, struct tw_err *err)
{
    (void)s;
    return ((struct failing *)j)->full ? tw_err_set(err, TW_ENOSPC, "no space left on device") : TW_OK;
}

static void note_done(struct writer_job *j)
{
    ((struct failing *)j)->done = true;
}

static size_t problems(struct fixture *f, const char **ret_first)
{
    const char *v[4];
    size_t n = controller_problems(f->c, v, TW_NELEM(v));

    *ret_first = n ? v[0] : "";
    return n;
}

/* Is it among the warnings? */
static bool warns(struct fixture *f, const char *part)
{
    const char *v[8];
    size_t n = controller_warnings(f->c, v, TW_NELEM(v));
    bool found = false;

    for (size_t i = 0; i < n; i++)
        found |= strstr(v[i], part) != NULL;
    return found;
}

static void a_full_disk_is_a_problem(void **state)
{
    struct fixture *f = *state;
    struct failing j = { .job = { .run = fail_once, .done = note_done, .urgent = true }, .full = true };
    const char *first;

    assert_int_equal(problems(f, &first), 0);
    assert_int_equal(writer_submit(f->c->writer, &j.job), TW_OK);
    WAIT(problems(f, &first) == 1);
    assert_non_null(strstr(first, "disk full: no space left on device"));
    assert_int_equal(controller_problems(f->c, &first, 0), 0);
    j.full = false;
    WAIT(j.done);
    assert_int_equal(problems(f, &first), 0);
}

static void a_reload_that_failed_is_a_warning(void **state)
{
    struct fixture *f = *state;
    const char *first;

    assert_false(warns(f, ""));
    reload_begin(&f->c->reload);
    reload_part(&f->c->reload, "configuration", "controller.yaml:3: budget-pairs: must be a number");
    reload_end(&f->c->reload);
    assert_true(warns(f, "configuration: controller.yaml:3: budget-pairs"));
    assert_int_equal(problems(f, &first), 0); /* it goes on with what it had */
    reload_begin(&f->c->reload);
    reload_end(&f->c->reload);
    assert_false(warns(f, ""));
}

static void what_waits_for_a_restart_is_a_warning(void **state)
{
    struct fixture *f = *state;

    reload_restart(&f->c->reload, "name, native-buckets");
    assert_true(warns(f, "need a restart: name, native-buckets"));
    reload_restart(&f->c->reload, "");
    assert_false(warns(f, ""));
}

static void agents_of_another_release_are_a_warning(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "ams", "10.0.0.1");

    WAIT(warns(f, "1 agents run another release"));
    stop_fake(a);
    WAIT(!warns(f, ""));
}

static void there_is_no_more_than_room_for(void **state)
{
    struct fixture *f = *state;
    const char *v[1] = { NULL };

    reload_restart(&f->c->reload, "name");
    reload_part(&f->c->reload, "access lists", "acl:1");
    assert_int_equal(controller_warnings(f->c, v, 0), 0);
    assert_null(v[0]);
    assert_int_equal(controller_warnings(f->c, v, 1), 1);
    assert_string_equal(v[0], "access lists: acl:1");
}

/* ---- Threads ---- */

struct threads {
    bool done;
    Tw__Status status;
    char detail[256];
    size_t n;
    Tw__ThreadState v[8]; /* without what they point to */
    char names[8][32];
};

static void take_threads(const Tw__DebugThreadsReply *m, void *ctx)
{
    struct threads *s = ctx;
    struct rpc_result r = rpc_result();

    s->status = r.status;
    snprintf(s->detail, sizeof s->detail, "%s", r.detail ? r.detail : "");
    for (s->n = 0; m && s->n < m->n_threads && s->n < TW_NELEM(s->v); s->n++) {
        s->v[s->n] = *m->threads[s->n];
        snprintf(s->names[s->n], sizeof s->names[s->n], "%s", m->threads[s->n]->name);
    }
    s->done = true;
}

static void ask_threads_of(struct fixture *f, struct threads *s, const char *agent)
{
    Tw__DebugThreadsRequest rq = TW__DEBUG_THREADS_REQUEST__INIT;

    *s = (struct threads){ .done = false };
    rq.agent = (char *)agent;
    tw__admin__debug_threads(admin_stub(f), &rq, take_threads, s);
    WAIT(s->done);
}

static const Tw__ThreadState *ask_threads(struct fixture *f, struct threads *s, const char *name)
{
    ask_threads_of(f, s, "");
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->names[i], name))
            return &s->v[i];
    fail_msg("no thread %s", name);
    return NULL;
}

static void its_threads_are_told(void **state)
{
    struct fixture *f = *state;
    struct threads s;
    const Tw__ThreadState *t = ask_threads(f, &s, "main loop");

    assert_int_equal(s.n, 6); /* no HTTP, no receivers */
    assert_true(t->measured && t->working && t->rounds > 0 && t->timers > 0 && t->busy_ns > 0);
    assert_true(t->busy_ratio > 0 && t->busy_ratio <= 1 && t->longest_ns > 0 && t->longest_ns <= t->busy_ns);
    t = ask_threads(f, &s, "readers");
    assert_true(!t->measured && t->threads == CONTROLLER_READERS && !t->dropped && !t->queued);
    assert_int_equal(t->queue_max, READER_OWN_MAX + 64 /* READER_JOBS */);
    t = ask_threads(f, &s, "database job");
    assert_true(t->measured && !t->working && !t->rounds);
}

/* A query that takes its time, as long as it is told. */
struct slow {
    struct reader_job job;
    _Atomic bool running, go_on;
    bool done;
};

static void run_slowly(struct reader_job *job, struct store_reader *r)
{
    struct slow *j = (struct slow *)job;

    (void)r;
    j->running = true;
    while (!j->go_on)
        usleep(1000);
}

static void note_read(struct reader_job *job)
{
    ((struct slow *)job)->done = true;
}

static size_t readers_at_work(struct fixture *f, uint64_t *ret_rounds)
{
    struct threads s;
    size_t n = 0;

    *ret_rounds = 0;
    ask_threads_of(f, &s, "");
    for (size_t i = 0; i < s.n; i++)
        if (!strncmp(s.names[i], "reader ", 7)) {
            assert_true(s.v[i].measured);
            n += s.v[i].working;
            *ret_rounds += s.v[i].rounds;
        }
    return n;
}

static void a_slow_query_is_seen(void **state)
{
    struct fixture *f = *state;
    struct slow j = { .job = { .run = run_slowly, .done = note_read } };
    uint64_t before, rounds;

    assert_int_equal(readers_at_work(f, &before), 0);
    assert_int_equal(reader_submit(f->c->readers, &j.job), TW_OK);
    WAIT(j.running);
    assert_int_equal(readers_at_work(f, &rounds), 1);
    assert_int_equal(rounds, before);
    j.go_on = true;
    WAIT(j.done);
    assert_int_equal(readers_at_work(f, &rounds), 0);
    assert_int_equal(rounds, before + 1);
}

static void agents_tell_of_theirs(void **state)
{
    struct fixture *f = *state;
    struct fake *a;
    struct threads s;
    Tw__ThreadState t = TW__THREAD_STATE__INIT;

    t.name = (char *)"worker 0";
    t.rounds = 17;
    ask_threads_of(f, &s, "a1");
    assert_int_equal(s.status, TW__STATUS__STATUS_NOT_FOUND);
    a = bring_up(f, "a1", "192.0.2.1");
    ask_threads_of(f, &s, "a1"); /* of the release before */
    assert_int_equal(s.status, TW__STATUS__STATUS_FAILED_PRECONDITION);
    assert_non_null(strstr(s.detail, "agent a1 cannot tell of its threads"));
    a->thread = &t;
    ask_threads_of(f, &s, "a1");
    assert_int_equal(s.status, TW__STATUS__STATUS_OK);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.names[0], "worker 0");
    assert_int_equal(s.v[0].rounds, 17);
    stop_fake(a);
    WAIT(!inventory_agent(&f->c->inv, "a1")->peer);
    ask_threads_of(f, &s, "a1");
    assert_int_equal(s.status, TW__STATUS__STATUS_UNAVAILABLE);
    assert_string_equal(s.detail, "agent a1 is not connected");
}

/* It hangs in a commit: that is seen, and so is that it goes on. */
static void a_writer_that_hangs_is_seen(void **state)
{
    struct fixture *f = *state;
    struct failing j = { .job = { .run = fail_once, .done = note_done, .urgent = true, .rows = 3 },
                         .full = true };
    struct threads s;
    const char *first;
    const Tw__ThreadState *t;
    uint64_t rounds;

    assert_int_equal(writer_submit(f->c->writer, &j.job), TW_OK);
    WAIT(problems(f, &first) == 1);
    t = ask_threads(f, &s, "store writer");
    rounds = t->rounds;
    assert_true(t->measured && t->working && t->quiet_ns > 0 && t->longest_ns >= t->quiet_ns);
    assert_int_equal(t->queued, 3);
    assert_true(t->queue_max > 3);
    j.full = false;
    WAIT(j.done);
    WAIT(!ask_threads(f, &s, "store writer")->working);
    t = ask_threads(f, &s, "store writer");
    assert_true(t->rounds > rounds && t->queued == 0);
}

static void what_the_writer_does_not_take_is_counted(void **state)
{
    struct fixture *f = *state;
    struct failing j = {
        .job = { .run = fail_once, .done = note_done, .rows = writer_capacity(f->c->writer) + 1 }
    };
    struct threads s;

    assert_int_equal(ask_threads(f, &s, "store writer")->dropped, 0);
    assert_int_equal(writer_submit(f->c->writer, &j.job), TW_EBUSY);
    assert_int_equal(ask_threads(f, &s, "store writer")->dropped, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_full_disk_is_a_problem),
        TEST(a_reload_that_failed_is_a_warning),
        TEST(what_waits_for_a_restart_is_a_warning),
        TEST(agents_of_another_release_are_a_warning),
        TEST(there_is_no_more_than_room_for),
        TEST(its_threads_are_told),
        TEST(a_slow_query_is_seen),
        TEST(agents_tell_of_theirs),
        TEST(a_writer_that_hangs_is_seen),
        TEST(what_the_writer_does_not_take_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
