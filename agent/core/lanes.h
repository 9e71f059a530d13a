/* agent/core/lanes.h - which stretch of the spool is sent next: fresh results first, and what waited while
 * the controller could not be reached (the backlog) beside them, slowly, in what they leave of the window.
 * Pure: time and numbers are arguments. Loop thread.
 *
 * A small part of the window is kept for the backlog (a record of a gap goes before it), so that it moves on
 * a line that takes no more than what is fresh, too.
 *
 * The fresh lane begins at a mark and goes on to the end of the spool, in order. All below the mark that has
 * not been sent is the backlog, which goes oldest first. The mark jumps forward when much has come together
 * that is not fresh any more: after an outage, or when the controller takes less than comes. What it jumps
 * over is one more hole, and of those there are a few at most: then everything goes in order until one is
 * filled. A controller that takes no stretches ahead (max 0) gets everything in order, at once. */
#ifndef TW_AGENT_LANES_H
#define TW_AGENT_LANES_H

#include "common/clk.h"
#include "common/seqset.h"

#define LANES_JUMP_MIN 256 /* fewer numbers are not worth a jump: they are one batch */
#define LANES_BACKLOG_FLYING \
    512 /* numbers of the backlog that may be unacknowledged: fresh ones wait behind them */
#define LANES_BACKLOG_PART 10 /* of this many of the window one is the backlog's, while there is one */
#define LANES_FRESH_NS (30 * TW_NS_PER_S) /* so old is what is fresh at most, when the mark is set */

/* What the controller has, and what it wants. */
struct lanes_grant {
    uint64_t through;       /* all up to it is durable, or nobody's concern any more */
    bool anchored;          /* the controller has something of this spool: it notices what is missing */
    struct seqset ahead;    /* durable beyond it */
    uint32_t max;           /* stretches ahead that it takes; 0: none */
    uint32_t window;        /* numbers that may be unacknowledged */
    uint32_t backlog_per_s; /* records of the backlog, each second; 0: as the window allows */
};

struct lanes { /* zero at first */
    struct lanes_grant grant;
    struct seqset sent;     /* with all that is durable; its first stretch begins at 1 */
    uint64_t fresh;         /* the mark */
    int64_t backlog_due_ns; /* monotonic: not before */
};

struct lanes_pick {
    uint64_t first, last; /* so many of these as there are records in a row */
    uint64_t gap_last;    /* a gap that begins at first may go to here: it is one record */
    bool backlog;
    bool ahead; /* to be said in the batch */
};

/* A connection begins, or a batch was refused: all that is not durable is to be sent. The mark is at the end
 * of what is durable. */
void lanes_reset(struct lanes *l, const struct lanes_grant *g);
/* An acknowledgement. One that says less than an earlier one is ignored, but for the window. */
void lanes_ack(struct lanes *l, const struct lanes_grant *g);
/* Is there so much to be sent in the fresh lane that the mark may have to jump? Then find the first number
 * that is fresh and: */
bool lanes_lags(const struct lanes *l, uint64_t last_seq);
void lanes_jump(struct lanes *l, uint64_t last_seq, uint64_t fresh_seq);

/* What to send next, of a spool that ends with last_seq. False: nothing now; lanes_due() says when to ask
 * again, unless something comes or is acknowledged before. */
bool lanes_next(const struct lanes *l, uint64_t last_seq, struct tw_mono now, struct lanes_pick *ret);
struct tw_mono lanes_due(const struct lanes *l, struct tw_mono now); /* TW_MONO_NEVER: not by itself */
/* It was sent: the pick's first to `last` (a gap counts as one record). */
void lanes_sent(struct lanes *l, const struct lanes_pick *p, uint64_t last, uint64_t records,
                struct tw_mono now);

/* Numbers of the backlog that have not been sent, from first_seq on: what is before it is in the spool no more. */
uint64_t lanes_backlog(const struct lanes *l, uint64_t first_seq);

#endif
