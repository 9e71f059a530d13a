/* controller/relay_ours.h - calls of ours that other controllers are to make, since they have the agent:
 * which stand in what we say to them, where each goes while agents move, and how each ends. Pure: times are
 * arguments (ns of the monotonic clock). Not thread-safe.
 *
 * A call stands in our text until it is over; whoever sees that it is not there any more does not make it, if
 * it has not yet. It goes to another controller only if it was not made: it had not been said, or the answer
 * was that the agent is not there. */
#ifndef TW_CONTROLLER_RELAY_OURS_H
#define TW_CONTROLLER_RELAY_OURS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clk.h"
#include "common/net/rpc_frame.h"
#include "controller/relay_text.h"

#define RELAY_CALLS_MAX 256u           /* in the text at a time; the others wait */
#define RELAY_CALLS_OCTETS (64u << 10) /* of these */
#define RELAY_REQUEST_MAX (16u << 10)  /* of one */
#define RELAY_WAITING_MAX 4096u        /* with those in the text */

enum relay_changed {
    RELAY_SAME,
    RELAY_TIDIER /* something is over */,
    RELAY_NEWS /* somebody waits for it */
};

struct relay_ask {
    const char *to, *agent; /* as in proto/relay.proto */
    unsigned method;
    const uint8_t *request;
    size_t len;
    int64_t by_ns; /* then it is given up */
    void *ctx;
};
struct relay_out {
    struct relay_out *prev, *next;
    Tw__RelayCall call;
    int64_t by_ns;
    void *ctx;
    bool said, not_here; /* not_here: that was its answer */
    /* When it is over: */
    bool here;     /* its agent is connected to us now, and nobody has made it: we are to */
    bool answered; /* by who made it */
    Tw__Status status;
    char detail[RPC_MAX_DETAIL + 1];
    uint8_t *reply; /* of status OK */
    size_t reply_len;
};
struct relay_ours {
    struct relay_out *calls, *over; /* in order of their numbers; in order of their end */
    size_t n, n_said;
    uint64_t last_id;
    enum relay_changed changed; /* since relay_ours_fill() */
};

/* Copies what it is given. TW_EBUSY: too many wait; TW_ERANGE: the request is too large; TW_ENOMEM. */
enum tw_rc relay_ours_ask(struct relay_ours *o, const struct relay_ask *what);
/* What `who` answers to us, who are `self`. */
void relay_ours_take(struct relay_ours *o, const char *who, uint64_t self, const Tw__RelaySaid *said);
struct relay_places {
    const char *own; /* our name */
    const char *(*where)(void *ctx,
                         const char *agent); /* the controller that it is connected to; NULL: none */
    bool (*is_up)(void *ctx, const char *controller);
    void *ctx;
};
/* After agents or controllers came or went. */
void relay_ours_route(struct relay_ours *o, const struct relay_places *p);
void relay_ours_expire(struct relay_ours *o, int64_t now_ns);
void relay_ours_end_all(struct relay_ours *o, const char *detail);
/* One that is over, which is the caller's then; NULL: none. */
struct relay_out *relay_ours_next_over(struct relay_ours *o);
void relay_out_free(struct relay_out *c);
/* Points m->calls, which has room for RELAY_CALLS_MAX, at those that there is room for. Good until the next
 * call of any of these. */
void relay_ours_fill(struct relay_ours *o, Tw__RelaySaid *m);
/* From malloc(), also of no octets; NULL: no memory. */
uint8_t *relay_copy(const uint8_t *data, size_t len);
/* How many octets a message takes in another one. */
size_t relay_octets(const ProtobufCMessage *m);

#endif
