/* controller/core/access_tries.h - wrong tokens and passwords are limited for each address they come from.
 * Pure, not thread-safe.
 *
 * An address has so many wrong tries, and one more after each span; the addresses of one IPv6 /64 count as
 * one. The table is bounded: when it is full, the address that has been quiet for longest is forgotten. */
#ifndef TW_CONTROLLER_CORE_ACCESS_TRIES_H
#define TW_CONTROLLER_CORE_ACCESS_TRIES_H

#include <stdint.h>
#include "common/clk.h"

#define ACCESS_TRIES_BURST 10
#define ACCESS_TRIES_EVERY_NS (3 * TW_NS_PER_S)
#define ACCESS_TRIES_ADDRESSES 1024

struct access_tries;
enum tw_rc access_tries_new(uint32_t addresses, uint32_t burst, int64_t every_ns, struct access_tries **ret);
void access_tries_free(struct access_tries *t);
/* How long until another wrong try is free; 0: it is now. `address`: numeric, without port; "" (a local
 * socket) is never limited. */
int64_t access_tries_wait_ns(const struct access_tries *t, struct tw_mono now, const char *address);
/* A wrong one came. Returns what access_tries_wait_ns() said before: not 0, it is one too many. */
int64_t access_tries_wrong(struct access_tries *t, struct tw_mono now, const char *address);

struct access_tries_counts {
    uint64_t wrong, limited; /* limited: of them, those beyond the limit */
    uint64_t forgotten;      /* addresses, for want of room, whose tries would have counted still */
};
void access_tries_count(const struct access_tries *t, struct access_tries_counts *ret);

#endif
