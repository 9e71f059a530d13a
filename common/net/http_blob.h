/* common/net/http_blob.h - inside httpd: what a blob is to libmicrohttpd. The public part is in httpd.h. */
#ifndef TW_NET_HTTP_BLOB_H
#define TW_NET_HTTP_BLOB_H

#include <microhttpd.h>
#include "common/net/httpd.h"

/* The blob's; compressed if it has that and the client takes it. Any thread. */
struct MHD_Response *http_blob_response(const struct http_blob *b, bool gzip);
/* Is this version what an If-None-Match has (NULL: none)? Then the answer is 304 with this. */
bool http_blob_is_known(const struct http_blob *b, const char *if_none_match);
struct MHD_Response *http_blob_unchanged(const struct http_blob *b);

#endif
