/* common/net/httpd_priv.h - inside httpd: what its parts share.
 *
 * httpd.c        life; the loop's side of the inbox
 * httpd_req.c    a request: what handlers may ask about it
 * httpd_answer.c what handlers answer
 * httpd_conn.c   what libmicrohttpd's threads do: connections, heads, content
 * httpd_tls.c    certificates in handshakes */
#ifndef TW_NET_HTTPD_PRIV_H
#define TW_NET_HTTPD_PRIV_H

#include <arpa/inet.h>
#include <gnutls/abstract.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include "common/net/http_crowd.h"
#include "common/net/http_listener.h"
#include "common/net/http_threads.h"
#include "common/net/httpd.h"
#include "common/net/loop.h"

#define HTTP_MAX_ITEMS 64 /* query parameters; headers kept */

struct item {
    char *name, *value; /* one allocation: name */
};
struct items {
    struct item v[HTTP_MAX_ITEMS];
    size_t n;
    bool overflow, bad; /* more than HTTP_MAX_ITEMS; no memory, or a NUL inside */
};

struct http_req {
    _Atomic unsigned refs; /* the connection's and the loop's */
    struct httpd *h;       /* these two: valid until answered */
    struct MHD_Connection *conn;
    const struct http_route *route;
    struct items query, headers, path;
    char peer[INET6_ADDRSTRLEN];
    bool has_client; /* a verified certificate */
    uint8_t client[HTTP_CERTIFICATE_OCTETS];
    _Alignas(max_align_t) uint8_t note[HTTP_NOTE];
    char *body; /* body_len octets and a NUL; NULL: none */
    size_t body_len, drained;
    bool is_root, submitted, answered, too_long, no_memory;
    bool asking;    /* only the guard sees it yet */
    size_t content; /* octets that were announced, or may come */
    unsigned status;
    struct http_blob *blob;     /* NULL when memory was short: the connection is closed */
    struct http_stream *stream; /* a reference; instead of a blob */
    struct http_req *prev, *next;
};

struct httpd {
    struct loop *loop;
    const struct http_route *routes;
    size_t n_routes;
    void *ctx;
    struct MHD_Daemon *daemon;
    struct http_listener *listener;
    uint16_t port;
    struct http_blob *index;
    char nowhere[128]; /* what an unknown path is told */
    struct loop_watch wake;
    pthread_mutex_t lock; /* inbox and stopping; never taken inside libmicrohttpd's locks */
    struct http_req *inbox;
    bool stopping;
    bool (*guard)(void *ctx, struct http_req *rq);
    void (*after)(void *ctx);
    struct http_req *pending;    /* with their handlers; loop thread only */
    struct http_stream *streams; /* that have not ended; loop thread only */
    pthread_mutex_t crowd_lock;  /* a leaf: nothing of libmicrohttpd's is called with it */
    struct http_crowd crowd;
    struct http_threads threads;
    _Atomic uint64_t begun; /* connections, ever */
    _Atomic uint64_t requests, refused, errors_4xx, errors_5xx, open, unasked, handshakes;
    const char *tls_cert, *tls_key; /* files; NULL: HTTP */
    const char *client_ca;          /* PEM; until the daemon has started */
    struct http_cert *cert;         /* in use; the list's lock */
    struct httpd *next_tls;
    uint64_t reloads, reloads_failed; /* loop thread only */
};

struct conn_note {
    struct http_crowd_conn crowd; /* first */
    int fd;
    bool asked, has_client; /* has_client: since it asked first */
    uint8_t client[HTTP_CERTIFICATE_OCTETS];
};

/* ---- httpd_req.c: libmicrohttpd's threads ---- */
/* Copies, since a handler may ask after httpd_stop() has let the connection go. NULL: no memory. */
struct http_req *http_req_new(struct httpd *h, struct MHD_Connection *conn, const struct http_route *route,
                              const char *path);
void http_req_unref(struct http_req *rq);

/* ---- httpd_answer.c ---- */
void http_count_status(struct httpd *h, unsigned status);
/* Loop thread. Takes the reference to b and the loop's to rq. */
void http_finish(struct http_req *rq, unsigned status, struct http_blob *b);
struct http_blob *http_error_blob(const char *text);
/* Loop thread. */
void http_end_stream(struct http_stream *s);

/* ---- httpd_conn.c: called by libmicrohttpd ---- */
enum MHD_Result http_on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                const char *version, const char *data, size_t *data_len, void **con_cls);
void http_on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                       enum MHD_RequestTerminationCode why);
void http_on_connection(void *cls, struct MHD_Connection *conn, void **socket_ctx,
                        enum MHD_ConnectionNotificationCode code);
/* Mostly about clients that went away; any of them can cause it. */
void http_on_log(void *cls, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* ---- httpd_tls.c: a server with a certificate is listed before its first handshake ---- */
enum tw_rc http_load_cert(struct httpd *h, const struct httpd_conf *c, struct tw_err *err);
void http_list_tls(struct httpd *h);
void http_unlist_tls(struct httpd *h);
/* libmicrohttpd's threads, after the handshake. False: the client has shown no certificate that is believed.
 */
bool http_take_client(struct MHD_Connection *conn, uint8_t ret_sha256[HTTP_CERTIFICATE_OCTETS]);
/* libmicrohttpd's threads, in a handshake. */
int http_give_cert(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                   gnutls_pcert_st **ret_list, unsigned *ret_n, gnutls_ocsp_data_st **ret_ocsp,
                   unsigned *ret_ocsp_n, gnutls_privkey_t *ret_key, unsigned *ret_flags);

#endif
