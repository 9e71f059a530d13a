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

static const struct tw_label ams[] = { { "role", "edge" }, { "site", "ams" } }, fra[] = { { "site", "fra" } };
static const struct tw_addr ten[] = { { .family = 6, .ip = { 0x20, 1, 0xd, 0xb8 } },
                                      { .family = 4, .ip = { 10, 0, 0, 1 } } };
static const struct mesh_agent lab[] = {
    { .name = "a", .labels = ams, .n_labels = 2, .addresses = ten, .n_addresses = 2 },
    { .name = "b", .labels = ams, .n_labels = 2 },
    { .name = "c", .labels = fra, .n_labels = 1, .addresses = ten, .n_addresses = 1 },
    { .name = "d", .labels = fra, .n_labels = 1, .draining = true },
    { .name = "h1" },
    { .name = "h2" },
    { .name = "s" },
};
static const struct mesh_agents agents = { lab, TW_NELEM(lab) };

/* Groups that select cannot be written down: setup() fills in their selectors. */
static struct mesh_group selecting[] = {
    { .name = "ams", .line = 4, .column = 3 },
    { .name = "fra", .line = 5, .column = 3 },
    { .name = "ten", .cidr = (struct tw_prefix[]){ { .ip = { 10 }, .family = 4, .len = 8 } }, .n_cidr = 1 },
    { .name = "none", .line = 7, .column = 3 },
    { .name = "maybe", .allow_empty = true },
    { .name = "both" },
};
static const char *const selectors[] = { "site=ams", "site=fra", NULL,
                                         "site=lon", "site=lon", "site=ams,name!=a" };

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(selecting); i++)
        if (selectors[i] && selector_parse(selectors[i], &selecting[i].select, NULL))
            return -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(selecting); i++)
        selector_free(selecting[i].select);
    return 0;
}

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
    { "selected by label",
      { .members = NAMES(N("@ams"), N("c")),
        .groups = selecting,
        .n_groups = TW_NELEM(selecting),
        CLASS("k") },
      true,
      "k a b|k a c|k b a|k b c|k c a|k c b|",
      0,
      "" },
    { "none that drains",
      { .members = NAMES(N("@fra"), N("h1")),
        .groups = selecting,
        .n_groups = TW_NELEM(selecting),
        CLASS("k") },
      true,
      "k c h1|k h1 c|",
      0,
      "" },
    { "selected by address",
      { .members = NAMES(N("@ten"), N("h1")),
        .groups = selecting,
        .n_groups = TW_NELEM(selecting),
        CLASS("k") },
      true,
      "k a h1|k h1 a|",
      0,
      "" },
    { "selected ones excluded",
      { .members = NAMES(N("@ams"), N("s")),
        .groups = selecting,
        .n_groups = TW_NELEM(selecting),
        LINKS(exclude, n_exclude, { N("@ams"), N("@ams") }, { N("s"), N("@both") }),
        CLASS("k") },
      true,
      "k a s|k b s|k s a|",
      0,
      "" },
    { "empty group, strict",
      { .members = NAMES(N("@ams"), N("@none")),
        .groups = selecting,
        .n_groups = TW_NELEM(selecting),
        CLASS("k") },
      true,
      NULL,
      0,
      "x:7: groups.none: group \"@none\" is empty: expected an approved agent that it selects, or "
      "allow_empty: true" },
    { "empty group later",
      { .members = NAMES(N("@ams"), N("@none")),
        .groups = selecting,
        .n_groups = TW_NELEM(selecting),
        CLASS("k") },
      false,
      "k a b|k b a|",
      0,
      "" },
    { "a group that may be empty",
      { .members = NAMES(N("@ams"), N("@maybe")),
        .groups = selecting,
        .n_groups = TW_NELEM(selecting),
        CLASS("k") },
      true,
      "k a b|k b a|",
      0,
      "" },
    { "target with the name of a selected agent, strict",
      { .members = NAMES(N("@ams"), N("c")),
        .groups = selecting,
        .n_groups = TW_NELEM(selecting),
        .targets = (struct mesh_target[]){ { .name = "b" } },
        .n_targets = 1,
        CLASS("k") },
      true,
      NULL,
      0,
      "x:4: groups.ams: \"b\" is both an agent that it selects and a target" },
    { "target with the name of a selected agent later",
      { .members = NAMES(N("@ams"), N("c")),
        .groups = selecting,
        .n_groups = TW_NELEM(selecting),
        .targets = (struct mesh_target[]){ { .name = "b" } },
        .n_targets = 1,
        CLASS("k") },
      false,
      "k a c|k c a|",
      0,
      "" },
    { "hubs only outwards",
      { .topology = MESH_HUB_SPOKE,
        .one_way = true,
        .hubs = NAMES(N("h1")),
        .spokes = NAMES(N("s"), N("a")),
        CLASS("k") },
      true,
      "k h1 a|k h1 s|",
      0,
      "" },
    { "a hub that is selected as a spoke stays a hub",
      { .topology = MESH_HUB_SPOKE,
        .hubs = NAMES(N("a"), N("h1")),
        .spokes = NAMES(N("@ams")),
        .groups = selecting,
        .n_groups = TW_NELEM(selecting),
        CLASS("k") },
      true,
      "k a b|k b a|k b h1|k h1 b|",
      0,
      "" },
    { "disjoint, one name on both sides",
      { .topology = MESH_DISJOINT,
        .left = NAMES(N("b"), N("a")),
        .right = NAMES(N("c"), N("b")),
        CLASS("k") },
      true,
      "k a b|k a c|k b a|k b c|k c a|k c b|",
      0,
      "" },
    { "disjoint, left to right",
      { .topology = MESH_DISJOINT,
        .one_way = true,
        .left = NAMES(N("b"), N("a")),
        .right = NAMES(N("c"), N("b")),
        CLASS("k") },
      true,
      "k a b|k a c|k b c|",
      0,
      "" },
    { "targets on both sides",
      { .topology = MESH_DISJOINT,
        .left = NAMES(N("edge"), N("a")),
        .right = NAMES(N("edge"), N("b")),
        TARGETS,
        CLASS("k") },
      true,
      "k a b|k a edge|k b a|k b edge|",
      0,
      "" },
    { "ring",
      { .topology = MESH_RING, .members = NAMES(N("d"), N("a"), N("c"), N("b")), CLASS("k") },
      true,
      "k a b|k a d|k b a|k b c|k c b|k c d|k d a|k d c|",
      0,
      "" },
    { "ring to the next",
      { .topology = MESH_RING,
        .one_way = true,
        .members = NAMES(N("d"), N("a"), N("c"), N("b")),
        CLASS("k") },
      true,
      "k a b|k b c|k c d|k d a|",
      0,
      "" },
    { "ring of two",
      { .topology = MESH_RING, .one_way = true, .members = NAMES(N("b"), N("a")), CLASS("k") },
      true,
      "k a b|k b a|",
      0,
      "" },
    { "target in a ring",
      { .topology = MESH_RING, .members = NAMES(N("a"), N("edge"), N("s"), N("b")), TARGETS, CLASS("k") },
      true,
      "k a b|k a s|k b a|k b edge|k s a|k s edge|",
      0,
      "" },
    { "k-regular of all the others is full",
      { .topology = MESH_K_REGULAR, .degree = 2, .members = NAMES(N("b"), N("a"), N("c")), CLASS("k") },
      true,
      "k a b|k a c|k b a|k b c|k c a|k c b|",
      0,
      "" },
    { "k-regular of more than there are is full",
      { .topology = MESH_K_REGULAR, .degree = 9, .members = NAMES(N("b"), N("a")), CLASS("k") },
      true,
      "k a b|k b a|",
      0,
      "" },
    { "unknown with a slip, strict",
      { .members = NAMES(N("a"), { "h3", 3, 9 }), CLASS("k") },
      true,
      NULL,
      0,
      "\"h3\" is unknown: expected an approved agent, or a name under targets; did you mean \"h1\"?" },
    { "a group without its sign, strict",
      { .members = NAMES(N("a"), { "inner", 3, 9 }), .groups = nested, .n_groups = 2, CLASS("k") },
      true,
      NULL,
      0,
      "\"inner\" is unknown: did you mean the group \"@inner\"?" },
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
        size_t n = 0, unresolved = 0, counted;
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
        assert_int_equal(mesh_count_unresolved(&cases[i].m, &agents, &counted), TW_OK);
        assert_int_equal(counted, unresolved);
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
static struct tw_label random_label[AGENTS];
static struct tw_addr random_address[AGENTS];
static const char *const sites[] = { "s0", "s1", "s2", "s3" };
static struct selector *site_selector[4];

/* Agent k is at site k mod 4, has an address in 10.(k mod 3).0.0/16, and drains if it is a multiple of 11. */
static void random_setup(uint64_t seed)
{
    rng_state = seed;
    for (unsigned i = 0; i < AGENTS; i++) {
        sprintf(random_names[i], "n%02u", i);
        random_label[i] = (struct tw_label){ "site", sites[i % 4] };
        random_address[i] =
            (struct tw_addr){ .family = 4, .ip = { 10, (uint8_t)(i % 3), 0, (uint8_t)(i + 1) } };
        random_agent[i] = (struct mesh_agent){ .name = random_names[i],
                                               .labels = &random_label[i],
                                               .n_labels = 1,
                                               .addresses = &random_address[i],
                                               .n_addresses = 1,
                                               .draining = i % 11 == 0 };
    }
    for (unsigned i = 0; i < 4; i++) {
        char text[16];

        sprintf(text, "site=s%u", i);
        assert_int_equal(selector_parse(text, &site_selector[i], NULL), TW_OK);
    }
}

static void random_teardown(void)
{
    for (unsigned i = 0; i < 4; i++)
        selector_free(site_selector[i]);
}

struct random_mesh {
    struct mesh m;
    struct mesh_name member[5][12], in_group[GROUPS][6];
    struct mesh_group group[GROUPS];
    struct mesh_link pair[10], exclude[10];
    struct mesh_class class[2];
    struct tw_prefix prefix[GROUPS];
    int site[GROUPS], net[GROUPS]; /* that a group selects; -1: it does not by this */
    bool has[GROUPS][AGENTS];      /* the second opinion: who is in a group */
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

static bool is_selected(const struct random_mesh *r, unsigned g, unsigned agent)
{
    return (r->site[g] >= 0 || r->net[g] >= 0) && agent % 11 &&
           (r->site[g] < 0 || agent % 4 == (unsigned)r->site[g]) &&
           (r->net[g] < 0 || agent % 3 == (unsigned)r->net[g]);
}

static void random_selection(struct random_mesh *r, unsigned g)
{
    r->site[g] = (int)rnd(8) - 4; /* every second has none */
    r->net[g] = (int)rnd(6) - 3;
    r->group[g].allow_empty = true;
    if (r->site[g] >= 0)
        r->group[g].select = site_selector[r->site[g]];
    if (r->net[g] < 0)
        return;
    r->prefix[g] = (struct tw_prefix){ .family = 4, .len = 16, .ip = { 10, (uint8_t)r->net[g] } };
    r->group[g].cidr = &r->prefix[g];
    r->group[g].n_cidr = 1;
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
        random_selection(r, g);
        for (unsigned a = 0; a < AGENTS; a++)
            r->has[g][a] = any_covers(r, l, a) || is_selected(r, g, a);
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
    struct mesh_names *lists[] = { &r->m.members, &r->m.hubs, &r->m.spokes, &r->m.left, &r->m.right };

    *r = (struct random_mesh){ .class = { { .name = "k1" }, { .name = "k0" } } };
    random_groups(r);
    for (size_t i = 0; i < TW_NELEM(lists); i++) {
        *lists[i] = (struct mesh_names){ r->member[i], 1 + rnd(12) };
        for (size_t k = 0; k < lists[i]->n; k++)
            random_name(&lists[i]->v[k], 0);
    }
    r->m.topology = (enum mesh_topology)rnd(MESH_TOPOLOGIES);
    r->m.one_way = rnd(2);
    r->m.degree = 1 + rnd(AGENTS / 2);
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

/* The place of an agent among the members, by name; *ret_n = how many there are. */
static unsigned place_of(const struct random_mesh *r, unsigned agent, unsigned *ret_n)
{
    unsigned place = 0;

    *ret_n = 0;
    for (unsigned a = 0; a < AGENTS; a++) {
        place = a == agent ? *ret_n : place;
        *ret_n += any_covers(r, &r->m.members, a);
    }
    return place;
}

static bool in_ring(const struct random_mesh *r, unsigned s, unsigned t)
{
    unsigned n, here = place_of(r, s, &n), there = place_of(r, t, &n);

    return (here + 1) % n == there || (!r->m.one_way && (there + 1) % n == here);
}

static bool between(const struct random_mesh *r, const struct mesh_names *a, const struct mesh_names *b,
                    unsigned s, unsigned t)
{
    return (any_covers(r, a, s) && any_covers(r, b, t)) ||
           (!r->m.one_way && any_covers(r, b, s) && any_covers(r, a, t));
}

/* May there be such a pair? Of a full mesh that is one-way, and of a k-regular one, check_choice() says more.
 */
static bool expected(const struct random_mesh *r, unsigned s, unsigned t)
{
    const struct mesh *m = &r->m;

    if (s == t || linked(r, m->exclude, m->n_exclude, s, t))
        return false;
    switch (m->topology) {
    case MESH_FULL:
    case MESH_K_REGULAR:
        return any_covers(r, &m->members, s) && any_covers(r, &m->members, t);
    case MESH_RING:
        return any_covers(r, &m->members, s) && any_covers(r, &m->members, t) && in_ring(r, s, t);
    case MESH_DISJOINT:
        return between(r, &m->left, &m->right, s, t);
    case MESH_HUB_SPOKE: /* a hub is no spoke, whatever group it is in */
        return any_covers(r, &m->hubs, s) != any_covers(r, &m->hubs, t) &&
               between(r, &m->hubs, &m->spokes, s, t);
    default:
        return linked(r, m->pairs, m->n_pairs, s, t);
    }
}

static bool is_choice(const struct mesh *m)
{
    return m->topology == MESH_K_REGULAR || (m->topology == MESH_FULL && m->one_way);
}

/* One of both directions; or as many targets and sources as asked for. */
static void check_choice(const struct random_mesh *r, unsigned round, const struct mesh_pair *p, size_t n)
{
    static bool has[AGENTS][AGENTS];
    unsigned in[AGENTS] = { 0 }, out[AGENTS] = { 0 }, members = 0;
    bool excludes = r->m.n_exclude;

    memset(has, 0, sizeof has);
    for (size_t i = 0; i < n; i++) {
        if (p[i].class_index || (i && r->m.n_classes == 1 && p[i - 1].source > p[i].source))
            continue;
        if (!expected(r, p[i].source, (unsigned)p[i].target) || has[p[i].source][p[i].target])
            fail_msg("round %u: n%02u n%02u is not expected", round, p[i].source, (unsigned)p[i].target);
        has[p[i].source][p[i].target] = true;
        out[p[i].source]++;
        in[p[i].target]++;
    }
    for (unsigned s = 0; s < AGENTS; s++)
        members += any_covers(r, &r->m.members, s);
    for (unsigned s = 0; s < AGENTS; s++) {
        unsigned degree = r->m.degree < members ? r->m.degree : members - 1;

        for (unsigned t = 0; r->m.topology == MESH_FULL && t < s; t++)
            if (has[s][t] && has[t][s])
                fail_msg("round %u: n%02u n%02u both ways", round, s, t);
            else if (!has[s][t] && !has[t][s] && expected(r, s, t) && expected(r, t, s))
                fail_msg("round %u: n%02u n%02u not at all", round, s, t);
        if (r->m.topology != MESH_K_REGULAR || !any_covers(r, &r->m.members, s))
            continue;
        if (out[s] > degree || in[s] > degree || (!excludes && (out[s] < degree || in[s] < degree)))
            fail_msg("round %u: n%02u has %u targets and %u sources, degree %u", round, s, out[s], in[s],
                     degree);
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
    struct mesh_names *lists[] = { &r->m.members, &r->m.hubs, &r->m.spokes, &r->m.left, &r->m.right };

    for (size_t i = 0; i < TW_NELEM(lists); i++)
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

/* With another number of looks each time. Returned: how many pieces it was. */
static unsigned expand_in_pieces(const struct mesh *m, const struct mesh_agents *all, unsigned most,
                                 struct mesh_pair **ret, size_t *ret_n)
{
    struct mesh_expansion *x;
    enum tw_rc rc = TW_EAGAIN;
    unsigned pieces = 0;

    assert_int_equal(mesh_expansion_new(m, all, true, &x, NULL), TW_OK);
    while (rc == TW_EAGAIN) {
        size_t left = 1 + rnd(most), was = left;

        rc = mesh_expansion_go_on(x, &left);
        assert_true(left <= was);
        assert_true(rc == TW_OK || !left);
        pieces++;
    }
    assert_int_equal(rc, TW_OK);
    mesh_expansion_take(x, ret, ret_n, NULL);
    mesh_expansion_free(x);
    return pieces;
}

static void agrees_with_bitmap(void **state)
{
    static struct random_mesh r;

    (void)state;
    random_setup(7);
    for (unsigned round = 0; round < 3000; round++) {
        struct mesh_pair *p, *again;
        size_t n, n_again;
        struct tw_err e;

        random_mesh(&r);
        if (mesh_expand(&r.m, &random_agents, true, &p, &n, NULL, &e))
            fail_msg("round %u: %s", round, e.text);
        is_choice(&r.m) ? check_choice(&r, round, p, n) : check_random(&r, round, p, n);
        shuffle(&r);
        expand_in_pieces(&r.m, &random_agents, 1 + round % 60, &again, &n_again);
        assert_int_equal(n, n_again);
        assert_memory_equal(p, again, n * sizeof *p);
        free(p);
        free(again);
    }
    random_teardown();
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
    struct mesh_pair *p, *again;
    size_t n, n_again;
    unsigned pieces;
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
    pieces = expand_in_pieces(&m, &all, 1000, &again, &n_again); /* 500 on the average; four looks at each */
    assert_true(pieces > 4 * n / 1000 && pieces < 16 * n / 1000);
    assert_int_equal(n_again, n);
    assert_memory_equal(again, p, n * sizeof *p);
    free(again);
    free(p);
    if (s > 2)
        fail_msg("%.3f s of processor time", s);
}

/* A ring is a piece, and then comes the order. */
static void a_regular_one_in_pieces(void **state)
{
    static char sorted[MANY][MESH_NAME_MAX];
    static struct mesh_agent many[MANY];
    static struct mesh_name names[MANY];
    const struct mesh_agents all = { many, MANY };
    const unsigned degrees[] = { 40, MANY - 100 }; /* by whom it has, by whom it has not */
    struct mesh m = { .topology = MESH_K_REGULAR, .members = { names, MANY }, CLASS("k") };

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        sprintf(sorted[i], "agent-%03u", i);
        strcpy(names[i].name, sorted[i]);
        many[i].name = sorted[i];
    }
    for (size_t i = 0; i < TW_NELEM(degrees); i++) {
        struct mesh_pair *p, *once;
        size_t n, n_once;
        unsigned pieces;

        m.degree = degrees[i];
        pieces = expand_in_pieces(&m, &all, 2000, &p, &n);
        assert_true(pieces > n / 2000);
        assert_int_equal(n, MANY * degrees[i]);
        assert_int_equal(mesh_expand(&m, &all, true, &once, &n_once, NULL, NULL), TW_OK);
        assert_int_equal(n_once, n);
        assert_memory_equal(p, once, n * sizeof *p);
        free(p);
        free(once);
    }
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

/* ---- Joining ---- */

/* A selected group takes who comes, and nobody else's pairs change. */
static void joining_changes_only_its_own_pairs(void **state)
{
    static const enum mesh_topology topologies[] = { MESH_FULL, MESH_DISJOINT };
    struct mesh m = { .members = NAMES(N("@fra")),
                      .left = NAMES(N("@fra")),
                      .right = NAMES(N("@fra")),
                      .groups = selecting,
                      .n_groups = TW_NELEM(selecting),
                      .one_way = true,
                      CLASS("k") };
    static char names[AGENTS][8];
    static struct mesh_agent v[AGENTS];

    (void)state;
    for (unsigned i = 0; i < AGENTS; i++) {
        sprintf(names[i], "j%02u", i);
        v[i] = (struct mesh_agent){ .name = names[i], .labels = fra, .n_labels = 1 };
    }
    for (size_t k = 0; k < TW_NELEM(topologies); k++) {
        const struct mesh_agents all = { v, AGENTS }, fewer = { v, AGENTS - 1 };
        struct mesh_pair *before, *after;
        size_t n_before, n_after, b = 0;

        m.topology = topologies[k];
        assert_int_equal(mesh_expand(&m, &fewer, true, &before, &n_before, NULL, NULL), TW_OK);
        assert_int_equal(mesh_expand(&m, &all, true, &after, &n_after, NULL, NULL), TW_OK);
        for (size_t i = 0; i < n_after; i++) {
            if (after[i].source == AGENTS - 1 || after[i].target == AGENTS - 1)
                continue;
            assert_true(b < n_before);
            assert_memory_equal(&before[b], &after[i], sizeof *before);
            b++;
        }
        assert_int_equal(b, n_before);
        assert_int_equal(n_after - n_before, (AGENTS - 1) * (m.topology == MESH_FULL ? 1 : 2));
        free(before);
        free(after);
    }
}

static void degrees_below(void **state)
{
    struct mesh m = { .topology = MESH_K_REGULAR,
                      .degree = 2,
                      .members = NAMES(N("a"), N("b"), N("c"), N("d"), N("h1"), N("s")),
                      CLASS("k") };
    struct mesh_link all[] = {
        { N("a"), N("b") }, { N("a"), N("c") }, { N("a"), N("d") }, { N("a"), N("h1") }
    };
    struct mesh_pairs p = { .mesh = &m, .agents = &agents };
    size_t below = 9;

    (void)state;
    assert_int_equal(mesh_expand(&m, &agents, true, &p.v, &p.n, NULL, NULL), TW_OK);
    assert_int_equal(p.n, 12);
    assert_int_equal(mesh_below_degree(&p, &below), TW_OK);
    assert_int_equal(below, 0);
    free(p.v);
    m.exclude =
        all; /* one target is left for a: two members are short, a and one that is measured to once less */
    m.n_exclude = 4;
    assert_int_equal(mesh_expand(&m, &agents, true, &p.v, &p.n, NULL, NULL), TW_OK);
    assert_int_equal(p.n, 11);
    assert_int_equal(mesh_below_degree(&p, &below), TW_OK);
    assert_int_equal(below, 2);
    free(p.v);
    m.n_exclude = 3; /* others take their places */
    assert_int_equal(mesh_expand(&m, &agents, true, &p.v, &p.n, NULL, NULL), TW_OK);
    assert_int_equal(p.n, 12);
    free(p.v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expands),
        cmocka_unit_test(agrees_with_bitmap),
        cmocka_unit_test(joining_changes_only_its_own_pairs),
        cmocka_unit_test(degrees_below),
        cmocka_unit_test(many_agents),
        cmocka_unit_test(too_many_pairs),
        cmocka_unit_test(a_regular_one_in_pieces),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
