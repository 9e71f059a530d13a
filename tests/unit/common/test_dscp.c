#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>

#include "common/dscp.h"

/* IANA registry "Differentiated Services Field Codepoints". */
static const struct {
    uint8_t dscp;
    const char *name;
} registered[] = {
    { 0, "CS0" },   { 1, "LE" },           { 8, "CS1" },   { 10, "AF11" }, { 12, "AF12" }, { 14, "AF13" },
    { 16, "CS2" },  { 18, "AF21" },        { 20, "AF22" }, { 22, "AF23" }, { 24, "CS3" },  { 26, "AF31" },
    { 28, "AF32" }, { 30, "AF33" },        { 32, "CS4" },  { 34, "AF41" }, { 36, "AF42" }, { 38, "AF43" },
    { 40, "CS5" },  { 44, "VOICE-ADMIT" }, { 46, "EF" },   { 48, "CS6" },  { 56, "CS7" },
};

static const char *standard_name(uint8_t dscp)
{
    for (size_t i = 0; i < TW_NELEM(registered); i++)
        if (registered[i].dscp == dscp)
            return registered[i].name;
    return NULL;
}

static void check_parse(const char *text, int want)
{
    uint8_t v = 99;
    enum tw_rc rc = dscp_parse(text, &v);

    if (rc != (want < 0 ? TW_EINVAL : TW_OK) || v != (want < 0 ? 99 : want))
        fail_msg("\"%s\": %s, %u, expected %d", text, tw_rc_name(rc), v, want);
}

static void all_code_points(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < 64; i++) {
        char text[8];
        snprintf(text, sizeof text, "%u", i);
        assert_string_equal(dscp_name(i), standard_name(i) ? standard_name(i) : text);
        check_parse(text, i);
        check_parse(dscp_name(i), i);
        snprintf(text, sizeof text, "0x%x", i);
        check_parse(text, i);
        snprintf(text, sizeof text, "0X%02X", i);
        check_parse(text, i);
        for (uint8_t ecn = 0; ecn < 4; ecn++)
            assert_int_equal(dscp_to_tos(i, ecn), i * 4 + ecn);
    }
}

static void other_spellings(void **state)
{
    static const struct {
        const char *text;
        int dscp;
    } cases[] = {
        { "ef", 46 },   { "Af41", 34 }, { "be", 0 },    { "Default", 0 },     { "voice-admit", 44 },
        { "le", 1 },    { "64", -1 },   { "0x40", -1 }, { "-1", -1 },         { "", -1 },
        { "0x", -1 },   { "4a", -1 },   { " 5", -1 },   { "5 ", -1 },         { "+5", -1 },
        { "af14", -1 }, { "cs8", -1 },  { "0xg", -1 },  { "4294967297", -1 }, { "af41 ", -1 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++)
        check_parse(cases[i].text, cases[i].dscp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_code_points),
        cmocka_unit_test(other_spellings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
