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
    size_t n;
    Tw__ThreadState v[8]; /* without what they point to */
    char names[8][32];
};

static void take_threads(const Tw__DebugThreadsReply *m, void *ctx)
{
    struct threads *s = ctx;

    assert_non_null(m);
    for (s->n = 0; s->n < m->n_threads && s->n < TW_NELEM(s->v); s->n++) {
        s->v[s->n] = *m->threads[s->n];
        snprintf(s->names[s->n], sizeof s->names[s->n], "%s", m->threads[s->n]->name);
    }
    s->done = true;
}

static const Tw__ThreadState *ask_threads(struct fixture *f, struct threads *s, const char *name)
{
    *s = (struct threads){ .done = false };
    tw__admin__debug_threads(admin_stub(f), &(Tw__DebugThreadsRequest)TW__DEBUG_THREADS_REQUEST__INIT,
                             take_threads, s);
    WAIT(s->done);
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

    assert_int_equal(s.n, 3); /* no HTTP, no receivers */
    assert_true(t->measured && t->working && t->rounds > 0 && t->timers > 0 && t->busy_ns > 0);
    assert_true(t->busy_ratio > 0 && t->busy_ratio <= 1 && t->longest_ns > 0 && t->longest_ns <= t->busy_ns);
    t = ask_threads(f, &s, "readers");
    assert_true(!t->measured && t->threads == CONTROLLER_READERS && !t->dropped);
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
        TEST(a_writer_that_hangs_is_seen),
        TEST(what_the_writer_does_not_take_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
