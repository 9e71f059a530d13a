/* common/net/http_listener.h - takes connections and gives them to libmicrohttpd, in a thread of its own.
 * libmicrohttpd's own threads would spin on a listening socket that they cannot take from because no
 * descriptor is left; this one waits a moment, and says so. */
#ifndef TW_NET_HTTP_LISTENER_H
#define TW_NET_HTTP_LISTENER_H

#include <microhttpd.h>
#include <stdint.h>
#include "common/rc.h"

struct http_listener;

/* fd: a socket that listens, not blocking; taken on TW_OK, and closed in the end. daemon: made with
 * MHD_USE_NO_LISTEN_SOCKET; it is to be stopped after this. TW_EIO, TW_ENOMEM: no thread, or no descriptor to
 * end it by. */
enum tw_rc http_listener_start(int fd, struct MHD_Daemon *daemon, struct http_listener **ret);
/* Takes no more. Returned: how many connections libmicrohttpd has been given. Of NULL: 0. */
uint64_t http_listener_stop(struct http_listener *l);
/* How often a connection had to wait because this process or host has no descriptor or memory left. Any
 * thread. Of NULL: 0. */
uint64_t http_listener_waits(const struct http_listener *l);

#endif
