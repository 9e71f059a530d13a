/* controller/gate_priv.h - what the files of the gate share. */
#ifndef TW_CONTROLLER_GATE_PRIV_H
#define TW_CONTROLLER_GATE_PRIV_H

#include "common/log.h"
#include "controller/audit.h"
#include "controller/controller.h"
#include "controller/gate.h"

/* An operator's connection. */
struct gate_peer {
    struct gate_peer *prev, *next;
    struct rpc_peer *peer;
    struct actor actor;
};

struct gate {
    struct controller *c;
    struct access *tokens;
    struct access_tries *tries;
    struct save *making; /* gate_tokens.c: new tokens on their way to the disk */
    struct gate_peer *peers;
    struct actor coming; /* from on_hello() to on_up() */
    char refusal[256];   /* what on_hello() says */
    uint32_t refused_for_ms; /* and when to come again; 0: as ever */
    struct loop_timer look;
    int64_t flush_due_ns, used_flushed_ns;
    uint64_t anonymous, forbidden, misdirected, cut_off;
    struct log_limit wrong_log;
};

/* gate_tokens.c */
/* False: it is none. */
bool gate_token_of_row(const struct store_access_token *row, struct access_token *ret);
/* v, which it sorts, is all that there are in the store, where others made and revoked some. What is no more,
 * and what they let in, works no longer. TW_ENOMEM, TW_ENOSPC: not all are known. */
enum tw_rc gate_follow(struct gate *g, struct access_token *v, size_t n);
enum tw_rc gate_load(struct gate *g, struct tw_err *err);
/* Stores when tokens were last used, for those whose use is newer than what is stored. */
void gate_flush_uses(struct gate *g);

#endif
