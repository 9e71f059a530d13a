/* common/net/httpd.h - a thin shell on libmicrohttpd: routes in a table, handlers on the loop thread, answers now or
 * later. libmicrohttpd's threads only parse and wait. */
#ifndef TW_NET_HTTPD_H
#define TW_NET_HTTPD_H

#include "common/addr.h"
#include "common/conf.h"
#include "common/net/loop.h"
#include "common/work.h"

struct httpd;
struct http_req; /* one request; owned by httpd until it is answered */

/* Several rows may have the same path with different methods. Where an exact path and one with a name both fit, the first row counts. */
struct http_route {
    const char *path; /* "/api/v1/agents", or with names for any text but "/": "/api/v1/agents/{name}" */
    const char *help; /* one line, for the index and docs */
    void (*fn)(void *ctx, struct http_req *rq);
    const char *method; /* "POST", "DELETE", ...; NULL: GET and HEAD */
    size_t body_max;    /* octets of content that a request may have; 0: it must have none */
    const void *data;   /* for the handler */
    bool open;          /* for the guard: anybody may ask */
    bool any_name;      /* for the guard: by whatever Host */
    bool recognised;    /* for the guard: though it is open it matters who asks */
    bool scraped;       /* for the guard: what Prometheus asks for */
    bool vital; /* answered whatever others do: places are kept for it; its answer is made at once and is
                   small */
};

const struct http_route *http_route_of(const struct http_req *rq);
/* What stands in the path at {key}; NULL: the route has no such name. Valid until the answer, as the next two. */
const char *http_path(const struct http_req *rq, const char *key);
/* The content, with a NUL behind it. */
const char *http_body(const struct http_req *rq, size_t *ret_len);

/* Query parameter, decoded, NULL if absent; valid until the answer. */
const char *http_query(const struct http_req *rq, const char *key);
/* The n-th parameter's name, NULL past the end: to refuse unknown ones. */
const char *http_query_name(const struct http_req *rq, size_t n);
const char *http_query_value(const struct http_req *rq, size_t n);
bool http_accepts_gzip(const struct http_req *rq);
/* The address that the client has, as text without a port: "192.0.2.7", "2001:db8::7". Valid until the answer. */
const char *http_peer(const struct http_req *rq);
/* SHA-256 of the certificate that the client has shown: of an authority of httpd_conf.client_ca, for clients,
 * in its time, and the client has its key. NULL: it has shown none such. Valid until the answer. */
#define HTTP_CERTIFICATE_OCTETS 32
const uint8_t *http_client_certificate(const struct http_req *rq);
/* Did it come by HTTPS? */
bool http_is_secure(const struct http_req *rq);
/* Room for what the guard finds out, for the handlers; zeros at first. Valid until the answer, and while a stream goes on (httpd_sweep()). */
#define HTTP_NOTE 384
void *http_note(struct http_req *rq);
const char *http_header(const struct http_req *rq, const char *name);

/* Bytes shared by many answers, reference counted, any thread. gzip: also keep them compressed, for clients that take it; that
 * happens here, so large pages are made outside the loop. `type` is copied. Takes data even when it fails. */
struct http_blob;
enum tw_rc http_blob_new(char *data, size_t len, const char *type, bool gzip, struct http_blob **ret); /* takes data (malloc) */
/* What the gzip program made of `len` octets. `gzip` is not copied and outlives the blob; unpacked here, for clients that do not take it. TW_EINVAL: it
 * is not that. */
enum tw_rc http_blob_packed(const void *gzip, size_t gzip_len, size_t len, const char *type, struct http_blob **ret);
/* A header of its answers, in place of one of that name; before anybody else has it. Without one Cache-Control is no-store. */
void http_blob_header(struct http_blob *b, const char *name, const char *value);
/* Whoever has this version already (If-None-Match) gets 304 with the same headers and nothing else. `tag` as in ETag, without quotes and
 * without any in it. Before anybody else has it. */
enum tw_rc http_blob_tag(struct http_blob *b, const char *tag);
/* One that is made piece by piece, and compressed. When it is large it is never in memory as a whole: only compressed,
 * and unpacked for clients that do not take it so. Any one thread. */
struct http_maker;
enum tw_rc http_maker_new(const char *type, struct http_maker **ret);
void http_maker_put(struct http_maker *m, const char *p, size_t len);
/* What is put from hold() on comes behind `first`, which may be known last. One at a time; each is released
 * before the end. */
#define HTTP_FIRST_MAX 64
void http_maker_hold(struct http_maker *m);
void http_maker_release(struct http_maker *m, const char *first, size_t len);
enum tw_rc http_maker_end(struct http_maker *m, struct http_blob **ret); /* ends the maker; TW_ENOMEM, also of a put before */
struct http_blob *http_blob_ref(struct http_blob *b);
void http_blob_unref(struct http_blob *b);
size_t http_blob_len(const struct http_blob *b);

/* Exactly one of these answers a request and ends it; loop thread. If the client or the whole httpd has gone, no effect. */
void http_answer_blob(struct http_req *rq, unsigned status, struct http_blob *b); /* takes its own reference */
void http_answer(struct http_req *rq, unsigned status, const char *type, char *data, size_t len); /* takes data (malloc) */
void http_answer_error(struct http_req *rq, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4))); /* JSON {"error": ...} */

/* The same with one more header. */
void http_answer_refusal(struct http_req *rq, unsigned status, const char *header, const char *value, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* 503 with Retry-After (seconds): for what may do later. */
void http_answer_later(struct http_req *rq, unsigned seconds, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* An answer that goes on: server-sent events. What is given waits in one piece for the client to take it; more than that is not kept. Loop
 * thread. */
struct http_stream;
/* Answers with status 200 and a first piece (copied). The stream is ended by http_stream_close(), after httpd_stop() too. TW_ENOMEM (503 was
 * answered), TW_ECLOSED: there is no stream. */
enum tw_rc http_answer_stream(struct http_req *rq, const char *type, const char *data, size_t len, struct http_stream **ret);
/* The same for answers of any length. `taken` (its memory is the caller's until http_stream_close()) is posted to the httpd's loop each time the
 * client has taken what there was, and when it is gone. A client that takes nothing for 30 s is cut off. */
enum tw_rc http_answer_pieces(struct http_req *rq, const char *type, const char *data, size_t len, struct loop_task *taken,
                              struct http_stream **ret);
/* TW_EBUSY: the piece before is still on its way; try again later. TW_ECLOSED: nobody is there any more. */
enum tw_rc http_stream_send(struct http_stream *s, const char *data, size_t len);
/* Has the client hung up? */
bool http_stream_is_gone(struct http_stream *s);
void http_stream_close(struct http_stream *s);
/* The same, but what has not been taken yet is not sent, and the client sees that something is missing. */
void http_stream_abort(struct http_stream *s);

#define HTTP_RESERVE 16
#define HTTP_BUSY_RETRY_S "1" /* Retry-After of what is refused for too many */
struct httpd_conf {
    struct loop *loop;
    const char *address; /* "127.0.0.1:8080", "[::]:8080" */
    const struct http_route *routes;
    size_t n_routes;
    void *ctx;
    const char *index;        /* where a row has http_index(), for errors that refer to it; NULL: "/" */
    /* Whoever comes beyond these gets the place of the connection that has been idle longest, of its own
     * address if that has too many; if none is idle only vital requests are taken, of HTTP_RESERVE
     * connections more. */
    unsigned max_connections; /* 0 = 512 */
    unsigned max_per_address; /* 0 = 64 */
    /* Requests from the head to the last octet of the answer, without streams. More get 503 with Retry-After,
     * but HTTP_RESERVE vital ones; a client that has not taken its answer for 10 s is cut off then. Long
     * content of all of them together has 32 MiB. 0 = 256 */
    unsigned max_requests;
    /* HTTPS (TLS 1.2 and 1.3) and nothing else on that address: PEM files of the certificate, with those between it and its CA behind it,
     * and of its key. Both NULL: HTTP, which is refused beyond loopback unless `plaintext`. The names are used until httpd_stop(). */
    const char *tls_cert, *tls_key;
    bool plaintext;
    /* HTTPS only: certificates (PEM) of authorities whose clients are asked for theirs; who has none is
     * served, too. NULL: nobody is asked. */
    const char *client_ca;
    /* Asked before each handler, on the loop thread. False: it has answered. NULL: all may. Of a request with
     * content also before that is read: there http_body() has nothing yet. */
    bool (*guard)(void *ctx, struct http_req *rq);
    /* Runs after guard and handler have returned, on the loop thread, for each time that the guard was asked. NULL: nothing. */
    void (*after)(void *ctx);
};
/* Without a route for "/" the index is served there: the routes and their help. TW_EINVAL (address, certificate, key), TW_EINUSE, TW_EPERM. A
 * certificate out of its time is served, and logged as an error: clients say so, and the rest of the program is better off running. */
enum tw_rc httpd_start(const struct httpd_conf *c, struct httpd **ret, struct tw_err *err);
/* Of the option "http", whose address may be "off": is it one, are certificate and key there, and may it be plain HTTP? Opens
 * nothing. */
void httpd_check_option(const struct httpd_conf *c, struct conf_errors *errors);
/* A handler: the routes and their help, as text. */
void http_index(void *ctx, struct http_req *rq);
/* Requests that are still unanswered get 503; handlers may answer them afterwards without effect. Loop thread. */
void httpd_stop(struct httpd *h);
/* Reads certificate and key anew: connections from now on get them, those that are open go on with what they began with. On an error, which
 * a certificate out of its time is too unless the one in use is no better, those in use stay. Without TLS nothing. Loop thread. */
enum tw_rc httpd_reload(struct httpd *h, struct tw_err *err);
/* When the certificate in use expires, nanoseconds since 1970; 0: there is none, this is HTTP. */
int64_t httpd_cert_end_ns(const struct httpd *h);
/* Cuts off the streams for whose note keep() says no; their owners find them gone. Loop thread. */
void httpd_sweep(struct httpd *h, bool (*keep)(void *ctx, const void *note), void *ctx);
/* The port listened on, for address "127.0.0.1:0". */
uint16_t httpd_port(const struct httpd *h);
struct httpd_counters {
    uint64_t requests;               /* with a complete, well-formed head */
    uint64_t refused;                /* of these: not given to a handler (method, path, content, memory, stopping) */
    uint64_t errors_4xx, errors_5xx; /* answers of ours; libmicrohttpd's own (400, 414, 431) are not seen here */
    uint64_t open;                   /* connections now */
    uint64_t unasked;                /* connections that ended without a request: failed handshakes, scanners, browsers that kept one ready */
    uint64_t handshakes;             /* begun TLS handshakes that got the certificate */
    uint64_t reloads, reloads_failed; /* of the certificate */
    uint64_t under_way;               /* requests now, without streams */
    uint64_t busy_connections, busy_address, busy_requests,
        busy_content; /* refused by a bound: of `refused`, but with other reasons there, too */
    uint64_t cut_off; /* connections that had to make room */
    uint64_t waits;   /* times that none could be taken: no descriptor or memory left */
};
/* Other max_connections and max_per_address, as in httpd_conf; nobody who is connected has to go for it. Loop
 * thread. */
void httpd_set_bounds(struct httpd *h, unsigned connections, unsigned per_address);
void httpd_counters(struct httpd *h, struct httpd_counters *ret); /* any thread */
#define HTTPD_THREADS 2u
/* How its threads are doing (http_threads.h), and what waits for an answer. Any thread. */
struct httpd_load {
    struct work_stats work[HTTPD_THREADS];
    uint64_t requests, requests_max; /* under way, without streams */
    uint64_t refused;                /* connections and requests, by a bound */
};
void httpd_load(struct httpd *h, struct httpd_load *ret);

#endif
