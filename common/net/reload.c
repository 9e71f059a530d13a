/* common/net/reload.c - see reload.h. */
#include "common/net/reload.h"

#include <inttypes.h>
#include <stdio.h>
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
