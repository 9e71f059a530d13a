#include "db/clickhouse/ch_location.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(CH_ENDPOINTS_MAX == HTTP_CLIENT_SERVERS && CH_NAME_MAX == HTTP_LOCATION_NAME, "what is taken fits");

/* It goes into statements without quotes. */
static bool is_cluster(const char *p)
{
    size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    return len && !p[len] && len < CH_NAME_MAX && !isdigit((unsigned char)*p);
}

static enum tw_rc take_cluster(const struct http_location *said, struct ch_location *ret, struct tw_err *err)
{
    const char *quorum = said->more[1];

    ret->cluster = said->more[0];
    ret->quorum = 0;
    if (ret->cluster && !is_cluster(ret->cluster))
        return tw_err_set(err, TW_EINVAL,
                          "cluster=%.60s: expected a name of less than %d letters, digits and _",
                          ret->cluster, CH_NAME_MAX);
    if (!quorum)
        return TW_OK;
    ret->quorum =
        strspn(quorum, "0123456789") == strlen(quorum) && strlen(quorum) <= 2 ? (unsigned)atoi(quorum) : 0;
    if (!ret->quorum || !ret->cluster)
        return tw_err_set(err, TW_EINVAL, "quorum=%.60s: expected a number of replicas, and cluster= with it",
                          quorum);
    return TW_OK;
}

enum tw_rc ch_location_parse(const char *text, struct ch_location *ret, struct tw_err *err)
{
    static const struct http_location_form form = {
        .port = "8123", .tls_port = "8443", .name = "DATABASE", .word = true, .more = { "cluster", "quorum" }
    };
    struct http_location *said = &ret->said;
    enum tw_rc rc = http_location_parse(text, &form, said, err);

    if (rc)
        return rc;
    rc = take_cluster(said, ret, err);
    if (rc)
        return rc;
    ret->database = said->name;
    ret->http = (struct ch_http_cfg){ .n_endpoints = said->n_endpoints,
                                      .user = said->user,
                                      .password_file = said->password_file,
                                      .ca_file = said->ca_file,
                                      .cert_file = said->cert_file,
                                      .key_file = said->key_file };
    memcpy(ret->http.endpoints, said->endpoints, sizeof ret->http.endpoints);
    return TW_OK;
}

enum tw_rc ch_location_check(const char *text, struct tw_err *err)
{
    struct ch_location scratch;

    return ch_location_parse(text, &scratch, err);
}
