#include "common/net/httpd_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>
#include "common/addr.h"
#include "common/log.h"
#include "common/net/http_blob.h"
#include "common/net/http_path.h"
#include "common/net/http_stream.h"
#include "common/net/now.h"

#define DRAIN_MAX \
    ((size_t)64   \
     << 10) /* content of a request that is refused: read and let go of, or the client would not see why */

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
    struct http_blob *b = http_error_blob(text);
    enum MHD_Result r;

    atomic_fetch_add(&h->refused, 1);
    http_count_status(h, status);
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
    if (!note->asked && h->client_ca)
        note->has_client = http_take_client(conn, note->client);
    note->asked = true;
    if (!route && (*allow || !is_reading(method)))
        return refuse_method(h, conn, allow);
    if (content && !(route && route->body_max))
        return turn_away(h, conn, MHD_HTTP_BAD_REQUEST, "a request to this path must not have content");
    v = route ? admit(h, note, route->vital) : HTTP_CROWD_OK; /* http_on_completed() gives the place back */
    if (v != HTTP_CROWD_OK && content)
        return refuse_busy(h, conn, v);
    if (v != HTTP_CROWD_OK) {
        *ret_rq = &busy_marks[v];
        return MHD_YES;
    }
    rq = http_req_new(h, conn, route, path);
    if (!rq)
        return turn_away(h, conn, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    rq->has_client = note->has_client;
    memcpy(rq->client, note->client, sizeof rq->client);
    rq->is_root = !strcmp(path, "/");
    rq->content = content;
    *ret_rq = rq; /* http_on_completed() lets it go */
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

static enum MHD_Result go_on(struct httpd *h, struct MHD_Connection *conn, const char *url,
                             const char *method, const char *data, size_t *data_len, void **con_cls)
{
    struct http_req *rq = *con_cls; /* or a mark */
    size_t len = *data_len;

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

enum MHD_Result http_on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                const char *version, const char *data, size_t *data_len, void **con_cls)
{
    struct httpd *h = cls;
    enum MHD_Result r;

    (void)version;
    http_round_begin(&h->threads);
    r = go_on(h, conn, url, method, data, data_len, con_cls);
    http_round_end();
    return r;
}

/* libmicrohttpd may hold its own locks here: ours is a leaf. */
void http_on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                       enum MHD_RequestTerminationCode why)
{
    struct httpd *h = cls;
    struct conn_note *note = note_of(conn);

    (void)why;
    http_round_begin(&h->threads);
    if (note)
        release(h, note);
    if (*con_cls && marked(*con_cls) == HTTP_CROWD_OK)
        http_req_unref(*con_cls);
    *con_cls = NULL;
    http_round_end();
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

static void come_or_go(struct httpd *h, struct MHD_Connection *conn, void **socket_ctx,
                       enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        atomic_fetch_add(&h->open, 1);
        *socket_ctx = calloc(1, sizeof(struct conn_note)); /* without it every request is refused */
        if (*socket_ctx)
            enter(h, conn, *socket_ctx);
        atomic_fetch_add(&h->begun, 1);
        return;
    }
    atomic_fetch_sub(&h->open, 1);
    if (*socket_ctx)
        leave(h, *socket_ctx);
    *socket_ctx = NULL;
}

void http_on_connection(void *cls, struct MHD_Connection *conn, void **socket_ctx,
                        enum MHD_ConnectionNotificationCode code)
{
    struct httpd *h = cls;

    http_round_begin(&h->threads);
    come_or_go(h, conn, socket_ctx, code);
    http_round_end();
}

void http_on_log(void *cls, const char *fmt, va_list ap)
{
    char text[256];

    (void)cls;
    vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\r\n")] = '\0';
    log_debug("http server", LOG_S("text", text));
}
