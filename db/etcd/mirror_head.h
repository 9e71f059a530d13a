/* db/etcd/mirror_head.h - the key `head`, that each transaction changes. Its value names the transaction, and
 * by a digest
 * ("after") the value that was there before it: so it names all that was done until then, also where
 * revisions begin again (`etcdctl snapshot restore`). Pure; any thread. */
#ifndef TW_DB_MIRROR_HEAD_H
#define TW_DB_MIRROR_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mirror_head {
    int64_t revision; /* of its last change; 0: there is none */
    int64_t digest;   /* of its value; 0: there is none */
};

struct mirror_head mirror_head_of(int64_t revision, const char *value, size_t len);
/* Is the value of a transaction that was done on `before`? One of an older release says nothing of that:
 * true. */
bool mirror_head_follows(const struct mirror_head *before, const char *value);
/* A history that has `known`, and was seen up to revision `seen`, cannot have `now` after that. */
bool mirror_head_is_of_another(const struct mirror_head *known, int64_t seen, const struct mirror_head *now);

#endif
