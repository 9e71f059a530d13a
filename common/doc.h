/* common/doc.h - walks a YAML (or JSON) document by tables of keys and says exactly where it is wrong.
 * Knows libyaml, knows nothing of meshes. Every error has file, line, column, the path of the field and what
 * was expected.
 *
 * Bounds on hostile input: size, depth of nesting, nodes in the file, and nodes visited, so that aliases of
 * aliases (which are allowed) cannot multiply. */
#ifndef TW_COMMON_DOC_H
#define TW_COMMON_DOC_H

#include <yaml.h>
#include "common/rc.h"

#include <stdbool.h>
#include <stdint.h>

#define DOC_BYTES_MAX ((size_t)1 << 20)
#define DOC_DEPTH_MAX 16
#define DOC_NODES_MAX 300000

struct doc {
    yaml_document_t yaml;
    struct tw_err *err; /* file, and the path in field, are kept up to date while walking */
    size_t path_len;
    unsigned visited;
};

enum doc_kind { DOC_TEXT, DOC_LIST, DOC_MAP, DOC_ANY }; /* DOC_ANY: set() looks itself, with doc_kind_of() */

/* One key of a map. set() gets the value, which is of that kind, and `into` as doc_map() got it. */
struct doc_key {
    const char *key;
    enum doc_kind kind;
    bool required;
    enum tw_rc (*set)(struct doc *d, const yaml_node_t *value, void *into);
};

/* text need not be terminated. err must not be NULL and stays in use until doc_close(). On an error nothing
 * stays open. */
enum tw_rc doc_open(struct doc *d, const char *file, const char *text, size_t len, struct tw_err *err);
void doc_close(struct doc *d);
/* Never NULL after doc_open(). */
const yaml_node_t *doc_root(struct doc *d);

/* Error at a node. */
enum tw_rc doc_fail(struct doc *d, const yaml_node_t *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum tw_rc doc_no_memory(struct doc *d);
/* Path of the field: push before going down, pop(what push returned) after success; after an error it stays.
 */
size_t doc_push(struct doc *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void doc_pop(struct doc *d, size_t before);

/* A map with these keys and no others, each once. */
enum tw_rc doc_map(struct doc *d, const yaml_node_t *map, const struct doc_key *keys, size_t n, void *into);
/* A map whose keys are names of the author's choice, each once; each() is called in document order with path
 * and index. */
enum tw_rc doc_named(struct doc *d, const yaml_node_t *map, enum doc_kind kind,
                     enum tw_rc (*each)(struct doc *d, const yaml_node_t *key, const yaml_node_t *value,
                                        size_t i, void *into),
                     void *into);
enum tw_rc doc_list(struct doc *d, const yaml_node_t *list, enum doc_kind kind,
                    enum tw_rc (*each)(struct doc *d, const yaml_node_t *item, size_t i, void *into),
                    void *into);
/* No text twice in a list of texts that doc_list() has been over. */
enum tw_rc doc_distinct(struct doc *d, const yaml_node_t *list);
enum doc_kind doc_kind_of(const yaml_node_t *node);
/* The value of a key, NULL if `map` is no map, or has none. */
const yaml_node_t *doc_get(struct doc *d, const yaml_node_t *map, const char *key);
/* Items of a list, pairs of a map. */
size_t doc_count(const yaml_node_t *node);

/* Values. Text is the document's and never holds a NUL. */
enum tw_rc doc_text(struct doc *d, const yaml_node_t *node, const char **ret);
/* What for: "octets". */
enum tw_rc doc_integer(struct doc *d, const yaml_node_t *node, int64_t min, int64_t max, const char *what,
                       int64_t *ret);
enum tw_rc doc_duration(struct doc *d, const yaml_node_t *node, int64_t min_ns, int64_t max_ns,
                        int64_t *ret_ns);
/* *ret = index into choices. */
enum tw_rc doc_choice(struct doc *d, const yaml_node_t *node, const char *const *choices, size_t n, int *ret);

/* "true" or "false". */
enum tw_rc doc_bool(struct doc *d, const yaml_node_t *node, bool *ret);

/* Somebody else's text, made printable and short, for a message. Returns buf. */
#define DOC_QUOTE 48
const char *doc_quote(const char *text, char buf[DOC_QUOTE]);

#endif
