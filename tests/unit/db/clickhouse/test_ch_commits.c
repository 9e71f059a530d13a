/* Sets of commits, against a plain table of numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/splitmix.h"
#include "db/clickhouse/ch_commits.h"

enum { WRITERS = 3, NUMBERS = 40, ROUNDS = 3000 };

static uint64_t seed = 7;

static int64_t draw(uint64_t n)
{
    return (int64_t)(tw_splitmix64(&seed) % n);
}

static void fill(struct ch_commits *c, bool table[WRITERS][NUMBERS + 1])
{
    memset(table, 0, sizeof(bool[WRITERS][NUMBERS + 1]));
    for (int64_t n = draw(12); n >= 0; n--) {
        int64_t writer = draw(WRITERS), first = 1 + draw(NUMBERS), last = first + draw(6);
        last = last > NUMBERS ? NUMBERS : last;
        assert_int_equal(ch_commits_add(c, writer, first, last), TW_OK);
        for (int64_t i = first; i <= last; i++)
            table[writer][i] = true;
    }
}

static void check(const struct ch_commits *c, bool table[WRITERS][NUMBERS + 1])
{
    size_t stretches = 0;

    for (int64_t w = 0; w < WRITERS; w++) {
        int64_t last = 0;
        for (int64_t i = 1; i <= NUMBERS; i++) {
            assert_int_equal(ch_commits_have(c, w, i), table[w][i]);
            stretches += table[w][i] && !table[w][i - 1];
            last = table[w][i] ? i : last;
        }
        assert_int_equal(ch_commits_last(c, w), last);
    }
    assert_int_equal(c->n, stretches); /* those that touch are one */
}

static void is_the_set_that_it_was_given(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct ch_commits c = { 0 }, less = { 0 }, rest = { 0 }, again = { 0 };
        struct ch_buf b = { 0 };
        struct wire_rd r;
        bool t[WRITERS][NUMBERS + 1], u[WRITERS][NUMBERS + 1];
        const uint8_t *p;
        size_t len;
        fill(&c, t);
        check(&c, t);
        ch_commits_put(&b, &c);
        r = (struct wire_rd){ .p = b.p, .end = b.p + b.len };
        p = ch_get_string(&r, &len);
        assert_int_equal(ch_commits_take(p, len, &again), TW_OK);
        check(&again, t);
        fill(&less, u);
        assert_int_equal(ch_commits_add_rest(&rest, &c, &less), TW_OK);
        for (int w = 0; w < WRITERS; w++)
            for (int k = 0; k <= NUMBERS; k++)
                t[w][k] &= !u[w][k];
        check(&rest, t);
        ch_buf_free(&b);
        ch_commits_free(&c);
        ch_commits_free(&less);
        ch_commits_free(&rest);
        ch_commits_free(&again);
    }
}

static void refuses_what_is_none(void **state)
{
    static const uint8_t octets[48] = { [8] = 9 }; /* 9 to 0 */
    struct ch_commits c = { 0 };

    (void)state;
    assert_int_equal(ch_commits_add(&c, 1, 5, 4), TW_EINVAL);
    assert_int_equal(ch_commits_take(octets, 24, &c), TW_ECORRUPT);
    assert_int_equal(ch_commits_take(octets + 24, 23, &c), TW_ECORRUPT);
    assert_int_equal(c.n, 0);
    ch_commits_free(&c);
}

static void add_all(struct ch_commits *c)
{
    static const struct ch_stretch v[] = {
        { 1, 1, 3 }, { 1, 5, 9 }, { 1, 20, 21 }, { 1, 23, 30 }, { 4, 2, 2 }
    };

    for (size_t i = 0; i < TW_NELEM(v); i++)
        assert_int_equal(ch_commits_add(c, v[i].writer, v[i].first, v[i].last), TW_OK);
}

static void is_written_for_a_statement(void **state)
{
    struct ch_commits c = { 0 };
    struct ch_sql s = { { 0 } };

    (void)state;
    ch_sql_begin(&s, "WHERE 1");
    ch_commits_where(&s, &c);
    assert_string_equal(ch_sql_text(&s), "WHERE 1 AND 0");
    add_all(&c);
    ch_sql_begin(&s, "WHERE 1");
    ch_commits_where(&s, &c);
    assert_string_equal(
        ch_sql_text(&s),
        "WHERE 1 AND ((writer = 1 AND txn >= 1 AND txn <= 30 AND txn NOT IN (4, 22) AND (txn <= 9 OR "
        "txn >= 20)) OR (writer = 4 AND txn >= 2 AND txn <= 2))");
    ch_sql_free(&s);
    ch_commits_free(&c);
}

static void holes_far_back_are_closed(void **state)
{
    struct ch_commits c = { 0 };

    (void)state;
    add_all(&c);
    ch_commits_close_holes(&c, 10);
    assert_int_equal(c.n, 3);
    assert_true(ch_commits_have(&c, 1, 4) && ch_commits_have(&c, 1, 12) && !ch_commits_have(&c, 1, 22));
    ch_commits_close_holes(&c, 0);
    assert_int_equal(c.n, 2);
    ch_commits_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_set_that_it_was_given),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(is_written_for_a_statement),
        cmocka_unit_test(holes_far_back_are_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
