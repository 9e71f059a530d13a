/* agent/core/lossdir.h - which way was a probe lost? Attribution from the stateful reflector's own sequence
 * numbers. Pure; no allocation after lossdir_new(). RFC 5357 section 4.2.1, RFC 6673.
 *
 * A stateful reflector numbers the answers it SENDS: every probe that arrived uses up one number. Between two answers
 * (s_a, r_a), (s_b, r_b) that nothing overtook ("cut points"), the unseen numbers in (r_a, r_b) are answers lost on the way
 * back, and the rest of the lost probes in (s_a, s_b) were lost on the way out. What cannot be told is unknown:
 * losses after the last answer, around a restart of the reflector, of a stateless reflector, and the part of a mixed
 * gap that lies across two report periods and could be in either. Never guessed. */
#ifndef TW_AGENT_LOSSDIR_H
#define TW_AGENT_LOSSDIR_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct lossdir;

/* What a verdict is about: `lost` probes of period `period` (an opaque number that the caller gave). */
struct lossdir_verdict {
    uint64_t period;
    uint64_t forward, backward, unknown;
};

/* window: the most probes that can be undecided at a time (power of two). */
enum tw_rc lossdir_new(uint32_t window, struct lossdir **ret);
void lossdir_free(struct lossdir *d);

/* An answer arrived (first answer or duplicate), in order of arrival: number r has been seen. */
void lossdir_seen(struct lossdir *d, uint32_t s, uint32_t r, bool duplicate);
/* The fate of probe s, in order of s without gaps, each when it is final. r is valid when received. */
void lossdir_resolve(struct lossdir *d, uint32_t s, bool received, uint32_t r, uint64_t period);
/* The period will close: everything of it that is resolved must get its verdict now. */
void lossdir_close_period(struct lossdir *d, uint64_t period);
/* TW_EAGAIN: none. */
enum tw_rc lossdir_next(struct lossdir *d, struct lossdir_verdict *ret);

#endif
