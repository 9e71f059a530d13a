/* Names in mesh documents, and lists of them. */
#include "controller/mesh_doc_priv.h"

#include <stdlib.h>
#include <string.h>

/* ---- Names ---- */

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789-"

enum tw_rc mesh_doc_name(struct doc *d, const yaml_node_t *node, const char *what, size_t max,
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

enum tw_rc mesh_doc_members(struct doc *d, const yaml_node_t *list, struct mesh_names *ret)
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

enum tw_rc mesh_doc_links(struct doc *d, const yaml_node_t *list, struct mesh_link **ret, size_t *ret_n)
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
