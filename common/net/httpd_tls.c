#include "common/net/httpd_priv.h"
#include <sys/socket.h>
#include <utlist.h>
#include "common/addr.h"
#include "common/log.h"
#include "common/net/http_tls.h"
#include "common/net/now.h"

/* libmicrohttpd does not say to whom a handshake belongs; the port of its socket does. */
static pthread_mutex_t tls_lock = PTHREAD_MUTEX_INITIALIZER;
static struct httpd *tls_list;

static struct http_cert *cert_of_port(uint16_t port)
{
    struct http_cert *found = NULL;

    pthread_mutex_lock(&tls_lock);
    for (struct httpd *h = tls_list; h && !found; h = h->next_tls)
        if (h->port == port) {
            found = http_cert_ref(h->cert);
            atomic_fetch_add(&h->handshakes, 1);
        }
    pthread_mutex_unlock(&tls_lock);
    return found;
}

int http_give_cert(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                   gnutls_pcert_st **ret_list, unsigned *ret_n, gnutls_ocsp_data_st **ret_ocsp,
                   unsigned *ret_ocsp_n, gnutls_privkey_t *ret_key, unsigned *ret_flags)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    struct http_cert *cert;
    struct tw_addr own;
    int e;

    (void)info;
    if (getsockname(gnutls_transport_get_int(session), (struct sockaddr *)&ss, &len) < 0 ||
        tw_addr_from_sockaddr((struct sockaddr *)&ss, &own) != TW_OK)
        return -1;
    cert = cert_of_port(own.port);
    if (!cert)
        return -1;
    *ret_ocsp = NULL;
    *ret_ocsp_n = 0;
    *ret_flags = GNUTLS_CERT_RETR_DEINIT_ALL;
    e = http_cert_copy(cert, ret_list, ret_n, ret_key);
    http_cert_unref(cert);
    return e;
}

static bool is_believed(gnutls_session_t session)
{
    gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID,
                                      .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT };
    unsigned status = 0;

    return gnutls_certificate_verify_peers(session, &purpose, 1, &status) == GNUTLS_E_SUCCESS && !status;
}

bool http_take_client(struct MHD_Connection *conn, uint8_t ret_sha256[HTTP_CERTIFICATE_OCTETS])
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session = info ? info->tls_session : NULL;
    const gnutls_datum_t *list;
    unsigned n = 0;
    size_t len = HTTP_CERTIFICATE_OCTETS;

    list = session ? gnutls_certificate_get_peers(session, &n) : NULL;
    return list && n && is_believed(session) &&
           gnutls_fingerprint(GNUTLS_DIG_SHA256, &list[0], ret_sha256, &len) == GNUTLS_E_SUCCESS &&
           len == HTTP_CERTIFICATE_OCTETS;
}

enum tw_rc http_load_cert(struct httpd *h, const struct httpd_conf *c, struct tw_err *err)
{
    struct tw_err late = { 0 };
    enum tw_rc rc;

    if (!c->tls_cert)
        return TW_OK;
    h->tls_cert = c->tls_cert;
    h->tls_key = c->tls_key;
    rc = http_cert_load(c->tls_cert, c->tls_key, &h->cert, err);
    if (rc == TW_OK && http_cert_check_time(h->cert, tw_wall_now().ns, &late) != TW_OK)
        log_error(late.text);
    return rc;
}

/* False: those in use are no better, or those that come are good. */
static bool is_worse(const struct httpd *h, const struct http_cert *cert, struct tw_err *err)
{
    int64_t now_ns = tw_wall_now().ns;

    return http_cert_check_time(cert, now_ns, err) != TW_OK &&
           http_cert_check_time(h->cert, now_ns, NULL) == TW_OK;
}

enum tw_rc httpd_reload(struct httpd *h, struct tw_err *err)
{
    struct http_cert *cert = NULL, *old;
    enum tw_rc rc;

    if (!h->cert)
        return TW_OK;
    rc = http_cert_load(h->tls_cert, h->tls_key, &cert, err);
    if (rc == TW_OK && is_worse(h, cert, err))
        rc = err->rc;
    if (rc != TW_OK) {
        h->reloads_failed++;
        http_cert_unref(cert);
        return rc;
    }
    pthread_mutex_lock(&tls_lock);
    old = h->cert;
    h->cert = cert;
    pthread_mutex_unlock(&tls_lock);
    http_cert_unref(old);
    h->reloads++;
    return TW_OK;
}

int64_t httpd_cert_end_ns(const struct httpd *h)
{
    return h->cert ? http_cert_end_ns(h->cert) : 0;
}

void http_list_tls(struct httpd *h)
{
    pthread_mutex_lock(&tls_lock);
    LL_PREPEND2(tls_list, h, next_tls);
    pthread_mutex_unlock(&tls_lock);
}

void http_unlist_tls(struct httpd *h)
{
    pthread_mutex_lock(&tls_lock);
    if (h->cert && tls_list)
        LL_DELETE2(tls_list, h, next_tls);
    pthread_mutex_unlock(&tls_lock);
}
