#include "db/clickhouse/ch_location.h"

#include <string.h>

_Static_assert(CH_ENDPOINTS_MAX == HTTP_CLIENT_SERVERS && CH_NAME_MAX == HTTP_LOCATION_NAME, "what is taken fits");

enum tw_rc ch_location_parse(const char *text, struct ch_location *ret, struct tw_err *err)
{
    static const struct http_location_form form = { .port = "8123", .tls_port = "8443", .name = "DATABASE", .word = true };
    struct http_location *said = &ret->said;
    enum tw_rc rc = http_location_parse(text, &form, said, err);

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
