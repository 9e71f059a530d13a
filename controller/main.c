/* controller/main.c - twamp-controller: options, start, signals. */
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/conf.h"
#include "common/log.h"
#include "common/net/confine.h"
#include "common/net/process.h"
#include "common/version.h"
#include "controller/controller.h"

#define EXIT_FAILED 1
#define EXIT_USAGE 2

struct options {
    struct confine_options confine;
    char *listen, *admin_listen, *admin_tls, *http, *http_tls_cert, *http_tls_key, *web_root, *data_dir, *name, *backup_dir, *ca_dir;
    struct conf_strlist http_names;
    bool allow_plaintext, auto_approve, http_write, http_plaintext, open_metrics;
    int64_t http_events_max, max_pair_series, native_buckets, history_days, audit_days, keep_raw, keep_1min, keep_10min, keep_1h, keep_1d;
    int64_t certificate_life;
    int64_t budget_pairs, budget_series, budget_mb, budget_pps, budget_kbps;
    int log_level, log_format;
};

static const char *const levels[] = { "debug", "info", "warn", "error", NULL }; /* as enum log_level */
static const char *const formats[] = { "text", "json", NULL };                  /* as enum log_format */

#define OPT(field) offsetof(struct options, field)
#define CONFINE_OPT(field) offsetof(struct options, confine.field)
#define DAY_NS (86400 * TW_NS_PER_S)
#define KEEP(opt, field, value, text)                                                                                 \
    {                                                                                                                 \
        .name = opt, .type = CONF_DURATION, .offset = OPT(field), .dflt = value, .min = DAY_NS, .max = 36500 * DAY_NS, \
        .arg = "TIME", .help = text                                                                                   \
    }
static const struct conf_opt opts[] = {
    { .name = "listen",
      .type = CONF_STR,
      .offset = OPT(listen),
      .dflt = "tcp://127.0.0.1:8620",
      .arg = "URL",
      .help = "Where agents connect." },
    { .name = "allow-plaintext",
      .type = CONF_FLAG,
      .offset = OPT(allow_plaintext),
      .help = "Let --listen be plain TCP on an address that is not loopback: for networks that are trusted "
              "or encrypted otherwise." },
    { .name = "admin-listen",
      .type = CONF_STR,
      .offset = OPT(admin_listen),
      .dflt = "ipc:///run/twampmesh/ctl.sock",
      .arg = "URL",
      .help = "Where twampctl connects. Who may open an ipc:// socket is an admin; elsewhere an access token "
              "says who it is." },
    { .name = "admin-tls",
      .type = CONF_STR,
      .offset = OPT(admin_tls),
      .arg = "URL",
      .help = "Where twampctl connects from other hosts, besides --admin-listen: tls+tcp://ADDRESS:PORT. "
              "With an access token only, and with "
              "the certificates of --ca-dir." },
    { .name = "http",
      .type = CONF_STR,
      .offset = OPT(http),
      .dflt = "127.0.0.1:8080",
      .arg = "ADDR:PORT",
      .help = "Where the page, metrics and the API are served; \"off\" for none." },
    { .name = "http-name",
      .type = CONF_STRLIST,
      .offset = OPT(http_names),
      .arg = "NAME",
      .help = "A name by which browsers and others ask for it over plain HTTP, besides addresses, localhost, "
              "--name and the host's own name; "
              "may be repeated. Under other names only requests with an access token are answered." },
    { .name = "http-tls-cert",
      .type = CONF_STR,
      .offset = OPT(http_tls_cert),
      .arg = "FILE",
      .help = "Serve HTTPS with this certificate (PEM), those between it and its CA behind it; read anew on "
              "SIGHUP." },
    { .name = "http-tls-key",
      .type = CONF_STR,
      .offset = OPT(http_tls_key),
      .arg = "FILE",
      .help = "Its private key (PEM, without a password); read anew on SIGHUP." },
    { .name = "http-plaintext",
      .type = CONF_FLAG,
      .offset = OPT(http_plaintext),
      .help = "Let --http be plain HTTP on an address that is not loopback: for networks that are trusted or "
              "encrypted otherwise." },
    { .name = "http-write",
      .type = CONF_FLAG,
      .offset = OPT(http_write),
      .help = "Will go: roles decide who may change something (twampctl access token create). As long as "
              "there is no access token, "
              "requests from this host may do everything over HTTP." },
    { .name = "open-metrics",
      .type = CONF_FLAG,
      .offset = OPT(open_metrics),
      .help = "Serve /metrics and /api/v1/sd to everybody, without an access token." },
    { .name = "http-events-max",
      .type = CONF_INT,
      .offset = OPT(http_events_max),
      .dflt = "200",
      .min = 0,
      .max = 10000,
      .help =
          "Most listeners to /api/v1/events, one for each open page; more are told to come again. 0: none." },
    { .name = "web-root",
      .type = CONF_STR,
      .offset = OPT(web_root),
      .arg = "DIR",
      .help = "Serve the page from the files of this directory, read anew for each request, instead of those "
              "inside the program: "
              "for work on the page." },
    { .name = "data-dir",
      .type = CONF_STR,
      .offset = OPT(data_dir),
      .dflt = "/var/lib/twampmesh-controller",
      .arg = "DIR",
      .help = "Directory of the database." },
    { .name = "backup-dir",
      .type = CONF_STR,
      .offset = OPT(backup_dir),
      .arg = "DIR",
      .help =
          "Where twampctl db backup puts copies of the database; \"backups\" in --data-dir if not given." },
    { .name = "ca-dir",
      .type = CONF_STR,
      .offset = OPT(ca_dir),
      .arg = "DIR",
      .help = "The certificate authority that twampctl ca init made; \"ca\" in --data-dir if not given. "
              "Without one no agent can join." },
    { .name = "agent-certificate-life",
      .type = CONF_DURATION,
      .offset = OPT(certificate_life),
      .dflt = "90d",
      .min = 2 * TW_NS_PER_S,
      .max = 3650 * DAY_NS,
      .arg = "TIME",
      .help = "How long an agent's certificate is valid. Agents renew theirs at two thirds of that; one that "
              "is away for longer than the "
              "rest asks by its identity." },
    { .name = "name",
      .type = CONF_STR,
      .offset = OPT(name),
      .arg = "NAME",
      .help = "Name of this controller, shown to agents and operators; the host's name if not given." },
    { .name = "auto-approve",
      .type = CONF_FLAG,
      .offset = OPT(auto_approve),
      .help = "Approve every agent that connects: for labs only." },
    { .name = "max-pair-series",
      .type = CONF_INT,
      .offset = OPT(max_pair_series),
      .dflt = "100000",
      .min = 1,
      .max = 100000000,
      .help = "Most Prometheus series of pairs on one page; the rest is held back, worst loss first kept, "
              "and counted." },
    { .name = "native-buckets",
      .type = CONF_INT,
      .offset = OPT(native_buckets),
      .dflt = "160",
      .min = 0,
      .max = 4096,
      .help = "Most buckets of a native histogram in the metrics; with more its resolution is halved. 0: "
              "none are kept." },
    KEEP("keep-raw", keep_raw, "7d",
         "How long summaries are kept, from 1d on. A mesh may have its own (retention:)."),
    KEEP("keep-1min", keep_1min, "30d",
         "How long roll-ups of a minute are kept; each level at least as long as the finer ones."),
    KEEP("keep-10min", keep_10min, "90d", "How long roll-ups of 10 minutes are kept."),
    KEEP("keep-1h", keep_1h, "730d", "How long roll-ups of an hour are kept."),
    KEEP("keep-1d", keep_1d, "3650d", "How long roll-ups of a day are kept."),
    { .name = "history-days",
      .type = CONF_INT,
      .offset = OPT(history_days),
      .dflt = "365",
      .min = 1,
      .max = 36500,
      .help = "Days for which generations of the schedule are kept, to look at and to go back to." },
    { .name = "audit-days",
      .type = CONF_INT,
      .offset = OPT(audit_days),
      .dflt = "365",
      .min = 1,
      .max = 36500,
      .help = "Days for which the audit log is kept: who changed what (twampctl audit)." },
    { .name = "budget-pairs",
      .type = CONF_INT,
      .offset = OPT(budget_pairs),
      .dflt = "2000000",
      .min = 0,
      .max = 1000000000,
      .help =
          "Most pairs of all meshes. An apply that goes beyond is refused without --force; 0: no limit." },
    { .name = "budget-series",
      .type = CONF_INT,
      .offset = OPT(budget_series),
      .dflt = "10000000",
      .min = 0,
      .max = 1000000000000,
      .help = "Most Prometheus series, before --max-pair-series holds any back. An apply that goes beyond is "
              "refused without --force; 0: no limit." },
    { .name = "budget-mb-per-day",
      .type = CONF_INT,
      .offset = OPT(budget_mb),
      .dflt = "100000",
      .min = 0,
      .max = 1000000000000,
      .help = "Most growth of the database a day, in MB. An apply that goes beyond is refused without "
              "--force; 0: no limit." },
    { .name = "budget-agent-pps",
      .type = CONF_INT,
      .offset = OPT(budget_pps),
      .dflt = "50000",
      .min = 0,
      .max = 1000000000,
      .help = "Most packets that one agent sends a second, whatever it allows itself. An apply that goes "
              "beyond is refused without --force; 0: no limit." },
    { .name = "budget-agent-kbps",
      .type = CONF_INT,
      .offset = OPT(budget_kbps),
      .dflt = "1000000",
      .min = 0,
      .max = 1000000000000,
      .help = "Most kbit that one agent sends a second, as IP packets. An apply that goes beyond is refused "
              "without --force; 0: no limit." },
    CONFINE_OPTS(CONFINE_OPT),
    { .name = "log-level",
      .type = CONF_ENUM,
      .offset = OPT(log_level),
      .dflt = "info",
      .choices = levels,
      .help = "Least level that is logged." },
    { .name = "log-format",
      .type = CONF_ENUM,
      .offset = OPT(log_format),
      .dflt = "text",
      .choices = formats,
      .help = "Form of log lines on standard error." },
};

static const struct conf_program program = {
    .name = "twamp-controller",
    .env_prefix = "TWAMP_CONTROLLER",
    .brief = "keep agents, schedules and results of a twampmesh",
    .section = 8,
    .doc = "Keeps the inventory of agents, gives them their schedules, stores their results, and serves "
           "metrics and an API.",
    .examples = "  twamp-controller --data-dir ./data --admin-listen ipc://$PWD/ctl.sock --auto-approve\n"
                "  twamp-controller --listen tcp://192.0.2.1:8620 --allow-plaintext --http 192.0.2.1:8443 "
                "--http-tls-cert /etc/twampmesh/http.crt --http-tls-key /etc/twampmesh/http.key\n",
    .opts = opts,
    .n_opts = TW_NELEM(opts),
};

static void on_signal(void *ctx, int signo)
{
    log_info("stopping", LOG_S("signal", signo == SIGINT ? "SIGINT" : "SIGTERM"));
    process_notify("STOPPING=1");
    loop_release_signals();
    loop_stop(ctx);
}

/* ctx: where the controller is, once there is one. */
static void on_hangup(void *ctx, int signo)
{
    struct controller *c = *(struct controller **)ctx;

    (void)signo;
    if (c)
        controller_reload(c);
}

static enum tw_rc make_loop(struct loop **ret, struct controller **c)
{
    enum tw_rc rc = loop_new(ret);

    if (rc == TW_OK)
        rc = loop_on_signal(*ret, SIGTERM, on_signal, *ret);
    if (rc == TW_OK)
        rc = loop_on_signal(*ret, SIGINT, on_signal, *ret);
    if (rc == TW_OK)
        rc = loop_on_signal(*ret, SIGHUP, on_hangup, c);
    return rc;
}

static int fail(const struct tw_err *err, int code)
{
    char text[512];

    fprintf(stderr, "%s: %s\n", program.name, conf_error_text(&program, err, text, sizeof text));
    return code;
}

/* Of an ipc:// address the folder that its socket will be in; "": there is none. */
static void socket_folder(const char *url, char *ret, size_t cap)
{
    const char *path = strncmp(url, "ipc://", 6) ? "" : url + 6, *slash = strrchr(path, '/');

    snprintf(ret, cap, "%.*s", slash ? (int)(slash - path) : 0, path);
}

/* A port below 1024 is bound when there are threads already, so these keep the capability; else none has any. */
static enum tw_rc begin_confined(const struct options *o, struct tw_err *err)
{
    char folder[4096];
    struct confine_begin c = { .user = o->confine.user, .core_dumps = o->confine.core_dumps };
    size_t n = 0;

    socket_folder(o->admin_listen, folder, sizeof folder);
    c.folders[n++] = o->data_dir;
    if (folder[0])
        c.folders[n++] = folder;
    if (o->backup_dir)
        c.folders[n++] = o->backup_dir;
    if (confine_low_port(o->listen) || (o->admin_tls && confine_low_port(o->admin_tls)) || confine_low_port(o->http))
        c.capabilities = CONFINE_CAP(CAP_NET_BIND_SERVICE);
    return confine_begin(&c, err);
}

/* Programs that tell of alerts are run: they are confined like ourselves. */
static enum tw_rc confine_calls(const struct options *o, struct tw_err *err)
{
    struct tw_err why = { 0 };
    enum tw_rc rc = confine_syscalls((enum confine_mode)o->confine.seccomp, CONFINE_CHILDREN, &why);

    if (rc == TW_EINVAL) {
        log_info("system calls are not filtered", LOG_S("reason", why.text));
        return TW_OK;
    }
    if (rc != TW_OK)
        *err = why;
    return rc;
}

static int run(struct loop *loop, const struct options *o, const char *name, struct controller **ret)
{
    struct controller *c = NULL;
    struct tw_err err = { 0 };
    const struct controller_conf conf = { .loop = loop,
                                          .listen = o->listen,
                                          .admin_listen = o->admin_listen,
                                          .admin_tls = o->admin_tls,
                                          .http = o->http,
                                          .http_tls_cert = o->http_tls_cert,
                                          .http_tls_key = o->http_tls_key,
                                          .http_plaintext = o->http_plaintext,
                                          .http_names = o->http_names,
                                          .web_root = o->web_root,
                                          .data_dir = o->data_dir,
                                          .name = name,
                                          .backup_dir = o->backup_dir,
                                          .ca_dir = o->ca_dir,
                                          .certificate_life_ns = o->certificate_life,
                                          .allow_plaintext = o->allow_plaintext,
                                          .auto_approve = o->auto_approve,
                                          .http_write = o->http_write,
                                          .open_metrics = o->open_metrics,
                                          .http_events_max = (uint32_t)o->http_events_max,
                                          .max_pair_series = (uint64_t)o->max_pair_series,
                                          .native_buckets = (uint32_t)o->native_buckets,
                                          .keep = { { o->keep_raw, o->keep_1min, o->keep_10min, o->keep_1h,
                                                      o->keep_1d } },
                                          .history_days = o->history_days,
                                          .audit_days = o->audit_days,
                                          .budgets = { .pairs = (double)o->budget_pairs,
                                                       .series = (double)o->budget_series,
                                                       .store_bytes_per_day = 1e6 * (double)o->budget_mb,
                                                       .agent_pps = (double)o->budget_pps,
                                                       .agent_bps = 1e3 * (double)o->budget_kbps } };

    if (controller_start(&conf, &c, &err) != TW_OK)
        return fail(&err,
                    err.rc == TW_EINVAL ? EXIT_USAGE : EXIT_FAILED); /* an option's value was found wrong */
    if (confine_calls(o, &err) != TW_OK) {
        controller_stop(c);
        return fail(&err, EXIT_FAILED);
    }
    log_info("ready", LOG_S("listen", o->listen), LOG_S("admin_listen", o->admin_listen),
             LOG_S("http", o->http), LOG_S("data_dir", o->data_dir), LOG_S("name", name),
             LOG_S("version", tw_version), LOG_U("generation", c->inv.generation));
    if (o->http_write)
        log_warn("--http-write will go with the next release: roles decide who may change something over HTTP; until there is an access "
                 "token, requests from this host may; make one: twampctl access token create --role operator NAME");
    if (o->auto_approve)
        log_warn("every agent that connects is approved: --auto-approve is for labs");
    process_notify("READY=1");
    *ret = c;
    loop_run(loop);
    *ret = NULL;
    controller_stop(c);
    log_info("stopped");
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = { 0 };
    struct tw_err err = { 0 };
    struct loop *loop = NULL;
    struct controller *c = NULL;
    char host[256] = "controller";
    enum tw_rc rc = conf_parse(&program, argc, argv, &o, NULL, &err);
    int code;

    if (rc != TW_OK)
        return rc == TW_ECLOSED ? 0 : fail(&err, EXIT_USAGE);
    process_raise_files();
    log_init(program.name, (enum log_level)o.log_level, (enum log_format)o.log_format);
    gethostname(host, sizeof host - 1);
    rc = begin_confined(&o, &err);
    if (rc == TW_OK && (rc = make_loop(&loop, &c)) != TW_OK)
        tw_err_set(&err, rc, "cannot make the event loop: %s", tw_rc_name(rc));
    if (rc != TW_OK) {
        code = fail(&err, EXIT_FAILED);
    } else {
        code = run(loop, &o, o.name ? o.name : host, &c);
    }
    loop_free(loop);
    conf_free(&program, &o);
    return code;
}
