/* agent/tool/cmd_server.c - twamp server: a TWAMP-Control server with its reflectors, and beside it the
 * reflector for everybody. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "agent/clockwatch.h"
#include "agent/io/ctl_listener.h"
#include "agent/keyring.h"
#include "agent/tool/ctl_metrics.h"
#include "agent/tool/hosts.h"
#include "agent/tool/page.h"
#include "agent/tool/reflector_metrics.h"
#include "agent/tool/tool.h"
#include "common/log.h"

#define FIELD(f) offsetof(struct tool_options, f)

static const struct conf_opt opts[] = {
    { .name = "mode",
      .type = CONF_PARSED,
      .parse = tool_parse_modes,
      .offset = FIELD(modes),
      .arg = "NAME,...",
      .help = "Modes to offer: open, authenticated, encrypted, mixed. Without it: open, and with --secrets "
              "all." },
    { .name = "features",
      .type = CONF_PARSED,
      .parse = tool_parse_features,
      .offset = FIELD(features),
      .dflt = "all",
      .arg = "NAME,...",
      .help = "Features to offer: individual (RFC 5938), reflect, symmetrical (RFC 6038), dscp (RFC 7750), "
              "ptp (RFC "
              "8186), all, none." },
    { .name = "light-port",
      .type = CONF_INT,
      .offset = FIELD(light_port),
      .dflt = "862",
      .min = 0,
      .max = 65535,
      .arg = "PORT",
      .help = "UDP port at which TWAMP Light and STAMP are reflected for everybody; 0 = nowhere." },
    { .name = "test-ports",
      .type = CONF_PARSED,
      .parse = tool_parse_ports,
      .offset = FIELD(test_ports),
      .arg = "LOW-HIGH",
      .help = "UDP ports for test sessions, so that firewalls can follow. Without it: the one that the "
              "client asks "
              "for, else any." },
    { .name = "max-connections",
      .type = CONF_INT,
      .offset = FIELD(max_connections),
      .dflt = "1000",
      .min = 1,
      .max = 100000,
      .arg = "N",
      .help = "TWAMP-Control connections at the same time." },
    { .name = "max-per-address",
      .type = CONF_INT,
      .offset = FIELD(max_per_peer),
      .dflt = "32",
      .min = 1,
      .max = 100000,
      .arg = "N",
      .help = "Of them, those from one address." },
    { .name = "max-sessions",
      .type = CONF_INT,
      .offset = FIELD(max_sessions),
      .dflt = "1000",
      .min = 1,
      .max = 100000,
      .arg = "N",
      .help = "Test sessions at the same time." },
    { .name = "servwait",
      .type = CONF_DURATION,
      .offset = FIELD(servwait_ns),
      .dflt = "15m",
      .min = TW_NS_PER_S,
      .max = 86400 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "A connection without commands and without running sessions is closed after so long." },
    { .name = "refwait",
      .type = CONF_DURATION,
      .offset = FIELD(refwait_ns),
      .dflt = "15m",
      .min = TW_NS_PER_S,
      .max = 86400 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "A test session without probes is ended after so long." },
    { .name = "rounds",
      .type = CONF_INT,
      .offset = FIELD(rounds),
      .dflt = "2048",
      .min = 1024,
      .max = 65536,
      .arg = "N",
      .help = "PBKDF2 rounds of a login, a power of 2: what guessing a passphrase costs, and each login." },
};

struct server {
    const struct tool_options *o;
    struct loop *loop;
    struct worker *worker;
    struct ctl_listener *control;
    struct keyring *keys;
    struct clockwatch clock;
    struct page page;
    char listens[2 * TW_ADDR_TEXT + 4];
};

static void on_signal(void *ctx, int signo)
{
    struct server *s = ctx;

    log_info("stopping", LOG_S("signal", strsignal(signo)));
    loop_stop(s->loop);
}

static void on_results(void *ctx)
{
    struct server *s = ctx;

    if (s->control)
        ctl_listener_on_results(s->control);
}

static void render(void *ctx, struct mbuf *b)
{
    struct server *s = ctx;
    struct ctl_listener_counters c;
    struct worker_counters w;

    worker_counters(s->worker, &w);
    reflector_metrics(b, s->listens, &w);
    ctl_listener_counters(s->control, &c);
    ctl_metrics(b, s->listens, &c);
}

/* ---- Secrets ---- */

/* A file that has changed counts from the next login on, and for STAMP soon. */
static size_t secret_of(void *ctx, const char *key_id, unsigned which, uint8_t *ret, size_t cap)
{
    struct server *s = ctx;

    if (which == 0)
        keyring_look(s->keys);
    return keyring_secret(s->keys, key_id, which, ret, cap);
}

static enum tw_rc start_keys(struct server *s, struct tw_err *err)
{
    struct keyring_conf c = { .loop = s->loop, .path = s->o->secrets, .workers = &s->worker, .n_workers = 1 };

    return s->o->secrets ? keyring_open(&c, &s->keys, err) : TW_OK;
}

/* ---- Starting ---- */

/* IPv6 only where the host has it. */
static bool has_ipv6(uint16_t port)
{
    struct tw_addr any = { .family = 6, .port = port };
    struct tw_err err = { 0 };
    enum tw_rc rc = udp_check_free(&any, &err);

    return rc == TW_OK || rc == TW_EINUSE || rc == TW_EPERM;
}

/* Addresses to listen on: the one that was given, or any of both families. */
static enum tw_rc resolve(const struct host_spec *at, struct tw_addr ret[2], struct tw_err *err)
{
    enum tw_rc rc = host_resolve(at, 0, host_lookup, &ret[0], err);

    if (rc == TW_OK && !at->name[0] && has_ipv6(0))
        ret[1] = (struct tw_addr){ .family = 6, .port = at->port };
    return rc;
}

static enum tw_rc start_worker(struct server *s, const struct tw_addr at[2], struct tw_err *err)
{
    struct worker_cfg cfg = { .loop = s->loop,
                              .on_results = on_results,
                              .ctx = s,
                              .refwait_ns = s->o->refwait_ns,
                              .max_reflect_sessions = (uint32_t)s->o->max_sessions };

    for (size_t i = 0; s->o->light_port && i < 2; i++) {
        cfg.reflect[i] = at[i];
        cfg.reflect[i].port = (uint16_t)s->o->light_port;
    }
    return worker_start(&cfg, &s->worker, err);
}

static enum tw_rc start_control(struct server *s, const struct tw_addr at[2], struct tw_err *err)
{
    const struct tool_options *o = s->o;
    struct ctl_listener_cfg cfg = { .loop = s->loop,
                                    .workers = &s->worker,
                                    .n_workers = 1,
                                    .listen = { at[0], at[1] },
                                    .modes = (o->modes ? o->modes : TWAMP_SECURITY) | o->features,
                                    .count = (uint32_t)o->rounds,
                                    .max_connections = (uint32_t)o->max_connections,
                                    .max_per_peer = (uint32_t)o->max_per_peer,
                                    .max_sessions = (uint32_t)o->max_sessions,
                                    .servwait_ns = o->servwait_ns,
                                    .refwait_ns = o->refwait_ns,
                                    .port_low = o->test_ports.low,
                                    .port_high = o->test_ports.high };

    if (s->keys) {
        cfg.secret = secret_of;
        cfg.secret_ctx = s;
    }
    return ctl_listener_start(&cfg, &s->control, err);
}

static void note_addresses(struct server *s)
{
    struct tw_addr a;
    char text[TW_ADDR_TEXT];

    for (size_t i = 0; i < 2 && ctl_listener_addr(s->control, i, &a) == TW_OK; i++) {
        size_t len = strlen(s->listens);
        snprintf(s->listens + len, sizeof s->listens - len, "%s%s", i ? ", " : "", tw_addr_format(&a, text));
    }
}

static enum tw_rc start(struct server *s, const struct host_spec *at, struct tw_err *err)
{
    struct tw_addr addrs[2] = { { .family = 0 } };
    enum tw_rc rc = tool_loop_new(&s->loop, on_signal, s, err);

    if (rc == TW_OK)
        rc = resolve(at, addrs, err);
    if (rc == TW_OK)
        rc = start_worker(s, addrs, err);
    if (rc == TW_OK)
        rc = start_keys(s, err);
    if (rc == TW_OK)
        rc = start_control(s, addrs, err);
    if (rc)
        return rc;
    clockwatch_start(&s->clock, s->loop, &s->worker, 1);
    note_addresses(s);
    s->page = (struct page){ .render = render, .ctx = s };
    return s->o->metrics.on ? page_start(&s->page, s->loop, s->o->metrics.address, err) : TW_OK;
}

/* ---- Ending ---- */

static void report(const struct server *s)
{
    struct ctl_listener_counters c;

    ctl_listener_counters(s->control, &c);
    printf("Connections %" PRIu64 ", refused %" PRIu64 ", failed logins %" PRIu64 ", protocol errors %" PRIu64
           ", sessions %" PRIu64 ", probes answered %" PRIu64 "\n",
           c.accepted, c.refused_connections + c.refused_peer + c.refused_handshakes, c.closed[CTL_WHY_LOGIN],
           c.closed[CTL_WHY_PROTOCOL], c.opened, c.reflected.answered);
}

static void stop(struct server *s)
{
    page_stop(&s->page);
    clockwatch_stop(&s->clock);
    if (s->worker)
        worker_stop(s->worker); /* reflectors end; the listener takes their counters */
    if (s->control) {
        ctl_listener_on_results(s->control);
        report(s);
    }
    ctl_listener_stop(s->control);
    keyring_free(s->keys);
    if (s->worker)
        worker_free(s->worker);
    if (s->loop)
        loop_free(s->loop);
}

/* ---- The command ---- */

static enum tw_rc check(const struct tool_options *o, struct tw_err *err)
{
    if (o->rounds & (o->rounds - 1))
        return tw_err_set(err, TW_EINVAL, "--rounds must be a power of 2 such as 2048, not %d",
                          (int)o->rounds);
    if (o->modes && !(o->modes & TWAMP_OPEN) && !o->secrets)
        return tw_err_set(err, TW_EINVAL, "--mode: these modes need passphrases: give --secrets FILE");
    return TW_OK;
}

static enum tool_exit run(struct tool_options *o, const struct conf_strlist *args)
{
    struct server s = { .o = o };
    struct host_spec at;
    struct tw_err err = { 0 };
    enum tool_exit code = TOOL_OK;
    enum tw_rc rc = host_parse(args->n ? args->v[0] : "", CTL_PORT, &at, &err);

    if (rc == TW_OK)
        rc = check(o, &err);
    if (rc)
        return tool_fail_err(TOOL_USAGE, &err, rc);
    rc = start(&s, &at, &err);
    if (rc) {
        code = tool_fail_err(TOOL_FAILED, &err, rc);
    } else {
        if (!o->quiet)
            printf("Listening on TCP %s\n", s.listens);
        fflush(stdout);
        loop_run(s.loop);
    }
    stop(&s);
    return code;
}

const struct tool_cmd cmd_server = {
    .name = "server",
    .usage_args = "[LOCAL-IP:PORT]",
    .summary = "a TWAMP server: agrees on test sessions over TCP and reflects their probes",
    .doc =
        "Server and Session-Reflector (RFC 5357): takes TWAMP-Control connections at TCP LOCAL-IP:PORT "
        "(default "
        ":862, IPv4 and IPv6) until SIGINT or SIGTERM, and opens a reflector for each session that is "
        "agreed. "
        "Beside it TWAMP Light and STAMP are reflected at UDP --light-port. Who may log in, and with which "
        "passphrase, is in the file --secrets, which is read again when it changes; without it only the open "
        "mode is "
        "offered. --metrics serves counters.",
    .examples = "  twamp server\n"
                "  twamp server 192.0.2.7:862 --secrets /etc/twamp/secrets --test-ports 20000-20999\n"
                "  twamp server --mode encrypted,authenticated --secrets keys --light-port 0\n",
    .shares = TOOL_SHARES_SECRETS | TOOL_SHARES_LOG,
    .opts = opts,
    .n_opts = TW_NELEM(opts),
    .max_args = 1,
    .run = run,
};
