/* tests/sim/sim_priv.h - the state of a simulation; private to sim_*.c. */
#ifndef TESTS_SIM_SIM_PRIV_H
#define TESTS_SIM_SIM_PRIV_H

#include "common/timerq.h"
#include "tests/sim/sim.h"

#define MS TW_NS_PER_MS

enum { CAP = 2000, TOS = 184 };

enum event_kind { AT_REFLECTOR, AT_SENDER, LEFT_TOLD, CLOCK_STEP, RESTART, ROTATE, STALL, STOP };

struct event {
    struct timerq_entry entry; /* first */
    enum event_kind kind;
    size_t probe;                /* index of the truth */
    int64_t arrived_ns, t4_wall; /* at the sender's socket; 0 = not yet */
    bool *delivered;             /* shared by the copies of one answer: set when the first of them arrives */
    bool corrupt;
    int64_t t2, t3, t3_left; /* of an answer, as the reflector's clock has them */
    uint32_t number;
    size_t len;
    uint8_t data[];
};

struct answer_mark { /* lists all, for freeing */
    struct answer_mark *next;
    bool delivered;
};

struct sim {
    const struct scenario *sc;
    struct session_cfg cfg;
    struct rng rng;
    struct timerq q;
    int64_t now_ns, wall_offset_ns, stalled_until_ns;
    struct session *session;
    struct mirror *mirror;
    unsigned key, rotation;            /* the sender's; steps of the change of keys so far */
    uint64_t refused, corrupt_answers; /* by the reflector; that reached the session */
    unsigned mix[3];                   /* sizes sent of the present twelve */
    uint64_t samples[SAMPLE_SEND_ERROR + 1];
    struct path out, back;
    struct truth truth;
    struct answer_mark *marks;
    struct tw_summary *sum;
    size_t n_sum;
    bool stopped;
    unsigned bad;
};

static inline struct tw_now sim_now(const struct sim *s)
{
    return (struct tw_now){ { s->now_ns }, { s->now_ns + s->wall_offset_ns } };
}

/* sim_check.c */
void sim_check(struct sim *s, bool ok, const char *what);
void sim_take_summaries(struct sim *s);
/* The size of the probe that was sent last. */
void sim_check_size(struct sim *s, size_t len);
/* What both ends have counted, when all is over. */
void sim_check_counters(struct sim *s);
void sim_add_tally(const struct sim *s, struct tally *t);

#endif
