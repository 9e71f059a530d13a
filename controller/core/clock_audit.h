/* controller/core/clock_audit.h - whose clock is wrong? From the least one-way delays between all hosts, the offset
 * of each host's clock. Pure; not thread-safe, but keeps nothing between calls.
 *
 * What two clocks measure between them is the delay plus their difference on the way out, and minus it on the way
 * back: half the difference of the two is the difference of the clocks, wrong by half of what the ways truly differ.
 * One pair cannot part the two. A mesh can: the clocks must explain all pairs at once, and a host whose clock is
 * wrong is wrong in all of its pairs by the same amount, whatever the ways are like.
 *
 * Offsets are those that leave the least sum of absolute residuals, each in units of its pair's round trip (L1, by
 * iteratively reweighted least squares): one crooked way does not bend them. They count from the median of the hosts
 * that say they are synchronised (of all, if fewer than three do), so that the one wrong host is named and not the
 * others. Hosts without a chain of pairs between them (components) have nothing to do with each other.
 *
 * What cannot be seen: ways that are longer out than back for every pair of a host look like an offset of its clock.
 * Hence the allowance of CLOCK_AUDIT_SKEW of the shortest round trip in the uncertainty. */
#ifndef TW_CONTROLLER_CORE_CLOCK_AUDIT_H
#define TW_CONTROLLER_CORE_CLOCK_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

#define CLOCK_AUDIT_FLOOR_S 100e-6 /* no verdict on less: timestamps of software are not better */
#define CLOCK_AUDIT_SKEW 0.05      /* of a host's shortest round trip */
#define CLOCK_AUDIT_PAIRS 64u      /* of each host: half of them the shortest, the rest at random */
#define CLOCK_AUDIT_CROOKED 16u    /* residuals that are listed */

enum clock_verdict {
    CLOCK_UNKNOWN, /* no usable pairs, or too few to tell the clock from the ways */
    CLOCK_OK,      /* within what it claims, noise and floor */
    CLOCK_OFFSET,  /* beyond that: this is the wrong one */
    CLOCK_EITHER,  /* its component disagrees and has no majority: two hosts cannot tell who is wrong */
    CLOCK_VERDICTS
};
const char *clock_verdict_name(enum clock_verdict v); /* "unknown", "ok", "offset", "either" */

/* What a host says of its own clock. One that is not synchronised claims nothing: error_s is ignored. */
struct clock_claim {
    bool known, synced;
    double error_s;
};

/* Least delays from host a to host b and back, as their clocks have them (signed), in seconds; INFINITY: not known.
 * The same two hosts may come often, in either order: the least of each way counts. */
struct clock_pair {
    uint32_t a, b;
    double forward_s, backward_s;
};

struct clock_host {
    enum clock_verdict verdict;
    uint32_t component, component_hosts;
    uint32_t pairs;        /* other hosts with both ways measured */
    uint32_t pairs_used;   /* of them, in the solution */
    double offset_s;       /* its clock minus the reference; with pairs only */
    double uncertainty_s;  /* of it */
    double limit_s;        /* claimed error, uncertainty and floor: beyond it the verdict is not OK */
    bool certain;          /* no ways whatever explain it: some delay would be negative */
};

/* Two hosts between which the ways differ by more than the other pairs make plausible, clocks taken out. */
struct clock_crooked {
    uint32_t a, b;
    double longer_s; /* least delay from a to b minus that from b to a */
    double round_trip_s;
};

struct clock_audit {
    struct clock_host *hosts; /* as the claims */
    size_t n_hosts, pairs, pairs_used;
    size_t components; /* of more than one host */
    struct clock_crooked crooked[CLOCK_AUDIT_CROOKED]; /* worst first */
    size_t n_crooked;
};

/* TW_ENOMEM. Pairs of unknown hosts, of a host with itself, and with a round trip below zero are not used. */
enum tw_rc clock_audit_run(const struct clock_claim *claims, size_t n_hosts, const struct clock_pair *pairs, size_t n_pairs,
                           struct clock_audit *ret);
void clock_audit_free(struct clock_audit *a);

#endif
