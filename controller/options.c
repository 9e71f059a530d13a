/* controller/options.c - see options.h. */
#include "controller/options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "common/addr.h"
#include "common/clk.h"
#include "common/hostname.h"
#include "common/log.h"
#include "common/net/httpd.h"
#include "controller/listen.h"
#include "controller/secure.h"
#include "db/where.h"

static const char *const levels[] = { "debug", "info", "warn", "error", NULL }; /* as enum log_level */

#define OPT(field) offsetof(struct controller_options, field)
#define CONFINE_OPT(field) offsetof(struct controller_options, confine.field)
#define FILE_OPT(field) offsetof(struct controller_options, file.field)
#define DAY_NS (86400 * TW_NS_PER_S)
#define KEEP(opt, field, value, text)                                                           \
    {                                                                                           \
        .name = opt, .type = CONF_DURATION, .offset = OPT(field), .dflt = value, .min = DAY_NS, \
        .max = 36500 * DAY_NS, .arg = "TIME", .live = true, .help = text                                      \
    }
static const struct conf_opt opts[] = {
    CONF_FILE_OPTS(FILE_OPT, "/etc/twampmesh/controller.yaml"),
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
      .live = true,
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
      .secret = true,
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
      .live = true,
      .help = "Will go: roles decide who may change something (twampctl access token create). As long as "
              "there is no access token, "
              "requests from this host may do everything over HTTP." },
    { .name = "open-metrics",
      .type = CONF_FLAG,
      .offset = OPT(open_metrics),
      .live = true,
      .help = "Serve /metrics and /api/v1/sd to everybody, without an access token." },
    { .name = "http-events-max",
      .type = CONF_INT,
      .offset = OPT(http_events_max),
      .live = true,
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
    { .name = "history",
      .type = CONF_STR,
      .offset = OPT(history),
      .arg = "URL",
      .help =
          "The history (results and what they add up to) in a database of its own instead of that in "
          "--data-dir: "
          "clickhouse://HOST[:PORT][,HOST[:PORT]...]/DATABASE[?KEY=VALUE[&KEY=VALUE...]] with the keys "
          "user, password-file, tls "
          "(yes or no), ca-file, cert-file, key-file, cluster (of replicas) and quorum. While it is away all "
          "else goes on, and agents "
          "keep their results." },
    { .name = "control",
      .type = CONF_STR,
      .offset = OPT(control),
      .arg = "URL",
      .help =
          "The control state (agents, meshes, schedules, alerts, access) in etcd instead of the database in "
          "--data-dir, which then has a mirror of it: "
          "etcd://HOST[:PORT][,HOST[:PORT]...]/CLUSTER[?KEY=VALUE[&KEY=VALUE...]] with the keys of "
          "--history, which "
          "it needs. A start needs etcd; while it is away later, nothing can be changed, and results are "
          "still "
          "stored." },
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
    { .name = "advertise",
      .type = CONF_STRLIST,
      .offset = OPT(advertise),
      .arg = "HOST",
      .help = "With --control: the name or address at which agents, operators, other controllers and "
              "Prometheus reach this one, instead of that in --listen, --admin-tls and --http; where those "
              "are of all addresses the host's name if not given. Again as http://HOST[:PORT] or "
              "https://HOST[:PORT] where HTTP is reached otherwise." },
    { .name = "auto-approve",
      .type = CONF_FLAG,
      .offset = OPT(auto_approve),
      .live = true,
      .help = "Approve every agent that connects: for labs only." },
    { .name = "max-pair-series",
      .type = CONF_INT,
      .offset = OPT(max_pair_series),
      .live = true,
      .dflt = "100000",
      .min = 1,
      .max = 100000000,
      .help = "Most Prometheus series of pairs on one page; the rest is held back, worst loss first kept, "
              "and counted." },
    { .name = "native-buckets",
      .type = CONF_INT,
      .offset = OPT(native_buckets),
      .live = true,
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
      .live = true,
      .dflt = "365",
      .min = 1,
      .max = 36500,
      .help = "Days for which generations of the schedule are kept, to look at and to go back to." },
    { .name = "audit-days",
      .type = CONF_INT,
      .offset = OPT(audit_days),
      .live = true,
      .dflt = "365",
      .min = 1,
      .max = 36500,
      .help = "Days for which the audit log is kept: who changed what (twampctl audit)." },
    { .name = "budget-pairs",
      .type = CONF_INT,
      .offset = OPT(budget_pairs),
      .live = true,
      .dflt = "2000000",
      .min = 0,
      .max = 1000000000,
      .help =
          "Most pairs of all meshes. An apply that goes beyond is refused without --force; 0: no limit." },
    { .name = "budget-series",
      .type = CONF_INT,
      .offset = OPT(budget_series),
      .live = true,
      .dflt = "10000000",
      .min = 0,
      .max = 1000000000000,
      .help = "Most Prometheus series, before --max-pair-series holds any back. An apply that goes beyond is "
              "refused without --force; 0: no limit." },
    { .name = "budget-mb-per-day",
      .type = CONF_INT,
      .offset = OPT(budget_mb),
      .live = true,
      .dflt = "100000",
      .min = 0,
      .max = 1000000000000,
      .help = "Most growth of the database a day, in MB. An apply that goes beyond is refused without "
              "--force; 0: no limit." },
    { .name = "budget-agent-pps",
      .type = CONF_INT,
      .offset = OPT(budget_pps),
      .live = true,
      .dflt = "50000",
      .min = 0,
      .max = 1000000000,
      .help = "Most packets that one agent sends a second, whatever it allows itself. An apply that goes "
              "beyond is refused without --force; 0: no limit." },
    { .name = "budget-agent-kbps",
      .type = CONF_INT,
      .offset = OPT(budget_kbps),
      .live = true,
      .dflt = "1000000",
      .min = 0,
      .max = 1000000000000,
      .help = "Most kbit that one agent sends a second, as IP packets. An apply that goes beyond is refused "
              "without --force; 0: no limit." },
    CONFINE_OPTS(CONFINE_OPT),
    { .name = "log-level",
      .type = CONF_ENUM,
      .offset = OPT(log_level),
      .live = true,
      .dflt = "info",
      .choices = levels,
      .help = "Least level that is logged." },
    { .name = "log-format",
      .type = CONF_ENUM,
      .offset = OPT(log_format),
      .live = true,
      .dflt = "text",
      .choices = log_format_names,
      .help = "Form of log lines on standard error; journal: as text, with the level as the systemd journal "
              "wants it, and without what it "
              "adds itself." },
};

const struct conf_program controller_program = {
    .name = "twamp-controller",
    .env_prefix = "TWAMP_CONTROLLER",
    .brief = "keep agents, schedules and results of a twampmesh",
    .section = 8,
    .file_manual = "twampmesh-controller.yaml",
    .doc = "Keeps the inventory of agents, gives them their schedules, stores their results, and serves "
           "metrics and an API.",
    .examples = "  twamp-controller --data-dir ./data --admin-listen ipc://$PWD/ctl.sock --auto-approve\n"
                "  twamp-controller --listen tcp://192.0.2.1:8620 --allow-plaintext --http 192.0.2.1:8443 "
                "--http-tls-cert /etc/twampmesh/http.crt --http-tls-key /etc/twampmesh/http.key\n",
    .opts = opts,
    .n_opts = TW_NELEM(opts),
};

static void check_url(const char *url, bool allow_plaintext, const char *option, struct conf_errors *errors)
{
    struct tw_err err = { 0 };

    if (listen_check(url, allow_plaintext, &err) != TW_OK)
        conf_errors_set(errors, option, "%s", err.text);
}

static void check_history(const char *history, struct conf_errors *errors)
{
    struct tw_err err = { 0 };

    if (history && store_where_check(history, &err) != TW_OK)
        conf_errors_set(errors, "history", "%s", err.text);
}

static void check_control(const struct controller_options *o, struct conf_errors *errors)
{
    struct tw_err err = { 0 };

    if (o->control && store_where_check_shared(o->control, o->history, &err) != TW_OK)
        conf_errors_set(errors, "control", "%s", err.text);
}

/* http[s]://HOST[:PORT] */
static bool is_base_url(const char *text)
{
    const char *host = strstr(text, "://");

    return host && (!strncmp(text, "http:", 5) || !strncmp(text, "https:", 6)) && host[3] &&
           !strpbrk(host + 3, "/ ?#@\"\\");
}

static void check_advertise(const struct controller_options *o, struct conf_errors *errors)
{
    for (size_t i = 0; i < o->advertise.n; i++) {
        const char *v = o->advertise.v[i];
        struct tw_addr addr;

        if (strlen(v) >= HOSTNAME_MAX || !(is_base_url(v) || hostname_ok(v) || tw_addr_parse(v, 1, &addr) == TW_OK))
            conf_errors_set(errors, "advertise",
                            "%.100s: expected a host's name or address without a port, or http[s]://HOST[:PORT]", v);
    }
}

static void check_http(const struct controller_options *o, struct conf_errors *errors)
{
    struct httpd_conf c = { .address = o->http,
                            .tls_cert = o->http_tls_cert,
                            .tls_key = o->http_tls_key,
                            .plaintext = o->http_plaintext };

    httpd_check_option(&c, errors);
}

void controller_options_check(void *target, struct conf_errors *errors)
{
    const struct controller_options *o = target;

    check_url(o->listen, o->allow_plaintext, "listen", errors);
    check_url(o->admin_listen, o->allow_plaintext, "admin-listen", errors);
    if (o->admin_tls && !secure_is_tls(o->admin_tls))
        conf_errors_set(errors, "admin-tls",
                        "%s: is for operators from elsewhere: expected tls+tcp://ADDRESS:PORT", o->admin_tls);
    else if (o->admin_tls)
        check_url(o->admin_tls, false, "admin-tls", errors);
    check_http(o, errors);
    check_history(o->history, errors);
    check_control(o, errors);
    check_advertise(o, errors);
    for (size_t i = 0; i < o->http_names.n; i++)
        if (!hostname_ok(o->http_names.v[i]))
            conf_errors_set(errors, "http-name", "%.100s: expected the name of a host, without a port",
                            o->http_names.v[i]);
}
