/* What ClickHouse's exceptions mean, old and new form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "db/clickhouse/ch_error.h"
#include "db/clickhouse/ch_settings.h"

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

static void settings_are_those_that_a_server_knows(void **state)
{
    static const struct {
        const char *said, *changes;
        bool drop_any;
    } rows[] = {
        { "", "", false },
        { "async_insert\n", "async_insert=0", false },
        { "max_partition_size_to_drop\nasync_insert\ndeduplicate_insert_select\ndeduplicate_insert\n",
          "async_insert=0&deduplicate_insert_select=disable&deduplicate_insert=disable", true },
        { "async_insert", "async_insert=0", false },
        { "\n\nasync_inserts\nasync\n<html>\n", "", false },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct ch_settings got = { .changes = "old=1", .drop_any = true };
        ch_settings_take(rows[i].said, strlen(rows[i].said), &got);
        assert_string_equal(got.changes, rows[i].changes);
        assert_int_equal(got.drop_any, rows[i].drop_any);
    }
}

/* However often it says so. */
static void a_server_that_says_too_much_is_bounded(void **state)
{
    char said[2000] = "";
    struct ch_settings got;

    (void)state;
    for (int i = 0; i < 80; i++)
        strcat(said, "deduplicate_insert\n");
    ch_settings_take(said, strlen(said), &got);
    assert_int_equal(strlen(got.changes), CH_SETTINGS_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads_exceptions),
                                        cmocka_unit_test(cuts_long_texts_and_numbers),
                                        cmocka_unit_test(knows_codes),
                                        cmocka_unit_test(settings_are_those_that_a_server_knows),
                                        cmocka_unit_test(a_server_that_says_too_much_is_bounded) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
