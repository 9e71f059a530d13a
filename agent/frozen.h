/* agent/frozen.h - frozen parts of the flight recorder: copies that new probes do not overwrite. Loop thread
 * only.
 *
 * Bounded in number and octets. Those that somebody asked for, an operator or an alert, are pinned: a part
 * that the agent froze by itself never takes their place. The oldest that is not pinned gives way first; when
 * all are pinned, the oldest of them, but only to one that is pinned too. What gives way, and what finds no
 * place, is counted.
 *
 * Kept as values of the spool, a slot each, so that a restart does not lose them; written a moment after they
 * came, a few at a time. */
#ifndef TW_AGENT_FROZEN_H
#define TW_AGENT_FROZEN_H

#include "agent/core/flight.h"
#include "common/net/loop.h"
#include "db/spool.h"
#include "flight.pb-c.h"

#define FROZEN_PARTS_MAX 256u
#define FROZEN_PROBES_MAX 4096u /* of one part; less than a tenth of the least bound in octets */
#define FROZEN_REASON_MAX 200u  /* octets */

struct frozen_part {
    uint64_t id; /* higher than those before */
    uint64_t pair_id;
    uint32_t flow;
    Tw__FlightCause cause;
    char reason[FROZEN_REASON_MAX + 1];
    int64_t at_ns, frozen_ns;
    size_t n;
    struct flight_record records[];
};

struct frozen;
struct frozen_conf {
    struct loop *loop;
    struct spool *spool; /* NULL: not kept over a restart */
    size_t max_octets;   /* 1 MiB or more */
};
/* Loads what was kept before. */
enum tw_rc frozen_new(const struct frozen_conf *c, struct frozen **ret);
/* Writes what has not been written yet. */
void frozen_free(struct frozen *f);

/* Takes a copy; of *head all but id and n counts. The same part again (pair, flow, cause, at) is replaced.
 * *ret: the part, valid until the next call. TW_ENOSPC: everything is pinned and this is not; TW_EINVAL: n is
 * 0 or more than FROZEN_PROBES_MAX. */
enum tw_rc frozen_add(struct frozen *f, const struct frozen_part *head, const struct flight_record *r,
                      size_t n, const struct frozen_part **ret);
/* Number i from the oldest on; NULL: there are no more. */
const struct frozen_part *frozen_at(const struct frozen *f, size_t i);
/* Without the records; texts point into *p. */
void frozen_describe(const struct frozen_part *p, Tw__FlightFrozen *ret);

struct frozen_stats {
    uint64_t parts, octets;
    uint64_t gave_way, refused, unwritten; /* since the start; unwritten: the disk did not take them */
};
void frozen_stats(const struct frozen *f, struct frozen_stats *ret);

#endif
