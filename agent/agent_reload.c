/* agent/agent_reload.c - SIGHUP: options, secrets, certificates and access lists are read anew. */
#include "agent/agent.h"
#include <string.h>
#include "agent/access_lists.h"
#include "agent/control.h"
#include "agent/keyring.h"
#include "agent/metrics_server.h"
#include "agent/resolver.h"
#include "agent/schedule_run.h"
#include "agent/xdp/xdp_reflect.h"
#include "common/log.h"
#include "db/spool.h"

struct schedule_limits agent_limits(const struct agent_options *o)
{
    return (struct schedule_limits){ (uint32_t)o->max_sessions, (uint32_t)o->max_pps, (uint64_t)o->max_bps };
}

/* To the spool 0 is its default. */
int64_t agent_keep_acked(const struct agent_options *o)
{
    return o->keep_acked_ns ? o->keep_acked_ns : 1;
}

/* Options that a reload can change, but for access lists, which are read anew anyway. The controller is told
 * of the limits when the agent connects next. */
static void use_options(struct agent *a)
{
    const struct schedule_limits limits = agent_limits(&a->opt);

    log_set((enum log_level)a->opt.log_level, (enum log_format)a->opt.log_format);
    schedule_run_set_limits(a->schedule, &limits);
    resolver_set_every(a->resolver, a->opt.resolve_every_ns);
    spool_set_bounds(a->spool, a->opt.spool_max_mb << 20, agent_keep_acked(&a->opt));
    source_limit_set(a->limit, a->opt.reflect_rate, a->opt.reflect_burst);
    xdp_reflect_set_rate(a->xdp, a->opt.reflect_rate, a->opt.reflect_burst);
    control_set_rate(a->control, a->opt.control_rate);
    a->enrolment->max_pps = limits.max_pps;
    a->enrolment->max_bps = limits.max_bps;
}

static void reload_options(struct agent *a)
{
    struct agent_options scratch = { 0 };
    struct conf_reload r;
    char text[sizeof a->config_error];
    enum tw_rc rc = conf_daemon_reload(&a->conf, &a->opt, &scratch, &r);

    a->config_error[0] = '\0';
    for (size_t i = 0; rc != TW_OK && i < a->conf.errors.n; i++) {
        conf_error_text(&agent_program, &a->conf.errors.v[i], text, sizeof text);
        log_error("the configuration cannot be used: that before stays in use", LOG_S("error", text));
        if (!i)
            memcpy(a->config_error, text, sizeof text);
    }
    reload_part(&a->reload, "configuration", a->config_error);
    if (rc == TW_OK) {
        reload_restart(&a->reload, r.restart);
        use_options(a);
    }
    conf_free(&agent_program, &scratch);
}

void agent_on_hangup(void *ctx, int signo)
{
    struct agent *a = ctx;

    (void)signo;
    reload_begin(&a->reload);
    reload_options(a);
    if (a->keys) {
        keyring_look(a->keys);
        reload_part(&a->reload, "secrets", keyring_error(a->keys));
    }
    a->https_error = (struct tw_err){ 0 };
    if (a->metrics) {
        metrics_server_reload(a->metrics, &a->https_error);
        reload_part(&a->reload, "certificate of HTTPS", a->https_error.text);
    }
    access_lists_reload(a->access);
    reload_part(&a->reload, "access lists", access_lists_error(a->access));
    reload_end(&a->reload);
}
