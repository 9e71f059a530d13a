/* controller/core/web_cookie.h - what a browser or program says of itself in the headers of a request. Pure.
 */
#ifndef TW_CONTROLLER_CORE_WEB_COOKIE_H
#define TW_CONTROLLER_CORE_WEB_COOKIE_H

#include <stdbool.h>
#include <stddef.h>

/* The value of a cookie in a Cookie header (RFC 6265 section 4.2.1; NULL: absent). False: it is not there, is
 * longer than cap - 1 octets or empty, or is there more than once: then somebody has put one beside ours, and
 * there is no telling which is which. */
bool web_cookie_get(const char *header, const char *name, char *ret, size_t cap);

/* Is an Origin header (NULL: absent) that of the page that we serve, by the Host header? Absent: true, no
 * page asks; "null": false. secure: we serve HTTPS, so the page must have come by it; else there may be a
 * proxy that does. */
bool web_origin_is_own(const char *origin, const char *host, bool secure);

#endif
