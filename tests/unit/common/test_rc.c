#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "common/rc.h"

static void every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a < TW_RC_COUNT; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(tw_rc_name((enum tw_rc)a), tw_rc_name((enum tw_rc)b));
    assert_string_equal(tw_rc_name(TW_EINVAL), "invalid");
    assert_string_equal(tw_rc_name((enum tw_rc) - 1), "unknown");
    assert_string_equal(tw_rc_name(TW_RC_COUNT), "unknown");
}

static void errno_maps_to_the_nearest(void **state)
{
    (void)state;
    assert_int_equal(tw_rc_errno(EADDRINUSE), TW_EINUSE);
    assert_int_equal(tw_rc_errno(EACCES), TW_EPERM);
    assert_int_equal(tw_rc_errno(EPERM), TW_EPERM);
    assert_int_equal(tw_rc_errno(ENOSPC), TW_ENOSPC);
    assert_int_equal(tw_rc_errno(EWOULDBLOCK), TW_EAGAIN);
    assert_int_equal(tw_rc_errno(EISDIR), TW_EIO);
}

static void errors_say_where(void **state)
{
    static const struct {
        struct tw_err err;
        const char *text;
    } cases[] = {
        { { .text = "bad" }, "bad" },
        { { .file = "a.yaml", .line = 3, .field = "classes.voice", .text = "bad" },
          "a.yaml:3: classes.voice: bad" },
        { { .file = "a.yaml", .text = "bad" }, "a.yaml: bad" },
        { { .line = 3, .text = "bad" }, "line 3: bad" },
        { { .field = "port", .text = "bad" }, "port: bad" },
        { { .rc = TW_ENOENT }, "not-found" },
    };
    char buf[600];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++)
        assert_string_equal(tw_err_format(&cases[i].err, buf, sizeof buf), cases[i].text);
    assert_string_equal(tw_err_format(&cases[1].err, buf, 8), "a.yaml:");
}

static void errors_are_one_bounded_line(void **state)
{
    struct tw_err e = { .line = 4, .field = "f" };
    char longer[1000];

    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(tw_err_set(&e, TW_EINVAL, "%s", longer), TW_EINVAL);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_int_equal(tw_err_set(&e, TW_ERANGE, "a\nb\x1b[31m %d", 5), TW_ERANGE);
    assert_string_equal(e.text, "a b [31m 5");
    assert_int_equal(e.rc, TW_ERANGE);
    assert_int_equal(e.line, 4);
    assert_string_equal(e.field, "f");
    assert_int_equal(tw_err_set(NULL, TW_EIO, "x"), TW_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_of_its_own),
        cmocka_unit_test(errno_maps_to_the_nearest),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(errors_are_one_bounded_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
