/* agent/twamp_run.h - sessions of protocol TWAMP: for each pair one TWAMP-Control connection, on which all
 * its flows are sessions. Loop thread only. RFC 5357 section 3.
 *
 * A pair dials, asks for its flows, starts them, and only then hands them to the workers. When the connection
 * is lost, or nothing is accepted, its sessions stop, the reason is told, and it tries again: after 1 s,
 * doubling to 60 s, with full jitter. A flow that the server refuses while it takes others stays refused
 * until the pair dials again. When settings change the sessions end first (their last answers are awaited),
 * then Stop-Sessions is sent and the connection closed. */
#ifndef TW_AGENT_TWAMP_RUN_H
#define TW_AGENT_TWAMP_RUN_H

#include "agent/session_spec.h"

struct keyring;
struct twamp_run;

struct twamp_run_conf {
    struct loop *loop;
    struct worker **workers;
    size_t n_workers;
    struct keyring *keys; /* NULL: none */
    /* Why a flow does not run, for the operator; NULL: it does. Called when that changes. */
    void (*on_state)(void *ctx, uint64_t pair_id, uint32_t flow, const char *why);
    /* A session was handed to its worker: a notice will come, to be passed to twamp_run_notice(). */
    void (*on_handed)(void *ctx, uint64_t pair_id);
    void *ctx;
};

enum tw_rc twamp_run_new(const struct twamp_run_conf *c, struct twamp_run **ret);
/* Says Stop-Sessions on each connection whose sessions run, as far as it goes without waiting, and closes
 * them all. */
void twamp_run_free(struct twamp_run *t);

/* One flow more, or with other settings, and one less. What comes in one go is one change to a pair: it takes
 * effect when the loop goes on. TW_ENOMEM. */
enum tw_rc twamp_run_add(struct twamp_run *t, const struct session_spec *spec);
void twamp_run_remove(struct twamp_run *t, uint64_t pair_id, uint32_t flow);
/* Has its worker still got a session of ours of this flow that nobody has told it to end? */
bool twamp_run_holds(const struct twamp_run *t, uint64_t pair_id, uint32_t flow);
/* TW_EBUSY: its worker's ring is full. */
enum tw_rc twamp_run_set_generation(struct twamp_run *t, uint64_t pair_id, uint32_t flow,
                                    uint64_t generation);
/* What a worker says of any session: those that are not ours are ignored. */
void twamp_run_notice(struct twamp_run *t, const struct worker_notice *n);

#endif
