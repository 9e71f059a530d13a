/* controller/registry_homes.h - which controller has which agents, as texts that controllers tell each other: each
 * says the numbers of those that are connected to it, and of those that it had last and that nobody has now, with a minus. In
 * HOMES_SLOTS parts, so that one agent that comes or goes is not the whole list. Pure. */
#ifndef TW_CONTROLLER_REGISTRY_HOMES_H
#define TW_CONTROLLER_REGISTRY_HOMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

#define HOMES_SLOTS 16u

/* ---- What we say ---- */

struct homes_part {
    int64_t *v;
    size_t n, cap;
    uint64_t sum; /* of what it holds, in any order */
};
struct homes_own {
    struct homes_part parts[HOMES_SLOTS];
};
void homes_own_clear(struct homes_own *h); /* keeps the memory */
void homes_own_free(struct homes_own *h);
/* id > 0. TW_ENOMEM: it is left out. */
enum tw_rc homes_own_add(struct homes_own *h, int64_t id, bool connected);
/* "[1,-17,33]", from malloc(); NULL: no memory. */
char *homes_text(const struct homes_part *p);

/* ---- What others say ---- */

struct home {
    int64_t id;
    const char *controller;
    bool connected; /* false: it judges it, but nobody has it */
};
struct homes_said { /* one text */
    int64_t lease, revision;
    unsigned slot;
    const char *controller; /* the caller's */
    int64_t *v;
    size_t n;
    bool seen;
};
struct homes {
    struct homes_said *said;
    struct home *v; /* by id; of several of one id those that are connected first */
    size_t n_said, n;
    bool changed; /* v is to be made anew */
};
void homes_begin(struct homes *h);
/* TW_ECORRUPT: it is no such text, and says nothing. */
enum tw_rc homes_take(struct homes *h, const char *controller, int64_t lease, unsigned slot, int64_t revision,
                      const char *text);
/* What was not taken since homes_begin() goes. True: something is different. TW_ENOMEM leaves it for the next time. */
bool homes_end(struct homes *h);
/* NULL: nobody has it, or judges it. */
const struct home *homes_find(const struct homes *h, int64_t id);
void homes_free(struct homes *h);

#endif
