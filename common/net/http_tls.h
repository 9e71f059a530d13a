/* common/net/http_tls.h - inside httpd: certificate and key of HTTPS. One set is read from PEM files,
 * checked, and then never altered; each handshake gets copies of its own, so that a set may be replaced while
 * connections go on with the one before. Any thread. The public part is in httpd.h. */
#ifndef TW_NET_HTTP_TLS_H
#define TW_NET_HTTP_TLS_H

#include <gnutls/abstract.h>
#include "common/rc.h"

/* TLS 1.2 and 1.3, with forward secrecy, nothing below 128 bits. */
#define HTTP_TLS_PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:%SERVER_PRECEDENCE"

struct http_cert; /* reference counted */

/* From PEM files: the certificate, with those between it and its CA behind it, and the key. TW_ENOENT,
 * TW_EPERM, TW_EIO (a file cannot be read), TW_EINVAL (it is not what it should be, or the two do not belong
 * together), TW_ENOMEM; *err has one line. What is out of its time is no error here. */
enum tw_rc http_cert_load(const char *cert_file, const char *key_file, struct http_cert **ret,
                          struct tw_err *err);
struct http_cert *http_cert_ref(struct http_cert *c);
void http_cert_unref(struct http_cert *c);
/* From when until when it is valid, nanoseconds since 1970. */
int64_t http_cert_begin_ns(const struct http_cert *c);
int64_t http_cert_end_ns(const struct http_cert *c);
/* TW_EINVAL: it is out of its time; *err has one line. */
enum tw_rc http_cert_check_time(const struct http_cert *c, int64_t now_ns, struct tw_err *err);
/* Copies for one handshake, which GnuTLS is to free (GNUTLS_CERT_RETR_DEINIT_ALL). A negative GnuTLS code:
 * there are none. */
int http_cert_copy(const struct http_cert *c, gnutls_pcert_st **ret_list, unsigned *ret_n,
                   gnutls_privkey_t *ret_key);

#endif
