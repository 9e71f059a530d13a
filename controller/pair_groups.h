/* controller/pair_groups.h - which pairs are of a mesh and class, so that who wants those need not look at a
 * million others: 4 octets a pair. Rows of the table of pairs never go, and keep these names; so groups only
 * grow, and are brought up to date by a look at the rows that are new. Loop thread. */
#ifndef TW_CONTROLLER_PAIR_GROUPS_H
#define TW_CONTROLLER_PAIR_GROUPS_H

#include "common/rc.h"
#include "controller/pair_table.h"

struct pair_group {
    const char *mesh, *class_name; /* as kept in inventory.names: equal ones have equal pointers */
    uint32_t *rows;                /* of the table, rising */
    size_t n, cap;
};
/* Zeroes are those of no pairs. */
struct pair_groups {
    struct pair_group *v; /* in the order in which they came */
    size_t n, cap;
    size_t seen; /* rows of the table */
};
/* Call it first, always. TW_ENOMEM: call it again. */
enum tw_rc pair_groups_update(struct pair_groups *g, const struct pair_table *t);
/* NULL: there is none. */
const struct pair_group *pair_groups_find(const struct pair_groups *g, const char *mesh,
                                          const char *class_name);
void pair_groups_free(struct pair_groups *g);

#endif
