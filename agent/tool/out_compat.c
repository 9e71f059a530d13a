/* agent/tool/out_compat.c - the JSON lines of the Python tool: messages, then the array of three directions,
 * in milliseconds and percent. Not rounded to two places as there: values of a LAN would be 0. */
#include "agent/tool/compat.h"
#include "agent/tool/out.h"
#include "common/numtext.h"

static void begin(FILE *to, const struct plan *p, uint16_t metrics_port)
{
    (void)p;
    if (metrics_port)
        fprintf(to, "{\"message\": \"Starting Prometheus metrics server on port %u\"}\n", metrics_port);
    fputs("{\"message\": \"Starting twl_sender\"}\n", to);
}

static void print_number(FILE *to, const char *name, double v, const char *after)
{
    char text[NUMTEXT_MAX];

    fprintf(to, "\"%s\": %s%s", name, numtext_exact(v, text), after);
}

static void print_report(FILE *to, const struct report *r)
{
    struct compat_view c;
    struct stats_view v;

    stats_view(r->total, &v);
    compat_view(&v, &c);
    if (!c.ok || !c.row[TW_ROUNDTRIP].known) {
        fputs("{\"message\": \"no statistics available because run failed\"}\n", to);
        return;
    }
    for (int d = 0; d < 3; d++) {
        fprintf(to, "%s{\"direction\": \"%s\", ", d ? ", " : "[", c.row[d].name);
        print_number(to, "min", c.row[d].min_ms, ", ");
        print_number(to, "max", c.row[d].max_ms, ", ");
        print_number(to, "avg", c.row[d].avg_ms, ", ");
        print_number(to, "jitter", c.row[d].jitter_ms, ", ");
        print_number(to, "loss", c.row[d].loss_percent, "}");
    }
    fputs("]\n", to);
}

const struct out_writer out_compat = { .name = "compat", .begin = begin, .report = print_report };
