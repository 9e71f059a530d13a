/* controller/core/mesh_flatten.h - private to mesh.c and mesh_expand.c: lists of names and @groups to sets of
 * numbers. Pure.
 *
 * A node is whatever a name can mean, an agent or a target. Its number is its rank among the names of all of
 * them, so order by number is order by name, whatever the order in the document. Each group is walked once for
 * each set, so neither cycles nor nesting can make it explode. */
#ifndef TW_CONTROLLER_MESH_FLATTEN_H
#define TW_CONTROLLER_MESH_FLATTEN_H

#include "controller/core/mesh.h"
#include "common/name_index.h"

struct id_set {
    uint32_t *v;
    size_t n, cap;
};

struct mesh_node {
    const char *name;
    int32_t end;   /* as mesh_pair.target; an agent alone can be a source */
    bool is_both;  /* an agent has this target's name */
};

struct flatten {
    const struct mesh *m;
    const struct mesh_agents *agents;
    struct mesh_agents own; /* without agents: every name of the document that is no target */
    bool strict;
    struct name_index groups, targets, names; /* names: of the document, by rank */
    struct mesh_node *nodes;
    size_t n_nodes;
    uint32_t *node_of;     /* by rank of name; UINT32_MAX: neither agent nor target */
    bool *seen;            /* by rank of name: has been resolved */
    uint32_t *group_round; /* by group: the last round in which it was walked */
    uint32_t *todo;        /* groups still to walk */
    struct id_set *picked; /* by group: what it selects, once pick() was there */
    bool *is_picked;
    uint32_t round;
    bool open; /* the last list had a group that selects, of agents that are not known: there may be more of them */
    size_t n_todo, unresolved;
    struct tw_err *err;
};

/* agents NULL: for what the document alone can tell; every name in it that is no target is an agent then. */
enum tw_rc flatten_init(struct flatten *f, const struct mesh *m, const struct mesh_agents *agents, bool strict,
                        struct tw_err *err);
void flatten_free(struct flatten *f);
/* *ret = the known names behind the list, sorted, each once; the set is emptied first and its room used
 * again. `field` is the path of the list for errors. */
enum tw_rc flatten_names(struct flatten *f, const struct mesh_names *names, const char *field,
                         struct id_set *ret);
void id_set_free(struct id_set *s);
/* Takes out of s what is in gone; both as flatten_names() made them. */
void id_set_subtract(struct id_set *s, const struct id_set *gone);
/* TW_EINVAL with *err if one of the groups that were in use is empty although it may not. */
enum tw_rc flatten_check_empty(struct flatten *f, struct id_set *room);
/* Whether a @group exists; any other name will do. */
enum tw_rc flatten_check_group(const struct flatten *f, const struct mesh_name *at, const char *field);

/* Error at a name: fills line, column and field. */
enum tw_rc mesh_fail(struct tw_err *err, const struct mesh_name *at, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Path of a field, cut to the room that an error has. Returns buf. */
#define MESH_PATH 96
const char *mesh_path(char buf[MESH_PATH], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
