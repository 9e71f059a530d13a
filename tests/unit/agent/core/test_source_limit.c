#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/core/source_limit.h"

#define S TW_NS_PER_S

static struct source_limit *make(int64_t per_second, int64_t burst, uint32_t sources)
{
    struct source_limit_cfg c = { per_second, burst, sources, 99 };
    struct source_limit *l;

    assert_int_equal(source_limit_new(&c, &l), TW_OK);
    return l;
}

static struct tw_addr v4(uint32_t host)
{
    return (struct tw_addr){ .ip = { (uint8_t)(host >> 24), (uint8_t)(host >> 16), (uint8_t)(host >> 8),
                                     (uint8_t)host },
                             .family = 4 };
}

static struct tw_addr v6(uint8_t net, uint8_t host)
{
    return (struct tw_addr){ .ip = { 0x20, 1, 0xd, 0xb8, [7] = net, [15] = host }, .family = 6 };
}

static unsigned take(struct source_limit *l, const struct tw_addr *a, unsigned n, int64_t at)
{
    unsigned taken = 0;

    for (unsigned i = 0; i < n; i++)
        taken += source_limit_take(l, a, (struct tw_mono){ at });
    return taken;
}

static void burst_and_rate(void **state)
{
    struct source_limit *l = make(100, 10, 0);
    struct tw_addr a = v4(1);

    (void)state;
    assert_int_equal(take(l, &a, 50, 10 * S), 10);
    assert_int_equal(take(l, &a, 50, 10 * S + S / 10), 10);
    assert_int_equal(take(l, &a, 50, 10 * S + S / 10 + S / 50), 2);
    assert_int_equal(take(l, &a, 50, 100 * S), 10);
    assert_int_equal(take(l, &a, 50, 99 * S), 0); /* another thread's clock may be behind */
    source_limit_free(l);
    l = make(100, 0, 0); /* as many as in a second */
    assert_int_equal(take(l, &a, 500, 10 * S), 100);
    source_limit_free(l);
}

static void a_source_is_an_address_or_a_64(void **state)
{
    struct source_limit *l = make(10, 5, 0);
    struct tw_addr a = v6(1, 1), same = v6(1, 2), other = v6(2, 1), four = v4(0x20010db8);
    struct tw_addr link = { .ip = { 0xfe, 0x80, [15] = 1 }, .family = 6 }, neighbour = link;

    (void)state;
    neighbour.ip[15] = 2;
    assert_int_equal(take(l, &a, 9, S) + take(l, &same, 9, S), 5);
    assert_int_equal(take(l, &other, 9, S), 5);
    assert_int_equal(take(l, &four, 9, S), 5);
    assert_int_equal(take(l, &link, 9, S), 5);
    assert_int_equal(take(l, &neighbour, 9, S), 5); /* a link has one /64 for all */
    source_limit_free(l);
}

/* A million forged sources a second into a table of 7,168 places, with one that floods and one that is
 * polite: the flood does not get a packet more, the polite one loses none. */
static void forged_sources_displace_nobody(void **state)
{
    struct source_limit *l = make(1000, 50, 7000);
    struct tw_addr flood = v4(0x0a000001), polite = v4(0x0a000002);
    unsigned got = 0, fine = 0;

    (void)state;
    for (uint32_t i = 0; i < 1000000; i++) {
        struct tw_addr forged = v4(0x80000000 + i * 2654435761U % 0x10000000);
        int64_t at = S + i * (S / 1000000);
        source_limit_take(l, &forged, (struct tw_mono){ at });
        if (i % 100 == 0)
            got += source_limit_take(l, &flood, (struct tw_mono){ at });
        if (i % 2000 == 0)
            fine += source_limit_take(l, &polite, (struct tw_mono){ at });
    }
    assert_in_range(got, 1000, 1050);
    assert_int_equal(fine, 500);
    source_limit_free(l);
}

/* More live sources than places: who comes too late shares a bucket, and nothing grows. */
static void a_full_table_stays_bounded(void **state)
{
    struct source_limit *l = make(1, 2, 7);
    unsigned taken = 0;

    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        struct tw_addr a = v4(i);
        taken += take(l, &a, 3, S);
    }
    assert_int_equal(source_limit_live(l, (struct tw_mono){ S }), 7);
    assert_int_equal(taken, 7 * 2 + 2);
    assert_int_equal(source_limit_live(l, (struct tw_mono){ 4 * S }), 0);
    source_limit_free(l);
}

/* The workers share it: together they let through what one may. */
enum { THREADS = 4, PACKETS = 50000 };

static void *hammer(void *arg)
{
    struct source_limit *l = arg;
    struct tw_addr a = v4(7);
    uintptr_t taken = 0;

    for (int64_t i = 0; i < PACKETS; i++)
        taken += source_limit_take(l, &a, (struct tw_mono){ S + i * (S / PACKETS) });
    return (void *)taken;
}

static void threads_share(void **state)
{
    struct source_limit *l = make(1000, 100, 0);
    pthread_t t[THREADS];
    uintptr_t taken = 0;

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, l), 0);
    for (int i = 0; i < THREADS; i++) {
        void *n;
        pthread_join(t[i], &n);
        taken += (uintptr_t)n;
    }
    /* A thread that gave up after some tries let a packet through: few. One that lagged behind was refused.
     */
    assert_in_range(taken, 1000, 1500);
    source_limit_free(l);
}

static void another_rate_holds_from_the_next_packet_on(void **state)
{
    struct source_limit *l = make(0, 0, 0);
    struct tw_addr a = v4(1);

    (void)state;
    assert_int_equal(take(l, &a, 1000, S), 1000); /* no limit */
    assert_int_equal(source_limit_live(l, (struct tw_mono){ S }), 0);
    assert_int_equal(source_limit_set(l, 1, 60), TW_OK);
    assert_int_equal(take(l, &a, 1000, S), 60);
    assert_int_equal(source_limit_set(l, -1, 0), TW_EINVAL);
    assert_int_equal(source_limit_set(l, 10000001, 0), TW_EINVAL);
    assert_int_equal(source_limit_set(l, 1, -1), TW_EINVAL);
    assert_int_equal(take(l, &a, 1000, 3 * S), 2); /* as before */
    assert_int_equal(source_limit_set(l, 1000, 100), TW_OK);
    assert_int_equal(take(l, &a, 1000, 4 * S), 1); /* not in a minute, which the old rate would ask */
    assert_int_equal(take(l, &a, 1000, 4 * S + S / 100), 10);
    assert_int_equal(take(l, &a, 1000, 6 * S), 100);
    assert_int_equal(source_limit_set(l, 0, 0), TW_OK);
    assert_int_equal(take(l, &a, 1000, 6 * S), 1000);
    source_limit_free(l);
}

static void refuses_nonsense(void **state)
{
    static const struct source_limit_cfg bad[] = { { -1, 0, 0, 0 }, { 1, -1, 0, 0 }, { 10000001, 0, 0, 0 } };
    struct source_limit *l;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++)
        assert_int_equal(source_limit_new(&bad[i], &l), TW_EINVAL);
    assert_true(source_limit_take(NULL, &(struct tw_addr){ 0 }, (struct tw_mono){ 0 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(burst_and_rate),
        cmocka_unit_test(another_rate_holds_from_the_next_packet_on),
        cmocka_unit_test(a_source_is_an_address_or_a_64),
        cmocka_unit_test(forged_sources_displace_nobody),
        cmocka_unit_test(a_full_table_stays_bounded),
        cmocka_unit_test(threads_share),
        cmocka_unit_test(refuses_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
