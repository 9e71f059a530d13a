/* A request's life: libmicrohttpd's thread makes it, suspends the connection and puts it in the inbox; the
 * loop gives it to its handler; the answer resumes the connection; libmicrohttpd's thread queues the
 * response. One with content goes that way twice: first its head alone, for the guard, and only if that lets
 * it through is its content read. A suspended connection is never closed by libmicrohttpd, so whoever answers
 * may resume it without asking whether the client is still there. */
#include "common/net/httpd.h"
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>
#include "common/addr.h"
#include "common/log.h"
#include "common/net/http_blob.h"
#include "common/net/http_crowd.h"
#include "common/net/http_path.h"
#include "common/net/http_stream.h"
#include "common/net/http_text.h"
#include "common/net/http_tls.h"
#include "common/net/now.h"

#define THREADS 2u
#define MEMORY_LIMIT ((size_t)32 * 1024) /* a connection's buffers: bounds the head of a request */
#define IDLE_S 30u
#define BACKLOG 511
#define MAX_ITEMS 64 /* query parameters; headers kept */
#define DFLT_PORT 8080
#define SLACK 16u                      /* connections that were cut off and still have to end */
#define PATIENCE_NS (10 * TW_NS_PER_S) /* so long a client may take over its answer while others wait */
#define CONTENT_MAX ((size_t)32 << 20) /* of all requests together */
#define DRAIN_MAX \
    ((size_t)64   \
     << 10) /* content of a request that is refused: read and let go of, or the client would not see why */

struct item {
    char *name, *value; /* one allocation: name */
};
struct items {
    struct item v[MAX_ITEMS];
    size_t n;
    bool overflow, bad; /* more than MAX_ITEMS; no memory, or a NUL inside */
};

struct http_req {
    _Atomic unsigned refs; /* the connection's and the loop's */
    struct httpd *h;       /* these two: valid until answered */
    struct MHD_Connection *conn;
    const struct http_route *route;
    struct items query, headers, path;
    char peer[INET6_ADDRSTRLEN];
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
    uint16_t port;
    struct http_blob *index;
    char nowhere[128]; /* what an unknown path is told */
    struct loop_watch wake;
    pthread_mutex_t lock; /* inbox and stopping; never taken inside libmicrohttpd's locks */
    struct http_req *inbox;
    bool stopping;
    bool (*guard)(void *ctx, struct http_req *rq);
    struct http_req *pending;    /* with their handlers; loop thread only */
    struct http_stream *streams; /* that have not ended; loop thread only */
    pthread_mutex_t crowd_lock;  /* a leaf: nothing of libmicrohttpd's is called with it */
    struct http_crowd crowd;
    _Atomic uint64_t requests, refused, errors_4xx, errors_5xx, open, unasked, handshakes;
    const char *tls_cert, *tls_key; /* files; NULL: HTTP */
    struct http_cert *cert;         /* in use; the list's lock */
    struct httpd *next_tls;
    uint64_t reloads, reloads_failed; /* loop thread only */
};

/* libmicrohttpd does not say to whom a handshake belongs; the port of its socket does. */
static pthread_mutex_t tls_lock = PTHREAD_MUTEX_INITIALIZER;
static struct httpd *tls_list;

/* ---- Requests ---- */

static void items_free(struct items *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i].name);
}

static void req_unref(struct http_req *rq)
{
    if (atomic_fetch_sub(&rq->refs, 1) != 1)
        return;
    http_blob_unref(rq->blob);
    if (rq->stream) {
        MHD_destroy_response(rq->stream->response);
        http_stream_unref(rq->stream);
    }
    items_free(&rq->query);
    items_free(&rq->headers);
    items_free(&rq->path);
    free(rq->body);
    free(rq);
}

static bool add_item(struct items *s, const char *name, size_t name_len, const char *value, size_t value_len)
{
    char *copy;

    s->overflow = s->n == MAX_ITEMS;
    s->bad = !s->overflow && (memchr(name, 0, name_len) || (value_len && memchr(value, 0, value_len)));
    if (s->overflow || s->bad)
        return false;
    copy = calloc(1, name_len + value_len + 2);
    if (!copy) {
        s->bad = true;
        return false;
    }
    memcpy(copy, name, name_len);
    if (value_len)
        memcpy(copy + name_len + 1, value, value_len);
    s->v[s->n++] = (struct item){ copy, copy + name_len + 1 };
    return true;
}

static enum MHD_Result take_item(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                 const char *value, size_t value_len)
{
    (void)kind;
    return add_item(cls, name, name_len, value, value_len) ? MHD_YES : MHD_NO;
}

static bool take_path_item(void *ctx, const char *name, size_t name_len, const char *value, size_t value_len)
{
    return add_item(ctx, name, name_len, value, value_len);
}

static void take_peer(struct http_req *rq)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(rq->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct tw_addr a;

    if (info && tw_addr_from_sockaddr(info->client_addr, &a) == TW_OK) /* undoes IPv4 in IPv6, too */
        inet_ntop(a.family == 4 ? AF_INET : AF_INET6, a.ip, rq->peer, sizeof rq->peer);
}

/* Copies, since a handler may ask after httpd_stop() has let the connection go. */
static struct http_req *req_new(struct httpd *h, struct MHD_Connection *conn, const struct http_route *route,
                                const char *path)
{
    struct http_req *rq = calloc(1, sizeof *rq);

    if (!rq)
        return NULL;
    atomic_store(&rq->refs, 1);
    rq->h = h;
    rq->conn = conn;
    rq->route = route;
    take_peer(rq);
    MHD_get_connection_values_n(conn, MHD_GET_ARGUMENT_KIND, take_item, &rq->query);
    MHD_get_connection_values_n(conn, MHD_HEADER_KIND, take_item, &rq->headers);
    if (route)
        http_path_match(route->path, path, take_path_item, &rq->path);
    return rq;
}

const struct http_route *http_route_of(const struct http_req *rq)
{
    return rq->route;
}

static const char *find_item(const struct items *s, const char *key)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->v[i].name, key))
            return s->v[i].value;
    return NULL;
}

const char *http_query(const struct http_req *rq, const char *key)
{
    return find_item(&rq->query, key);
}

const char *http_path(const struct http_req *rq, const char *key)
{
    return find_item(&rq->path, key);
}

const char *http_body(const struct http_req *rq, size_t *ret_len)
{
    *ret_len = rq->body_len;
    return rq->body ? rq->body : "";
}

const char *http_query_name(const struct http_req *rq, size_t n)
{
    return n < rq->query.n ? rq->query.v[n].name : NULL;
}

const char *http_query_value(const struct http_req *rq, size_t n)
{
    return n < rq->query.n ? rq->query.v[n].value : NULL;
}

const char *http_header(const struct http_req *rq, const char *name)
{
    for (size_t i = 0; i < rq->headers.n; i++)
        if (!strcasecmp(rq->headers.v[i].name, name))
            return rq->headers.v[i].value;
    return NULL;
}

const char *http_peer(const struct http_req *rq)
{
    return rq->peer;
}

bool http_is_secure(const struct http_req *rq)
{
    return !rq->answered && rq->h->tls_cert;
}

void *http_note(struct http_req *rq)
{
    return rq->note;
}

bool http_accepts_gzip(const struct http_req *rq)
{
    return http_accept_gzip(http_header(rq, MHD_HTTP_HEADER_ACCEPT_ENCODING));
}

/* ---- Answers: loop thread ---- */

static void count_status(struct httpd *h, unsigned status)
{
    if (status >= 500)
        atomic_fetch_add(&h->errors_5xx, 1);
    else if (status >= 400)
        atomic_fetch_add(&h->errors_4xx, 1);
}

/* Takes the reference to b and the loop's to rq. */
static void finish(struct http_req *rq, unsigned status, struct http_blob *b)
{
    if (rq->answered) { /* by httpd_stop(): rq->h is gone */
        http_blob_unref(b);
        req_unref(rq);
        return;
    }
    DL_DELETE(rq->h->pending, rq);
    count_status(rq->h, status);
    rq->status = status;
    rq->blob = b;
    rq->answered = true;
    MHD_resume_connection(rq->conn);
    req_unref(rq);
}

void http_answer_blob(struct http_req *rq, unsigned status, struct http_blob *b)
{
    if (status == MHD_HTTP_OK && http_blob_is_known(b, http_header(rq, MHD_HTTP_HEADER_IF_NONE_MATCH)))
        status = MHD_HTTP_NOT_MODIFIED;
    finish(rq, status, http_blob_ref(b));
}

void http_answer(struct http_req *rq, unsigned status, const char *type, char *data, size_t len)
{
    struct http_blob *b = NULL;

    if (http_blob_new(data, len, type, false, &b))
        status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    finish(rq, status, b);
}

static enum tw_rc answer_stream(struct http_req *rq, struct http_stream *s, struct http_stream **ret)
{
    if (rq->answered) {
        finish(rq, MHD_HTTP_OK, NULL); /* lets go of it */
        return TW_ECLOSED;
    }
    if (!s) {
        http_answer_error(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
        return TW_ENOMEM;
    }
    atomic_fetch_add(&s->refs, 1); /* the request's, since it outlives the response */
    rq->stream = s;
    memcpy(s->note, rq->note, sizeof s->note);
    s->h = rq->h;
    DL_APPEND(s->h->streams, s);
    *ret = s; /* before anybody takes of it */
    finish(rq, MHD_HTTP_OK, NULL);
    return TW_OK;
}

enum tw_rc http_answer_stream(struct http_req *rq, const char *type, const char *data, size_t len,
                              struct http_stream **ret)
{
    return answer_stream(rq, rq->answered ? NULL : http_stream_new(type, data, len, false), ret);
}

enum tw_rc http_answer_pieces(struct http_req *rq, const char *type, const char *data, size_t len,
                              struct loop_task *taken, struct http_stream **ret)
{
    struct http_stream *s = rq->answered ? NULL : http_stream_new(type, data, len, true);

    if (s) {
        s->loop = rq->h->loop;
        s->taken = taken;
    }
    return answer_stream(rq, s, ret);
}

static void end_stream(struct http_stream *s)
{
    if (s->h)
        DL_DELETE(s->h->streams, s);
    s->h = NULL;
    http_stream_end(s);
}

void http_stream_close(struct http_stream *s)
{
    http_stream_forget_task(s);
    end_stream(s);
    http_stream_unref(s);
}

void http_stream_abort(struct http_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->aborted = true;
    pthread_mutex_unlock(&s->lock);
    http_stream_close(s);
}

static struct http_blob *error_blob(const char *text)
{
    struct http_blob *b = NULL;
    size_t len;
    char *json = http_error_json(text, &len);

    if (json)
        http_blob_new(json, len, "application/json", false, &b);
    return b;
}

void http_answer_error(struct http_req *rq, unsigned status, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    finish(rq, status, error_blob(text));
}

void http_answer_refusal(struct http_req *rq, unsigned status, const char *header, const char *value, const char *fmt, ...)
{
    char text[1024];
    struct http_blob *b;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    b = error_blob(text);
    if (b)
        http_blob_header(b, header, value);
    finish(rq, status, b);
}

void httpd_sweep(struct httpd *h, bool (*keep)(void *ctx, const void *note), void *ctx)
{
    for (struct http_stream *s = h->streams; s; s = s->next)
        if (!s->aborted && !keep(ctx, s->note)) /* else it is on its way out */
            http_stream_cut(s);
}

void http_index(void *ctx, struct http_req *rq)
{
    (void)ctx;
    http_answer_blob(rq, MHD_HTTP_OK, rq->h->index);
}

void http_answer_later(struct http_req *rq, unsigned seconds, const char *fmt, ...)
{
    char text[1024], after[16];
    struct http_blob *b;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    b = error_blob(text);
    snprintf(after, sizeof after, "%u", seconds);
    if (b)
        http_blob_header(b, MHD_HTTP_HEADER_RETRY_AFTER, after);
    finish(rq, MHD_HTTP_SERVICE_UNAVAILABLE, b);
}

/* The guard agrees: its content may come. */
static void let_read(struct http_req *rq)
{
    DL_DELETE(rq->h->pending, rq);
    MHD_resume_connection(rq->conn);
    req_unref(rq);
}

static void on_wake(struct loop_watch *w, uint32_t events)
{
    struct httpd *h = w->ctx;
    struct http_req *rq, *next, *inbox;
    uint64_t count;
    ssize_t n = read(w->fd, &count, sizeof count);

    (void)events;
    (void)n;
    pthread_mutex_lock(&h->lock);
    inbox = h->inbox;
    h->inbox = NULL;
    pthread_mutex_unlock(&h->lock);
    DL_FOREACH_SAFE(inbox, rq, next)
    {
        DL_DELETE(inbox, rq);
        DL_APPEND(h->pending, rq);
        if (h->guard && !h->guard(h->ctx, rq))
            continue;
        if (rq->asking)
            let_read(rq);
        else
            rq->route->fn(h->ctx, rq);
    }
}

/* ---- libmicrohttpd's threads ---- */

static enum MHD_Result queue_blob(struct MHD_Connection *conn, unsigned status, const struct http_blob *b,
                                  bool gzip)
{
    struct MHD_Response *r, *own = NULL;
    enum MHD_Result rc;

    if (!b)
        return MHD_NO;
    r = status == MHD_HTTP_NOT_MODIFIED ? http_blob_unchanged(b) : http_blob_response(b, gzip);
    if (!r)
        r = own = http_blob_unpacked(b);
    rc = r ? MHD_queue_response(conn, status, r) : MHD_NO;
    if (own)
        MHD_destroy_response(own);
    return rc;
}

/* An answer that needs no handler. header NULL: none besides the usual ones. */
static enum MHD_Result refuse(struct httpd *h, struct MHD_Connection *conn, unsigned status, const char *text,
                              const char *header, const char *value)
{
    struct http_blob *b = error_blob(text);
    enum MHD_Result r;

    atomic_fetch_add(&h->refused, 1);
    count_status(h, status);
    if (b && header)
        MHD_add_response_header(http_blob_response(b, false), header, value);
    r = queue_blob(conn, status, b, false);
    http_blob_unref(b);
    return r;
}

static enum MHD_Result turn_away(struct httpd *h, struct MHD_Connection *conn, unsigned status,
                                 const char *text)
{
    return refuse(h, conn, status, text, NULL, NULL);
}

/* Octets of content that are announced; 0: none; SIZE_MAX: it will be seen. */
static size_t announced(struct MHD_Connection *conn)
{
    const char *len = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

    if (MHD_lookup_connection_value(conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        return SIZE_MAX;
    return len ? (size_t)strtoull(len, NULL, 10) : 0; /* libmicrohttpd has seen that it is a number */
}

static bool is_reading(const char *method)
{
    return !strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD);
}

static bool is_method(const struct http_route *r, const char *method)
{
    return r->method ? !strcmp(r->method, method) : is_reading(method);
}

#define ALLOW_MAX 128

/* NULL: there is none. allow, of ALLOW_MAX octets, gets the methods of the path. */
static const struct http_route *find_route(const struct httpd *h, const char *path, const char *method,
                                           char *allow)
{
    size_t len = 0;

    allow[0] = '\0';
    for (size_t i = 0; i < h->n_routes; i++) {
        const struct http_route *r = &h->routes[i];

        if (!http_path_match(r->path, path, NULL, NULL))
            continue;
        if (is_method(r, method))
            return r;
        len += (size_t)snprintf(allow + len, len < ALLOW_MAX ? ALLOW_MAX - len : 0, "%s%s", len ? ", " : "",
                                r->method ? r->method : "GET, HEAD");
        if (len >= ALLOW_MAX)
            len = ALLOW_MAX - 1;
    }
    return NULL;
}

static enum MHD_Result refuse_method(struct httpd *h, struct MHD_Connection *conn, const char *allow)
{
    char text[ALLOW_MAX + 64];

    snprintf(text, sizeof text, "only %s: other methods are not served here",
             *allow ? allow : "GET and HEAD");
    return refuse(h, conn, MHD_HTTP_METHOD_NOT_ALLOWED, text, MHD_HTTP_HEADER_ALLOW,
                  *allow ? allow : "GET, HEAD");
}

/* ---- How many there may be ---- */

struct conn_note {
    struct http_crowd_conn crowd; /* first */
    int fd;
    bool asked;
};

static struct conn_note *note_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

/* Its thread finds the socket at its end. With the lock: a connection that is listed has its socket still. */
static void cut_off(const struct http_crowd_conn *conn)
{
    if (conn)
        shutdown(((const struct conn_note *)conn)->fd, SHUT_RDWR);
}

static enum http_crowd_verdict admit(struct httpd *h, struct conn_note *note, bool vital)
{
    enum http_crowd_verdict v;
    struct http_crowd_conn *gone;

    pthread_mutex_lock(&h->crowd_lock);
    v = http_crowd_begin(&h->crowd, &note->crowd, vital, tw_mono_now().ns, &gone);
    cut_off(gone);
    pthread_mutex_unlock(&h->crowd_lock);
    return v;
}

static void release(struct httpd *h, struct conn_note *note)
{
    pthread_mutex_lock(&h->crowd_lock);
    http_crowd_end(&h->crowd, &note->crowd, tw_mono_now().ns);
    pthread_mutex_unlock(&h->crowd_lock);
}

static enum MHD_Result refuse_busy(struct httpd *h, struct MHD_Connection *conn, enum http_crowd_verdict v)
{
    static const char *const texts[HTTP_CROWD_VERDICTS] = {
        [HTTP_CROWD_CONNECTIONS] = "too many connections at once: try again later",
        [HTTP_CROWD_ADDRESS] = "too many connections at once from your address: try again later",
        [HTTP_CROWD_REQUESTS] = "too many requests at once: try again later",
        [HTTP_CROWD_CONTENT] = "too much content at once: try again later",
    };

    return refuse(h, conn, MHD_HTTP_SERVICE_UNAVAILABLE, texts[v], MHD_HTTP_HEADER_RETRY_AFTER,
                  HTTP_BUSY_RETRY_S);
}

/* ---- Heads ---- */

/* In place of a request that is refused for too many: an answer now would cost the client its connection, and
 * us the next one. */
static char busy_marks[HTTP_CROWD_VERDICTS];

/* HTTP_CROWD_OK: it is a request. */
static enum http_crowd_verdict marked(const void *rq)
{
    for (int v = HTTP_CROWD_OK + 1; v < HTTP_CROWD_VERDICTS; v++)
        if (rq == &busy_marks[v])
            return (enum http_crowd_verdict)v;
    return HTTP_CROWD_OK;
}

static enum MHD_Result submit(struct httpd *h, struct http_req *rq);

static bool is_doomed(const struct http_req *rq)
{
    return rq->too_long || rq->no_memory || rq->query.overflow || rq->query.bad || rq->path.bad;
}

/* Content of a request that is refused anyway: too much of it costs the client its connection; else it is
 * read and let go of, or a client that sends it first would not see the answer. */
static enum MHD_Result begin_content(struct httpd *h, struct http_req *rq)
{
    rq->too_long = rq->content != SIZE_MAX && rq->content > rq->route->body_max;
    if (is_doomed(rq) && rq->content <= DRAIN_MAX)
        return MHD_YES;
    rq->asking = !is_doomed(rq);
    return submit(h, rq);
}

/* The head has been read. A response queued here also spares us the content, and costs the client its
 * connection. */
static enum MHD_Result begin(struct httpd *h, struct MHD_Connection *conn, const char *path,
                             const char *method, void **ret_rq)
{
    char allow[ALLOW_MAX];
    const struct http_route *route = find_route(h, path, method, allow);
    struct conn_note *note = note_of(conn);
    size_t content = announced(conn);
    enum http_crowd_verdict v;
    struct http_req *rq;

    atomic_fetch_add(&h->requests, 1);
    if (!note)
        return turn_away(h, conn, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    note->asked = true;
    if (!route && (*allow || !is_reading(method)))
        return refuse_method(h, conn, allow);
    if (content && !(route && route->body_max))
        return turn_away(h, conn, MHD_HTTP_BAD_REQUEST, "a request to this path must not have content");
    v = route ? admit(h, note, route->vital) : HTTP_CROWD_OK; /* on_completed() gives the place back */
    if (v != HTTP_CROWD_OK && content)
        return refuse_busy(h, conn, v);
    if (v != HTTP_CROWD_OK) {
        *ret_rq = &busy_marks[v];
        return MHD_YES;
    }
    rq = req_new(h, conn, route, path);
    if (!rq)
        return turn_away(h, conn, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    rq->is_root = !strcmp(path, "/");
    rq->content = content;
    *ret_rq = rq; /* on_completed() lets it go */
    return content ? begin_content(h, rq) : MHD_YES;
}

/* ---- Content ---- */

/* The guard has let it through. */
static enum MHD_Result make_room(struct httpd *h, struct http_req *rq)
{
    size_t len = rq->content == SIZE_MAX ? rq->route->body_max : rq->content;
    struct conn_note *note = note_of(rq->conn);
    enum http_crowd_verdict v;

    pthread_mutex_lock(&h->crowd_lock);
    v = http_crowd_content(&h->crowd, &note->crowd, len);
    pthread_mutex_unlock(&h->crowd_lock);
    return v == HTTP_CROWD_OK ? MHD_YES : refuse_busy(h, rq->conn, v);
}

static void keep_content(struct http_req *rq, const char *data, size_t len)
{
    char *more;

    rq->too_long = len > rq->route->body_max - rq->body_len;
    if (rq->too_long)
        return;
    more = realloc(rq->body, rq->body_len + len + 1);
    rq->no_memory = !more;
    if (!more)
        return;
    memcpy(more + rq->body_len, data, len);
    rq->body = more;
    rq->body_len += len;
    more[rq->body_len] = '\0';
}

/* Of what is refused some is read and let go of: a client that is still sending would not see the answer. */
static enum MHD_Result take_content(struct http_req *rq, const char *data, size_t len)
{
    if (!rq->answered && !is_doomed(rq)) {
        keep_content(rq, data, len);
        return MHD_YES;
    }
    rq->drained += len;
    return rq->drained <= DRAIN_MAX ? MHD_YES : MHD_NO;
}

/* False when we are stopping: nobody may be suspended any more. */
static bool hand_over(struct httpd *h, struct http_req *rq)
{
    bool stopping, first;
    uint64_t one = 1;
    ssize_t n = 0;

    pthread_mutex_lock(&h->lock);
    stopping = h->stopping;
    first = !h->inbox;
    if (!stopping) {
        atomic_fetch_add(&rq->refs, 1); /* the loop's */
        rq->submitted = true;
        MHD_suspend_connection(rq->conn); /* before the loop can see it, and resume it */
        DL_APPEND(h->inbox, rq);
    }
    pthread_mutex_unlock(&h->lock);
    if (!stopping && first)
        n = write(h->wake.fd, &one, sizeof one); /* fails only when the loop is about to wake anyway */
    (void)n;
    return !stopping;
}

static enum MHD_Result submit(struct httpd *h, struct http_req *rq)
{
    if (!rq->route && rq->is_root)
        return queue_blob(rq->conn, MHD_HTTP_OK, h->index, false);
    if (!rq->route)
        return turn_away(h, rq->conn, MHD_HTTP_NOT_FOUND, h->nowhere);
    if (rq->query.overflow || rq->query.bad)
        return turn_away(h, rq->conn, MHD_HTTP_BAD_REQUEST,
                         "too many query parameters, or one with a NUL in it");
    if (rq->path.bad || rq->no_memory)
        return turn_away(h, rq->conn, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    if (rq->too_long)
        return turn_away(h, rq->conn, MHD_HTTP_CONTENT_TOO_LARGE, "the content is longer than is taken here");
    if (!hand_over(h, rq))
        return turn_away(h, rq->conn, MHD_HTTP_SERVICE_UNAVAILABLE, "stopping");
    return MHD_YES;
}

static enum MHD_Result answer(struct httpd *h, struct http_req *rq)
{
    struct conn_note *note = note_of(rq->conn);

    pthread_mutex_lock(&h->crowd_lock);
    http_crowd_answer(&h->crowd, &note->crowd, rq->stream, tw_mono_now().ns);
    pthread_mutex_unlock(&h->crowd_lock);
    if (!rq->stream)
        return queue_blob(rq->conn, rq->status, rq->blob, http_accepts_gzip(rq));
    http_stream_bind(rq->stream, rq->conn);
    return MHD_queue_response(rq->conn, rq->status, rq->stream->response);
}

/* The guard has seen the head, and no content has been read. */
static enum MHD_Result after_guard(struct httpd *h, struct http_req *rq)
{
    rq->asking = false;
    rq->submitted = false;
    if (!rq->answered)
        return make_room(h, rq);
    return rq->content <= DRAIN_MAX ? MHD_YES : answer(h, rq);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_len, void **con_cls)
{
    struct httpd *h = cls;
    struct http_req *rq = *con_cls; /* or a mark */
    size_t len = *data_len;

    (void)version;
    if (!rq)
        return begin(h, conn, url, method, con_cls);
    if (marked(rq) != HTTP_CROWD_OK)
        return refuse_busy(h, conn, marked(rq));
    if (rq->asking)
        return after_guard(h, rq);
    if (len && !rq->content)
        return MHD_NO; /* content that was not announced */
    *data_len = 0;
    if (len)
        return take_content(rq, data, len);
    return rq->submitted || rq->answered ? answer(h, rq) : submit(h, rq);
}

/* libmicrohttpd may hold its own locks here: ours is a leaf. */
static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    struct conn_note *note = note_of(conn);

    (void)why;
    if (note)
        release(cls, note);
    if (*con_cls && marked(*con_cls) == HTTP_CROWD_OK)
        req_unref(*con_cls);
    *con_cls = NULL;
}

static void conn_ip(struct MHD_Connection *conn, uint8_t ret[16])
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct tw_addr a = { 0 };

    if (info)
        tw_addr_from_sockaddr(info->client_addr, &a);
    memcpy(ret, a.ip, 16);
}

static void enter(struct httpd *h, struct MHD_Connection *conn, struct conn_note *note)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    uint8_t ip[16];

    note->fd = info ? info->connect_fd : -1;
    conn_ip(conn, ip);
    pthread_mutex_lock(&h->crowd_lock);
    cut_off(http_crowd_enter(&h->crowd, &note->crowd, ip, tw_mono_now().ns));
    pthread_mutex_unlock(&h->crowd_lock);
}

/* Before its socket is closed. */
static void leave(struct httpd *h, struct conn_note *note)
{
    pthread_mutex_lock(&h->crowd_lock);
    http_crowd_leave(&h->crowd, &note->crowd);
    pthread_mutex_unlock(&h->crowd_lock);
    if (!note->asked)
        atomic_fetch_add(&h->unasked, 1);
    free(note);
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **socket_ctx,
                          enum MHD_ConnectionNotificationCode code)
{
    struct httpd *h = cls;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        atomic_fetch_add(&h->open, 1);
        *socket_ctx = calloc(1, sizeof(struct conn_note)); /* without it every request is refused */
        if (*socket_ctx)
            enter(h, conn, *socket_ctx);
        return;
    }
    atomic_fetch_sub(&h->open, 1);
    if (*socket_ctx)
        leave(h, *socket_ctx);
    *socket_ctx = NULL;
}

/* Mostly about clients that went away; any of them can cause it. */
static void on_log(void *cls, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *cls, const char *fmt, va_list ap)
{
    char text[256];

    (void)cls;
    vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\r\n")] = '\0';
    log_debug("http server", LOG_S("text", text));
}

/* ---- TLS ---- */

static struct http_cert *cert_of_port(uint16_t port)
{
    struct http_cert *found = NULL;

    pthread_mutex_lock(&tls_lock);
    for (struct httpd *h = tls_list; h && !found; h = h->next_tls)
        if (h->port == port) {
            found = http_cert_ref(h->cert);
            atomic_fetch_add(&h->handshakes, 1);
        }
    pthread_mutex_unlock(&tls_lock);
    return found;
}

/* libmicrohttpd's threads, in a handshake. */
static int give_cert(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                     gnutls_pcert_st **ret_list, unsigned *ret_n, gnutls_ocsp_data_st **ret_ocsp,
                     unsigned *ret_ocsp_n, gnutls_privkey_t *ret_key, unsigned *ret_flags)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    struct http_cert *cert;
    struct tw_addr own;
    int e;

    (void)info;
    if (getsockname(gnutls_transport_get_int(session), (struct sockaddr *)&ss, &len) < 0 ||
        tw_addr_from_sockaddr((struct sockaddr *)&ss, &own) != TW_OK)
        return -1;
    cert = cert_of_port(own.port);
    if (!cert)
        return -1;
    *ret_ocsp = NULL;
    *ret_ocsp_n = 0;
    *ret_flags = GNUTLS_CERT_RETR_DEINIT_ALL;
    e = http_cert_copy(cert, ret_list, ret_n, ret_key);
    http_cert_unref(cert);
    return e;
}

static enum tw_rc load_cert(struct httpd *h, const struct httpd_conf *c, struct tw_err *err)
{
    struct tw_err late = { 0 };
    enum tw_rc rc;

    if (!c->tls_cert)
        return TW_OK;
    h->tls_cert = c->tls_cert;
    h->tls_key = c->tls_key;
    rc = http_cert_load(c->tls_cert, c->tls_key, &h->cert, err);
    if (rc == TW_OK && http_cert_check_time(h->cert, tw_wall_now().ns, &late) != TW_OK)
        log_error(late.text);
    return rc;
}

/* False: those in use are no better, or those that come are good. */
static bool is_worse(const struct httpd *h, const struct http_cert *cert, struct tw_err *err)
{
    int64_t now_ns = tw_wall_now().ns;

    return http_cert_check_time(cert, now_ns, err) != TW_OK &&
           http_cert_check_time(h->cert, now_ns, NULL) == TW_OK;
}

enum tw_rc httpd_reload(struct httpd *h, struct tw_err *err)
{
    struct http_cert *cert = NULL, *old;
    enum tw_rc rc;

    if (!h->cert)
        return TW_OK;
    rc = http_cert_load(h->tls_cert, h->tls_key, &cert, err);
    if (rc == TW_OK && is_worse(h, cert, err))
        rc = err->rc;
    if (rc != TW_OK) {
        h->reloads_failed++;
        http_cert_unref(cert);
        return rc;
    }
    pthread_mutex_lock(&tls_lock);
    old = h->cert;
    h->cert = cert;
    pthread_mutex_unlock(&tls_lock);
    http_cert_unref(old);
    h->reloads++;
    return TW_OK;
}

int64_t httpd_cert_end_ns(const struct httpd *h)
{
    return h->cert ? http_cert_end_ns(h->cert) : 0;
}

static void list_tls(struct httpd *h)
{
    pthread_mutex_lock(&tls_lock);
    LL_PREPEND2(tls_list, h, next_tls);
    pthread_mutex_unlock(&tls_lock);
}

static void unlist_tls(struct httpd *h)
{
    pthread_mutex_lock(&tls_lock);
    if (h->cert && tls_list)
        LL_DELETE2(tls_list, h, next_tls);
    pthread_mutex_unlock(&tls_lock);
}

/* ---- Life ---- */

static enum tw_rc refuse_address(const char *address, const char *step, struct tw_err *err)
{
    int e = errno;

    return tw_err_set(err, tw_rc_errno(e), "http: cannot %s %s: %s", step, address, strerror(e));
}

static enum tw_rc bind_listen(int fd, const struct tw_addr *a, const char *address, uint16_t *ret_port,
                              struct tw_err *err)
{
    struct sockaddr_storage ss;
    socklen_t len = tw_addr_to_sockaddr(a, &ss);
    struct tw_addr bound;
    int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, BACKLOG) < 0)
        return refuse_address(address, "listen on", err);
    len = sizeof ss;
    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 ||
        tw_addr_from_sockaddr((struct sockaddr *)&ss, &bound))
        return refuse_address(address, "read back the port of", err);
    *ret_port = bound.port;
    return TW_OK;
}

enum tw_rc httpd_check(const struct httpd_conf *c, struct tw_addr *ret, struct tw_err *err)
{
    if (!c->tls_cert != !c->tls_key)
        return tw_err_set(err, TW_EINVAL,
                          "https: there is a %s, but no %s: expected both, or none for plain HTTP",
                          c->tls_cert ? "certificate" : "key", c->tls_cert ? "key" : "certificate");
    if (tw_addr_parse(c->address, DFLT_PORT, ret))
        return tw_err_set(err, TW_EINVAL,
                          "http: \"%s\" is no address; expected e.g. 127.0.0.1:8080 or [::]:8080", c->address);
    if (!c->tls_cert && !c->plaintext && !tw_addr_is_loopback(ret))
        return tw_err_set(
            err, TW_EPERM,
            "http: %s would be HTTP that others can read and change: give certificate and key for HTTPS "
            "(--http-tls-cert, --http-tls-key), a loopback address, or --http-plaintext",
            c->address);
    return TW_OK;
}

/* Our own socket: libmicrohttpd's would fail without saying why. */
static enum tw_rc open_socket(const struct tw_addr *a, const char *address, int *ret_fd, uint16_t *ret_port, struct tw_err *err)
{
    enum tw_rc rc;
    int fd;

    fd = socket(a->family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return refuse_address(address, "make a socket for", err);
    rc = bind_listen(fd, a, address, ret_port, err);
    if (rc)
        close(fd);
    else
        *ret_fd = fd;
    return rc;
}

static enum tw_rc make_index(struct httpd *h)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return TW_ENOMEM;
    for (size_t i = 0; i < h->n_routes; i++)
        fprintf(f, "%-6s %-36s %s\n", h->routes[i].method ? h->routes[i].method : "GET", h->routes[i].path,
                h->routes[i].help);
    if (fclose(f)) {
        free(text);
        return TW_ENOMEM;
    }
    return http_blob_new(text, len, "text/plain; charset=utf-8", false, &h->index);
}

static struct MHD_Daemon *start_daemon(struct httpd *h, int fd)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

    const struct http_crowd_conf *crowd = &h->crowd.conf;
    struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_PRIORITIES, 0, (char *)HTTP_TLS_PRIORITIES },
        { MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, give_cert },
        { MHD_OPTION_END, 0, NULL },
    };

    if (h->cert)
        flags |= MHD_USE_TLS;
    else
        tls[0].option = MHD_OPTION_END;
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, /* the logger goes first */
                            MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                            MHD_OPTION_THREAD_POOL_SIZE, THREADS, MHD_OPTION_CONNECTION_LIMIT,
                            crowd->connections + crowd->reserve + SLACK, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                            crowd->per_address + crowd->reserve + SLACK, MHD_OPTION_CONNECTION_TIMEOUT,
                            IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_LIMIT,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
                            on_connection, h, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

static enum tw_rc watch_inbox(struct httpd *h)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    enum tw_rc rc;

    if (fd < 0)
        return tw_rc_errno(errno);
    h->wake = (struct loop_watch){ .fn = on_wake, .ctx = h, .fd = fd };
    rc = loop_watch(h->loop, &h->wake, EPOLLIN);
    if (rc) {
        close(fd);
        h->wake.fd = -1;
    }
    return rc;
}

static void unwatch_inbox(struct httpd *h)
{
    if (h->wake.fd < 0)
        return;
    loop_unwatch(h->loop, &h->wake);
    close(h->wake.fd);
}

static void free_parts(struct httpd *h)
{
    unlist_tls(h);
    http_cert_unref(h->cert);
    unwatch_inbox(h);
    http_blob_unref(h->index);
    pthread_mutex_destroy(&h->lock);
    pthread_mutex_destroy(&h->crowd_lock);
    free(h);
}

static enum tw_rc start_parts(struct httpd *h, const struct httpd_conf *c, struct tw_err *err)
{
    struct tw_addr address;
    enum tw_rc rc = httpd_check(c, &address, err);
    int fd = -1;

    if (rc)
        return rc;
    rc = make_index(h);
    if (!rc)
        rc = watch_inbox(h);
    if (rc)
        return tw_err_set(err, rc, "http: cannot start: %s", tw_rc_name(rc));
    rc = load_cert(h, c, err);
    if (!rc)
        rc = open_socket(&address, c->address, &fd, &h->port, err);
    if (rc)
        return rc;
    if (h->cert)
        list_tls(h); /* before the first handshake */
    h->daemon = start_daemon(h, fd);
    if (h->daemon)
        return TW_OK;
    close(fd);
    return tw_err_set(err, TW_EIO, "http: the server library does not start on %s", c->address);
}

static void set_bounds(struct http_crowd_conf *to, const struct httpd_conf *c)
{
    to->connections = c->max_connections ? c->max_connections : 512;
    to->per_address = c->max_per_address ? c->max_per_address : 64;
    to->requests = c->max_requests ? c->max_requests : 256;
    to->reserve = HTTP_RESERVE;
    to->content_bytes = CONTENT_MAX;
    to->patience_ns = PATIENCE_NS;
}

enum tw_rc httpd_start(const struct httpd_conf *c, struct httpd **ret, struct tw_err *err)
{
    struct httpd *h = calloc(1, sizeof *h);
    enum tw_rc rc;

    if (!h)
        return tw_err_set(err, TW_ENOMEM, "http: out of memory");
    h->loop = c->loop;
    h->routes = c->routes;
    h->n_routes = c->n_routes;
    h->ctx = c->ctx;
    h->guard = c->guard;
    snprintf(h->nowhere, sizeof h->nowhere, "no such path; %s lists what there is",
             c->index ? c->index : "/");
    h->wake.fd = -1;
    pthread_mutex_init(&h->lock, NULL);
    pthread_mutex_init(&h->crowd_lock, NULL);
    set_bounds(&h->crowd.conf, c);
    rc = start_parts(h, c, err);
    if (rc)
        free_parts(h);
    else
        *ret = h;
    return rc;
}

/* libmicrohttpd aborts the process if it is stopped with a connection suspended. */
static void answer_all(struct httpd *h)
{
    struct http_req *rq, *next;

    pthread_mutex_lock(&h->lock);
    h->stopping = true; /* nobody is suspended from here on */
    DL_FOREACH_SAFE(h->inbox, rq, next)
    {
        DL_DELETE(h->inbox, rq);
        DL_APPEND(h->pending, rq);
        rq->route = NULL; /* its handler will never run */
    }
    pthread_mutex_unlock(&h->lock);
    DL_FOREACH_SAFE(h->pending, rq, next)
    {
        if (rq->route)
            atomic_fetch_add(&rq->refs, 1); /* the handler's own answer still comes, and takes one */
        finish(rq, MHD_HTTP_SERVICE_UNAVAILABLE, error_blob("stopping"));
    }
}

static void end_streams(struct httpd *h)
{
    struct http_stream *s, *next;

    DL_FOREACH_SAFE(h->streams, s, next)
    end_stream(s);
}

void httpd_stop(struct httpd *h)
{
    if (!h)
        return;
    answer_all(h);
    end_streams(h);
    MHD_stop_daemon(h->daemon);
    free_parts(h);
}

uint16_t httpd_port(const struct httpd *h)
{
    return h->port;
}

void httpd_counters(struct httpd *h, struct httpd_counters *ret)
{
    const struct http_crowd *crowd = &h->crowd;

    pthread_mutex_lock(&h->crowd_lock);
    ret->under_way = crowd->n_requests;
    ret->busy_connections = crowd->refused[HTTP_CROWD_CONNECTIONS];
    ret->busy_address = crowd->refused[HTTP_CROWD_ADDRESS];
    ret->busy_requests = crowd->refused[HTTP_CROWD_REQUESTS];
    ret->busy_content = crowd->refused[HTTP_CROWD_CONTENT];
    ret->cut_off = crowd->cut;
    pthread_mutex_unlock(&h->crowd_lock);
    ret->requests = atomic_load(&h->requests);
    ret->refused = atomic_load(&h->refused);
    ret->errors_4xx = atomic_load(&h->errors_4xx);
    ret->errors_5xx = atomic_load(&h->errors_5xx);
    ret->open = atomic_load(&h->open);
    ret->unasked = atomic_load(&h->unasked);
    ret->handshakes = atomic_load(&h->handshakes);
    ret->reloads = h->reloads;
    ret->reloads_failed = h->reloads_failed;
}
