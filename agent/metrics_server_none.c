/* agent/metrics_server_none.c - in place of metrics_server.c in an agent that is one static file (TW_STATIC): Debian has no static
 * library of p11-kit, which GnuTLS needs, which libmicrohttpd needs. */
#include "agent/metrics_server.h"
#include <string.h>
#include "common/net/httpd.h"

static enum tw_rc refuse(struct tw_err *err)
{
    return tw_err_set(err, TW_EINVAL,
                      "this agent is built without an HTTP server: expected off; the controller's /metrics has what it would serve");
}

void httpd_check_option(const struct httpd_conf *c, struct conf_errors *errors)
{
    struct tw_err err = { 0 };

    if (strcmp(c->address, "off") != 0 && refuse(&err) != TW_OK)
        conf_errors_set(errors, "http", "%s", err.text);
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

void metrics_server_threads(const struct metrics_server *m, struct thread_list *ret)
{
    (void)m;
    (void)ret;
}
