/* The table of commands: one row is all that the parser, the help and the suggestions know of a command. */
#include "controller/cli/filter.h"

static const struct conf_opt global_opts[] = {
    { .name = "controller",
      .short_name = 'c',
      .type = CONF_STR,
      .offset = CLI_FIELD(controller),
      .dflt = "ipc:///run/twampmesh/ctl.sock",
      .arg = "URL",
      .help = "The controller's --admin-listen, or from another host its --admin-tls. Of several, with commas, the "
              "next one is asked when one does not answer." },
    { .name = "token-file",
      .type = CONF_STR,
      .offset = CLI_FIELD(token_file),
      .arg = "FILE",
      .help = "A file, of mode 0600, with the access token that says who asks: over tls+tcp://, and on ipc:// to be less than an admin. It "
              "is never sent unencrypted." },
    { .name = "token",
      .type = CONF_STR,
      .offset = CLI_FIELD(token),
      .arg = "TOKEN",
      .help = "The token itself; better in TWAMPCTL_TOKEN, since others on the host can see a command's options." },
    { .name = "ca-file",
      .type = CONF_STR,
      .offset = CLI_FIELD(ca_file),
      .arg = "FILE",
      .help = "For tls+tcp://: the certificate of the authority that the controller's own must be from, the ca.pem of \"twampctl ca init\"." },
    { .name = "server-name",
      .type = CONF_STR,
      .offset = CLI_FIELD(server_name),
      .arg = "NAME",
      .help = "Whom the controller's certificate must name, where that is not the host of --controller: through a tunnel." },
    { .name = "client-cert",
      .type = CONF_STR,
      .offset = CLI_FIELD(client_cert),
      .arg = "FILE",
      .help = "For tls+tcp://, in a token's place: an operator's certificate (PEM) that twampctl ca operator made, with its key behind it." },
    { .name = "client-key",
      .type = CONF_STR,
      .offset = CLI_FIELD(client_key),
      .arg = "FILE",
      .help = "Its key (PEM), if that is in a file of its own." },
    { .name = "output",
      .short_name = 'o',
      .type = CONF_ENUM,
      .offset = CLI_FIELD(output),
      .dflt = "table",
      .choices = out_format_names,
      .arg = "FORMAT",
      .help = "For people a table, or with wide all its columns whatever the terminal's width; for programs JSON, YAML or CSV with "
              "seconds, ratios and full precision; results and report also as a JSON object a line (ndjson)." },
    { .name = "config",
      .type = CONF_STR,
      .offset = CLI_FIELD(config),
      .arg = "FILE",
      .help = "Where contexts are kept. Without it twampmesh/twampctl.yaml in $XDG_CONFIG_HOME or ~/.config." },
    { .name = "context",
      .type = CONF_STR,
      .offset = CLI_FIELD(context),
      .arg = "NAME",
      .help = "Which context of that file is meant. Without it the current one, see twampctl help context." },
    { .name = "timeout",
      .type = CONF_DURATION,
      .offset = CLI_FIELD(timeout_ns),
      .dflt = "10s",
      .min = TW_NS_PER_MS,
      .max = 3600 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "How long to wait for the controller. Unless this is said, changes of the schedule wait as long as it is there." },
    { .name = "watch",
      .type = CONF_DURATION,
      .offset = CLI_FIELD(watch_ns),
      .min = 100 * TW_NS_PER_MS,
      .max = 86400 * TW_NS_PER_S,
      .arg = "TIME",
      .implied = "2s",
      .help = "Commands that only read: again and again, every TIME (2s without it), until Ctrl-C. On a terminal in place; "
              "JSON one document a line." },
    { .name = "progress",
      .type = CONF_ENUM,
      .offset = CLI_FIELD(progress),
      .dflt = "auto",
      .choices = progress_names,
      .arg = "HOW",
      .help = "How far something is that takes long (apply, doctor, test, reports of many agents): a line on terminals (auto), nothing (none), or for scripts "
              "a JSON object a line on standard error (json)." },
    { .name = "no-color",
      .type = CONF_FLAG,
      .offset = CLI_FIELD(no_color),
      .help = "No colours on a terminal either. NO_COLOR does the same." },
};

const struct conf_program cli_global = {
    .name = "twampctl",
    .env_prefix = "TWAMPCTL",
    .usage_args = "COMMAND [ARGUMENT...]",
    .examples = "  twampctl agent list\n"
                "  twampctl agent approve ams\n"
                "  twampctl schedule apply -f mesh.yaml --plan\n"
                "  twampctl watch --mesh voice\n"
                "  twampctl report --from -1h -o csv >report.csv\n"
                "  twampctl help schedule apply\n",
    .opts = global_opts,
    .n_opts = TW_NELEM(global_opts),
    .max_args = 0,
};

static const struct conf_opt approve_opts[] = {
    { .name = "fingerprint",
      .type = CONF_STR,
      .offset = CLI_FIELD(fingerprint),
      .arg = "HEX",
      .help =
          "Refuse unless the agent's key has this SHA-256 fingerprint: the one that the agent itself logs." },
};

#define OPT_YES                                                                                            \
    {                                                                                                      \
        .name = "yes", .short_name = 'y', .type = CONF_FLAG, .offset = CLI_FIELD(yes), .help = "Do not ask." \
    }

static const struct conf_opt remove_opts[] = {
    OPT_YES,
};

#define OPT_AGENTS FILTER_OPT_SELECT("All agents with such labels instead of one by its name: site=ams,role!=edge.")
#define OPT_WHY                                                                                            \
    {                                                                                                      \
        .name = "reason", .short_name = 'r', .type = CONF_STR, .offset = CLI_FIELD(reason), .arg = "TEXT", \
        .help = "Why, for those who wonder."                                                               \
    }
#define OPT_AUTHOR                                                                                         \
    {                                                                                                      \
        .name = "author", .short_name = 'a', .type = CONF_STR, .offset = CLI_FIELD(author), .arg = "NAME", \
        .help = "Who changes it, for the record. Without it your user name."                               \
    }

#define OPT_REASON                                                                                          \
    {                                                                                                       \
        .name = "reason", .short_name = 'r', .type = CONF_STR, .offset = CLI_FIELD(reason), .arg = "TEXT",  \
        .help = "Why, for the history."                                                                     \
    }
#define OPT_WAIT                                                                                            \
    {                                                                                                       \
        .name = "wait", .short_name = 'w', .type = CONF_DURATION, .offset = CLI_FIELD(wait_ns),             \
        .dflt = "10s", .min = 0, .max = 3600 * TW_NS_PER_S, .arg = "TIME",                                  \
        .help = "How long to wait until every connected agent runs it; 0 does not wait."                    \
    }
#define OPT_PLAN                                                                                            \
    {                                                                                                       \
        .name = "plan", .short_name = 'p', .type = CONF_FLAG, .offset = CLI_FIELD(plan),                    \
        .help = "Only show what would change and what it would cost."                                       \
    }
#define OPT_FILES                                                                                           \
    {                                                                                                       \
        .name = "file", .short_name = 'f', .type = CONF_STRLIST, .offset = CLI_FIELD(files), .arg = "FILE", \
        .help = "A file with mesh documents, YAML or JSON, parted by \"---\"; \"-\" is standard input. May be "  \
                "given several times: all are one generation.",                                             \
        .required = true                                                                                    \
    }
#define OPT_PRUNE                                                                                           \
    {                                                                                                       \
        .name = "prune", .type = CONF_FLAG, .offset = CLI_FIELD(prune),                                     \
        .help = "Delete the meshes that are in none of the files."                                          \
    }
#define OPT_FORCE                                                                                           \
    {                                                                                                       \
        .name = "force", .type = CONF_FLAG, .offset = CLI_FIELD(force),                                     \
        .help = "Go past the controller's budgets. The agents' own limits hold nevertheless."               \
    }
#define OPT_PAIRS                                                                                           \
    {                                                                                                       \
        .name = "pairs", .type = CONF_FLAG, .offset = CLI_FIELD(pairs),                                     \
        .help = "Show each pair that comes, goes or changes, up to 1,000."                                  \
    }
static const struct conf_opt agent_list_opts[] = { FILTER_OPT_SELECT("Only agents with such labels: site=ams,role!=edge.") };
static const struct conf_opt label_opts[] = { OPT_AGENTS, OPT_AUTHOR };
static const struct conf_opt drain_opts[] = { OPT_AGENTS, OPT_WHY, OPT_AUTHOR };
static const struct conf_opt maintenance_opts[] = {
    OPT_AGENTS,
    { .name = "from",
      .type = CONF_STR,
      .offset = CLI_FIELD(from),
      .arg = "TIME",
      .help = "Begin: 2026-11-23T12:00:00Z, Unix seconds, or ahead from now such as +1h. Without it now." },
    { .name = "to", .type = CONF_STR, .offset = CLI_FIELD(to), .arg = "TIME", .help = "End, such as +3h." },
    { .name = "end",
      .type = CONF_FLAG,
      .offset = CLI_FIELD(end),
      .help = "What is under way ends now, and what was to come does not." },
    OPT_WHY,
    OPT_AUTHOR,
};
static const struct conf_opt revoke_opts[] = {
    OPT_AGENTS,
    OPT_YES,
    OPT_WHY,
    OPT_AUTHOR,
};

static const struct conf_opt apply_opts[] = {
    OPT_FILES, OPT_PLAN, OPT_PAIRS, OPT_PRUNE, OPT_FORCE, OPT_AUTHOR, OPT_REASON, OPT_WAIT,
};
static const struct conf_opt plan_opts[] = { OPT_FILES, OPT_PAIRS, OPT_PRUNE, OPT_FORCE };
static const struct conf_opt rollback_opts[] = {
    OPT_PLAN, OPT_PAIRS, OPT_FORCE, OPT_AUTHOR, OPT_REASON, OPT_WAIT,
};
static const struct conf_opt history_opts[] = {
    { .name = "limit",
      .short_name = 'n',
      .type = CONF_INT,
      .offset = CLI_FIELD(limit),
      .dflt = "20",
      .min = 1,
      .max = 10000,
      .arg = "N",
      .help = "At most so many generations." },
    { .name = "before",
      .type = CONF_INT,
      .offset = CLI_FIELD(before),
      .dflt = "0",
      .min = 0,
      .max = INT64_MAX,
      .arg = "N",
      .help = "Only generations below this one; 0 begins with the newest." },
};
static const struct conf_opt show_opts[] = {
    { .name = "document",
      .short_name = 'd',
      .type = CONF_FLAG,
      .offset = CLI_FIELD(document),
      .help = "Print only the document, as it was applied." },
};

static const struct conf_opt change_opts[] = { OPT_AUTHOR, OPT_REASON };
static const struct conf_opt delete_opts[] = { OPT_YES, OPT_AUTHOR, OPT_REASON };

#define OPT_LIMIT(what)                                                                                \
    {                                                                                                  \
        .name = "limit", .short_name = 'n', .type = CONF_INT, .offset = CLI_FIELD(limit), .dflt = "0", \
        .min = 0, .max = 1000000, .arg = "N", .help = what                                             \
    }

static const struct conf_opt results_opts[] = {
    FILTER_OPTS_NAMES,
    FILTER_OPTS_TIMES,
    OPT_LIMIT("At most so many summaries; 0: all with csv and ndjson, else 1000."),
};

static const struct conf_opt report_opts[] = {
    FILTER_OPTS_NAMES,
    FILTER_OPTS_TIMES,
    { .name = "latest",
      .type = CONF_FLAG,
      .offset = CLI_FIELD(latest),
      .help = "The last closed report period of each pair instead of a span." },
    { .name = "flows",
      .type = CONF_FLAG,
      .offset = CLI_FIELD(flows),
      .help = "One row for each flow of a pair, to compare the paths that its source ports take." },
    { .name = "by",
      .type = CONF_STR,
      .offset = CLI_FIELD(group_by),
      .arg = "WHAT",
      .help = "One row for each source, target, agent, mesh, class or label:KEY instead of each pair." },
    OPT_LIMIT("At most so many pairs; 0 leaves it to the controller."),
};

static const struct conf_opt completeness_opts[] = {
    FILTER_OPTS_NAMES,
    FILTER_OPTS_TIMES,
    { .name = "incomplete",
      .type = CONF_FLAG,
      .offset = CLI_FIELD(incomplete),
      .help = "Only hours that lack something." },
    OPT_LIMIT("At most so many rows; 0 leaves it to the controller."),
};

#define OPT_BY                                                                                          \
    {                                                                                                   \
        .name = "by", .type = CONF_STR, .offset = CLI_FIELD(group_by), .arg = "WHAT",                   \
        .help = "One row for each source, target, agent, mesh, class or label:KEY instead of each pair." \
    }
#define OPT_SORT(dflt_metric, what)                                                                             \
    {                                                                                                           \
        .name = "sort", .type = CONF_STR, .offset = CLI_FIELD(sort_by), .dflt = dflt_metric, .arg = "NUMBER",   \
        .help = what                                                                                            \
    }

static const struct conf_opt report_top_opts[] = {
    FILTER_OPTS_NAMES,
    FILTER_OPTS_TIMES,
    OPT_BY,
    OPT_SORT("loss_ratio", "By what number, as JSON and CSV name it: loss_ratio, delay_roundtrip_p99_seconds, availability_ratio ..."),
    { .name = "top",
      .short_name = 'n',
      .type = CONF_INT,
      .offset = CLI_FIELD(top),
      .dflt = "10",
      .min = 1,
      .max = 100000,
      .arg = "N",
      .help = "So many of them." },
};

static const struct conf_opt report_compare_opts[] = {
    FILTER_OPTS_NAMES,
    FILTER_OPTS_TIMES,
    OPT_BY,
    OPT_SORT(NULL, "The worst by this number first, instead of in order of names."),
    { .name = "back",
      .type = CONF_DURATION,
      .offset = CLI_FIELD(back_ns),
      .dflt = "0s",
      .min = 0,
      .max = INT64_MAX,
      .arg = "TIME",
      .help = "Compare with the span so long before. Without it with the one just before, of the same length." },
    { .name = "before-from",
      .type = CONF_STR,
      .offset = CLI_FIELD(before_from),
      .arg = "TIME",
      .help = "Begin of the span to compare with, instead of --back." },
    { .name = "before-to", .type = CONF_STR, .offset = CLI_FIELD(before_to), .arg = "TIME", .help = "Its end." },
    OPT_LIMIT("At most so many pairs; 0 leaves it to the controller."),
};

static const struct conf_opt report_sla_opts[] = {
    FILTER_OPTS_NAMES,
    { .name = "from",
      .type = CONF_STR,
      .offset = CLI_FIELD(from),
      .arg = "TIME",
      .help = "Begin of the span. Without it 30 days before --to." },
    { .name = "to",
      .type = CONF_STR,
      .offset = CLI_FIELD(to),
      .arg = "TIME",
      .help = "End of the span, not included. Without it the last midnight, UTC." },
    { .name = "objectives",
      .short_name = 'f',
      .type = CONF_STR,
      .offset = CLI_FIELD(objectives),
      .arg = "FILE",
      .help = "Objectives in YAML or JSON: availability, loss, p95, p99, and the same by class under classes." },
    { .name = "availability", .type = CONF_STR, .offset = CLI_FIELD(availability), .arg = "RATIO", .help = "Objective: 99.9%, at least." },
    { .name = "loss", .type = CONF_STR, .offset = CLI_FIELD(loss), .arg = "RATIO", .help = "Objective: 0.5%, at most." },
    { .name = "p95", .type = CONF_STR, .offset = CLI_FIELD(p95), .arg = "TIME", .help = "Objective: round trip of 95 of 100 probes, at most." },
    { .name = "p99", .type = CONF_STR, .offset = CLI_FIELD(p99), .arg = "TIME", .help = "The same of 99 of 100." },
};

static const struct conf_opt outages_opts[] = {
    FILTER_OPTS_NAMES,
    FILTER_OPTS_TIMES,
    { .name = "min-duration",
      .type = CONF_DURATION,
      .offset = CLI_FIELD(min_duration_ns),
      .dflt = "0s",
      .min = 0,
      .max = INT64_MAX,
      .arg = "TIME",
      .help = "Only those that lasted so long." },
    { .name = "min-probes",
      .type = CONF_INT,
      .offset = CLI_FIELD(min_probes),
      .dflt = "0",
      .min = 0,
      .max = UINT32_MAX,
      .arg = "N",
      .help = "Only those in which so many probes were lost." },
    { .name = "direction",
      .type = CONF_STR,
      .offset = CLI_FIELD(direction),
      .arg = "WAY",
      .help = "Only those of this direction: forward, backward, mixed or unknown." },
    OPT_LIMIT("At most so many outages; 0 leaves it to the controller."),
};

static const struct conf_opt watch_opts[] = {
    FILTER_OPTS_NAMES,
    { .name = "interval",
      .short_name = 'i',
      .type = CONF_DURATION,
      .offset = CLI_FIELD(interval_ns),
      .dflt = "2s",
      .min = 100 * TW_NS_PER_MS,
      .max = 86400 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "How often to look." },
    { .name = "once", .type = CONF_FLAG, .offset = CLI_FIELD(once), .help = "Look once and end." },
    { .name = "count",
      .type = CONF_INT,
      .offset = CLI_FIELD(count),
      .dflt = "0",
      .min = 0,
      .max = INT64_MAX,
      .arg = "N",
      .help = "End after so many looks; 0 goes on until Ctrl-C." },
};

#define OPT_AT                                                                                                 \
    {                                                                                                          \
        .name = "at", .short_name = 'a', .type = CONF_STR, .offset = CLI_FIELD(at), .arg = "TIME",             \
        .help = "The moment: 2026-11-23T12:00:00Z, Unix seconds, now, or back from now such as -15m. Without " \
                "it now."                                                                                      \
    }
#define OPT_SPAN(standard, what)                                                                             \
    {                                                                                                        \
        .name = "span", .type = CONF_DURATION, .offset = CLI_FIELD(span_ns), .dflt = (standard), .min = 1000, \
        .max = 86400 * TW_NS_PER_S, .arg = "TIME", .help = what                                              \
    }

static const struct conf_opt flight_opts[] = {
    OPT_AT,
    OPT_SPAN("10s", "How much of the time around --at, half of it on either side; without --at, back from now."),
    { .name = "flow",
      .type = CONF_INT,
      .offset = CLI_FIELD(flow),
      .dflt = "-1",
      .min = -1,
      .max = UINT32_MAX,
      .arg = "N",
      .help = "Only this flow of the pair; -1 is all." },
    OPT_LIMIT("At most so many probes of each flow; 0 leaves it to the agent."),
};

static const struct conf_opt freeze_opts[] = {
    OPT_AT,
    OPT_SPAN("60s", "How much of the time around --at, half of it on either side; without --at, back from now."),
    { .name = "reason",
      .type = CONF_STR,
      .offset = CLI_FIELD(reason),
      .arg = "TEXT",
      .help = "Why, for those who find it. Without it your user name." },
};

static const struct conf_opt frozen_opts[] = { FILTER_OPTS_NAMES };

static const struct conf_opt restore_opts[] = {
    { .name = "data-dir",
      .type = CONF_STR,
      .offset = CLI_FIELD(data_dir),
      .dflt = "/var/lib/twampmesh-controller",
      .arg = "DIR",
      .help = "The controller's --data-dir." },
};

static const struct conf_opt migrate_opts[] = {
    { .name = "data-dir",
      .type = CONF_STR,
      .offset = CLI_FIELD(data_dir),
      .dflt = "/var/lib/twampmesh-controller",
      .arg = "DIR",
      .help = "The controller's --data-dir." },
    { .name = "history",
      .type = CONF_STR,
      .offset = CLI_FIELD(to_history),
      .arg = "LOCATION",
      .help = "Where the history is to be, as the controller's --history." },
    { .name = "control",
      .type = CONF_STR,
      .offset = CLI_FIELD(to_control),
      .arg = "LOCATION",
      .help = "Where the control state is to be, as the controller's --control." },
    { .name = "dry-run",
      .type = CONF_FLAG,
      .offset = CLI_FIELD(dry_run),
      .help = "Say what would be copied and how long that takes, and do nothing." },
};

static const struct conf_opt ca_server_opts[] = {
    { .name = "dir",
      .type = CONF_STR,
      .offset = CLI_FIELD(dir),
      .dflt = "/var/lib/twampmesh-controller/ca",
      .arg = "DIR",
      .help = "Where twampctl ca init has put the authority." },
    { .name = "name",
      .short_name = 'n',
      .type = CONF_STRLIST,
      .offset = CLI_FIELD(names),
      .arg = "HOST[,HOST...]",
      .help = "Names and numeric addresses to add. May be given several times.",
      .required = true },
};
static const struct conf_opt ca_operator_opts[] = {
    { .name = "dir",
      .type = CONF_STR,
      .offset = CLI_FIELD(dir),
      .dflt = "/var/lib/twampmesh-controller/ca",
      .arg = "DIR",
      .help = "Where twampctl ca init has put the authority." },
    { .name = "role",
      .type = CONF_STR,
      .offset = CLI_FIELD(access_role),
      .arg = "ROLE",
      .help = "viewer, operator or admin.",
      .required = true },
    { .name = "out",
      .type = CONF_STR,
      .offset = CLI_FIELD(out),
      .arg = "FILE",
      .help = "The file to make, of mode 0600: the certificate, and its key behind it.",
      .required = true },
    { .name = "ttl",
      .type = CONF_DURATION,
      .offset = CLI_FIELD(access_ttl_ns),
      .dflt = "90d",
      .min = TW_NS_PER_S,
      .max = 3650 * INT64_C(86400) * TW_NS_PER_S,
      .arg = "TIME",
      .help = "How long it is valid." },
};
static const struct conf_opt ca_init_opts[] = {
    { .name = "dir",
      .type = CONF_STR,
      .offset = CLI_FIELD(dir),
      .dflt = "/var/lib/twampmesh-controller/ca",
      .arg = "DIR",
      .help = "Where the files go; it must not be there yet, or be empty. The controller looks for them in \"ca\" in its --data-dir." },
    { .name = "name",
      .short_name = 'n',
      .type = CONF_STRLIST,
      .offset = CLI_FIELD(names),
      .arg = "HOST[,HOST...]",
      .help = "By which names and numeric addresses agents and operators reach the controller. May be given several times.",
      .required = true },
    { .name = "certificate-life",
      .type = CONF_DURATION,
      .offset = CLI_FIELD(life_ns),
      .dflt = "90d",
      .min = TW_NS_PER_S,
      .max = 3650 * 86400 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "How long the controller's own certificate is valid. It renews it at two thirds of that." },
};

static const struct conf_opt token_create_opts[] = {
    { .name = "ttl",
      .type = CONF_DURATION,
      .offset = CLI_FIELD(ttl_ns),
      .dflt = "1h",
      .min = TW_NS_PER_S,
      .max = 366 * 86400 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "How long agents may join by it." },
    { .name = "name",
      .short_name = 'n',
      .type = CONF_STR,
      .offset = CLI_FIELD(name_glob),
      .arg = "GLOB",
      .help = "Only agents with such names: ams-1, or ams-*. Without it any." },
    { .name = "label",
      .short_name = 'l',
      .type = CONF_STRLIST,
      .offset = CLI_FIELD(labels),
      .arg = "KEY=VALUE",
      .help = "A label that the agents get. May be given several times." },
    { .name = "uses",
      .type = CONF_INT,
      .offset = CLI_FIELD(uses),
      .dflt = "1",
      .min = 1,
      .max = 100000,
      .arg = "N",
      .help = "How many agents may join by it." },
    { .name = "approve",
      .type = CONF_FLAG,
      .offset = CLI_FIELD(approve),
      .help = "Let them in at once. Without it they wait for twampctl agent approve." },
    OPT_AUTHOR,
};
static const struct conf_opt token_list_opts[] = {
    { .name = "all", .type = CONF_FLAG, .offset = CLI_FIELD(all), .help = "Also those that are used up, expired or revoked." },
};
static const struct conf_opt token_revoke_opts[] = { OPT_AUTHOR };

static const struct conf_opt doctor_opts[] = {
    { .name = "mesh",
      .short_name = 'm',
      .type = CONF_STR,
      .offset = CLI_FIELD(mesh),
      .arg = "MESH",
      .help = "Only this mesh, and its agents." },
    FILTER_OPT_SELECT("Only agents with such labels: site=ams,role!=edge, and pairs from and to them."),
    { .name = "probe-all",
      .type = CONF_FLAG,
      .offset = CLI_FIELD(probe_all),
      .help = "Let agents probe pairs, too, that are well by their results; a small fleet is probed as a whole anyway." },
};

#define SET(key, letter, field, what, text)                                                                         \
    {                                                                                                              \
        .name = (key), .short_name = (letter), .type = CONF_STR, .offset = CLI_FIELD(field), .arg = (what), .help = (text) \
    }
static const struct conf_opt test_opts[] = {
    { .name = "mesh",
      .short_name = 'm',
      .type = CONF_STR,
      .offset = CLI_FIELD(mesh),
      .arg = "MESH",
      .help = "Test every pair of this mesh, instead of SRC and DST." },
    { .name = "class",
      .type = CONF_STR,
      .offset = CLI_FIELD(class_name),
      .arg = "CLASS",
      .help = "A class of a mesh document (MESH/CLASS if several have one of that name); with --mesh only its pairs." },
    FILTER_OPT_SELECT("With --mesh: only pairs from agents with such labels: site=ams,role!=edge."),
    FILTER_OPT_TARGET_SELECT,
    { .name = "count",
      .short_name = 'n',
      .type = CONF_INT,
      .offset = CLI_FIELD(count),
      .dflt = "0",
      .min = 0,
      .max = 10000000,
      .arg = "N",
      .help = "Send so many probes (of each flow); 0 is by --duration." },
    { .name = "duration",
      .short_name = 'd',
      .type = CONF_DURATION,
      .offset = CLI_FIELD(duration_ns),
      .dflt = "0s",
      .min = 0,
      .max = 24 * 3600 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "Send so long; without --count and --duration 10s." },
    { .name = "packets",
      .short_name = 'p',
      .type = CONF_FLAG,
      .offset = CLI_FIELD(packets),
      .help = "Show each packet." },
    { .name = "parallel",
      .type = CONF_INT,
      .offset = CLI_FIELD(parallel),
      .dflt = "2",
      .min = 1,
      .max = 32,
      .arg = "N",
      .help = "With --mesh: so many pairs of one source at once; never more than 64 in all." },
    SET("protocol", 0, set_protocol, "PROTOCOL", "light, stamp or twamp, instead of the class'."),
    SET("spacing", 'i', set_spacing, "TIME", "Between two probes, 1ms to 1h."),
    SET("spacing-kind", 0, set_spacing_kind, "KIND", "fixed or exponential."),
    SET("size", 's', set_size, "OCTETS", "Of the UDP payload, or imix."),
    SET("dscp", 0, set_dscp, "DSCP", "EF, AF41, CS1, 0..63, ..."),
    SET("ttl", 0, set_ttl, "HOPS", "1 to 255."),
    SET("probe-timeout", 0, set_timeout, "TIME", "When a probe without answer is lost."),
    SET("flows", 'f', set_flows, "N", "Source ports at once, 1 to 32, to see several paths."),
    SET("auth", 0, set_auth, "MODE", "none, authenticated, encrypted, mixed."),
    SET("key-id", 0, set_key_id, "NAME", "Entry of the agents' file of secrets."),
    SET("tlvs", 0, set_tlvs, "LIST", "STAMP TLVs, such as cos,timestamp-info."),
    SET("bind", 0, set_bind, "WHERE", "Source address, or interface."),
    OPT_AUTHOR,
};

static const struct conf_opt test_list_opts[] = { OPT_LIMIT("At most so many tests; 0 is 20.") };

static const struct conf_opt alert_list_opts[] = {
    { .name = "state",
      .type = CONF_STR,
      .offset = CLI_FIELD(state),
      .arg = "STATE",
      .help = "pending, firing, resolved, or all. Without it those that go on." },
    { .name = "severity",
      .type = CONF_STR,
      .offset = CLI_FIELD(severity),
      .arg = "SEVERITY",
      .help = "At least info, warning or critical." },
    FILTER_OPT_SELECT("Only alerts with such labels: metric=loss,source.site=ams."),
    { .name = "roots",
      .type = CONF_FLAG,
      .offset = CLI_FIELD(roots),
      .help = "Without those that an alert of a site or an agent explains." },
    OPT_LIMIT("At most so many; 0 is 1000."),
};
static const struct conf_opt alert_apply_opts[] = {
    { .name = "file",
      .short_name = 'f',
      .type = CONF_STR,
      .offset = CLI_FIELD(file),
      .arg = "FILE",
      .help = "The document, YAML or JSON; \"-\" is standard input.",
      .required = true },
    { .name = "plan",
      .short_name = 'p',
      .type = CONF_FLAG,
      .offset = CLI_FIELD(plan),
      .help = "Only check it." },
    OPT_AUTHOR,
    OPT_REASON,
};
static const struct conf_opt alert_ack_opts[] = { OPT_AUTHOR, OPT_WHY };
static const struct conf_opt access_create_opts[] = {
    { .name = "role",
      .type = CONF_STR,
      .offset = CLI_FIELD(access_role),
      .arg = "ROLE",
      .help = "viewer, operator or admin.",
      .required = true },
    { .name = "name",
      .type = CONF_STR,
      .offset = CLI_FIELD(access_name),
      .arg = "NAME",
      .help = "Who gets it: letters, digits and . _ @ -. The audit log has it.",
      .required = true },
    { .name = "ttl",
      .type = CONF_DURATION,
      .offset = CLI_FIELD(access_ttl_ns),
      .min = TW_NS_PER_S,
      .max = 36500 * INT64_C(86400) * TW_NS_PER_S,
      .arg = "TIME",
      .help = "How long it works, such as 90d. Without it until it is revoked." },
};
static const struct conf_opt debug_opts[] = {
    { .name = "agent",
      .type = CONF_STR,
      .offset = CLI_FIELD(agent),
      .arg = "NAME",
      .help = "The threads of that agent, which must be connected. Without it the controller's." },
};
static const struct conf_opt audit_opts[] = {
    { .name = "since",
      .type = CONF_STR,
      .offset = CLI_FIELD(from),
      .arg = "TIME",
      .help = "From then on: 2026-11-23T12:00:00Z, Unix seconds, or back from now such as -24h. Without it all that is kept." },
    { .name = "to", .type = CONF_STR, .offset = CLI_FIELD(to), .arg = "TIME", .help = "Until then, not included." },
    { .name = "who", .type = CONF_STR, .offset = CLI_FIELD(who), .arg = "NAME", .help = "Only what this one did, or tried." },
    { .name = "what",
      .type = CONF_STR,
      .offset = CLI_FIELD(what),
      .arg = "TEXT",
      .help = "Only with this in the method or the subject: schedule, AgentDrain, ams." },
    { .name = "refused", .type = CONF_FLAG, .offset = CLI_FIELD(refused), .help = "Only what was refused or failed." },
    { .name = "before",
      .type = CONF_INT,
      .offset = CLI_FIELD(before),
      .dflt = "0",
      .min = 0,
      .max = INT64_MAX,
      .arg = "ID",
      .help = "Only entries older than this one; 0 starts with the newest." },
    OPT_LIMIT("At most so many; 0 is 100."),
};
static const struct conf_opt alert_history_opts[] = { OPT_LIMIT("At most so many; 0 is 100.") };
static const struct conf_opt alert_explain_opts[] = {
    { .name = "mesh",
      .short_name = 'm',
      .type = CONF_STR,
      .offset = CLI_FIELD(mesh),
      .arg = "MESH",
      .help = "Only the pair of this mesh." },
    { .name = "class",
      .type = CONF_STR,
      .offset = CLI_FIELD(class_name),
      .arg = "CLASS",
      .help = "Only the pair of this class." },
};
static const struct conf_opt alert_silence_opts[] = {
    { .name = "for",
      .type = CONF_DURATION,
      .offset = CLI_FIELD(silence_ns),
      .dflt = "1h",
      .min = TW_NS_PER_S,
      .max = 366 * 86400 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "How long, from its begin." },
    { .name = "from",
      .type = CONF_STR,
      .offset = CLI_FIELD(from),
      .arg = "TIME",
      .help = "Begin: 2026-11-23T12:00:00Z, Unix seconds, or ahead from now such as +1h. Without it now." },
    { .name = "to",
      .type = CONF_STR,
      .offset = CLI_FIELD(to),
      .arg = "TIME",
      .help = "End, such as +3h, instead of --for." },
    OPT_WHY,
    OPT_AUTHOR,
};
static const struct conf_opt alert_author_opts[] = { OPT_AUTHOR };
static const struct conf_opt alert_silences_opts[] = {
    { .name = "all", .type = CONF_FLAG, .offset = CLI_FIELD(all), .help = "Also those that are over." },
};

#define OPTS(table) .opts = (table), .n_opts = TW_NELEM(table)

const struct cli_command cli_commands[] = {
    { .group = "agent",
      .name = "list",
      .brief = "all agents and how they are",
      .doc = "Lists every agent that ever came: pending ones wait for approval, down ones are approved but "
             "not connected, revoked ones are kept out.",
      .examples = "  twampctl agent list\n"
                  "  twampctl agent list -l 'site in (ams,fra),role!=edge'\n"
                  "  twampctl -o csv agent list | awk -F, '$2 == \"down\" { print $1 }'\n",
      .reads = true,
      OPTS(agent_list_opts),
      .run = cmd_agent_list },
    { .group = "agent",
      .name = "show",
      .args = "NAME",
      .n_args = 1,
      .brief = "one agent with everything known of it",
      .doc = "Shows one agent: its key's fingerprint, addresses, clock, spool, counters, and the sessions "
             "that it refused.",
      .examples = "  twampctl agent show ams\n",
      .reads = true,
      .run = cmd_agent_show },
    { .group = "agent",
      .name = "approve",
      .args = "NAME...",
      .n_args = 1,
      .max_args = 64,
      .brief = "let pending agents in",
      .doc = "From now on the name belongs to the key that the agent has shown. Compare the fingerprint with "
             "the one in the "
             "agent's log, or give it here.",
      .examples = "  twampctl agent approve ams fra lon par\n"
                  "  twampctl agent approve ams --fingerprint 5d41402abc4b2a76b9719d911017c592...\n",
      OPTS(approve_opts),
      .run = cmd_agent_approve },
    { .group = "agent",
      .name = "remove",
      .args = "NAME",
      .n_args = 1,
      .brief = "forget an agent and cut it off; its results stay",
      .doc = "Cuts the agent off and forgets its key. Its stored results stay. If it still runs it comes "
             "back as pending.",
      .examples = "  twampctl agent remove ams --yes\n",
      OPTS(remove_opts),
      .run = cmd_agent_remove },
    { .group = "agent",
      .name = "label",
      .args = "[NAME] LABEL...",
      .n_args = 1,
      .max_args = 64,
      .brief = "say what an agent is: site=ams, role-",
      .doc = "KEY=VALUE sets a label, whatever the agent says itself; KEY- takes it away; KEY= lets what the agent says "
             "count again. Meshes with groups that select by labels follow at once.",
      .examples = "  twampctl agent label ams-1 site=ams tier=1\n"
                  "  twampctl agent label ams-1 role-\n"
                  "  twampctl agent label -l site=ams region=eu\n",
      OPTS(label_opts),
      .run = cmd_agent_label },
    { .group = "agent",
      .name = "drain",
      .args = "[NAME]",
      .max_args = 1,
      .brief = "end all sessions from and to an agent for now",
      .doc = "No scheduled session begins or ends at it any more, within seconds; it stays connected, and its results so "
             "far stay. Its pairs are in the state drained. Groups that select agents leave it out.",
      .examples = "  twampctl agent drain ams-1 --reason 'new disks'\n"
                  "  twampctl agent drain -l site=ams,role=edge\n",
      OPTS(drain_opts),
      .run = cmd_agent_drain },
    { .group = "agent",
      .name = "undrain",
      .args = "[NAME]",
      .max_args = 1,
      .brief = "measure from and to a drained agent again",
      .doc = "What the meshes want of it is scheduled again.",
      .examples = "  twampctl agent undrain ams-1\n",
      OPTS(label_opts),
      .run = cmd_agent_undrain },
    { .group = "agent",
      .name = "maintenance",
      .args = "[NAME]",
      .max_args = 1,
      .brief = "mark what an agent measures while it is worked on",
      .doc = "From --from to --to what comes from it and of it is marked as of a time of maintenance; it is measured on. "
             "Several times may be said in advance. --end ends them.",
      .examples = "  twampctl agent maintenance ams-1 --to +2h --reason 'new kernel'\n"
                  "  twampctl agent maintenance -l site=ams --from 2026-11-30T01:00:00Z --to 2026-11-30T03:00:00Z\n"
                  "  twampctl agent maintenance ams-1 --end\n",
      OPTS(maintenance_opts),
      .run = cmd_agent_maintenance },
    { .group = "agent",
      .name = "revoke",
      .args = "[NAME]",
      .max_args = 1,
      .brief = "cut an agent off and refuse its key from now on",
      .doc = "Tells the agent to end its sessions and cuts it off at once. Its key is refused from now on, under any name, and nothing "
             "that it measured is taken any more. It stays in the list with who did it, when and why; \"agent remove\" "
             "forgets it.",
      .examples = "  twampctl agent revoke ams-1 --reason stolen --yes\n"
                  "  twampctl agent revoke -l site=ams --reason 'rack sold'\n",
      OPTS(revoke_opts),
      .run = cmd_agent_revoke },
    { .group = "agent",
      .name = "rename",
      .args = "OLD NEW",
      .n_args = 2,
      .brief = "give an agent another name; its history comes along",
      .doc = "All its results, as source and as target, are found under the new name from now on. It may go on to say the "
             "old name: its key says who it is. Refused while a mesh document names it: take it out of there first, and "
             "put the new name in afterwards. Groups that select by labels follow by themselves.",
      .examples = "  twampctl agent rename ams-1 ams-core-1\n",
      OPTS(change_opts),
      .run = cmd_agent_rename },
    { .group = "schedule",
      .name = "apply",
      .args = "-f FILE",
      .brief = "put mesh documents in force, or show what they would cost",
      .doc = "Sends mesh documents. All of them are taken, as one generation, or none, with the line that is wrong; "
             "without a change there is no new generation. What costs more than the budgets allow is refused with every "
             "reason. Then waits until every connected agent runs it; agents that are down are named, and get it when "
             "they are back. Exit code 5: refused. 6: some connected agents do not run it yet.",
      .examples =
          "  twampctl schedule apply -f mesh.yaml --plan\n"
          "  twampctl schedule apply -f meshes.yaml -f more.yaml --prune --reason \"ticket 4711\"\n"
          "  twampctl schedule show voice --document | sed s/20ms/50ms/ | twampctl schedule apply -f -\n",
      OPTS(apply_opts),
      .run = cmd_schedule_apply },
    { .group = "schedule",
      .name = "plan",
      .args = "-f FILE",
      .brief = "what an apply would change, and what it would cost",
      .doc = "As schedule apply --plan: pairs that come, change and go, packets and bits a second of each agent, "
             "Prometheus series, growth of the database. Exit code 5: an apply would be refused; all reasons are told, "
             "with the biggest contributors and with what would fit.",
      .examples = "  twampctl schedule plan -f mesh.yaml\n"
                  "  twampctl schedule plan -f mesh.yaml --pairs\n"
                  "  twampctl schedule plan -f mesh.yaml -o json\n",
      OPTS(plan_opts),
      .run = cmd_schedule_plan },
    { .group = "schedule",
      .name = "export",
      .args = "[NAME]",
      .max_args = 1,
      .brief = "what runs, as documents that can be applied again",
      .doc = "Prints the document of a mesh, or those of all meshes, parted by \"---\", as their authors wrote them but "
             "for marks before and behind them. With -o json each as JSON. Applying them again changes nothing.",
      .examples = "  twampctl schedule export >all.yaml\n"
                  "  twampctl schedule export | twampctl -c ipc:///run/other/ctl.sock schedule apply -f - --prune\n",
      .reads = true,
      .run = cmd_schedule_export },
    { .group = "schedule",
      .name = "history",
      .args = "[N]",
      .max_args = 1,
      .brief = "who changed the schedule, when and why",
      .doc = "Lists the generations, newest first: author, what was done, how many pairs came, changed and went. Those "
             "that only followed the agents share a row. With a number that generation, and the lines of documents that "
             "it changed.",
      .examples = "  twampctl schedule history\n"
                  "  twampctl schedule history 17\n",
      OPTS(history_opts),
      .reads = true,
      .run = cmd_schedule_history },
    { .group = "schedule",
      .name = "rollback",
      .args = "N",
      .n_args = 1,
      .brief = "put all meshes back as they were in a generation",
      .doc = "Applies the documents of all meshes as they were in generation N, paused ones paused, and deletes the "
             "others: a new generation, through the same plan and budgets. Names of agents that have gone since rest.",
      .examples = "  twampctl schedule rollback 16 --plan\n"
                  "  twampctl schedule rollback 16 --reason \"too much for the edge\"\n",
      OPTS(rollback_opts),
      .run = cmd_schedule_rollback },
    { .group = "schedule",
      .name = "rollout",
      .brief = "which agent runs which generation, and what differs",
      .doc = "Shows for each agent the generation that it runs, since when, and what differs from what is wanted: "
             "sessions that are missing or too many, refusals with their reasons, for how long it is behind or away. Exit "
             "code 6: connected agents are behind.",
      .examples = "  twampctl schedule rollout\n"
                  "  twampctl schedule rollout -l site=ams --watch\n",
      OPTS(agent_list_opts),
      .reads = true,
      .run = cmd_schedule_rollout },
    { .group = "schedule",
      .name = "list",
      .brief = "all meshes, and how many agents run the schedule",
      .doc = "Lists the meshes, and says how many agents run the present generation of the schedule.",
      .examples = "  twampctl schedule list\n",
      .reads = true,
      .run = cmd_schedule_list },
    { .group = "schedule",
      .name = "show",
      .args = "NAME",
      .n_args = 1,
      .brief = "one mesh and its document",
      .doc = "Shows a mesh and its document as it was applied.",
      .examples = "  twampctl schedule show voice\n"
                  "  twampctl schedule show voice --document >voice.yaml\n",
      OPTS(show_opts),
      .reads = true,
      .run = cmd_schedule_show },
    { .group = "schedule",
      .name = "pause",
      .args = "NAME",
      .n_args = 1,
      .brief = "stop measuring a mesh for now",
      .doc = "Its sessions end within seconds; the document stays.",
      .examples = "  twampctl schedule pause voice\n",
      OPTS(change_opts),
      .run = cmd_schedule_pause },
    { .group = "schedule",
      .name = "resume",
      .args = "NAME",
      .n_args = 1,
      .brief = "measure a paused mesh again",
      .doc = "Starts the sessions of a paused mesh again.",
      .examples = "  twampctl schedule resume voice\n",
      OPTS(change_opts),
      .run = cmd_schedule_resume },
    { .group = "schedule",
      .name = "delete",
      .args = "NAME",
      .n_args = 1,
      .brief = "end a mesh; its results stay",
      .doc = "Ends the mesh's sessions and forgets its document. Its stored results stay. On a terminal it asks first; "
             "\"schedule rollback\" brings the mesh back.",
      .examples = "  twampctl schedule delete voice --yes\n",
      OPTS(delete_opts),
      .run = cmd_schedule_delete },
    { .group = "test",
      .name = "list",
      .brief = "the tests on demand that were made",
      .doc = "Lists tests, the newest first. STATE: running; complete; stopped, by Ctrl-C; abandoned, since twampctl went "
             "away; failed; interrupted, since the controller ended first.",
      .examples = "  twampctl test list\n",
      OPTS(test_list_opts),
      .reads = true,
      .run = cmd_test_list },
    { .group = "test",
      .name = "show",
      .args = "ID",
      .n_args = 1,
      .brief = "what a test on demand measured",
      .doc = "Shows what is stored of a test: also of one whose twampctl or controller ended before it did.",
      .examples = "  twampctl test show 1795749438\n",
      .reads = true,
      .run = cmd_test_show },
    { .group = "test",
      .name = "stop",
      .args = "ID",
      .n_args = 1,
      .brief = "stop a test on demand that runs",
      .doc = "Ends the probes of a test, whoever started it, and whichever controller runs it. What was measured stays: test show has it.",
      .examples = "  twampctl test stop 1795749438\n",
      .run = cmd_test_stop },
    { .name = "test",
      .args = "[SRC DST]",
      .max_args = 2,
      .brief = "measure now, from an agent to anywhere",
      .doc = "Sends probes from the agent SRC to DST: an agent, a target of a mesh document, an address such as "
             "192.0.2.1:862, or a host name such as router.example.net, which SRC looks up; or between all pairs of a mesh. Shows how it goes on meanwhile. Ctrl-C stops the probes and "
             "shows what was measured, a second one leaves at once. When twampctl dies the probes end within 5 s, when the "
             "controller does within 10 s; results are stored in any case. A draining agent can be tested, too. Exit code "
             "5: refused. 1: a pair could not be measured.",
      .examples = "  twampctl test ams fra\n"
                  "  twampctl test ams fra --class voice --duration 1m\n"
                  "  twampctl test ams 192.0.2.1:862 --protocol stamp --spacing 10ms --count 500 --packets\n"
                  "  twampctl test ams router.example.net --duration 1m\n"
                  "  twampctl test --mesh backbone --class voice --count 50\n",
      OPTS(test_opts),
      .run = cmd_test },
    { .group = "alert",
      .name = "list",
      .brief = "what is wrong now, worst first",
      .doc = "Lists alerts. STATE: pending, bad but not for long enough; firing; resolved. VALUE is the last, LEVEL the one "
             "at which it was raised. QUIET says why nobody is told: waiting, it has just begun; explained, another alert stands "
             "for it; silenced; maintenance; acknowledged.",
      .examples = "  twampctl alert list\n"
                  "  twampctl alert list --roots --watch\n"
                  "  twampctl alert list --state all -l metric=loss,mesh=voice -o json\n",
      OPTS(alert_list_opts),
      .reads = true,
      .run = cmd_alert_list },
    { .group = "alert",
      .name = "show",
      .args = "ID",
      .n_args = 1,
      .brief = "one alert: what it explains, its labels, who is told",
      .doc = "Shows all that is known of an alert, its labels, by which silences and routes can match it, the receivers that the "
             "routes give it, and, of an alert of a site or an agent, the alerts of pairs that are its evidence.",
      .examples = "  twampctl alert show 1795749438\n",
      .reads = true,
      .run = cmd_alert_show },
    { .group = "alert",
      .name = "ack",
      .args = "ID...",
      .n_args = 1,
      .max_args = 100,
      .brief = "say that somebody works on it",
      .doc = "Nobody is reminded of an acknowledged alert any more, nor told of it if nobody was yet. Its end is told. When it gets worse "
             "the acknowledgement is void.",
      .examples = "  twampctl alert ack 1795749438 -r \"ticket 42\"\n",
      OPTS(alert_ack_opts),
      .run = cmd_alert_ack },
    { .group = "alert",
      .name = "silence",
      .args = "MATCH",
      .n_args = 1,
      .brief = "tell nobody of alerts with such labels for a while",
      .doc = "MATCH is a selector over the labels of alerts, which alert show shows: kind, metric, direction, severity, rule, mesh, class, "
             "source, target, agent, site, and the labels of agents as source.KEY and target.KEY; * is all. Alerts fire on and are "
             "listed; what fires still when the silence ends is told then.",
      .examples = "  twampctl alert silence mesh=voice,source.site=ams --for 2h -r \"carrier works\"\n"
                  "  twampctl alert silence 'site in (ams,fra)' --from +1h --to +3h\n",
      OPTS(alert_silence_opts),
      .run = cmd_alert_silence },
    { .group = "alert",
      .name = "unsilence",
      .args = "ID",
      .n_args = 1,
      .brief = "end a silence",
      .doc = "Ends a silence now.",
      .examples = "  twampctl alert unsilence 7\n",
      OPTS(alert_author_opts),
      .run = cmd_alert_unsilence },
    { .group = "alert",
      .name = "silences",
      .brief = "who is not told of what, until when",
      .doc = "Lists silences, the newest first. ALERTS: so many fire now that it matches.",
      .examples = "  twampctl alert silences\n",
      OPTS(alert_silences_opts),
      .reads = true,
      .run = cmd_alert_silences },
    { .group = "alert",
      .name = "rules",
      .brief = "the rules in force",
      .doc = "Lists the rules in the order of the document, with how many alerts each has.",
      .examples = "  twampctl alert rules -o wide\n",
      .reads = true,
      .run = cmd_alert_rules },
    { .group = "alert",
      .name = "explain",
      .args = "SRC [DST]",
      .n_args = 1,
      .max_args = 2,
      .brief = "which rules apply to a pair or an agent, and why not the others",
      .doc = "Of the rules on one number the most specific one applies: pair before group before class before default. USUALLY is the pair's own "
             "baseline, of rules that look at it; while it is learning they judge nothing.",
      .examples = "  twampctl alert explain ams fra --class voice\n"
                  "  twampctl alert explain ams\n",
      OPTS(alert_explain_opts),
      .reads = true,
      .run = cmd_alert_explain },
    { .group = "alert",
      .name = "apply",
      .brief = "put a document of rules, receivers and routes in force",
      .doc = "The document takes the place of the one before, as a whole; docs/alerts.md is its reference. A bad one is refused with line and "
             "field, and the old one stays. Alerts go on under the new rules; those that no rule looks at any more end. Exit code 5: refused.",
      .examples = "  twampctl alert apply -f alerts.yaml --plan\n"
                  "  twampctl alert apply -f alerts.yaml -r \"voice is stricter\"\n",
      OPTS(alert_apply_opts),
      .run = cmd_alert_apply },
    { .group = "alert",
      .name = "export",
      .args = "[VERSION]",
      .max_args = 1,
      .brief = "the alert document, as it was applied",
      .doc = "Prints the document in force, or a version of it.",
      .examples = "  twampctl alert export > alerts.yaml\n",
      .reads = true,
      .run = cmd_alert_export },
    { .group = "alert",
      .name = "history",
      .brief = "who applied which alert document when, and why",
      .doc = "Lists the versions of the alert document, the newest first.",
      .examples = "  twampctl alert history\n",
      OPTS(alert_history_opts),
      .reads = true,
      .run = cmd_alert_history },
    { .group = "alert",
      .name = "receivers",
      .brief = "who is told, and how that goes",
      .doc = "Lists the receivers of the alert document. STATE: idle, sending, or retrying after a failure. DROPPED counts what its full queue, or "
             "its end, has cost; REFUSED what it said it will never take.",
      .examples = "  twampctl alert receivers --watch\n",
      .reads = true,
      .run = cmd_alert_receivers },
    { .name = "results",
      .brief = "the stored summaries, one row each",
      .doc = "One row per summary: what one session sent in one report period. In order of pair and time. "
             "With -o csv and -o ndjson any span comes whole, page by page, in little memory.",
      .examples =
          "  twampctl results --source ams --target fra --from -10m\n"
          "  twampctl results --mesh voice --from 2026-11-23T12:00:00Z --to 2026-11-23T13:00:00Z -o csv\n"
                  "  twampctl results --mesh voice --from -30d -o ndjson | gzip > month.ndjson.gz\n",
      OPTS(results_opts),
      .lines = true,
      .reads = true,
      .run = cmd_results },
    { .group = "report",
      .name = "top",
      .brief = "the worst pairs, or groups of pairs, of a span",
      .doc = "The rows of report, the worst first by one number (--sort): the highest of most, the lowest of availability_ratio, "
             "completeness_ratio and MOS. What has no such number comes last.",
      .examples = "  twampctl report top\n"
                  "  twampctl report top -n 5 --sort delay_roundtrip_p99_seconds --from -24h\n"
                  "  twampctl report top --by label:site --sort availability_ratio\n",
      OPTS(report_top_opts),
      .lines = true,
      .reads = true,
      .run = cmd_report_top },
    { .group = "report",
      .name = "compare",
      .brief = "a span beside another one: what has become worse",
      .doc = "One row per pair or group: loss, round trip, availability and MOS of the span, of the one before, and the difference. "
             "JSON and CSV have delta (now - before) and ratio (now / before) of more numbers.",
      .examples = "  twampctl report compare --from -7d --mesh voice\n"
                  "  twampctl report compare --from -1h --back 7d --by label:site\n",
      OPTS(report_compare_opts),
      .reads = true,
      .run = cmd_report_compare },
    { .group = "report",
      .name = "sla",
      .brief = "were objectives kept? with error budget and outages",
      .doc = "One row per pair and objective: what was achieved, and how much of the error budget is left. The budget is what may fail: "
             "windows of 10 s of availability, probes of loss, slower probes of p95 and p99. Then each stretch in which a pair was "
             "unavailable. Maintenance of meshes and agents does not count. The span must be over; the same span gives the same "
             "output, octet for octet, whenever it is asked for.",
      .examples = "  twampctl report sla --availability 99.9% --p99 50ms --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z\n"
                  "  twampctl report sla -f objectives.yaml --mesh voice -o json\n",
      OPTS(report_sla_opts),
      .reads = true,
      .run = cmd_report_sla },
    { .name = "report",
      .brief = "loss, delay and jitter of every pair over a span",
      .doc = "One row per pair, merged over the span. LOSS is of the probes sent; FWD, BWD and UNKN say "
             "where they were lost "
             "(towards the target, on the way back, cannot be told). Delays are round trips without the "
             "target's own time. "
             "COMPLETE is the share of the expected report periods that is stored. A one-way delay with a ? "
             "cannot be "
             "relied on, since the two clocks are not known to agree; jitter and round trips can.",
      .examples = "  twampctl report --mesh voice\n"
                  "  twampctl report --source ams --from -24h\n"
                  "  twampctl report --latest -o json\n"
                  "  twampctl report --flows --source ams --target fra\n"
                  "  twampctl report --by label:site --from -24h\n",
      OPTS(report_opts),
      .lines = true,
      .reads = true,
      .run = cmd_report },
    { .name = "outages",
      .brief = "when nothing came back: each loss run, newest first",
      .doc = "One row per run of consecutive lost probes that overlaps the span: when it began, how long it lasted (to the "
             "sending of the next probe that came back), how many probes were lost, and which way: forward, backward, "
             "mixed, or unknown where the reflector's numbers do not tell. A run that goes on over report periods is "
             "one row. A duration with > is at least that: the outage is ongoing, or its begin is not stored. A summary "
             "lists its 64 longest runs.",
      .examples = "  twampctl outages --source ams --target fra --from -24h\n"
                  "  twampctl outages --min-duration 200ms --direction forward\n"
                  "  twampctl outages --min-probes 3 -o csv\n",
      OPTS(outages_opts),
      .reads = true,
      .run = cmd_outages },
    { .name = "completeness",
      .brief = "of each pair and hour: what should be there, what is, and why the rest is not",
      .doc = "One row per pair and hour in which something was expected or stored. EXPECTED are the summaries that its schedule of that "
             "time asks for. What is missing is counted once, for the first cause that applies: REFUSED, the source did not take "
             "the session; DROPPED, its spool had to give them up; AGENT DOWN, it did not run; AWAITED, nothing is heard of it, or its "
             "spool is still being sent, so they may come yet; UNKNOWN. Without --from the last 24 hours.",
      .examples = "  twampctl completeness --incomplete\n"
                  "  twampctl completeness --source ams --from -7d -o csv\n",
      OPTS(completeness_opts),
      .reads = true,
      .run = cmd_completeness },
    { .name = "clock",
      .brief = "whose clock is wrong?",
      .doc = "Shows each agent's clock as all pairs together show it, worst first. OFFSET is from the median of "
             "the agents that say they are synchronised; +- is its uncertainty, CLAIMED the error that the "
             "agent's kernel admits. VERDICT: ok; offset, it is this clock that is wrong; either, one of them is, "
             "but two agents, or halves that contradict each other, cannot tell which; unknown, too few pairs to "
             "tell. Agents of one COMPONENT are linked by pairs, those of different ones cannot be compared. The audit is made now, "
             "from the least delays of the last minutes.",
      .examples = "  twampctl clock\n"
                  "  twampctl clock -l site=ams -o json\n",
      .reads = true,
      OPTS(agent_list_opts),
      .run = cmd_clock },
    { .name = "status",
      .brief = "is the controller itself well?",
      .doc = "Shows the controller's state, what is wrong if anything is, and its counters.",
      .examples = "  twampctl status\n"
                  "  twampctl -o json status\n",
      .reads = true,
      .run = cmd_status },
    { .group = "debug",
      .name = "threads",
      .brief = "what each thread of the controller or an agent does, and what waits for it",
      .doc = "For who has to find out why the controller or an agent is slow; of the role admin. A thread works in rounds and waits in between: DOES and FOR "
             "say which of the two now, and since when; BUSY is the share of the last one to two minutes that was work, LONGEST the longest "
             "round of them. QUEUED is what waits for it, DROPPED what was not taken because too much did. One that works for long, with "
             "more and more queued, hangs or has too much to do; one that waits for long has nothing to do. - is not known.",
      .examples = "  twampctl debug threads\n"
                  "  twampctl debug threads -o wide --watch\n"
                  "  twampctl debug threads --agent ams\n",
      .reads = true,
      OPTS(debug_opts),
      .run = cmd_debug_threads },
    { .group = "access token",
      .name = "create",
      .brief = "let a person or program in, as viewer, operator or admin",
      .doc = "Makes an access token and prints it: this once, for the controller keeps only its digest. A viewer may read; an operator "
             "may change what is measured, and look for faults; an admin may do everything: approve and revoke agents, alert documents, "
             "the database, tokens. twampctl shows it by --token-file, HTTP clients as Authorization: Bearer. From the first token on "
             "nobody is let in over HTTP without one.",
      .examples = "  twampctl access token create --role viewer --name prometheus >prometheus.token\n"
                  "  twampctl access token create --role operator --name ann --ttl 90d\n",
      OPTS(access_create_opts),
      .run = cmd_access_create },
    { .group = "access token",
      .name = "list",
      .brief = "who has an access token, of which role, and when it was last used",
      .doc = "Lists access tokens, the newest first; those that expired or were revoked, too. USED is noted once a minute.",
      .examples = "  twampctl access token list\n",
      .reads = true,
      .run = cmd_access_list },
    { .group = "access token",
      .name = "revoke",
      .args = "ID",
      .n_args = 1,
      .brief = "end an access token, and what it let in",
      .doc = "The token, by its ID or by the name it works under, is refused from now on, and connections that it opened are cut off.",
      .examples = "  twampctl access token revoke ann\n"
                  "  twampctl access token revoke 3f9c2b6a5d8e1f07\n",
      .run = cmd_access_revoke },
    { .name = "audit",
      .args = "[ID]",
      .max_args = 1,
      .brief = "who changed what, from where, and what was different then",
      .doc = "Lists changes and refused tries, the newest first. WHO is the name of the access token, or on a local socket of the user as "
             "the kernel knows him. With ID one entry with its request, and what was different before and after. RESULT BEGUN: the "
             "controller ended before it knew how the change went.",
      .examples = "  twampctl audit --since -24h\n"
                  "  twampctl audit --who ann --what schedule\n"
                  "  twampctl audit --refused -o json\n"
                  "  twampctl audit 17\n",
      OPTS(audit_opts),
      .reads = true,
      .run = cmd_audit },
    { .group = "db",
      .name = "backup",
      .args = "[NAME]",
      .max_args = 1,
      .brief = "copy the controller's database while it runs",
      .doc = "Copies the database as it is at this moment, on the controller's host, to NAME in the controller's --backup-dir; "
             "without NAME to a file named by the time. The copy is one file that needs nothing beside it. Measuring and "
             "storing go on. It is never written over another file. A history in a database of its own (--history of the controller) is not in it; the "
             "command says so.",
      .examples = "  twampctl db backup\n"
                  "  twampctl db backup before-upgrade.db\n",
      .run = cmd_db_backup },
    { .group = "db",
      .name = "restore",
      .args = "FILE",
      .n_args = 1,
      .brief = "put a copy in the place of the database",
      .doc = "On the controller's host, with the controller stopped, and as its user or root. FILE is checked first, and nothing "
             "is changed unless it is whole. What was there is kept beside it. Agents then deliver again what they still have. A history in a database of "
             "its own stays as it is.",
      .examples = "  twampctl db restore /var/lib/twampmesh-controller/backups/before-upgrade.db\n",
      OPTS(restore_opts),
      .run = cmd_db_restore },
    { .group = "db",
      .name = "check",
      .args = "[FILE]",
      .max_args = 1,
      .brief = "is the database whole?",
      .doc = "Reads all of the running controller's database, or of a copy: whether its pages and indexes are whole, and whether "
             "what must be so is so: that roll-ups add up to their summaries, say. Of a history in a database of its own nothing is read. Exit code 1: "
             "something is wrong.",
      .examples = "  twampctl db check\n"
                  "  twampctl db check backups/before-upgrade.db\n",
      .run = cmd_db_check },
    { .group = "db",
      .name = "migrate",
      .brief = "carry history and control state to databases that take more than a file",
      .doc = "On the controller's host, with the controller stopped, and as its user or root. Copies the whole history from the file in --data-dir to "
             "--history: summaries, cells of every level, loss runs, gaps, and how far each agent's spool is stored. Then every row is read on both sides and "
             "compared, by numbers and a digest of each kind, level and day. Until that is done no controller opens the database. It can be interrupted at any "
             "moment: the same command goes on where it was. The file stays as it is; without --control the controller uses what else is in it as before. With --control agents, meshes, "
             "schedules, alerts, access and the audit log go there, too, and are compared; one of the two may be left out where that is done already.",
      .examples = "  twampctl db migrate --history clickhouse://ch1.example.net/twamp --dry-run\n"
                  "  twampctl db migrate --history clickhouse://ch1.example.net/twamp\n"
                  "  twampctl db migrate --history clickhouse://ch1.example.net/twamp --control etcd://e1.example.net/CLUSTER\n",
      OPTS(migrate_opts),
      .run = cmd_db_migrate },
    { .group = "ca",
      .name = "init",
      .brief = "make the authority that agents and controller trust",
      .doc = "On the controller's host, as its user or root: makes the fleet's certificate authority, valid for ten years, and the "
             "controller's certificate, which it renews by itself. Files are for their owner alone; made by root they belong to "
             "whom the directory around belongs. Nothing is ever written over: agents trust this authority and no other.",
      .examples = "  twampctl ca init --name controller.example.net\n"
                  "  twampctl ca init --dir ./data/ca --name ctl.example.net,192.0.2.1\n",
      OPTS(ca_init_opts),
      .run = cmd_ca_init },
    { .group = "ca",
      .name = "server",
      .brief = "let the controller be reached by more names",
      .doc = "On the controller's host, as its user or root: gives the controller a new certificate, of the same authority and as long as the one "
             "before, for more names and addresses besides those that it has. The controller takes it when it is told to read its files anew "
             "(SIGHUP), or starts; agents and operators go on as they are.",
      .examples = "  twampctl ca server --name 192.0.2.7\n",
      OPTS(ca_server_opts),
      .run = cmd_ca_server },
    { .group = "ca",
      .name = "operator",
      .args = "NAME",
      .n_args = 1,
      .brief = "let a person or program in by a certificate",
      .doc = "On the controller's host, as its user or root: makes a key and a certificate for it, and tells the controller whose it is and what "
             "they may. It counts as an access token does: twampctl access token list shows it, revoke ends it and what it let in, and the "
             "audit log has its name. twampctl shows it by --client-cert or a context, other programs to HTTPS. Prints its ID.",
      .examples = "  twampctl ca operator ann --role operator --out ann.pem\n",
      OPTS(ca_operator_opts),
      .run = cmd_ca_operator },
    { .group = "token",
      .name = "create",
      .brief = "make a token by which agents join",
      .doc = "Prints the token, and nothing else, on standard output. An agent started with --join-token-file knows by it its controller, "
             "and the controller the agent. It is told this once: only a hash of it is kept. It works until it is used up, expires or "
             "is revoked; certificates that agents have got by it go on.",
      .examples = "  twampctl token create --name ams-1 --approve >ams-1.token\n"
                  "  twampctl token create --uses 50 --ttl 8h --name 'ams-*' --label site=ams\n",
      OPTS(token_create_opts),
      .run = cmd_token_create },
    { .group = "token",
      .name = "list",
      .brief = "tokens by which agents may join",
      .doc = "Lists the tokens, newest first, without their secrets, which nobody has.",
      .examples = "  twampctl token list --all\n",
      .reads = true,
      OPTS(token_list_opts),
      .run = cmd_token_list },
    { .group = "token",
      .name = "revoke",
      .args = "TOKEN",
      .n_args = 1,
      .brief = "let nobody join by a token any more",
      .doc = "TOKEN is its name in the list. Agents that have joined by it stay: twampctl agent revoke cuts off one.",
      .examples = "  twampctl token revoke 5d41402abc4b2a76\n",
      OPTS(token_revoke_opts),
      .run = cmd_token_revoke },
    { .name = "doctor",
      .args = "[AGENT|SRC:DST]",
      .max_args = 1,
      .brief = "what is wrong, and what to do about it",
      .doc = "Looks for what is wrong: with the controller, agents, clocks, schedules, and the ways between agents. Ways "
             "that look bad are probed for a few seconds by the agents themselves: blocked ports in either direction, "
             "refusals, MTU, names, TWAMP-Control. Each finding says what was seen, the likely cause, and what to do next. "
             "DST is an agent, a target of a mesh, or an address or a name with port. Exit code 1: there are problems. "
             "What an agent cannot reach it tells itself: twamp-agent --check on its host.",
      .examples = "  twampctl doctor\n"
                  "  twampctl doctor ams:fra\n"
                  "  twampctl doctor ams:router.example.net:862\n"
                  "  twampctl doctor -l site=ams -o json\n",
      OPTS(doctor_opts),
      .run = cmd_doctor },
    { .name = "watch",
      .brief = "a live table of all pairs",
      .doc = "Shows the last report period of every pair, again and again. On a terminal the table is "
             "redrawn in place; when "
             "there is no room for all, pairs in trouble come first. Ctrl-C ends it.",
      .examples = "  twampctl watch\n"
                  "  twampctl watch --mesh voice --interval 5s\n"
                  "  twampctl watch --count 10 -o csv >ten.csv\n",
      OPTS(watch_opts),
      .run = cmd_watch },
    { .group = "flight",
      .name = "list",
      .brief = "frozen parts of the flight recorders",
      .doc = "Lists the frozen parts on all connected agents: those that were asked for, by command or alert, and "
             "those that agents froze by themselves when probes were lost in a row.",
      .examples = "  twampctl flight list\n"
                  "  twampctl flight list --source ams -o csv\n",
      OPTS(frozen_opts),
      .reads = true,
      .run = cmd_flight_list },
    { .group = "flight",
      .name = "freeze",
      .args = "PAIR",
      .n_args = 1,
      .brief = "keep a copy of what was recorded around a moment",
      .doc = "Lets agents copy a part of their flight recorder, of all flows of every scheduled pair that matches: "
             "it is kept until newer ones need its place, over a restart of the agent, too. In PAIR a * stands for "
             "any: voice/*/ams:* is all that ams measures in the mesh voice.",
      .examples = "  twampctl flight freeze ams:fra --at -2m --reason \"ticket 4711\"\n"
                  "  twampctl flight freeze '*:fra'\n",
      OPTS(freeze_opts),
      .run = cmd_flight_freeze },
    { .name = "flight",
      .args = "PAIR",
      .n_args = 1,
      .brief = "what became of each probe around a moment",
      .doc = "Shows single probes of a pair: when each was sent, whether it came back or on which way it was lost, "
             "its delays, TTL and TOS; from the agent's flight recorder and its frozen parts. PAIR is SOURCE:TARGET, "
             "or MESH/CLASS/SOURCE:TARGET if several pairs have these ends, or a pair's id. One-way delays are "
             "as good as the clocks of both ends agree.",
      .examples = "  twampctl flight ams:fra --at -2m\n"
                  "  twampctl flight backbone/voice/ams:fra --at 2026-11-23T03:12:07Z --span 4s\n"
                  "  twampctl -o csv flight ams:fra --flow 1 | awk -F, '$8 == \"lost\"'\n",
      OPTS(flight_opts),
      .reads = true,
      .run = cmd_flight },
    { .group = "context",
      .name = "list",
      .brief = "the controllers that you know by name",
      .doc = "Lists the contexts of the configuration file: each names a controller, and may say how answers are printed "
             "and how long they are waited for. The one with * is asked.",
      .examples = "  twampctl context list\n",
      .run = cmd_context_list },
    { .group = "context",
      .name = "show",
      .brief = "which settings are in force, and who says so",
      .doc = "Shows what is in force here and where it comes from. An option wins over its variable, that over the context, "
             "and that over the default.",
      .examples = "  twampctl context show\n"
                  "  twampctl --context lab context show\n",
      .run = cmd_context_show },
    { .group = "context",
      .name = "use",
      .args = "NAME",
      .n_args = 1,
      .brief = "ask this controller from now on",
      .doc = "Makes a context the current one: commands without --context ask its controller.",
      .examples = "  twampctl context use lab\n",
      .run = cmd_context_use },
    { .group = "context",
      .name = "add",
      .args = "NAME",
      .n_args = 1,
      .brief = "give a controller a name",
      .doc = "Adds a context with the options of every command that stand here: --controller, which must, and --output, "
             "--timeout and --no-color, which may. Makes the file if there is none, readable for you alone. Comments in it stay.",
      .examples = "  twampctl context add lab --controller tcp://192.0.2.1:8621\n"
                  "  twampctl context add night -c ipc:///run/twampmesh/ctl.sock -o wide --timeout 60s\n",
      .run = cmd_context_add },
    { .group = "context",
      .name = "remove",
      .args = "NAME",
      .n_args = 1,
      .brief = "forget a context; the controller does not notice",
      .doc = "Removes a context from the file.",
      .examples = "  twampctl context remove lab\n",
      .run = cmd_context_remove },
    { .name = "completion",
      .args = "SHELL",
      .n_args = 1,
      .brief = "what bash or zsh need to complete commands",
      .doc = "Prints the completion script of a shell, bash or zsh, for twampctl, twamp, twamp-agent and twamp-controller. "
             "Installed packages bring it along. Names of agents, meshes and contexts are completed, too, by asking "
             "the controller for less than half a second.",
      .examples = "  source <(twampctl completion bash)\n"
                  "  twampctl completion zsh >\"${fpath[1]}/_twampctl\"\n",
      .run = cmd_completion },
    { .name = "version",
      .brief = "of twampctl and of the controller, and whether they differ",
      .doc = "Shows both versions. twampctl --version does so without asking the controller.",
      .examples = "  twampctl version\n",
      .run = cmd_version },
    { 0 },
};
