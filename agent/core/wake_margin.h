/* agent/core/wake_margin.h - how long before a deadline must a thread ask to be woken, so that it is awake in
 * time? Pure; not thread-safe.
 *
 * Learns from how late the last wake-ups were: the margin is their 99th percentile, at least MARGIN_MIN_NS
 * and at most MARGIN_MAX_NS, whatever the host does, because what is left of it is spent spinning. */
#ifndef TW_AGENT_WAKE_MARGIN_H
#define TW_AGENT_WAKE_MARGIN_H

#include <stdint.h>
#include "common/clk.h"

#define MARGIN_MIN_NS (20 * TW_NS_PER_US)
#define MARGIN_MAX_NS (200 * TW_NS_PER_US)

enum { MARGIN_SAMPLES = 128, MARGIN_EVERY = 16 };

/* Zeroed memory is valid: as long as nothing is known the margin is MARGIN_MAX_NS. */
struct wake_margin {
    int64_t late_ns[MARGIN_SAMPLES]; /* the last ones, in no order */
    uint32_t n, at;
    int64_t ns; /* wake_margin.c's own; 0 = not known yet */
};

/* The thread was woken so long after it had asked to be (negative counts as 0). */
void wake_margin_add(struct wake_margin *m, int64_t late_ns);
int64_t wake_margin_ns(const struct wake_margin *m);

#endif
