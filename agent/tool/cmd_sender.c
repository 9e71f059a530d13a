/* agent/tool/cmd_sender.c - twamp sender: a Session-Sender of TWAMP Light or STAMP. */
#include <stdlib.h>
#include <string.h>
#include "agent/tool/measure.h"
#include "agent/tool/tool.h"
#include "common/log.h"

#define FIELD(f) offsetof(struct tool_options, f)

static const char *const protocols[] = { "light", "stamp", "twamp", NULL };
static const char *const auths[] = { "none", "authenticated", "encrypted", "mixed", NULL };

static const struct conf_opt opts[] = {
    { .name = "protocol",
      .type = CONF_ENUM,
      .choices = protocols,
      .offset = FIELD(protocol),
      .dflt = "light",
      .arg = "NAME",
      .help = "TWAMP Light (RFC 5357 appendix I), STAMP (RFC 8762), or TWAMP with a control connection: the "
              "same as "
              "the sub-command controller." },
    { .name = "auth",
      .type = CONF_ENUM,
      .choices = auths,
      .offset = FIELD(auth),
      .arg = "MODE",
      .implied = "authenticated",
      .help = "STAMP: sign the packets, with a key of --secrets. TWAMP: as --mode." },
    { .name = "key-id",
      .type = CONF_STR,
      .offset = FIELD(key_id),
      .arg = "NAME",
      .help =
          "STAMP: which key of --secrets signs (--user does the same); without it the first. Answers may be "
          "signed with any." },
    { .name = "tlv",
      .type = CONF_PARSED,
      .parse = tool_parse_tlvs,
      .offset = FIELD(tlvs),
      .arg = "NAME,...",
      .help = "STAMP: TLVs to send (RFC 8972): location, timestamp, cos, direct, access, follow-up, hmac, "
              "padding." },
    { .name = "ssid",
      .type = CONF_INT,
      .offset = FIELD(ssid),
      .min = 1,
      .max = 65535,
      .arg = "N",
      .help = "STAMP: Session Identifier; without it a random one." },
    { .name = "reply-dscp",
      .type = CONF_PARSED,
      .parse = tool_parse_dscp,
      .offset = FIELD(reply_dscp),
      .arg = "NAME",
      .help = "STAMP: DSCP that the answers shall have (Class of Service TLV)." },
};

struct sender {
    struct loop *loop;
    struct measure measure;
    struct plan plan;
};

static void on_signal(void *ctx, int signo)
{
    struct sender *s = ctx;

    log_info("stopping", LOG_S("signal", strsignal(signo)));
    measure_interrupt(&s->measure);
}

static void on_end(void *ctx)
{
    struct sender *s = ctx;

    loop_stop(s->loop);
}

/* ---- Life ---- */

static enum tw_rc start(struct sender *s, const struct tool_options *o, struct tw_err *err)
{
    enum tw_rc rc = tool_loop_new(&s->loop, on_signal, s, err);

    if (rc)
        return rc;
    s->measure.o = o;
    s->measure.plan = &s->plan;
    s->measure.loop = s->loop;
    s->measure.on_end = on_end;
    s->measure.ctx = s;
    return measure_start(&s->measure, err);
}

static enum tool_exit run_plan(struct sender *s, const struct tool_options *o)
{
    struct tw_err err = { 0 };
    enum tw_rc rc = start(s, o, &err);

    if (rc == TW_OK) {
        loop_run(s->loop);
        rc = measure_verdict(&s->measure, &err);
    }
    measure_close(&s->measure);
    if (s->loop)
        loop_free(s->loop);
    return rc ? tool_fail_err(TOOL_FAILED, &err, rc) : TOOL_OK;
}

/* TWAMP in full is what the controller does. */
static enum tool_exit run_controlled(struct tool_options *o, const struct conf_strlist *args)
{
    static const uint32_t modes[] = { 0, TWAMP_AUTHENTICATED, TWAMP_ENCRYPTED, TWAMP_MIXED };

    if (o->auth != TOOL_AUTH_OPEN && o->modes && o->modes != modes[o->auth])
        return tool_fail(TOOL_USAGE, "--auth and --mode contradict each other: give one of them");
    if (o->auth != TOOL_AUTH_OPEN)
        o->modes = modes[o->auth];
    return cmd_controller.run(o, args);
}

static enum tool_exit run_uncontrolled(struct tool_options *o, const struct conf_strlist *args)
{
    struct host_spec remote, local;
    const struct out_writer *out;
    struct host_pair hosts;
    struct tw_err err = { 0 };
    struct sender *s;
    enum tool_exit code;
    enum tw_rc rc = plan_read_hosts(o, args, &remote, &local, &err);

    if (rc == TW_OK)
        rc = out_choose(o, &out, &err);
    if (rc == TW_OK)
        rc = plan_check(o, &err);
    if (rc)
        return tool_fail_err(TOOL_USAGE, &err, rc);
    rc = host_resolve_pair(&remote, &local, host_lookup, &hosts, &err);
    if (rc)
        return tool_fail_err(TOOL_FAILED, &err, rc);
    s = calloc(1, sizeof *s);
    if (!s)
        return tool_fail(TOOL_FAILED, "out of memory");
    rc = plan_make(o, &hosts, &s->plan, &err);
    if (rc) {
        code = tool_fail_err(rc == TW_EINVAL ? TOOL_USAGE : TOOL_FAILED, &err, rc);
    } else {
        rc = plan_open(o, &hosts, local.port_given, &s->plan, &err);
        code = rc ? tool_fail_err(TOOL_FAILED, &err, rc) : run_plan(s, o);
        plan_close(&s->plan);
    }
    free(s);
    return code;
}

static enum tool_exit run(struct tool_options *o, const struct conf_strlist *args)
{
    return o->protocol == TOOL_TWAMP ? run_controlled(o, args) : run_uncontrolled(o, args);
}

const struct tool_cmd cmd_sender = {
    .name = "sender",
    .usage_args = "[REMOTE-IP:PORT [LOCAL-IP:PORT]]",
    .summary = "send TWAMP Light or STAMP probes and print the result",
    .doc = "Session-Sender: sends probes to a reflector (default 127.0.0.1:20001) from a local port (default "
           ":20000; "
           "another if that is in use and was not asked for), waits until every answer is in or --timeout is "
           "over, and "
           "prints delay, jitter and loss in each direction. Addresses may be names; IPv6 addresses with a "
           "port stand "
           "in brackets. SIGINT and SIGTERM end it with the result so far.",
    .examples = "  twamp sender 192.0.2.7                                  100 probes, a table\n"
                "  twamp sender 192.0.2.7:862 :0 -i 20ms -c 3000 --dscp ef\n"
                "  twamp sender [2001:db8::7]:20001 --padding -1 --do-not-fragment\n"
                "  twamp sender router:862 --protocol stamp --tlv location,cos --reply-dscp ef --raw\n"
                "  twamp sender 192.0.2.7 --protocol stamp --auth --secrets keys --key-id 2026a\n"
                "  twamp sender 192.0.2.7 --protocol twamp --user alice --secrets keys\n"
                "  twamp sender 192.0.2.7 --flows 8 --json | jq '.flows[] | [.source_port, .loss_ratio]'\n"
                "  twamp sender 192.0.2.7 --forever --metrics=histogram,127.0.0.1:9000 --nodegraph\n",
    .shares = TOOL_SHARES_RUN | TOOL_SHARES_SOURCE | TOOL_SHARES_CONTROL | TOOL_SHARES_MARK |
              TOOL_SHARES_SECRETS | TOOL_SHARES_LOG,
    .opts = opts,
    .n_opts = TW_NELEM(opts),
    .max_args = 2,
    .run = run,
};
