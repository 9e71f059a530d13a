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

/* Which one is used, and why the others are not. */
static void print_way(FILE *to, const struct roam_view *w)
{
    char since[TW_TIME_TEXT];

    fprintf(to, "controller %s: %s", w->url, w->connected ? "connected" : *w->why ? w->why : "not tried");
    if (w->since_ns)
        fprintf(to, ", since %s", tw_wall_format((struct tw_wall){ w->since_ns }, since));
    fputc('\n', to);
}

bool health_page(const struct health_page_facts *f, char **ret, size_t *ret_len)
{
    const Tw__HealthReport *h = f->health;
    bool ready = f->up || h->generation; /* without a controller it measures by the schedule that it has */
    FILE *to;

    *ret = NULL;
    to = open_memstream(ret, ret_len);
    if (!to)
        return false;
    fputs(ready ? "ready\n" : "not ready: it has no controller and no schedule, so it measures nothing\n",
          to);
    print_warnings(to, h, f->up, f->reload_error);
    for (size_t i = 0; i < f->n_ways; i++)
        print_way(to, &f->ways[i]);
    if (fclose(to)) {
        free(*ret);
        *ret = NULL;
    }
    return ready;
}
