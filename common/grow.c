/* common/grow.c - see grow.h. */
#include "common/grow.h"

#include <stdlib.h>
#include <string.h>

bool tw_grow(void *list, size_t n, size_t *cap, size_t size, size_t first)
{
    size_t room = *cap ? 2 * *cap : first;
    void *v;

    if (n < *cap)
        return true;
    memcpy(&v, list, sizeof v); /* a pointer of another type */
    v = reallocarray(v, room, size);
    if (!v)
        return false;
    memcpy(list, &v, sizeof v);
    *cap = room;
    return true;
}
