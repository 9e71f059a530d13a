/* controller/mesh_doc_class.h - private to the reading of mesh documents: one class. */
#ifndef TW_CONTROLLER_MESH_DOC_CLASS_H
#define TW_CONTROLLER_MESH_DOC_CLASS_H

#include "controller/core/mesh.h"
#include "common/doc.h"

/* Fills all of *ret but its name, which stays empty, from the keys of `map` and the defaults. */
enum tw_rc mesh_doc_class(struct doc *d, const yaml_node_t *map, struct mesh_class *ret);

#endif
