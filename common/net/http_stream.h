/* common/net/http_stream.h - inside httpd: an answer that goes on, as libmicrohttpd sees it. The public part
 * is in httpd.h. */
#ifndef TW_NET_HTTP_STREAM_H
#define TW_NET_HTTP_STREAM_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include "common/net/httpd.h"

struct http_stream {
    _Atomic unsigned refs; /* the loop's and the response's */
    _Atomic bool gone;     /* libmicrohttpd has let go of it */
    struct httpd *h;       /* NULL: ended; these three are the loop's */
    struct http_stream *prev, *next;
    struct MHD_Response *response; /* the request's */
    _Alignas(max_align_t) uint8_t note[HTTP_NOTE]; /* of the request; the loop's */
    pthread_mutex_t lock;          /* all below; taken inside libmicrohttpd's lock of the response */
    struct MHD_Connection *conn;   /* valid while suspended */
    int fd;
    char *data; /* len octets, of which `at` have been taken */
    size_t at, len;
    bool suspended, ended, aborted;
    int room;               /* octets that the kernel may keep */
    struct loop *loop;      /* of `taken` */
    struct loop_task *taken; /* NULL: nobody wants to know */
};

/* Begins with a copy of data. The caller has a reference, the response another one. bulk: of large pieces. NULL: no memory. */
struct http_stream *http_stream_new(const char *type, const char *data, size_t len, bool bulk);
/* It goes out over this connection; libmicrohttpd's thread, before the response is queued. */
void http_stream_bind(struct http_stream *s, struct MHD_Connection *conn);
/* Nothing more comes. A suspended connection goes on, and may not be suspended again. */
void http_stream_end(struct http_stream *s);
/* Ends it from our side: its owner finds it gone. */
void http_stream_cut(struct http_stream *s);
/* Nobody wants to know any more when it has been taken. */
void http_stream_forget_task(struct http_stream *s);
void http_stream_unref(struct http_stream *s);

#endif
