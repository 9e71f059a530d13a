/* common/grow.h - room in a list for one more.
 *
 *     if (!TW_GROW(&l->v, l->n, &l->cap, 16))
 *         return TW_ENOMEM;
 *     l->v[l->n++] = x;
 *
 * Any thread.
 */
#ifndef TW_GROW_H
#define TW_GROW_H

#include <stdbool.h>
#include <stddef.h>

/* list: where the pointer to *cap elements is, of which n are in use; *cap: size_t. It doubles, from `first` (> 0) on, and
 * the elements may move. False: no memory, and all is as it was. What is new is not initialised; free() frees the list. */
#define TW_GROW(list, n, cap, first) tw_grow((list), (n), (cap), sizeof **(list), (first))

bool tw_grow(void *list, size_t n, size_t *cap, size_t size, size_t first);

#endif
