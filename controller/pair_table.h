/* controller/pair_table.h - a million pairs in little memory: rows that never move, in blocks, and an index by id. Loop thread.
 *
 * The index is an array of row numbers with open addressing, at most half full, 8 to 16 octets a pair; a hash handle of uthash would be
 * 56. There is none by names: a pair's id is a hash of its names (store_pair_id()); of the few that had other names once inventory.c keeps a list.
 * Pairs are never taken out, since ids live for ever. */
#ifndef TW_CONTROLLER_PAIR_TABLE_H
#define TW_CONTROLLER_PAIR_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct pair;

#define PAIR_BLOCK 1024
#define PAIR_NONE UINT32_MAX

struct pair_table {
    struct pair **blocks; /* of PAIR_BLOCK rows each */
    size_t n;
    uint32_t *index; /* row number + 1; 0 = empty */
    size_t index_cap; /* a power of two */
};

/* A zeroed row with this id, which must be new; its number is ->n - 1 then. NULL: no memory, or 2^31 rows are there. */
struct pair *pair_table_add(struct pair_table *t, uint64_t id);
struct pair *pair_table_find(const struct pair_table *t, uint64_t id);
/* PAIR_NONE: there is none. */
uint32_t pair_table_row(const struct pair_table *t, uint64_t id);
/* Row i < n. */
struct pair *pair_table_at(const struct pair_table *t, size_t i);
void pair_table_free(struct pair_table *t);

#endif
