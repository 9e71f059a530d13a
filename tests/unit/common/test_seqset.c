#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "common/seqset.h"
#include "common/splitmix.h"

static const char *text_of(const struct seqset *s)
{
    static char text[1024];
    int n = 0;

    text[0] = 0;
    for (size_t i = 0; i < s->n; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%llu-%llu ", (unsigned long long)s->v[i].first,
                      (unsigned long long)s->v[i].last);
    return text;
}

/* One after the other. */
static const struct {
    uint64_t first, last;
    enum tw_rc rc;
    const char *then;
} adds[] = {
    { 0, 4, TW_EINVAL, "" },
    { 5, 4, TW_EINVAL, "" },
    { 5, UINT64_MAX, TW_EINVAL, "" },
    { 10, 20, TW_OK, "10-20 " },
    { 12, 15, TW_OK, "10-20 " },
    { 21, 22, TW_OK, "10-22 " },
    { 8, 9, TW_OK, "8-22 " },
    { 1, 2, TW_OK, "1-2 8-22 " },
    { 30, 40, TW_OK, "1-2 8-22 30-40 " },
    { 24, 28, TW_OK, "1-2 8-22 24-28 30-40 " },
    { 20, 29, TW_OK, "1-2 8-40 " },
    { 3, 7, TW_OK, "1-40 " },
    { 1, UINT64_MAX - 1, TW_OK, "1-18446744073709551614 " },
};

static void stretches_grow_together(void **state)
{
    struct seqset s = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof adds / sizeof *adds; i++)
        if (seqset_add(&s, adds[i].first, adds[i].last) != adds[i].rc ||
            strcmp(text_of(&s), adds[i].then) != 0)
            fail_msg("row %zu: %s", i, text_of(&s));
}

static void there_are_so_many_at_most(void **state)
{
    struct seqset s = { 0 }, before;

    (void)state;
    for (uint64_t i = 1; i <= SEQSET_MAX; i++)
        assert_int_equal(seqset_add(&s, 10 * i, 10 * i), TW_OK);
    before = s;
    assert_int_equal(seqset_add(&s, 1000, 1000), TW_ENOSPC);
    assert_true(seqset_equal(&s, &before));
    assert_int_equal(seqset_add(&s, 11, 12), TW_OK);
    assert_false(seqset_equal(&s, &before));
    assert_int_equal(seqset_absorb(&s, 9), 12);
    assert_int_equal(seqset_add(&s, 1000, 1000), TW_OK);
}

#define NUMBERS 200

static void check(const struct seqset *s, const bool *in)
{
    for (uint64_t q = 1; q < NUMBERS; q++)
        if (seqset_has(s, q) != in[q])
            fail_msg("%u: %s", (unsigned)q, text_of(s));
    for (size_t i = 1; i < s->n; i++)
        assert_true(s->v[i].first > s->v[i - 1].last + 1);
}

static void check_missing(const struct seqset *s, const bool *in, uint64_t first, uint64_t last)
{
    struct seq_span part = { 0 };
    uint64_t from = first, to, lacking = 0;

    while (from <= last && in[from])
        from++;
    for (to = from; to < last && !in[to + 1];)
        to++;
    for (uint64_t q = first; q <= last; q++)
        lacking += !in[q];
    assert_int_equal(seqset_count_missing(s, first, last), lacking);
    assert_int_equal(seqset_missing(s, first, last, &part), from <= last);
    if (from <= last && (part.first != from || part.last != to))
        fail_msg("%u-%u of %s", (unsigned)part.first, (unsigned)part.last, text_of(s));
}

static void it_is_a_set(void **state)
{
    bool in[NUMBERS + 1] = { false };
    struct seqset s = { 0 };
    uint64_t seed = 7, through = 0;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t first = 1 + tw_splitmix64(&seed) % (NUMBERS - 20), last = first + tw_splitmix64(&seed) % 19;

        if (tw_splitmix64(&seed) % 16 == 0) {
            through = seqset_absorb(&s, first);
            for (uint64_t q = 1; q <= first; q++)
                in[q] = true;
            for (last = first; in[last + 1];)
                last++;
            assert_int_equal(through, last);
            memset(in, 0, last + 1);
        } else if (seqset_add(&s, first, last) == TW_OK) {
            memset(in + first, true, last - first + 1);
        }
        check(&s, in);
        check_missing(&s, in, first, last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stretches_grow_together),
        cmocka_unit_test(there_are_so_many_at_most),
        cmocka_unit_test(it_is_a_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
