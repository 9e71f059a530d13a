/* controller/gate.h - who comes in, and as whom: the checks of tokens at both doors (RPC for operators,
 * HTTP), the tokens themselves, and what ends with them. What a role may do is in the rows of admin.h. Loop
 * thread.
 *
 * By RPC: whoever may open an ipc:// socket is an admin, or, with a token, who it says. By TLS a token or an
 * operator's certificate is needed; with both the token counts. Plain TCP never carries one: on loopback, and
 * only while there are no tokens at all, it lets look. By HTTP: a token as Authorization: Bearer, or the
 * cookie of a session, which began with one (http/login.h), or, by HTTPS, an operator's certificate; from
 * loopback, and only while there are no tokens at all, without one: to look. By plain HTTP, without a token,
 * only under a name that is ours: any page can make a browser here ask under its own. What everybody may see
 * is shown whatever token comes along. A connection lasts as long as its token, and its session. */
#ifndef TW_CONTROLLER_GATE_H
#define TW_CONTROLLER_GATE_H

#include "common/conf.h"
#include "common/net/httpd.h"
#include "common/net/rpc.h"
#include "controller/core/access.h"
#include "controller/core/access_tries.h"
#include "controller/core/web_session.h"
#include "db/store_access.h"

struct controller;
struct gate;

/* Who asks, and from where. */
struct actor {
    struct access_who who; /* name "" and role ACCESS_NOBODY: nobody knows */
    char way[8];           /* "socket", "tls", "tcp", "http", "page" */
    char origin[64];       /* numeric address; "uid 1000 pid 4711" on a socket */
    bool by_session;       /* of the page: http/login.h */
    bool by_certificate;   /* over HTTPS: a browser shows it whoever's page asks */
    struct web_session_key session;
};
_Static_assert(sizeof(struct actor) <= HTTP_NOTE, "it is the note of a request");

#define GATE_TOKENS_MAX 4096

/* Whose turn it is when many ask: the holder of a token, however it comes, or else an address or a process.
 * For struct reader_client. */
uint64_t gate_client(const struct actor *a);

/* Reads the tokens from the store; before the writer starts. */
enum tw_rc gate_new(struct controller *c, struct gate **ret, struct tw_err *err);
/* Are they names of hosts? TW_EINVAL. */
enum tw_rc gate_check_names(const struct conf_strlist *names, struct tw_err *err);
void gate_free(struct gate *g);
/* From then on tokens are looked at from time to time: what expires ends, uses are noted in the store. */
enum tw_rc gate_start(struct gate *g);
/* Notes the last uses. Before the writer stops. */
void gate_stop(struct gate *g);

/* ---- RPC ---- */

/* For the operators' listener. */
struct rpc_hooks gate_rpc_hooks(struct gate *g);
/* Who made the call. */
const struct actor *gate_caller(void *closure_data);

/* ---- HTTP ---- */

/* httpd_conf.guard; ctx is the controller. The note of a request that it lets through is a struct actor. */
bool gate_http(void *ctx, struct http_req *rq);
/* httpd_conf.after. What the handlers read from the database is read for gate_client(). */
void gate_http_after(void *ctx);
static inline const struct actor *gate_http_actor(struct http_req *rq)
{
    return http_note(rq);
}
/* Whose token is it that came from `address`? Wrong ones are counted, limited and in the audit log.
 * *ret_wait_ns: not 0: too many wrong ones came, and so long no other wrong one is told apart. Sets *ret only
 * with ACCESS_OK. For the login of the page, too. */
enum access_verdict gate_token(struct gate *g, const char *way, const char *address, const char *text,
                               struct access_who *ret, int64_t *ret_wait_ns);

/* Whose certificate is it that TLS has verified? Others are in the audit log. Sets *ret only with ACCESS_OK.
 */
enum access_verdict gate_certificate(struct gate *g, const char *way, const char *address,
                                     const uint8_t sha256[ACCESS_CERTIFICATE_OCTETS], struct access_who *ret);

/* ---- Tokens ---- */

struct access *gate_tokens(struct gate *g);
struct gate_new {
    const char *name, *author;
    enum access_role role;
    int64_t duration_ns;        /* 0: until it is revoked */
    const uint8_t *certificate; /* ACCESS_CERTIFICATE_OCTETS: SHA-256 of a certificate that counts as a token;
                                   NULL: makes a token */
};
/* Makes a token. done() runs when it is stored, with its text, or NULL and why not. TW_EINVAL, TW_EEXIST (a
 * token of that name works, or that certificate is known), TW_ENOSPC (GATE_TOKENS_MAX), TW_ENOMEM, TW_EBUSY:
 * done() does not run. */
enum tw_rc gate_create(struct gate *g, const struct gate_new *n,
                       void (*done)(void *ctx, const struct access_token *t, const char *text,
                                    const struct tw_err *err),
                       void *ctx, struct tw_err *err);
/* It works no more at once; what it let in is cut off when that is stored, or 2 s later. done() runs when
 * that is stored. TW_ENOENT, TW_EEXIST (it is revoked already), TW_ENOMEM: not. */
enum tw_rc gate_revoke(struct gate *g, const char *id,
                       void (*done)(void *ctx, const struct access_token *t, const char *text,
                                    const struct tw_err *err),
                       void *ctx, struct tw_err *err);
/* "active", "expired", "revoked" */
const char *gate_token_state(const struct access_token *t, struct tw_wall now);

/* Ends what began with a token or a session that is no more. Happens by itself every 2 s. */
void gate_sweep(struct gate *g);

struct gate_counters {
    struct access_tries_counts tries;
    uint64_t tokens;      /* that work */
    uint64_t anonymous;   /* refused: no token came where one is needed */
    uint64_t forbidden;   /* refused: the role may not */
    uint64_t misdirected; /* refused: HTTP by a name that is not ours */
    uint64_t cut_off;     /* connections that ended with their token */
};
void gate_counters(const struct gate *g, struct gate_counters *ret);
void gate_count_forbidden(struct gate *g);

#endif
