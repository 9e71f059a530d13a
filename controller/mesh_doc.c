/* The keys of a mesh document; docs/mesh.md is their reference. Declared in controller/core/mesh.h. */
#include "controller/mesh_doc_class.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TWAMP_PORT 862
#define DESCRIPTION_MAX 1024
#define CLASSES_MAX 64

/* ---- Names ---- */

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789-"

static enum tw_rc take_name(struct doc *d, const yaml_node_t *node, const char *what, size_t max,
                            char ret[MESH_NAME_MAX])
{
    char quote[DOC_QUOTE];
    const char *text = "";
    enum tw_rc rc = doc_text(d, node, &text);

    if (rc)
        return rc;
    if (!*text || strlen(text) > max || text[strspn(text, NAME_CHARS)])
        return doc_fail(d, node, "expected the name of a %s, 1 to %zu of a-z 0-9 -; got \"%s\"", what, max,
                        doc_quote(text, quote));
    memcpy(ret, text, strlen(text) + 1);
    return TW_OK;
}

/* An agent, a target or a @group. */
static enum tw_rc take_member(struct doc *d, const yaml_node_t *node, struct mesh_name *ret)
{
    char quote[DOC_QUOTE];
    const char *text = "", *name;
    enum tw_rc rc = doc_text(d, node, &text);

    if (rc)
        return rc;
    name = text + (*text == '@');
    if (!*name || strlen(text) >= MESH_NAME_MAX ||
        name[strspn(name, *text == '@' ? NAME_CHARS : NAME_CHARS ".")])
        return doc_fail(d, node, "expected an agent, 1 to 63 of a-z 0-9 . -, or a \"@group\"; got \"%s\"",
                        doc_quote(text, quote));
    memcpy(ret->name, text, strlen(text) + 1);
    ret->line = (unsigned)node->start_mark.line + 1;
    ret->column = (unsigned)node->start_mark.column + 1;
    return TW_OK;
}

static enum tw_rc each_member(struct doc *d, const yaml_node_t *item, size_t i, void *into)
{
    struct mesh_names *names = into;

    return take_member(d, item, &names->v[i]);
}

static enum tw_rc take_members(struct doc *d, const yaml_node_t *list, struct mesh_names *ret)
{
    size_t n = doc_count(list);
    enum tw_rc rc;

    if (!n)
        return doc_fail(d, list, "the list is empty: expected at least one member");
    ret->v = calloc(n, sizeof *ret->v);
    if (!ret->v)
        return doc_no_memory(d);
    ret->n = n;
    rc = doc_list(d, list, DOC_TEXT, each_member, ret);
    return rc ? rc : doc_distinct(d, list);
}

static enum tw_rc set_members(struct doc *d, const yaml_node_t *value, void *into)
{
    return take_members(d, value, &((struct mesh *)into)->members);
}

static enum tw_rc set_hubs(struct doc *d, const yaml_node_t *value, void *into)
{
    return take_members(d, value, &((struct mesh *)into)->hubs);
}

static enum tw_rc set_spokes(struct doc *d, const yaml_node_t *value, void *into)
{
    return take_members(d, value, &((struct mesh *)into)->spokes);
}

/* ---- Pairs ---- */

static enum tw_rc each_end(struct doc *d, const yaml_node_t *item, size_t i, void *into)
{
    struct mesh_link *link = into;

    return take_member(d, item, i ? &link->target : &link->source);
}

static enum tw_rc each_link(struct doc *d, const yaml_node_t *item, size_t i, void *into)
{
    struct mesh_link *links = into;

    if (doc_count(item) != 2)
        return doc_fail(d, item, "expected [source, target], got %zu names", doc_count(item));
    return doc_list(d, item, DOC_TEXT, each_end, &links[i]);
}

static int compare_link(const void *a, const void *b)
{
    const struct mesh_link *x = *(const struct mesh_link *const *)a, *y = *(const struct mesh_link *const *)b;
    int order = strcmp(x->source.name, y->source.name);

    if (!order)
        order = strcmp(x->target.name, y->target.name);
    return order ? order : (x > y) - (x < y);
}

static bool same_link(const struct mesh_link *a, const struct mesh_link *b)
{
    return !strcmp(a->source.name, b->source.name) && !strcmp(a->target.name, b->target.name);
}

/* The first link, in document order, that was there before; NULL if none. */
static const struct mesh_link *repeated_link(const struct mesh_link **v, const struct mesh_link *links,
                                             size_t n)
{
    const struct mesh_link *first = NULL;

    for (size_t i = 0; i < n; i++)
        v[i] = &links[i];
    qsort(v, n, sizeof *v, compare_link);
    for (size_t i = 1; i < n; i++)
        if (same_link(v[i - 1], v[i]) && (!first || v[i] < first))
            first = v[i];
    return first;
}

static enum tw_rc check_links(struct doc *d, const struct mesh_link *links, size_t n)
{
    const struct mesh_link **v = calloc(n, sizeof *v), *again;

    if (!v)
        return doc_no_memory(d);
    again = repeated_link(v, links, n);
    free(v);
    if (!again)
        return TW_OK;
    doc_push(d, "[%td]", again - links);
    d->err->line = again->source.line;
    d->err->column = again->source.column;
    return tw_err_set(d->err, TW_EINVAL, "the pair \"%s\", \"%s\" is given twice", again->source.name,
                      again->target.name);
}

static enum tw_rc take_links(struct doc *d, const yaml_node_t *list, struct mesh_link **ret, size_t *ret_n)
{
    size_t n = doc_count(list);
    enum tw_rc rc;

    if (!n)
        return doc_fail(d, list, "the list is empty: expected [[source, target], ...]");
    *ret = calloc(n, sizeof **ret);
    if (!*ret)
        return doc_no_memory(d);
    *ret_n = n;
    rc = doc_list(d, list, DOC_LIST, each_link, *ret);
    return rc ? rc : check_links(d, *ret, n);
}

static enum tw_rc set_pairs(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh *m = into;

    return take_links(d, value, &m->pairs, &m->n_pairs);
}

static enum tw_rc set_exclude(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh *m = into;

    return doc_count(value) ? take_links(d, value, &m->exclude, &m->n_exclude) : TW_OK;
}

/* ---- Groups and targets ---- */

static enum tw_rc each_group(struct doc *d, const yaml_node_t *key, const yaml_node_t *value, size_t i,
                             void *into)
{
    struct mesh_group *g = &((struct mesh *)into)->groups[i];
    enum tw_rc rc = take_name(d, key, "group", MESH_NAME_MAX - 2, g->name); /* room for the @ */

    g->line = (unsigned)key->start_mark.line + 1;
    g->column = (unsigned)key->start_mark.column + 1;
    return rc ? rc : take_members(d, value, &g->members);
}

static enum tw_rc set_groups(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh *m = into;
    size_t n = doc_count(value);

    m->groups = calloc(n + 1, sizeof *m->groups);
    if (!m->groups)
        return doc_no_memory(d);
    m->n_groups = n;
    return doc_named(d, value, DOC_LIST, each_group, m);
}

static bool is_probe_target(const struct tw_addr *a)
{
    static const uint8_t zero[16];
    bool multicast = a->family == 4 ? a->ip[0] >= 224 : a->ip[0] == 0xff;

    return a->port && !a->scope && !multicast && memcmp(a->ip, zero, sizeof zero);
}

static enum tw_rc each_target(struct doc *d, const yaml_node_t *key, const yaml_node_t *value, size_t i,
                              void *into)
{
    struct mesh_target *t = &((struct mesh *)into)->targets[i];
    char quote[DOC_QUOTE];
    const char *text = "";
    enum tw_rc rc = take_name(d, key, "target", MESH_NAME_MAX - 1, t->name);

    if (!rc)
        rc = doc_text(d, value, &text);
    if (rc)
        return rc;
    if (tw_addr_parse(text, TWAMP_PORT, &t->addr) || !is_probe_target(&t->addr))
        return doc_fail(d, value,
                        "expected a unicast address such as 192.0.2.1, 192.0.2.1:862 or "
                        "\"[2001:db8::1]:862\"; got \"%s\"",
                        doc_quote(text, quote));
    return TW_OK;
}

static enum tw_rc set_targets(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh *m = into;
    size_t n = doc_count(value);

    m->targets = calloc(n + 1, sizeof *m->targets);
    if (!m->targets)
        return doc_no_memory(d);
    m->n_targets = n;
    return doc_named(d, value, DOC_TEXT, each_target, m);
}

/* ---- Classes ---- */

static enum tw_rc each_class(struct doc *d, const yaml_node_t *key, const yaml_node_t *value, size_t i,
                             void *into)
{
    struct mesh_class *c = &((struct mesh *)into)->classes[i];
    char name[MESH_NAME_MAX];
    enum tw_rc rc = take_name(d, key, "class", MESH_NAME_MAX - 1, name);

    if (!rc)
        rc = mesh_doc_class(d, value, c);
    if (!rc)
        memcpy(c->name, name, sizeof name);
    return rc;
}

static enum tw_rc set_classes(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh *m = into;
    size_t n = doc_count(value);

    if (!n || n > CLASSES_MAX)
        return doc_fail(d, value, "expected 1 to %d classes, got %zu", CLASSES_MAX, n);
    m->classes = calloc(n, sizeof *m->classes);
    if (!m->classes)
        return doc_no_memory(d);
    m->n_classes = n;
    return doc_named(d, value, DOC_MAP, each_class, m);
}

/* ---- The document ---- */

static enum tw_rc set_mesh(struct doc *d, const yaml_node_t *value, void *into)
{
    return take_name(d, value, "mesh", MESH_NAME_MAX - 1, ((struct mesh *)into)->name);
}

static enum tw_rc set_description(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh *m = into;
    const char *text = "";
    enum tw_rc rc = doc_text(d, value, &text);

    if (rc)
        return rc;
    if (strlen(text) > DESCRIPTION_MAX)
        return doc_fail(d, value, "expected at most %d octets of text, got %zu", DESCRIPTION_MAX,
                        strlen(text));
    m->description = strdup(text);
    return m->description ? TW_OK : doc_no_memory(d);
}

static const char *const topologies[] = {
    [MESH_FULL] = "full", [MESH_HUB_SPOKE] = "hub-spoke", [MESH_LIST] = "list"
};

static enum tw_rc set_topology(struct doc *d, const yaml_node_t *value, void *into)
{
    int topology = 0;
    enum tw_rc rc = doc_choice(d, value, topologies, TW_NELEM(topologies), &topology);

    ((struct mesh *)into)->topology = (enum mesh_topology)topology;
    return rc;
}

static const struct doc_key mesh_keys[] = {
    { "mesh", DOC_TEXT, true, set_mesh },         { "description", DOC_TEXT, false, set_description },
    { "topology", DOC_TEXT, true, set_topology }, { "members", DOC_LIST, false, set_members },
    { "hubs", DOC_LIST, false, set_hubs },        { "spokes", DOC_LIST, false, set_spokes },
    { "pairs", DOC_LIST, false, set_pairs },      { "exclude", DOC_LIST, false, set_exclude },
    { "groups", DOC_MAP, false, set_groups },     { "targets", DOC_MAP, false, set_targets },
    { "classes", DOC_MAP, true, set_classes },
};

/* Each topology has its own lists, and a list of another topology is a mistake. */
static enum tw_rc check_lists(struct doc *d, const struct mesh *m)
{
    const struct {
        const char *key;
        enum mesh_topology of;
        const struct mesh_name *first; /* NULL: not given */
    } lists[] = {
        { "members", MESH_FULL, m->members.v },
        { "hubs", MESH_HUB_SPOKE, m->hubs.v },
        { "spokes", MESH_HUB_SPOKE, m->spokes.v },
        { "pairs", MESH_LIST, m->pairs ? &m->pairs->source : NULL },
    };

    for (size_t i = 0; i < TW_NELEM(lists); i++) {
        bool wanted = lists[i].of == m->topology;

        if (wanted == !!lists[i].first)
            continue;
        doc_push(d, "%s", lists[i].key);
        if (wanted)
            return doc_fail(d, doc_root(d), "topology %s needs \"%s\"", topologies[m->topology],
                            lists[i].key);
        d->err->line = lists[i].first->line;
        d->err->column = lists[i].first->column;
        return tw_err_set(d->err, TW_EINVAL, "\"%s\" belongs to topology %s, this is %s", lists[i].key,
                          topologies[lists[i].of], topologies[m->topology]);
    }
    return TW_OK;
}

enum tw_rc mesh_doc_parse(const char *file, const char *text, size_t len, struct mesh **ret,
                          struct tw_err *err)
{
    struct tw_err unwanted;
    struct mesh *m;
    struct doc d;
    enum tw_rc rc = doc_open(&d, file, text, len, err ? err : &unwanted);

    if (rc)
        return rc;
    m = calloc(1, sizeof *m);
    rc = m ? doc_map(&d, doc_root(&d), mesh_keys, TW_NELEM(mesh_keys), m) : doc_no_memory(&d);
    if (!rc)
        rc = check_lists(&d, m);
    if (!rc)
        rc = mesh_check(m, d.err);
    doc_close(&d);
    if (rc) {
        mesh_free(m);
        return rc;
    }
    *ret = m;
    return TW_OK;
}
