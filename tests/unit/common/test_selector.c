#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/selector.h"

static const struct tw_label ams[] = { { "role", "core" }, { "site", "ams" }, { "tier", "1" } };

static const struct {
    const char *text;
    bool match; /* of agent "ams-1" with the labels above */
} rows[] = {
    { "*", true },
    { " * ", true },
    { "site=ams", true },
    { "site = ams", true },
    { "site=fra", false },
    { "site=am", false },
    { "Site=ams", false },
    { "site!=ams", false },
    { "site!=fra", true },
    { "rack!=r1", true }, /* there is none: it is not r1 */
    { "rack=r1", false },
    { "site in (ams)", true },
    { "site in (fra,ams)", true },
    { "site in(fra, ams )", true },
    { "site in (fra,lon)", false },
    { "rack in (fra,lon)", false },
    { "site notin (fra,lon)", true },
    { "site notin (fra,ams)", false },
    { "rack notin (r1)", true },
    { "site", true },
    { "rack", false },
    { "!rack", true },
    { "! rack", true },
    { "!site", false },
    { "site=ams,role!=edge", true },
    { "site=ams,role=edge", false },
    { "site=fra,role=core", false },
    { "site=ams , role in (core,edge) , !rack,tier", true },
    { "name=ams-1", true },
    { "name!=ams-1", false },
    { "name in (ams-1,ams-2),site=ams", true },
    { "name=ams", false },
    { "name", true },
    { "!name", false },
    { "in", false },
    { "in in (in)", false },
    { "notin notin (in)", true },
    { "a.b/c_d-e!=x", true },
};

static void matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct tw_err err = { 0 };
        struct selector *s;

        if (selector_parse(rows[i].text, &s, &err))
            fail_msg("\"%s\": %s", rows[i].text, err.text);
        if (selector_match(s, ams, TW_NELEM(ams), "ams-1") != rows[i].match)
            fail_msg("\"%s\" %s", rows[i].text, rows[i].match ? "does not match" : "matches");
        selector_free(s);
    }
    assert_true(selector_match(NULL, ams, TW_NELEM(ams), "ams-1"));
}

#define K63 "k23456789012345678901234567890123456789012345678901234567890123"

static const struct {
    const char *text, *expected; /* a part of the message */
    unsigned column;
} refusals[] = {
    { "", "a key", 1 },
    { "  ", "a key", 3 },
    { ",", "a key", 1 },
    { "site=", "a value", 6 },
    { "site=,role=x", "a value", 6 },
    { "site=ams,", "a key", 10 },
    { "site==ams", "a value", 6 },
    { "=ams", "a key", 1 },
    { "!", "a key", 2 },
    { "!site=ams", "\"=\", \"!=\"", 6 },
    { "site=ams role=x", "\",\" or the end", 10 },
    { "site in", "\"(\" and values", 8 },
    { "site in ()", "a value", 10 },
    { "site in (a", "\",\" or \")\"", 11 },
    { "site in (a b)", "\",\" or \")\"", 12 },
    { "site in (a,)", "a value", 12 },
    { "site inside (a)", "\"=\", \"!=\"", 6 },
    { "*,site=ams", "nothing behind", 2 },
    { "site=ams,*", "a key", 10 },
    { "site=a*", "the end", 7 },
    { "s\xc3\xa9te=ams", "\"=\"", 2 },
    { "site=\"ams\"", "a value", 6 },
    { K63 "4=a", "63 characters", 1 },
    { "a=" K63 "4", "63 characters", 3 },
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(refusals); i++) {
        struct tw_err err = { 0 };
        struct selector *s = NULL;

        if (selector_parse(refusals[i].text, &s, &err) != TW_EINVAL || s ||
            !strstr(err.text, refusals[i].expected) || err.column != refusals[i].column)
            fail_msg("\"%s\": character %u: \"%s\"", refusals[i].text, err.column, err.text);
    }
    assert_int_equal(selector_parse("!", &(struct selector *){ NULL }, NULL),
                     TW_EINVAL); /* nobody reads why */
}

/* "k,k,k..." of n terms, or "k in (v,v,...)" of n values. */
static enum tw_rc parse_many(const char *start, const char *part, unsigned n, const char *end)
{
    char text[2 * SELECTOR_TEXT_MAX] = "";
    struct selector *s = NULL;
    enum tw_rc rc;

    strcat(text, start);
    for (unsigned i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? "," : "", part);
    strcat(text, end);
    rc = selector_parse(text, &s, NULL);
    selector_free(s);
    return rc;
}

static void bounds(void **state)
{
    (void)state;
    assert_int_equal(parse_many("", "k", SELECTOR_TERMS_MAX, ""), TW_OK);
    assert_int_equal(parse_many("", "k", SELECTOR_TERMS_MAX + 1, ""), TW_EINVAL);
    assert_int_equal(parse_many("k in (", "v", SELECTOR_VALUES_MAX, ")"), TW_OK);
    assert_int_equal(parse_many("k in (", "v", SELECTOR_VALUES_MAX + 1, ")"), TW_EINVAL);
    assert_int_equal(parse_many("", K63, 15, ""), TW_OK);
    assert_int_equal(parse_many("", K63, 16, ""), TW_OK); /* 16 * 63 + 15 = 1023 */
    assert_int_equal(parse_many("", K63, 17, ""), TW_EINVAL);
}

static const struct {
    const char *word;
    bool word_ok, key_ok;
} words[] = {
    { "site", true, true },  { "a/b.c_d-E9", true, true }, { "name", true, false }, { "", false, false },
    { "a b", false, false }, { "a=b", false, false },      { K63, true, true },     { K63 "4", false, false },
    { "names", true, true }, { "\xc3\xa9", false, false },
};

static void label_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(words); i++)
        if (label_word_ok(words[i].word) != words[i].word_ok ||
            label_key_ok(words[i].word) != words[i].key_ok)
            fail_msg("\"%s\"", words[i].word);
    assert_string_equal(label_value(ams, TW_NELEM(ams), "site"), "ams");
    assert_null(label_value(ams, TW_NELEM(ams), "rack"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(matches), cmocka_unit_test(refused),
                                        cmocka_unit_test(bounds), cmocka_unit_test(label_words) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
