/* db/http_client.h - requests to a database that speaks HTTP and has one or more servers, one at a time, by
 * the thread that owns the client; only http_client_interrupt() and http_client_hurry() are for others.
 * Connections stay open between requests.
 *
 * The server that answered last is asked. The next one is when a connection fails, nothing moves any more, or
 * the answer is one that others may not give, if no octet of an answer was handed out yet. So every request
 * must be one that may come twice. After a quiet time the first server is tried again.
 *
 * Certificates are always checked. What headers hold is in no error and no log. Needs curl_global_init()
 * before. */
#ifndef TW_DB_HTTP_CLIENT_H
#define TW_DB_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct http_client;
struct http_client_request;

#define HTTP_CLIENT_SERVERS 16
#define HTTP_CLIENT_TEXT 1000 /* of an answer that is none */

struct http_client_cfg {
    const char *what;                           /* begins each error: "etcd"; a literal */
    const char *endpoints[HTTP_CLIENT_SERVERS]; /* "http://HOST:PORT" or "https://HOST:PORT" */
    size_t n_endpoints;                         /* >= 1 */
    const char *ca_file;                        /* NULL: the system's */
    const char *cert_file, *key_file;           /* of the client; NULL: none */
    int64_t connect_ns;                         /* for a connection; 0: 3 s */
    int64_t stall_ns;                           /* without an octet either way; 0: 5 s */
    int64_t quiet_ns;                           /* until the first server is tried again; 0: 60 s */
    /* Not NULL: a server that said nothing just now is asked this before a request goes to it, which may take
     * its time: a server that stands still takes connections all the same. It lives as long as the client. */
    const struct http_client_request *knock;
};

/* Copies *cfg. TW_EINVAL (an endpoint), TW_ENOMEM. */
enum tw_rc http_client_new(const struct http_client_cfg *cfg, struct http_client **ret, struct tw_err *err);
void http_client_free(struct http_client *c); /* also of NULL */
/* "NAME: value" goes with each request from now on, instead of what had the name. value NULL: no more.
 * TW_EINVAL: it is no printable ASCII. */
enum tw_rc http_client_header(struct http_client *c, const char *name, const char *value, struct tw_err *err);
/* The request that runs now, and every later one, ends with TW_ECLOSED at once. Any thread. */
void http_client_interrupt(struct http_client *c);
/* Those from now on are wanted again. The owner's thread. */
void http_client_resume(struct http_client *c);
/* Something that takes some requests to the server in use, by http_client_ask(), until that moment (monotonic
 * clock) at most. *ret_elsewhere, false before: another server may do it. */
typedef enum tw_rc (*http_client_visit_fn)(void *ctx, int64_t until_ns, bool *ret_elsewhere,
                                           struct tw_err *err);
/* Before the first request to a server that was not the last to answer, and after any failure but an answer
 * that others would give, too, fn is called, and has so long. If it fails so does the request, there. */
void http_client_enter(struct http_client *c, http_client_visit_fn fn, void *ctx, int64_t within_ns);
/* fn, at a server that it enters like a request; another one when it says so. Errors as http_client_run(). */
enum tw_rc http_client_visit(struct http_client *c, http_client_visit_fn fn, void *ctx, int64_t within_ns,
                             struct tw_err *err);
/* From such a function alone: the server in use and no other one. */
enum tw_rc http_client_ask(struct http_client *c, const struct http_client_request *r, int64_t until_ns,
                           bool *ret_elsewhere, struct tw_err *err);
/* It is called before the next request. */
void http_client_leave(struct http_client *c);
/* No request lasts beyond that moment (monotonic clock): TW_ETIMEOUT. INT64_MAX: as long as it takes. Any
 * thread. */
void http_client_hurry(struct http_client *c, int64_t by_mono_ns);
/* The next request goes to the next server. */
void http_client_move(struct http_client *c);
/* "HOST:PORT" of the server that is in use. The owner's thread; valid until the next request. */
const char *http_client_server(const struct http_client *c);

/* How often another server came into use, for whatever reason: while it stays the same all answers are one
 * server's. The owner's thread. */
uint64_t http_client_changes(const struct http_client *c);

/* A piece of an answer of status 200, in order; what it returns if not TW_OK ends the request and is its
 * result, the text is its own. */
typedef enum tw_rc (*http_client_data_fn)(void *ctx, const uint8_t *data, size_t len);
/* An answer of another status, with the request's ctx; and any answer to a request without fn. What it means:
 * TW_OK only of status 200. *ret_elsewhere, false before: another server may do it. */
struct http_client_refusal {
    const char *server; /* HOST:PORT */
    long status;
    const char *text; /* its beginning; no NUL behind it */
    size_t len;
};
typedef enum tw_rc (*http_client_judge_fn)(void *ctx, const struct http_client_refusal *r,
                                           bool *ret_elsewhere, struct tw_err *err);

struct http_client_request {
    const char *path; /* "/v3/..." */
    const char *body; /* of a POST */
    size_t body_len;
    http_client_data_fn fn;   /* NULL: the answer is text for judge */
    void (*again)(void *ctx); /* before each try */
    void *ctx;
    http_client_judge_fn judge;
    int64_t stall_ns; /* 0: the client's */
};
/* TW_OK: all of an answer of status 200 was handed out. Else what fn or judge returned; TW_EIO (no server can
 * be reached, or the answer broke off), TW_ETIMEOUT, TW_ECLOSED (interrupted), TW_EPERM (certificate). The
 * text names the server and is one line. */
enum tw_rc http_client_run(struct http_client *c, const struct http_client_request *r, struct tw_err *err);
/* Is one of the servers there, and takes what is asked for a knock? */
enum tw_rc http_client_knock(struct http_client *c, struct tw_err *err);

struct http_client_stats {
    uint64_t requests, failures; /* failures: after all servers were tried */
    uint64_t moves;              /* to another server after one failed */
};
struct http_client_stats http_client_stats(const struct http_client *c);

#endif
