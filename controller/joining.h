/* controller/joining.h - who becomes an agent of the fleet: join tokens, the service Join, certificates
 * issued and renewed, and the controller's own certificate. Loop thread.
 *
 * Whatever is answered is durable before: a token's use and the agent that it let in are one transaction, and
 * a certificate is in the database before anybody has it. Who asks again, because an answer was lost, gets
 * the same. Calls are bounded in number, in rate, and those who try wrong tokens by their address. */
#ifndef TW_CONTROLLER_JOINING_H
#define TW_CONTROLLER_JOINING_H

#include "common/net/authority.h"
#include "common/net/join_token.h"
#include "common/net/rpc.h"
#include "controller/controller.h"
#include "join.pb-c.h"

#define JOINING_TOKENS_MAX 1000

struct joining;
struct joining_conf {
    struct controller *c;
    const char *ca_dir;
    int64_t life_ns; /* of agents' certificates; 0 = 90 days */
};
/* Reads tokens and certificates from the store; before the writer starts, after the agents. A CA directory
 * that is not there is no error: nobody can join then. */
enum tw_rc joining_new(const struct joining_conf *conf, struct joining **ret, struct tw_err *err);
void joining_free(struct joining *j);
/* Reads the CA's directory anew: the listeners get the controller's certificate that is there. It must be the same CA, since agents' certificates
 * are its. Without a CA: nothing. On an error all stays as it was. */
enum tw_rc joining_reload(struct joining *j, struct tw_err *err);
/* What the agents' listener offers to those without a certificate. */
const struct rpc_service *joining_service(struct joining *j);
/* NULL: there is none. */
struct authority *joining_authority(struct joining *j);

/* Before a call that ends in a certificate: false: there are too many, or the control state cannot be used,
 * and it is answered. Else it is made again by itself, from its beginning, when what it was decided by has
 * been changed by another controller (decide.h). */
bool joining_admits(struct joining *j, ProtobufCService *service, unsigned method, const ProtobufCMessage *rq,
                    ProtobufCClosure closure, void *closure_data);
/* The next certificate of an agent that is connected and approved; `name`: as it calls itself. Answers the
 * call, which joining_admits(). */
void joining_renew(struct joining *j, struct agent *a, const char *name, const Tw__RenewRequest *rq,
                   Tw__JoinReply_Closure closure, void *closure_data);

/* Oldest first. */
size_t joining_tokens(const struct joining *j, const struct join_token **ret);
/* *t has all but id and digest. done() gets the token as it was stored, and its text; rc TW_ENOENT: there is
 * no CA; TW_ENOSPC: there are too many. It may run before this returns. */
struct joining_token_result {
    enum tw_rc rc;
    struct tw_err err;
    struct join_token token;
    char text[JOIN_TOKEN_TEXT]; /* made: "" else */
};
typedef void joining_token_done(void *ctx, const struct joining_token_result *r);
void joining_token_make(struct joining *j, const struct join_token *t, joining_token_done *done, void *ctx);
/* TW_ENOENT: no such token. One that is revoked already stays as it is. */
void joining_token_revoke(struct joining *j, const char *id, joining_token_done *done, void *ctx);

struct joining_stats {
    uint64_t calls, refused, limited; /* calls of Join; not admitted; sent away since there were too many */
    uint64_t issued, server_renewals, server_renewals_failed;
    uint64_t tokens_usable;
    int64_t agents_expire_ns; /* the soonest of the newest certificates of agents that are approved and not
                                 revoked; 0: none */
    int64_t server_expires_ns, ca_expires_ns; /* 0: there is no CA */
};
void joining_stats(const struct joining *j, int64_t now_ns, struct joining_stats *ret);

#endif
