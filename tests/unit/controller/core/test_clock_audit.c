/* The mesh clock audit against simulated meshes: clocks and ways are known, so the audit must find the
 * clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "controller/core/clock_audit.h"
#include "tests/unit/common/rng.h"

#define MAX 16
#define MS 1e-3
#define US 1e-6
#define SEEDS 300

/* ---- Meshes ---- */

struct mesh {
    size_t n;
    double offset[MAX];
    double delay[MAX][MAX]; /* least, one way */
    bool linked[MAX][MAX];  /* i probes j */
    struct clock_claim claim[MAX];
    double noise_s; /* of the least measured delay: never reached the true least */
    uint64_t rng;
};

/* Ways of 1 to 20 ms whose two directions differ by up to a fifth, and clocks that all are right within 50
 * us. */
static void mesh_init(struct mesh *m, size_t n, uint64_t seed)
{
    *m = (struct mesh){ .n = n, .rng = seed };
    for (size_t i = 0; i < n; i++) {
        m->claim[i] = (struct clock_claim){ true, true, 100 * US };
        m->offset[i] = 100 * US * (rng_unit(&m->rng) - 0.5);
        for (size_t j = 0; j < n; j++)
            m->linked[i][j] = i != j;
        for (size_t j = 0; j < i; j++) {
            double d = MS * (1 + 19 * rng_unit(&m->rng)), skew = d * 0.1 * (rng_unit(&m->rng) - 0.5);
            m->delay[i][j] = d + skew;
            m->delay[j][i] = d - skew;
        }
    }
}

static double seen(struct mesh *m, size_t from, size_t to)
{
    return m->delay[from][to] + m->offset[to] - m->offset[from] + m->noise_s * rng_unit(&m->rng);
}

static size_t measure(struct mesh *m, struct clock_pair *ret)
{
    size_t n = 0;

    for (uint32_t i = 0; i < m->n; i++)
        for (uint32_t j = 0; j < m->n; j++)
            if (m->linked[i][j])
                ret[n++] = (struct clock_pair){ i, j, seen(m, i, j), seen(m, j, i) };
    return n;
}

static struct clock_audit audit(struct mesh *m)
{
    struct clock_pair pairs[MAX * MAX];
    struct clock_audit a;

    assert_int_equal(clock_audit_run(m->claim, m->n, pairs, measure(m, pairs), &a), TW_OK);
    return a;
}

static void unlink_all(struct mesh *m)
{
    memset(m->linked, 0, sizeof m->linked);
}

static void expect(const struct clock_audit *a, size_t i, enum clock_verdict v, const char *what,
                   uint64_t seed)
{
    const struct clock_host *h = &a->hosts[i];

    if (h->verdict != v)
        fail_msg("%s, seed %llu: host %zu is %s, expected %s; offset %.1f us +- %.1f us, limit %.1f us", what,
                 (unsigned long long)seed, i, clock_verdict_name(h->verdict), clock_verdict_name(v),
                 h->offset_s / US, h->uncertainty_s / US, h->limit_s / US);
}

static void expect_offset(const struct clock_audit *a, size_t i, double offset_s, double within_s,
                          const char *what, uint64_t seed)
{
    if (fabs(a->hosts[i].offset_s - offset_s) > within_s)
        fail_msg("%s, seed %llu: host %zu is off by %.1f us, expected %.1f", what, (unsigned long long)seed,
                 i, a->hosts[i].offset_s / US, offset_s / US);
}

/* ---- One is wrong ---- */

/* Every host in turn, both ways, with many ways of delays: it alone is named, and by how much. */
static void names_the_shifted_one(void **state)
{
    static const double shifts[] = { 5 * MS, -5 * MS };

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (size_t bad = 0; bad < 6; bad++)
            for (size_t k = 0; k < TW_NELEM(shifts); k++) {
                struct mesh m;
                struct clock_audit a;
                mesh_init(&m, 6, seed);
                m.noise_s = 50 * US;
                m.offset[bad] += shifts[k];
                a = audit(&m);
                assert_int_equal(a.components, 1);
                assert_int_equal(a.pairs_used, 15);
                for (size_t i = 0; i < 6; i++) {
                    expect(&a, i, i == bad ? CLOCK_OFFSET : CLOCK_OK, "one shifted", seed);
                    expect_offset(&a, i, m.offset[i], 1 * MS, "one shifted", seed);
                    if (fabs(a.hosts[i].offset_s - m.offset[i]) > a.hosts[i].uncertainty_s + 100 * US)
                        fail_msg("seed %llu: host %zu is not within its uncertainty",
                                 (unsigned long long)seed, i);
                }
                clock_audit_free(&a);
            }
}

static void nobody_is_wrong(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (size_t n = 2; n <= 10; n++) {
            struct mesh m;
            struct clock_audit a;
            mesh_init(&m, n, seed);
            m.noise_s = 50 * US;
            a = audit(&m);
            for (size_t i = 0; i < n; i++)
                if (a.hosts[i].verdict == CLOCK_OFFSET || a.hosts[i].verdict == CLOCK_EITHER)
                    expect(&a, i, CLOCK_OK, "all are right", seed);
            clock_audit_free(&a);
        }
}

static void names_two(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (size_t bad = 0; bad < 6; bad++) {
            struct mesh m;
            struct clock_audit a;
            size_t other = (bad + 1 + seed % 5) % 6;
            mesh_init(&m, 6, seed);
            m.offset[bad] += 5 * MS;
            m.offset[other] += seed % 2 ? -8 * MS : 6 * MS;
            a = audit(&m);
            for (size_t i = 0; i < 6; i++) {
                expect(&a, i, i == bad || i == other ? CLOCK_OFFSET : CLOCK_OK, "two shifted", seed);
                expect_offset(&a, i, m.offset[i], 1 * MS, "two shifted", seed);
            }
            clock_audit_free(&a);
        }
}

/* An hour: no ways explain it, and it must not cost the others their microseconds. */
static void a_wild_clock(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct mesh m;
        struct clock_audit a;
        mesh_init(&m, 8, seed);
        m.offset[3] = -3600;
        m.claim[3].synced = false;
        a = audit(&m);
        for (size_t i = 0; i < 8; i++) {
            expect(&a, i, i == 3 ? CLOCK_OFFSET : CLOCK_OK, "an hour", seed);
            expect_offset(&a, i, m.offset[i], 600 * US, "an hour", seed);
            assert_int_equal(a.hosts[i].certain, i == 3);
        }
        clock_audit_free(&a);
    }
}

/* A whole site follows a wrong server: fewer than half, so it is they. */
static void a_site_is_wrong(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct mesh m;
        struct clock_audit a;
        mesh_init(&m, 9, seed);
        for (size_t i = 0; i < 9; i++)
            for (size_t j = 0; j < 9; j++)
                if (i != j && (i < 4) == (j < 4))
                    m.delay[i][j] = 150 * US;
        for (size_t i = 0; i < 4; i++)
            m.offset[i] += 20 * MS;
        a = audit(&m);
        for (size_t i = 0; i < 9; i++)
            expect(&a, i, i < 4 ? CLOCK_OFFSET : CLOCK_OK, "a site", seed);
        clock_audit_free(&a);
    }
}

/* ---- Claims ---- */

static void claims_count(void **state)
{
    static const struct {
        const char *name;
        struct clock_claim claim;
        double offset_s;
        enum clock_verdict v;
    } cases[] = {
        { "claims to be right within 1 us, is off by 5 ms", { true, true, 1 * US }, 5 * MS, CLOCK_OFFSET },
        { "claims no more than 10 ms, is off by 5 ms", { true, true, 10 * MS }, 5 * MS, CLOCK_OK },
        { "claims no more than 10 ms, is off by 15 ms", { true, true, 10 * MS }, 15 * MS, CLOCK_OFFSET },
        { "claims nothing, is off by 5 ms", { true, false, 16 }, 5 * MS, CLOCK_OFFSET },
        { "claims nothing, is right", { true, false, 16 }, 0, CLOCK_OK },
        { "has said nothing, is off by 5 ms", { 0 }, 5 * MS, CLOCK_OFFSET },
    };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(cases); k++) {
        struct mesh m;
        struct clock_audit a;
        mesh_init(&m, 6, 7 + k);
        m.claim[2] = cases[k].claim;
        m.offset[2] = cases[k].offset_s;
        a = audit(&m);
        for (size_t i = 0; i < 6; i++)
            expect(&a, i, i == 2 ? cases[k].v : CLOCK_OK, cases[k].name, 7 + k);
        clock_audit_free(&a);
    }
}

/* Three that are synchronised outvote five that are not. */
static void synchronised_hosts_are_the_reference(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct mesh m;
        struct clock_audit a;
        mesh_init(&m, 8, seed);
        for (size_t i = 3; i < 8; i++) {
            m.claim[i].synced = false;
            m.offset[i] = 7 * MS + 50 * US * (double)i;
        }
        a = audit(&m);
        for (size_t i = 0; i < 8; i++)
            expect(&a, i, i < 3 ? CLOCK_OK : CLOCK_OFFSET, "three synchronised", seed);
        clock_audit_free(&a);
    }
}

/* ---- Few hosts ---- */

static void two_hosts_cannot_tell(void **state)
{
    static const struct {
        const char *name;
        double shift_s;
        enum clock_verdict v;
    } cases[] = {
        { "far beyond the round trip", 50 * MS, CLOCK_EITHER },
        { "less than ways may differ by", 5 * MS, CLOCK_UNKNOWN },
        { "within claims", 0, CLOCK_OK },
    };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(cases); k++) {
        struct mesh m;
        struct clock_audit a;
        mesh_init(&m, 2, 1);
        m.delay[0][1] = m.delay[1][0] = 10 * MS;
        m.offset[0] = 0;
        m.offset[1] = cases[k].shift_s;
        a = audit(&m);
        expect(&a, 0, cases[k].v, cases[k].name, 1);
        expect(&a, 1, cases[k].v, cases[k].name, 1);
        if (fabs(a.hosts[1].offset_s - a.hosts[0].offset_s - cases[k].shift_s) > 1 * US)
            fail_msg("%s: %.1f us", cases[k].name, (a.hosts[1].offset_s - a.hosts[0].offset_s) / US);
        clock_audit_free(&a);
    }
}

static void three_hosts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (size_t bad = 0; bad < 3; bad++) {
            struct mesh m;
            struct clock_audit a;
            mesh_init(&m, 3, seed);
            m.offset[bad] += 20 * MS;
            a = audit(&m);
            for (size_t i = 0; i < 3; i++)
                expect(&a, i, i == bad ? CLOCK_OFFSET : CLOCK_OK, "three hosts", seed);
            clock_audit_free(&a);
        }
}

/* Three against three: nobody can be named. */
static void no_majority(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct mesh m;
        struct clock_audit a;
        mesh_init(&m, 6, seed);
        for (size_t i = 0; i < 3; i++)
            m.offset[2 * i] += 30 * MS;
        a = audit(&m);
        for (size_t i = 0; i < 6; i++)
            expect(&a, i, CLOCK_EITHER, "three against three", seed);
        clock_audit_free(&a);
    }
}

/* A star has no loops: what is less than half a round trip may be the ways. */
static void star(void **state)
{
    static const struct {
        double shift_s;
        size_t bad;
        enum clock_verdict v;
    } cases[] = { { 50 * MS, 3, CLOCK_OFFSET }, { 50 * MS, 0, CLOCK_OFFSET }, { 5 * MS, 3, CLOCK_UNKNOWN } };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(cases); k++) {
        struct mesh m;
        struct clock_audit a;
        mesh_init(&m, 6, 3);
        unlink_all(&m);
        for (size_t i = 1; i < 6; i++) {
            m.linked[0][i] = true;
            m.delay[0][i] = m.delay[i][0] = 10 * MS;
        }
        m.offset[cases[k].bad] += cases[k].shift_s;
        a = audit(&m);
        for (size_t i = 0; i < 6; i++)
            expect(&a, i, i == cases[k].bad ? cases[k].v : CLOCK_OK, "star", k);
        clock_audit_free(&a);
    }
}

/* ---- What is missing ---- */

static void components_are_apart(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct mesh m;
        struct clock_audit a;
        mesh_init(&m, 11, seed);
        for (size_t i = 0; i < 11; i++)
            for (size_t j = 0; j < 11; j++)
                m.linked[i][j] = i != j && i < 10 && j < 10 && (i < 5) == (j < 5);
        for (size_t i = 5; i < 10; i++)
            m.offset[i] += 1; /* of the others: nothing links them */
        m.offset[1] += 5 * MS;
        m.offset[9] -= 5 * MS;
        a = audit(&m);
        assert_int_equal(a.components, 2);
        for (size_t i = 0; i < 10; i++)
            expect(&a, i, i == 1 || i == 9 ? CLOCK_OFFSET : CLOCK_OK, "two components", seed);
        expect(&a, 10, CLOCK_UNKNOWN, "a host alone", seed);
        assert_int_equal(a.hosts[10].pairs, 0);
        assert_int_equal(a.hosts[10].component_hosts, 1);
        assert_int_equal(a.hosts[2].component_hosts, 5);
        assert_true(a.hosts[2].component != a.hosts[7].component);
        clock_audit_free(&a);
    }
}

/* Some pairs have lost all answers, some only know one way: the rest is enough. */
static void holes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct clock_pair pairs[MAX * MAX];
        struct mesh m;
        struct clock_audit a;
        size_t n, bad = seed % 8, kept = 0;
        mesh_init(&m, 8, seed);
        m.offset[bad] += 10 * MS;
        n = measure(&m, pairs);
        for (size_t i = 0; i < n; i++) {
            uint64_t dice = rng_below(&m.rng, 10);
            if (dice < 3)
                continue;
            pairs[kept] = pairs[i];
            if (dice == 3)
                pairs[kept].backward_s = INFINITY;
            if (dice == 4)
                pairs[kept].forward_s = INFINITY;
            kept++;
        }
        assert_int_equal(clock_audit_run(m.claim, m.n, pairs, kept, &a), TW_OK);
        for (size_t i = 0; i < 8; i++)
            expect(&a, i, i == bad ? CLOCK_OFFSET : CLOCK_OK, "holes", seed);
        clock_audit_free(&a);
    }
}

/* Each of the two knows one way only: together they are a pair. */
static void two_halves_make_a_pair(void **state)
{
    static const struct clock_pair pairs[] = { { 0, 1, 1 * MS, INFINITY }, { 1, 0, 3 * MS, INFINITY } };
    static const struct clock_claim claims[2] = { { true, true, 0 }, { true, true, 0 } };
    struct clock_audit a;

    (void)state;
    assert_int_equal(clock_audit_run(claims, 2, pairs, 2, &a), TW_OK);
    assert_int_equal(a.pairs, 1);
    expect_offset(&a, 0, 0.5 * MS, 1 * US, "halves", 0);
    expect_offset(&a, 1, -0.5 * MS, 1 * US, "halves", 0);
    clock_audit_free(&a);
}

/* Flows and classes of two hosts, in any order: the least of each way. */
static void least_of_all_flows(void **state)
{
    static const struct clock_pair pairs[] = {
        { 0, 1, 9 * MS, 4 * MS },
        { 1, 0, 5 * MS, 6 * MS },
        { 0, 1, 7 * MS, 8 * MS },
        { 0, 1, 2 * MS, INFINITY },
    };
    static const struct clock_claim claims[2] = { { true, true, 0 }, { true, true, 0 } };
    struct clock_audit a;

    (void)state;
    assert_int_equal(clock_audit_run(claims, 2, pairs, TW_NELEM(pairs), &a), TW_OK);
    assert_int_equal(a.pairs, 1);
    expect_offset(&a, 1, -0.5 * (4 - 2) * MS / 2, 1 * US, "flows",
                  0); /* 2 ms out, 4 ms back, from the middle */
    clock_audit_free(&a);
}

static void nonsense_is_left_out(void **state)
{
    static const struct clock_pair pairs[] = {
        { 0, 0, 1 * MS, 1 * MS }, { 0, 7, 1 * MS, 1 * MS },  { 7, 0, 1 * MS, 1 * MS },
        { 0, 1, NAN, 1 * MS },    { 0, 1, -5 * MS, 1 * MS }, { 0, 1, INFINITY, INFINITY },
        { 1, 0, -INFINITY, 1 },
    };
    static const struct clock_claim claims[2] = { { true, true, 0 }, { true, true, 0 } };
    struct clock_audit a;

    (void)state;
    assert_int_equal(clock_audit_run(claims, 2, pairs, TW_NELEM(pairs), &a), TW_OK);
    assert_int_equal(a.pairs, 0);
    expect(&a, 0, CLOCK_UNKNOWN, "nonsense", 0);
    clock_audit_free(&a);
    assert_int_equal(clock_audit_run(NULL, 0, NULL, 0, &a), TW_OK);
    assert_int_equal(a.n_hosts, 0);
    clock_audit_free(&a);
}

/* ---- Ways that differ ---- */

/* One way between two hosts of six is 40 ms longer out than back: it is listed, and no clock is blamed. */
static void crooked_ways_are_listed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct mesh m;
        struct clock_audit a;
        size_t from = seed % 6, to = (from + 1 + seed / 6 % 5) % 6;
        mesh_init(&m, 6, seed);
        m.delay[from][to] += 40 * MS;
        a = audit(&m);
        for (size_t i = 0; i < 6; i++)
            expect(&a, i, CLOCK_OK, "one way is crooked", seed);
        if (!a.n_crooked || a.crooked[0].a + a.crooked[0].b != from + to)
            fail_msg("seed %llu: %zu listed, not %zu to %zu", (unsigned long long)seed, a.n_crooked, from,
                     to);
        if (fabs(a.crooked[0].longer_s - (a.crooked[0].a == from ? 40 : -40) * MS) > 3 * MS)
            fail_msg("seed %llu: longer by %.1f us", (unsigned long long)seed, a.crooked[0].longer_s / US);
        clock_audit_free(&a);
    }
}

/* Every way is up to 3 ms longer in a direction of its own: that makes the audit careful, not wrong. */
static void noisy_mesh(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct mesh m;
        struct clock_audit a;
        mesh_init(&m, 10, seed);
        for (size_t i = 0; i < 10; i++)
            for (size_t j = 0; j < 10; j++)
                m.delay[i][j] += 3 * MS * rng_unit(&m.rng);
        a = audit(&m);
        for (size_t i = 0; i < 10; i++)
            expect(&a, i, CLOCK_OK, "noise", seed);
        clock_audit_free(&a);
    }
}

/* A clock that drifts by 100 ppm while the window of two minutes passes: the least delay of one way is from
 * its beginning, that of the other from its end, and the estimate is of the middle. */
static void drift(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct clock_pair pairs[4096];
        struct mesh m;
        struct clock_audit a;
        size_t n = 0;
        mesh_init(&m, 6, seed);
        for (int t = 0; t < 120; t += 10) {
            m.offset[4] = 10 * MS + 100e-6 * t;
            m.noise_s = 20 * US;
            n += measure(&m, pairs + n);
        }
        assert_int_equal(clock_audit_run(m.claim, m.n, pairs, n, &a), TW_OK);
        expect(&a, 4, CLOCK_OFFSET, "drift", seed);
        expect_offset(&a, 4, 10 * MS + 100e-6 * 55, 1 * MS, "drift", seed);
        clock_audit_free(&a);
    }
}

/* ---- Size ---- */

static double cpu_s(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* 1,000 hosts, every pair both ways: 999,000. Optimised it takes half a second; the bound holds under
 * sanitizers. */
static void full_mesh_of_a_thousand(void **state)
{
    enum { N = 1000 };
    struct clock_claim *claims = calloc(N, sizeof *claims);
    struct clock_pair *pairs = malloc(sizeof *pairs * N * N);
    double *offset = calloc(N, sizeof *offset), took;
    uint64_t rng = 42;
    size_t n = 0;
    struct clock_audit a;

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        claims[i] = (struct clock_claim){ true, true, 500 * US };
        offset[i] = 200 * US * (rng_unit(&rng) - 0.5) + (i % 100 == 17 ? 5 * MS : 0);
    }
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 0; j < N; j++) {
            double out = MS * (1 + 50 * rng_unit(&rng)), diff = offset[j] - offset[i];
            if (i != j)
                pairs[n++] =
                    (struct clock_pair){ i, j, out + diff, out * (0.9 + 0.2 * rng_unit(&rng)) - diff };
        }
    took = cpu_s();
    assert_int_equal(clock_audit_run(claims, N, pairs, n, &a), TW_OK);
    took = cpu_s() - took;
    print_message("%zu pairs, %zu hosts: %.0f ms of CPU\n", n, (size_t)N, took * 1000);
    assert_true(took < 10);
    assert_int_equal(a.pairs, N * (N - 1) / 2);
    assert_true(a.pairs_used <= N * CLOCK_AUDIT_PAIRS / 2 + N);
    for (size_t i = 0; i < N; i++)
        expect(&a, i, i % 100 == 17 ? CLOCK_OFFSET : CLOCK_OK, "a thousand hosts", 42);
    clock_audit_free(&a);
    free(offset);
    free(pairs);
    free(claims);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_shifted_one),
        cmocka_unit_test(nobody_is_wrong),
        cmocka_unit_test(names_two),
        cmocka_unit_test(a_wild_clock),
        cmocka_unit_test(a_site_is_wrong),
        cmocka_unit_test(claims_count),
        cmocka_unit_test(synchronised_hosts_are_the_reference),
        cmocka_unit_test(two_hosts_cannot_tell),
        cmocka_unit_test(three_hosts),
        cmocka_unit_test(no_majority),
        cmocka_unit_test(star),
        cmocka_unit_test(components_are_apart),
        cmocka_unit_test(holes),
        cmocka_unit_test(two_halves_make_a_pair),
        cmocka_unit_test(least_of_all_flows),
        cmocka_unit_test(nonsense_is_left_out),
        cmocka_unit_test(crooked_ways_are_listed),
        cmocka_unit_test(noisy_mesh),
        cmocka_unit_test(drift),
        cmocka_unit_test(full_mesh_of_a_thousand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
