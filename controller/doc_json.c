#include "controller/doc_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/doc.h"

struct writer {
    yaml_document_t *doc;
    char *text;
    size_t len, cap;
    unsigned nodes, depth;
    enum tw_rc rc;
};

/* ---- Text ---- */

static void put_n(struct writer *w, const char *text, size_t n)
{
    if (w->rc == TW_OK && w->len + n > DOC_BYTES_MAX)
        w->rc = TW_EINVAL;
    if (w->rc != TW_OK)
        return;
    if (w->len + n + 1 > w->cap) {
        size_t cap = 2 * (w->len + n) + 256;
        char *more = realloc(w->text, cap);

        if (!more) {
            w->rc = TW_ENOMEM;
            return;
        }
        w->text = more;
        w->cap = cap;
    }
    memcpy(w->text + w->len, text, n);
    w->len += n;
    w->text[w->len] = '\0';
}

static void put(struct writer *w, const char *text)
{
    put_n(w, text, strlen(text));
}

static void new_line(struct writer *w)
{
    put(w, "\n");
    for (unsigned i = 0; i < w->depth; i++)
        put(w, "  ");
}

/* ---- Values ---- */

static size_t digits(const char *p)
{
    return strspn(p, "0123456789");
}

/* RFC 8259 section 6. */
static bool is_number(const char *p)
{
    size_t n;

    p += *p == '-';
    n = digits(p);
    if (!n || (n > 1 && *p == '0'))
        return false;
    p += n;
    if (*p == '.') {
        n = digits(p + 1);
        if (!n)
            return false;
        p += 1 + n;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '+' || *p == '-';
        n = digits(p);
        if (!n)
            return false;
        p += n;
    }
    return !*p;
}

static void put_string(struct writer *w, const char *text)
{
    put(w, "\"");
    for (; *text; text++) {
        char escape[8];

        if (*text == '"' || *text == '\\')
            snprintf(escape, sizeof escape, "\\%c", *text);
        else if ((unsigned char)*text < ' ')
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned char)*text);
        else
            snprintf(escape, sizeof escape, "%c", *text);
        put(w, escape);
    }
    put(w, "\"");
}

static void put_scalar(struct writer *w, const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;
    bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    if (plain && (is_number(text) || !strcmp(text, "true") || !strcmp(text, "false")))
        put(w, text);
    else
        put_string(w, text);
}

static void put_node(struct writer *w, int index);

static void put_list(struct writer *w, const yaml_node_t *node)
{
    put(w, "[");
    w->depth++;
    for (const yaml_node_item_t *i = node->data.sequence.items.start;
         w->rc == TW_OK && i < node->data.sequence.items.top; i++) {
        put(w, i == node->data.sequence.items.start ? "" : ",");
        new_line(w);
        put_node(w, *i);
    }
    w->depth--;
    if (node->data.sequence.items.top > node->data.sequence.items.start)
        new_line(w);
    put(w, "]");
}

static void put_key(struct writer *w, int index)
{
    const yaml_node_t *key = yaml_document_get_node(w->doc, index);

    if (key && key->type == YAML_SCALAR_NODE)
        put_string(w, (const char *)key->data.scalar.value);
    else
        w->rc = TW_EINVAL; /* no mesh has such keys */
}

static void put_map(struct writer *w, const yaml_node_t *node)
{
    put(w, "{");
    w->depth++;
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
         w->rc == TW_OK && p < node->data.mapping.pairs.top; p++) {
        put(w, p == node->data.mapping.pairs.start ? "" : ",");
        new_line(w);
        put_key(w, p->key);
        put(w, ": ");
        put_node(w, p->value);
    }
    w->depth--;
    if (node->data.mapping.pairs.top > node->data.mapping.pairs.start)
        new_line(w);
    put(w, "}");
}

/* An alias may lead to what it stands in: the bounds end that. */
static void put_node(struct writer *w, int index)
{
    const yaml_node_t *node = yaml_document_get_node(w->doc, index);

    if (!node || ++w->nodes > DOC_NODES_MAX || w->depth > DOC_DEPTH_MAX)
        w->rc = TW_EINVAL;
    if (w->rc != TW_OK)
        return;
    if (node->type == YAML_MAPPING_NODE)
        put_map(w, node);
    else if (node->type == YAML_SEQUENCE_NODE)
        put_list(w, node);
    else
        put_scalar(w, node);
}

enum tw_rc doc_to_json(const char *text, char **ret, struct tw_err *err)
{
    struct writer w = { .rc = TW_OK };
    struct doc d;
    enum tw_rc rc = doc_open(&d, NULL, text, strlen(text), err);

    if (rc != TW_OK)
        return rc;
    w.doc = &d.yaml;
    put_node(&w, 1); /* the root */
    put(&w, "\n");
    doc_close(&d);
    if (w.rc == TW_OK) {
        *ret = w.text;
        return TW_OK;
    }
    free(w.text);
    return tw_err_set(err, w.rc, w.rc == TW_ENOMEM ? "out of memory" : "the document is too large for JSON");
}

/* The next octet that is not white space between tokens. */
static const char *skip_space(const char *p, bool in_string)
{
    while (!in_string && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

static bool same_tokens(const char *a, const char *b)
{
    bool in_string = false, escaped = false;

    for (;; a++, b++) {
        a = skip_space(a, in_string);
        b = skip_space(b, in_string);
        if (*a != *b || !*a)
            return *a == *b;
        if (!escaped && *a == '"')
            in_string = !in_string;
        escaped = in_string && !escaped && *a == '\\';
    }
}

bool doc_is_json_of(const char *json, const char *text)
{
    struct tw_err err;
    char *made = NULL;
    bool same;

    if (*skip_space(json, false) != '{' || doc_to_json(text, &made, &err) != TW_OK)
        return false;
    same = same_tokens(json, made);
    free(made);
    return same;
}
