/* agent/diagnose_call.h - one call of Diagnose that sends packets, from the name to the answer. Loop thread.
 * diagnose.c has checked it and counts it. */
#ifndef TW_AGENT_DIAGNOSE_CALL_H
#define TW_AGENT_DIAGNOSE_CALL_H

#include "agent/target_rules.h"
#include "common/net/rpc.h"
#include "fleet.pb-c.h"

#define DIAGNOSE_PACKETS 80u /* that a call sends at most */

struct diagnose_call;
struct diagnose_call_conf {
    struct loop *loop;
    struct target_rules targets;
    const Tw__DiagnoseRequest *rq; /* valid until it is answered */
    Tw__DiagnoseReply_Closure closure;
    void *closure_data;
    void (*ended)(void *ctx, struct diagnose_call *c,
                  unsigned packets); /* it is answered: diagnose_call_free() it, here or later */
    void *ctx;
};
/* Not OK: the call is not answered, and nothing is left of it. */
enum tw_rc diagnose_call_start(const struct diagnose_call_conf *conf, struct diagnose_call **ret,
                               struct tw_err *err);
/* Answers it, if that is still to be done: the agent stops. */
void diagnose_call_cancel(struct diagnose_call *c);
/* Waits for its name's thread: false if that is still running and `wait` is false, and nothing is freed. */
bool diagnose_call_free(struct diagnose_call *c, bool wait);

#endif
