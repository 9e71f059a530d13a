/* controller/joining_priv.h - what the files of joining share. */
#ifndef TW_CONTROLLER_JOINING_PRIV_H
#define TW_CONTROLLER_JOINING_PRIV_H

#include "common/log.h"
#include "controller/core/access_tries.h"
#include "controller/joining.h"
#include "controller/writer.h"
#include "db/store_join.h"

struct joining {
    Tw__Join_Service service; /* first */
    struct rpc_service offered;
    struct controller *c;
    struct authority *ca; /* NULL: there is none */
    char ca_dir[4096];
    int64_t life_ns;
    struct join_token *tokens; /* oldest first */
    size_t n_tokens, cap_tokens;
    struct join_call *admitting; /* whose agents, with a use of a token, are on the way to the store */
    struct access_tries *tries; /* with wrong tokens */
    int64_t second; /* of the calls in in_second */
    unsigned in_second, under_way;
    struct joining_stats stats; /* the counters of it */
    struct loop_timer renew;
    struct log_limit refused_log;
};

/* joining_tokens.c */
enum tw_rc joining_load_tokens(struct joining *j, struct tw_err *err);
struct join_token *joining_token(struct joining *j, const char *id); /* NULL: there is none */
void joining_token_row(const struct join_token *t, char labels[JOIN_LABELS_TEXT],
                       struct store_join_token *ret);
void joining_token_of_row(const struct store_join_token *row, struct join_token *ret);
/* All that there are in the store, oldest first; takes v, which is malloc'ed. */
void joining_follow_tokens(struct joining *j, struct join_token *v, size_t n);
/* joining.c: these are all certificates of the agents that any of them is of, each agent's from the oldest to
 * the newest. TW_ENOMEM: some agents have none now. */
enum tw_rc joining_follow_certificates(struct joining *j, const struct store_certificate *v, size_t n);
/* joining_calls.c */
uint32_t joining_uses(const struct joining *j, const struct join_token *t); /* with those on the way */
void joining_calls_init(struct joining *j);

#endif
