/* A report as a page for people. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/stats_compare.h"
#include "controller/http/report_text.h"

/* The page must not become another one by what somebody has named his agent. */
static void html_text(FILE *to, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (strchr("&<>\"'", *c))
            fprintf(to, "&#%u;", *c);
        else if (*c < 0x20 || *c == 0x7f)
            putc('?', to);
        else
            putc(*c, to);
    }
}

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n"
    "<title>twampmesh report</title>\n<style>\n"
    "body{font:14px/1.4 system-ui,sans-serif;margin:2em;color:#111;background:#fff}\n"
    "table{border-collapse:collapse}th,td{padding:.25em .6em;border-bottom:1px solid #ccc;text-align:right;"
    "font-variant-numeric:tabular-nums;white-space:nowrap}\n"
    "th:first-child,td:first-child{text-align:left}thead{display:table-header-group}\n"
    ".bad{color:#b00020;font-weight:600}.dim{color:#666}\n"
    "@media print{body{margin:0;font-size:9px}tr{break-inside:avoid}@page{size:landscape;margin:1cm}}\n"
    "</style></head><body>\n<h1>twampmesh report</h1>\n";

static const struct html_col {
    const char *title, *name; /* of stats_fields[], or completeness_ratio */
    enum { AS_COUNT, AS_PERCENT, AS_MS, AS_MOS } as;
    bool bad_above_0, bad_below_1;
} cols[] = {
    { "Sent", "sent", AS_COUNT, false, false },
    { "Loss", "loss_ratio", AS_PERCENT, true, false },
    { "forward", "loss_forward_ratio", AS_PERCENT, true, false },
    { "backward", "loss_backward_ratio", AS_PERCENT, true, false },
    { "unknown", "loss_unknown_ratio", AS_PERCENT, true, false },
    { "RTT p50", "delay_roundtrip_p50_seconds", AS_MS, false, false },
    { "p95", "delay_roundtrip_p95_seconds", AS_MS, false, false },
    { "p99", "delay_roundtrip_p99_seconds", AS_MS, false, false },
    { "Jitter", "delay_roundtrip_jitter_rfc3550_seconds", AS_MS, false, false },
    { "Available", "availability_ratio", AS_PERCENT, false, true },
    { "Loss runs", "loss_runs", AS_COUNT, true, false },
    { "Longest", "loss_run_longest_seconds", AS_MS, true, false },
    { "Complete", "completeness_ratio", AS_PERCENT, false, true },
    { "MOS G.711", "mos_g711", AS_MOS, false, false },
};

static void html_number(FILE *to, const struct html_col *c, struct tw_num n)
{
    if (!n.known) {
        fputs("<td class=\"dim\">\xe2\x80\x93</td>", to);
        return;
    }
    fputs((c->bad_above_0 && n.value > 0) || (c->bad_below_1 && n.value < 1) ? "<td class=\"bad\">" : "<td>",
          to);
    switch (c->as) {
    case AS_COUNT:
        fprintf(to, "%.0f", n.value);
        break;
    case AS_PERCENT: /* what is not all is not shown as all, what is not nothing not as nothing */
        fprintf(to, "%.*f %%",
                n.value > 0.9999 && n.value < 1   ? 4
                : n.value < 0.0001 && n.value > 0 ? 4
                                                  : 2,
                100 * n.value);
        break;
    case AS_MS:
        fprintf(to, "%.3f ms", 1e3 * n.value);
        break;
    case AS_MOS:
        fprintf(to, "%.2f", n.value);
        break;
    }
    fputs("</td>", to);
}

/* From the median to the 99th percentile, on one scale for the page. */
static void html_bar(FILE *to, const struct stats_view *v, double greatest)
{
    const struct stats_delay *d = &v->delay[TW_ROUNDTRIP];
    double a, b;

    if (!d->p50_s.known || greatest <= 0) {
        fputs("<td></td>", to);
        return;
    }
    a = 100 * fmax(0, d->p50_s.value) / greatest;
    b = 100 * fmax(0, d->p99_s.value) / greatest;
    fprintf(
        to,
        "<td><svg width=\"104\" height=\"10\" viewBox=\"0 0 104 10\" role=\"img\" aria-label=\"p50 to p99\">"
        "<rect x=\"0\" y=\"4\" width=\"104\" height=\"2\" fill=\"#ddd\"/>"
        "<rect x=\"%.1f\" y=\"1\" width=\"%.1f\" height=\"8\" fill=\"#3568b0\"/></svg></td>",
        a, fmax(2, b - a));
}

static void html_row(FILE *to, const struct stats_view *v, struct tw_num complete, double greatest)
{
    for (size_t i = 0; i < TW_NELEM(cols); i++)
        html_number(to, &cols[i],
                    !strcmp(cols[i].name, "completeness_ratio")
                        ? complete
                        : stats_number(v, stats_field_find(cols[i].name)));
    html_bar(to, v, greatest);
    fputs("</tr>\n", to);
}

static double greatest_p99(const struct report *r)
{
    double most = 0;

    for (size_t i = 0; i < r->n_groups; i++)
        most = fmax(most, r->groups[i].view.delay[TW_ROUNDTRIP].p99_s.value);
    for (size_t i = 0; !r->groups && i < r->n_pairs; i++)
        most = fmax(most, r->pairs[i].view.delay[TW_ROUNDTRIP].p99_s.value);
    return most;
}

static void html_pair_name(FILE *to, const struct store_pair *p)
{
    fputs("<tr><td>", to);
    html_text(to, p->mesh);
    fputs(" / ", to);
    html_text(to, p->class_name);
    fputs(": ", to);
    html_text(to, p->source);
    fputs(" &#8594; ", to);
    html_text(to, p->target);
    fputs("</td>", to);
}

static void html_group_name(FILE *to, const struct report_group *g)
{
    fputs("<tr><td>", to);
    html_text(to, *g->key ? g->key : "(none)");
    fprintf(to, " <span class=\"dim\">%" PRIu64 " pair%s</span></td>", g->pairs, g->pairs == 1 ? "" : "s");
}

/* Whose numbers are of another span, because of what is still kept. */
static bool is_other_cover(const struct report *r, int64_t from_ns, int64_t to_ns)
{
    return from_ns < to_ns && (from_ns != r->from_ns || to_ns != r->to_ns);
}

static void html_cover(FILE *to, const char *name, int64_t from_ns, int64_t to_ns)
{
    char from[TW_TIME_TEXT], until[TW_TIME_TEXT];

    fputs("<br>\n", to);
    html_text(to, name);
    fprintf(to, ": %s to %s", tw_wall_format((struct tw_wall){ from_ns }, from),
            tw_wall_format((struct tw_wall){ to_ns }, until));
}

static void html_covers(FILE *to, const struct report *r)
{
    char name[4 * STORE_NAME_MAX + 16];
    bool any = false;

    for (size_t i = 0; !any && i < r->n_groups; i++)
        any = is_other_cover(r, r->groups[i].covers_from_ns, r->groups[i].covers_to_ns);
    for (size_t i = 0; !any && !r->groups && i < r->n_pairs; i++)
        any = is_other_cover(r, r->pairs[i].covers_from_ns, r->pairs[i].covers_to_ns);
    if (!any)
        return;
    fputs("<p class=\"dim\">What is kept of that time, with roll-ups as a whole, is of", to);
    for (size_t i = 0; i < r->n_groups; i++) {
        const struct report_group *g = &r->groups[i];
        if (is_other_cover(r, g->covers_from_ns, g->covers_to_ns))
            html_cover(to, *g->key ? g->key : "(none)", g->covers_from_ns, g->covers_to_ns);
    }
    for (size_t i = 0; !r->groups && i < r->n_pairs; i++) {
        const struct report_pair *p = &r->pairs[i];
        snprintf(name, sizeof name, "%s / %s: %s \xe2\x86\x92 %s", p->pair.mesh, p->pair.class_name, p->pair.source,
                 p->pair.target);
        if (is_other_cover(r, p->covers_from_ns, p->covers_to_ns))
            html_cover(to, name, p->covers_from_ns, p->covers_to_ns);
    }
    fputs("</p>\n", to);
}

static size_t at_most(size_t n)
{
    return n < REPORT_HTML_ROWS ? n : REPORT_HTML_ROWS;
}

static const char more[] = "; there is more than these rows: narrow it with mesh, class, source or target, or take all with "
                           "format=csv or format=ndjson";

char *report_html(const struct report *r, const char *group_by, bool latest, size_t *ret_len)
{
    char *text = NULL, from[TW_TIME_TEXT], until[TW_TIME_TEXT];
    FILE *to = open_memstream(&text, ret_len);
    double greatest = greatest_p99(r);
    size_t n_groups = at_most(r->n_groups), n_pairs = r->groups ? 0 : at_most(r->n_pairs);
    bool bad, cut = r->truncated || n_groups < r->n_groups || (!r->groups && n_pairs < r->n_pairs);

    if (!to)
        return NULL;
    fputs(head, to);
    fprintf(to, "<p>%s to %s (UTC)", tw_wall_format((struct tw_wall){ r->from_ns }, from),
            tw_wall_format((struct tw_wall){ r->to_ns }, until));
    if (r->groups) {
        fputs(", by ", to);
        html_text(to, group_by);
    }
    fprintf(to, "%s.</p>\n<table><thead><tr><th>%s</th>", cut ? more : "", r->groups ? "Group" : "Pair");
    for (size_t i = 0; i < TW_NELEM(cols); i++)
        fprintf(to, "<th>%s</th>", cols[i].title);
    fputs("<th>p50 to p99</th></tr></thead><tbody>\n", to);
    for (size_t i = 0; i < n_groups; i++) {
        html_group_name(to, &r->groups[i]);
        html_row(to, &r->groups[i].view, r->groups[i].completeness_ratio, greatest);
    }
    for (size_t i = 0; i < n_pairs; i++) {
        html_pair_name(to, &r->pairs[i].pair);
        html_row(to, &r->pairs[i].view, r->pairs[i].completeness_ratio, greatest);
    }
    fputs("</tbody></table>\n", to);
    if (!latest) /* there each is of its own period */
        html_covers(to, r);
    fputs("</body></html>\n", to);
    bad = ferror(to) != 0;
    if (fclose(to) || bad) {
        free(text);
        return NULL;
    }
    return text;
}
