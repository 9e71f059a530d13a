/* controller/relay_theirs.h - what other controllers say: calls that we are to make for them, and what came
 * of each, as long as it stands in what they say; and which tests on demand they run. Pure: times are
 * arguments (ns of the monotonic clock). Not thread-safe.
 *
 * No call is made twice: a process numbers its calls upwards, and one whose number is no higher than that of
 * one that we took already was made, or was given up. */
#ifndef TW_CONTROLLER_RELAY_THEIRS_H
#define TW_CONTROLLER_RELAY_THEIRS_H

#include "controller/relay_ours.h"

#define RELAY_ASKERS_MAX 64u              /* processes that are remembered; those of more are not served */
#define RELAY_ANSWERS_OCTETS (384u << 10) /* in the text at a time; the others wait */
#define RELAY_ANSWER_MAX (256u << 10)     /* of one */
#define RELAY_TESTS_MAX 64u
#define RELAY_REMEMBER_NS (600 * TW_NS_PER_S) /* a process that is not there */

struct relay_in {
    struct relay_in *prev, *next;
    uint64_t id;
    char *agent;
    unsigned method;
    uint8_t *request;
    size_t len;
    enum { RELAY_TO_DO, RELAY_MADE, RELAY_ANSWERED } state;
    Tw__RelayAnswer answer; /* RELAY_ANSWERED */
    bool said, seen;
};
struct relay_running {
    uint64_t id;
    char state[16];
    uint32_t queued, running, done, failed;
};
struct relay_asker {
    struct relay_asker *prev, *next;
    uint64_t self, highest;           /* self 0: what it says cannot be read */
    int64_t lease, revision, gone_ns; /* gone_ns: since when it is not there; 0: it is */
    char *name;
    struct relay_in *calls;
    size_t n;
    struct relay_running tests[RELAY_TESTS_MAX];
    size_t n_tests;
    bool seen;
};
struct relay_theirs {
    struct relay_asker *askers;
    size_t n, n_waiting;        /* n_waiting: answers that there was no room for */
    uint64_t ignored;           /* calls and askers beyond what we serve */
    bool tests_changed;         /* since the caller took it back */
    enum relay_changed changed; /* since relay_theirs_fill() */
};

/* All that is heard now: begin, each text, end. */
void relay_theirs_begin(struct relay_theirs *t);
/* Is it what we took from it last? Then that is all. */
bool relay_theirs_has(struct relay_theirs *t, int64_t lease, int64_t revision);
struct relay_from {
    const char *name;
    int64_t lease, revision;
};
/* said NULL: it cannot be read, and counts as nothing. TW_ENOMEM: some of it is left out until it is told
 * again. */
enum tw_rc relay_theirs_take(struct relay_theirs *t, const char *own, const struct relay_from *from,
                             const Tw__RelaySaid *said);
void relay_theirs_end(struct relay_theirs *t, int64_t now_ns);
void relay_theirs_free(struct relay_theirs *t);

/* The next one that is to be made; NULL: none. Good until the next call of any of these. */
const struct relay_in *relay_theirs_next(struct relay_theirs *t, uint64_t *ret_self);
struct relay_result {
    Tw__Status status;
    const char *detail;
    bool not_here;
    const uint8_t *reply;
    size_t len;
};
/* Nothing happens if nobody waits for it any more. */
void relay_theirs_answer(struct relay_theirs *t, uint64_t self, uint64_t id, const struct relay_result *r);
/* The controller that runs that test; NULL: none that is there. *ret: how it goes. */
const char *relay_theirs_test(const struct relay_theirs *t, uint64_t id, const struct relay_running **ret);

/* As relay_ours_fill(), of m->answers. */
#define RELAY_ANSWERS_MAX (RELAY_ASKERS_MAX * 16)
void relay_theirs_fill(struct relay_theirs *t, Tw__RelaySaid *m);

#endif
