#include "controller/secure.h"
#include <string.h>
#include "common/log.h"
#include "controller/joining.h"

static struct rpc_tls of_authority(const struct authority *ca)
{
    return (struct rpc_tls){ .ca = authority_ca_pem(ca), .certificate = authority_server_pem(ca), .key = authority_server_pem(ca) };
}

bool secure_is_tls(const char *url)
{
    return !strncmp(url, "tls+tcp://", 10);
}

enum tw_rc secure_tls(const struct controller *c, const char *url, struct rpc_tls *buf, const struct rpc_tls **ret,
                      struct tw_err *err)
{
    const struct authority *ca = c->joining ? joining_authority(c->joining) : NULL;

    *ret = NULL;
    if (!secure_is_tls(url))
        return TW_OK;
    if (!ca)
        return tw_err_set(err, TW_ENOENT, "%s needs the certificates that twampctl ca init makes: there are none in --ca-dir", url);
    *buf = of_authority(ca);
    *ret = buf;
    return TW_OK;
}

static void renew_of(struct rpc_server *s, const struct rpc_tls *tls)
{
    struct tw_err err = { 0 };

    if (s && rpc_server_is_tls(s) && rpc_server_set_tls(s, tls, &err) != TW_OK)
        log_error("a listener does not take the controller's renewed certificate", LOG_S("error", err.text));
}

void secure_renewed(struct controller *c, const struct authority *ca)
{
    const struct rpc_tls tls = of_authority(ca);

    renew_of(c->fleet, &tls);
    renew_of(c->admin, &tls);
    renew_of(c->admin_remote, &tls);
}
