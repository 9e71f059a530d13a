#include "common/net/httpd_priv.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "common/addr.h"
#include "common/net/http_text.h"
#include "common/net/http_blob.h"
#include "common/net/http_path.h"
#include "common/net/http_stream.h"

static void items_free(struct items *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i].name);
}

void http_req_unref(struct http_req *rq)
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

    s->overflow = s->n == HTTP_MAX_ITEMS;
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

struct http_req *http_req_new(struct httpd *h, struct MHD_Connection *conn, const struct http_route *route,
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

const uint8_t *http_client_certificate(const struct http_req *rq)
{
    return rq->has_client ? rq->client : NULL;
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
