/* common/net/http_host.h - is a request meant for us? Whoever can make a name point to our address (DNS
 * rebinding) makes a browser near us send requests of a page that came from elsewhere: with that name in
 * Host. Pure. */
#ifndef TW_NET_HTTP_HOST_H
#define TW_NET_HTTP_HOST_H

#include <stdbool.h>
#include <stddef.h>

/* host: the header, with or without a port; NULL: there was none, and it came from no browser. True: it is an
 * IP address, localhost, or one of `names` (any case, a dot at the end does not matter; NULL: left out). */
bool http_host_is_ours(const char *host, const char *const *names, size_t n);

#endif
