/* agent/tool/options.h - the options of all sub-commands in one struct, the groups that several share, and
 * the readers of their values. Names, defaults and forms are those of the Python tool twampy where it has
 * them. */
#ifndef TW_AGENT_TOOL_OPTIONS_H
#define TW_AGENT_TOOL_OPTIONS_H

#include "agent/core/form.h"
#include "common/conf.h"

#define TOOL_LOCAL_PORT 20000
#define TOOL_REMOTE_PORT 20001
#define TOOL_METRICS_ADDRESS "0.0.0.0:8000"

enum tool_share {
    TOOL_SHARES_LOG = 1,      /* -l -q -v -d -m -g: all sub-commands have them */
    TOOL_SHARES_MARK = 2,     /* --tos --dscp --ttl --padding --do-not-fragment */
    TOOL_SHARES_SECRETS = 4,  /* --secrets */
    TOOL_SHARES_RUN = 8,      /* what a run of probes is, and how its result is printed */
    TOOL_SHARES_CONTROL = 16, /* TWAMP-Control clients: --mode --features --user --control-port */
    TOOL_SHARES_SOURCE = 32   /* --bind --interface */
};

enum tool_protocol { TOOL_LIGHT, TOOL_STAMP, TOOL_TWAMP };
enum tool_auth { TOOL_AUTH_OPEN, TOOL_AUTH_AUTHENTICATED, TOOL_AUTH_ENCRYPTED, TOOL_AUTH_MIXED };
enum tool_json { TOOL_JSON_NONE, TOOL_JSON_RUN, TOOL_JSON_COMPAT };

/* --test-ports LOW-HIGH; 0, 0 = any. */
struct tool_ports {
    uint16_t low, high;
};

/* -m, --metrics[=[histogram][,ADDR:PORT]] */
struct tool_metrics_opt {
    bool on, histogram;
    char address[80];
};

#define TOOL_PADDING_IMIX (-1)
#define TOOL_PADDING_DEFAULT (-2) /* as much as makes request and answer equally long */

struct tool_options {
    /* Group LOG. */
    char *logfile; /* "-" = stdout; NULL = stderr */
    bool quiet, verbose, debug;
    struct tool_metrics_opt metrics;
    bool nodegraph;

    /* Group MARK. */
    int64_t tos;  /* -1 = not given */
    int64_t dscp; /* -1 = not given */
    int64_t ttl;
    int64_t padding;
    bool do_not_fragment;

    /* Group SECRETS. */
    char *secrets;

    /* What a run of probes is; senders of all kinds. */
    int64_t interval_ns, count, timeout_ns, report_period_ns;
    int tx_timestamps; /* 0 on, 1 off */
    bool forever, exponential, zero_padding, precise;
    int spacing_kind;
    int64_t size; /* 0 = by padding */
    int64_t flows;
    char *bind, *interface;
    int protocol, auth;
    char *key_id, *user;
    uint32_t tlvs; /* STAMP_TLV_BIT() */
    int64_t ssid;
    int64_t reply_dscp; /* -1 = not wished for */

    /* What is printed. */
    int json;
    bool csv, raw;

    /* Group CONTROL, and server. */
    uint32_t modes, features; /* of enum twamp_mode; modes 0 = all */
    int64_t control_port;

    /* server */
    struct tool_ports test_ports;
    int64_t light_port, rounds;
    int64_t max_connections, max_per_peer, max_sessions;
    int64_t servwait_ns, refwait_ns;

    /* responder */
    int64_t timer_s;
    bool stateless, demand_auth, refuse_dscp;

    /* probe */
    int64_t max_pps, tries;
};

/* The rows of a group. */
const struct conf_opt *tool_group(enum tool_share group, size_t *ret_n);

/* TOS octet to send with: --tos, --dscp shifted to its place, else `dflt`. TW_EINVAL: both were given and
 * differ. */
enum tw_rc tool_options_tos(const struct tool_options *o, uint8_t dflt, uint8_t *ret, struct tw_err *err);

/* Readers for CONF_PARSED rows; the comments name the field's type. */
enum tw_rc tool_parse_octet(const char *text, void *field, struct tw_err *err); /* int64_t 0..255, or 0x.. */
enum tw_rc tool_parse_dscp(const char *text, void *field, struct tw_err *err);  /* int64_t 0..63, names too */
enum tw_rc tool_parse_interval(const char *text, void *field,
                               struct tw_err *err); /* int64_t ns: "100" ms, "20ms" */
enum tw_rc tool_parse_padding(const char *text, void *field, struct tw_err *err); /* int64_t, -1 = IMIX */
enum tw_rc tool_parse_metrics(const char *text, void *field,
                              struct tw_err *err); /* struct tool_metrics_opt */
enum tw_rc tool_parse_tlvs(const char *text, void *field,
                           struct tw_err *err); /* uint32_t of STAMP_TLV_BIT() */
enum tw_rc tool_parse_modes(const char *text, void *field,
                            struct tw_err *err); /* uint32_t of enum twamp_mode, security */
enum tw_rc tool_parse_features(const char *text, void *field, struct tw_err *err); /* the same, features */
enum tw_rc tool_parse_ports(const char *text, void *field, struct tw_err *err);    /* struct tool_ports */
const char *tool_tlv_name(enum stamp_tlv_type t);

#endif
