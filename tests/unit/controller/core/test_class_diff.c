#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "controller/core/class_diff.h"

static const struct mesh_class standard = { .ttl = 255,
                                            .size_bytes = 100,
                                            .spacing_ns = 100 * TW_NS_PER_MS,
                                            .timeout_ns = 2 * TW_NS_PER_S,
                                            .report_period_ns = 10 * TW_NS_PER_S,
                                            .flows = 1 };

static void durations(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        { 20 * TW_NS_PER_MS, "20ms" }, { 1500000, "1500us" },         { TW_NS_PER_S, "1s" },
        { 90 * TW_NS_PER_S, "90s" },   { 120 * TW_NS_PER_S, "2m" },   { 3600 * TW_NS_PER_S, "1h" },
        { 1, "1ns" },                  { 0, "0ns" },
    };
    char buf[24];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++)
        assert_string_equal(class_duration(cases[i].ns, buf), cases[i].text);
}

static void diffs(void **state)
{
    struct mesh_class b = standard;
    char buf[CLASS_DIFF_MAX];

    (void)state;
    assert_string_equal(class_diff(&standard, &b, buf), "");
    strcpy(b.name, "other"); /* the agents do not care */
    assert_string_equal(class_diff(&standard, &b, buf), "");
    b.spacing_ns = 20 * TW_NS_PER_MS;
    b.flows = 2;
    assert_string_equal(class_diff(&standard, &b, buf), "spacing 100ms -> 20ms, flows 1 -> 2");
    assert_string_equal(class_diff(&b, &standard, buf), "spacing 20ms -> 100ms, flows 2 -> 1");
    b = standard;
    b.imix = true;
    b.protocol = MESH_STAMP;
    b.auth = MESH_AUTHENTICATED;
    strcpy(b.key_id, "site");
    b.tlvs = MESH_TLV_BIT(MESH_TLV_COS) | MESH_TLV_BIT(MESH_TLV_HMAC);
    assert_string_equal(class_diff(&standard, &b, buf),
                        "size 100 -> imix, protocol light -> stamp, auth none -> authenticated, key_id none -> "
                        "site, tlvs none -> cos+hmac");
}

/* No change of a class is silent, and none runs over. */
static void every_field_shows(void **state)
{
    struct mesh_class all = standard;
    char buf[CLASS_DIFF_MAX];

    (void)state;
    all.dscp = 46;
    all.ttl = 64;
    all.size_bytes = 200;
    all.exponential = all.df = all.zero_padding = true;
    all.timeout_ns = all.report_period_ns = TW_NS_PER_S;
    all.reply_dscp = 10;
    memset(all.key_id, 'k', MESH_KEY_MAX);
    memset(all.bind, 'b', MESH_BIND_MAX - 1);
    class_diff(&standard, &all, buf);
    assert_non_null(strstr(buf, "spacing_kind fixed -> exponential, size 100 -> 200, dscp 0 -> 46"));
    assert_true(strlen(buf) < CLASS_DIFF_MAX);
    assert_string_equal(buf + strlen(buf) - 5, ", ...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(diffs),
        cmocka_unit_test(every_field_shows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
