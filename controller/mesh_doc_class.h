/* controller/mesh_doc_class.h - private to the reading of mesh documents: classes, and what they inherit. */
#ifndef TW_CONTROLLER_MESH_DOC_CLASS_H
#define TW_CONTROLLER_MESH_DOC_CLASS_H

#include "controller/core/mesh.h"
#include "common/doc.h"

/* The map of all classes, into a struct mesh. What a class does not say comes from the class that it extends, then from the document's
 * `defaults`, then from this program's. */
enum tw_rc mesh_doc_classes(struct doc *d, const yaml_node_t *value, void *into);
/* Checks the document's defaults for themselves. */
enum tw_rc mesh_doc_defaults(struct doc *d, const yaml_node_t *map);

#endif
