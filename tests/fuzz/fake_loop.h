/* tests/fuzz/fake_loop.h - the event loop and the clocks without a kernel: time is what a target says, and
 * everything that is due runs at once and in the same order each time. In place of common/net/loop.c and
 * now.c; other threads may post. */
#ifndef TESTS_FUZZ_FAKE_LOOP_H
#define TESTS_FUZZ_FAKE_LOOP_H

#include "common/net/loop.h"

#define FAKE_LOOP_START_NS \
    (INT64_C(1795000000) * TW_NS_PER_S) /* wall clock at the beginning; the other one begins at 1000 s */

/* Back to the beginning, for all loops. */
void fake_loop_reset_clock(void);
/* Runs tasks and due timers until there are none. A target that goes on for ever is stopped by CHECK. */
void fake_loop_run(struct loop *l);
/* The same, and lets that much time pass, timer by timer. */
void fake_loop_advance(struct loop *l, int64_t ns);
/* Timers that wait. */
size_t fake_loop_timers(const struct loop *l);

#endif
