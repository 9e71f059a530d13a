/* controller/mesh_doc_priv.h - private to the reading of mesh documents: names and lists of them (mesh_doc_names.c), groups and targets
 * (mesh_doc_groups.c). The set functions are rows of tables of keys; `into` is the struct mesh. */
#ifndef TW_CONTROLLER_MESH_DOC_PRIV_H
#define TW_CONTROLLER_MESH_DOC_PRIV_H

#include "controller/core/mesh.h"
#include "common/doc.h"

/* what: "class", for the message; at most max characters. */
enum tw_rc mesh_doc_name(struct doc *d, const yaml_node_t *node, const char *what, size_t max, char ret[MESH_NAME_MAX]);
/* Agents, targets and @groups, at least one, none twice. */
enum tw_rc mesh_doc_members(struct doc *d, const yaml_node_t *list, struct mesh_names *ret);
/* [[source, target], ...], none twice. */
enum tw_rc mesh_doc_links(struct doc *d, const yaml_node_t *list, struct mesh_link **ret, size_t *ret_n);

enum tw_rc mesh_doc_groups(struct doc *d, const yaml_node_t *value, void *into);
enum tw_rc mesh_doc_targets(struct doc *d, const yaml_node_t *value, void *into);

/* The keys that documents may have, for the test that compares docs/schema with them. */
struct mesh_doc_table {
    const char *name; /* "document", "class", "group", "target", "schedule", "window", "maintenance", "retention" */
    const struct doc_key *keys;
    size_t n;
};
extern const struct mesh_doc_table mesh_doc_table_document, mesh_doc_table_class, mesh_doc_table_group, mesh_doc_table_target,
    mesh_doc_table_schedule, mesh_doc_table_window, mesh_doc_table_maintenance, mesh_doc_table_retention;

#endif
