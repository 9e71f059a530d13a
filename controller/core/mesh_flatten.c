#include "controller/core/mesh_flatten.h"
#include "common/grow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODE_ABSENT UINT32_MAX

enum tw_rc mesh_fail(struct tw_err *err, const struct mesh_name *at, const char *field, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list ap;

    if (!err)
        return TW_EINVAL;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err->line = at->line;
    err->column = at->column;
    mesh_path(err->field, "%s", field);
    return tw_err_set(err, TW_EINVAL, "%s", text);
}

const char *mesh_path(char buf[MESH_PATH], const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf, MESH_PATH, fmt, ap);
    va_end(ap);
    return buf;
}

static size_t count_all(const struct mesh *m)
{
    size_t n =
        m->members.n + m->hubs.n + m->spokes.n + m->left.n + m->right.n + 2 * (m->n_pairs + m->n_exclude);

    for (size_t i = 0; i < m->n_groups; i++)
        n += m->groups[i].members.n;
    return n;
}

static void gather(struct name_index *x, const struct mesh_name *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].name[0] != '@')
            name_index_add(x, v[i].name, 0);
}

static void gather_links(struct name_index *x, const struct mesh_link *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        gather(x, &v[i].source, 1);
        gather(x, &v[i].target, 1);
    }
}

static void gather_all(struct flatten *f)
{
    const struct mesh *m = f->m;

    gather(&f->names, m->members.v, m->members.n);
    gather(&f->names, m->hubs.v, m->hubs.n);
    gather(&f->names, m->spokes.v, m->spokes.n);
    gather(&f->names, m->left.v, m->left.n);
    gather(&f->names, m->right.v, m->right.n);
    gather_links(&f->names, m->pairs, m->n_pairs);
    gather_links(&f->names, m->exclude, m->n_exclude);
    for (size_t i = 0; i < m->n_groups; i++) {
        gather(&f->names, m->groups[i].members.v, m->groups[i].members.n);
        name_index_add(&f->groups, m->groups[i].name, (uint32_t)i);
    }
    for (size_t i = 0; i < m->n_targets; i++)
        name_index_add(&f->targets, m->targets[i].name, (uint32_t)i);
    name_index_rank(&f->names);
    name_index_sort(&f->groups);
    name_index_sort(&f->targets);
}

/* ---- Nodes ---- */

static enum tw_rc own_agents(struct flatten *f)
{
    struct mesh_agent *v = calloc(f->names.n + 1, sizeof *v);
    uint32_t target;

    if (!v)
        return TW_ENOMEM;
    f->own.v = v;
    for (size_t i = 0; i < f->names.n; i++)
        if (!name_index_find(&f->targets, f->names.v[i].name, &target))
            v[f->own.n++].name = f->names.v[i].name;
    f->agents = &f->own;
    return TW_OK;
}

/* Merges agents and targets, both sorted. */
static enum tw_rc number_nodes(struct flatten *f)
{
    size_t a = 0, t = 0;

    f->nodes = calloc(f->agents->n + f->targets.n + 1, sizeof *f->nodes);
    if (!f->nodes)
        return TW_ENOMEM;
    while (a < f->agents->n || t < f->targets.n) {
        struct mesh_node *node = &f->nodes[f->n_nodes++];
        int order = a == f->agents->n   ? 1
                    : t == f->targets.n ? -1
                                        : strcmp(f->agents->v[a].name, f->targets.v[t].name);

        node->name = order < 0 ? f->agents->v[a].name : f->targets.v[t].name;
        node->end = order < 0 ? (int32_t)a : ~(int32_t)f->targets.v[t].value;
        node->is_both = !order;
        a += order <= 0;
        t += order >= 0;
    }
    return TW_OK;
}

/* Both sorted. */
static enum tw_rc find_nodes(struct flatten *f)
{
    uint32_t node = 0;

    f->node_of = calloc(f->names.n + 1, sizeof *f->node_of);
    f->seen = calloc(f->names.n + 1, sizeof *f->seen);
    if (!f->node_of || !f->seen)
        return TW_ENOMEM;
    for (size_t i = 0; i < f->names.n; i++) {
        while (node < f->n_nodes && strcmp(f->nodes[node].name, f->names.v[i].name) < 0)
            node++;
        f->node_of[i] =
            node < f->n_nodes && !strcmp(f->nodes[node].name, f->names.v[i].name) ? node : NODE_ABSENT;
    }
    return TW_OK;
}

enum tw_rc flatten_init(struct flatten *f, const struct mesh *m, const struct mesh_agents *agents,
                        bool strict, struct tw_err *err)
{
    *f = (struct flatten){ .m = m, .agents = agents, .strict = strict, .err = err };
    if (name_index_init(&f->names, count_all(m)) || name_index_init(&f->groups, m->n_groups) ||
        name_index_init(&f->targets, m->n_targets))
        goto fail;
    gather_all(f);
    f->group_round = calloc(m->n_groups + 1, sizeof *f->group_round);
    f->todo = calloc(m->n_groups + 1, sizeof *f->todo);
    f->picked = calloc(m->n_groups + 1, sizeof *f->picked);
    f->is_picked = calloc(m->n_groups + 1, sizeof *f->is_picked);
    if (!f->group_round || !f->todo || !f->picked || !f->is_picked || (!agents && own_agents(f)) ||
        number_nodes(f) || find_nodes(f))
        goto fail;
    return TW_OK;

fail:
    flatten_free(f);
    return tw_err_set(err, TW_ENOMEM, "out of memory");
}

void flatten_free(struct flatten *f)
{
    name_index_free(&f->names);
    name_index_free(&f->groups);
    name_index_free(&f->targets);
    for (size_t i = 0; f->picked && i < f->m->n_groups; i++)
        id_set_free(&f->picked[i]);
    free(f->picked);
    free(f->is_picked);
    free((void *)f->own.v);
    free(f->nodes);
    free(f->node_of);
    free(f->seen);
    free(f->group_round);
    free(f->todo);
    *f = (struct flatten){ 0 };
}

void id_set_free(struct id_set *s)
{
    free(s->v);
    *s = (struct id_set){ 0 };
}

static enum tw_rc id_set_push(struct id_set *s, uint32_t id)
{
    if (!TW_GROW(&s->v, s->n, &s->cap, 16))
        return TW_ENOMEM;
    s->v[s->n++] = id;
    return TW_OK;
}

static int compare_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void id_set_sort(struct id_set *s)
{
    size_t out = 0;

    if (s->n > 1)
        qsort(s->v, s->n, sizeof *s->v, compare_id);
    for (size_t i = 0; i < s->n; i++)
        if (!out || s->v[out - 1] != s->v[i])
            s->v[out++] = s->v[i];
    s->n = out;
}

static enum tw_rc fail_unknown(struct flatten *f, const struct mesh_name *at, const char *field)
{
    struct name_near near = { .wanted = at->name };
    const char *like;
    uint32_t id;

    if (name_index_find(&f->groups, at->name, &id))
        return mesh_fail(f->err, at, field, "\"%s\" is unknown: did you mean the group \"@%s\"?", at->name, at->name);
    for (size_t i = 0; i < f->n_nodes; i++)
        name_near_look(&near, f->nodes[i].name);
    like = name_near_get(&near);
    if (!like)
        return mesh_fail(f->err, at, field,
                         "\"%s\" is unknown: expected an approved agent, or a name under targets", at->name);
    return mesh_fail(
        f->err, at, field,
        "\"%s\" is unknown: expected an approved agent, or a name under targets; did you mean \"%s\"?",
        at->name, like);
}

/* Judges each name once. */
static enum tw_rc check_name(struct flatten *f, uint32_t name, const struct mesh_name *at, const char *field)
{
    uint32_t node = f->node_of[name];

    if (f->seen[name])
        return TW_OK;
    f->seen[name] = true;
    if (f->strict && node != NODE_ABSENT && f->nodes[node].is_both)
        return mesh_fail(
            f->err, at, field,
            "\"%s\" is both an agent and a target of this document: give the target another name", at->name);
    if (node != NODE_ABSENT)
        return TW_OK;
    f->unresolved++;
    return f->strict ? fail_unknown(f, at, field) : TW_OK;
}

enum tw_rc flatten_check_group(const struct flatten *f, const struct mesh_name *at, const char *field)
{
    const char *like;
    uint32_t id;

    if (at->name[0] != '@' || name_index_find(&f->groups, at->name + 1, &id))
        return TW_OK;
    like = name_index_nearest(&f->groups, at->name + 1);
    if (like)
        return mesh_fail(f->err, at, field, "group \"%s\" is unknown: did you mean \"@%s\"?", at->name, like);
    return mesh_fail(f->err, at, field, "group \"%s\" is unknown: expected a name under groups", at->name);
}

static enum tw_rc take_one(struct flatten *f, const struct mesh_name *at, const char *field,
                           struct id_set *ret)
{
    uint32_t id;
    enum tw_rc rc;

    if (at->name[0] == '@') {
        if (!name_index_find(&f->groups, at->name + 1, &id))
            return flatten_check_group(f, at, field);
        if (f->group_round[id] != f->round)
            f->todo[f->n_todo++] = id;
        f->group_round[id] = f->round;
        return TW_OK;
    }
    if (!name_index_find(&f->names, at->name, &id))
        return mesh_fail(f->err, at, field, "\"%s\" is not in the document", at->name);
    rc = check_name(f, id, at, field);
    if (rc || f->node_of[id] == NODE_ABSENT)
        return rc;
    rc = id_set_push(ret, f->node_of[id]);
    return rc ? tw_err_set(f->err, rc, "out of memory") : TW_OK;
}

static enum tw_rc take_list(struct flatten *f, const struct mesh_names *names, const char *field,
                            struct id_set *ret)
{
    for (size_t i = 0; i < names->n; i++) {
        char path[MESH_PATH];
        enum tw_rc rc;

        mesh_path(path, "%s[%zu]", field, i);
        rc = take_one(f, &names->v[i], path, ret);
        if (rc)
            return rc;
    }
    return TW_OK;
}

/* ---- Groups that select ---- */

static bool is_meant(const struct mesh_group *g, const struct mesh_agent *a)
{
    if (a->draining || !selector_match(g->select, a->labels, a->n_labels, a->name))
        return false;
    for (size_t i = 0; i < a->n_addresses; i++)
        for (size_t k = 0; k < g->n_cidr; k++)
            if (tw_prefix_contains(&g->cidr[k], &a->addresses[i]))
                return true;
    return !g->n_cidr;
}

static enum tw_rc fail_both(struct flatten *f, const struct mesh_group *g, const char *name)
{
    const struct mesh_name at = { .line = g->line, .column = g->column };
    char field[MESH_PATH];

    return mesh_fail(f->err, &at, mesh_path(field, "groups.%s", g->name),
                     "\"%s\" is both an agent that it selects and a target: give the target another name",
                     name);
}

/* Once for each group: the agents stay. */
static enum tw_rc pick(struct flatten *f, uint32_t group)
{
    const struct mesh_group *g = &f->m->groups[group];

    f->is_picked[group] = true;
    for (uint32_t i = 0, a = 0; i < f->n_nodes; i++) {
        const struct mesh_node *node = &f->nodes[i];
        bool is_agent = node->end >= 0 || node->is_both;

        if (!is_agent || !is_meant(g, &f->agents->v[a++]))
            continue;
        if (f->strict && node->is_both)
            return fail_both(f, g, node->name);
        if (!node->is_both && id_set_push(&f->picked[group], i))
            return tw_err_set(f->err, TW_ENOMEM, "out of memory");
    }
    return TW_OK;
}

static enum tw_rc take_picked(struct flatten *f, uint32_t group, struct id_set *ret)
{
    enum tw_rc rc = TW_OK;

    if (!mesh_group_selects(&f->m->groups[group]))
        return TW_OK;
    if (f->agents == &f->own) {
        f->open = true;
        return TW_OK;
    }
    if (!f->is_picked[group])
        rc = pick(f, group);
    for (size_t i = 0; !rc && i < f->picked[group].n; i++)
        rc = id_set_push(ret, f->picked[group].v[i]);
    return rc == TW_ENOMEM ? tw_err_set(f->err, rc, "out of memory") : rc;
}

/* ---- Sets ---- */

enum tw_rc flatten_names(struct flatten *f, const struct mesh_names *names, const char *field,
                         struct id_set *ret)
{
    enum tw_rc rc;

    ret->n = 0;
    f->n_todo = 0;
    f->round++;
    f->open = false;
    rc = take_list(f, names, field, ret);
    for (size_t done = 0; !rc && done < f->n_todo; done++) {
        const struct mesh_group *g = &f->m->groups[f->todo[done]];
        char path[MESH_PATH];

        mesh_path(path, "groups.%s", g->name);
        rc = take_list(f, &g->members, path, ret);
        if (!rc)
            rc = take_picked(f, f->todo[done], ret);
    }
    id_set_sort(ret);
    return rc;
}

void id_set_subtract(struct id_set *s, const struct id_set *gone)
{
    size_t out = 0, g = 0;

    for (size_t i = 0; i < s->n; i++) {
        while (g < gone->n && gone->v[g] < s->v[i])
            g++;
        if (g == gone->n || gone->v[g] != s->v[i])
            s->v[out++] = s->v[i];
    }
    s->n = out;
}

static enum tw_rc check_empty(struct flatten *f, const struct mesh_group *g, struct id_set *room)
{
    struct mesh_name name = { .line = g->line, .column = g->column };
    char field[MESH_PATH];
    enum tw_rc rc;

    snprintf(name.name, sizeof name.name, "@%.62s", g->name);
    rc = flatten_names(f, &(struct mesh_names){ &name, 1 }, "groups", room);
    if (rc || room->n)
        return rc;
    return mesh_fail(f->err, &name, mesh_path(field, "groups.%s", g->name),
                     "group \"@%s\" is empty: expected an approved agent that it %s, or allow_empty: true",
                     g->name, mesh_group_selects(g) ? "selects" : "contains");
}

enum tw_rc flatten_check_empty(struct flatten *f, struct id_set *room)
{
    uint32_t rounds = f->round;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && i < f->m->n_groups; i++)
        if (f->group_round[i] && f->group_round[i] <= rounds && !f->m->groups[i].allow_empty)
            rc = check_empty(f, &f->m->groups[i], room);
    return rc;
}
