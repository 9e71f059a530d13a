/* controller/options.h - the options of twamp-controller: one table for command line, environment,
 * configuration file and help. */
#ifndef TW_CONTROLLER_OPTIONS_H
#define TW_CONTROLLER_OPTIONS_H

#include "common/conf_file.h"
#include "common/net/confine.h"

struct controller_options {
    struct confine_options confine;
    struct conf_file_options file;
    char *listen, *admin_listen, *admin_tls, *http, *http_tls_cert, *http_tls_key, *web_root, *data_dir,
        *name, *backup_dir, *ca_dir, *history, *control;
    struct conf_strlist http_names, advertise;
    bool allow_plaintext, auto_approve, http_write, http_plaintext, open_metrics;
    int64_t http_events_max, max_pair_series, native_buckets, history_days, audit_days, keep_raw, keep_1min,
        keep_10min, keep_1h, keep_1d;
    int64_t certificate_life;
    int64_t budget_pairs, budget_series, budget_mb, budget_pps, budget_kbps;
    int log_level, log_format;
};

extern const struct conf_program controller_program;

/* What the table cannot say: addresses, and which of them may be plaintext. target: struct
 * controller_options. */
void controller_options_check(void *target, struct conf_errors *errors);

#endif
