/* controller/core/mesh_links.h - private to mesh_expand.c: who measures to whom, as numbers, and how they are
 * brought into order a piece at a time. Pure.
 *
 * *left is how many links may be looked at; what is done is taken off it. TW_EAGAIN: it was not enough. */
#ifndef TW_CONTROLLER_MESH_LINKS_H
#define TW_CONTROLLER_MESH_LINKS_H

#include "common/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A link is source << 32 | target, so order by number is order by (source, target). */
struct links {
    uint64_t *v;
    size_t n, cap;
};
enum tw_rc links_push(struct links *l, uint32_t source, uint32_t target); /* TW_ENOMEM */
void links_free(struct links *l);

/* Runs that are in order are found, and merged two by two until there is one: what is made in order, as a
 * full mesh is, costs one look. */
struct links_sort {
    size_t *runs, n_runs, cap; /* where each begins */
    uint64_t *room;
    size_t at;             /* so many have been looked at for runs */
    size_t run, a, b, out; /* of the merge at hand: the first of its two runs, what comes next of both */
};
/* All zero at first. No link may come to *l any more. Equal ones stay. TW_ENOMEM. */
enum tw_rc links_sort_go_on(struct links_sort *s, struct links *l, size_t *left);
void links_sort_free(struct links_sort *s);

/* Takes out those that are in gone, and of equal ones all but one. Both are sorted. */
struct links_thin {
    size_t at, out, gone; /* all zero at first */
};
enum tw_rc links_thin_go_on(struct links_thin *t, struct links *l, const struct links *gone, size_t *left);

#endif
