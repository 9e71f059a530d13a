/* common/net/http_threads.h - how libmicrohttpd's threads are doing. A round is what one of them does of
 * ours: with a new connection, a head, a piece of content or of an answer; not the waiting, nor what the
 * library does by itself (the TLS handshake, sending). */
#ifndef TW_NET_HTTP_THREADS_H
#define TW_NET_HTTP_THREADS_H

#include "common/net/httpd.h"
#include "common/work.h"

struct http_threads {
    struct work v[HTTPD_THREADS];
    _Atomic unsigned n; /* that have done something */
};
void http_threads_init(struct http_threads *t);
/* In turns, by one of the threads. NULL: those that it was one of before: of connections, which come first.
 */
void http_round_begin(struct http_threads *t);
void http_round_end(void);

#endif
