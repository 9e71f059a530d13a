/* common/net/arena.h - a capped bump allocator for unpacking protobuf messages: a hostile megabyte cannot take a
 * hundred. Everything is freed at once. Not thread-safe. */
#ifndef TW_NET_ARENA_H
#define TW_NET_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include "common/rc.h"

struct arena;
enum tw_rc arena_new(size_t cap_bytes, struct arena **ret);
void arena_free(struct arena *a);
void arena_reset(struct arena *a);              /* keeps its memory for the next message */
ProtobufCAllocator *arena_allocator(struct arena *a); /* for the generated unpack(); free is a no-op */
void *arena_alloc(struct arena *a, size_t n);   /* zeroed; NULL beyond the cap */

#endif
