/* controller/ondemand_class.c - see ondemand_class.h. A class is written as the keys of a document, single
 * keys are replaced, and the document's own reader reads it: so that the same rules hold, with the same
 * messages. */
#include "controller/ondemand_class.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/dscp.h"
#include "controller/mesh_doc_class.h"

#define VALUE_MAX 200
#define KEY_LEN 24
#define BASE "base"

struct pair_text {
    char key[KEY_LEN], value[VALUE_MAX + 1];
};
struct keys {
    struct pair_text v[2 * ONDEMAND_SETTINGS_MAX];
    size_t n;
};

static void put(struct keys *k, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void put(struct keys *k, const char *key, const char *fmt, ...)
{
    struct pair_text *p = &k->v[k->n];
    va_list ap;

    for (size_t i = 0; i < k->n; i++)
        if (!strcmp(k->v[i].key, key))
            p = &k->v[i];
    k->n += p == &k->v[k->n];
    snprintf(p->key, sizeof p->key, "%s", key);
    va_start(ap, fmt);
    vsnprintf(p->value, sizeof p->value, fmt, ap);
    va_end(ap);
}

/* ---- From a class to its keys: those that are not defaults ---- */

static void put_packets(struct keys *k, const struct mesh_class *c)
{
    char list[VALUE_MAX] = "";

    if (c->auth)
        put(k, "auth", "%s", mesh_auth_name(c->auth));
    if (c->key_id[0])
        put(k, "key_id", "%s", c->key_id);
    for (int t = MESH_TLV_LOCATION; t < MESH_TLVS; t++)
        if (c->tlvs & MESH_TLV_BIT(t)) {
            strcat(list, *list ? "," : "");
            strcat(list, mesh_tlv_name((enum mesh_tlv)t));
        }
    if (*list)
        put(k, "tlvs", "%s", list);
    if (c->tlvs & MESH_TLV_BIT(MESH_TLV_COS))
        put(k, "reply_dscp", "%u", c->reply_dscp);
    if (c->df)
        put(k, "df", "true");
    if (c->zero_padding)
        put(k, "padding", "zero");
    if (c->bind[0])
        put(k, "bind", "%s", c->bind);
}

static void put_class(struct keys *k, const struct mesh_class *c)
{
    char text[TW_TIME_TEXT];

    put(k, "protocol", "%s", mesh_protocol_name(c->protocol));
    put(k, "spacing", "%s", tw_duration_format(c->spacing_ns, text));
    if (c->exponential)
        put(k, "spacing_kind", "exponential");
    if (c->imix)
        put(k, "size", "imix");
    else
        put(k, "size", "%u", c->size_bytes);
    put(k, "dscp", "%u", c->dscp);
    if (c->ttl != 255)
        put(k, "ttl", "%u", c->ttl);
    if (c->flows != 1)
        put(k, "flows", "%u", c->flows);
    put(k, "timeout", "%s", tw_duration_format(c->timeout_ns, text));
    put(k, "report_period", "%s", tw_duration_format(c->report_period_ns, text));
    put_packets(k, c);
}

const char *ondemand_class_text(const struct mesh_class *c, char buf[ONDEMAND_SETTINGS_TEXT])
{
    struct keys k = { .n = 0 };
    size_t len = 0;

    put_class(&k, c);
    buf[0] = '\0';
    for (size_t i = 0; i < k.n && len < ONDEMAND_SETTINGS_TEXT; i++) {
        const char *value = k.v[i].value;
        uint8_t dscp;
        bool named = !strcmp(k.v[i].key, "dscp") && dscp_parse(value, &dscp) == TW_OK && dscp_name(dscp);
        if (!strcmp(k.v[i].key, "report_period") || !strcmp(k.v[i].key, "timeout"))
            continue;
        len += (size_t)snprintf(buf + len, ONDEMAND_SETTINGS_TEXT - len, "%s%s %s", len ? ", " : "",
                                k.v[i].key, named ? dscp_name(dscp) : value);
    }
    return buf;
}

/* ---- From keys to a class ---- */

/* As a JSON string. */
static void write_text(FILE *to, const char *text, size_t len)
{
    putc('"', to);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            putc('\\', to);
        putc((unsigned char)text[i] < ' ' ? '?' : text[i], to);
    }
    putc('"', to);
}

static void write_list(FILE *to, const char *text)
{
    const char *sep = "[";

    for (;;) {
        size_t len = strcspn(text, ", ");
        fputs(sep, to);
        write_text(to, text, len);
        sep = ",";
        text += len;
        if (!*text)
            break;
        text += strspn(text, ", ");
    }
    putc(']', to);
}

static void write_map(FILE *to, const char *name, const char *extends, const struct keys *k)
{
    write_text(to, name, strlen(name));
    fputs(":{", to);
    if (extends)
        fprintf(to, "\"extends\":\"%s\"%s", extends, k->n ? "," : "");
    for (size_t i = 0; i < k->n; i++) {
        if (i)
            putc(',', to);
        write_text(to, k->v[i].key, strlen(k->v[i].key));
        putc(':', to);
        if (!strcmp(k->v[i].key, "tlvs"))
            write_list(to, k->v[i].value);
        else
            write_text(to, k->v[i].value, strlen(k->v[i].value));
    }
    putc('}', to);
}

/* The classes of a document; the last one counts, and what does not go with it of the base falls away as
 * there. */
static void write_doc(FILE *to, const struct keys *base, const struct keys *over)
{
    putc('{', to);
    if (base->n) {
        write_map(to, BASE, NULL, base);
        putc(',', to);
    }
    write_map(to, ONDEMAND_AD_HOC, base->n ? BASE : NULL, over);
    putc('}', to);
}

/* Nobody has written that document: only the name of the key is of use. */
static void strip_place(struct tw_err *err)
{
    const char *dot = strrchr(err->field, '.');

    err->line = err->column = 0;
    err->file[0] = '\0';
    if (dot)
        memmove(err->field, dot + 1, strlen(dot));
}

static enum tw_rc read_doc(const char *text, size_t len, struct mesh_class *ret, struct tw_err *err)
{
    struct mesh m = { .n_classes = 0 };
    struct doc d;
    enum tw_rc rc = doc_open(&d, "", text, len, err);

    if (rc)
        return rc;
    rc = mesh_doc_classes(&d, doc_root(&d), &m);
    doc_close(&d);
    strip_place(err);
    if (!rc)
        *ret = m.classes[m.n_classes - 1];
    free(m.classes);
    return rc;
}

static enum tw_rc read_keys(const struct keys *base, const struct keys *over, struct mesh_class *ret,
                            struct tw_err *err)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    enum tw_rc rc;

    if (!to)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    write_doc(to, base, over);
    if (fclose(to) || !text)
        rc = tw_err_set(err, TW_ENOMEM, "out of memory");
    else
        rc = read_doc(text, len, ret, err);
    free(text);
    return rc;
}

enum tw_rc ondemand_class(const struct mesh_class *base, Tw__TestSetting *const *over, size_t n,
                          struct mesh_class *ret, struct tw_err *err)
{
    struct keys of_base = { .n = 0 }, of_over = { .n = 0 };

    if (n > ONDEMAND_SETTINGS_MAX)
        return tw_err_set(err, TW_EINVAL, "at most %d settings", ONDEMAND_SETTINGS_MAX);
    if (base && !n) {
        *ret = *base;
        return TW_OK;
    }
    if (base)
        put_class(&of_base, base);
    for (size_t i = 0; i < n; i++) {
        if (strlen(over[i]->key) >= KEY_LEN || strlen(over[i]->value) > VALUE_MAX)
            return tw_err_set(err, TW_EINVAL, "a setting has more than %d characters", VALUE_MAX);
        put(&of_over, over[i]->key, "%s", over[i]->value);
    }
    return read_keys(&of_base, &of_over, ret, err);
}
