#include "common/doc.h"
#include "common/clk.h"
#include "common/name_index.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Errors and paths ---- */

const char *doc_quote(const char *text, char buf[DOC_QUOTE])
{
    size_t n = 0;

    for (; text[n] && n < DOC_QUOTE - 4; n++)
        buf[n] = (char)(text[n] < ' ' || text[n] > '~' ? '?' : text[n]);
    memcpy(buf + n, text[n] ? "..." : "", text[n] ? 4 : 1);
    return buf;
}

enum tw_rc doc_fail(struct doc *d, const yaml_node_t *at, const char *fmt, ...)
{
    char text[sizeof d->err->text];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    d->err->line = (unsigned)at->start_mark.line + 1;
    d->err->column = (unsigned)at->start_mark.column + 1;
    return tw_err_set(d->err, TW_EINVAL, "%s", text);
}

enum tw_rc doc_no_memory(struct doc *d)
{
    return tw_err_set(d->err, TW_ENOMEM, "out of memory");
}

size_t doc_push(struct doc *d, const char *fmt, ...)
{
    size_t before = d->path_len, cap = sizeof d->err->field;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(d->err->field + before, cap - before, fmt, ap);
    va_end(ap);
    d->path_len = strnlen(d->err->field, cap - 1);
    (void)n; /* a path that is too long is cut */
    return before;
}

void doc_pop(struct doc *d, size_t before)
{
    d->err->field[before] = '\0';
    d->path_len = before;
}

/* ---- Nodes ---- */

static const char *const kind_names[] = {
    [DOC_TEXT] = "a plain value",
    [DOC_LIST] = "a list such as [a, b]",
    [DOC_MAP] = "keys and values",
    [DOC_ANY] = "a value",
};

enum doc_kind doc_kind_of(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_SEQUENCE_NODE:
        return DOC_LIST;
    case YAML_MAPPING_NODE:
        return DOC_MAP;
    default:
        return DOC_TEXT;
    }
}

static bool is_nothing(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;

    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || !strcmp(text, "~") || !strcmp(text, "null"));
}

static enum tw_rc expect(struct doc *d, const yaml_node_t *node, enum doc_kind kind)
{
    if (++d->visited > DOC_NODES_MAX)
        return doc_fail(d, node, "aliases repeat too much: more than %d values", DOC_NODES_MAX);
    if (is_nothing(node))
        return doc_fail(d, node, "no value: expected %s", kind_names[kind]);
    if (kind != DOC_ANY && doc_kind_of(node) != kind)
        return doc_fail(d, node, "expected %s, got %s", kind_names[kind], kind_names[doc_kind_of(node)]);
    return TW_OK;
}

static const yaml_node_t *node_at(struct doc *d, int index)
{
    return yaml_document_get_node(&d->yaml, index);
}

const yaml_node_t *doc_root(struct doc *d)
{
    return yaml_document_get_root_node(&d->yaml);
}

size_t doc_count(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_SEQUENCE_NODE:
        return (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    case YAML_MAPPING_NODE:
        return (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    default:
        return 0;
    }
}

enum tw_rc doc_text(struct doc *d, const yaml_node_t *node, const char **ret)
{
    const char *text = (const char *)node->data.scalar.value;

    if (strlen(text) != node->data.scalar.length)
        return doc_fail(d, node, "a NUL character: expected text");
    *ret = text;
    return TW_OK;
}

/* ---- Maps ---- */

static enum tw_rc key_text(struct doc *d, const yaml_node_t *key, const char **ret)
{
    if (key->type != YAML_SCALAR_NODE)
        return doc_fail(d, key, "expected a name before the colon, got %s", kind_names[doc_kind_of(key)]);
    return doc_text(d, key, ret);
}

const yaml_node_t *doc_get(struct doc *d, const yaml_node_t *map, const char *key)
{
    if (map->type != YAML_MAPPING_NODE)
        return NULL;
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
        const yaml_node_t *k = node_at(d, p->key);

        if (k->type == YAML_SCALAR_NODE && !strcmp((const char *)k->data.scalar.value, key))
            return node_at(d, p->value);
    }
    return NULL;
}

static const char *nearest_key(const struct doc_key *keys, size_t n, const char *text)
{
    struct name_near near = { .wanted = text };

    for (size_t i = 0; i < n; i++)
        name_near_look(&near, keys[i].key);
    return name_near_get(&near);
}

static enum tw_rc unknown_key(struct doc *d, const yaml_node_t *at, const struct doc_key *keys, size_t n,
                              const char *text)
{
    const char *best = nearest_key(keys, n, text);
    char quote[DOC_QUOTE], all[160] = "";
    size_t len = 0;

    doc_quote(text, quote);
    if (best)
        return doc_fail(d, at, "unknown key \"%s\": did you mean \"%s\"?", quote, best);
    for (size_t i = 0; i < n && len < sizeof all; i++)
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", i ? ", " : "", keys[i].key);
    return doc_fail(d, at, "unknown key \"%s\": expected one of %s", quote, all);
}

static enum tw_rc map_pair(struct doc *d, const yaml_node_pair_t *pair, const struct doc_key *keys, size_t n,
                           uint64_t *seen, void *into)
{
    const yaml_node_t *key = node_at(d, pair->key), *value = node_at(d, pair->value);
    const char *text = "";
    size_t i, before;
    enum tw_rc rc = key_text(d, key, &text);

    if (rc)
        return rc;
    for (i = 0; i < n && strcmp(keys[i].key, text); i++)
        ;
    if (i == n)
        return unknown_key(d, key, keys, n, text);
    before = doc_push(d, "%s%s", d->path_len ? "." : "", text);
    if (*seen & UINT64_C(1) << i)
        return doc_fail(d, key, "key \"%s\" is given twice", text);
    *seen |= UINT64_C(1) << i;
    rc = expect(d, value, keys[i].kind);
    if (!rc)
        rc = keys[i].set(d, value, into);
    if (!rc)
        doc_pop(d, before);
    return rc;
}

enum tw_rc doc_map(struct doc *d, const yaml_node_t *map, const struct doc_key *keys, size_t n, void *into)
{
    uint64_t seen = 0;
    enum tw_rc rc;

    if (map->type != YAML_MAPPING_NODE)
        return doc_fail(d, map, "expected %s, got %s", kind_names[DOC_MAP], kind_names[doc_kind_of(map)]);
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
        rc = map_pair(d, p, keys, n, &seen, into);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < n; i++)
        if (keys[i].required && !(seen & UINT64_C(1) << i)) {
            doc_push(d, "%s%s", d->path_len ? "." : "", keys[i].key);
            return doc_fail(d, map, "key \"%s\" is missing", keys[i].key);
        }
    return TW_OK;
}

/* ---- Names that must differ ---- */

struct item {
    const char *text;
    const yaml_node_t *node;
    size_t place;
};

static int compare_item(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int order = strcmp(x->text, y->text);

    return order ? order : (x->place > y->place) - (x->place < y->place);
}

/* The first one, in document order, that has been there before. */
static const struct item *find_repeated(struct item *v, size_t n)
{
    const struct item *first = NULL;

    qsort(v, n, sizeof *v, compare_item);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(v[i - 1].text, v[i].text) && (!first || v[i].place < first->place))
            first = &v[i];
    return first;
}

static enum tw_rc check_distinct(struct doc *d, struct item *v, size_t n, const char *what)
{
    const struct item *again = n ? find_repeated(v, n) : NULL;
    char quote[DOC_QUOTE];

    return again ? doc_fail(d, again->node, "%s \"%s\" is given twice", what, doc_quote(again->text, quote))
                 : TW_OK;
}

static enum tw_rc check_keys(struct doc *d, const yaml_node_t *map)
{
    size_t n = doc_count(map);
    struct item *v = calloc(n + 1, sizeof *v);
    enum tw_rc rc = TW_OK;

    if (!v)
        return doc_no_memory(d);
    for (size_t i = 0; !rc && i < n; i++) {
        v[i].node = node_at(d, map->data.mapping.pairs.start[i].key);
        v[i].place = i;
        rc = key_text(d, v[i].node, &v[i].text);
    }
    if (!rc)
        rc = check_distinct(d, v, n, "key");
    free(v);
    return rc;
}

enum tw_rc doc_named(struct doc *d, const yaml_node_t *map, enum doc_kind kind,
                     enum tw_rc (*each)(struct doc *d, const yaml_node_t *key, const yaml_node_t *value,
                                        size_t i, void *into),
                     void *into)
{
    enum tw_rc rc = check_keys(d, map);
    size_t n = doc_count(map);

    for (size_t i = 0; !rc && i < n; i++) {
        const yaml_node_t *key = node_at(d, map->data.mapping.pairs.start[i].key);
        const yaml_node_t *value = node_at(d, map->data.mapping.pairs.start[i].value);
        char quote[DOC_QUOTE];
        size_t before = doc_push(d, ".%s", doc_quote((const char *)key->data.scalar.value, quote));

        rc = expect(d, value, kind);
        if (!rc)
            rc = each(d, key, value, i, into);
        if (!rc)
            doc_pop(d, before);
    }
    return rc;
}

/* ---- Lists ---- */

enum tw_rc doc_distinct(struct doc *d, const yaml_node_t *list)
{
    size_t n = doc_count(list);
    struct item *v = calloc(n + 1, sizeof *v);
    enum tw_rc rc = TW_OK;

    if (!v)
        return doc_no_memory(d);
    for (size_t i = 0; !rc && i < n; i++) {
        v[i].node = node_at(d, list->data.sequence.items.start[i]);
        v[i].place = i;
        rc = doc_text(d, v[i].node, &v[i].text);
    }
    if (!rc)
        rc = check_distinct(d, v, n, "entry");
    free(v);
    return rc;
}

enum tw_rc doc_list(struct doc *d, const yaml_node_t *list, enum doc_kind kind,
                    enum tw_rc (*each)(struct doc *d, const yaml_node_t *item, size_t i, void *into),
                    void *into)
{
    size_t n = doc_count(list);

    for (size_t i = 0; i < n; i++) {
        const yaml_node_t *item = node_at(d, list->data.sequence.items.start[i]);
        size_t before = doc_push(d, "[%zu]", i);
        enum tw_rc rc = expect(d, item, kind);

        if (!rc)
            rc = each(d, item, i, into);
        if (rc)
            return rc;
        doc_pop(d, before);
    }
    return TW_OK;
}

/* ---- Values ---- */

enum tw_rc doc_integer(struct doc *d, const yaml_node_t *node, int64_t min, int64_t max, const char *what,
                       int64_t *ret)
{
    const char *text = "";
    char quote[DOC_QUOTE];
    int64_t value = 0;
    size_t n;
    enum tw_rc rc = doc_text(d, node, &text);

    if (rc)
        return rc;
    n = strlen(text);
    if (n && n < 18 && strspn(text, "0123456789") == n) {
        value = strtoll(text, NULL, 10);
        if (value >= min && value <= max) {
            *ret = value;
            return TW_OK;
        }
    }
    return doc_fail(d, node, "expected %lld to %lld %s, got \"%s\"", (long long)min, (long long)max, what,
                    doc_quote(text, quote));
}

enum tw_rc doc_duration(struct doc *d, const yaml_node_t *node, int64_t min_ns, int64_t max_ns,
                        int64_t *ret_ns)
{
    char quote[DOC_QUOTE], lo[TW_TIME_TEXT], hi[TW_TIME_TEXT];
    const char *text = "";
    int64_t ns;
    enum tw_rc rc = doc_text(d, node, &text);

    if (rc)
        return rc;
    rc = tw_duration_parse(text, &ns);
    doc_quote(text, quote);
    if (rc == TW_EINVAL)
        return doc_fail(d, node, "expected a time with its unit, such as 20ms, 1.5s or 1m; got \"%s\"",
                        quote);
    if (rc || ns < min_ns || ns > max_ns)
        return doc_fail(d, node, "expected %s to %s, got \"%s\"", tw_duration_format(min_ns, lo),
                        tw_duration_format(max_ns, hi), quote);
    *ret_ns = ns;
    return TW_OK;
}

static const char *nearest_choice(const char *const *choices, size_t n, const char *text)
{
    struct name_near near = { .wanted = text };

    for (size_t i = 0; i < n; i++)
        name_near_look(&near, choices[i]);
    return *text ? name_near_get(&near) : NULL;
}

enum tw_rc doc_choice(struct doc *d, const yaml_node_t *node, const char *const *choices, size_t n, int *ret)
{
    char quote[DOC_QUOTE], all[96] = "";
    const char *text = "", *best;
    size_t len = 0;
    enum tw_rc rc = doc_text(d, node, &text);

    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(text, choices[i])) {
            *ret = (int)i;
            return TW_OK;
        }
    for (size_t i = 0; i < n && len < sizeof all; i++)
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", i ? ", " : "", choices[i]);
    best = nearest_choice(choices, n, text);
    return doc_fail(d, node, "expected one of %s; got \"%s\"%s%s%s", all, doc_quote(text, quote),
                    best ? ": did you mean \"" : "", best ? best : "", best ? "\"?" : "");
}

enum tw_rc doc_bool(struct doc *d, const yaml_node_t *node, bool *ret)
{
    static const char *const words[] = { "false", "true" };
    int word = 0;
    enum tw_rc rc = doc_choice(d, node, words, TW_NELEM(words), &word);

    if (!rc)
        *ret = word == 1;
    return rc;
}
