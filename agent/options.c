/* agent/options.c - see options.h. */
#include "agent/options.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "agent/core/flight.h"
#include "agent/core/twamp_form.h"
#include "common/clk.h"

#define FIELD(f) offsetof(struct agent_options, f)
#define CONFINE_FIELD(f) offsetof(struct agent_options, confine.f)
#define FILE_FIELD(f) offsetof(struct agent_options, file.f)

static const char *const log_levels[] = { "debug", "info", "warn", "error", NULL }; /* as enum log_level */
static const char *const off_on[] = { "off", "on", NULL };

/* ---- Values of our own ---- */

static enum tw_rc add_mode(const char *name, size_t len, uint32_t *modes)
{
    static const struct {
        const char *name;
        uint32_t mode;
    } rows[] = {
        { "open", TWAMP_OPEN },
        { "authenticated", TWAMP_AUTHENTICATED },
        { "encrypted", TWAMP_ENCRYPTED },
        { "mixed", TWAMP_MIXED },
    };

    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (strlen(rows[i].name) == len && !memcmp(rows[i].name, name, len)) {
            *modes |= rows[i].mode;
            return TW_OK;
        }
    return TW_EINVAL;
}

static enum tw_rc parse_modes(const char *text, void *field, struct tw_err *err)
{
    uint32_t modes = 0;

    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ",");

        if (add_mode(p, len, &modes))
            return tw_err_set(err, TW_EINVAL,
                              "must be open, authenticated, encrypted, mixed, or several with commas, not "
                              "\"%.64s\"",
                              text);
        p += len;
        if (!*p)
            break;
    }
    *(uint32_t *)field = modes;
    return TW_OK;
}

static enum tw_rc parse_ports(const char *text, void *field, struct tw_err *err)
{
    unsigned low, high;
    int used = 0;

    if (sscanf(text, "%5u-%5u%n", &low, &high, &used) != 2 || text[used] || !isdigit((unsigned char)*text) ||
        !isdigit((unsigned char)strchr(text, '-')[1]) || low < 1 || high > UINT16_MAX || low > high)
        return tw_err_set(err, TW_EINVAL,
                          "must be LOW-HIGH of 1 to 65535, such as 18760-19960, not \"%.64s\"", text);
    *(struct port_range *)field = (struct port_range){ (uint16_t)low, (uint16_t)high };
    return TW_OK;
}

/* ---- The table ---- */

static const struct conf_opt opts[] = {
    CONF_FILE_OPTS(FILE_FIELD, "/etc/twampmesh/agent.yaml"),
    { .name = "controller",
      .short_name = 'c',
      .type = CONF_STRLIST,
      .offset = FIELD(controllers),
      .dflt = "tcp://127.0.0.1:8620",
      .arg = "URL",
      .help = "Controller to report to. Of several the agent uses the best one that answers, another one for "
              "each agent: all agents may have the same list." },
    { .name = "join-token-file",
      .type = CONF_STR,
      .offset = FIELD(join_token_file),
      .secret = true,
      .arg = "FILE",
      .help = "A token that twampctl token create printed: with it the agent joins the fleet once, and keeps "
              "its certificate in --data-dir. "
              "Not read any more after that." },
    { .name = "allow-plaintext",
      .type = CONF_FLAG,
      .offset = FIELD(allow_plaintext),
      .help = "Allow tcp:// to a controller that is not on this host (nothing is encrypted)." },
    { .name = "name",
      .short_name = 'n',
      .type = CONF_STR,
      .offset = FIELD(name),
      .arg = "NAME",
      .help = "Name of this agent, [a-z0-9.-]; without it the host name." },
    { .name = "label",
      .short_name = 'l',
      .type = CONF_STRLIST,
      .offset = FIELD(labels),
      .arg = "KEY=VALUE",
      .help = "Label such as site=ams; may be repeated." },
    { .name = "data-dir",
      .short_name = 'd',
      .type = CONF_STR,
      .offset = FIELD(data_dir),
      .dflt = "/var/lib/twampmesh-agent",
      .arg = "DIR",
      .help = "Directory of the agent's key and spool." },
    { .name = "reflect",
      .short_name = 'r',
      .type = CONF_STRLIST,
      .offset = FIELD(reflect),
      .dflt = "0.0.0.0:862,[::]:862",
      .arg = "ADDR:PORT",
      .help = "Where the Session-Reflector listens; may be repeated; \"none\" switches it off." },
    { .name = "advertise",
      .short_name = 'a',
      .type = CONF_STRLIST,
      .offset = FIELD(advertise),
      .arg = "ADDR",
      .help = "Address at which other agents reach the reflector; without it the one the controller sees." },
    { .name = "reflect-allow",
      .type = CONF_STRLIST,
      .offset = FIELD(reflect_allow),
      .live = true,
      .arg = "PREFIX",
      .help = "Whom the Session-Reflector answers, such as 192.0.2.0/24; may be repeated; without it "
              "everybody. Of the prefixes that contain an address the longest decides." },
    { .name = "reflect-deny",
      .type = CONF_STRLIST,
      .offset = FIELD(reflect_deny),
      .live = true,
      .arg = "PREFIX",
      .help = "Whom the Session-Reflector does not answer; may be repeated." },
    { .name = "reflect-acl",
      .type = CONF_STR,
      .offset = FIELD(reflect_acl),
      .live = true,
      .arg = "FILE",
      .help = "More of both, \"allow PREFIX\" or \"deny PREFIX\" a line; read anew at SIGHUP." },
    { .name = "reflect-rate",
      .type = CONF_INT,
      .offset = FIELD(reflect_rate),
      .live = true,
      .dflt = "100000",
      .min = 0,
      .max = 10000000,
      .arg = "N",
      .help = "Answer a single source, an IPv4 address or an IPv6 /64, so often per second at most; 0: as "
              "often as it "
              "asks." },
    { .name = "reflect-burst",
      .type = CONF_INT,
      .offset = FIELD(reflect_burst),
      .live = true,
      .dflt = "0",
      .min = 0,
      .max = 10000000,
      .arg = "N",
      .help = "So many at once after silence; 0: as many as in a second." },
    { .name = "refuse-short",
      .type = CONF_FLAG,
      .offset = FIELD(refuse_short),
      .help = "Do not answer probes shorter than 41 octets: then no answer is longer than its probe." },
    { .name = "xdp",
      .type = CONF_STR,
      .offset = FIELD(xdp),
      .arg = "INTERFACE",
      .help = "Answer plain TWAMP Light and STAMP of this interface in its driver (XDP); what that cannot "
              "answer, or all "
              "if the driver cannot do it, comes to the sockets." },
    { .name = "reflect-stateless",
      .type = CONF_FLAG,
      .offset = FIELD(reflect_stateless),
      .help = "Answers carry the sender's number: senders cannot tell on which way probes were lost." },
    { .name = "secrets",
      .short_name = 's',
      .type = CONF_STR,
      .offset = FIELD(secrets),
      .secret = true,
      .arg = "FILE",
      .help = "Keys of authenticated STAMP and passphrases of TWAMP-Control, one \"KEYID passphrase\" a "
              "line, readable "
              "by this user only; read anew when it changes." },
    { .name = "demand-auth",
      .type = CONF_FLAG,
      .offset = FIELD(demand_auth),
      .help = "Reflect only authenticated STAMP." },
    { .name = "refuse-dscp",
      .type = CONF_FLAG,
      .offset = FIELD(refuse_dscp),
      .help = "Answer STAMP in the DSCP that a probe came with, whatever its Class of Service TLV wishes." },
    { .name = "control",
      .type = CONF_STRLIST,
      .offset = FIELD(control),
      .dflt = "none",
      .arg = "ADDR:PORT",
      .help =
          "Where the TWAMP-Control server listens (TCP, port 862 unless given); may be repeated; \"none\" is "
          "nowhere." },
    { .name = "control-allow",
      .type = CONF_STRLIST,
      .offset = FIELD(control_allow),
      .live = true,
      .arg = "PREFIX",
      .help = "Whose connections the TWAMP-Control server takes; may be repeated; without it everybody's." },
    { .name = "control-deny",
      .type = CONF_STRLIST,
      .offset = FIELD(control_deny),
      .live = true,
      .arg = "PREFIX",
      .help = "Whose connections it does not take; may be repeated." },
    { .name = "control-acl",
      .type = CONF_STR,
      .offset = FIELD(control_acl),
      .live = true,
      .arg = "FILE",
      .help = "More of both, as --reflect-acl." },
    { .name = "control-rate",
      .type = CONF_INT,
      .offset = FIELD(control_rate),
      .live = true,
      .dflt = "20",
      .min = 0,
      .max = 100000,
      .arg = "N",
      .help = "Take so many connections per second of a single source at most, after 512 at once; 0: as many "
              "as come." },
    { .name = "control-modes",
      .type = CONF_PARSED,
      .offset = FIELD(control_modes),
      .dflt = "open,authenticated,encrypted,mixed",
      .arg = "MODES",
      .parse = parse_modes,
      .help = "Modes that the TWAMP-Control server offers; all but open need --secrets." },
    { .name = "test-ports",
      .type = CONF_PARSED,
      .offset = FIELD(test_ports),
      .arg = "LOW-HIGH",
      .parse = parse_ports,
      .help = "UDP ports for sessions that are agreed over TWAMP-Control, for firewalls; without it any." },
    { .name = "workers",
      .type = CONF_INT,
      .offset = FIELD(workers),
      .dflt = "1",
      .min = 1,
      .max = 64,
      .arg = "N",
      .help = "Threads that send and reflect." },
    { .name = "precise",
      .type = CONF_FLAG,
      .offset = FIELD(precise),
      .help =
          "Send probes closer to their time: wake a little earlier (20 to 200 us, learnt) and wait for the "
          "rest without sleeping. Costs CPU for each instant when probes are due." },
    { .name = "tx-timestamps",
      .type = CONF_ENUM,
      .offset = FIELD(tx_timestamps),
      .dflt = "on",
      .choices = off_on,
      .arg = "off|on",
      .help = "Ask the kernel when each probe really left. Without it delays begin when the probe is handed "
              "to the kernel, and a probe costs a tenth to a fifth less CPU." },
    { .name = "hw-timestamps",
      .type = CONF_STRLIST,
      .offset = FIELD(hw_timestamps),
      .arg = "IFACE",
      .help = "Use the time stamps of this network card (list or several). Needs CAP_NET_ADMIN, and a driver "
              "that "
              "stamps all packets." },
    { .name = "max-sessions",
      .type = CONF_INT,
      .offset = FIELD(max_sessions),
      .dflt = "10000",
      .min = 0,
      .max = 1000000,
      .arg = "N",
      .help = "Refuse sessions beyond this, whatever the controller asks." },
    { .name = "max-pps",
      .type = CONF_INT,
      .offset = FIELD(max_pps),
      .live = true,
      .dflt = "100000",
      .min = 0,
      .max = 10000000,
      .arg = "N",
      .help = "Refuse sessions beyond this many probes sent per second in all." },
    { .name = "resolve-every",
      .type = CONF_DURATION,
      .offset = FIELD(resolve_every_ns),
      .live = true,
      .dflt = "60s",
      .min = TW_NS_PER_S,
      .max = 86400 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "Look names of targets up again so often, give or take a tenth." },
    { .name = "max-bps",
      .type = CONF_INT,
      .offset = FIELD(max_bps),
      .live = true,
      .dflt = "1000000000",
      .min = 1000,
      .max = 1000000000000000,
      .arg = "N",
      .help = "Refuse sessions beyond this many bits of IP packets sent per second in all." },
    { .name = "probe-allow",
      .type = CONF_STRLIST,
      .offset = FIELD(probe_allow),
      .arg = "PREFIX",
      .help =
          "Send probes only there, whatever the controller asks; may be repeated. Without it anywhere but "
          "to multicast, broadcast and unspecified addresses." },
    { .name = "self-test",
      .type = CONF_ENUM,
      .offset = FIELD(self_test),
      .dflt = "on",
      .choices = off_on,
      .arg = "off|on",
      .help =
          "While there are sessions, send ten probes a second over the loopback device to a reflector of its "
          "own: the noise floor of this host, shown with each result." },
    { .name = "http",
      .type = CONF_STR,
      .offset = FIELD(http),
      .dflt = "off",
      .arg = "ADDR:PORT",
      .help = "Serve the metrics of this agent and its own pairs, /metrics; or off." },
    { .name = "http-tls-cert",
      .type = CONF_STR,
      .offset = FIELD(http_tls_cert),
      .arg = "FILE",
      .help = "Serve HTTPS with this certificate (PEM), those between it and its CA behind it; read anew on "
              "SIGHUP." },
    { .name = "http-tls-key",
      .type = CONF_STR,
      .offset = FIELD(http_tls_key),
      .secret = true,
      .arg = "FILE",
      .help = "Its private key (PEM, without a password); read anew on SIGHUP." },
    { .name = "http-plaintext",
      .type = CONF_FLAG,
      .offset = FIELD(http_plaintext),
      .help = "Let --http be plain HTTP on an address that is not loopback: for networks that are trusted or "
              "encrypted otherwise." },
    { .name = "spool-max-mb",
      .type = CONF_INT,
      .offset = FIELD(spool_max_mb),
      .live = true,
      .dflt = "256",
      .min = 1,
      .max = 1000000,
      .arg = "MB",
      .help = "Bound of the spool; beyond it the oldest summaries are dropped and counted." },
    { .name = "keep-acknowledged",
      .type = CONF_DURATION,
      .offset = FIELD(keep_acked_ns),
      .live = true,
      .dflt = "6h",
      .min = 0,
      .max = 30 * 86400 * TW_NS_PER_S,
      .arg = "TIME",
      .help = "Keep summaries this long after the controller has them, to refill a lost database." },
    { .name = "flight-probes",
      .type = CONF_INT,
      .offset = FIELD(flight_probes),
      .dflt = "1024",
      .min = 0,
      .max = FLIGHT_PROBES_MAX,
      .arg = "N",
      .help = "The flight recorder keeps the last N probes of each session; 0 switches it off." },
    { .name = "flight-memory",
      .type = CONF_INT,
      .offset = FIELD(flight_memory_mb),
      .dflt = "16",
      .min = 1,
      .max = 65536,
      .arg = "MB",
      .help = "Memory of all sessions' flight recorders, taken as it is used: with more sessions than it is "
              "enough for, each keeps fewer probes." },
    { .name = "flight-frozen",
      .type = CONF_INT,
      .offset = FIELD(flight_frozen_mb),
      .dflt = "16",
      .min = 1,
      .max = 4096,
      .arg = "MB",
      .help = "Memory of the frozen parts of the flight recorder, which are in the data directory, too." },
    { .name = "flight-loss-run",
      .type = CONF_INT,
      .offset = FIELD(flight_loss_run),
      .dflt = "3",
      .min = 0,
      .max = 65536,
      .arg = "N",
      .help = "So many probes lost in a row freeze what is around them, once a minute and session at most; 0 "
              "never." },
    CONFINE_OPTS(CONFINE_FIELD),
    { .name = "check",
      .type = CONF_FLAG,
      .offset = FIELD(check),
      .now = true,
      .help = "Look at this host and at the way to the controller, say what is wrong and what to do, change "
              "nothing, and end: "
              "exit code 0 if there is no problem, 1 if there is. With the options that the agent is started "
              "with." },
    { .name = "log-level",
      .type = CONF_ENUM,
      .offset = FIELD(log_level),
      .live = true,
      .dflt = "info",
      .choices = log_levels,
      .arg = "LEVEL",
      .help = "Least level that is logged." },
    { .name = "log-format",
      .type = CONF_ENUM,
      .offset = FIELD(log_format),
      .live = true,
      .dflt = "text",
      .choices = log_format_names,
      .arg = "FORMAT",
      .help = "Form of log lines on standard error; journal: as text, with the level as the systemd journal "
              "wants it, and without what it "
              "adds itself." },
};

const struct conf_program agent_program = {
    .name = "twamp-agent",
    .env_prefix = "TWAMP_AGENT",
    .brief = "measure and reflect probes on a host of a twampmesh",
    .section = 8,
    .file_manual = "twampmesh-agent.yaml",
    .doc = "Measures the network from this host: reflects TWAMP and STAMP probes, sends those that the "
           "controller's "
           "schedule asks for, and reports a summary of every session and report period. It only dials out, "
           "goes on "
           "without the controller, and delivers every summary exactly once when it is back.",
    .examples = "  twamp-agent --controller tcp://127.0.0.1:8620 --name ams --data-dir /tmp/ams --reflect "
                "127.0.0.1:8862\n"
                "      a second terminal:  twampctl agent approve ams\n"
                "  TWAMP_AGENT_LABEL=site=ams,role=edge twamp-agent --controller tcp://[2001:db8::1]:8620 "
                "--allow-plaintext\n",
    .opts = opts,
    .n_opts = TW_NELEM(opts),
};
