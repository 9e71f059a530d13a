/* Whose turn it is: rows of what comes, and in which order it leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/rc.h"
#include "controller/core/fair_queue.h"

#define MAX 64

/* Two characters an item: the client and a name; a client in capitals asks for bulk. */
static const struct {
    const char *name, *in, *out;
} orders[] = {
    { "of one client as it came", "a1a2a3", "a1a2a3" },
    { "clients take turns", "a1a2a3a4b1b2c1", "a1b1c1a2b2a3a4" },
    { "quick goes before bulk", "A1A2B1a3b2", "a3b2A1B1A2" },
    { "a client's bulk does not hold up its quick ones", "A1A2A3a4", "a4A1A2A3" },
    { "clients of bulk take turns", "A1A2A3B1", "A1B1A2A3" },
    { "bulk goes on under quick ones", "a1a2a3a4a5a6a7a8a9C1C2", "a1a2a3a4a5a6a7C1a8a9C2" },
};

static struct fair_item item(const char *p)
{
    return (struct fair_item){ .client = (uint64_t)(*p | 32), .bulk = !(*p & 32) };
}

static void turns(void **state)
{
    (void)state;
    for (size_t r = 0; r < TW_NELEM(orders); r++) {
        size_t n = strlen(orders[r].in) / 2;
        struct fair_item items[MAX], *got;
        char out[2 * MAX + 1] = "";
        struct fair_queue q;

        assert_int_equal(fair_queue_init(&q, MAX, MAX), TW_OK);
        for (size_t i = 0; i < n; i++) {
            items[i] = item(orders[r].in + 2 * i);
            assert_true(fair_queue_put(&q, &items[i]));
        }
        while ((got = fair_queue_take(&q, true)))
            strncat(out, orders[r].in + 2 * (got - items), 2);
        if (strcmp(out, orders[r].out))
            fail_msg("%s: %s instead of %s", orders[r].name, out, orders[r].out);
        assert_int_equal(q.n, 0);
        fair_queue_free(&q);
    }
}

/* Who asks anew as soon as it is served does not come before those who wait. */
static void who_comes_again_is_last(void **state)
{
    struct fair_item many[4], again = { .client = 2 };
    struct fair_queue q;
    unsigned served[3] = { 0 };

    (void)state;
    assert_int_equal(fair_queue_init(&q, MAX, MAX), TW_OK);
    for (size_t i = 0; i < TW_NELEM(many); i++) {
        many[i] = (struct fair_item){ .client = 1 };
        assert_true(fair_queue_put(&q, &many[i]));
    }
    assert_true(fair_queue_put(&q, &again));
    for (int i = 0; i < 8; i++) {
        struct fair_item *got = fair_queue_take(&q, true);
        served[got->client]++;
        assert_true(fair_queue_put(&q, got));
    }
    assert_int_equal(served[1], 4);
    assert_int_equal(served[2], 4);
    fair_queue_free(&q);
}

static void bounds(void **state)
{
    struct fair_item i[7];
    struct fair_queue q;

    (void)state;
    assert_int_equal(fair_queue_init(&q, 5, 3), TW_OK);
    for (int k = 0; k < 7; k++)
        i[k] = (struct fair_item){ .client = k < 4 ? 1 : (uint64_t)k, .bulk = k & 1 };
    for (int k = 0; k < 3; k++)
        assert_true(fair_queue_put(&q, &i[k]));
    assert_false(fair_queue_put(&q, &i[3])); /* its fourth, quick and bulk */
    assert_int_equal(q.refused_client, 1);
    assert_true(fair_queue_put(&q, &i[4]));
    assert_true(fair_queue_put(&q, &i[5]));
    assert_false(fair_queue_put(&q, &i[6])); /* the sixth of all */
    assert_int_equal(q.refused, 2);
    assert_int_equal(q.refused_client, 1);
    assert_ptr_equal(fair_queue_take(&q, true), &i[0]);
    assert_true(fair_queue_put(&q, &i[3])); /* there are places again, of both */
    assert_int_equal(q.n, 5);
    fair_queue_free(&q);
}

static void bulk_can_be_left_waiting(void **state)
{
    struct fair_item bulk = { .client = 1, .bulk = true }, quick = { .client = 1 };
    struct fair_queue q;

    (void)state;
    assert_int_equal(fair_queue_init(&q, 2, 2), TW_OK);
    assert_true(fair_queue_put(&q, &bulk));
    assert_null(fair_queue_take(&q, false));
    for (int i = 0; i < 3 * FAIR_QUEUE_BULK_EVERY; i++) {
        assert_true(fair_queue_put(&q, &quick));
        assert_ptr_equal(fair_queue_take(&q, false), &quick);
    }
    assert_true(fair_queue_put(&q, &quick));
    assert_ptr_equal(fair_queue_take(&q, true), &bulk); /* it has waited long enough */
    assert_ptr_equal(fair_queue_take(&q, true), &quick);
    assert_null(fair_queue_take(&q, true));
    fair_queue_free(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns),
        cmocka_unit_test(who_comes_again_is_last),
        cmocka_unit_test(bounds),
        cmocka_unit_test(bulk_can_be_left_waiting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
