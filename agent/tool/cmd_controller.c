/* agent/tool/cmd_controller.c - twamp controller: agrees on test sessions with a TWAMP server, then measures
 * as a sender. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/core/crypto.h"
#include "agent/tool/control.h"
#include "agent/tool/measure.h"
#include "agent/tool/tool.h"
#include "common/log.h"
#include "common/net/now.h"

/* After a signal: the run's last second of waiting, and a word to the server. */
#define FAREWELL_NS (1800 * TW_NS_PER_MS)

struct controller {
    const struct tool_options *o;
    struct loop *loop;
    struct ctl_dialer *dialer;
    struct loop_timer farewell;
    struct plan plan;
    struct measure measure;
    size_t accepted, started, stopped;
    bool measuring, stopping, interrupted;
    enum tw_rc rc; /* why it failed */
    struct tw_err err;
};

static void fail(struct controller *c, enum tw_rc rc, const char *text)
{
    if (c->rc == TW_OK)
        c->rc = tw_err_set(&c->err, rc, "%s", text);
    loop_stop(c->loop);
}

/* *err has been filled. */
static void fail_err(struct controller *c, enum tw_rc rc)
{
    c->rc = rc;
    loop_stop(c->loop);
}

/* ---- Agreeing on sessions ---- */

static void on_ready(void *ctx)
{
    struct controller *c = ctx;
    uint32_t mode = ctl_dialer_mode(c->dialer);
    struct ctl_session_spec spec = { .timeout_ns = c->o->timeout_ns,
                                     .dscp = c->plan.run.tos >> 2,
                                     .start_ntp = tw_wall_to_ntp(tw_wall_now()) };
    struct plan_request request;
    enum tw_rc rc = plan_set_mode(c->o, mode, &c->plan, &request, &c->err);

    log_info("logged in", LOG_S("mode", ctl_mode_text(mode)), LOG_U("modes", mode),
             LOG_U("offered", ctl_dialer_offered(c->dialer)));
    spec.padding_bytes = request.padding_bytes;
    spec.reflect_octets = request.reflect_octets;
    spec.reflect_bytes = request.reflect_bytes;
    for (uint32_t i = 0; rc == TW_OK && i < c->plan.run.n_flows; i++) {
        spec.sender.port = c->plan.source[i].port;
        spec.receiver.port = (uint16_t)(c->plan.remote.port + i);
        rc = ctl_dialer_request(c->dialer, i, &spec);
        if (rc)
            tw_err_set(&c->err, rc, "a session cannot be requested: %s", tw_rc_name(rc));
    }
    if (rc)
        fail_err(c, rc);
}

static void on_accepted(void *ctx, uint32_t id, const struct ctl_session *s)
{
    struct controller *c = ctx;
    struct run_flow *f = &c->plan.flows[id];
    struct form_cfg fc = { .kind = FORM_TWAMP,
                           .twamp = { .mode = s->mode, .keys = s->keys, .server_octets = s->server_octets } };
    enum tw_rc rc;

    form_free(f->form);
    f->form = NULL;
    rc = form_new(&fc, &f->form);
    crypto_wipe(&fc.twamp.keys, sizeof fc.twamp.keys);
    f->target.port = s->spec.receiver.port; /* the one that was asked for, or another */
    if (!id)
        c->plan.remote.port = f->target.port;
    log_info("session accepted", LOG_U("flow", id), LOG_U("port", f->target.port));
    if (rc == TW_OK && ++c->accepted == c->plan.run.n_flows)
        rc = ctl_dialer_start_sessions(c->dialer, NULL, 0);
    if (rc) {
        tw_err_set(&c->err, rc, "the session cannot be started: %s", tw_rc_name(rc));
        fail_err(c, rc);
    }
}

static void on_refused(void *ctx, uint32_t id, unsigned accept)
{
    char text[160];

    fail(ctx, TW_EPERM,
         control_refusal(id == CTL_ALL ? "to start the sessions" : "the session", accept, text));
}

/* ---- Measuring ---- */

static void on_started(void *ctx, uint32_t id)
{
    struct controller *c = ctx;
    enum tw_rc rc;

    if (id != CTL_ALL && ++c->started < c->plan.run.n_flows)
        return; /* with individual control each says so */
    c->measuring = true;
    rc = measure_start(&c->measure, &c->err);
    if (rc)
        fail_err(c, rc);
}

static void on_measured(void *ctx)
{
    struct controller *c = ctx;

    c->stopping = true;
    if (c->rc != TW_OK || ctl_dialer_stop_sessions(c->dialer, NULL, 0) != TW_OK)
        loop_stop(c->loop);
}

static void on_stopped(void *ctx, uint32_t id)
{
    struct controller *c = ctx;

    if (id == CTL_ALL || ++c->stopped == c->plan.run.n_flows)
        loop_stop(c->loop);
}

/* The server's sessions have gone with the connection: what is in flight is all that can still come. */
static void on_closed(void *ctx, const char *text)
{
    struct controller *c = ctx;

    if (c->stopping) {
        loop_stop(c->loop);
        return;
    }
    if (!c->measuring) {
        fail(c, TW_ECLOSED, text);
        return;
    }
    c->rc = tw_err_set(&c->err, TW_ECLOSED, "%s", *text ? text : "the server ended the sessions");
    measure_interrupt(&c->measure);
}

static void on_farewell(struct loop_timer *t)
{
    struct controller *c = t->ctx;

    loop_stop(c->loop);
}

static void on_signal(void *ctx, int signo)
{
    struct controller *c = ctx;

    log_info("stopping", LOG_S("signal", strsignal(signo)));
    c->interrupted = true;
    if (c->measuring && !c->stopping) {
        measure_interrupt(&c->measure);
        loop_timer_set(c->loop, &c->farewell, (struct tw_mono){ tw_mono_now().ns + FAREWELL_NS });
    } else {
        loop_stop(c->loop);
    }
}

/* ---- Life ---- */

static enum tw_rc dial(struct controller *c, const struct host_pair *hosts, struct tw_err *err)
{
    struct ctl_dialer_cfg cfg = { .loop = c->loop,
                                  .server = hosts->remote,
                                  .bind = hosts->local,
                                  .tos = c->plan.run.tos & 0xfc,
                                  .on_ready = on_ready,
                                  .on_accepted = on_accepted,
                                  .on_refused = on_refused,
                                  .on_started = on_started,
                                  .on_stopped = on_stopped,
                                  .on_closed = on_closed,
                                  .ctx = c };

    return control_dial(c->o, TWAMP_SECURITY, &cfg, &c->dialer, err);
}

static enum tw_rc start(struct controller *c, const struct host_pair *hosts)
{
    enum tw_rc rc = tool_loop_new(&c->loop, on_signal, c, &c->err);

    if (rc)
        return rc;
    c->farewell = (struct loop_timer){ .fn = on_farewell, .ctx = c };
    c->measure.o = c->o;
    c->measure.plan = &c->plan;
    c->measure.loop = c->loop;
    c->measure.on_end = on_measured;
    c->measure.ctx = c;
    return dial(c, hosts, &c->err);
}

static enum tool_exit run_plan(struct controller *c, const struct host_pair *hosts)
{
    c->rc = start(c, hosts);
    if (c->rc == TW_OK)
        loop_run(c->loop);
    if (c->rc == TW_OK && c->measuring)
        c->rc = measure_verdict(&c->measure, &c->err);
    if (c->measuring)
        measure_close(&c->measure);
    ctl_dialer_free(c->dialer);
    if (c->loop)
        loop_free(c->loop);
    return c->rc ? tool_fail_err(TOOL_FAILED, &c->err, c->rc) : TOOL_OK;
}

static enum tool_exit run_hosts(struct controller *c, const struct host_pair *hosts, bool port_given)
{
    enum tool_exit code;
    enum tw_rc rc = plan_make(c->o, hosts, &c->plan, &c->err);

    if (rc)
        return tool_fail_err(rc == TW_EINVAL ? TOOL_USAGE : TOOL_FAILED, &c->err, rc);
    rc = plan_open(c->o, hosts, port_given, &c->plan, &c->err);
    code = rc ? tool_fail_err(TOOL_FAILED, &c->err, rc) : run_plan(c, hosts);
    plan_close(&c->plan);
    return code;
}

static enum tool_exit run(struct tool_options *o, const struct conf_strlist *args)
{
    struct host_spec remote, local;
    const struct out_writer *out;
    struct host_pair hosts;
    struct tw_err err = { 0 };
    struct controller *c;
    enum tool_exit code;
    enum tw_rc rc = plan_read_hosts(o, args, &remote, &local, &err);

    o->protocol = TOOL_TWAMP;
    if (rc == TW_OK)
        rc = out_choose(o, &out, &err);
    if (rc == TW_OK)
        rc = plan_check(o, &err);
    if (rc == TW_OK)
        rc = control_check(o, &err);
    if (rc)
        return tool_fail_err(TOOL_USAGE, &err, rc);
    rc = host_resolve_pair(&remote, &local, host_lookup, &hosts, &err);
    if (rc)
        return tool_fail_err(TOOL_FAILED, &err, rc);
    c = calloc(1, sizeof *c);
    if (!c)
        return tool_fail(TOOL_FAILED, "out of memory");
    c->o = o;
    code = run_hosts(c, &hosts, local.port_given);
    free(c);
    return code;
}

const struct tool_cmd cmd_controller = {
    .name = "controller",
    .usage_args = "[REMOTE-IP:PORT [LOCAL-IP:PORT]]",
    .summary = "agree with a TWAMP server on test sessions, send probes and print the result",
    .doc = "Control-Client and Session-Sender (RFC 5357): connects to the server at TCP --control-port of "
           "REMOTE-IP "
           "(default 127.0.0.1), asks for test sessions at UDP PORT (default 20001; the server may offer "
           "another) from "
           "a local port (default 20000), sends probes as \"twamp sender\" does, and stops the sessions. The "
           "best mode "
           "that the server offers and --mode allows is used; all but the open one need --user and "
           "--secrets. SIGINT "
           "and SIGTERM end it with the result so far.",
    .examples =
        "  twamp controller 192.0.2.7                              open mode, 100 probes, a table\n"
        "  twamp controller 192.0.2.7 --user alice --secrets keys  encrypted, if the server offers it\n"
        "  twamp controller [2001:db8::7]:8000 :0 --mode authenticated --user alice --secrets keys\n"
        "  twamp controller 192.0.2.7 --features individual,symmetrical --flows 4 --json\n",
    .shares = TOOL_SHARES_RUN | TOOL_SHARES_SOURCE | TOOL_SHARES_CONTROL | TOOL_SHARES_MARK |
              TOOL_SHARES_SECRETS | TOOL_SHARES_LOG,
    .max_args = 2,
    .run = run,
};
