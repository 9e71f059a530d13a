/* controller/names.h - the names of agents, meshes, classes and targets, each kept once. Loop thread; the texts may be read by
 * any thread, since a name is neither moved nor freed before all of them.
 *
 * Equal names have equal pointers. A name knows the agent that has it at present, so that a pair finds its source without keeping a
 * pointer that somebody would have to update in a million pairs. */
#ifndef TW_CONTROLLER_NAMES_H
#define TW_CONTROLLER_NAMES_H

#include <stddef.h>
#include <uthash.h>

struct agent;

struct name {
    struct agent *agent; /* NULL: no agent has this name now */
    uint32_t rank;       /* schedule_diff.c's, during a comparison */
    UT_hash_handle hh;   /* by text */
    char text[];
};
struct names {
    struct name *all;
};

/* The kept copy of it. NULL: no memory. */
const char *names_keep(struct names *n, const char *text);
/* NULL: never heard of. */
const char *names_find(const struct names *n, const char *text);
void names_free(struct names *n);

/* Of a kept text. */
static inline struct name *name_of(const char *kept)
{
    return (struct name *)(void *)(kept - offsetof(struct name, text));
}

#endif
