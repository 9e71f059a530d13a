/* controller/mesh_doc_times.h - private to the reading of mesh documents: `schedule` and `maintenance`. */
#ifndef TW_CONTROLLER_MESH_DOC_TIMES_H
#define TW_CONTROLLER_MESH_DOC_TIMES_H

#include "common/doc.h"
#include "controller/core/mesh.h"

/* Checks the keys of a `schedule` where they stand; what they mean together is known when all classes are. */
enum tw_rc mesh_doc_schedule(struct doc *d, const yaml_node_t *map);
/* When mesh and classes have their nodes: makes the times of each class. */
enum tw_rc mesh_doc_times(struct doc *d, struct mesh *m);

#endif
