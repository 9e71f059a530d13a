/* The keys of a class; docs/mesh.md is their reference. */
#include "controller/mesh_doc_class.h"
#include "controller/mesh_doc_priv.h"
#include "common/name_index.h"
#include "controller/mesh_doc_times.h"
#include "common/dscp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_NS (INT64_C(86400) * TW_NS_PER_S)
#define HOUR_NS (3600 * TW_NS_PER_S)
#define SIZE_DEFAULT 100
#define CLASSES_MAX 64

/* The values that depend on each other are checked when all are there, where they stand in the document. */
struct class_doc {
    struct mesh_class c;
    const yaml_node_t *map, *auth, *key_id, *size, *tlvs, *reply_dscp; /* NULL: not given */
};

/* ---- How often, how long, how far ---- */

static enum tw_rc take_dscp(struct doc *d, const yaml_node_t *value, uint8_t *ret)
{
    char quote[DOC_QUOTE];
    const char *text = "";
    enum tw_rc rc = doc_text(d, value, &text);

    if (rc)
        return rc;
    if (dscp_parse(text, ret))
        return doc_fail(
            d, value,
            "expected EF, AF11..AF43, CS0..CS7, LE, VOICE-ADMIT, BE, 0..63 or 0x00..0x3f; got \"%s\"",
            doc_quote(text, quote));
    return TW_OK;
}

static enum tw_rc set_dscp(struct doc *d, const yaml_node_t *value, void *into)
{
    return take_dscp(d, value, &((struct class_doc *)into)->c.dscp);
}

static enum tw_rc set_spacing(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_duration(d, value, TW_NS_PER_MS, HOUR_NS, &((struct class_doc *)into)->c.spacing_ns);
}

static enum tw_rc set_spacing_kind(struct doc *d, const yaml_node_t *value, void *into)
{
    static const char *const kinds[] = { "fixed", "exponential" };
    int kind = 0;
    enum tw_rc rc = doc_choice(d, value, kinds, TW_NELEM(kinds), &kind);

    ((struct class_doc *)into)->c.exponential = kind == 1;
    return rc;
}

static enum tw_rc set_timeout(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_duration(d, value, 10 * TW_NS_PER_MS, HOUR_NS, &((struct class_doc *)into)->c.timeout_ns);
}

static enum tw_rc set_report_period(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh_class *c = &((struct class_doc *)into)->c;
    char text[TW_TIME_TEXT];
    enum tw_rc rc = doc_duration(d, value, TW_NS_PER_S, HOUR_NS, &c->report_period_ns);

    if (!rc && DAY_NS % c->report_period_ns)
        return doc_fail(d, value, "%s does not divide a day: expected such as 1s, 10s, 30s, 1m, 5m, 1h",
                        tw_duration_format(c->report_period_ns, text));
    return rc;
}

static enum tw_rc set_ttl(struct doc *d, const yaml_node_t *value, void *into)
{
    int64_t n = 0;
    enum tw_rc rc = doc_integer(d, value, 1, 255, "hops", &n);

    ((struct class_doc *)into)->c.ttl = (uint8_t)n;
    return rc;
}

static enum tw_rc set_flows(struct doc *d, const yaml_node_t *value, void *into)
{
    int64_t n = 0;
    enum tw_rc rc = doc_integer(d, value, 1, 32, "flows", &n);

    ((struct class_doc *)into)->c.flows = (uint32_t)n;
    return rc;
}

/* ---- The packets ---- */

static enum tw_rc set_protocol(struct doc *d, const yaml_node_t *value, void *into)
{
    const char *names[MESH_PROTOCOLS];
    int protocol = 0;
    enum tw_rc rc;

    for (int i = 0; i < MESH_PROTOCOLS; i++)
        names[i] = mesh_protocol_name((enum mesh_protocol)i);
    rc = doc_choice(d, value, names, TW_NELEM(names), &protocol);
    ((struct class_doc *)into)->c.protocol = (enum mesh_protocol)protocol;
    return rc;
}

static enum tw_rc set_auth(struct doc *d, const yaml_node_t *value, void *into)
{
    struct class_doc *cd = into;
    const char *names[MESH_AUTHS];
    int auth = 0;
    enum tw_rc rc;

    for (int i = 0; i < MESH_AUTHS; i++)
        names[i] = mesh_auth_name((enum mesh_auth)i);
    rc = doc_choice(d, value, names, TW_NELEM(names), &auth);
    cd->c.auth = (enum mesh_auth)auth;
    cd->auth = value;
    return rc;
}

static enum tw_rc set_key_id(struct doc *d, const yaml_node_t *value, void *into)
{
    struct class_doc *cd = into;
    char quote[DOC_QUOTE];
    const char *text = "";
    enum tw_rc rc = doc_text(d, value, &text);
    size_t len = strlen(text);

    if (rc)
        return rc;
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            len = 0;
    if (!len || len > MESH_KEY_MAX)
        return doc_fail(d, value,
                        "expected the name of a key, 1 to %d printable characters without spaces; got \"%s\"",
                        MESH_KEY_MAX, doc_quote(text, quote));
    memcpy(cd->c.key_id, text, len + 1);
    cd->key_id = value;
    return TW_OK;
}

static enum tw_rc set_size(struct doc *d, const yaml_node_t *value, void *into)
{
    struct class_doc *cd = into;
    const char *text = "";
    int64_t n = 0;
    enum tw_rc rc = doc_text(d, value, &text);

    if (rc)
        return rc;
    cd->size = value;
    cd->c.imix = !strcmp(text, "imix");
    cd->c.size_bytes = 0;
    if (cd->c.imix)
        return TW_OK;
    rc = doc_integer(d, value, 14, MESH_DATAGRAM_MAX, "octets of UDP payload, or imix", &n);
    cd->c.size_bytes = (uint16_t)n;
    return rc;
}

static enum tw_rc set_df(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_bool(d, value, &((struct class_doc *)into)->c.df);
}

static enum tw_rc set_padding(struct doc *d, const yaml_node_t *value, void *into)
{
    static const char *const kinds[] = { "random", "zero" };
    int kind = 0;
    enum tw_rc rc = doc_choice(d, value, kinds, TW_NELEM(kinds), &kind);

    ((struct class_doc *)into)->c.zero_padding = kind == 1;
    return rc;
}

static bool is_bind_address(const char *text)
{
    static const uint8_t zero[16];
    struct tw_addr a;

    return tw_addr_parse(text, 0, &a) == TW_OK && !a.port && !a.scope && memcmp(a.ip, zero, sizeof zero);
}

/* As Linux names interfaces: at most 15 octets, no slash, no colon, no space. A name of digits and dots is a
 * mistyped address. */
static bool is_interface(const char *text)
{
    size_t len = strlen(text);

    return len && len < 16 && strspn(text, "0123456789.") < len &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-") == len;
}

static enum tw_rc set_bind(struct doc *d, const yaml_node_t *value, void *into)
{
    struct class_doc *cd = into;
    char quote[DOC_QUOTE];
    const char *text = "";
    enum tw_rc rc = doc_text(d, value, &text);

    if (rc)
        return rc;
    if (strlen(text) >= sizeof cd->c.bind || (!is_bind_address(text) && !is_interface(text)))
        return doc_fail(d, value,
                        "expected a source address without a port, or the name of an interface such as eth0; "
                        "got \"%s\"",
                        doc_quote(text, quote));
    memcpy(cd->c.bind, text, strlen(text) + 1);
    return TW_OK;
}

static enum tw_rc each_tlv(struct doc *d, const yaml_node_t *item, size_t i, void *into)
{
    const char *names[MESH_TLVS - MESH_TLV_LOCATION];
    int tlv = 0;
    enum tw_rc rc;

    (void)i;
    for (size_t k = 0; k < TW_NELEM(names); k++)
        names[k] = mesh_tlv_name((enum mesh_tlv)(MESH_TLV_LOCATION + k));
    rc = doc_choice(d, item, names, TW_NELEM(names), &tlv);
    ((struct class_doc *)into)->c.tlvs |= MESH_TLV_BIT(MESH_TLV_LOCATION + tlv);
    return rc;
}

static enum tw_rc set_tlvs(struct doc *d, const yaml_node_t *value, void *into)
{
    enum tw_rc rc;

    ((struct class_doc *)into)->c.tlvs = 0; /* none of the inherited ones */
    rc = doc_list(d, value, DOC_TEXT, each_tlv, into);

    ((struct class_doc *)into)->tlvs = value;
    return rc ? rc : doc_distinct(d, value);
}

static enum tw_rc set_reply_dscp(struct doc *d, const yaml_node_t *value, void *into)
{
    ((struct class_doc *)into)->reply_dscp = value;
    return take_dscp(d, value, &((struct class_doc *)into)->c.reply_dscp);
}

/* mesh_doc_times() makes something of it. */
static enum tw_rc set_schedule(struct doc *d, const yaml_node_t *value, void *into)
{
    ((struct class_doc *)into)->c.schedule_node = value;
    return mesh_doc_schedule(d, value);
}

/* list_ancestors() follows it. */
static enum tw_rc set_extends(struct doc *d, const yaml_node_t *value, void *into)
{
    char name[MESH_NAME_MAX];

    (void)into;
    return mesh_doc_name(d, value, "class", MESH_NAME_MAX - 1, name);
}

static const struct doc_key class_keys[] = {
    { "dscp", DOC_TEXT, false, set_dscp },
    { "spacing", DOC_TEXT, false, set_spacing },
    { "spacing_kind", DOC_TEXT, false, set_spacing_kind },
    { "size", DOC_TEXT, false, set_size },
    { "timeout", DOC_TEXT, false, set_timeout },
    { "report_period", DOC_TEXT, false, set_report_period },
    { "ttl", DOC_TEXT, false, set_ttl },
    { "flows", DOC_TEXT, false, set_flows },
    { "protocol", DOC_TEXT, false, set_protocol },
    { "auth", DOC_TEXT, false, set_auth },
    { "key_id", DOC_TEXT, false, set_key_id },
    { "df", DOC_TEXT, false, set_df },
    { "padding", DOC_TEXT, false, set_padding },
    { "bind", DOC_TEXT, false, set_bind },
    { "tlvs", DOC_LIST, false, set_tlvs },
    { "reply_dscp", DOC_TEXT, false, set_reply_dscp },
    { "schedule", DOC_MAP, false, set_schedule },
    { "extends", DOC_TEXT, false, set_extends }, /* the last: the defaults have it not */
};
const struct mesh_doc_table mesh_doc_table_class = { "class", class_keys, TW_NELEM(class_keys) };

static const struct mesh_class class_defaults = {
    .ttl = 255,
    .spacing_ns = 100 * TW_NS_PER_MS,
    .timeout_ns = 2 * TW_NS_PER_S,
    .report_period_ns = 10 * TW_NS_PER_S,
    .flows = 1,
};

/* ---- What goes together ---- */

static enum tw_rc check_timeout(struct doc *d, const struct class_doc *cd)
{
    char timeout[TW_TIME_TEXT], period[TW_TIME_TEXT];

    if (cd->c.timeout_ns <= cd->c.report_period_ns)
        return TW_OK;
    doc_push(d, ".timeout");
    return doc_fail(d, cd->map, "timeout %s is longer than report_period %s: expected at most the period",
                    tw_duration_format(cd->c.timeout_ns, timeout),
                    tw_duration_format(cd->c.report_period_ns, period));
}

static enum tw_rc fail_auth(struct doc *d, const struct class_doc *cd)
{
    char list[64] = "";

    for (int i = 0; i < MESH_AUTHS; i++)
        if (mesh_auth_allowed(cd->c.protocol, (enum mesh_auth)i)) {
            strcat(list, *list ? ", " : "");
            strcat(list, mesh_auth_name((enum mesh_auth)i));
        }
    doc_push(d, ".auth");
    return doc_fail(d, cd->auth, "\"%s\" is not for protocol %s: expected %s", mesh_auth_name(cd->c.auth),
                    mesh_protocol_name(cd->c.protocol), list);
}

static enum tw_rc check_auth(struct doc *d, const struct class_doc *cd)
{
    bool hmac = cd->c.tlvs & MESH_TLV_BIT(MESH_TLV_HMAC);

    if (!mesh_auth_allowed(cd->c.protocol, cd->c.auth))
        return fail_auth(d, cd);
    if ((cd->c.auth || hmac) == !!cd->key_id)
        return TW_OK;
    doc_push(d, ".key_id");
    if (cd->key_id)
        return doc_fail(d, cd->key_id, "nothing is signed with auth none: leave it out, or give auth");
    return doc_fail(d, cd->c.auth ? cd->auth : cd->tlvs,
                    "missing: %s %s needs the name of an entry in the agents' files of secrets",
                    cd->c.auth ? "auth" : "TLV", cd->c.auth ? mesh_auth_name(cd->c.auth) : "hmac");
}

static enum tw_rc check_tlvs(struct doc *d, struct class_doc *cd)
{
    const yaml_node_t *given = cd->tlvs ? cd->tlvs : cd->reply_dscp;

    if (given && cd->c.protocol != MESH_STAMP) {
        doc_push(d, cd->tlvs ? ".tlvs" : ".reply_dscp");
        return doc_fail(d, given, "only protocol stamp has TLVs, this is %s",
                        mesh_protocol_name(cd->c.protocol));
    }
    if (cd->reply_dscp)
        cd->c.tlvs |= MESH_TLV_BIT(MESH_TLV_COS);
    else if (cd->c.tlvs & MESH_TLV_BIT(MESH_TLV_COS))
        cd->c.reply_dscp = cd->c.dscp;
    /* RFC 8972 section 4.8: in authenticated packets TLVs are signed, too. */
    if (cd->c.auth == MESH_AUTHENTICATED && cd->c.tlvs)
        cd->c.tlvs |= MESH_TLV_BIT(MESH_TLV_HMAC);
    return TW_OK;
}

static enum tw_rc check_size(struct doc *d, struct class_doc *cd)
{
    uint16_t min = mesh_class_min_bytes(&cd->c), n = cd->c.size_bytes;

    if (!cd->size)
        cd->c.size_bytes = min < SIZE_DEFAULT ? SIZE_DEFAULT : min;
    if (!cd->size || cd->c.imix)
        return TW_OK;
    if (n < min) {
        doc_push(d, ".size");
        return doc_fail(
            d, cd->size,
            "%u octets are too few for protocol %s with auth %s and these TLVs: expected at least %u", n,
            mesh_protocol_name(cd->c.protocol), mesh_auth_name(cd->c.auth), min);
    }
    if (cd->c.protocol != MESH_STAMP || n == min || n >= min + 4)
        return TW_OK;
    doc_push(d, ".size");
    return doc_fail(d, cd->size,
                    "%u octets leave %u for padding, which takes 4 at least: expected %u, or at least %u", n,
                    n - min, min, min + 4);
}

/* What a class inherited and its own protocol or auth has no use for is left aside; what it says itself is a
 * mistake. */
static void drop_useless(struct class_doc *cd, const struct class_doc *inherited)
{
    bool stamp = cd->c.protocol == MESH_STAMP;

    if (!stamp && cd->tlvs == inherited->tlvs) {
        cd->tlvs = NULL;
        cd->c.tlvs = 0;
    }
    if (!stamp && cd->reply_dscp == inherited->reply_dscp) {
        cd->reply_dscp = NULL;
        cd->c.reply_dscp = 0;
    }
    if (!cd->c.auth && !(cd->c.tlvs & MESH_TLV_BIT(MESH_TLV_HMAC)) && cd->key_id == inherited->key_id) {
        cd->key_id = NULL;
        cd->c.key_id[0] = '\0';
    }
}

static enum tw_rc check_class(struct doc *d, struct class_doc *cd)
{
    enum tw_rc rc = check_timeout(d, cd);

    if (!rc)
        rc = check_tlvs(d, cd);
    if (!rc)
        rc = check_auth(d, cd);
    return rc ? rc : check_size(d, cd);
}

/* ---- Inheritance ---- */

/* A class and what it extends, the nearest first. */
struct family {
    const yaml_node_t *map[CLASSES_MAX];
    const char *name[CLASSES_MAX];
    unsigned n;
};

static enum tw_rc fail_cycle(struct doc *d, const yaml_node_t *at, const struct family *f, const char *again)
{
    char text[200] = "classes extend each other: ", quote[DOC_QUOTE];
    size_t len = strlen(text);
    unsigned i = 0;

    while (strcmp(f->name[i], again) != 0)
        i++;
    for (; i < f->n && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s -> ", doc_quote(f->name[i], quote));
    doc_push(d, ".extends");
    return doc_fail(d, at, "%s%s", text, doc_quote(again, quote));
}

static enum tw_rc fail_unknown(struct doc *d, const yaml_node_t *classes, const yaml_node_t *at,
                               const char *name)
{
    char quote[DOC_QUOTE], like_quote[DOC_QUOTE];
    struct name_index x;
    const char *like;
    enum tw_rc rc;

    if (name_index_init(&x, doc_count(classes)))
        return doc_no_memory(d);
    for (const yaml_node_pair_t *p = classes->data.mapping.pairs.start; p < classes->data.mapping.pairs.top;
         p++) {
        const yaml_node_t *key = yaml_document_get_node(&d->yaml, p->key);
        name_index_add(&x, (const char *)key->data.scalar.value, 0);
    }
    like = name_index_nearest(&x, name);
    doc_push(d, ".extends");
    rc = like ? doc_fail(d, at, "class \"%s\" is unknown: did you mean \"%s\"?", doc_quote(name, quote),
                         doc_quote(like, like_quote))
              : doc_fail(d, at, "class \"%s\" is unknown: expected another name under classes",
                         doc_quote(name, quote));
    name_index_free(&x);
    return rc;
}

static enum tw_rc add_ancestor(struct doc *d, const yaml_node_t *classes, const yaml_node_t *at,
                               struct family *f)
{
    const char *name = (const char *)at->data.scalar.value;
    const yaml_node_t *map = doc_get(d, classes, name);

    for (unsigned i = 0; i < f->n; i++)
        if (!strcmp(f->name[i], name))
            return fail_cycle(d, at, f, name);
    if (!map)
        return fail_unknown(d, classes, at, name);
    f->name[f->n] = name; /* each class once, so there is room */
    f->map[f->n++] = map;
    return TW_OK;
}

/* doc_map() has been over f->map[0]; the others may be anything yet. */
static enum tw_rc list_ancestors(struct doc *d, const yaml_node_t *classes, struct family *f)
{
    const yaml_node_t *at;
    enum tw_rc rc = TW_OK;

    while (!rc && (at = doc_get(d, f->map[f->n - 1], "extends"))) {
        if (at->type != YAML_SCALAR_NODE)
            break; /* said when that class's turn comes */
        rc = add_ancestor(d, classes, at, f);
    }
    return rc;
}

/* The keys of a class or of the defaults on top of what *cd has. */
static enum tw_rc take_keys(struct doc *d, const yaml_node_t *map, bool is_class, struct class_doc *cd)
{
    return doc_map(d, map, class_keys, TW_NELEM(class_keys) - !is_class, cd);
}

enum tw_rc mesh_doc_defaults(struct doc *d, const yaml_node_t *map)
{
    struct class_doc cd = { .c = class_defaults };

    return take_keys(d, map, false, &cd);
}

/* What stands in another place of the document was, or will be, checked there, with its own path. */
static enum tw_rc take_inherited(struct doc *d, const char *path, const yaml_node_t *map, bool is_class,
                                 struct class_doc *cd)
{
    char here[sizeof d->err->field];
    size_t len = d->path_len;
    enum tw_rc rc;

    memcpy(here, d->err->field, sizeof here);
    doc_pop(d, 0);
    doc_push(d, "%s", path);
    rc = take_keys(d, map, is_class, cd);
    if (rc)
        return rc;
    memcpy(d->err->field, here, sizeof here);
    d->path_len = len;
    return TW_OK;
}

static enum tw_rc inherit(struct doc *d, const struct family *f, struct class_doc *cd)
{
    const yaml_node_t *defaults = doc_get(d, doc_root(d), "defaults");
    enum tw_rc rc = TW_OK;

    if (defaults && defaults->type == YAML_MAPPING_NODE)
        rc = take_inherited(d, "defaults", defaults, false, cd);
    for (unsigned i = f->n; !rc && i-- > 1;) {
        char path[DOC_QUOTE + 16], quote[DOC_QUOTE];

        snprintf(path, sizeof path, "classes.%s", doc_quote(f->name[i], quote));
        rc = take_inherited(d, path, f->map[i], true, cd);
    }
    return rc;
}

static enum tw_rc take_class(struct doc *d, const yaml_node_t *classes, const char *name,
                             const yaml_node_t *map, struct mesh_class *ret)
{
    struct class_doc cd = { .c = class_defaults }, inherited;
    struct family f = { .map = { map }, .name = { name }, .n = 1 };
    enum tw_rc rc = list_ancestors(d, classes, &f);

    if (!rc)
        rc = inherit(d, &f, &cd);
    inherited = cd;
    cd.map = map;
    if (!rc)
        rc = take_keys(d, map, true, &cd);
    if (rc)
        return rc;
    drop_useless(&cd, &inherited);
    rc = check_class(d, &cd);
    if (!rc)
        *ret = cd.c;
    return rc;
}

struct classes {
    struct mesh *m;
    const yaml_node_t *map;
};

static enum tw_rc each_class(struct doc *d, const yaml_node_t *key, const yaml_node_t *value, size_t i,
                             void *into)
{
    const struct classes *all = into;
    struct mesh_class *c = &all->m->classes[i];
    char name[MESH_NAME_MAX];
    enum tw_rc rc = mesh_doc_name(d, key, "class", MESH_NAME_MAX - 1, name);

    if (!rc)
        rc = take_class(d, all->map, name, value, c);
    if (!rc)
        memcpy(c->name, name, sizeof name);
    return rc;
}

enum tw_rc mesh_doc_classes(struct doc *d, const yaml_node_t *value, void *into)
{
    struct mesh *m = into;
    size_t n = doc_count(value);

    if (!n || n > CLASSES_MAX)
        return doc_fail(d, value, "expected 1 to %d classes, got %zu", CLASSES_MAX, n);
    m->classes = calloc(n, sizeof *m->classes);
    if (!m->classes)
        return doc_no_memory(d);
    m->n_classes = n;
    return doc_named(d, value, DOC_MAP, each_class, &(struct classes){ m, value });
}
