#include "tests/fuzz/fake_mhd.h"
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "common/net/http_listener.h"
#include "tests/fuzz/check.h"

#define HEADERS_MAX 24
#define PARKED_MAX 8
#define KEPT_MAX 64 /* of answers that are made once in a process */

struct MHD_Response {
    unsigned refs;
    char *data; /* NULL: made by take() */
    size_t len;
    enum MHD_ResponseMemoryMode mode;
    MHD_ContentReaderCallback take;
    MHD_ContentReaderFreeCallback let_go;
    void *ctx;
    struct {
        char *name, *value;
    } headers[HEADERS_MAX];
    size_t n;
};

struct MHD_Daemon {
    MHD_AccessHandlerCallback handler;
    void *ctx;
    MHD_RequestCompletedCallback completed;
    MHD_NotifyConnectionCallback notify;
    void *completed_ctx, *notify_ctx;
};

struct MHD_Connection {
    struct sockaddr_in from;
    void *socket_ctx, *request_ctx;
    const struct fake_request *rq;
    struct MHD_Response *response;
    unsigned status;
    bool suspended, stream_over;
    bool head_done; /* the server has let the content come */
    size_t sent;    /* octets of it */
    char *streamed; /* octets of the stream so far */
    size_t streamed_len;
    union MHD_ConnectionInfo info;
};

static struct MHD_Daemon *daemon_now;
static struct MHD_Connection *conn, *parked[PARKED_MAX]; /* parked: streams that go on */
static size_t n_parked, n_responses;
static char *answered; /* what the last answer refers to */

/* ---- Responses ---- */

static struct MHD_Response *response_new(void)
{
    struct MHD_Response *r = calloc(1, sizeof *r);

    CHECK(r);
    r->refs = 1;
    n_responses++;
    return r;
}

struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *buffer,
                                                     enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *r = response_new();

    r->data = buffer;
    r->len = size;
    r->mode = mode;
    return r;
}

struct MHD_Response *MHD_create_response_from_callback(uint64_t size, size_t block,
                                                       MHD_ContentReaderCallback take, void *ctx,
                                                       MHD_ContentReaderFreeCallback let_go)
{
    struct MHD_Response *r = response_new();

    (void)size;
    (void)block;
    r->take = take;
    r->let_go = let_go;
    r->ctx = ctx;
    return r;
}

void MHD_destroy_response(struct MHD_Response *r)
{
    CHECK(r->refs);
    if (--r->refs)
        return;
    if (r->mode == MHD_RESPMEM_MUST_FREE && !r->take)
        free(r->data);
    if (r->let_go)
        r->let_go(r->ctx);
    for (size_t i = 0; i < r->n; i++) {
        free(r->headers[i].name);
        free(r->headers[i].value);
    }
    free(r);
    n_responses--;
}

/* As libmicrohttpd: nothing that could begin another line. */
enum MHD_Result MHD_add_response_header(struct MHD_Response *r, const char *name, const char *value)
{
    if (!*name || !*value || strpbrk(name, "\r\n\t ") || strpbrk(value, "\r\n\t"))
        return MHD_NO;
    CHECK(r->n < HEADERS_MAX);
    r->headers[r->n].name = strdup(name);
    r->headers[r->n].value = strdup(value);
    r->n++;
    return MHD_YES;
}

const char *MHD_get_response_header(struct MHD_Response *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (!strcasecmp(r->headers[i].name, name))
            return r->headers[i].value;
    return NULL;
}

enum MHD_Result MHD_del_response_header(struct MHD_Response *r, const char *name, const char *value)
{
    for (size_t i = 0; i < r->n; i++)
        if (!strcasecmp(r->headers[i].name, name) && !strcmp(r->headers[i].value, value)) {
            free(r->headers[i].name);
            free(r->headers[i].value);
            r->headers[i] = r->headers[r->n - 1];
            r->n--;
            return MHD_YES;
        }
    return MHD_NO;
}

int MHD_get_response_headers(struct MHD_Response *r, MHD_KeyValueIterator fn, void *ctx)
{
    for (size_t i = 0; i < r->n && fn; i++)
        if (fn(ctx, MHD_HEADER_KIND, r->headers[i].name, r->headers[i].value) != MHD_YES)
            break;
    return (int)r->n;
}

/* ---- Connections ---- */

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *c,
                                                        enum MHD_ConnectionInfoType type, ...)
{
    if (type == MHD_CONNECTION_INFO_CLIENT_ADDRESS)
        c->info.client_addr = (struct sockaddr *)&c->from;
    else if (type == MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        c->info.socket_context = c->socket_ctx;
    else
        return NULL;
    return &c->info;
}

static const struct fake_item *items_of(const struct MHD_Connection *c, enum MHD_ValueKind kind,
                                        size_t *ret_n)
{
    *ret_n = kind == MHD_HEADER_KIND ? c->rq->n_headers : c->rq->n_query;
    return kind == MHD_HEADER_KIND ? c->rq->headers : c->rq->query;
}

int MHD_get_connection_values_n(struct MHD_Connection *c, enum MHD_ValueKind kind, MHD_KeyValueIteratorN fn,
                                void *ctx)
{
    size_t n;
    const struct fake_item *v = items_of(c, kind, &n);

    for (size_t i = 0; i < n; i++)
        if (fn(ctx, kind, v[i].name, v[i].name_len, v[i].value, v[i].value_len) != MHD_YES)
            break;
    return (int)n;
}

const char *MHD_lookup_connection_value(struct MHD_Connection *c, enum MHD_ValueKind kind, const char *key)
{
    size_t n;
    const struct fake_item *v = items_of(c, kind, &n);

    for (size_t i = 0; i < n; i++)
        if (!strcasecmp(v[i].name, key))
            return v[i].value;
    return NULL;
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *c, unsigned status, struct MHD_Response *r)
{
    CHECK(!c->response && status >= 200 && status < 600);
    r->refs++;
    c->response = r;
    c->status = status;
    return MHD_YES;
}

void MHD_suspend_connection(struct MHD_Connection *c)
{
    CHECK(!c->suspended);
    c->suspended = true;
}

void MHD_resume_connection(struct MHD_Connection *c)
{
    CHECK(c->suspended); /* or libmicrohttpd would fall over it */
    c->suspended = false;
}

/* ---- The daemon: options as httpd.c gives them ---- */

static void skip_option(va_list *ap, enum MHD_OPTION o)
{
    switch ((int)o) {
    case MHD_OPTION_THREAD_POOL_SIZE:
    case MHD_OPTION_CONNECTION_LIMIT:
    case MHD_OPTION_PER_IP_CONNECTION_LIMIT:
    case MHD_OPTION_CONNECTION_TIMEOUT:
        (void)va_arg(*ap, unsigned);
        break;
    case MHD_OPTION_CONNECTION_MEMORY_LIMIT:
        (void)va_arg(*ap, size_t);
        break;
    case MHD_OPTION_ARRAY:
        (void)va_arg(*ap, void *);
        break;
    case MHD_OPTION_EXTERNAL_LOGGER:
        (void)va_arg(*ap, void *);
        (void)va_arg(*ap, void *);
        break;
    default:
        abort(); /* one that this does not know: add it */
    }
}

struct MHD_Daemon *MHD_start_daemon(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback policy,
                                    void *policy_ctx, MHD_AccessHandlerCallback handler, void *ctx, ...)
{
    struct MHD_Daemon *d = calloc(1, sizeof *d);
    enum MHD_OPTION o;
    va_list ap;

    (void)flags;
    (void)port;
    (void)policy;
    (void)policy_ctx;
    CHECK(d && !daemon_now);
    d->handler = handler;
    d->ctx = ctx;
    va_start(ap, ctx);
    while ((o = (enum MHD_OPTION)va_arg(ap, int)) != MHD_OPTION_END)
        if (o == MHD_OPTION_NOTIFY_COMPLETED) {
            d->completed = va_arg(ap, MHD_RequestCompletedCallback);
            d->completed_ctx = va_arg(ap, void *);
        } else if (o == MHD_OPTION_NOTIFY_CONNECTION) {
            d->notify = va_arg(ap, MHD_NotifyConnectionCallback);
            d->notify_ctx = va_arg(ap, void *);
        } else {
            skip_option(&ap, o);
        }
    va_end(ap);
    daemon_now = d;
    return d;
}

static void close_connection(struct MHD_Connection *c, enum MHD_RequestTerminationCode why)
{
    CHECK(!c->suspended);
    daemon_now->completed(daemon_now->completed_ctx, c, &c->request_ctx, why);
    daemon_now->notify(daemon_now->notify_ctx, c, &c->socket_ctx, MHD_CONNECTION_NOTIFY_CLOSED);
    if (c->response)
        MHD_destroy_response(c->response);
    free(c->streamed);
    free(c);
}

/* Takes what there is of a stream: until it waits for more, or ends. */
static void read_stream(struct MHD_Connection *c)
{
    char block[4096];

    while (!c->suspended && !c->stream_over) {
        ssize_t n = c->response->take(c->response->ctx, c->streamed_len, block, sizeof block);
        char *more;

        c->stream_over = n < 0;
        if (n <= 0)
            continue;
        more = realloc(c->streamed, c->streamed_len + (size_t)n + 1);
        CHECK(more);
        memcpy(more + c->streamed_len, block, (size_t)n);
        c->streamed = more;
        c->streamed_len += (size_t)n;
    }
}

static void look_at_parked(void)
{
    for (size_t i = 0; i < n_parked; i++) {
        struct MHD_Connection *c = parked[i];

        read_stream(c);
        if (!c->stream_over)
            continue;
        parked[i--] = parked[n_parked - 1];
        n_parked--;
        close_connection(c, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    }
}

void MHD_stop_daemon(struct MHD_Daemon *d)
{
    CHECK(d == daemon_now && !conn);
    look_at_parked();
    CHECK(!n_parked); /* whoever stops has ended them */
    daemon_now = NULL;
    free(d);
    free(answered);
    answered = NULL;
}

/* Nobody connects but by ask(). */
enum tw_rc http_listener_start(int fd, struct MHD_Daemon *d, struct http_listener **ret)
{
    CHECK(d == daemon_now);
    close(fd);
    *ret = NULL;
    return TW_OK;
}

uint64_t http_listener_stop(struct http_listener *l)
{
    CHECK(!l);
    return 0;
}

uint64_t http_listener_waits(const struct http_listener *l)
{
    CHECK(!l);
    return 0;
}

/* ---- Requests ---- */

static bool ask(const char *data, size_t len)
{
    const struct fake_request *rq = conn->rq;
    char *copy = malloc(len ? len : 1); /* as long as it is, without a NUL behind it */
    size_t left = len;
    bool ok;

    CHECK(copy);
    memcpy(copy, data, len);
    ok = daemon_now->handler(daemon_now->ctx, conn, rq->path, rq->method, "HTTP/1.1", copy, &left,
                             &conn->request_ctx) == MHD_YES;
    free(copy);
    CHECK(!ok || conn->response || left == 0);
    return ok;
}

static void end_request(enum MHD_RequestTerminationCode why)
{
    close_connection(conn, why);
    conn = NULL;
}

/* As libmicrohttpd: a handler that was called with the head and suspended it is called with the head again,
 * then with the content in pieces, then without any. A response ends that. */
static bool send_content(void)
{
    const struct fake_request *rq = conn->rq;
    size_t piece = rq->body_len / 2 + 1;
    bool ok = true;

    if (!conn->head_done) {
        conn->head_done = true;
        ok = ask("", 0);
    }
    for (; ok && !conn->response && !conn->suspended && conn->sent < rq->body_len; conn->sent += piece) {
        size_t left = rq->body_len - conn->sent;

        ok = ask(rq->body + conn->sent, left < piece ? left : piece);
    }
    if (ok && !conn->response && !conn->suspended)
        ok = ask("", 0);
    return ok;
}

bool fake_mhd_begin(const struct fake_request *rq)
{
    bool ok;

    CHECK(daemon_now && !conn);
    look_at_parked();
    conn = calloc(1, sizeof *conn);
    CHECK(conn);
    conn->rq = rq;
    conn->from.sin_family = AF_INET;
    conn->from.sin_addr.s_addr = htonl(rq->from_afar ? 0xc0000207 : INADDR_LOOPBACK);
    daemon_now->notify(daemon_now->notify_ctx, conn, &conn->socket_ctx, MHD_CONNECTION_NOTIFY_STARTED);
    ok = ask("", 0);
    conn->head_done = ok && !conn->suspended;
    if (conn->head_done && !conn->response)
        ok = send_content();
    if (!ok)
        end_request(MHD_REQUEST_TERMINATED_WITH_ERROR);
    return ok;
}

static void fill(struct fake_response *ret)
{
    static char type[128];
    struct MHD_Response *r = conn->response;
    const char *t = MHD_get_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);

    snprintf(type, sizeof type, "%s", t ? t : "");
    free(answered);
    ret->len = r->take ? conn->streamed_len : r->len;
    answered = malloc(ret->len + 1);
    CHECK(answered);
    if (ret->len)
        memcpy(answered, r->take ? conn->streamed : r->data, ret->len);
    *ret = (struct fake_response){
        .status = conn->status, .type = type, .body = answered, .len = ret->len, .stream = r->take
    };
    ret->packed = MHD_get_response_header(r, MHD_HTTP_HEADER_CONTENT_ENCODING) != NULL;
}

bool fake_mhd_end(struct fake_response *ret)
{
    *ret = (struct fake_response){ .type = "", .body = "" };
    if (!conn)
        return true;
    if (conn->suspended)
        return false;
    if (!conn->response && !send_content()) {
        end_request(MHD_REQUEST_TERMINATED_WITH_ERROR);
        return true;
    }
    if (conn->suspended)
        return false;      /* now the content is with the handler */
    CHECK(conn->response); /* resumed, it has an answer */
    if (conn->response->take) {
        read_stream(conn);
        if (conn->suspended)
            return false;
    }
    fill(ret);
    end_request(MHD_REQUEST_TERMINATED_COMPLETED_OK);
    return true;
}

bool fake_mhd_park(struct fake_response *ret)
{
    if (!conn || !conn->response || !conn->response->take || n_parked == PARKED_MAX)
        return false;
    fill(ret);
    parked[n_parked++] = conn;
    conn = NULL;
    return true;
}

bool fake_mhd_clean(void)
{
    return !daemon_now && !conn && n_responses <= KEPT_MAX;
}
