/* common/net/http_blob.h - inside httpd: what a blob is to libmicrohttpd. The public part is in httpd.h. */
#ifndef TW_NET_HTTP_BLOB_H
#define TW_NET_HTTP_BLOB_H

#include <microhttpd.h>
#include <stdatomic.h>
#include "common/net/httpd.h"

#define HTTP_LARGE ((size_t)4 << 20) /* from here on compressing takes long: */
#define HTTP_GZIP_LEVEL_LARGE 2      /* a third less time than level 4, for a tenth more octets */

struct http_blob {
    _Atomic unsigned refs;
    size_t len;
    struct MHD_Response *plain, *gzip; /* own the bytes; one of them may be NULL */
    const unsigned char *packed;       /* of one that is kept compressed only: what gzip has */
    size_t packed_len;
    struct MHD_Response *unchanged; /* with a tag only */
    char *tag;
};

/* One that is kept compressed only; takes gzip (malloc), of which the unpacked length is `len`. */
enum tw_rc http_blob_of_packed(void *gzip, size_t gzip_len, size_t len, const char *type, struct http_blob **ret);
/* The blob's; compressed if it has that and the client takes it. NULL: it is kept compressed only, and the client
 * takes http_blob_unpacked(). Any thread. */
struct MHD_Response *http_blob_response(const struct http_blob *b, bool gzip);
/* Of a blob that is kept compressed only, for one client: unpacks while it is sent. To be destroyed after it was queued;
 * NULL: no memory. */
struct MHD_Response *http_blob_unpacked(const struct http_blob *b);
/* Is this version what an If-None-Match has (NULL: none)? Then the answer is 304 with this. */
bool http_blob_is_known(const struct http_blob *b, const char *if_none_match);
struct MHD_Response *http_blob_unchanged(const struct http_blob *b);

#endif
