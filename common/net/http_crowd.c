#include "common/net/http_crowd.h"
#include <string.h>
#include <utlist.h>
#include "common/rc.h"

const char *http_crowd_verdict_name(enum http_crowd_verdict v)
{
    static const char *const names[HTTP_CROWD_VERDICTS] = { "", "connections", "address", "requests",
                                                            "content" };

    return names[v];
}

static enum http_crowd_verdict refuse(struct http_crowd *c, enum http_crowd_verdict v)
{
    c->refused[v]++;
    return v;
}

/* ---- States ---- */

static struct http_crowd_conn **list_of(struct http_crowd *c, enum http_crowd_state s)
{
    return s == HTTP_IDLE ? &c->idle : s == HTTP_SENDING ? &c->sending : NULL;
}

static bool has_request(const struct http_crowd_conn *conn)
{
    return conn->state == HTTP_BUSY || conn->state == HTTP_SENDING;
}

static void enlist(struct http_crowd *c, struct http_crowd_conn *conn)
{
    struct http_crowd_conn **list = list_of(c, conn->state);

    if (list && !conn->cut)
        DL_APPEND2(*list, conn, prev_in, next_in);
}

static void delist(struct http_crowd *c, struct http_crowd_conn *conn)
{
    struct http_crowd_conn **list = list_of(c, conn->state);

    if (list && !conn->cut)
        DL_DELETE2(*list, conn, prev_in, next_in);
}

static void enter_state(struct http_crowd *c, struct http_crowd_conn *conn, enum http_crowd_state s,
                        int64_t now_ns)
{
    delist(c, conn);
    c->n_requests -= has_request(conn) && !conn->cut;
    conn->state = s;
    conn->since_ns = now_ns;
    c->n_requests += has_request(conn) && !conn->cut;
    enlist(c, conn);
}

/* It gives its place away at once, however long its socket takes to end. */
static struct http_crowd_conn *cut(struct http_crowd *c, struct http_crowd_conn *conn)
{
    delist(c, conn);
    c->n_requests -= has_request(conn);
    c->n_conns--;
    conn->cut = true;
    c->cut++;
    return conn;
}

/* ---- Connections ---- */

static bool is_from(const struct http_crowd_conn *conn, const uint8_t ip[16])
{
    return !memcmp(conn->ip, ip, sizeof conn->ip);
}

static unsigned count_of(const struct http_crowd *c, const uint8_t ip[16])
{
    const struct http_crowd_conn *conn;
    unsigned n = 0;

    DL_FOREACH(c->all, conn)
    n += !conn->cut && is_from(conn, ip);
    return n;
}

/* ip NULL: of any address. */
static struct http_crowd_conn *oldest_idle(const struct http_crowd *c, const uint8_t *ip)
{
    struct http_crowd_conn *conn;

    DL_FOREACH2(c->idle, conn, next_in)
    if (!ip || is_from(conn, ip))
        return conn;
    return NULL;
}

struct http_crowd_conn *http_crowd_enter(struct http_crowd *c, struct http_crowd_conn *conn,
                                         const uint8_t ip[16], int64_t now_ns)
{
    struct http_crowd_conn *victim = NULL;

    *conn = (struct http_crowd_conn){ .state = HTTP_IDLE, .since_ns = now_ns };
    memcpy(conn->ip, ip, sizeof conn->ip);
    if (count_of(c, ip) >= c->conf.per_address)
        victim = oldest_idle(c, ip);
    else if (c->n_conns >= c->conf.connections)
        victim = oldest_idle(c, NULL);
    if (victim)
        cut(c, victim);
    DL_APPEND(c->all, conn);
    c->n_conns++;
    enlist(c, conn);
    return victim;
}

void http_crowd_leave(struct http_crowd *c, struct http_crowd_conn *conn)
{
    http_crowd_end(c, conn, conn->since_ns);
    delist(c, conn);
    DL_DELETE(c->all, conn);
    c->n_conns -= !conn->cut;
}

/* ---- Requests ---- */

/* Its client has had its time: others wait. */
static struct http_crowd_conn *slowest(const struct http_crowd *c, int64_t now_ns)
{
    return c->sending && now_ns - c->sending->since_ns >= c->conf.patience_ns ? c->sending : NULL;
}

enum http_crowd_verdict http_crowd_begin(struct http_crowd *c, struct http_crowd_conn *conn, bool vital,
                                         int64_t now_ns, struct http_crowd_conn **ret_cut)
{
    *ret_cut = NULL;
    if (c->n_requests >= c->conf.requests) {
        *ret_cut = slowest(c, now_ns);
        if (*ret_cut)
            cut(c, *ret_cut);
    }
    if (c->n_requests >= c->conf.requests + (vital ? c->conf.reserve : 0))
        return refuse(c, HTTP_CROWD_REQUESTS);
    if (!vital && count_of(c, conn->ip) > c->conf.per_address)
        return refuse(c, HTTP_CROWD_ADDRESS);
    if (!vital && c->n_conns > c->conf.connections)
        return refuse(c, HTTP_CROWD_CONNECTIONS);
    enter_state(c, conn, HTTP_BUSY, now_ns);
    return HTTP_CROWD_OK;
}

enum http_crowd_verdict http_crowd_content(struct http_crowd *c, struct http_crowd_conn *conn, size_t len)
{
    if (len <= HTTP_CROWD_SMALL)
        return HTTP_CROWD_OK;
    if (len > c->conf.content_bytes - c->content)
        return refuse(c, HTTP_CROWD_CONTENT);
    c->content += len;
    conn->content += len;
    return HTTP_CROWD_OK;
}

void http_crowd_answer(struct http_crowd *c, struct http_crowd_conn *conn, bool stream, int64_t now_ns)
{
    if (has_request(conn))
        enter_state(c, conn, stream ? HTTP_GOING_ON : HTTP_SENDING, now_ns);
}

void http_crowd_end(struct http_crowd *c, struct http_crowd_conn *conn, int64_t now_ns)
{
    c->content -= conn->content;
    conn->content = 0;
    if (conn->state != HTTP_IDLE)
        enter_state(c, conn, HTTP_IDLE, now_ns);
}
