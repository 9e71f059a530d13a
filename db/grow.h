/* db/grow.h - lists that grow. */
#ifndef TW_DB_GROW_H
#define TW_DB_GROW_H

#include <stdbool.h>
#include <stdlib.h>

/* Room in *list, a pointer to any type, for one more than n of `size` octets. False: no memory, nothing has
 * changed. */
static inline bool db_grow(void *list, size_t n, size_t *cap, size_t size)
{
    size_t want = *cap ? 2 * *cap : 16;
    void *more;

    if (n < *cap)
        return true;
    more = realloc(*(void **)list, want * size);
    if (!more)
        return false;
    *(void **)list = more;
    *cap = want;
    return true;
}

#endif
