/* Expansion of meshes against a plain second opinion: a bitmap of who may measure to whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "controller/core/mesh.h"

static const struct mesh_agent lab[] = {
    { .name = "a" },  { .name = "b" },  { .name = "c" }, { .name = "d" },
    { .name = "h1" }, { .name = "h2" }, { .name = "s" },
};
static const struct mesh_agents agents = { lab, TW_NELEM(lab) };

/* ---- Fixed cases: "class source target" in order ---- */

#define NAMES(...)                                                                 \
    {                                                                              \
        (struct mesh_name[]){ __VA_ARGS__ },                                       \
            sizeof((struct mesh_name[]){ __VA_ARGS__ }) / sizeof(struct mesh_name) \
    }
#define N(text)      \
    {                \
        .name = text \
    }
#define LINKS(field, count, ...)                  \
    .field = (struct mesh_link[]){ __VA_ARGS__ }, \
    .count = sizeof((struct mesh_link[]){ __VA_ARGS__ }) / sizeof(struct mesh_link)
#define CLASS(text) .classes = (struct mesh_class[]){ { .name = text } }, .n_classes = 1
#define TARGETS                                                                                    \
    .targets = (struct mesh_target[]){ { .name = "edge", .addr = { .family = 4, .port = 862 } } }, \
    .n_targets = 1

static struct mesh_group nested[] = {
    { .name = "outer", .members = NAMES(N("c"), N("@inner"), N("a")) },
    { .name = "inner", .members = NAMES(N("b"), N("a")) },
};
static struct mesh_group looped[] = {
    { .name = "x", .members = NAMES(N("a"), N("@y")) },
    { .name = "y", .members = NAMES(N("b"), N("@x")) },
};

static const struct {
    const char *name;
    struct mesh m;
    bool strict;
    const char *pairs; /* NULL: refused */
    size_t unresolved;
    const char *says;
} cases[] = {
    { "full",
      { .members = NAMES(N("c"), N("a"), N("b")), CLASS("k") },
      true,
      "k a b|k a c|k b a|k b c|k c a|k c b|",
      0,
      "" },
    { "classes by name",
      { .members = NAMES(N("a"), N("b")),
        .classes = (struct mesh_class[]){ { .name = "z" }, { .name = "k" } },
        .n_classes = 2 },
      true,
      "k a b|k b a|z a b|z b a|",
      0,
      "" },
    { "nested groups overlap",
      { .members = NAMES(N("@outer"), N("b"), N("@inner")), .groups = nested, .n_groups = 2, CLASS("k") },
      true,
      "k a b|k a c|k b a|k b c|k c a|k c b|",
      0,
      "" },
    { "cycle ends",
      { .members = NAMES(N("@x")), .groups = looped, .n_groups = 2, CLASS("k") },
      true,
      "k a b|k b a|",
      0,
      "" },
    { "exclusion is one-way",
      { .members = NAMES(N("a"), N("b")), LINKS(exclude, n_exclude, { N("b"), N("a") }), CLASS("k") },
      true,
      "k a b|",
      0,
      "" },
    { "a group excluded",
      { .members = NAMES(N("@outer"), N("d")),
        .groups = nested,
        .n_groups = 2,
        CLASS("k"),
        LINKS(exclude, n_exclude, { N("@outer"), N("@outer") }, { N("d"), N("@inner") }) },
      true,
      "k a d|k b d|k c d|k d c|",
      0,
      "" },
    { "hub and spoke",
      { .topology = MESH_HUB_SPOKE,
        .hubs = NAMES(N("h1"), N("h2")),
        .spokes = NAMES(N("s"), N("a")),
        CLASS("k") },
      true,
      "k a h1|k a h2|k h1 a|k h1 s|k h2 a|k h2 s|k s h1|k s h2|",
      0,
      "" },
    { "list",
      { .topology = MESH_LIST, LINKS(pairs, n_pairs, { N("b"), N("a") }, { N("a"), N("c") }), CLASS("k") },
      true,
      "k a c|k b a|",
      0,
      "" },
    { "list of groups, each pair once",
      { .topology = MESH_LIST,
        .groups = nested,
        .n_groups = 2,
        CLASS("k"),
        LINKS(pairs, n_pairs, { N("@inner"), N("@inner") }, { N("a"), N("b") }) },
      true,
      "k a b|k b a|",
      0,
      "" },
    { "targets never send",
      { .members = NAMES(N("edge"), N("a")), TARGETS, CLASS("k") },
      true,
      "k a edge|",
      0,
      "" },
    { "nobody left", { .members = NAMES(N("gone1"), N("a")), CLASS("k") }, false, "", 1, "" },
    { "unknown ones left out, counted once",
      { .members = NAMES(N("a"), N("gone1"), N("b"), N("gone2")),
        CLASS("k"),
        LINKS(exclude, n_exclude, { N("gone1"), N("a") }) },
      false,
      "k a b|k b a|",
      2,
      "" },
    { "unknown, strict",
      { .members = NAMES(N("a"), { "gone1", 7, 9 }), CLASS("k") },
      true,
      NULL,
      0,
      "x:7: members[1]: \"gone1\" is unknown" },
    { "unknown in an exclusion, strict",
      { .members = NAMES(N("a"), N("b")),
        CLASS("k"),
        LINKS(exclude, n_exclude, { N("a"), { "gone1", 8, 1 } }) },
      true,
      NULL,
      0,
      "x:8: exclude[0][0]: \"gone1\" is unknown" },
    { "target and agent, strict",
      { .members = NAMES(N("a"), { "b", 3, 4 }),
        CLASS("k"),
        .targets = (struct mesh_target[]){ { .name = "b" } },
        .n_targets = 1 },
      true,
      NULL,
      0,
      "x:3: members[1]: \"b\" is both an agent and a target" },
    { "target and agent later",
      { .members = NAMES(N("a"), N("b")),
        CLASS("k"),
        .targets = (struct mesh_target[]){ { .name = "b" } },
        .n_targets = 1 },
      false,
      "k a b|",
      0,
      "" },
    { "unknown group",
      { .members = NAMES({ "@none", 5, 2 }), CLASS("k") },
      false,
      NULL,
      0,
      "x:5: members[0]: group \"@none\" is unknown" },
};

static void list_pairs(const struct mesh *m, const struct mesh_pair *p, size_t n, char *text, size_t cap)
{
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < n && len < cap; i++)
        len += (size_t)snprintf(text + len, cap - len, "%s %s %s|", m->classes[p[i].class_index].name,
                                mesh_pair_source(&agents, &p[i]), mesh_pair_target(m, &agents, &p[i]));
}

static void expands(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct tw_err e = { .file = "x" };
        struct mesh_pair *p = NULL;
        size_t n = 0, unresolved = 0;
        char text[1024];
        enum tw_rc rc = mesh_expand(&cases[i].m, &agents, cases[i].strict, &p, &n, &unresolved, &e);

        if (!cases[i].pairs) {
            tw_err_format(&e, text, sizeof text);
            if (rc != TW_EINVAL || p || !strstr(text, cases[i].says))
                fail_msg("%s: rc %s, says \"%s\"", cases[i].name, tw_rc_name(rc), text);
            continue;
        }
        if (rc)
            fail_msg("%s: %s", cases[i].name, e.text);
        list_pairs(&cases[i].m, p, n, text, sizeof text);
        if (strcmp(text, cases[i].pairs) || unresolved != cases[i].unresolved)
            fail_msg("%s: %s, %zu unresolved\nexpected %s, %zu", cases[i].name, text, unresolved,
                     cases[i].pairs, cases[i].unresolved);
        free(p);
    }
}

/* ---- Random meshes ---- */

#define AGENTS 24
#define GROUPS 5

static uint64_t rng_state;
static unsigned rnd(unsigned n)
{
    rng_state = rng_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(rng_state >> 33) % n;
}

/* Agent k has the name "nk", so its number is k. */
static char random_names[AGENTS][8];
static struct mesh_agent random_agent[AGENTS];
static const struct mesh_agents random_agents = { random_agent, AGENTS };

struct random_mesh {
    struct mesh m;
    struct mesh_name member[3][12], in_group[GROUPS][6];
    struct mesh_group group[GROUPS];
    struct mesh_link pair[10], exclude[10];
    struct mesh_class class[2];
    bool has[GROUPS][AGENTS]; /* the second opinion: who is in a group */
};

static void random_name(struct mesh_name *n, unsigned first_group)
{
    if (first_group < GROUPS && rnd(4) == 0)
        sprintf(n->name, "@g%u", first_group + rnd(GROUPS - first_group));
    else
        sprintf(n->name, "n%02u", rnd(AGENTS));
}

static bool covers(const struct random_mesh *r, const struct mesh_name *n, unsigned agent)
{
    unsigned k = (unsigned)strtoul(n->name + (n->name[0] == '@' ? 2 : 1), NULL, 10);

    return n->name[0] == '@' ? r->has[k][agent] : k == agent;
}

static bool any_covers(const struct random_mesh *r, const struct mesh_names *l, unsigned agent)
{
    for (size_t i = 0; i < l->n; i++)
        if (covers(r, &l->v[i], agent))
            return true;
    return false;
}

/* Groups contain only later ones, so membership is settled from the last to the first. */
static void random_groups(struct random_mesh *r)
{
    for (unsigned g = GROUPS; g-- > 0;) {
        struct mesh_names *l = &r->group[g].members;

        sprintf(r->group[g].name, "g%u", g);
        *l = (struct mesh_names){ r->in_group[g], 1 + rnd(6) };
        for (size_t i = 0; i < l->n; i++)
            random_name(&l->v[i], g + 1);
        for (unsigned a = 0; a < AGENTS; a++)
            r->has[g][a] = any_covers(r, l, a);
    }
}

static void random_links(struct mesh_link *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        random_name(&v[i].source, 0);
        random_name(&v[i].target, 0);
    }
}

static void random_mesh(struct random_mesh *r)
{
    struct mesh_names *lists[] = { &r->m.members, &r->m.hubs, &r->m.spokes };

    *r = (struct random_mesh){ .class = { { .name = "k1" }, { .name = "k0" } } };
    random_groups(r);
    for (size_t i = 0; i < 3; i++) {
        *lists[i] = (struct mesh_names){ r->member[i], 1 + rnd(12) };
        for (size_t k = 0; k < lists[i]->n; k++)
            random_name(&lists[i]->v[k], 0);
    }
    r->m.topology = (enum mesh_topology)rnd(3);
    r->m.groups = r->group;
    r->m.n_groups = GROUPS;
    r->m.pairs = r->pair;
    r->m.n_pairs = 1 + rnd(10);
    r->m.exclude = r->exclude;
    r->m.n_exclude = rnd(10);
    random_links(r->pair, r->m.n_pairs);
    random_links(r->exclude, r->m.n_exclude);
    r->m.classes = r->class;
    r->m.n_classes = 1 + rnd(2);
}

static bool linked(const struct random_mesh *r, const struct mesh_link *v, size_t n, unsigned s, unsigned t)
{
    for (size_t i = 0; i < n; i++)
        if (covers(r, &v[i].source, s) && covers(r, &v[i].target, t))
            return true;
    return false;
}

static bool expected(const struct random_mesh *r, unsigned s, unsigned t)
{
    const struct mesh *m = &r->m;

    if (s == t || linked(r, m->exclude, m->n_exclude, s, t))
        return false;
    switch (m->topology) {
    case MESH_FULL:
        return any_covers(r, &m->members, s) && any_covers(r, &m->members, t);
    case MESH_HUB_SPOKE:
        return (any_covers(r, &m->hubs, s) && any_covers(r, &m->spokes, t)) ||
               (any_covers(r, &m->spokes, s) && any_covers(r, &m->hubs, t));
    default:
        return linked(r, m->pairs, m->n_pairs, s, t);
    }
}

static void check_random(const struct random_mesh *r, unsigned round, const struct mesh_pair *p, size_t n)
{
    size_t at = 0;

    for (size_t k = 0; k < r->m.n_classes; k++) {
        uint32_t class_index = (uint32_t)(r->m.n_classes - 1 - k); /* "k0" stands second and comes first */

        for (unsigned s = 0; s < AGENTS; s++)
            for (unsigned t = 0; t < AGENTS; t++) {
                if (!expected(r, s, t))
                    continue;
                if (at == n || p[at].class_index != class_index || p[at].source != s ||
                    p[at].target != (int32_t)t)
                    fail_msg("round %u, pair %zu of %zu: expected class %u n%02u n%02u", round, at, n,
                             class_index, s, t);
                at++;
            }
    }
    if (at != n)
        fail_msg("round %u: %zu pairs, expected %zu", round, n, at);
}

/* The order of the document must not show. */
static void shuffle(struct random_mesh *r)
{
    struct mesh_names *lists[] = { &r->m.members, &r->m.hubs, &r->m.spokes };

    for (size_t i = 0; i < 3; i++)
        for (size_t k = lists[i]->n; k > 1; k--) {
            size_t other = rnd((unsigned)k);
            struct mesh_name swap = lists[i]->v[k - 1];

            lists[i]->v[k - 1] = lists[i]->v[other];
            lists[i]->v[other] = swap;
        }
    for (size_t k = r->m.n_pairs; k > 1; k--) {
        size_t other = rnd((unsigned)k);
        struct mesh_link swap = r->pair[k - 1];

        r->pair[k - 1] = r->pair[other];
        r->pair[other] = swap;
    }
}

static void agrees_with_bitmap(void **state)
{
    static struct random_mesh r;

    (void)state;
    rng_state = 7;
    for (unsigned i = 0; i < AGENTS; i++) {
        sprintf(random_names[i], "n%02u", i);
        random_agent[i].name = random_names[i];
    }
    for (unsigned round = 0; round < 1000; round++) {
        struct mesh_pair *p, *again;
        size_t n, n_again;
        struct tw_err e;

        random_mesh(&r);
        if (mesh_expand(&r.m, &random_agents, true, &p, &n, NULL, &e))
            fail_msg("round %u: %s", round, e.text);
        check_random(&r, round, p, n);
        shuffle(&r);
        assert_int_equal(mesh_expand(&r.m, &random_agents, true, &again, &n_again, NULL, &e), TW_OK);
        assert_int_equal(n, n_again);
        assert_memory_equal(p, again, n * sizeof *p);
        free(p);
        free(again);
    }
}

/* ---- Size ---- */

#define MANY 1000

static void many_agents(void **state)
{
    static char sorted[MANY][MESH_NAME_MAX];
    static struct mesh_agent many[MANY];
    static struct mesh_name names[MANY];
    const struct mesh_agents all = { many, MANY };
    struct mesh m = { .members = { names, MANY }, CLASS("k") };
    struct timespec a, b;
    struct mesh_pair *p;
    size_t n;
    double s;

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        sprintf(names[i].name, "agent-%03u.example.net", i * 617 % MANY); /* not in order */
        sprintf(sorted[i], "agent-%03u.example.net", i);
        many[i].name = sorted[i];
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    assert_int_equal(mesh_expand(&m, &all, true, &p, &n, NULL, NULL), TW_OK);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    printf("%zu pairs in %.3f s\n", n, s);
    assert_int_equal(n, MANY * (MANY - 1));
    assert_string_equal(mesh_pair_target(&m, &all, &p[0]), "agent-001.example.net");
    assert_string_equal(mesh_pair_target(&m, &all, &p[n - 1]), "agent-998.example.net");
    free(p);
    if (s > 2)
        fail_msg("%.3f s of processor time", s);
}

static void too_many_pairs(void **state)
{
    static struct mesh_name names[3 * MANY];
    static struct mesh_agent many[3 * MANY];
    struct mesh m = { .members = { names, 3 * MANY }, CLASS("k") };
    struct mesh_pair *p = NULL;
    struct tw_err e = { 0 };
    size_t n;

    (void)state;
    for (unsigned i = 0; i < 3 * MANY; i++) {
        sprintf(names[i].name, "a%04u", i);
        many[i].name = names[i].name;
    }
    assert_int_equal(mesh_expand(&m, &(struct mesh_agents){ many, 3 * MANY }, true, &p, &n, NULL, &e),
                     TW_ENOSPC);
    assert_non_null(strstr(e.text, "4000000"));
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expands),
        cmocka_unit_test(agrees_with_bitmap),
        cmocka_unit_test(many_agents),
        cmocka_unit_test(too_many_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
