/* common/name_index.h - from a name to a number, by binary search. Pure. The names stay the
 * caller's. */
#ifndef TW_COMMON_NAME_INDEX_H
#define TW_COMMON_NAME_INDEX_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct name_ref {
    const char *name;
    uint32_t value;
};
struct name_index {
    struct name_ref *v;
    size_t n;
};

/* Room for cap names. TW_ENOMEM. */
enum tw_rc name_index_init(struct name_index *x, size_t cap);
void name_index_free(struct name_index *x);
/* Within the room that was asked for. */
void name_index_add(struct name_index *x, const char *name, uint32_t value);
/* Must be called between the last add and the first find. */
void name_index_sort(struct name_index *x);
/* Instead of sort: each name stays once and its number becomes its rank. */
void name_index_rank(struct name_index *x);
bool name_index_find(const struct name_index *x, const char *name, uint32_t *ret);
/* Which of several names is most like the one that is wanted. Set `wanted`; the names stay the caller's. */
struct name_near {
    const char *wanted, *best; /* the nearest so far; NULL: none was looked at */
    unsigned distance;
};
void name_near_look(struct name_near *n, const char *name);
/* The nearest if it is near enough for a slip of the fingers, else NULL. */
const char *name_near_get(const struct name_near *n);
/* The name most like `name` if it is near enough to be a slip of the fingers, else NULL. */
const char *name_index_nearest(const struct name_index *x, const char *name);
/* Number of single-character edits between two texts of at most 63 characters; longer ones are cut. Two
 * neighbours that have changed places are one. */
unsigned name_distance(const char *a, const char *b);
/* Whether an edit distance is that of a slip, for a name so long. */
bool name_is_near(unsigned distance, const char *name);

#endif
