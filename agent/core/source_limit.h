/* agent/core/source_limit.h - how much a single source may ask: a token bucket for each IPv4 address and each
 * IPv6 /64, in a table of fixed size. Pure: time is an argument. Any thread: the workers share it by atomics,
 * so that a source has the same share however many sockets its packets are spread over; no lock, no
 * allocation.
 *
 * A bucket is one number: when it will be full again. One that is full says nothing that a new one would not,
 * so its place is free: nothing has to be evicted as long as fewer sources than there are places have taken
 * something lately, and a source over its share keeps its place for as long as it is. A spoofed source that
 * comes once holds a place for 1 / per_second. Where the seven places of a source are all taken, it shares an
 * eighth bucket with the others that came too late; the seed keeps anybody from choosing who that is. */
#ifndef TW_AGENT_SOURCE_LIMIT_H
#define TW_AGENT_SOURCE_LIMIT_H

#include <stdbool.h>
#include "common/addr.h"
#include "common/clk.h"

#define SOURCE_LIMIT_SOURCES 57344 /* `sources`, unless somebody says otherwise: 1 MiB */

struct source_limit_cfg {
    int64_t per_second; /* at most 10,000,000; 0: as often as it likes, until source_limit_set() */
    int64_t burst;      /* that come at once after silence; 0: as many as in a second */
    uint32_t sources;   /* places; 0: SOURCE_LIMIT_SOURCES; rounded up to a power of 2, times 7 */
    uint64_t hash_seed; /* random */
};

struct source_limit;

enum tw_rc source_limit_new(const struct source_limit_cfg *cfg, struct source_limit **ret);
void source_limit_free(struct source_limit *l);
/* Another rate, from the next packet on; as in source_limit_cfg. A source that was over its share waits for a
 * second more at most than the new rate asks. Any thread. TW_EINVAL: nothing is changed. */
enum tw_rc source_limit_set(struct source_limit *l, int64_t per_second, int64_t burst);
/* May it? Then it is counted. NULL: always. */
bool source_limit_take(struct source_limit *l, const struct tw_addr *from, struct tw_mono now);
/* Sources that have a place and are not at their full bucket; looks at all, for tests. */
size_t source_limit_live(const struct source_limit *l, struct tw_mono now);

#endif
