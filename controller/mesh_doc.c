/* The keys of a mesh document; docs/mesh.md is their reference. Declared in controller/core/mesh.h. */
#include "controller/mesh_doc_class.h"
#include "controller/mesh_doc_priv.h"
#include "controller/mesh_doc_times.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DESCRIPTION_MAX 1024

/* ---- Lists ---- */

static enum tw_rc set_members(struct doc *d, const yaml_node_t *value, void *into)
{
    return mesh_doc_members(d, value, &((struct mesh *)into)->members);
}

static enum tw_rc set_hubs(struct doc *d, const yaml_node_t *value, void *into)
{
    return mesh_doc_members(d, value, &((struct mesh *)into)->hubs);
}

static enum tw_rc set_spokes(struct doc *d, const yaml_node_t *value, void *into)
{
    return mesh_doc_members(d, value, &((struct mesh *)into)->spokes);
}

static enum tw_rc set_left(struct doc *d, const yaml_node_t *value, void *into)
{
    return mesh_doc_members(d, value, &((struct mesh *)into)->left);
}

static enum tw_rc set_right(struct doc *d, const yaml_node_t *value, void *into)
{
    return mesh_doc_members(d, value, &((struct mesh *)into)->right);
}

static enum tw_rc set_pairs(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh *m = into;

    return mesh_doc_links(d, value, &m->pairs, &m->n_pairs);
}

static enum tw_rc set_exclude(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh *m = into;

    return doc_count(value) ? mesh_doc_links(d, value, &m->exclude, &m->n_exclude) : TW_OK;
}

/* ---- The document ---- */

static enum tw_rc set_mesh(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh *m = into;
    enum tw_rc rc = mesh_doc_name(d, value, "mesh", MESH_NAME_MAX - 1, m->name);

    if (!rc && !strcmp(m->name, MESH_ON_DEMAND))
        return doc_fail(d, value, "\"%s\" is reserved for tests on demand: expected another name", m->name);
    return rc;
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

static enum tw_rc set_topology(struct doc *d, const yaml_node_t *value, void *into)
{
    const char *names[MESH_TOPOLOGIES];
    int topology = 0;
    enum tw_rc rc;

    for (int i = 0; i < MESH_TOPOLOGIES; i++)
        names[i] = mesh_topology_name((enum mesh_topology)i);
    rc = doc_choice(d, value, names, TW_NELEM(names), &topology);
    ((struct mesh *)into)->topology = (enum mesh_topology)topology;
    return rc;
}

static enum tw_rc set_degree(struct doc *d, const yaml_node_t *value, void *into)
{
    int64_t n = 0;
    enum tw_rc rc = doc_integer(d, value, 1, MESH_DEGREE_MAX, "targets of each member", &n);

    ((struct mesh *)into)->degree = (uint32_t)n;
    return rc;
}

static enum tw_rc set_one_way(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_bool(d, value, &((struct mesh *)into)->one_way);
}

/* mesh_doc_classes() has been or will be over it. */
static enum tw_rc set_defaults(struct doc *d, const yaml_node_t *value, void *into)
{
    (void)into;
    return mesh_doc_defaults(d, value);
}

/* Both are read when the classes are there. */
static enum tw_rc set_schedule(struct doc *d, const yaml_node_t *value, void *into)
{
    ((struct mesh *)into)->schedule_node = value;
    return mesh_doc_schedule(d, value);
}

static enum tw_rc set_maintenance(struct doc *d, const yaml_node_t *value, void *into)
{
    (void)d;
    ((struct mesh *)into)->maintenance_node = value;
    return TW_OK;
}

/* ---- How long results are kept ---- */

#define DAY_NS (86400 * TW_NS_PER_S)
#define KEEP_MAX_NS (36500 * DAY_NS)
/* clang-format off */
#define SET_KEEP(name, level)                                                                              \
    static enum tw_rc set_keep_##name(struct doc *d, const yaml_node_t *value, void *into)                 \
    {                                                                                                      \
        return doc_duration(d, value, DAY_NS, KEEP_MAX_NS, &((struct mesh *)into)->keep_ns[level]);        \
    }
SET_KEEP(raw, 0)
SET_KEEP(1min, 1)
SET_KEEP(10min, 2)
SET_KEEP(1h, 3)
SET_KEEP(1d, 4)
/* clang-format on */

static const struct doc_key retention_keys[] = {
    { "raw", DOC_TEXT, false, set_keep_raw },     { "1min", DOC_TEXT, false, set_keep_1min },
    { "10min", DOC_TEXT, false, set_keep_10min }, { "1h", DOC_TEXT, false, set_keep_1h },
    { "1d", DOC_TEXT, false, set_keep_1d },
};
const struct mesh_doc_table mesh_doc_table_retention = { "retention", retention_keys, TW_NELEM(retention_keys) };

static enum tw_rc set_retention(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_map(d, value, retention_keys, TW_NELEM(retention_keys), into);
}

static const struct doc_key mesh_keys[] = {
    { "mesh", DOC_TEXT, true, set_mesh },          { "description", DOC_TEXT, false, set_description },
    { "topology", DOC_TEXT, true, set_topology },  { "members", DOC_LIST, false, set_members },
    { "hubs", DOC_LIST, false, set_hubs },         { "spokes", DOC_LIST, false, set_spokes },
    { "left", DOC_LIST, false, set_left },         { "right", DOC_LIST, false, set_right },
    { "degree", DOC_TEXT, false, set_degree },     { "one_way", DOC_TEXT, false, set_one_way },
    { "pairs", DOC_LIST, false, set_pairs },       { "exclude", DOC_LIST, false, set_exclude },
    { "groups", DOC_MAP, false, mesh_doc_groups }, { "targets", DOC_MAP, false, mesh_doc_targets },
    { "defaults", DOC_MAP, false, set_defaults },  { "classes", DOC_MAP, true, mesh_doc_classes },
    { "schedule", DOC_MAP, false, set_schedule },  { "maintenance", DOC_LIST, false, set_maintenance },
    { "retention", DOC_MAP, false, set_retention },
};
const struct mesh_doc_table mesh_doc_table_document = { "document", mesh_keys, TW_NELEM(mesh_keys) };

/* ---- What belongs to which topology ---- */

#define OF(topology) (1u << (topology))
static const struct {
    const char *key;
    unsigned of; /* OF() of each topology that knows it */
    bool needed; /* by those */
} shapes[] = {
    { "members", OF(MESH_FULL) | OF(MESH_RING) | OF(MESH_K_REGULAR), true },
    { "hubs", OF(MESH_HUB_SPOKE), true },
    { "spokes", OF(MESH_HUB_SPOKE), true },
    { "left", OF(MESH_DISJOINT), true },
    { "right", OF(MESH_DISJOINT), true },
    { "degree", OF(MESH_K_REGULAR), true },
    { "pairs", OF(MESH_LIST), true },
    { "one_way", OF(MESH_FULL) | OF(MESH_HUB_SPOKE) | OF(MESH_DISJOINT) | OF(MESH_RING), false },
};

/* "full, ring or k-regular" */
static const char *list_topologies(unsigned of, char *buf, size_t cap)
{
    size_t len = 0;

    *buf = '\0';
    for (int i = 0; i < MESH_TOPOLOGIES; i++) {
        unsigned later = of >> i >> 1;

        if (of & OF(i) && len < cap)
            len += (size_t)snprintf(buf + len, cap - len, "%s%s", mesh_topology_name((enum mesh_topology)i),
                                    !later                ? ""
                                    : later & (later - 1) ? ", "
                                                          : " or ");
    }
    return buf;
}

/* Where to look: the first of a list, or the value. */
static const yaml_node_t *place_of(struct doc *d, const yaml_node_t *value)
{
    while (value->type == YAML_SEQUENCE_NODE && doc_count(value))
        value = yaml_document_get_node(&d->yaml, *value->data.sequence.items.start);
    return value;
}

static enum tw_rc check_shape(struct doc *d, const struct mesh *m)
{
    for (size_t i = 0; i < TW_NELEM(shapes); i++) {
        const yaml_node_t *value = doc_get(d, doc_root(d), shapes[i].key);
        bool known = shapes[i].of & OF(m->topology);
        char list[96];

        if (value ? known : !known || !shapes[i].needed)
            continue;
        doc_push(d, "%s", shapes[i].key);
        if (!value)
            return doc_fail(d, doc_root(d), "topology %s needs \"%s\"", mesh_topology_name(m->topology),
                            shapes[i].key);
        return doc_fail(d, place_of(d, value), "\"%s\" belongs to topology %s, this is %s", shapes[i].key,
                        list_topologies(shapes[i].of, list, sizeof list), mesh_topology_name(m->topology));
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
        rc = check_shape(&d, m);
    if (!rc)
        rc = mesh_doc_times(&d, m);
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
