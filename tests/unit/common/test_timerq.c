#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/timerq.h"
#include "tests/unit/common/rng.h"

enum { N = 400 };

static struct tw_mono at(int64_t ns)
{
    return (struct tw_mono){ ns };
}

static void equal_deadlines_fire_in_order_of_setting(void **state)
{
    struct timerq q;
    struct timerq_entry e[N] = { 0 };

    (void)state;
    timerq_init(&q);
    for (int i = 0; i < N; i++)
        assert_int_equal(timerq_set(&q, &e[i], at(7)), TW_OK);
    assert_int_equal(timerq_set(&q, &e[0], at(7)), TW_OK); /* set again: now the last */
    for (int i = 1; i < N; i++)
        assert_ptr_equal(timerq_pop(&q, at(7)), &e[i]);
    assert_ptr_equal(timerq_pop(&q, at(7)), &e[0]);
    assert_null(timerq_pop(&q, at(7)));
    timerq_free(&q);
}

static void nothing_fires_early(void **state)
{
    struct timerq q;
    struct timerq_entry e = { 0 };

    (void)state;
    timerq_init(&q);
    assert_int_equal(timerq_next_due(&q).ns, TW_MONO_NEVER.ns);
    timerq_cancel(&q, &e); /* idle: no effect */
    assert_int_equal(timerq_set(&q, &e, at(100)), TW_OK);
    assert_int_equal(timerq_next_due(&q).ns, 100);
    assert_null(timerq_pop(&q, at(99)));
    assert_ptr_equal(timerq_pop(&q, at(100)), &e);
    assert_int_equal(e.slot, 0);
    assert_int_equal(timerq_next_due(&q).ns, TW_MONO_NEVER.ns);
    timerq_free(&q);
}

/* The simplest queue that can be right: look at all. */
struct model {
    bool queued[N];
    int64_t due[N];
    uint64_t order[N], next;
};

static int model_first(const struct model *m)
{
    int first = -1;

    for (int i = 0; i < N; i++)
        if (m->queued[i] && (first < 0 || m->due[i] < m->due[first] ||
                             (m->due[i] == m->due[first] && m->order[i] < m->order[first])))
            first = i;
    return first;
}

static void random_step(struct timerq *q, struct timerq_entry *e, struct model *m, uint64_t *rng)
{
    int i = (int)rng_below(rng, N);

    if (rng_below(rng, 4)) {
        m->due[i] = (int64_t)rng_below(rng, 200);
        m->order[i] = m->next++;
        m->queued[i] = true;
        assert_int_equal(timerq_set(q, &e[i], at(m->due[i])), TW_OK);
    } else {
        m->queued[i] = false;
        timerq_cancel(q, &e[i]);
    }
}

static void check_pop(struct timerq *q, struct timerq_entry *e, struct model *m, int64_t now)
{
    int want = model_first(m);
    struct timerq_entry *got;

    assert_int_equal(timerq_next_due(q).ns, want < 0 ? INT64_MAX : m->due[want]);
    got = timerq_pop(q, at(now));
    if (want >= 0 && m->due[want] > now)
        want = -1;
    if (got != (want < 0 ? NULL : &e[want]))
        fail_msg("popped %td, expected %d", got ? got - e : -1, want);
    if (want >= 0)
        m->queued[want] = false;
}

static void behaves_like_the_simplest_queue(void **state)
{
    static struct timerq_entry e[N];
    static struct model m;
    struct timerq q;
    uint64_t rng = 6;

    (void)state;
    timerq_init(&q);
    for (int i = 0; i < 20000; i++) {
        random_step(&q, e, &m, &rng);
        if (i % 3 == 0)
            check_pop(&q, e, &m, (int64_t)rng_below(&rng, 250));
    }
    while (q.len)
        check_pop(&q, e, &m, 1000);
    assert_int_equal(model_first(&m), -1);
    timerq_free(&q);
}

static void reserved_room_does_not_move(void **state)
{
    struct timerq q;
    struct timerq_entry e[N] = { 0 };
    const struct timerq_node *heap;

    (void)state;
    timerq_init(&q);
    assert_int_equal(timerq_reserve(&q, N), TW_OK);
    assert_int_equal(timerq_reserve(&q, SIZE_MAX / 8), TW_ENOMEM);
    heap = q.heap;
    for (int i = 0; i < N; i++)
        assert_int_equal(timerq_set(&q, &e[i], at(N - i)), TW_OK);
    assert_ptr_equal(q.heap, heap);
    timerq_free(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_deadlines_fire_in_order_of_setting),
        cmocka_unit_test(nothing_fires_early),
        cmocka_unit_test(behaves_like_the_simplest_queue),
        cmocka_unit_test(reserved_room_does_not_move),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
