#include "common/net/arena.h"
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CHUNK 4096u
#define ALIGN alignof(max_align_t)

struct chunk {
    struct chunk *older;
    size_t size, used;
    alignas(max_align_t) unsigned char mem[];
};

/* Chunks double in size, so a full arena has few; the newest is the one that is filled. */
struct arena {
    size_t cap, used;  /* octets given out, rounded up; used <= cap */
    size_t next_chunk; /* size of the next chunk */
    struct chunk *newest;
    ProtobufCAllocator allocator;
};

static void *allocator_alloc(void *data, size_t n);

static void allocator_free(void *data, void *p)
{
    (void)data;
    (void)p;
}

enum tw_rc arena_new(size_t cap_bytes, struct arena **ret)
{
    struct arena *a = calloc(1, sizeof *a);

    if (!a)
        return TW_ENOMEM;
    a->cap = cap_bytes;
    a->next_chunk = FIRST_CHUNK;
    a->allocator = (ProtobufCAllocator){ allocator_alloc, allocator_free, a };
    *ret = a;
    return TW_OK;
}

static size_t free_chunks(struct arena *a)
{
    size_t total = 0;

    while (a->newest) {
        struct chunk *c = a->newest;

        a->newest = c->older;
        total += c->size;
        free(c);
    }
    return total;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    free_chunks(a);
    free(a);
}

void arena_reset(struct arena *a)
{
    a->used = 0;
    if (!a->newest)
        return;
    if (!a->newest->older) {
        a->newest->used = 0;
        return;
    }
    /* The next message is probably like this one: one chunk that holds it all. */
    a->next_chunk = free_chunks(a);
}

static bool add_chunk(struct arena *a, size_t n)
{
    size_t size = n > a->next_chunk ? n : a->next_chunk;
    struct chunk *c = malloc(sizeof *c + size);

    if (!c)
        return false;
    *c = (struct chunk){ .older = a->newest, .size = size };
    a->newest = c;
    a->next_chunk = size < a->cap / 2 ? size * 2 : size;
    return true;
}

/* Not zeroed: the generated unpack() fills what it asks for. */
static void *allocator_alloc(void *data, size_t n)
{
    struct arena *a = data;
    void *at;

    if (n > a->cap - a->used)
        return NULL;
    n = (n + ALIGN - 1) / ALIGN * ALIGN;
    if (n > a->cap - a->used)
        return NULL;
    if (!a->newest || n > a->newest->size - a->newest->used)
        if (!add_chunk(a, n))
            return NULL;
    at = a->newest->mem + a->newest->used;
    a->newest->used += n;
    a->used += n;
    return at;
}

ProtobufCAllocator *arena_allocator(struct arena *a)
{
    return &a->allocator;
}

void *arena_alloc(struct arena *a, size_t n)
{
    void *p = allocator_alloc(a, n);

    return p ? memset(p, 0, n) : NULL;
}
