/* What /readyz and Status give as reasons: each of them comes, and goes again. */
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_full_disk_is_a_problem),
        TEST(a_reload_that_failed_is_a_warning),
        TEST(what_waits_for_a_restart_is_a_warning),
        TEST(agents_of_another_release_are_a_warning),
        TEST(there_is_no_more_than_room_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
