/* A mesh as data: what it must mean, beyond being well written. */
#include "controller/core/class_times.h"
#include "controller/core/mesh_flatten.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const topology_names[MESH_TOPOLOGIES] = {
    [MESH_FULL] = "full",         [MESH_HUB_SPOKE] = "hub-spoke", [MESH_LIST] = "list",
    [MESH_DISJOINT] = "disjoint", [MESH_RING] = "ring",           [MESH_K_REGULAR] = "k-regular",
};

const char *mesh_topology_name(enum mesh_topology t)
{
    return topology_names[t];
}

void mesh_free(struct mesh *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_groups; i++) {
        free(m->groups[i].members.v);
        selector_free(m->groups[i].select);
        free(m->groups[i].cidr);
    }
    free(m->description);
    free(m->members.v);
    free(m->hubs.v);
    free(m->spokes.v);
    free(m->left.v);
    free(m->right.v);
    free(m->pairs);
    free(m->exclude);
    free(m->groups);
    free(m->targets);
    for (size_t i = 0; i < m->n_classes; i++)
        class_times_unref(m->classes[i].times);
    free(m->classes);
    free(m);
}

/* ---- Groups: depth first, so that a cycle can be named ---- */

enum colour { WHITE, GREY, BLACK };
struct walk {
    const struct mesh *m;
    struct name_index groups;
    uint8_t *colour, *height; /* by group; height of a black one: groups below it */
    uint32_t path[MESH_GROUP_DEPTH];
    unsigned depth;
    struct tw_err *err;
};

static enum tw_rc fail_in_group(struct walk *w, const struct mesh_name *at, const char *text)
{
    const struct mesh_group *g = &w->m->groups[w->path[w->depth - 1]];
    char field[MESH_PATH];

    mesh_path(field, "groups.%s[%td]", g->name, at - g->members.v);
    return mesh_fail(w->err, at, field, "%s", text);
}

static enum tw_rc fail_cycle(struct walk *w, const struct mesh_name *at, uint32_t again)
{
    char text[200] = "groups contain each other: ";
    size_t len = strlen(text);
    unsigned i = 0;

    while (w->path[i] != again)
        i++;
    for (; i < w->depth && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "@%s -> ", w->m->groups[w->path[i]].name);
    if (len < sizeof text)
        snprintf(text + len, sizeof text - len, "@%s", w->m->groups[again].name);
    return fail_in_group(w, at, text);
}

static enum tw_rc visit(struct walk *w, uint32_t group);

static enum tw_rc visit_member(struct walk *w, uint32_t group, const struct mesh_name *at)
{
    uint32_t child;
    enum tw_rc rc = TW_OK;

    if (at->name[0] != '@' || !name_index_find(&w->groups, at->name + 1, &child))
        return TW_OK; /* flatten_names() tells of unknown ones */
    if (w->colour[child] == GREY)
        return fail_cycle(w, at, child);
    if (w->depth == MESH_GROUP_DEPTH || w->depth + w->height[child] >= MESH_GROUP_DEPTH)
        return fail_in_group(w, at, "groups are nested too deeply");
    if (w->colour[child] == WHITE)
        rc = visit(w, child);
    if (!rc && w->height[group] < w->height[child] + 1)
        w->height[group] = (uint8_t)(w->height[child] + 1);
    return rc;
}

/* Recursion is bounded by MESH_GROUP_DEPTH. */
static enum tw_rc visit(struct walk *w, uint32_t group)
{
    const struct mesh_names *members = &w->m->groups[group].members;

    w->colour[group] = GREY;
    w->path[w->depth++] = group;
    for (size_t i = 0; i < members->n; i++) {
        enum tw_rc rc = visit_member(w, group, &members->v[i]);
        if (rc)
            return rc;
    }
    w->depth--;
    w->colour[group] = BLACK;
    return TW_OK;
}

static enum tw_rc check_cycles(const struct mesh *m, struct tw_err *err)
{
    struct walk w = { .m = m, .err = err };
    enum tw_rc rc = TW_ENOMEM;

    w.colour = calloc(2 * m->n_groups + 1, 1);
    if (!w.colour || name_index_init(&w.groups, m->n_groups)) {
        free(w.colour);
        return tw_err_set(err, rc, "out of memory");
    }
    w.height = w.colour + m->n_groups;
    for (size_t i = 0; i < m->n_groups; i++)
        name_index_add(&w.groups, m->groups[i].name, (uint32_t)i);
    name_index_sort(&w.groups);
    rc = TW_OK;
    for (uint32_t i = 0; !rc && i < m->n_groups; i++)
        if (w.colour[i] == WHITE)
            rc = visit(&w, i);
    name_index_free(&w.groups);
    free(w.colour);
    return rc;
}

/* ---- Lists ---- */

static enum tw_rc check_groups(struct flatten *f)
{
    for (size_t i = 0; i < f->m->n_groups; i++) {
        const struct mesh_group *g = &f->m->groups[i];

        for (size_t k = 0; k < g->members.n; k++) {
            char field[MESH_PATH];
            enum tw_rc rc;

            mesh_path(field, "groups.%s[%zu]", g->name, k);
            rc = flatten_check_group(f, &g->members.v[k], field);
            if (rc)
                return rc;
        }
    }
    return TW_OK;
}

static enum tw_rc check_link(struct flatten *f, const struct mesh_link *l, const char *field)
{
    uint32_t i;
    enum tw_rc rc = flatten_check_group(f, &l->source, field);

    if (!rc)
        rc = flatten_check_group(f, &l->target, field);
    if (rc)
        return rc;
    if (!strcmp(l->source.name, l->target.name) && l->source.name[0] != '@')
        return mesh_fail(f->err, &l->source, field, "\"%s\" is paired with itself", l->source.name);
    if (name_index_find(&f->targets, l->source.name, &i))
        return mesh_fail(f->err, &l->source, field,
                         "\"%s\" is a target and cannot send: expected an agent first", l->source.name);
    return TW_OK;
}

static enum tw_rc check_links(struct flatten *f, const char *name, const struct mesh_link *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char field[MESH_PATH];
        enum tw_rc rc;

        mesh_path(field, "%s[%zu]", name, i);
        rc = check_link(f, &v[i], field);
        if (rc)
            return rc;
    }
    return TW_OK;
}

/* A single member is nearly always a group that was meant. */
static enum tw_rc fail_lone(struct flatten *f, const struct mesh_name *at)
{
    uint32_t id;

    if (name_index_find(&f->groups, at->name, &id))
        return mesh_fail(f->err, at, "members", "\"%s\" is one member: did you mean the group \"@%s\"?", at->name, at->name);
    if (!strcmp(at->name, "all") || !strcmp(at->name, "*"))
        return mesh_fail(f->err, at, "members", "\"%s\" is one member; all agents are members: [\"@all\"] with groups: { all: { select: \"*\" } }",
                         at->name);
    return mesh_fail(f->err, at, "members", "a %s mesh needs at least two members, this is 1", mesh_topology_name(f->m->topology));
}

/* What a group selects is known only when the agents are. */
static enum tw_rc check_members(struct flatten *f, struct id_set *s)
{
    enum tw_rc rc = flatten_names(f, &f->m->members, "members", s);

    if (rc || s->n >= 2 || f->open)
        return rc;
    if (f->m->members.n == 1)
        return fail_lone(f, f->m->members.v);
    return mesh_fail(f->err, &f->m->members.v[0], "members",
                     "a %s mesh needs at least two members, this is %zu", mesh_topology_name(f->m->topology),
                     s->n);
}

/* Where the name, or the group that brings it, stands in the list. */
static const struct mesh_name *place_of(struct flatten *f, const struct mesh_names *list, uint32_t id,
                                        struct id_set *s)
{
    for (size_t i = 0; i < list->n; i++) {
        if (flatten_names(f, &(struct mesh_names){ &list->v[i], 1 }, "", s))
            break;
        for (size_t k = 0; k < s->n; k++)
            if (s->v[k] == id)
                return &list->v[i];
    }
    return &list->v[0];
}

static enum tw_rc check_hub_spoke(struct flatten *f, struct id_set *hubs)
{
    struct id_set spokes = { 0 };
    size_t h = 0;
    enum tw_rc rc = flatten_names(f, &f->m->hubs, "hubs", hubs);

    if (!rc)
        rc = flatten_names(f, &f->m->spokes, "spokes", &spokes);
    for (size_t i = 0; !rc && i < spokes.n; i++) {
        uint32_t id = spokes.v[i];

        while (h < hubs->n && hubs->v[h] < id)
            h++;
        if (h < hubs->n && hubs->v[h] == id)
            rc = mesh_fail(f->err, place_of(f, &f->m->spokes, id, &spokes), "spokes",
                           "\"%s\" is both a hub and a spoke", f->nodes[id].name);
    }
    id_set_free(&spokes);
    return rc;
}

static enum tw_rc check_disjoint(struct flatten *f, struct id_set *s)
{
    enum tw_rc rc = flatten_names(f, &f->m->left, "left", s);

    return rc ? rc : flatten_names(f, &f->m->right, "right", s);
}

/* Whoever is measured to has to measure, too. */
static enum tw_rc check_k_regular(struct flatten *f, struct id_set *s)
{
    struct id_set room = { 0 };
    enum tw_rc rc = check_members(f, s);

    for (size_t i = 0; !rc && i < s->n; i++)
        if (f->nodes[s->v[i]].end < 0)
            rc = mesh_fail(f->err, place_of(f, &f->m->members, s->v[i], &room), "members",
                           "\"%s\" is a target and cannot send: a k-regular mesh has agents only",
                           f->nodes[s->v[i]].name);
    id_set_free(&room);
    return rc;
}

static enum tw_rc check_list(struct flatten *f, struct id_set *s)
{
    (void)s;
    return check_links(f, "pairs", f->m->pairs, f->m->n_pairs);
}

static enum tw_rc (*const check_topology[MESH_TOPOLOGIES])(struct flatten *f, struct id_set *s) = {
    [MESH_FULL] = check_members,      [MESH_HUB_SPOKE] = check_hub_spoke, [MESH_LIST] = check_list,
    [MESH_DISJOINT] = check_disjoint, [MESH_RING] = check_members,        [MESH_K_REGULAR] = check_k_regular,
};

enum tw_rc mesh_check(const struct mesh *m, struct tw_err *err)
{
    struct id_set s = { 0 };
    struct flatten f;
    enum tw_rc rc = check_cycles(m, err);

    if (rc)
        return rc;
    rc = flatten_init(&f, m, NULL, false, err);
    if (rc)
        return rc;
    rc = check_groups(&f);
    if (!rc)
        rc = check_topology[m->topology](&f, &s);
    if (!rc)
        rc = check_links(&f, "exclude", m->exclude, m->n_exclude);
    id_set_free(&s);
    flatten_free(&f);
    return rc;
}
