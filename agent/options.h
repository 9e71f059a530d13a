/* agent/options.h - the options of twamp-agent: one table for command line, environment and help. */
#ifndef TW_AGENT_OPTIONS_H
#define TW_AGENT_OPTIONS_H

#include "common/conf_file.h"
#include "common/log.h"
#include "common/net/confine.h"

/* UDP ports of sessions that others agree with our TWAMP-Control server; low 0: the kernel chooses. */
struct port_range {
    uint16_t low, high;
};

struct agent_options {
    struct confine_options confine;
    struct conf_file_options file;
    char *http, *http_tls_cert, *http_tls_key, *xdp, *join_token_file, *name, *data_dir, *secrets;
    struct conf_strlist controllers, reflect, reflect_allow, reflect_deny, probe_allow, advertise, labels,
        control, hw_timestamps;
    struct conf_strlist control_allow, control_deny;
    char *reflect_acl, *control_acl;
    int64_t reflect_rate, reflect_burst, control_rate;
    int64_t workers, max_sessions, max_pps, max_bps, spool_max_mb, keep_acked_ns, resolve_every_ns;
    int64_t flight_probes, flight_memory_mb, flight_frozen_mb, flight_loss_run;
    uint32_t control_modes; /* enum twamp_mode: security modes offered */
    struct port_range test_ports;
    int log_level, log_format, self_test, tx_timestamps;
    bool check; /* look at this host and end */
    bool allow_plaintext, http_plaintext, reflect_stateless, demand_auth, refuse_dscp, refuse_short, precise;
};

extern const struct conf_program agent_program;

/* What the table cannot say: syntax of names, labels and addresses, plaintext only to loopback unless allowed, what needs a file of
 * secrets; fills in the host name. target: struct agent_options. */
void agent_options_check(void *target, struct conf_errors *errors);

#endif
