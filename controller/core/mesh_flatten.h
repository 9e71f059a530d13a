/* controller/core/mesh_flatten.h - private to mesh.c and mesh_expand.c: lists of names and @groups to sets of
 * numbers. Pure.
 *
 * A number is the rank of a name among all names of the document, so order by number is order by name,
 * whatever the order in the document. Each group is walked once for each set, so neither cycles nor nesting
 * can make it explode. */
#ifndef TW_CONTROLLER_MESH_FLATTEN_H
#define TW_CONTROLLER_MESH_FLATTEN_H

#include "controller/core/mesh.h"
#include "controller/core/name_index.h"

enum node_state { NODE_UNSEEN, NODE_KNOWN, NODE_UNKNOWN };
struct mesh_node {
    const char *name;
    int32_t target; /* into mesh->targets; -1 = an agent, which alone can be a source */
    enum node_state state;
};

struct flatten {
    const struct mesh *m;
    bool (*agent_known)(void *ctx, const char *name); /* NULL: every name is known */
    void *ctx;
    bool strict;
    struct name_index groups, targets, names;
    struct mesh_node *nodes; /* by number */
    uint32_t *group_round;   /* by group: the last round in which it was walked */
    uint32_t *todo;          /* groups still to walk */
    uint32_t round;
    size_t n_todo, unresolved;
    struct tw_err *err;
};

struct id_set {
    uint32_t *v;
    size_t n, cap;
};

enum tw_rc flatten_init(struct flatten *f, const struct mesh *m, struct tw_err *err);
void flatten_free(struct flatten *f);
/* *ret = the known names behind the list, sorted, each once; the set is emptied first and its room used
 * again. `field` is the path of the list for errors. */
enum tw_rc flatten_names(struct flatten *f, const struct mesh_names *names, const char *field,
                         struct id_set *ret);
void id_set_free(struct id_set *s);
/* Whether a @group exists; any other name will do. */
enum tw_rc flatten_check_group(const struct flatten *f, const struct mesh_name *at, const char *field);

/* Error at a name: fills line, column and field. */
enum tw_rc mesh_fail(struct tw_err *err, const struct mesh_name *at, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Path of a field, cut to the room that an error has. Returns buf. */
#define MESH_PATH 96
const char *mesh_path(char buf[MESH_PATH], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
