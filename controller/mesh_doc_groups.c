/* Groups and targets of mesh documents. */
#include "controller/mesh_doc_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/hostname.h"

#define TWAMP_PORT 862
#define PREFIXES_MAX 1024

/* ---- Groups ---- */

static enum tw_rc set_members(struct doc *d, const yaml_node_t *value, void *into)
{
    return mesh_doc_members(d, value, &((struct mesh_group *)into)->members);
}

/* The selector counts its characters from 1; where it stands on one line, that is a place in the document. */
static enum tw_rc fail_select(struct doc *d, const yaml_node_t *value, const struct tw_err *e)
{
    bool quoted = value->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    enum tw_rc rc;

    if (e->rc == TW_ENOMEM)
        return doc_no_memory(d);
    rc = doc_fail(d, value, "%s", e->text);
    if (e->column && value->start_mark.line == value->end_mark.line)
        d->err->column += e->column - 1 + quoted;
    return rc;
}

static enum tw_rc set_select(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh_group *g = into;
    struct tw_err e = { 0 };
    const char *text = "";
    enum tw_rc rc = doc_text(d, value, &text);

    if (rc)
        return rc;
    rc = selector_parse(text, &g->select, &e);
    return rc ? fail_select(d, value, &e) : TW_OK;
}

static enum tw_rc each_prefix(struct doc *d, const yaml_node_t *item, size_t i, void *into)
{
    struct mesh_group *g = into;
    char quote[DOC_QUOTE];
    const char *text = "";
    enum tw_rc rc = doc_text(d, item, &text);

    if (rc)
        return rc;
    if (tw_prefix_parse(text, &g->cidr[i]))
        return doc_fail(
            d, item,
            "expected a range of addresses such as 10.0.0.0/8 or \"2001:db8::/32\", with no bits set "
            "behind the prefix; got \"%s\"",
            doc_quote(text, quote));
    return TW_OK;
}

static enum tw_rc set_cidr(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh_group *g = into;
    size_t n = doc_count(value);

    if (!n || n > PREFIXES_MAX)
        return doc_fail(d, value, "expected 1 to %d ranges of addresses, got %zu", PREFIXES_MAX, n);
    g->cidr = calloc(n, sizeof *g->cidr);
    if (!g->cidr)
        return doc_no_memory(d);
    g->n_cidr = n;
    return doc_list(d, value, DOC_TEXT, each_prefix, g);
}

static enum tw_rc set_allow_empty(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_bool(d, value, &((struct mesh_group *)into)->allow_empty);
}

static const struct doc_key group_keys[] = {
    { "members", DOC_LIST, false, set_members },
    { "select", DOC_TEXT, false, set_select },
    { "cidr", DOC_LIST, false, set_cidr },
    { "allow_empty", DOC_TEXT, false, set_allow_empty },
};
const struct mesh_doc_table mesh_doc_table_group = { "group", group_keys, TW_NELEM(group_keys) };

static enum tw_rc take_group(struct doc *d, const yaml_node_t *map, struct mesh_group *g)
{
    enum tw_rc rc = doc_map(d, map, group_keys, TW_NELEM(group_keys), g);

    if (!rc && !g->members.n && !mesh_group_selects(g))
        return doc_fail(d, map, "a group without anybody: expected one of members, select, cidr");
    return rc;
}

static enum tw_rc each_group(struct doc *d, const yaml_node_t *key, const yaml_node_t *value, size_t i,
                             void *into)
{
    struct mesh_group *g = &((struct mesh *)into)->groups[i];
    enum tw_rc rc = mesh_doc_name(d, key, "group", MESH_NAME_MAX - 2, g->name); /* room for the @ */

    g->line = (unsigned)key->start_mark.line + 1;
    g->column = (unsigned)key->start_mark.column + 1;
    if (rc)
        return rc;
    switch (doc_kind_of(value)) {
    case DOC_LIST:
        return mesh_doc_members(d, value, &g->members);
    case DOC_MAP:
        return take_group(d, value, g);
    default:
        return doc_fail(d, value,
                        "expected a list such as [a, b], or keys and values such as {select: \"site=ams\"}");
    }
}

enum tw_rc mesh_doc_groups(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh *m = into;
    size_t n = doc_count(value);

    m->groups = calloc(n + 1, sizeof *m->groups);
    if (!m->groups)
        return doc_no_memory(d);
    m->n_groups = n;
    return doc_named(d, value, DOC_ANY, each_group, m);
}

/* ---- Targets ---- */

static bool is_probe_target(const struct tw_addr *a)
{
    static const uint8_t zero[16];
    bool multicast = a->family == 4 ? a->ip[0] >= 224 : a->ip[0] == 0xff;

    return a->port && !a->scope && !multicast && memcmp(a->ip, zero, sizeof zero);
}

/* name[:port] */
static bool take_host(const char *text, struct mesh_target *ret)
{
    uint16_t port;

    if (hostname_parse(text, TWAMP_PORT, ret->host, sizeof ret->host, &port) != TW_OK)
        return false;
    ret->addr = (struct tw_addr){ .port = port };
    return true;
}

static enum tw_rc set_address(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh_target *t = into;
    char quote[DOC_QUOTE];
    const char *text = "";
    enum tw_rc rc = doc_text(d, value, &text);

    if (rc)
        return rc;
    if (tw_addr_parse(text, TWAMP_PORT, &t->addr) == TW_OK ? is_probe_target(&t->addr) : take_host(text, t))
        return TW_OK;
    return doc_fail(d, value,
                    "expected a unicast address or a host name, such as 192.0.2.1, 192.0.2.1:862, "
                    "\"[2001:db8::1]:862\" or router.example.net:862; got \"%s\"",
                    doc_quote(text, quote));
}

static enum tw_rc set_family(struct doc *d, const yaml_node_t *value, void *into)
{
    static const char *const families[] = { "4", "6" };
    int family = 0;
    enum tw_rc rc = doc_choice(d, value, families, TW_NELEM(families), &family);

    ((struct mesh_target *)into)->family = family ? 6 : 4;
    return rc;
}

static const struct doc_key target_keys[] = {
    { "address", DOC_TEXT, true, set_address },
    { "family", DOC_TEXT, false, set_family },
};
const struct mesh_doc_table mesh_doc_table_target = { "target", target_keys, TW_NELEM(target_keys) };

static enum tw_rc take_target(struct doc *d, const yaml_node_t *map, struct mesh_target *t)
{
    enum tw_rc rc = doc_map(d, map, target_keys, TW_NELEM(target_keys), t);

    if (rc || t->host[0] || !t->family)
        return rc;
    doc_push(d, ".family");
    if (t->family != t->addr.family)
        return doc_fail(d, doc_get(d, map, "family"), "the address is of family %u: leave family out",
                        t->addr.family);
    t->family = 0;
    return TW_OK;
}

static enum tw_rc each_target(struct doc *d, const yaml_node_t *key, const yaml_node_t *value, size_t i,
                              void *into)
{
    struct mesh_target *t = &((struct mesh *)into)->targets[i];
    enum tw_rc rc = mesh_doc_name(d, key, "target", MESH_NAME_MAX - 1, t->name);

    if (rc)
        return rc;
    switch (doc_kind_of(value)) {
    case DOC_TEXT:
        return set_address(d, value, t);
    case DOC_MAP:
        return take_target(d, value, t);
    default:
        return doc_fail(
            d, value, "expected an address, or keys and values such as {address: r1.example.net, family: 6}");
    }
}

enum tw_rc mesh_doc_targets(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh *m = into;
    size_t n = doc_count(value);

    m->targets = calloc(n + 1, sizeof *m->targets);
    if (!m->targets)
        return doc_no_memory(d);
    m->n_targets = n;
    return doc_named(d, value, DOC_ANY, each_target, m);
}
