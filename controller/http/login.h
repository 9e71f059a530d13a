/* controller/http/login.h - people at the page: an access token is given once, for a session that a cookie stands for. The cookie is out of reach of
 * scripts, goes to nobody else's pages, and, by HTTPS, over nothing else. Changes need a text besides that only our own page can know (X-Csrf-Token), and
 * the page's own Origin. Sessions are core/web_session.h's. Loop thread. */
#ifndef TW_CONTROLLER_HTTP_LOGIN_H
#define TW_CONTROLLER_HTTP_LOGIN_H

#include "controller/core/web_session.h"
#include "controller/gate.h"

struct login;
enum tw_rc login_new(struct controller *c, struct login **ret);
void login_free(struct login *l);

/* For the gate: who asks by the cookie of a session? Fills in a->who, a->way and a->session if there is one; else leaves *a alone. False: it has answered: a
 * change without proof that our own page wants it. */
bool login_recognise(struct login *l, struct http_req *rq, struct actor *a);
/* Does the session still live? An answer that goes on counts as its use. */
bool login_still(struct login *l, const struct web_session_key *key);

struct login_counters {
    struct web_sessions_counts sessions;
    uint64_t wrong;   /* logins with a token that is none, or works no more */
    uint64_t limited; /* those refused because too many wrong ones came from there */
    uint64_t forged;  /* changes refused: without the text of the session, or from another site's page */
};
void login_counters(struct login *l, struct login_counters *ret);

/* POST /api/v1/login, POST /api/v1/logout, GET /api/v1/whoami; the context is the controller. */
void http_login(void *ctx, struct http_req *rq);
void http_logout(void *ctx, struct http_req *rq);
void http_whoami(void *ctx, struct http_req *rq);

#endif
