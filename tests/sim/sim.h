/* tests/sim/sim.h - what is simulated: one session, one reflector, and a network between them. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include "agent/core/session.h"
#include "tests/sim/mirror.h"
#include "tests/sim/net.h"
#include "tests/sim/truth.h"

struct scenario {
    const char *name;
    struct session_cfg cfg; /* what is 0 is set by the simulation */
    struct path_cfg out, back;
    int64_t reflector_offset_ns;
    double reflector_drift;
    double step_every_s, restart_every_s, stall_every_s; /* mean; 0 = never */
    int64_t stall_max_ns;
    double send_error;
    /* The kernel tells when probes left: at once, but for shares that come `left_late_ns` late or never. */
    bool left_told;
    double left_late, left_missing;
    int64_t left_late_ns;
    double follow_up_missing; /* share of answers of which the reflector does not know when they left */
    bool stateless;
    struct form_spec form; /* all 0: TWAMP Light */
    enum mirror_kind mirror;
    bool wrong_key;        /* of the reflector: it answers nothing */
    double rotate_every_s; /* keys, at both ends, one after the other */
    struct truth_checks check;
};
extern const struct scenario sim_scenarios[];
extern const size_t sim_scenarios_n;

/* Loss and its directions over runs of one scenario. */
struct tally {
    uint64_t probes, lost, forward, backward, unknown, true_forward;
    uint64_t wrong_forward, wrong_backward; /* more than the truth, summed over the summaries */
};

/* Prints what is wrong; the number of faults. Adds to *tally. */
unsigned sim_run(const struct scenario *sc, uint64_t seed, int64_t seconds, struct tally *tally);

#endif
