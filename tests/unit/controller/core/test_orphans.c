/* What controllers that are gone have left to do: who does it, and only once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/clk.h"
#include "controller/core/orphans.h"

#define AFTER_S 10

/* A look each: what is seen, small letters of controllers that are gone, large ones of those that are there. */
struct look {
    int at_s;
    const char *seen, *ours; /* from then on */
};

static const struct {
    const char *name;
    struct look looks[6];
} rows[] = {
    { "one that is gone for long enough, once", { { 0, "a", "" }, { 9, "a", "" }, { 10, "a", "a" }, { 15, "a", "" } } },
    { "at once is never", { { 100, "ab", "" } } },
    { "of one that is there, never", { { 0, "A", "" }, { 20, "A", "" }, { 40, "A", "" } } },
    { "one that was back has as long again", { { 0, "a", "" }, { 5, "A", "" }, { 8, "a", "" }, { 12, "a", "" }, { 18, "a", "a" } } },
    { "ours stays ours when it is back", { { 0, "a", "" }, { 10, "a", "a" }, { 15, "A", "" }, { 20, "a", "" }, { 40, "a", "" } } },
    { "done, and another of that number", { { 0, "a", "" }, { 10, "a", "a" }, { 15, "", "" }, { 20, "a", "" }, { 30, "a", "a" } } },
    { "each by itself", { { 0, "ab", "" }, { 5, "abcD", "" }, { 10, "abcD", "ab" }, { 15, "abcd", "c" }, { 25, "abcd", "d" } } },
    { "not all was looked at", { { 0, "ab", "" }, { 10, "ab", "ab" }, { 15, "a*", "" }, { 20, "ab", "" } } },
};

static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct orphans *o = NULL;

        assert_int_equal(orphans_new(AFTER_S * TW_NS_PER_S, &o), TW_OK);
        for (size_t k = 0; k < TW_NELEM(rows[i].looks) && rows[i].looks[k].seen; k++) {
            const struct look *l = &rows[i].looks[k];
            char got[16] = "";

            orphans_begin(o);
            for (const char *c = l->seen; *c; c++)
                if (*c != '*' && orphans_see(o, (uint64_t)(*c | 32), *c < 'a', l->at_s * TW_NS_PER_S))
                    strncat(got, c, 1);
            orphans_end(o, !strchr(l->seen, '*'));
            if (strcmp(got, l->ours) != 0)
                fail_msg("%s: %d s: ours from now on is \"%s\", not \"%s\"", rows[i].name, l->at_s, got, l->ours);
        }
        orphans_free(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(table) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
