#include "controller/http/login.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include "common/log.h"
#include "controller/core/web_cookie.h"
#include "controller/http/api.h"

#define LIFE_S (12 * 3600)
/* A name that browsers take by HTTPS only, for this host and all of its paths; RFC 6265bis section 4.1.3. */
#define SECURE_COOKIE "__Host-twampmesh"
#define PLAIN_COOKIE "twampmesh"
#define COOKIE_MAX 256
#define CSRF_HEADER "X-Csrf-Token"

struct login {
    struct controller *c;
    struct web_sessions *sessions;
    uint64_t wrong, limited, forged;
};

/* ---- Cookies ---- */

/* By HTTPS, or by a proxy that speaks it to the browser. */
static bool by_https(const struct http_req *rq)
{
    const char *origin = http_header(rq, "Origin");

    return http_is_secure(rq) || (origin && !strncmp(origin, "https://", 8));
}

/* Whatever may come by plain HTTP could be anybody's: then only the other name counts. */
static bool session_id(const struct http_req *rq, char ret[WEB_SESSION_TEXT])
{
    const char *header = http_header(rq, "Cookie");

    return web_cookie_get(header, SECURE_COOKIE, ret, WEB_SESSION_TEXT) ||
           (!http_is_secure(rq) && web_cookie_get(header, PLAIN_COOKIE, ret, WEB_SESSION_TEXT));
}

static void make_cookie(const struct http_req *rq, const char *id, char ret[COOKIE_MAX])
{
    bool https = by_https(rq);

    snprintf(ret, COOKIE_MAX, "%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s", https ? SECURE_COOKIE : PLAIN_COOKIE, id,
             *id ? LIFE_S : 0, https ? "; Secure" : "");
}

/* ---- For the gate ---- */

static bool is_own_page(const struct http_req *rq)
{
    return web_origin_is_own(http_header(rq, "Origin"), http_header(rq, "Host"), http_is_secure(rq));
}

/* What only reads needs no proof: nobody else's page can see the answer. Nor does a login, which ends the session. */
static bool needs_proof(const struct http_req *rq)
{
    const struct http_route *r = http_route_of(rq);

    return r->method && r->fn != http_login;
}

bool login_recognise(struct login *l, struct http_req *rq, struct actor *a)
{
    struct web_session_key key;
    struct access_who who;
    char id[WEB_SESSION_TEXT];

    if (!session_id(rq, id) || !web_session_key_of(id, &key) ||
        !web_session_find(l->sessions, loop_now(l->c->loop), gate_tokens(l->c->gate), &key, &who))
        return true;
    if (needs_proof(rq) && (!is_own_page(rq) || !web_session_csrf_ok(id, http_header(rq, CSRF_HEADER)))) {
        l->forged++;
        http_answer_error(rq, 403, "a change by cookie is taken from our own page only: it has to send " CSRF_HEADER
                                   " as /api/v1/whoami says it; programs use Authorization: Bearer");
        return false;
    }
    a->who = who;
    a->session = key;
    a->by_session = true;
    snprintf(a->way, sizeof a->way, "page");
    return true;
}

bool login_still(struct login *l, const struct web_session_key *key)
{
    struct access_who who;

    return web_session_find(l->sessions, loop_now(l->c->loop), gate_tokens(l->c->gate), key, &who);
}

/* ---- Who am I ---- */

static cJSON *who_am_i(struct login *l, const struct actor *a, const char *id)
{
    struct tw_now now = loop_now(l->c->loop);
    cJSON *o = api_head("whoami");
    char csrf[WEB_SESSION_TEXT];

    if (*a->who.name)
        cJSON_AddStringToObject(o, "name", a->who.name);
    else
        cJSON_AddNullToObject(o, "name");
    cJSON_AddStringToObject(o, "role", access_role_name(a->who.role));
    cJSON_AddStringToObject(o, "by", a->by_session ? "session" : *a->who.id ? "token" : a->who.role ? "address" : "nothing");
    cJSON_AddBoolToObject(o, "tokens", access_count(gate_tokens(l->c->gate)) > 0);
    if (a->by_session) {
        web_session_csrf(id, csrf);
        cJSON_AddStringToObject(o, "csrf", csrf);
        json_time(o, "session_ends", "session_ends_ns", now.wall.ns + web_session_left_ns(l->sessions, now, &a->session));
    } else {
        cJSON_AddNullToObject(o, "csrf");
        cJSON_AddNullToObject(o, "session_ends");
        cJSON_AddNullToObject(o, "session_ends_ns");
    }
    return o;
}

/* cookie: to be set; NULL: none. Takes o. */
static void answer_json(struct http_req *rq, cJSON *o, const char *cookie)
{
    char *text = cJSON_PrintUnformatted(o);
    struct http_blob *b = NULL;

    cJSON_Delete(o);
    if (!text || http_blob_new(text, strlen(text), "application/json", false, &b) != TW_OK) {
        api_refuse(rq, TW_ENOMEM, NULL);
        return;
    }
    if (cookie)
        http_blob_header(b, "Set-Cookie", cookie);
    http_answer_blob(rq, 200, b);
    http_blob_unref(b);
}

void http_whoami(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    char id[WEB_SESSION_TEXT] = "";

    session_id(rq, id);
    answer_json(rq, who_am_i(c->login, gate_http_actor(rq), id), NULL);
}

/* ---- Login ---- */

/* NULL: it is no {"token": "..."}, or there is more in it; answered. Freed with cJSON_Delete(*ret). */
static const char *token_of(struct http_req *rq, cJSON **ret)
{
    const char *type = http_header(rq, "Content-Type"), *body, *text = NULL;
    size_t len;

    if (!type || strncasecmp(type, "application/json", 16) != 0) {
        http_answer_error(rq, 415, "expected Content-Type: application/json");
        return NULL;
    }
    body = http_body(rq, &len);
    *ret = cJSON_ParseWithLengthOpts(body, len + 1, NULL, true);
    if (cJSON_IsObject(*ret) && cJSON_GetArraySize(*ret) == 1)
        text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(*ret, "token"));
    if (text)
        return text;
    cJSON_Delete(*ret);
    http_answer_error(rq, 400, "expected {\"token\": \"twa1.ID.SECRET\"}");
    return NULL;
}

static void refuse_token(struct login *l, struct http_req *rq, enum access_verdict v, int64_t wait_ns)
{
    unsigned wait_s = (unsigned)((wait_ns + TW_NS_PER_S - 1) / TW_NS_PER_S);
    char seconds[16];

    if (!wait_ns) {
        l->wrong++;
        http_answer_refusal(rq, 401, "WWW-Authenticate", "Bearer realm=\"twampmesh\", error=\"invalid_token\"", "%s",
                            access_verdict_text(v));
        return;
    }
    l->limited++;
    snprintf(seconds, sizeof seconds, "%u", wait_s);
    http_answer_refusal(rq, 429, "Retry-After", seconds, "too many wrong access tokens came from %s: wait %u s", http_peer(rq), wait_s);
}

static bool random_octets(uint8_t *to, size_t len)
{
    ssize_t n;

    do
        n = getrandom(to, len, 0);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)len; /* up to 256 come at once */
}

/* What a browser had before ends: it would not be known any more. */
static void end_session_of(struct login *l, const struct http_req *rq)
{
    struct web_session_key key;
    char id[WEB_SESSION_TEXT];

    if (session_id(rq, id) && web_session_key_of(id, &key))
        web_session_close(l->sessions, &key);
}

static void begin_session(struct login *l, struct http_req *rq, const struct access_who *who)
{
    struct actor a = { .who = *who, .by_session = true };
    char id[WEB_SESSION_TEXT], cookie[COOKIE_MAX];
    uint8_t octets[WEB_SESSION_OCTETS];
    enum tw_rc rc = TW_EIO;

    end_session_of(l, rq);
    if (random_octets(octets, sizeof octets))
        rc = web_session_open(l->sessions, loop_now(l->c->loop), who, octets, id);
    explicit_bzero(octets, sizeof octets);
    if (rc != TW_OK) {
        http_answer_later(rq, 60, "no session can be made now: %s", rc == TW_ENOSPC ? "as many are logged in as may be" : tw_rc_name(rc));
        return;
    }
    log_info("logged in at the page", LOG_S("name", who->name), LOG_S("role", access_role_name(who->role)), LOG_S("address", http_peer(rq)));
    web_session_key_of(id, &a.session);
    make_cookie(rq, id, cookie);
    answer_json(rq, who_am_i(l, &a, id), cookie);
    explicit_bzero(cookie, sizeof cookie);
}

void http_login(void *ctx, struct http_req *rq)
{
    struct login *l = ((struct controller *)ctx)->login;
    struct access_who who;
    enum access_verdict v;
    int64_t wait_ns = 0;
    cJSON *o = NULL;
    const char *text;

    if (!is_own_page(rq)) {
        l->forged++;
        http_answer_error(rq, 403, "logins are not taken from pages of another site");
        return;
    }
    text = token_of(rq, &o);
    if (!text)
        return;
    v = gate_token(l->c->gate, "page", http_peer(rq), text, &who, &wait_ns);
    explicit_bzero(cJSON_GetObjectItemCaseSensitive(o, "token")->valuestring, strlen(text));
    cJSON_Delete(o);
    if (v == ACCESS_OK)
        begin_session(l, rq, &who);
    else
        refuse_token(l, rq, v, wait_ns);
}

void http_logout(void *ctx, struct http_req *rq)
{
    struct login *l = ((struct controller *)ctx)->login;
    const struct actor nobody = { .who = { .role = ACCESS_NOBODY } }, *a = gate_http_actor(rq);
    char cookie[COOKIE_MAX];

    if (a->by_session) {
        log_info("logged out at the page", LOG_S("name", a->who.name));
        web_session_close(l->sessions, &a->session);
        gate_sweep(l->c->gate); /* what the session listens to ends now */
    }
    make_cookie(rq, "", cookie);
    answer_json(rq, who_am_i(l, &nobody, ""), cookie);
}

/* ---- ---- */

enum tw_rc login_new(struct controller *c, struct login **ret)
{
    struct login *l = calloc(1, sizeof *l);
    const struct web_sessions_conf conf = { .life_ns = LIFE_S * TW_NS_PER_S };

    if (!l)
        return TW_ENOMEM;
    l->c = c;
    if (web_sessions_new(&conf, &l->sessions) != TW_OK) {
        free(l);
        return TW_ENOMEM;
    }
    *ret = l;
    return TW_OK;
}

void login_free(struct login *l)
{
    if (!l)
        return;
    web_sessions_free(l->sessions);
    free(l);
}

void login_counters(struct login *l, struct login_counters *ret)
{
    *ret = (struct login_counters){ .wrong = l->wrong, .limited = l->limited, .forged = l->forged };
    web_sessions_count(l->sessions, loop_now(l->c->loop), &ret->sessions);
}
