/* agent/tool/cmd_probe.c - twamp probe: what kind of reflector is it, and how does it behave? */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include "agent/io/udpsock.h"
#include "agent/tool/plan.h"
#include "agent/tool/probe_out.h"
#include "agent/tool/tool.h"
#include "common/log.h"
#include "common/net/loop.h"
#include "common/net/now.h"

#define FIELD(f) offsetof(struct tool_options, f)
#define PROBE_PORT 862 /* RFC 8545, RFC 8762 */

enum { BATCH = 32, RCVBUF = 1 << 20, SPACING_MS = 20 };

static const char *const jsons[] = { "none", "run", NULL };

static const struct conf_opt opts[] = {
    { .name = "json",
      .short_name = 'j',
      .type = CONF_ENUM,
      .choices = jsons,
      .offset = FIELD(json),
      .arg = "FORM",
      .implied = "run",
      .prefer = true,
      .help = "Print one JSON document, as docs/schema/probe-v1.json says." },
    { .name = "max-pps",
      .type = CONF_INT,
      .offset = FIELD(max_pps),
      .dflt = "2000",
      .min = 0,
      .max = PROBE_PPS_MAX,
      .arg = "N",
      .help =
          "Try up to so many packets a second, 0.3 s at each rate, until more than 1 in 100 is lost; 0 = do "
          "not try." },
    { .name = "dscp",
      .type = CONF_PARSED,
      .parse = tool_parse_dscp,
      .offset = FIELD(dscp),
      .dflt = "ef",
      .arg = "NAME",
      .help = "DSCP of the packet that finds out how answers are marked; all others have 0." },
    { .name = "timeout",
      .type = CONF_DURATION,
      .offset = FIELD(timeout_ns),
      .dflt = "500ms",
      .min = 10 * TW_NS_PER_MS,
      .max = 10 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "How long to wait for answers at the end of each round." },
    { .name = "tries",
      .type = CONF_INT,
      .offset = FIELD(tries),
      .dflt = "3",
      .min = 1,
      .max = 8,
      .arg = "N",
      .help = "How often a packet is sent until it is answered." },
};

struct probe {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_timer timer;
    struct udpsock sock;
    struct udp_rx *rx;
    struct udp_tx *tx;
    struct probe_run *run;
    struct probe_run_cfg cfg;
    struct host_pair hosts;
    struct tw_wall start;
    bool interrupted;
    int send_errno; /* of the last refusal */
};

/* ---- Packets ---- */

static void send_one(struct probe *p, const struct probe_run_out *out)
{
    struct udp_dest to = { .to = p->hosts.remote, .tos = out->tos };

    udp_tx_add(p->tx, out->len, &to);
    if (udp_tx_send(p->tx, &p->sock)) {
        p->send_errno = udp_tx_error(p->tx, 0);
        probe_run_on_send_error(p->run);
        log_debug("not sent", LOG_S("error", strerror(p->send_errno)));
    }
    udp_tx_clear(p->tx);
}

static void pump(struct probe *p)
{
    struct probe_run_out out;
    struct tw_mono due;

    while (probe_run_next(p->run, tw_now(), udp_tx_buf(p->tx, 0), &out) == TW_OK)
        send_one(p, &out);
    due = probe_run_next_due(p->run);
    if (due.ns == TW_MONO_NEVER.ns)
        loop_stop(p->loop);
    else
        loop_timer_set(p->loop, &p->timer, due);
}

static void on_timer(struct loop_timer *t)
{
    pump(t->ctx);
}

/* The scope of a link-local address is ours to say, not the sender's. */
static bool is_reflector(const struct probe *p, const struct tw_addr *from)
{
    return from->family == p->hosts.remote.family && from->port == p->hosts.remote.port &&
           !memcmp(from->ip, p->hosts.remote.ip, sizeof from->ip);
}

static void on_readable(struct loop_watch *w, uint32_t events)
{
    struct probe *p = w->ctx;
    struct udp_in in;
    unsigned n;

    if (events & EPOLLERR)
        udp_take_errors(&p->sock, NULL, 0);
    n = udp_rx_recv(p->rx, &p->sock);
    for (unsigned i = 0; i < n; i++) {
        udp_rx_get(p->rx, i, &in);
        if (is_reflector(p, &in.from))
            probe_run_on_answer(p->run, tw_mono_now(),
                                &(struct probe_run_in){ .time = in.time, .ttl = in.ttl, .tos = in.tos },
                                in.data, in.len);
    }
    pump(p);
}

static void on_signal(void *ctx, int signo)
{
    struct probe *p = ctx;

    log_info("stopping", LOG_S("signal", strsignal(signo)));
    p->interrupted = true;
    loop_stop(p->loop);
}

/* ---- Life ---- */

static enum tw_rc open_all(struct probe *p, const struct tool_options *o, struct tw_err *err)
{
    struct udp_conf conf = { .local = p->hosts.local, .rcvbuf_bytes = RCVBUF };
    enum tw_rc rc = tool_loop_new(&p->loop, on_signal, p, err);

    if (rc == TW_OK)
        rc = udp_rx_new(BATCH, TEST_DATAGRAM_MAX, &p->rx);
    if (rc == TW_OK)
        rc = udp_tx_new(1, PROBE_LEN_MAX, &p->tx);
    if (rc)
        return rc;
    if (o->interface && strlen(o->interface) >= sizeof conf.interface)
        return tw_err_set(err, TW_EINVAL, "--interface: no interface has a name as long as \"%.60s\"",
                          o->interface);
    if (o->interface)
        strcpy(conf.interface, o->interface);
    rc = udp_open(&conf, &p->sock, err);
    if (rc)
        return rc;
    p->watch = (struct loop_watch){ .fn = on_readable, .ctx = p, .fd = p->sock.fd };
    return loop_watch(p->loop, &p->watch, EPOLLIN);
}

static enum tw_rc start(struct probe *p, const struct tool_options *o, struct tw_err *err)
{
    enum tw_rc rc = open_all(p, o, err);

    if (rc)
        return rc;
    p->cfg = (struct probe_run_cfg){ .dscp = (uint8_t)o->dscp,
                                     .tries = (uint8_t)o->tries,
                                     .spacing_ns = SPACING_MS * TW_NS_PER_MS,
                                     .timeout_ns = o->timeout_ns,
                                     .max_pps = (uint32_t)o->max_pps };
    if (getrandom(&p->cfg.seed, sizeof p->cfg.seed, 0) != sizeof p->cfg.seed)
        return tw_err_set(err, TW_EIO, "no random numbers: %s", strerror(errno));
    rc = probe_run_new(&p->cfg, tw_mono_now(), &p->run);
    if (rc)
        return rc;
    p->timer = (struct loop_timer){ .fn = on_timer, .ctx = p };
    p->start = tw_wall_now();
    pump(p);
    return TW_OK;
}

static void stop(struct probe *p)
{
    if (p->loop)
        loop_timer_cancel(p->loop, &p->timer);
    if (p->loop && p->watch.fn)
        loop_unwatch(p->loop, &p->watch);
    if (p->sock.fd >= 0)
        udp_close(&p->sock);
    udp_rx_free(p->rx);
    udp_tx_free(p->tx);
    probe_run_free(p->run);
    if (p->loop)
        loop_free(p->loop);
}

static enum tool_exit report(const struct probe *p, const struct tool_options *o)
{
    struct probe_findings f;
    struct probe_report r = { .hosts = &p->hosts,
                              .source = plan_source_of(&p->sock, &p->hosts.remote),
                              .start = p->start };

    probe_run_findings(p->run, &f);
    probe_run_extra(p->run, &r.extra);
    if (r.extra.send_errors && !f.steps_answered)
        return tool_fail(TOOL_FAILED, "cannot send to %.100s: %s", p->hosts.target, strerror(p->send_errno));
    r.end = tw_wall_now();
    r.interrupted = p->interrupted;
    r.cfg = &p->cfg;
    r.findings = &f;
    (o->json ? probe_print_json : probe_print_text)(stdout, &r);
    if (fflush(stdout) || ferror(stdout))
        return tool_fail(TOOL_FAILED, "cannot write to standard output");
    return TOOL_OK;
}

static enum tw_rc read_hosts(const struct tool_options *o, const struct conf_strlist *args,
                             struct host_spec *ret_remote, struct host_spec *ret_local, struct tw_err *err)
{
    enum tw_rc rc = host_parse(args->v[0], PROBE_PORT, ret_remote, err);

    if (rc == TW_OK && o->bind && args->n > 1)
        return tw_err_set(err, TW_EINVAL,
                          "--bind and the second argument \"%.80s\" say the same thing: give one",
                          args->v[1]);
    return rc ? rc : host_parse(o->bind ? o->bind : args->n > 1 ? args->v[1] : "", 0, ret_local, err);
}

static enum tool_exit run(struct tool_options *o, const struct conf_strlist *args)
{
    struct probe p = { .sock.fd = -1 };
    struct host_spec remote, local;
    struct tw_err err = { 0 };
    enum tool_exit code;
    enum tw_rc rc = read_hosts(o, args, &remote, &local, &err);

    if (rc)
        return tool_fail_err(TOOL_USAGE, &err, rc);
    rc = host_resolve_pair(&remote, &local, host_lookup, &p.hosts, &err);
    if (rc)
        return tool_fail_err(TOOL_FAILED, &err, rc);
    rc = start(&p, o, &err);
    if (rc) {
        code = tool_fail_err(TOOL_FAILED, &err, rc);
    } else {
        loop_run(p.loop);
        code = report(&p, o);
    }
    stop(&p);
    return code;
}

const struct tool_cmd cmd_probe = {
    .name = "probe",
    .usage_args = "HOST[:PORT] [LOCAL-IP:PORT]",
    .summary = "find out what kind of reflector a host runs",
    .doc = "Sends one packet of each kind (TWAMP Light of several sizes, STAMP, each TLV of RFC 8972 alone "
           "and all "
           "together, and some that are wrong) to a reflector at HOST (default port 862), then more and more "
           "packets a "
           "second until some are lost or --max-pps is reached. Prints how it numbers and sizes its answers, "
           "what its "
           "timestamps and TTL tell, how answers are marked, which TLVs it knows, the rates, and which "
           "reflector "
           "it is "
           "likely to be. Takes a few seconds. What was not answered is reported as unknown.",
    .examples = "  twamp probe router.example.net\n"
                "  twamp probe 192.0.2.7:20001 --max-pps 0\n"
                "  twamp probe [2001:db8::7]:862 --json | jq '.kind, .counting, .tlvs'\n",
    .shares = TOOL_SHARES_SOURCE | TOOL_SHARES_LOG,
    .opts = opts,
    .n_opts = TW_NELEM(opts),
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
