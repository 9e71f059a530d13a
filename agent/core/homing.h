/* agent/core/homing.h - which of its controllers an agent is at: the best one that answers, when the next is
 * tried, when one is given up, and when the agent goes back to a better one. Pure: time is an argument, and
 * chance comes from a seed. Loop thread.
 *
 * Best is by rendezvous hashing: each agent ranks the controllers by a hash of its own name and each one's
 * URL. So agents spread evenly, need no list of each other, do not care about the order of theirs, and when
 * one controller is away only its agents move, to all the others alike.
 *
 * A search goes in rounds: each controller once, the best first, those that failed lately last. Between two
 * rounds it waits: 0.2 s doubling to 30 s, with full jitter. An agent that is not at its best controller
 * tries the better ones now and then, beside its connection, and moves once it was let in there. A controller
 * whose connections do not last, again and again, is left alone for longer each time. With one controller
 * only the rounds are left. */
#ifndef TW_AGENT_HOMING_H
#define TW_AGENT_HOMING_H

#include <stdbool.h>
#include <stddef.h>
#include "common/clk.h"

#define HOMING_MAX 16
#define HOMING_NONE SIZE_MAX

#define HOMING_HOLD_NS (20 * TW_NS_PER_S) /* of one that failed: tried again after half to 1.5 of it */
#define HOMING_STRIKES_MAX 6              /* the second doubles that, and each one after it */
#define HOMING_HOLD_MAX_NS (HOMING_HOLD_NS << (HOMING_STRIKES_MAX - 1))
#define HOMING_BACKOFF_MIN_NS (200 * TW_NS_PER_MS)
#define HOMING_BACKOFF_MAX_NS (30 * TW_NS_PER_S)
#define HOMING_STEADY_NS (10 * TW_NS_PER_S)  /* a connection that held so long: short waits again */
#define HOMING_LASTING_NS (60 * TW_NS_PER_S) /* one that ended sooner makes its controller wait longer */
#define HOMING_CALM_NS (600 * TW_NS_PER_S)   /* that held so long: no network is to blame for silence */

/* How an attempt ended, or a connection. */
enum homing_end {
    HOMING_BROKEN,  /* nobody there, or it broke off */
    HOMING_SILENT,  /* it said nothing for too long */
    HOMING_REFUSED, /* it answered, and takes this agent not now */
    HOMING_AWAY,    /* it sends its agents to another controller: it ends, or cannot do its work */
    HOMING_AGAIN,   /* it wants a new connection: it lives */
    HOMING_UNWANTED /* it does not want this agent: that is an answer, and no other controller is asked for a
                       better one */
};

struct homing_one {
    const char *url;
    uint64_t weight;
    int64_t hold_ns;  /* monotonic: until then it is left alone if there is another one */
    int64_t retry_ns; /* until then it is left alone, since it said so */
    unsigned strikes; /* connections in a row that did not last */
    bool tried;       /* in this round */
};

struct homing {
    struct homing_one v[HOMING_MAX]; /* the best first */
    size_t n;
    size_t at;                  /* connected to it; HOMING_NONE */
    size_t dialing;             /* an attempt is under way; HOMING_NONE */
    size_t last;                /* where it was connected at last; HOMING_NONE: nowhere yet */
    int64_t since_ns, until_ns; /* of the connection; of the attempt: then it is given up */
    int64_t next_ns;            /* not before: the next attempt of a search */
    int64_t backoff_ns;
    unsigned rounds;   /* of this search that came to nothing */
    unsigned silences; /* connections in a row that ended by silence */
    uint64_t moves;    /* from one controller to another */
    uint64_t random;
};

/* The order in which this agent prefers them: ret[0] is the best. n <= HOMING_MAX. The weight is FNV-1a (64
 * bits) of the name, a zero octet and the URL, mixed by splitmix64; the greatest is the best, of equals the
 * first by strcmp(). */
void homing_rank(const char *name, const char *const *urls, size_t n, size_t ret[HOMING_MAX]);

/* The URLs, 1 to HOMING_MAX and no two the same, are borrowed. seed: another one for each process. */
void homing_init(struct homing *h, const char *name, const char *const *urls, size_t n, uint64_t seed);

enum homing_do {
    HOMING_WAIT,   /* until `due`, or until something is told */
    HOMING_DIAL,   /* connect to `which`: tell homing_up() or homing_ended() */
    HOMING_GIVE_UP /* the attempt at `which` takes too long: end it and tell homing_ended() */
};
struct homing_step {
    enum homing_do what;
    size_t which;       /* in rank */
    struct tw_mono due; /* TW_MONO_NEVER: not by itself */
};
struct homing_step homing_next(struct homing *h, struct tw_mono now);

/* The attempt at `which` succeeded: any connection that there was is to be closed. */
void homing_up(struct homing *h, size_t which, struct tw_mono now);
/* The attempt or the connection is over. retry_ns: the controller wants to be left alone for so long; 0: it
 * did not say. */
void homing_ended(struct homing *h, size_t which, enum homing_end end, int64_t retry_ns, struct tw_mono now);
/* What kept it from coming in has changed: nobody is waited for any longer. */
void homing_hurry(struct homing *h, struct tw_mono now);

/* Is there somewhere else to go, if the attempt that is under way is refused? */
bool homing_has_others(const struct homing *h, struct tw_mono now);
/* How long a connection that begins now may be silent; 0: as the other end expects. Short if there are other
 * controllers, but longer after one silence upon another: then it is more likely that this line is slow. */
uint32_t homing_dead_ms(const struct homing *h);

#endif
