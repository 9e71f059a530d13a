/* The keys of a class; docs/mesh.md is their reference. */
#include "controller/mesh_doc_class.h"
#include "common/dscp.h"

#include <string.h>

#define DAY_NS (INT64_C(86400) * TW_NS_PER_S)
#define HOUR_NS (3600 * TW_NS_PER_S)
#define SIZE_DEFAULT 100

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
    if (cd->c.imix)
        return TW_OK;
    rc = doc_integer(d, value, 14, MESH_DATAGRAM_MAX, "octets of UDP payload, or imix", &n);
    cd->c.size_bytes = (uint16_t)n;
    return rc;
}

static enum tw_rc set_df(struct doc *d, const yaml_node_t *value, void *into)
{
    static const char *const words[] = { "false", "true" };
    int word = 0;
    enum tw_rc rc = doc_choice(d, value, words, TW_NELEM(words), &word);

    ((struct class_doc *)into)->c.df = word == 1;
    return rc;
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
    enum tw_rc rc = doc_list(d, value, DOC_TEXT, each_tlv, into);

    ((struct class_doc *)into)->tlvs = value;
    return rc ? rc : doc_distinct(d, value);
}

static enum tw_rc set_reply_dscp(struct doc *d, const yaml_node_t *value, void *into)
{
    ((struct class_doc *)into)->reply_dscp = value;
    return take_dscp(d, value, &((struct class_doc *)into)->c.reply_dscp);
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
};

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

enum tw_rc mesh_doc_class(struct doc *d, const yaml_node_t *map, struct mesh_class *ret)
{
    struct class_doc cd = { .c = class_defaults, .map = map };
    enum tw_rc rc = doc_map(d, map, class_keys, TW_NELEM(class_keys), &cd);

    if (!rc)
        rc = check_timeout(d, &cd);
    if (!rc)
        rc = check_tlvs(d, &cd);
    if (!rc)
        rc = check_auth(d, &cd);
    if (!rc)
        rc = check_size(d, &cd);
    if (!rc)
        *ret = cd.c;
    return rc;
}
