/* tests/sim/truth.h - what really happened to every probe, kept by the simulated network, and the summaries
 * that follow from it, computed afterwards and in another way than the engine does. */
#ifndef TESTS_SIM_TRUTH_H
#define TESTS_SIM_TRUTH_H

#include "agent/core/session.h"

struct truth_probe {
    int64_t t1_wall, t1_mono;
    int64_t arrived;            /* mono; of the first answer */
    int64_t left_ns, left_wall; /* when it really left; 0: by nobody's word but the sender's */
    int64_t told_ns;            /* when the session was told so; 0: it was not */
    int64_t t2, t3, t4,
        t3_left; /* of the first answer; when it left, 0: the reflector does not know */
    bool left_used, followed_up; /* what the session says of its delays */
    int64_t d[3];
    uint32_t r;
    size_t period;
    bool reached;  /* a copy reached the reflector and was answered */
    bool received; /* first answer in time */
    bool answered; /* at all */
    bool timed;
};

struct truth_period {
    int64_t start_ns, end_ns, start_mono, end_mono;
    uint64_t send_errors;
    struct hist lateness;
};

struct truth {
    const struct session_cfg *cfg;
    struct truth_probe *probe;
    size_t n, cap;
    size_t *arrival; /* probes in order of their first answer in time */
    size_t n_arrival;
    struct truth_period *period;
    size_t n_period, cap_period;
    uint64_t late, duplicates_forward, duplicates_backward, rejected;
    int64_t offset_ns, last_attempt_ns;
    int64_t first_due_ns, last_slot; /* fixed spacing: sending times are first + slot * spacing */
    unsigned slot_errors;            /* a slot was used twice */
    bool stopped;
};

void truth_init(struct truth *t, const struct session_cfg *cfg, struct tw_now now);
void truth_free(struct truth *t);
/* The engine is about to be told `now`: boundaries and steps of the clock up to it. */
void truth_clock(struct truth *t, struct tw_now now);
void truth_sent(struct truth *t, struct tw_now now);
/* The delays of probe i, by the times that are said to be used; false: it cannot have known them. */
bool truth_times(struct truth *t, size_t i, bool left_used, bool followed_up);
/* Instead of truth_sent(): the operating system refused. */
void truth_unsent(struct truth *t, struct tw_now now);
void truth_stop(struct truth *t, struct tw_now now);

struct truth_lost {
    uint64_t forward, backward; /* never reached the reflector; did reach it */
};
struct truth_lost truth_lost_in(const struct truth *t, size_t period);

/* What to compare beyond the counters that are always exact. */
struct truth_checks {
    bool order;       /* reordering of each direction is exact */
    bool direction;   /* no loss is ever attributed wrongly; what lies within one period is never unknown */
    bool never_known; /* a stateless reflector: all loss is unknown */
    bool duplicates_way; /* duplicates per direction are exact */
    bool left;           /* the kernel's time is used exactly where it came within the grace */
    bool follow_up; /* T3 of an answer is replaced exactly where an answer that tells of it came in time, too
                     */
};
/* Loss runs: each one's start, length, probes and direction, the parts at the ends of periods, and the outages that the
 * parts are joined to. */
unsigned truth_compare_runs(const struct truth *t, const struct tw_summary *sum, size_t n,
                            const struct truth_checks *checks);
/* sum[i] is the i-th summary that the engine gave. Prints what differs; returns the number of differences. */
unsigned truth_compare(const struct truth *t, const struct tw_summary *sum, size_t n,
                       const struct truth_checks *checks);

#endif
