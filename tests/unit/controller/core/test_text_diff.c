#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "controller/core/text_diff.h"
#include "tests/unit/common/rng.h"

static const struct {
    const char *name, *before, *after, *diff;
} cases[] = {
    { "same", "a\nb\n", "a\nb\n", "" },
    { "no newline at the end", "a\nb", "a\nb\n", "" },
    { "both empty", "", "", "" },
    { "new", "", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n" },
    { "gone", "a\n", "", "@@ -1,1 +0,0 @@\n-a\n" },
    { "one of five", "1\n2\n3\n4\n5\n6\n7\n", "1\n2\n3\nx\n5\n6\n7\n",
      "@@ -2,5 +2,5 @@\n 2\n 3\n-4\n+x\n 5\n 6\n" },
    { "two apart", "1\n2\n3\n4\n5\n6\n7\n8\n", "x\n2\n3\n4\n5\n6\n7\ny\n",
      "@@ -1,3 +1,3 @@\n-1\n+x\n 2\n 3\n@@ -6,3 +6,3 @@\n 6\n 7\n-8\n+y\n" },
    { "two near", "1\n2\n3\n4\n5\n", "x\n2\n3\n4\ny\n", "@@ -1,5 +1,5 @@\n-1\n+x\n 2\n 3\n 4\n-5\n+y\n" },
    { "inserted", "a\nc\n", "a\nb\nc\n", "@@ -1,2 +1,3 @@\n a\n+b\n c\n" },
};

static void diffs(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct text_diff d;

        assert_int_equal(text_diff(cases[i].before, cases[i].after, 1 << 20, &d), TW_OK);
        if (strcmp(d.text, cases[i].diff) != 0 || d.truncated)
            fail_msg("%s:\n%s", cases[i].name, d.text);
        free(d.text);
    }
}

static void a_long_one_is_cut_at_a_line(void **state)
{
    struct text_diff d;

    (void)state;
    assert_int_equal(text_diff("", "aaaa\nbbbb\ncccc\n", 24, &d), TW_OK);
    assert_true(d.truncated);
    assert_int_equal(d.added, 3);
    assert_string_equal(d.text, "@@ -0,0 +1,3 @@\n+aaaa\n");
    free(d.text);
}

/* Applies the hunks to `before`, as patch(1) does. */
static void patch(const char *before, const char *diff, char *ret)
{
    const char *src = before;
    size_t at = 1;

    *ret = '\0';
    while (*diff) {
        size_t n = strcspn(diff, "\n") + 1, from, count;

        if (*diff == '@') {
            assert_int_equal(sscanf(diff, "@@ -%zu,%zu", &from, &count), 2);
            for (from += !count; at < from; at++) {
                size_t len = strcspn(src, "\n") + 1;
                strncat(ret, src, len);
                src += len;
            }
        } else {
            if (*diff != '+') {
                assert_memory_equal(src, diff + 1, n - 1);
                src += n - 1;
                at++;
            }
            if (*diff != '-')
                strncat(ret, diff + 1, n - 1);
        }
        diff += n;
    }
    strcat(ret, src);
}

static void random_lines(uint64_t *r, char *ret, unsigned lines)
{
    for (unsigned i = 0; i < lines; i++)
        ret += sprintf(ret, "%c\n", 'a' + (int)(rng_next(r) % 4));
    *ret = '\0';
}

static void a_diff_leads_from_one_to_the_other(void **state)
{
    uint64_t r = 4711;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        char a[128], b[128], c[512];
        struct text_diff d;

        random_lines(&r, a, (unsigned)(rng_next(&r) % 20));
        random_lines(&r, b, (unsigned)(rng_next(&r) % 20));
        assert_int_equal(text_diff(a, b, 1 << 20, &d), TW_OK);
        patch(a, d.text, c);
        if (strcmp(b, c) != 0)
            fail_msg("from\n%sto\n%sthe diff is\n%swhich makes\n%s", a, b, d.text, c);
        free(d.text);
    }
}

/* Beyond the table, too. */
static void large_texts(void **state)
{
    char *a = malloc(40000), *b = malloc(40000), *p = a, *q = b;
    struct text_diff d;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        p += sprintf(p, "a%d\n", i);
        q += sprintf(q, "b%d\n", i);
    }
    assert_int_equal(text_diff(a, b, 1 << 20, &d), TW_OK);
    assert_int_equal(d.added, 3000);
    assert_int_equal(d.removed, 3000);
    free(d.text);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(diffs),
        cmocka_unit_test(a_long_one_is_cut_at_a_line),
        cmocka_unit_test(a_diff_leads_from_one_to_the_other),
        cmocka_unit_test(large_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
