/* agent/tool/cmd_controlclient.c - twamp controlclient: agrees on a test session for a sender that is another
 * program, and holds it until it is stopped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/tool/control.h"
#include "agent/tool/hosts.h"
#include "agent/tool/tool.h"
#include "common/log.h"
#include "common/net/now.h"

#define FIELD(f) offsetof(struct tool_options, f)
#define FAREWELL_NS (1500 * TW_NS_PER_MS)

static const struct conf_opt opts[] = {
    { .name = "count",
      .short_name = 'c',
      .type = CONF_INT,
      .offset = FIELD(count),
      .dflt = "100",
      .min = 1,
      .max = 1000000000,
      .arg = "N",
      .prefer = true,
      .help = "No effect; for the sake of old command lines." },
    { .name = "timeout",
      .type = CONF_DURATION,
      .offset = FIELD(timeout_ns),
      .dflt = "5s",
      .min = 0,
      .max = 900 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "How long the server shall go on to answer after the stop." },
};

struct holder {
    const struct tool_options *o;
    struct loop *loop;
    struct ctl_dialer *dialer;
    struct loop_timer farewell;
    struct tw_addr sender, server; /* of the test session */
    uint8_t tos;
    bool running, stopping;
    enum tw_rc rc;
    struct tw_err err;
};

static void fail(struct holder *h, enum tw_rc rc, const char *text)
{
    if (h->rc == TW_OK)
        h->rc = tw_err_set(&h->err, rc, "%s", text);
    loop_stop(h->loop);
}

/* ---- What the server says ---- */

/* Zero stands for our own address; loopback is nobody else's. */
static bool is_own(const struct tw_addr *a, const struct tw_addr *local)
{
    static const uint8_t loopback6[16] = { [15] = 1 }, none[16];

    return !memcmp(a->ip, none, sizeof a->ip) || !memcmp(a->ip, local->ip, sizeof a->ip) ||
           (a->family == 4 ? a->ip[0] == 127 : !memcmp(a->ip, loopback6, sizeof a->ip));
}

static void on_ready(void *ctx)
{
    struct holder *h = ctx;
    struct ctl_session_spec spec = { .sender = h->sender,
                                     .timeout_ns = h->o->timeout_ns,
                                     .dscp = h->tos >> 2,
                                     .start_ntp = tw_wall_to_ntp(tw_wall_now()),
                                     .padding_bytes = h->o->padding >= 0 ? (uint32_t)h->o->padding : 0 };
    struct tw_addr local, peer;
    enum tw_rc rc;

    if (ctl_dialer_addrs(h->dialer, &local, &peer) == TW_OK && is_own(&h->sender, &local))
        spec.sender = (struct tw_addr){ .port = h->sender.port };
    spec.receiver.port = h->server.port;
    rc = ctl_dialer_request(h->dialer, 0, &spec);
    if (rc)
        fail(h, rc, "a session cannot be requested: the sender needs a port");
}

static void on_accepted(void *ctx, uint32_t id, const struct ctl_session *s)
{
    struct holder *h = ctx;

    (void)id;
    h->server.port = s->spec.receiver.port;
    h->sender = s->spec.sender;
    ctl_dialer_start_sessions(h->dialer, NULL, 0);
}

static void on_refused(void *ctx, uint32_t id, unsigned accept)
{
    char text[160];

    fail(ctx, TW_EPERM,
         control_refusal(id == CTL_ALL ? "to start the session" : "the session", accept, text));
}

static void on_started(void *ctx, uint32_t id)
{
    struct holder *h = ctx;
    char from[TW_ADDR_TEXT], to[TW_ADDR_TEXT];

    (void)id;
    h->running = true;
    printf("Session runs: send from %s to %s, until this program is stopped\n",
           tw_addr_format(&h->sender, from), tw_addr_format(&h->server, to));
    fflush(stdout);
}

static void on_stopped(void *ctx, uint32_t id)
{
    struct holder *h = ctx;

    (void)id;
    loop_stop(h->loop);
}

static void on_closed(void *ctx, const char *text)
{
    struct holder *h = ctx;

    if (h->stopping)
        loop_stop(h->loop);
    else
        fail(h, TW_ECLOSED, text);
}

/* ---- Life ---- */

static void on_farewell(struct loop_timer *t)
{
    struct holder *h = t->ctx;

    loop_stop(h->loop);
}

static void on_signal(void *ctx, int signo)
{
    struct holder *h = ctx;

    log_info("stopping", LOG_S("signal", strsignal(signo)));
    if (!h->running || h->stopping || ctl_dialer_stop_sessions(h->dialer, NULL, 0) != TW_OK) {
        loop_stop(h->loop);
        return;
    }
    h->stopping = true;
    loop_timer_set(h->loop, &h->farewell, (struct tw_mono){ tw_mono_now().ns + FAREWELL_NS });
}

static enum tw_rc start(struct holder *h)
{
    struct ctl_dialer_cfg cfg = { .server = h->server,
                                  .tos = h->tos & 0xfc,
                                  .on_ready = on_ready,
                                  .on_accepted = on_accepted,
                                  .on_refused = on_refused,
                                  .on_started = on_started,
                                  .on_stopped = on_stopped,
                                  .on_closed = on_closed,
                                  .ctx = h };
    enum tw_rc rc = tool_loop_new(&h->loop, on_signal, h, &h->err);

    if (rc)
        return rc;
    cfg.loop = h->loop;
    h->farewell = (struct loop_timer){ .fn = on_farewell, .ctx = h };
    /* Of the others the sender would need the keys. */
    return control_dial(h->o, TWAMP_OPEN | TWAMP_MIXED, &cfg, &h->dialer, &h->err);
}

static enum tw_rc read_hosts(struct holder *h, const struct conf_strlist *args)
{
    struct host_spec sender, server;
    enum tw_rc rc = host_parse(args->n ? args->v[0] : "127.0.0.1", TOOL_REMOTE_PORT, &sender, &h->err);

    if (rc == TW_OK)
        rc = host_parse(args->n > 1 ? args->v[1] : "127.0.0.1", TOOL_LOCAL_PORT, &server, &h->err);
    if (rc == TW_OK && !server.name[0])
        strcpy(server.name, "127.0.0.1");
    if (rc == TW_OK && !sender.port)
        rc = tw_err_set(&h->err, TW_EINVAL, "the sender's port must not be 0");
    if (rc == TW_OK)
        rc = control_check(h->o, &h->err);
    if (rc == TW_OK)
        rc = tool_options_tos(h->o, 0x88, &h->tos, &h->err);
    if (rc)
        return rc;
    rc = host_resolve(&server, 0, host_lookup, &h->server, &h->err);
    return rc ? rc : host_resolve(&sender, 0, host_lookup, &h->sender, &h->err);
}

static enum tool_exit run(struct tool_options *o, const struct conf_strlist *args)
{
    struct holder h = { .o = o };
    enum tw_rc rc = read_hosts(&h, args);

    if (rc)
        return tool_fail_err(rc == TW_EINVAL ? TOOL_USAGE : TOOL_FAILED, &h.err, rc);
    h.rc = start(&h);
    if (h.rc == TW_OK)
        loop_run(h.loop);
    ctl_dialer_free(h.dialer);
    if (h.loop)
        loop_free(h.loop);
    return h.rc ? tool_fail_err(h.rc == TW_EINVAL ? TOOL_USAGE : TOOL_FAILED, &h.err, h.rc) : TOOL_OK;
}

const struct tool_cmd cmd_controlclient = {
    .name = "controlclient",
    .usage_args = "[SENDER-IP:PORT [SERVER-IP:PORT]]",
    .summary = "agree with a TWAMP server on a test session for a sender elsewhere, and hold it",
    .doc = "Control-Client (RFC 5357) without a sender: agrees with the server at TCP --control-port of "
           "SERVER-IP "
           "(default 127.0.0.1) on a session from SENDER-IP:PORT (default 127.0.0.1:20001; this host unless "
           "another is "
           "named, which many servers refuse) to UDP PORT of the server (default 20000; it may choose "
           "another), prints "
           "what was agreed, and holds the session until SIGINT or SIGTERM, then stops it. Only in the open "
           "and mixed "
           "mode: in the others the sender would need the keys.",
    .examples = "  twamp controlclient :20001 192.0.2.7:20000\n"
                "  twamp sender 192.0.2.7:20000 :20001        meanwhile\n",
    .shares = TOOL_SHARES_CONTROL | TOOL_SHARES_MARK | TOOL_SHARES_SECRETS | TOOL_SHARES_LOG,
    .opts = opts,
    .n_opts = TW_NELEM(opts),
    .max_args = 2,
    .run = run,
};
