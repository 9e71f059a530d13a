/* controller/core/spread.h - at which moment of their interval sessions begin their runs, so that never many
 * do at once. Pure.
 *
 * An interval has 240 slots. All sessions of the same interval, whatever their mesh, share them: a pair that
 * comes takes the slots that fewest sessions of its source have, of those that the fleet has not filled above
 * the average, and keeps them while it lives; nobody else moves for it. So slots differ by one or two as long
 * as pairs only come; where they go, those that come next fill the holes. From an interval of a minute on a
 * second has five slots at most: with 1,000 sessions 25 begin in it, 3 % are 30, of the fleet as of each
 * agent. Within its slot a session begins at a hash of its pair's id, which a renaming does not alter.
 *
 * Hashes of names alone cannot promise that: of 1,000 sessions 17 begin in a second on the average, and by
 * chance one set of names in twelve has a second with more than 30. Nor can the fleet's slots alone: what one
 * of a thousand agents begins would again be a matter of chance. */
#ifndef TW_CONTROLLER_SPREAD_H
#define TW_CONTROLLER_SPREAD_H

#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

#define SPREAD_SLOTS 240 /* they are numbered from 1; 0: none is chosen */

/* The runs of a pair. */
struct spread_runs {
    int64_t every_ns;
    uint64_t source; /* a number for its agent, not 0: of two with the same one the sessions are counted
                        together */
    uint32_t flows;
};
struct spread_group {
    int64_t every_ns;
    uint64_t source; /* 0: the sessions of all */
    uint64_t sessions;
    uint32_t load[SPREAD_SLOTS]; /* sessions that begin in it */
};
struct spread {
    struct spread_group **v; /* sorted by every_ns, then source; none without sessions */
    size_t n;
};

/* *ret gets a copy. TW_ENOMEM. */
enum tw_rc spread_copy(const struct spread *s, struct spread *ret);
void spread_free(struct spread *s);
/* A pair has its flows in slot and what follows evenly from it. TW_ENOMEM. */
enum tw_rc spread_add(struct spread *s, const struct spread_runs *r, unsigned slot);
/* It was added like that. */
void spread_remove(struct spread *s, const struct spread_runs *r, unsigned slot);
/* The source has another number, which none of the pairs has. */
void spread_rename(struct spread *s, uint64_t source, uint64_t now);
/* The slot for a pair that comes: the one that it had once, if that has hardly more than others (had 0: none), else one with the fewest; of
 * several it depends on the seed. */
unsigned spread_choose(const struct spread *s, const struct spread_runs *r, unsigned had, uint64_t seed);
/* When a run of a flow begins, in [0, every). slot > 0. */
int64_t spread_phase_ns(int64_t every_ns, unsigned slot, uint32_t flow, uint32_t flows, uint64_t pair_id);

#endif
