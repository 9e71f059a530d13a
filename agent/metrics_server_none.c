/* agent/metrics_server_none.c - in place of metrics_server.c in an agent that is one static file (TW_STATIC): Debian has no static
 * library of p11-kit, which GnuTLS needs, which libmicrohttpd needs. */
#include "agent/metrics_server.h"
#include "common/net/httpd.h"

static enum tw_rc refuse(struct tw_err *err)
{
    return tw_err_set(err, TW_EINVAL,
                      "this agent is built without an HTTP server: expected off; the controller's /metrics has what it would serve");
}

enum tw_rc httpd_check(const struct httpd_conf *c, struct tw_addr *ret, struct tw_err *err)
{
    (void)c;
    (void)ret;
    return refuse(err);
}

enum tw_rc metrics_server_start(const struct metrics_server_conf *c, struct metrics_server **ret, struct tw_err *err)
{
    (void)c;
    (void)ret;
    return refuse(err);
}

enum tw_rc metrics_server_reload(struct metrics_server *m, struct tw_err *err)
{
    (void)m;
    (void)err;
    return TW_OK;
}

void metrics_server_stop(struct metrics_server *m)
{
    (void)m;
}

void metrics_server_note(struct metrics_server *m, const struct tw_summary *s)
{
    (void)m;
    (void)s;
}

uint16_t metrics_server_port(const struct metrics_server *m)
{
    (void)m;
    return 0;
}
