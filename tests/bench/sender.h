/* tests/bench/sender.h - what one run of a sender is and what came of it; shared by the two senders that
 * bench_sender compares. */
#ifndef TW_TESTS_BENCH_SENDER_H
#define TW_TESTS_BENCH_SENDER_H

#include <stdbool.h>
#include <stdint.h>
#include "common/hist.h"

/* CPUs: the sender has one for itself, all else (reflector, who collects the results) the other. */
enum { SENDER_CPU = 1, OTHER_CPU = 0 };

struct sender_load {
    unsigned flows;
    int64_t spacing_ns; /* of each flow */
    double seconds;
};

struct sender_result {
    const char *name;
    uint64_t due;                    /* sending times in those seconds */
    uint64_t sent, skipped, refused; /* skipped: too late, left out; refused by the kernel */
    uint64_t lost, drops;            /* drops: of the lost, seen in a socket buffer of this host */
    double later_100us, later_1ms;   /* share of `due` that left so late, or not at all */
    double p50_us, p99_us, max_us;   /* lateness of what was sent */
    double cpu;                      /* of the sender; 1 = one core, all the time */
};

/* Shares and percentiles; after `due`. */
void sender_lateness(const struct hist *h, struct sender_result *ret);
/* What it starts ends with it. false: it could not be run, and why has been said. */
bool sender_irtt(const struct sender_load *load, struct sender_result *ret);

#endif
