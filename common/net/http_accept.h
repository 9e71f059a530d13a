/* common/net/http_accept.h - content negotiation: which of several media types on offer an Accept header
 * prefers (RFC 9110 sections 12.4.2 and 12.5.1). Pure. */
#ifndef TW_NET_HTTP_ACCEPT_H
#define TW_NET_HTTP_ACCEPT_H

#include <stddef.h>

/* As in Content-Type: "text/plain; version=0.0.4; charset=utf-8". */
struct http_offer {
    const char *type;
};

/* The offer with the highest weight; of several the first. Of the ranges that an offer fits into the most
 * specific one says its weight: the more of its parameters are named, then type and subtype, "type/" and a
 * star, two stars. A range does not fit when it names a parameter of the offer with another value; parameters
 * that the offer does not have do not matter. A range that is malformed, also by its weight, is as if it were
 * not there. accept NULL, or nothing acceptable: offer 0, as RFC 9110 permits; a page that is read anyway is
 * better than none. */
size_t http_accept_choose(const char *accept, const struct http_offer *offers, size_t n);

#endif
