/* What ClickHouse's exceptions mean, old and new form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "db/clickhouse/ch_error.h"

static const struct {
    const char *text;
    int code;
    const char *why;
} cases[] = {
    { "Code: 60, e.displayText() = DB::Exception: Table a.b doesn't exist., e.what() = DB::Exception\n", 60,
      "Table a.b doesn't exist." },
    { "Code: 60. DB::Exception: Table a.b does not exist. (UNKNOWN_TABLE) (version 23.8.1.1 (official build))\n", 60,
      "Table a.b does not exist. (UNKNOWN_TABLE)" },
    { "Code: 62, e.displayText() = DB::Exception: Syntax error:\n\nSELECT\n, e.what() = DB::Exception", 62, "Syntax error:  SELECT" },
    { "__exception__\r\nCode: 241. DB::Exception: Memory limit", 241, "Memory limit" },
    { "Code: 395, e.displayText() = DB::", 395, "Code: 395, e.displayText() = DB::" },
    { "<html>\r\n<h1>502 Bad Gateway</h1>", 0, "<html>  <h1>502 Bad Gateway</h1>" },
    { "Code: x", 0, "Code: x" },
    { "", 0, "" },
};

static void reads_exceptions(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        char why[CH_WHY_MAX];
        int code;
        ch_error_parse(cases[i].text, strlen(cases[i].text), &code, why);
        if (code != cases[i].code || strcmp(why, cases[i].why) != 0)
            fail_msg("%s: code %d, '%s'", cases[i].text, code, why);
    }
}

static void cuts_long_texts_and_numbers(void **state)
{
    char text[1000], why[CH_WHY_MAX];
    int code;

    (void)state;
    memset(text, '9', sizeof text);
    memcpy(text, "Code: ", 6);
    ch_error_parse(text, sizeof text, &code, why);
    assert_int_equal(code, 999999); /* no overflow, however many digits come */
    assert_int_equal(strlen(why), CH_WHY_MAX - 1);
}

static void knows_codes(void **state)
{
    (void)state;
    assert_int_equal(ch_error_rc(60), TW_ENOENT);
    assert_int_equal(ch_error_rc(243), TW_ENOSPC);
    assert_int_equal(ch_error_rc(516), TW_EPERM);
    assert_int_equal(ch_error_rc(424242), TW_EIO);
    assert_false(ch_error_elsewhere(62)); /* a syntax error is one everywhere */
    assert_true(ch_error_elsewhere(242)); /* TABLE_IS_READ_ONLY: this replica has no ZooKeeper */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads_exceptions), cmocka_unit_test(cuts_long_texts_and_numbers),
                                        cmocka_unit_test(knows_codes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
