/* agent/tool/cmd_responder.c - twamp responder: reflects TWAMP Light and STAMP until it is stopped. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "agent/clockwatch.h"
#include "agent/keyring.h"
#include "agent/tool/hosts.h"
#include "agent/tool/page.h"
#include "agent/tool/reflector_metrics.h"
#include "agent/tool/tool.h"
#include "common/log.h"

#define FIELD(f) offsetof(struct tool_options, f)

static const struct conf_opt opts[] = {
    { .name = "timer",
      .type = CONF_INT,
      .offset = FIELD(timer_s),
      .dflt = "0",
      .min = 0,
      .max = 86400,
      .arg = "SECONDS",
      .prefer = true,
      .help =
          "Forget a sender after so long silence, and count its next probe as 0; 0 = after 900 (RFC 5357)." },
    { .name = "stateless",
      .type = CONF_FLAG,
      .offset = FIELD(stateless),
      .help = "Answer with the sender's Sequence Number: nobody can then tell on which way a probe was "
              "lost." },
    { .name = "demand-auth",
      .type = CONF_FLAG,
      .offset = FIELD(demand_auth),
      .help = "Answer nothing but authenticated STAMP; needs --secrets." },
    { .name = "refuse-dscp",
      .type = CONF_FLAG,
      .offset = FIELD(refuse_dscp),
      .help =
          "STAMP: answer in the DSCP that the probe came with, whatever its Class of Service TLV wishes." },
};

struct responder {
    struct loop *loop;
    struct worker *worker;
    struct keyring *keys;
    struct clockwatch clock;
    struct page page;
    char listens[2 * TW_ADDR_TEXT + 4];
};

static void on_signal(void *ctx, int signo)
{
    struct responder *r = ctx;

    log_info("stopping", LOG_S("signal", strsignal(signo)));
    loop_stop(r->loop);
}

static void render(void *ctx, struct mbuf *b)
{
    struct responder *r = ctx;
    struct worker_counters c;

    worker_counters(r->worker, &c);
    reflector_metrics(b, r->listens, &c);
}

/* Without an address both families are served, IPv6 only where the host has it. */
static enum tw_rc start_worker(struct responder *r, const struct tool_options *o, const struct host_spec *at,
                               struct tw_err *err)
{
    struct worker_cfg cfg = { .loop = r->loop,
                              .refwait_ns = o->timer_s * TW_NS_PER_S,
                              .stateless = o->stateless,
                              .demand_auth = o->demand_auth,
                              .refuse_dscp = o->refuse_dscp };
    enum tw_rc rc = host_resolve(at, 0, host_lookup, &cfg.reflect[0], err);

    if (rc)
        return rc;
    if (!at->name[0]) {
        cfg.reflect[1] = (struct tw_addr){ .family = 6, .port = at->port };
        rc = worker_start(&cfg, &r->worker, err);
        if (rc == TW_OK || rc == TW_EINUSE || rc == TW_EPERM)
            return rc;
        cfg.reflect[1].family = 0;
    }
    return worker_start(&cfg, &r->worker, err);
}

static void note_addresses(struct responder *r)
{
    struct tw_addr a;
    char text[TW_ADDR_TEXT];

    for (size_t i = 0; worker_reflector_addr(r->worker, i, &a) == TW_OK && i < 2; i++) {
        size_t len = strlen(r->listens);
        snprintf(r->listens + len, sizeof r->listens - len, "%s%s", i ? ", " : "", tw_addr_format(&a, text));
    }
}

static enum tw_rc start_keys(struct responder *r, const struct tool_options *o, struct tw_err *err)
{
    struct keyring_conf c = { .loop = r->loop, .path = o->secrets, .workers = &r->worker, .n_workers = 1 };

    return o->secrets ? keyring_open(&c, &r->keys, err) : TW_OK;
}

/* ---- Life ---- */

static enum tw_rc start(struct responder *r, const struct tool_options *o, const struct host_spec *at,
                        struct tw_err *err)
{
    enum tw_rc rc = tool_loop_new(&r->loop, on_signal, r, err);

    if (rc == TW_OK)
        rc = start_worker(r, o, at, err);
    if (rc == TW_OK)
        rc = start_keys(r, o, err);
    if (rc)
        return rc;
    clockwatch_start(&r->clock, r->loop, &r->worker, 1);
    note_addresses(r);
    r->page = (struct page){ .render = render, .ctx = r };
    return o->metrics.on ? page_start(&r->page, r->loop, o->metrics.address, err) : TW_OK;
}

static void report(const struct responder *r)
{
    struct worker_counters c;

    worker_counters(r->worker, &c);
    printf("Reflected %" PRIu64 " (TWAMP Light %" PRIu64 ", STAMP %" PRIu64 ", authenticated %" PRIu64
           "; wrong HMAC TLV, so flagged, %" PRIu64 "), senders remembered %" PRIu64 "\n",
           c.reflected, c.reflected - c.reflected_stamp, c.reflected_stamp, c.reflected_auth,
           c.reflector_tlv_auth_failed, c.reflector_sessions);
    printf("Not answered: rejected %" PRIu64 " (wrong HMAC %" PRIu64 ", not authenticated %" PRIu64
           "), send errors %" PRIu64 ", dropped by this host %" PRIu64 "\n",
           c.reflector_rejected, c.reflector_auth_failed, c.reflector_auth_demanded, c.reflector_send_errors,
           c.rxq_drops);
}

static void stop(struct responder *r)
{
    page_stop(&r->page);
    clockwatch_stop(&r->clock);
    keyring_free(r->keys);
    if (r->worker) {
        worker_stop(r->worker);
        report(r);
        worker_free(r->worker);
    }
    if (r->loop)
        loop_free(r->loop);
}

static enum tool_exit run(struct tool_options *o, const struct conf_strlist *args)
{
    struct responder r = { .listens = "" };
    struct host_spec at;
    struct tw_err err = { 0 };
    enum tool_exit code = TOOL_OK;
    enum tw_rc rc = host_parse(args->n ? args->v[0] : "", TOOL_REMOTE_PORT, &at, &err);

    if (rc == TW_OK && o->demand_auth && !o->secrets)
        rc = tw_err_set(&err, TW_EINVAL, "--demand-auth needs keys: give --secrets FILE");
    if (rc)
        return tool_fail_err(TOOL_USAGE, &err, rc);
    rc = start(&r, o, &at, &err);
    if (rc) {
        code = tool_fail_err(TOOL_FAILED, &err, rc);
    } else {
        if (!o->quiet)
            printf("Listening on %s\n", r.listens);
        fflush(stdout);
        loop_run(r.loop);
    }
    stop(&r);
    return code;
}

const struct tool_cmd cmd_responder = {
    .name = "responder",
    .usage_args = "[LOCAL-IP:PORT]",
    .summary = "reflect TWAMP Light and STAMP probes",
    .doc =
        "Session-Reflector for everybody: answers TWAMP Light (RFC 5357 appendix I) and STAMP (RFC 8762) "
        "probes at "
        "LOCAL-IP:PORT (default :20001, IPv4 and IPv6) until SIGINT or SIGTERM, then prints its counters. "
        "What is no "
        "probe is counted and not answered. Answers are as long as the requests, at least 41 octets, and "
        "leave "
        "with the DSCP that the request came with; --tos, --dscp, --ttl, --padding and --do-not-fragment are "
        "accepted for the sake of old command lines and have no effect. --metrics serves the counters. With "
        "--secrets authenticated STAMP is answered, too, with any of the file's keys; the file is read again "
        "when it "
        "changes.",
    .examples = "  twamp responder\n"
                "  twamp responder 192.0.2.7:862\n"
                "  twamp responder :862 --secrets keys --demand-auth\n"
                "  twamp responder [2001:db8::7]:20001 --metrics=127.0.0.1:8000\n",
    .shares = TOOL_SHARES_MARK | TOOL_SHARES_SECRETS | TOOL_SHARES_LOG,
    .opts = opts,
    .n_opts = TW_NELEM(opts),
    .max_args = 1,
    .run = run,
};
