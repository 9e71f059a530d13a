/* common/net/http_text.h - the text rules of HTTP that httpd needs. Pure. */
#ifndef TW_NET_HTTP_TEXT_H
#define TW_NET_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Does an Accept-Encoding value (NULL = absent) admit gzip? RFC 9110 section 12.5.3: "gzip" or "*" with a weight above 0; a
 * weight on "gzip" itself beats "*". */
bool http_accept_gzip(const char *value);
/* Does an If-None-Match value (NULL = absent) have the entity tag, or "*"? RFC 9110 section 13.1.2: by weak comparison. `tag` without quotes. What
 * follows something malformed is not looked at. */
bool http_has_tag(const char *value, const char *tag);
/* {"error":"text"} and a newline, malloc'ed; NULL without memory. What is not printable ASCII becomes '?': the text may quote a
 * client's bytes. */
char *http_error_json(const char *text, size_t *ret_len);

#endif
