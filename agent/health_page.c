/* agent/health_page.c - see health_page.h. */
#include "agent/health_page.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void warn_text(FILE *to, const char *what, const char *text)
{
    if (text && *text)
        fprintf(to, "warning: %s: %s\n", what, text);
}

static void warn_count(FILE *to, uint64_t n, const char *what)
{
    if (n)
        fprintf(to, "warning: %" PRIu64 " %s\n", n, what);
}

static void print_warnings(FILE *to, const Tw__HealthReport *h, bool up, const char *reload_error)
{
    if (!up)
        fputs("warning: the controller is not connected: results wait in the spool\n", to);
    warn_text(to, "secrets", h->secrets_error);
    warn_text(to, "last reload", reload_error); /* has what configuration and access lists say */
    warn_text(to, "options that need a restart", h->restart_needed);
    warn_count(to, h->spool_dropped, "summaries were dropped, the spool being full");
    warn_count(to, h->results_refused, "summaries could not be kept");
    warn_count(to, h->names_unresolved, "names of targets have no address");
    if (h->clock && !h->clock->synced)
        fputs("warning: the clock is not synchronised: one-way delays are not valid\n", to);
}

bool health_page(const Tw__HealthReport *h, bool up, const char *reload_error, char **ret, size_t *ret_len)
{
    bool ready = up || h->generation; /* without a controller it measures by the schedule that it has */
    FILE *to;

    *ret = NULL;
    to = open_memstream(ret, ret_len);
    if (!to)
        return false;
    fputs(ready ? "ready\n" : "not ready: it has no controller and no schedule, so it measures nothing\n",
          to);
    print_warnings(to, h, up, reload_error);
    if (fclose(to)) {
        free(*ret);
        *ret = NULL;
    }
    return ready;
}
