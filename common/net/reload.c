/* common/net/reload.c - see reload.h. */
#include "common/net/reload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "common/net/process.h"

void reload_begin(struct reload *r)
{
    char state[80];

    r->error[0] = '\0';
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, tw_mono_now().ns / TW_NS_PER_US);
    process_notify(state);
}

void reload_part(struct reload *r, const char *what, const char *error)
{
    if (error && *error && !r->error[0])
        snprintf(r->error, sizeof r->error, "%s: %s", what, error);
}

void reload_restart(struct reload *r, const char *options)
{
    if (*options && strcmp(options, r->restart) != 0)
        log_warn("options were changed that a reload cannot change: they need a restart",
                 LOG_S("options", options));
    snprintf(r->restart, sizeof r->restart, "%s", options);
}

void reload_end(struct reload *r)
{
    r->time_ns = tw_wall_now().ns;
    if (r->error[0]) {
        r->failed++;
        log_error("not all files could be read anew: what was in use before stays",
                  LOG_S("reason", r->error));
    } else {
        r->ok++;
        log_info("files were read anew");
    }
    process_notify("READY=1");
}

size_t reload_metrics(const struct reload *r, struct metrics_self *ret)
{
    static const char name[] = "twamp_reloads_total", help[] = "Times that files were read anew by SIGHUP.";

    ret[0] = (struct metrics_self){
        "twamp_reload_failed",
        "1: at the last SIGHUP some file could not be used, and what it said before stays in use.",
        "gauge",
        NULL,
        NULL,
        r->error[0] ? 1 : 0
    };
    ret[1] = (struct metrics_self){
        "twamp_reload_time_seconds",
        "When files were read anew by SIGHUP, seconds since 1970; 0: not since the start.",
        "gauge",
        NULL,
        NULL,
        (double)r->time_ns / 1e9
    };
    ret[2] = (struct metrics_self){ name, help, "counter", "result", "ok", (double)r->ok };
    ret[3] = (struct metrics_self){ name, help, "counter", "result", "failed", (double)r->failed };
    ret[4] = (struct metrics_self){
        "twamp_restart_needed",
        "1: options were changed in the configuration file that only a restart changes.",
        "gauge",
        NULL,
        NULL,
        r->restart[0] ? 1 : 0
    };
    return RELOAD_METRICS;
}
