/* controller/core/spread.h - at which moment of their interval sessions begin their runs, so that never many do at once. Pure.
 *
 * An interval has 240 slots. All sessions of the same interval, whatever their mesh, share them: a pair that comes takes the slots that fewest
 * have, and keeps them while it lives; nobody else moves for it. So slots differ by one as long as pairs only come; where they go, those that come
 * next fill the holes. From an interval of a minute on a second has five slots at most: with 1,000 sessions 25 begin in it, 3 % are 30. Within its
 * slot a session begins at a hash of its pair's id, which a renaming does not alter.
 *
 * Hashes of names alone cannot promise that: of 1,000 sessions 17 begin in a second on the average, and by chance one set of names in twelve
 * has a second with more than 30. */
#ifndef TW_CONTROLLER_SPREAD_H
#define TW_CONTROLLER_SPREAD_H

#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

#define SPREAD_SLOTS 240 /* they are numbered from 1; 0: none is chosen */

struct spread_group {
    int64_t every_ns;
    uint64_t sessions;
    uint32_t load[SPREAD_SLOTS]; /* sessions that begin in it */
};
struct spread {
    struct spread_group *v; /* sorted by every_ns; none without sessions */
    size_t n;
};

/* *ret gets a copy. TW_ENOMEM. */
enum tw_rc spread_copy(const struct spread *s, struct spread *ret);
void spread_free(struct spread *s);
/* A pair has its flows in slot and what follows evenly from it. TW_ENOMEM. */
enum tw_rc spread_add(struct spread *s, int64_t every_ns, unsigned slot, uint32_t flows);
/* It was added like that. */
void spread_remove(struct spread *s, int64_t every_ns, unsigned slot, uint32_t flows);
/* The slot for a pair that comes: the one that it had once, if that has hardly more than others (had 0: none), else one with the fewest; of
 * several it depends on the seed. */
unsigned spread_choose(const struct spread *s, int64_t every_ns, uint32_t flows, unsigned had, uint64_t seed);
/* When a run of a flow begins, in [0, every). slot > 0. */
int64_t spread_phase_ns(int64_t every_ns, unsigned slot, uint32_t flow, uint32_t flows, uint64_t pair_id);

#endif
