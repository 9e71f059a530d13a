/* agent/core/lossdir.h - which way was a probe lost? Attribution from the stateful reflector's own sequence
 * numbers. Pure; no allocation after lossdir_new(), but for half a kilobyte while probes are seen to overtake
 * each other (without memory for it losses are unknown meanwhile). RFC 5357 section 4.2.1, RFC 6673.
 *
 * A stateful reflector numbers the answers it SENDS: every probe that arrived uses up one number. Between two
 * answers (s_a, r_a), (s_b, r_b) that nothing overtook ("cut points"), the unseen numbers in (r_a, r_b) are
 * answers lost on the way back, and the rest of the lost probes in (s_a, s_b) were lost on the way out. What
 * cannot be told is unknown: losses after the last answer, around a restart of the reflector, of a stateless
 * reflector, and the part of a mixed gap that lies across two report periods and could be in either. Never
 * guessed.
 *
 * A cut point is an answer whose number is above those of all earlier probes and below those of the next G,
 * with no lost probe among the G on either side. G is how far probes were lately seen to overtake each other
 * on the way out (lossdir_overtaken()); usually 0, and then every answer is a cut point. So attribution is
 * exact while probes keep their order on the way out and the reflector sees no duplicates; answers may be
 * reordered and duplicated freely. Otherwise it can be wrong in two cases:
 *
 *  - A LOST probe was part of a reordering wider than any seen in the last LOSSDIR_MEMORY to
 *    2 * LOSSDIR_MEMORY probes: it counts as forward, and its number may turn one later forward loss into a
 *    backward one. Once the answer to it comes, late, the reordering has been seen.
 *  - A probe was duplicated on the way out, and the answer to the second copy was lost: its number may turn
 *    one forward loss into a backward one.
 *
 * A probe whose answer came after the timeout did reach the reflector. The number of its late answer must not
 * be told here as seen, so it counts as lost on the way back, unless it was overtaken on the way out: then it
 * falls under the first case. */
#ifndef TW_AGENT_LOSSDIR_H
#define TW_AGENT_LOSSDIR_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct lossdir;

#define LOSSDIR_MEMORY 1024

/* What a verdict is about: lost probes of period `period` (an opaque number that the caller gave). */
struct lossdir_verdict {
    uint16_t period;
    uint64_t forward, backward, unknown;
};

/* The lost probes among [first, end) as a whole: these were lost on the way out, those on the way back, and in
 * which order is not known. A loss run lies in one gap; a gap holds several where probes overtake each other.
 * Nothing is said of a gap that is unknown. */
struct lossdir_gap {
    uint32_t first, end; /* numbered like s below */
    uint32_t forward, backward;
};

/* window: the most probes that can be in flight or unresolved at a time (power of two, 16 or more). stateful:
 * the reflector is known to number its answers; else nothing is attributed until an answer with r != s shows
 * that it does. */
enum tw_rc lossdir_new(uint32_t window, bool stateful, struct lossdir **ret);
void lossdir_free(struct lossdir *d);
bool lossdir_is_stateful(const struct lossdir *d);

enum lossdir_seen {
    LOSSDIR_NEW,     /* a number not seen before */
    LOSSDIR_REPEAT,  /* seen before */
    LOSSDIR_RESTART, /* the reflector has begun to count again; this is the first answer since */
    LOSSDIR_OLD,     /* from before a restart, or too old to tell */
};
/* An answer arrived in time (first answer or duplicate), in order of arrival. s counts from 0 for the
 * session's first probe. All numbers are modulo 2^32. */
enum lossdir_seen lossdir_seen(struct lossdir *d, uint32_t s, uint32_t r, bool duplicate);
/* A probe, answered in time or late, was overtaken on the way out by one sent `extent` probes later. */
void lossdir_overtaken(struct lossdir *d, uint32_t extent);
/* The fate of probe s, in order of s from 0 without gaps, each when it is final. r is valid when received. */
void lossdir_resolve(struct lossdir *d, uint32_t s, bool received, uint32_t r, uint16_t period);
/* The period will close: everything of it that is resolved and undecided becomes unknown. */
void lossdir_close_period(struct lossdir *d, uint16_t period);
/* TW_EAGAIN: none. */
enum tw_rc lossdir_next(struct lossdir *d, struct lossdir_verdict *ret);
/* The gaps that were decided since the last call, oldest first; when they pile up the oldest are forgotten. Verdicts come by
 * lossdir_next() all the same. TW_EAGAIN: none. */
enum tw_rc lossdir_next_gap(struct lossdir *d, struct lossdir_gap *ret);

#endif
