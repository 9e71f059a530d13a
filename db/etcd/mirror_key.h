/* db/etcd/mirror_key.h - values of columns as one text: parts between '/', everything but letters, digits,
 * '.', '_', '-' and '~' as %XX. Pure. */
#ifndef TW_DB_MIRROR_KEY_H
#define TW_DB_MIRROR_KEY_H

#include <stdbool.h>
#include <stddef.h>

/* Adds a part, the first one or another; returns the new length, or SIZE_MAX if there is no room for it and a
 * NUL. */
size_t mirror_key_add(char *to, size_t cap, size_t len, bool first, const char *part);
/* Cuts `key` in place into exactly n parts. False: it is no such key. */
bool mirror_key_parse(char *key, char **ret, size_t n);

#endif
