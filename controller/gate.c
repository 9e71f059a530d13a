#include "controller/gate.h"
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>
#include "common/addr.h"
#include "common/fnv1a.h"
#include "common/hostname.h"
#include "common/net/http_host.h"
#include "controller/admin.h"
#include "controller/core/web_cookie.h"
#include "controller/gate_priv.h"
#include "controller/http/api.h"
#include "controller/http/login.h"

#define LOOK_NS (2 * TW_NS_PER_S)   /* a token that expires ends its connections so soon */
#define FLUSH_NS (60 * TW_NS_PER_S) /* how often uses are noted in the store */

static bool is_loopback(const char *address)
{
    struct tw_addr a;

    return tw_addr_parse(address, 0, &a) == TW_OK && tw_addr_is_loopback(&a);
}

static void set_way(struct actor *a, const char *way, const char *origin)
{
    snprintf(a->way, sizeof a->way, "%s", way);
    snprintf(a->origin, sizeof a->origin, "%s", origin);
}

/* Nobody has made any: nobody can be asked for one. */
static bool no_tokens(const struct gate *g)
{
    return access_count(g->tokens) == 0;
}

uint64_t gate_client(const struct actor *a)
{
    return tw_fnv1a_text(*a->who.id ? a->who.id : a->origin);
}

/* ---- Tokens that come ---- */

static void note_wrong(struct gate *g, const char *way, const char *address, const char *reason)
{
    struct actor nobody = { .who = { .role = ACCESS_NOBODY } };
    unsigned held = 0;

    set_way(&nobody, way, address);
    audit_refused(g->c->audit, &nobody, "Login", "", TW__STATUS__STATUS_UNAUTHENTICATED, reason);
    if (log_limit_ok(&g->wrong_log, loop_now(g->c->loop).mono.ns, &held))
        log_warn("wrong access token or certificate", LOG_S("way", way), LOG_S("address", address),
                 LOG_S("reason", reason), LOG_U("not_logged", held));
}

enum access_verdict gate_token(struct gate *g, const char *way, const char *address, const char *text,
                               struct access_who *ret, int64_t *ret_wait_ns)
{
    enum access_verdict v = access_find(g->tokens, loop_now(g->c->loop).wall, text, ret);

    *ret_wait_ns = v == ACCESS_OK ? 0 : access_tries_wrong(g->tries, loop_now(g->c->loop).mono, address);
    if (v == ACCESS_OK || *ret_wait_ns) /* those beyond the limit are only counted */
        return v;
    note_wrong(g, way, address, access_verdict_text(v));
    return v;
}

enum access_verdict gate_certificate(struct gate *g, const char *way, const char *address,
                                     const uint8_t sha256[ACCESS_CERTIFICATE_OCTETS], struct access_who *ret)
{
    enum access_verdict v = access_find_certificate(g->tokens, loop_now(g->c->loop).wall, sha256, ret);

    if (v != ACCESS_OK && !access_tries_wrong(g->tries, loop_now(g->c->loop).mono, address))
        note_wrong(g, way, address, access_certificate_text(v)); /* those beyond the limit are only counted */
    return v;
}

static unsigned seconds_up(int64_t ns)
{
    return (unsigned)((ns + TW_NS_PER_S - 1) / TW_NS_PER_S);
}

/* ---- RPC: a connection ---- */

/* By the file only: other sources of names may take their time. */
static void name_of_user(int64_t uid, char ret[ACCESS_NAME_MAX])
{
    FILE *f = uid < 0 ? NULL : fopen("/etc/passwd", "re");
    char text[1024];
    struct passwd pw, *found = NULL;

    snprintf(ret, ACCESS_NAME_MAX, "uid-%" PRId64, uid);
    while (f && fgetpwent_r(f, &pw, text, sizeof text, &found) == 0)
        if (pw.pw_uid == (uid_t)uid) {
            snprintf(ret, ACCESS_NAME_MAX, "%.63s", pw.pw_name);
            break;
        }
    if (f)
        fclose(f);
}

static void come_by_socket(struct actor *a, const struct rpc_hello *h)
{
    char origin[sizeof a->origin];

    snprintf(origin, sizeof origin, "uid %" PRId64 " pid %" PRId64, h->uid, h->pid);
    set_way(a, "socket", origin);
    a->who.role = ACCESS_ADMIN; /* the file's permissions say who may */
    name_of_user(h->uid, a->who.name);
}

static Tw__Status refuse(struct gate *g, Tw__Status status, const char *text)
{
    snprintf(g->refusal, sizeof g->refusal, "%s", text);
    return status;
}

static Tw__Status come_with_token(struct gate *g, const struct rpc_hello *h, struct actor *a)
{
    int64_t wait_ns = 0;
    enum access_verdict v;

    if (*h->address && !h->tls)
        return refuse(g, TW__STATUS__STATUS_UNAUTHENTICATED,
                      "the access token came over plain TCP, where others can read it: revoke it, and use "
                      "tls+tcp:// or ipc://");
    v = gate_token(g, a->way, h->address, h->token, &a->who, &wait_ns);
    if (v == ACCESS_OK)
        return TW__STATUS__STATUS_OK;
    a->who = (struct access_who){ .role = ACCESS_NOBODY };
    if (!wait_ns)
        return refuse(g, TW__STATUS__STATUS_UNAUTHENTICATED, access_verdict_text(v));
    snprintf(g->refusal, sizeof g->refusal, "too many wrong access tokens came from %s: wait %u s",
             h->address, seconds_up(wait_ns));
    g->refused_for_ms = 1000 * seconds_up(wait_ns);
    return TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
}

static Tw__Status come_with_certificate(struct gate *g, const struct rpc_hello *h, struct actor *a)
{
    enum access_verdict v = gate_certificate(g, a->way, h->address, h->certificate->sha256, &a->who);

    return v == ACCESS_OK ? TW__STATUS__STATUS_OK
                          : refuse(g, TW__STATUS__STATUS_UNAUTHENTICATED, access_certificate_text(v));
}

static Tw__Status come_without(struct gate *g, const struct rpc_hello *h, struct actor *a)
{
    if (!*h->address)
        return TW__STATUS__STATUS_OK;
    if (h->certificate)
        return come_with_certificate(g, h, a);
    if (!h->tls && is_loopback(h->address) && no_tokens(g)) {
        a->who.role = ACCESS_VIEWER;
        snprintf(a->who.name, sizeof a->who.name, "local");
        return TW__STATUS__STATUS_OK;
    }
    g->anonymous++;
    return refuse(g, TW__STATUS__STATUS_UNAUTHENTICATED,
                  "an access token is needed here: --token-file or TWAMPCTL_TOKEN; twampctl access token "
                  "create makes one; or an operator's certificate: --client-cert, by twampctl ca operator");
}

static void on_hello(void *ctx, const struct rpc_hello *h, struct rpc_welcome *ret)
{
    struct gate *g = ctx;
    struct actor *a = &g->coming;

    *a = (struct actor){ .who = { .role = ACCESS_NOBODY } };
    g->refused_for_ms = 0;
    if (*h->address)
        set_way(a, h->tls ? "tls" : "tcp", h->address);
    else
        come_by_socket(a, h);
    ret->status = *h->token ? come_with_token(g, h, a) : come_without(g, h, a);
    ret->detail = g->refusal;
    ret->retry_ms = g->refused_for_ms;
    ret->grant = RPC_SERVICE_BIT(RPC_ADMIN); /* over TLS, too: it came with a token */
}

static void on_up(void *ctx, struct rpc_peer *p)
{
    struct gate *g = ctx;
    struct gate_peer *gp = calloc(1, sizeof *gp);

    if (!gp) {
        rpc_peer_close(p, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    gp->peer = p;
    gp->actor = g->coming;
    DL_APPEND(g->peers, gp);
    rpc_peer_set_ctx(p, gp);
}

static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct gate *g = ctx;
    struct gate_peer *gp = rpc_peer_ctx(p);

    (void)status;
    (void)detail;
    if (!gp)
        return;
    rpc_peer_set_ctx(p, NULL);
    DL_DELETE(g->peers, gp);
    free(gp);
}

struct rpc_hooks gate_rpc_hooks(struct gate *g)
{
    return (struct rpc_hooks){ .ctx = g, .on_hello = on_hello, .on_up = on_up, .on_down = on_down };
}

const struct actor *gate_caller(void *closure_data)
{
    static const struct actor nobody = { .who = { .role = ACCESS_NOBODY } };
    const struct actor *a = rpc_call_caller(closure_data);
    struct rpc_peer *p = a ? NULL : rpc_call_peer(closure_data);
    struct gate_peer *gp = p ? rpc_peer_ctx(p) : NULL;

    return a ? a : gp ? &gp->actor : &nobody;
}

/* ---- HTTP: a request ---- */

static enum access_role needed(const struct controller *c, const struct http_route *r)
{
    if (r->open || (c->open_metrics && r->scraped))
        return ACCESS_NOBODY;
    return r->fn == http_admin ? admin_needs((unsigned)api_admin_method(r)).role : ACCESS_VIEWER;
}

/* False: it has answered. */
static bool take_bearer(struct gate *g, struct http_req *rq, const char *header, struct actor *a)
{
    const char *text = header + 6 + strspn(header + 6, " ");
    int64_t wait_ns = 0;
    char seconds[16];
    enum access_verdict v = gate_token(g, a->way, a->origin, text, &a->who, &wait_ns);

    if (v == ACCESS_OK)
        return true;
    if (!wait_ns) {
        http_answer_refusal(rq, 401, "WWW-Authenticate",
                            "Bearer realm=\"twampmesh\", error=\"invalid_token\"", "%s",
                            access_verdict_text(v));
        return false;
    }
    snprintf(seconds, sizeof seconds, "%u", seconds_up(wait_ns));
    http_answer_refusal(rq, 429, "Retry-After", seconds,
                        "too many wrong access tokens came from %s: wait %s s", a->origin, seconds);
    return false;
}

/* One that is nobody's, or no longer, is none: its owner may log in by a token. */
static void take_certificate(struct gate *g, struct http_req *rq, struct actor *a)
{
    a->by_certificate =
        gate_certificate(g, a->way, a->origin, http_client_certificate(rq), &a->who) == ACCESS_OK;
}

/* Another site's page can make a browser ask, and show the certificate; but it cannot hide whose page it is.
 */
static bool is_cross_site(struct http_req *rq, const struct actor *a)
{
    const char *origin = http_header(rq, "Origin");

    return a->by_certificate && http_route_of(rq)->method && origin &&
           !web_origin_is_own(origin, http_header(rq, "Host"), http_is_secure(rq));
}

/* False: it has answered. Whoever gives no credentials may still be let in, as who comes from this host. */
static bool recognise(struct gate *g, struct http_req *rq, struct actor *a)
{
    const char *header = http_header(rq, "Authorization");

    if (header && !strncasecmp(header, "Bearer ", 7))
        return take_bearer(g, rq, header, a);
    if (g->c->login && !login_recognise(g->c->login, rq, a))
        return false;
    if (!a->by_session && http_client_certificate(rq))
        take_certificate(g, rq, a);
    if (!a->by_session && no_tokens(g) && is_loopback(a->origin)) {
        a->who.role = g->c->http_write ? ACCESS_ADMIN : ACCESS_VIEWER;
        snprintf(a->who.name, sizeof a->who.name, "local");
    }
    return true;
}

static void forbid(struct gate *g, struct http_req *rq, const struct actor *a, enum access_role need)
{
    const struct http_route *r = http_route_of(rq);
    const char *what = r->fn == http_admin ? r->data : r->path;
    char text[256];

    if (a->who.role == ACCESS_NOBODY) {
        g->anonymous++;
        if (r->fn == http_admin && admin_needs((unsigned)api_admin_method(r)).changes)
            audit_refused(g->c->audit, a, what, "", TW__STATUS__STATUS_UNAUTHENTICATED,
                          "no access token came");
        http_answer_refusal(rq, 401, "WWW-Authenticate", "Bearer realm=\"twampmesh\"",
                            "an access token is needed: Authorization: Bearer twa1.ID.SECRET; twampctl "
                            "access token create --role %s makes one",
                            access_role_name(need));
        return;
    }
    admin_refusal_text(what, need, &a->who, text, sizeof text);
    g->forbidden++;
    audit_refused(g->c->audit, a, what, "", TW__STATUS__STATUS_PERMISSION_DENIED, text);
    http_answer_error(rq, 403, "%s", text);
}

/* Certificates see to it that a name is ours, and health checks come by any. */
static bool is_for_us(const struct controller *c, const struct http_req *rq)
{
    const char *host = http_header(rq, "Host");

    return http_is_secure(rq) || http_route_of(rq)->any_name || http_host_is_ours(host, &c->name, 1) ||
           http_host_is_ours(host, (const char *const *)c->http_names.v, c->http_names.n) ||
           http_host_is_ours(host, &(const char *){ c->host_name }, 1);
}

/* Another site's page does not have one. */
static bool has_token(const struct actor *a)
{
    return *a->who.id && !a->by_session;
}

static void misdirect(struct gate *g, struct http_req *rq)
{
    g->misdirected++;
    http_answer_error(
        rq, 421, "\"%.200s\" is no name of this controller: ask by address, or start it with --http-name",
        http_header(rq, "Host"));
}

/* Does it matter to the handler who asks? */
static bool asks_who(const struct http_route *r, enum access_role need)
{
    return need != ACCESS_NOBODY || r->recognised;
}

static bool let_in(struct controller *c, struct http_req *rq, struct actor *a)
{
    enum access_role need = needed(c, http_route_of(rq));

    if (asks_who(http_route_of(rq), need) && !recognise(c->gate, rq, a))
        return false;
    if (!has_token(a) && !is_for_us(c, rq)) {
        misdirect(c->gate, rq);
        return false;
    }
    if (is_cross_site(rq, a)) {
        c->gate->forbidden++;
        http_answer_error(rq, 403, "a change by a browser's certificate is taken from our own page only");
        return false;
    }
    if (a->who.role >= need)
        return true;
    forbid(c->gate, rq, a, need);
    return false;
}

bool gate_http(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct actor *a = http_note(rq);

    *a = (struct actor){ .who = { .role = ACCESS_NOBODY } };
    set_way(a, "http", http_peer(rq));
    if (!let_in(c, rq, a))
        return false;
    reader_on_behalf(c->readers, (struct reader_client){ .key = gate_client(a) });
    return true;
}

void gate_http_after(void *ctx)
{
    struct controller *c = ctx;

    reader_on_behalf(c->readers, (struct reader_client){ 0 });
}

/* ---- What ends with its token ---- */

static bool still(struct gate *g, const struct access_who *w)
{
    return !*w->id || access_still(g->tokens, loop_now(g->c->loop).wall, w->id) == ACCESS_OK;
}

/* Also those who were let in as local while there were no tokens: now there are. */
static bool keep_stream(void *ctx, const void *note)
{
    struct gate *g = ctx;
    const struct actor *a = note;
    bool keep = *a->who.id ? still(g, &a->who) : a->who.role == ACCESS_NOBODY || no_tokens(g);

    if (a->by_session)
        keep = login_still(g->c->login, &a->session);

    g->cut_off += !keep;
    return keep;
}

void gate_sweep(struct gate *g)
{
    struct gate_peer *gp, *next;

    DL_FOREACH_SAFE(g->peers, gp, next)
    {
        bool local = !strcmp(gp->actor.way, "tcp") && !*gp->actor.who.id;

        if (local ? no_tokens(g) : still(g, &gp->actor.who))
            continue;
        g->cut_off++;
        rpc_peer_close(gp->peer, TW__STATUS__STATUS_UNAUTHENTICATED,
                       local ? "there are access tokens now: one is needed"
                             : access_verdict_text(
                                   access_still(g->tokens, loop_now(g->c->loop).wall, gp->actor.who.id)));
        gp->actor.who.role = ACCESS_NOBODY; /* what it still sends until it is gone */
        gp->actor.who.id[0] = '\0';
        snprintf(gp->actor.way, sizeof gp->actor.way, "ended");
    }
    if (g->c->http)
        httpd_sweep(g->c->http, keep_stream, g);
}

static void on_look(struct loop_timer *t)
{
    struct gate *g = t->ctx;
    struct tw_mono now = loop_now(g->c->loop).mono;

    gate_sweep(g);
    if (now.ns >= g->flush_due_ns) {
        g->flush_due_ns = now.ns + FLUSH_NS;
        gate_flush_uses(g);
    }
    if (loop_timer_set(g->c->loop, t, (struct tw_mono){ now.ns + LOOK_NS }) != TW_OK)
        log_error("no memory for the timer of access tokens: those that expire keep their connections until "
                  "a restart");
}

/* ---- Life ---- */

enum tw_rc gate_check_names(const struct conf_strlist *names, struct tw_err *err)
{
    for (size_t i = 0; i < names->n; i++)
        if (!hostname_ok(names->v[i]))
            return tw_err_set(err, TW_EINVAL,
                              "--http-name %.100s: expected the name of a host, without a port", names->v[i]);
    return TW_OK;
}

enum tw_rc gate_new(struct controller *c, struct gate **ret, struct tw_err *err)
{
    struct gate *g = calloc(1, sizeof *g);
    enum tw_rc rc = g ? access_new(GATE_TOKENS_MAX, &g->tokens) : TW_ENOMEM;

    if (rc == TW_OK)
        rc = access_tries_new(ACCESS_TRIES_ADDRESSES, ACCESS_TRIES_BURST, ACCESS_TRIES_EVERY_NS, &g->tries);
    if (rc != TW_OK) {
        gate_free(g);
        return tw_err_set(err, rc, "out of memory");
    }
    g->c = c;
    g->wrong_log.burst = 10;
    g->look = (struct loop_timer){ .fn = on_look, .ctx = g };
    rc = gate_load(g, err);
    if (rc != TW_OK) {
        gate_free(g);
        return rc;
    }
    *ret = g;
    return TW_OK;
}

enum tw_rc gate_start(struct gate *g)
{
    struct tw_mono now = loop_now(g->c->loop).mono;

    g->flush_due_ns = now.ns + FLUSH_NS;
    return loop_timer_set(g->c->loop, &g->look, (struct tw_mono){ now.ns + LOOK_NS });
}

void gate_stop(struct gate *g)
{
    if (!g)
        return;
    loop_timer_cancel(g->c->loop, &g->look);
    gate_flush_uses(g);
}

void gate_free(struct gate *g)
{
    if (!g)
        return;
    access_free(g->tokens);
    access_tries_free(g->tries);
    free(g);
}

struct access *gate_tokens(struct gate *g)
{
    return g->tokens;
}

void gate_count_forbidden(struct gate *g)
{
    g->forbidden++;
}

void gate_counters(const struct gate *g, struct gate_counters *ret)
{
    struct tw_wall now = loop_now(g->c->loop).wall;

    *ret = (struct gate_counters){ .anonymous = g->anonymous,
                                   .forbidden = g->forbidden,
                                   .misdirected = g->misdirected,
                                   .cut_off = g->cut_off };
    access_tries_count(g->tries, &ret->tries);
    for (size_t i = 0; i < access_count(g->tokens); i++)
        ret->tokens += access_still(g->tokens, now, access_at(g->tokens, i)->id) == ACCESS_OK;
}
