/* agent/join.h - how this agent becomes one of the fleet: gets the CA's certificate and compares it with what
 * its token says of it, shows the token, waits for approval, and keeps its certificate. Also how one whose
 * certificate is over, since it was away for long, gets another. Loop thread.
 *
 * Each step is a connection of its own. What is known is in the files of credentials.h: after a crash it goes
 * on from there. */
#ifndef TW_AGENT_JOIN_H
#define TW_AGENT_JOIN_H

#include "agent/core/homing.h"
#include "agent/credentials.h"
#include "common/net/rpc.h"

/* What comes next, and how long to wait. Pure. */
enum join_do {
    JOIN_GET_CA, /* over a connection that is not verified */
    JOIN_SHOW_TOKEN,
    JOIN_ASK_AGAIN, /* whether it is approved; by the agent's identity alone */
    JOIN_DONE,
    JOIN_NO_TOKEN /* it is unknown which controller is the right one */
};
struct join_facts {
    bool ca, certificate; /* there are; the certificate's time is not over */
    bool token;           /* was given */
    bool waits;           /* the token was taken: for an operator */
};
enum join_do join_next(const struct join_facts *f);
/* 1 s, doubling to 30 s. */
int64_t join_pause_ns(unsigned failures);
/* Asking again would bring the same answer: somebody has to do something. */
bool join_is_final(Tw__Status s);

struct join;
struct join_conf {
    struct loop *loop;
    const char *const
        *urls; /* of controllers of one authority: the next one is asked when one does not answer; borrowed */
    size_t n_urls; /* 1 to HOMING_MAX */
    const char *name;
    const char *token; /* NULL: none; copied */
    const struct identity *identity;
    struct credentials *credentials;
    void (*on_joined)(
        void *ctx); /* there is a certificate; from the loop, and join_stop() may be called in it */
    void (*on_failed)(void *ctx, const char *why); /* it cannot go on; likewise */
    void *ctx;
};
/* TW_EINVAL: the token is none, or of another CA than the one that is trusted already. */
enum tw_rc join_start(const struct join_conf *c, struct join **ret, struct tw_err *err);
void join_stop(struct join *j); /* NULL is allowed */

#endif
