#include "controller/core/class_diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 128

const char *class_duration(int64_t ns, char buf[24])
{
    static const struct {
        const char *unit;
        int64_t ns;
    } units[] = {
        { "h", 3600 * TW_NS_PER_S }, { "m", 60 * TW_NS_PER_S }, { "s", TW_NS_PER_S },
        { "ms", TW_NS_PER_MS },      { "us", 1000 },            { "ns", 1 },
    };
    size_t i = 0;

    while (ns % units[i].ns || !ns)
        if (++i == TW_NELEM(units) - 1)
            break;
    snprintf(buf, 24, "%" PRId64 "%s", ns / units[i].ns, units[i].unit);
    return buf;
}

/* ---- Keys, and how each value is written ---- */

static void put_dscp(const struct mesh_class *c, char *buf)
{
    snprintf(buf, VALUE_MAX, "%u", c->dscp);
}

static void put_spacing(const struct mesh_class *c, char *buf)
{
    class_duration(c->spacing_ns, buf);
}

static void put_spacing_kind(const struct mesh_class *c, char *buf)
{
    strcpy(buf, c->exponential ? "exponential" : "fixed");
}

static void put_size(const struct mesh_class *c, char *buf)
{
    if (c->imix)
        strcpy(buf, "imix");
    else
        snprintf(buf, VALUE_MAX, "%u", c->size_bytes);
}

static void put_timeout(const struct mesh_class *c, char *buf)
{
    class_duration(c->timeout_ns, buf);
}

static void put_report_period(const struct mesh_class *c, char *buf)
{
    class_duration(c->report_period_ns, buf);
}

static void put_ttl(const struct mesh_class *c, char *buf)
{
    snprintf(buf, VALUE_MAX, "%u", c->ttl);
}

static void put_flows(const struct mesh_class *c, char *buf)
{
    snprintf(buf, VALUE_MAX, "%u", c->flows);
}

static void put_protocol(const struct mesh_class *c, char *buf)
{
    snprintf(buf, VALUE_MAX, "%s", mesh_protocol_name(c->protocol));
}

static void put_auth(const struct mesh_class *c, char *buf)
{
    snprintf(buf, VALUE_MAX, "%s", mesh_auth_name(c->auth));
}

static void put_key_id(const struct mesh_class *c, char *buf)
{
    snprintf(buf, VALUE_MAX, "%s", c->key_id[0] ? c->key_id : "none");
}

static void put_df(const struct mesh_class *c, char *buf)
{
    strcpy(buf, c->df ? "true" : "false");
}

static void put_padding(const struct mesh_class *c, char *buf)
{
    strcpy(buf, c->zero_padding ? "zero" : "random");
}

static void put_bind(const struct mesh_class *c, char *buf)
{
    snprintf(buf, VALUE_MAX, "%s", c->bind[0] ? c->bind : "none");
}

static void put_tlvs(const struct mesh_class *c, char *buf)
{
    size_t len = 0;

    strcpy(buf, "none");
    for (unsigned t = 0; t < MESH_TLVS; t++)
        if (c->tlvs & MESH_TLV_BIT(t))
            len += (size_t)snprintf(buf + len, VALUE_MAX - len, "%s%s", len ? "+" : "",
                                    mesh_tlv_name((enum mesh_tlv)t));
}

static void put_reply_dscp(const struct mesh_class *c, char *buf)
{
    snprintf(buf, VALUE_MAX, "%u", c->reply_dscp);
}

static const struct {
    const char *key;
    void (*put)(const struct mesh_class *c, char *buf);
} keys[] = {
    { "spacing", put_spacing },
    { "spacing_kind", put_spacing_kind },
    { "size", put_size },
    { "dscp", put_dscp },
    { "timeout", put_timeout },
    { "report_period", put_report_period },
    { "ttl", put_ttl },
    { "flows", put_flows },
    { "protocol", put_protocol },
    { "auth", put_auth },
    { "key_id", put_key_id },
    { "df", put_df },
    { "padding", put_padding },
    { "bind", put_bind },
    { "tlvs", put_tlvs },
    { "reply_dscp", put_reply_dscp },
};

const char *class_diff(const struct mesh_class *before, const struct mesh_class *after,
                       char buf[CLASS_DIFF_MAX])
{
    size_t len = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < TW_NELEM(keys); i++) {
        char a[VALUE_MAX], b[VALUE_MAX], text[2 * VALUE_MAX + 32];
        int n;

        keys[i].put(before, a);
        keys[i].put(after, b);
        if (!strcmp(a, b))
            continue;
        n = snprintf(text, sizeof text, "%s%s %s -> %s", len ? ", " : "", keys[i].key, a, b);
        if (len + (size_t)n + 6 > CLASS_DIFF_MAX) {
            strcpy(buf + len, len ? ", ..." : "...");
            return buf;
        }
        strcpy(buf + len, text);
        len += (size_t)n;
    }
    if (!len && !mesh_class_same(before, after)) /* a key that is not in the table: better vague than silent */
        strcpy(buf, "settings");
    return buf;
}
