#include "controller/cli/alerts.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct out_col columns[] = {
    { .title = "ALERT", .name = "id", .as = OUT_AS_COUNT },
    { .title = "STATE", .name = "state" },
    { .title = "SEVERITY", .name = "severity" },
    { .title = "SINCE", .name = "pending_ns", .as = OUT_AS_AGO },
    { .title = "SUBJECT", .name = "subject" },
    { .title = "METRIC", .name = "metric" },
    { .title = "VALUE", .name = "value" },
    { .title = "LEVEL", .name = "level", .drop = 2 },
    { .title = "MESH/CLASS", .drop = 4 },
    { .title = "RULE", .name = "rule", .drop = 3 },
    { .title = "QUIET", .name = "quiet", .drop = 1 },
    { .title = "USUALLY", .name = "baseline", .wide = true },
    { .title = "WORST", .name = "worst", .wide = true },
    { .title = "FIRED", .name = "fired_ns", .as = OUT_AS_TIME, .wide = true },
    { .title = "ENDED", .name = "ended_ns", .as = OUT_AS_TIME, .wide = true },
    { .title = "WHY ENDED", .name = "end_reason", .wide = true },
    { .title = "CAUSE", .name = "cause", .as = OUT_AS_COUNT, .wide = true },
    { .title = "ACKED BY", .name = "acked_by", .wide = true },
    { .title = "WHY", .name = "ack_reason", .wide = true },
    { .title = "NOTICES", .name = "notices", .as = OUT_AS_COUNT, .wide = true },
};

const char *alerts_value(const char *metric, const Tw__AlertNumber *v, char buf[OUT_NUM])
{
    struct tw_num n = { v != NULL, v ? v->value : 0 };

    if (!strcmp(metric, "loss") || !strcmp(metric, "availability") || !strcmp(metric, "completeness"))
        return out_percent(n, buf);
    if (strcmp(metric, "route") != 0)
        return out_seconds(n, buf);
    if (n.known)
        snprintf(buf, OUT_NUM, "%.0f hop%s", n.value, n.value == 1 ? "" : "s");
    else
        snprintf(buf, OUT_NUM, "-");
    return buf;
}

void alerts_put_number(struct out_records *r, const char *name, const char *metric, const Tw__AlertNumber *v)
{
    char text[OUT_NUM];

    out_num(r, name, (struct tw_num){ v != NULL, v ? v->value : 0 });
    out_show(r, name, OUT_PLAIN, "%s", alerts_value(metric, v, text));
}

void alerts_put_metric(struct out_records *r, const char *metric, const char *direction)
{
    out_text(r, "metric", metric);
    out_text(r, "direction", direction);
    if (*direction)
        out_show(r, "metric", OUT_PLAIN, "%s %s", metric, direction);
}

void alerts_put_class(struct out_records *r, const char *mesh, const char *class_name)
{
    out_text(r, "mesh", mesh);
    out_text(r, "class", class_name);
    out_show(r, "MESH/CLASS", OUT_PLAIN, *mesh ? "%s/%s" : "-", mesh, class_name);
}

static enum out_style style_of(const Tw__AlertInfo *a)
{
    if (strcmp(a->state, "firing") != 0)
        return OUT_DIM;
    return strcmp(a->severity, "critical") ? OUT_DOUBT : OUT_BAD;
}

static void put_row(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__AlertInfo *a = row;

    (void)ctx;
    out_u64(r, "id", a->id);
    out_text(r, "state", a->state);
    out_style(r, "state", style_of(a));
    out_text(r, "severity", a->severity);
    out_style(r, "severity", style_of(a));
    out_text(r, "kind", a->kind);
    out_text(r, "subject", a->subject);
    if (*a->kind && strcmp(a->kind, "pair") != 0)
        out_show(r, "subject", OUT_PLAIN, "%s %s", a->kind, a->subject);
    alerts_put_metric(r, a->metric, a->direction);
    if (!*a->metric)
        out_show(r, "metric", OUT_PLAIN, "%u/%u pairs", a->bad_pairs, a->pairs);
    alerts_put_number(r, "value", a->metric, a->value);
    alerts_put_number(r, "level", a->metric, a->level);
    alerts_put_number(r, "baseline", a->metric, a->baseline);
    alerts_put_number(r, "worst", a->metric, a->worst);
    out_text(r, "rule", a->rule);
    alerts_put_class(r, a->mesh, a->class_name);
    out_text(r, "source", a->source);
    out_text(r, "target", a->target);
    out_u64(r, "pair_id", a->pair_id);
    out_text(r, "summary", a->summary);
    out_ns(r, "pending_ns", a->pending_ns);
    out_ns(r, "fired_ns", a->fired_ns);
    out_ns(r, "ended_ns", a->ended_ns);
    out_text(r, "end_reason", a->end_reason);
    out_u64(r, "bad_pairs", a->bad_pairs);
    out_u64(r, "pairs", a->pairs);
    out_u64(r, "cause", a->cause);
    out_text(r, "quiet", a->quiet);
    out_text(r, "quiet_reason", a->quiet_reason);
    if (*a->quiet_reason)
        out_show(r, "quiet", OUT_DIM, "%s %s", a->quiet, a->quiet_reason);
    out_bool(r, "told", a->told);
    out_u64(r, "notices", a->notices);
    out_ns(r, "acked_ns", a->acked_ns);
    out_text(r, "acked_by", a->acked_by);
    out_text(r, "ack_reason", a->ack_reason);
}

static const Tw__AlertInfo none = TW__ALERT_INFO__INIT;
const struct out_listing alerts_listing = {
    .key = "alerts",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = put_row,
    .none = &none,
    .empty = "No alert. \"twampctl alert rules\" shows what is looked at, --state all also what is over."
};

enum cli_exit alerts_read_id(const char *text, const char *what, uint64_t *ret)
{
    char *end;

    *ret = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && *ret)
        return CLI_OK;
    return cli_fail(CLI_USAGE, "\"%.40s\" is no number of %s", text, what);
}
