/* A request's life: libmicrohttpd's thread makes it, suspends the connection and puts it in the inbox; the
 * loop gives it to its handler; the answer resumes the connection; libmicrohttpd's thread queues the
 * response. One with content goes that way twice: first its head alone, for the guard, and only if that lets
 * it through is its content read. A suspended connection is never closed by libmicrohttpd, so whoever answers
 * may resume it without asking whether the client is still there. */
#include "common/net/httpd_priv.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>
#include "common/addr.h"
#include "common/net/http_blob.h"
#include "common/net/http_stream.h"
#include "common/net/http_tls.h"
#include "common/net/now.h"

#define DEFAULT_CONNECTIONS 512u
#define DEFAULT_PER_ADDRESS 64u
#define MEMORY_LIMIT ((size_t)32 * 1024) /* a connection's buffers: bounds the head of a request */
#define IDLE_S 30u
#define BEGIN_NS (TW_NS_PER_S / 2) /* when it stops: threads that have no processor for so long are not waited for */
#define BACKLOG 511
#define DFLT_PORT 8080
#define MOST_CONNECTIONS 32768u        /* never reached: the crowd has its bounds, which may change */
#define PATIENCE_NS (10 * TW_NS_PER_S) /* so long a client may take over its answer while others wait */
#define CONTENT_MAX ((size_t)32 << 20) /* of all requests together */

/* The guard agrees: its content may come. */
static void let_read(struct http_req *rq)
{
    DL_DELETE(rq->h->pending, rq);
    MHD_resume_connection(rq->conn);
    http_req_unref(rq);
}

static void handle(struct httpd *h, struct http_req *rq)
{
    if (h->guard && !h->guard(h->ctx, rq))
        return;
    if (rq->asking)
        let_read(rq);
    else
        rq->route->fn(h->ctx, rq);
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
        handle(h, rq);
        if (h->after)
            h->after(h->ctx);
    }
}

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

/* Opens nothing. */
static enum tw_rc check(const struct httpd_conf *c, struct tw_addr *ret, struct tw_err *err)
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

void httpd_check_option(const struct httpd_conf *c, struct conf_errors *errors)
{
    struct tw_addr ignored;
    struct tw_err err = { 0 };

    if (strcmp(c->address, "off") != 0 && check(c, &ignored, &err) != TW_OK)
        conf_errors_set(errors, "http", "%s", err.text + (strncmp(err.text, "http: ", 6) ? 0 : 6));
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

static struct MHD_Daemon *start_daemon(struct httpd *h)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     MHD_USE_NO_LISTEN_SOCKET;

    struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_PRIORITIES, 0, (char *)HTTP_TLS_PRIORITIES },
        { MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, http_give_cert },
        { h->client_ca ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, (char *)h->client_ca },
        { MHD_OPTION_END, 0, NULL },
    };

    if (h->cert)
        flags |= MHD_USE_TLS;
    else
        tls[0].option = MHD_OPTION_END;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, http_on_request, h, /* the logger goes first */
        MHD_OPTION_EXTERNAL_LOGGER, http_on_log, NULL, MHD_OPTION_THREAD_POOL_SIZE, HTTPD_THREADS,
        MHD_OPTION_CONNECTION_LIMIT, MOST_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_LIMIT, MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, h,
        MHD_OPTION_NOTIFY_CONNECTION, http_on_connection, h, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
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
    http_unlist_tls(h);
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
    enum tw_rc rc = check(c, &address, err);
    int fd = -1;

    if (rc)
        return rc;
    rc = make_index(h);
    if (!rc)
        rc = watch_inbox(h);
    if (rc)
        return tw_err_set(err, rc, "http: cannot start: %s", tw_rc_name(rc));
    rc = http_load_cert(h, c, err);
    if (!rc)
        rc = open_socket(&address, c->address, &fd, &h->port, err);
    if (rc)
        return rc;
    if (h->cert)
        http_list_tls(h); /* before the first handshake */
    h->daemon = start_daemon(h);
    rc = h->daemon ? http_listener_start(fd, h->daemon, &h->listener) : TW_EIO;
    if (!rc)
        return TW_OK;
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    close(fd);
    return tw_err_set(err, rc, "http: the server library does not start on %s", c->address);
}

static void set_bounds(struct http_crowd_conf *to, const struct httpd_conf *c)
{
    to->connections = c->max_connections ? c->max_connections : DEFAULT_CONNECTIONS;
    to->per_address = c->max_per_address ? c->max_per_address : DEFAULT_PER_ADDRESS;
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
    h->after = c->after;
    h->client_ca = c->tls_cert ? c->client_ca : NULL;
    snprintf(h->nowhere, sizeof h->nowhere, "no such path; %s lists what there is",
             c->index ? c->index : "/");
    h->wake.fd = -1;
    pthread_mutex_init(&h->lock, NULL);
    pthread_mutex_init(&h->crowd_lock, NULL);
    set_bounds(&h->crowd.conf, c);
    http_threads_init(&h->threads);
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
        http_finish(rq, MHD_HTTP_SERVICE_UNAVAILABLE, http_error_blob("stopping"));
    }
}

static void end_streams(struct httpd *h)
{
    struct http_stream *s, *next;

    DL_FOREACH_SAFE(h->streams, s, next)
    http_end_stream(s);
}

/* Connections that were given to libmicrohttpd when it stops, and that none of its threads has begun with, it closes without a lock,
 * behind nothing but a plain flag. So they are to be begun with before. One for which there was no memory then never is. */
static void await_begun(struct httpd *h, uint64_t given)
{
    struct tw_mono until = { tw_mono_now().ns + BEGIN_NS };

    while (atomic_load(&h->begun) < given && tw_mono_now().ns < until.ns)
        poll(NULL, 0, 1);
}

void httpd_stop(struct httpd *h)
{
    uint64_t given;

    if (!h)
        return;
    given = http_listener_stop(h->listener);
    answer_all(h);
    end_streams(h);
    await_begun(h, given);
    MHD_stop_daemon(h->daemon);
    free_parts(h);
}

uint16_t httpd_port(const struct httpd *h)
{
    return h->port;
}

void httpd_set_bounds(struct httpd *h, unsigned connections, unsigned per_address)
{
    pthread_mutex_lock(&h->crowd_lock);
    h->crowd.conf.connections = connections ? connections : DEFAULT_CONNECTIONS;
    h->crowd.conf.per_address = per_address ? per_address : DEFAULT_PER_ADDRESS;
    pthread_mutex_unlock(&h->crowd_lock);
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
    ret->waits = http_listener_waits(h->listener);
    ret->reloads = h->reloads;
    ret->reloads_failed = h->reloads_failed;
}

void httpd_load(struct httpd *h, struct httpd_load *ret)
{
    int64_t now_ns = tw_mono_now().ns;
    struct httpd_counters n;

    httpd_counters(h, &n);
    ret->requests = n.under_way;
    ret->requests_max = h->crowd.conf.requests;
    ret->refused = n.busy_connections + n.busy_address + n.busy_requests + n.busy_content;
    for (size_t i = 0; i < HTTPD_THREADS; i++)
        work_look(&h->threads.v[i], now_ns, &ret->work[i]);
}
