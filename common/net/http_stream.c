/* libmicrohttpd asks for octets whenever what it had is in the socket; when there are none the connection is
 * suspended, and whoever brings more resumes it. So a suspended stream is one whose client has taken
 * everything, but for what the socket holds. */
#include "common/net/http_stream.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "common/net/http_threads.h"

#define BLOCK ((size_t)4096)
#define BULK_BLOCK ((size_t)65536)
#define BULK_BUFFER (128 << 10)
#define SOCKET_BUFFER \
    (16 << 10)           /* what a client that does not read can make the kernel keep; doubled there */
#define SILENT_MS 30000u /* a peer that acknowledges nothing for so long is gone */

/* With the lock. */
static void tell(struct http_stream *s)
{
    if (s->taken && !s->ended)
        loop_post(s->loop, s->taken);
}

static ssize_t take(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct http_stream *s = cls;
    ssize_t n = 0;

    (void)pos;
    http_round_begin(NULL);
    pthread_mutex_lock(&s->lock);
    if (s->aborted) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (s->at < s->len) {
        n = (ssize_t)(s->len - s->at < max ? s->len - s->at : max);
        memcpy(buf, s->data + s->at, (size_t)n);
        s->at += (size_t)n;
    } else if (s->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        s->suspended = true;
        MHD_suspend_connection(s->conn);
        tell(s);
    }
    pthread_mutex_unlock(&s->lock);
    http_round_end();
    return n;
}

static void let_go(void *cls)
{
    struct http_stream *s = cls;

    atomic_store(&s->gone, true);
    pthread_mutex_lock(&s->lock);
    tell(s);
    pthread_mutex_unlock(&s->lock);
    http_stream_unref(s);
}

static bool add_headers(struct MHD_Response *r, const char *type)
{
    return MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
           MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES &&
           MHD_add_response_header(r, "X-Content-Type-Options", "nosniff") == MHD_YES &&
           MHD_add_response_header(r, "Cross-Origin-Resource-Policy", "same-origin") == MHD_YES &&
           MHD_add_response_header(r, "X-Accel-Buffering", "no") == MHD_YES; /* nginx would hold it back */
}

static char *copy_of(const char *data, size_t len)
{
    char *copy = malloc(len ? len : 1);

    if (copy && len)
        memcpy(copy, data, len);
    return copy;
}

struct http_stream *http_stream_new(const char *type, const char *data, size_t len, bool bulk)
{
    struct http_stream *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    atomic_store(&s->refs, 1);
    s->fd = -1;
    s->room = bulk ? BULK_BUFFER : SOCKET_BUFFER;
    s->len = len;
    s->data = copy_of(data, len);
    s->response =
        s->data ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, bulk ? BULK_BLOCK : BLOCK, take, s, let_go)
                : NULL;
    if (!s->response) {
        http_stream_unref(s);
        return NULL;
    }
    atomic_fetch_add(&s->refs, 1);
    if (add_headers(s->response, type))
        return s;
    MHD_destroy_response(s->response);
    http_stream_unref(s);
    return NULL;
}

void http_stream_unref(struct http_stream *s)
{
    if (atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&s->lock);
    free(s->data);
    free(s);
}

void http_stream_bind(struct http_stream *s, struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    const int room = s->room;
    const unsigned silent = SILENT_MS;

    pthread_mutex_lock(&s->lock);
    s->conn = conn;
    s->fd = info ? info->connect_fd : -1;
    if (s->fd >= 0) { /* best effort: bounds, not needs */
        setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        setsockopt(s->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent, sizeof silent);
    }
    pthread_mutex_unlock(&s->lock);
}

/* With the lock. */
static void go_on(struct http_stream *s)
{
    if (s->suspended)
        MHD_resume_connection(s->conn);
    s->suspended = false;
}

void http_stream_end(struct http_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    go_on(s);
    pthread_mutex_unlock(&s->lock);
}

void http_stream_cut(struct http_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->aborted = true;
    go_on(s);
    pthread_mutex_unlock(&s->lock);
}

void http_stream_forget_task(struct http_stream *s)
{
    struct loop_task *t;

    pthread_mutex_lock(&s->lock);
    t = s->taken;
    s->taken = NULL;
    pthread_mutex_unlock(&s->lock);
    if (t)
        loop_unpost(s->loop, t);
}

enum tw_rc http_stream_send(struct http_stream *s, const char *data, size_t len)
{
    enum tw_rc rc = TW_EBUSY;
    char *copy = NULL;

    pthread_mutex_lock(&s->lock);
    if (s->ended || s->aborted || atomic_load(&s->gone)) {
        rc = TW_ECLOSED;
    } else if (s->suspended) {
        copy = copy_of(data, len);
        rc = copy ? TW_OK : TW_ENOMEM;
    }
    if (rc == TW_OK) {
        free(s->data);
        s->data = copy;
        s->at = 0;
        s->len = len;
        go_on(s);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* libmicrohttpd does not look at a suspended connection. What a client says in parting (TLS) may still lie unread before its end. */
static bool has_hung_up(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLRDHUP };

    return poll(&p, 1, 0) > 0;
}

bool http_stream_is_gone(struct http_stream *s)
{
    bool gone;

    pthread_mutex_lock(&s->lock);
    gone = s->ended || s->aborted || atomic_load(&s->gone) || (s->suspended && s->fd >= 0 && has_hung_up(s->fd));
    pthread_mutex_unlock(&s->lock);
    return gone;
}
