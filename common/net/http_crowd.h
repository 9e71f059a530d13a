/* common/net/http_crowd.h - inside httpd: how many connections and requests there may be, who has to go when
 * there are too many, and places that are kept for what must be answered whatever others do. Pure: the caller
 * has a lock, the sockets and the clock.
 *
 * A connection is idle (no request, or an answer that was a refusal), busy (a request, until its answer is
 * taken), or going on (a stream, which has a bound of its own). Whoever comes beyond a bound gets the place
 * of the one that has been idle longest; if all are busy, it may only ask for what is vital. */
#ifndef TW_NET_HTTP_CROWD_H
#define TW_NET_HTTP_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_crowd_conf {
    unsigned connections, per_address; /* for everything */
    unsigned requests;                 /* busy at a time */
    unsigned reserve;                  /* beyond that: for vital requests only */
    size_t content_bytes;              /* of all requests whose content is long */
    int64_t patience_ns; /* so long an answer may be on its way while others wait for its place */
};

enum http_crowd_verdict {
    HTTP_CROWD_OK,
    HTTP_CROWD_CONNECTIONS,
    HTTP_CROWD_ADDRESS,
    HTTP_CROWD_REQUESTS,
    HTTP_CROWD_CONTENT,
    HTTP_CROWD_VERDICTS
};
/* "connections", "address", "requests", "content": the bound that was met; "" for OK. */
const char *http_crowd_verdict_name(enum http_crowd_verdict v);

#define HTTP_CROWD_SMALL \
    ((size_t)4096) /* content up to this is not counted: the bound of requests is enough */

enum http_crowd_state { HTTP_IDLE, HTTP_BUSY, HTTP_SENDING, HTTP_GOING_ON };
/* A connection; the caller's memory, from enter() to leave(). The fields are the crowd's. */
struct http_crowd_conn {
    uint8_t ip[16];
    enum http_crowd_state state;
    bool cut; /* it was chosen to go: it has no place any more */
    size_t content;
    int64_t since_ns;                    /* when it came into its state */
    struct http_crowd_conn *prev, *next; /* all */
    struct http_crowd_conn *prev_in,
        *next_in; /* those that are idle, or those whose answer is on its way; oldest first */
};

struct http_crowd {
    struct http_crowd_conf conf;
    struct http_crowd_conn *all, *idle, *sending;
    unsigned n_conns, n_requests; /* without those that were cut */
    size_t content;
    uint64_t refused[HTTP_CROWD_VERDICTS], cut;
};

/* A connection has come. Returns one that is to be cut off in its favour, or NULL. */
struct http_crowd_conn *http_crowd_enter(struct http_crowd *c, struct http_crowd_conn *conn,
                                         const uint8_t ip[16], int64_t now_ns);
/* It is gone, whatever its state. */
void http_crowd_leave(struct http_crowd *c, struct http_crowd_conn *conn);
/* A request has come over it. With OK it is busy until end(), else it stays idle. *ret_cut: one whose answer
 * nobody takes and that is to be cut off so that there is room next time, or NULL. */
enum http_crowd_verdict http_crowd_begin(struct http_crowd *c, struct http_crowd_conn *conn, bool vital,
                                         int64_t now_ns, struct http_crowd_conn **ret_cut);
/* Room for so much content. Not OK: there is none; the request goes on without. */
enum http_crowd_verdict http_crowd_content(struct http_crowd *c, struct http_crowd_conn *conn, size_t len);
/* Its answer is on its way, or it is a stream. */
void http_crowd_answer(struct http_crowd *c, struct http_crowd_conn *conn, bool stream, int64_t now_ns);
void http_crowd_end(struct http_crowd *c, struct http_crowd_conn *conn, int64_t now_ns);

#endif
