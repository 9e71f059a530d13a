#include "controller/http/query.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/series.h"

/* ---- Values ---- */

/* A '+' that was not percent-encoded arrives as a space; in a time it can only have been the zone's sign. */
static void restore_plus(char *time)
{
    for (size_t i = 11; i < strlen(time); i++)
        if (time[i] == ' ')
            time[i] = '+';
}

enum tw_rc query_time(const char *value, int64_t now_ns, int64_t *ret_ns)
{
    char text[TW_TIME_TEXT + 16];
    struct tw_wall t;
    int64_t ago_ns;

    if (value[0] == '-') {
        if (tw_duration_parse(value + 1, &ago_ns) || ago_ns >= now_ns)
            return TW_EINVAL;
        *ret_ns = now_ns - ago_ns;
        return TW_OK;
    }
    if ((size_t)snprintf(text, sizeof text, "%s", value) >= sizeof text)
        return TW_EINVAL;
    restore_plus(text);
    if (tw_wall_parse(text, &t) || t.ns <= 0) /* 0 would mean "the default" */
        return TW_EINVAL;
    *ret_ns = t.ns;
    return TW_OK;
}

static enum tw_rc parse_number(const char *value, unsigned long max, uint32_t *ret)
{
    unsigned long n;
    char *end;

    if (!*value || strspn(value, "0123456789") != strlen(value))
        return TW_EINVAL;
    errno = 0;
    n = strtoul(value, &end, 10);
    if (errno || n < 1 || n > max)
        return TW_EINVAL;
    *ret = (uint32_t)n;
    return TW_OK;
}

static enum tw_rc parse_probes(const char *value, uint64_t *ret)
{
    uint32_t n;

    if (parse_number(value, UINT32_MAX, &n))
        return TW_EINVAL;
    *ret = n;
    return TW_OK;
}

/* Round trip is a direction of delays, not of losses. */
static enum tw_rc parse_direction(const char *value, enum tw_direction *ret)
{
    enum tw_direction d;

    if (tw_direction_parse(value, &d) || d == TW_ROUNDTRIP)
        return TW_EINVAL;
    *ret = d;
    return TW_OK;
}

static enum tw_rc parse_span(const char *value, int64_t *ret_ns)
{
    int64_t ns;

    if (tw_duration_parse(value, &ns) || ns < TW_NS_PER_US || ns > 86400 * TW_NS_PER_S)
        return TW_EINVAL;
    *ret_ns = ns;
    return TW_OK;
}

static enum tw_rc parse_flow(const char *value, struct report_filter *f)
{
    uint64_t n = 0;

    if (!*value || strlen(value) > 10 || strspn(value, "0123456789") != strlen(value) ||
        (n = strtoull(value, NULL, 10)) > UINT32_MAX)
        return TW_EINVAL;
    f->one_flow = true;
    f->flow = (uint32_t)n;
    return TW_OK;
}

static enum tw_rc parse_bool(const char *value, bool *ret)
{
    if (!strcmp(value, "1") || !strcmp(value, "true"))
        *ret = true;
    else if (!strcmp(value, "0") || !strcmp(value, "false"))
        *ret = false;
    else
        return TW_EINVAL;
    return TW_OK;
}

static enum tw_rc parse_name(const char *value, char *ret)
{
    size_t len = strlen(value);

    if (len >= STORE_NAME_MAX)
        return TW_EINVAL;
    memcpy(ret, value, len + 1);
    return TW_OK;
}

/* ---- Parameters ---- */

#define A_TIME "a time: RFC 3339, Unix seconds, or a duration before now such as -15m"
#define A_NAME "a name of at most 63 octets"
#define A_SELECTOR "a selector of labels such as site=ams,role!=edge"

static const struct {
    const char *name;
    unsigned bit;
    size_t offset; /* in struct report_filter */
    const char *expected;
} params[] = {
    { "mesh", QUERY_MESH, offsetof(struct report_filter, mesh), A_NAME },
    { "class", QUERY_CLASS, offsetof(struct report_filter, class_name), A_NAME },
    { "source", QUERY_SOURCE, offsetof(struct report_filter, source), A_NAME },
    { "target", QUERY_TARGET, offsetof(struct report_filter, target), A_NAME },
    { "from", QUERY_FROM, offsetof(struct report_filter, from_ns), A_TIME },
    { "to", QUERY_TO, offsetof(struct report_filter, to_ns), A_TIME },
    { "limit", QUERY_LIMIT, offsetof(struct report_filter, limit), "a whole number from 1 to 100000" },
    { "latest", QUERY_LATEST, offsetof(struct report_filter, latest), "0, 1, false or true" },
    { "flows", QUERY_FLOWS, offsetof(struct report_filter, flows), "0, 1, false or true" },
    { "min_probes", QUERY_MIN_PROBES, offsetof(struct report_filter, min_probes),
      "a whole number of lost probes, 1 or more" },
    { "min_duration", QUERY_MIN_DURATION, offsetof(struct report_filter, min_duration_ns),
      "a duration such as 200ms" },
    { "direction", QUERY_DIRECTION, offsetof(struct report_filter, direction),
      "forward, backward, mixed or unknown" },
    { "at", QUERY_AT, offsetof(struct report_filter, at_ns), A_TIME },
    { "span", QUERY_SPAN, offsetof(struct report_filter, span_ns), "a duration from 1us to 24h such as 10s" },
    { "select", QUERY_SELECT, offsetof(struct report_filter, select), A_SELECTOR },
    { "target_select", QUERY_TARGET_SELECT, offsetof(struct report_filter, target_select), A_SELECTOR },
    { "by", QUERY_BY, offsetof(struct report_filter, group_by), "pair, source, target, agent, mesh, class or label:KEY" },
    { "sort", QUERY_SORT, offsetof(struct report_filter, sort_by), "a number of the report by its name, such as loss_ratio" },
    { "top", QUERY_TOP, offsetof(struct report_filter, top), "a whole number from 1 to 100000" },
    { "before_from", QUERY_BEFORE_FROM, offsetof(struct report_filter, before_from_ns), A_TIME },
    { "before_to", QUERY_BEFORE_TO, offsetof(struct report_filter, before_to_ns), A_TIME },
    { "format", QUERY_FORMAT, offsetof(struct report_filter, format), "json, csv, ndjson or html" },
    { "metric", QUERY_METRIC, offsetof(struct report_filter, metric), "loss, p50, p95, p99 or jitter" },
    { "points", QUERY_POINTS, offsetof(struct report_filter, points), "a whole number from 1 to 2000" },
    { "heat", QUERY_HEAT, offsetof(struct report_filter, heat), "forward, backward or roundtrip" },
    { "flow", QUERY_FLOW, offsetof(struct report_filter, flow), "a whole number from 0 to 4294967295" },
};

const char *query_param_name(size_t n, unsigned *ret_bit, const char **ret_expected)
{
    if (n >= TW_NELEM(params))
        return NULL;
    *ret_bit = params[n].bit;
    *ret_expected = params[n].expected;
    return params[n].name;
}

/* What it means is report_filter_resolve()'s to say. */
static enum tw_rc copy_word(const char *value, char *ret, size_t size)
{
    if (strlen(value) >= size)
        return TW_EINVAL;
    strcpy(ret, value);
    return TW_OK;
}

static enum tw_rc parse_format(const char *value, enum report_format *ret)
{
    static const char *const names[] = { "json", "csv", "ndjson", "html" };

    for (size_t i = 0; i < TW_NELEM(names); i++)
        if (!strcmp(names[i], value)) {
            *ret = (enum report_format)i;
            return TW_OK;
        }
    return TW_EINVAL;
}

static enum tw_rc parse_selector(const char *text, char dst[SELECTOR_TEXT_MAX])
{
    struct selector *sel;
    enum tw_rc rc = selector_parse(text, &sel, NULL);

    if (rc != TW_OK)
        return rc;
    selector_free(sel);
    strcpy(dst, text); /* what is longer is no selector */
    return TW_OK;
}

static enum tw_rc set_param(size_t row, const char *value, int64_t now_ns, struct report_filter *f)
{
    void *field = (char *)f + params[row].offset;

    if (params[row].bit & QUERY_TEXTS)
        return parse_name(value, field);
    if (params[row].bit & (QUERY_FROM | QUERY_TO | QUERY_AT | QUERY_BEFORE_FROM | QUERY_BEFORE_TO))
        return query_time(value, now_ns, field);
    switch (params[row].bit) {
    case QUERY_BY:
        return copy_word(value, field, sizeof f->group_by);
    case QUERY_SORT:
        return copy_word(value, field, sizeof f->sort_by);
    case QUERY_FORMAT:
        return parse_format(value, field);
    case QUERY_TOP:
    case QUERY_LIMIT:
        return parse_number(value, QUERY_LIMIT_MAX, field);
    case QUERY_MIN_PROBES:
        return parse_probes(value, field);
    case QUERY_MIN_DURATION:
        return tw_duration_parse(value, field);
    case QUERY_DIRECTION:
        f->by_direction = true;
        return parse_direction(value, field);
    case QUERY_SELECT:
    case QUERY_TARGET_SELECT:
        return parse_selector(value, field);
    case QUERY_POINTS:
        return parse_number(value, SERIES_POINTS_MAX, field);
    case QUERY_HEAT:
        return tw_direction_parse(value, field) == TW_OK && f->heat <= TW_ROUNDTRIP ? TW_OK : TW_EINVAL;
    case QUERY_METRIC:
        return cell_metric_parse(value, field) ? TW_OK : TW_EINVAL;
    case QUERY_SPAN:
        return parse_span(value, field);
    case QUERY_FLOW:
        return parse_flow(value, f);
    default:
        return parse_bool(value, field);
    }
}

static enum tw_rc refuse_unknown(const char *name, unsigned known, struct tw_err *err)
{
    char list[512] = "";
    size_t len = 0;

    for (size_t i = 0; i < TW_NELEM(params); i++)
        if (known & params[i].bit)
            len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "", params[i].name);
    return tw_err_set(err, TW_EINVAL, "unknown parameter \"%.63s\"; known: %s", name, len ? list : "none");
}

static enum tw_rc take_param(const struct query_param *q, unsigned known, int64_t now_ns, unsigned *seen,
                             struct report_filter *f, struct tw_err *err)
{
    size_t i = 0;

    while (i < TW_NELEM(params) && strcmp(params[i].name, q->name) != 0)
        i++;
    if (i == TW_NELEM(params) || !(params[i].bit & known))
        return refuse_unknown(q->name, known, err);
    if (*seen & params[i].bit)
        return tw_err_set(err, TW_EINVAL, "parameter \"%s\" is given twice", q->name);
    if (!*q->value)
        return TW_OK;
    *seen |= params[i].bit;
    if (set_param(i, q->value, now_ns, f))
        return tw_err_set(err, TW_EINVAL, "parameter \"%s\" is \"%.63s\"; expected %s", q->name, q->value,
                          params[i].expected);
    return TW_OK;
}

enum tw_rc query_filter(const struct query_param *q, size_t n, unsigned known, int64_t now_ns,
                        struct report_filter *ret, struct tw_err *err)
{
    struct report_filter f = { .heat = TW_ROUNDTRIP };
    unsigned seen = 0;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && i < n; i++)
        rc = take_param(&q[i], known, now_ns, &seen, &f, err);
    if (!rc && f.latest && seen & (QUERY_FROM | QUERY_TO))
        rc = tw_err_set(err, TW_EINVAL, "\"latest\" goes without \"from\" and \"to\"");
    if (!rc)
        rc = report_filter_resolve(&f, now_ns, err);
    if (!rc)
        *ret = f;
    return rc;
}

/* ---- Levels ---- */

enum tw_rc query_levels(const char *value, unsigned *ret, struct tw_err *err)
{
    static const struct {
        const char *name;
        unsigned bit;
    } levels[] = { { "pair", METRICS_PAIR },      { "agent", METRICS_AGENT },
                   { "site", METRICS_SITE },      { "mesh", METRICS_MESH },
                   { "twampy", METRICS_TWAMPY },  { "nodegraph", METRICS_EDGES },
                   { "fleet", QUERY_LEVEL_FLEET } };

    for (;;) {
        size_t len = strcspn(value, ","), i = 0;
        while (i < TW_NELEM(levels) &&
               (strlen(levels[i].name) != len || memcmp(levels[i].name, value, len) != 0))
            i++;
        if (i == TW_NELEM(levels))
            return tw_err_set(err, TW_EINVAL,
                              "level \"%.*s\" is unknown; expected pair, agent, site, mesh, fleet, twampy or "
                              "nodegraph",
                              (int)(len < 63 ? len : 63), value);
        *ret |= levels[i].bit;
        if (!value[len])
            return TW_OK;
        value += len + 1;
    }
}
