/* k-regular meshes: degrees exact, by names alone, and stable when somebody comes or goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "controller/core/mesh_regular.h"

#define MANY 5001

static char room[MANY][24];
static const char *all[MANY];

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        sprintf(room[i], "agent-%04u.example", i);
        all[i] = room[i];
    }
    return 0;
}

struct graph {
    uint64_t *v;
    size_t n;
};

static struct graph make(const char *const *names, size_t n, uint32_t degree)
{
    struct graph g;

    assert_int_equal(mesh_regular(names, n, degree, NULL, 0, &g.v, &g.n), TW_OK);
    return g;
}

/* Sorted, each once, nobody to himself; every member has exactly so many targets and sources. */
static void check(const struct graph *g, size_t n, uint32_t degree)
{
    uint32_t *out = calloc(2 * n + 1, sizeof *out), *in = out + n;

    assert_non_null(out);
    degree = n && degree > n - 1 ? (uint32_t)n - 1 : n ? degree : 0;
    for (size_t i = 0; i < g->n; i++) {
        uint32_t s = (uint32_t)(g->v[i] >> 32), t = (uint32_t)g->v[i];

        if (s >= n || t >= n || s == t || (i && g->v[i - 1] >= g->v[i]))
            fail_msg("%zu members, degree %u: pair %zu is %u to %u", n, degree, i, s, t);
        out[s]++;
        in[t]++;
    }
    for (size_t i = 0; i < n; i++)
        if (out[i] != degree || in[i] != degree)
            fail_msg("%zu members, degree %u: %zu has %u targets, %u sources", n, degree, i, out[i], in[i]);
    free(out);
}

static void degrees_are_exact(void **state)
{
    static const struct {
        size_t n;
        uint32_t degree;
    } large[] = { { 100, 50 },  { 100, 74 },  { 100, 75 },  { 100, 98 },
                  { 300, 200 }, { 1000, 16 }, { 1000, 990 } };

    (void)state;
    for (size_t n = 0; n <= 32; n++)
        for (uint32_t degree = 1; degree <= n + 1; degree++) {
            struct graph g = make(all, n, degree);

            check(&g, n, degree);
            free(g.v);
        }
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        struct graph g = make(all, large[i].n, large[i].degree);

        check(&g, large[i].n, large[i].degree);
        free(g.v);
    }
}

/* Pairs of `more` that do not touch `who`, and are not among those of `fewer`, and the other way round;
 * `fewer` has the same members but `who`. */
struct moved {
    size_t gone, come;
};
static struct moved compare(const struct graph *more, const struct graph *fewer, uint32_t who)
{
    struct moved m = { 0 };
    size_t f = 0;

    for (size_t i = 0; i < more->n; i++) {
        uint32_t s = (uint32_t)(more->v[i] >> 32), t = (uint32_t)more->v[i];
        uint64_t pair;

        if (s == who || t == who)
            continue;
        pair = (uint64_t)(s - (s > who)) << 32 | (t - (t > who));
        for (; f < fewer->n && fewer->v[f] < pair; f++)
            m.gone++;
        if (f < fewer->n && fewer->v[f] == pair)
            f++;
        else
            m.come++;
    }
    m.gone += fewer->n - f;
    return m;
}

/* `skip` of them joins or leaves. */
static struct moved join(size_t first, size_t n, uint32_t degree, uint32_t skip)
{
    const char **names = calloc(n + 1, sizeof *names);
    struct graph more, fewer;
    struct moved m;

    assert_non_null(names);
    memcpy(names, all + first, n * sizeof *names);
    more = make(names, n, degree);
    memmove(names + skip, names + skip + 1, (n - skip) * sizeof *names);
    fewer = make(names, n - 1, degree);
    m = compare(&more, &fewer, skip);
    free(more.v);
    free(fewer.v);
    free(names);
    return m;
}

/* The bounds that the header names: 4 * degree, and 2.5 * degree on average. */
static void joining_moves_its_share(void **state)
{
    static const struct {
        size_t n;
        uint32_t degree;
    } rows[] = { { 9, 2 },    { 13, 3 },  { 41, 10 },  { 60, 10 }, { 100, 10 },
                 { 500, 10 }, { 81, 20 }, { 200, 32 }, { 5, 1 } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t sum = 0, rounds = 60;

        for (size_t k = 0; k < rounds; k++) {
            struct moved m = join(k * 53, rows[i].n, rows[i].degree, (uint32_t)(k * 37 % rows[i].n));

            if (m.gone > 4 * rows[i].degree || m.come > 4 * rows[i].degree)
                fail_msg("%zu members, degree %u, round %zu: %zu go, %zu come", rows[i].n, rows[i].degree, k,
                         m.gone, m.come);
            sum += m.gone;
        }
        if (2 * sum > 5 * rows[i].degree * rounds)
            fail_msg("%zu members, degree %u: %.1f pairs go on average", rows[i].n, rows[i].degree,
                     (double)sum / (double)rounds);
    }
}

/* Near the full mesh, and over the line where it is told by what is left out: a third of all at the very
 * most. */
static void dense_meshes_move_a_part(void **state)
{
    (void)state;
    for (size_t n = 8; n < 40; n++)
        for (uint32_t degree = (uint32_t)n / 4; degree < n; degree++) {
            struct moved m = join(n * 31, n, degree, (uint32_t)(n * degree % n));

            if (m.gone > 4 * degree + n * degree / 3)
                fail_msg("%zu members, degree %u: %zu of %zu go", n, degree, m.gone, n * degree);
        }
}

static void many_members(void **state)
{
    struct timespec a, b;
    struct graph g, fewer;
    struct moved m;
    double s;

    (void)state;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    g = make(all, MANY - 1, 10);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    printf("%zu pairs in %.3f s\n", g.n, s);
    check(&g, MANY - 1, 10);
    free(g.v);
    if (s > 5) /* 0.03 s on an idle machine; sanitizers take their time */
        fail_msg("%.3f s of processor time", s);
    for (uint32_t who = 7; who < MANY; who += 2000) {
        m = join(0, MANY, 10, who);
        if (m.gone > 40 || m.come > 40)
            fail_msg("%zu go, %zu come", m.gone, m.come);
    }
    fewer = make(all + 1, MANY - 1, 10);
    check(&fewer, MANY - 1, 10);
    free(fewer.v);
}

/* Another pair takes the place of one that is excluded; where there is none, it stays away. */
static void exclusions_are_replaced(void **state)
{
    struct graph g = make(all, 50, 8), other;
    uint64_t excluded[50 * 3];
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < g.n; i += 3) /* every third of its pairs */
        excluded[n++] = g.v[i];
    assert_int_equal(mesh_regular(all, 50, 8, excluded, n, &other.v, &other.n), TW_OK);
    check(&other, 50, 8);
    for (size_t i = 0, k = 0; i < other.n; i++) {
        while (k < n && excluded[k] < other.v[i])
            k++;
        assert_false(k < n && excluded[k] == other.v[i]);
    }
    free(g.v);
    free(other.v);
    n = 0;
    for (uint64_t s = 0; s < 50; s++)
        if (s != 7)
            excluded[n++] = s << 32 | 7; /* nobody may measure to the one with number 7 */
    assert_int_equal(mesh_regular(all, 50, 8, excluded, n, &other.v, &other.n), TW_OK);
    assert_int_equal(other.n, 50 * 8 - 8);
    free(other.v);
}

/* It is the names that count, not their places. */
static void other_names_other_pairs(void **state)
{
    struct graph a = make(all, 100, 4), b = make(all + 100, 100, 4);

    (void)state;
    assert_int_equal(a.n, b.n);
    assert_memory_not_equal(a.v, b.v, a.n * sizeof *a.v);
    free(a.v);
    free(b.v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(degrees_are_exact),        cmocka_unit_test(joining_moves_its_share),
        cmocka_unit_test(dense_meshes_move_a_part), cmocka_unit_test(many_members),
        cmocka_unit_test(exclusions_are_replaced),  cmocka_unit_test(other_names_other_pairs),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
