#include "controller/core/alert_rule.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum alert_unit unit;
    bool low;
    unsigned directions; /* bits */
} metrics[ALERT_METRIC_COUNT] = {
    [ALERT_LOSS] = { "loss", ALERT_RATIO, false, 1u << TW_FORWARD | 1u << TW_BACKWARD | 1u << TW_UNKNOWN },
    [ALERT_P95] = { "p95", ALERT_SECONDS, false, 1u << TW_FORWARD | 1u << TW_BACKWARD | 1u << TW_ROUNDTRIP },
    [ALERT_JITTER] = { "jitter", ALERT_SECONDS, false,
                       1u << TW_FORWARD | 1u << TW_BACKWARD | 1u << TW_ROUNDTRIP },
    [ALERT_AVAILABILITY] = { "availability", ALERT_RATIO, true, 1u << TW_UNKNOWN },
    [ALERT_NO_DATA] = { "no_data", ALERT_SECONDS, false, 1u << TW_UNKNOWN },
    [ALERT_CLOCK] = { "clock", ALERT_SECONDS, false, 1u << TW_UNKNOWN },
    [ALERT_COMPLETENESS] = { "completeness", ALERT_RATIO, true, 1u << TW_UNKNOWN },
    [ALERT_ROUTE] = { "route", ALERT_HOPS, false, 1u << TW_FORWARD | 1u << TW_BACKWARD },
    [ALERT_AGENT_DOWN] = { "agent_down", ALERT_SECONDS, false, 1u << TW_UNKNOWN },
};
static const char *const severities[] = { "info", "warning", "critical" };

const char *alert_metric_name(enum alert_metric m)
{
    return metrics[m].name;
}

bool alert_metric_parse(const char *text, enum alert_metric *ret)
{
    for (unsigned i = 0; i < ALERT_METRIC_COUNT; i++)
        if (!strcmp(text, metrics[i].name)) {
            *ret = (enum alert_metric)i;
            return true;
        }
    return false;
}

enum alert_unit alert_metric_unit(enum alert_metric m)
{
    return metrics[m].unit;
}

bool alert_metric_low_is_bad(enum alert_metric m)
{
    return metrics[m].low;
}

bool alert_metric_takes(enum alert_metric m, enum tw_direction d)
{
    return d < TW_MIXED && metrics[m].directions >> d & 1;
}

static const char *seconds_text(double s, char buf[ALERT_VALUE_TEXT])
{
    double abs = s < 0 ? -s : s;

    if (abs < 1e-3)
        snprintf(buf, ALERT_VALUE_TEXT, "%.3gus", s * 1e6);
    else if (abs < 1)
        snprintf(buf, ALERT_VALUE_TEXT, "%.3gms", s * 1e3);
    else if (abs < 120)
        snprintf(buf, ALERT_VALUE_TEXT, "%.3gs", s);
    else
        snprintf(buf, ALERT_VALUE_TEXT, "%.0fs", s);
    return buf;
}

const char *alert_value_text(enum alert_metric m, struct tw_num v, char buf[ALERT_VALUE_TEXT])
{
    if (!v.known)
        snprintf(buf, ALERT_VALUE_TEXT, "unknown");
    else if (metrics[m].unit == ALERT_SECONDS)
        return seconds_text(v.value, buf);
    else if (metrics[m].unit == ALERT_RATIO)
        snprintf(buf, ALERT_VALUE_TEXT, "%.4g%%", v.value * 100);
    else
        snprintf(buf, ALERT_VALUE_TEXT, "%.3g hop%s", v.value, v.value == 1 ? "" : "s");
    return buf;
}

const char *alert_severity_name(enum alert_severity s)
{
    return severities[s];
}

bool alert_severity_parse(const char *text, enum alert_severity *ret)
{
    for (unsigned i = 0; i < ALERT_SEVERITY_COUNT; i++)
        if (!strcmp(text, severities[i])) {
            *ret = (enum alert_severity)i;
            return true;
        }
    return false;
}

const char *alert_scope_name(enum alert_scope s)
{
    static const char *const names[] = { "default", "class", "group", "pair" };

    return names[s];
}

/* ---- Life ---- */

void alert_rules_init(struct alert_rules *r)
{
    *r = (struct alert_rules){ .site_label = "site",
                               .sites = true,
                               .agents = true,
                               .share = 0.8,
                               .min_peers = 2,
                               .wait_ns = 15 * TW_NS_PER_S,
                               .repeat_ns = 4 * 3600 * TW_NS_PER_S,
                               .freeze = true };
}

static void clear_receiver(struct alert_receiver *r)
{
    free(r->url);
    free(r->token_file);
    free(r->from);
    free(r->sendmail);
    for (size_t i = 0; i < r->n_args; i++)
        free(r->argv[i]);
}

void alert_rules_clear(struct alert_rules *r)
{
    for (size_t i = 0; i < r->n_rules; i++) {
        struct alert_rule *rule = &r->rules[i];

        selector_free(rule->select);
        selector_free(rule->target_select);
        selector_free(rule->group);
        free(rule->select_text);
        free(rule->target_select_text);
        free(rule->group_text);
    }
    for (size_t i = 0; i < r->n_receivers; i++)
        clear_receiver(&r->receivers[i]);
    for (size_t i = 0; i < r->n_routes; i++) {
        selector_free(r->routes[i].match);
        free(r->routes[i].match_text);
    }
    free(r->rules);
    free(r->receivers);
    free(r->routes);
    *r = (struct alert_rules){ 0 };
}

/* ---- Which rule is whose ---- */

static bool differs(const char *wanted, const char *is)
{
    return wanted[0] && strcmp(wanted, is) != 0;
}

static bool labels_match(const struct selector *sel, const struct tw_label *labels, size_t n,
                         const char *name)
{
    return !sel || selector_match(sel, labels, n, name);
}

enum alert_verdict alert_rule_match(const struct alert_rule *r, const struct alert_subject *s)
{
    bool source, target;

    if ((r->metric == ALERT_AGENT_DOWN) != !s->target[0])
        return ALERT_OTHER_KIND;
    if (differs(r->mesh, s->mesh))
        return ALERT_OTHER_MESH;
    if (differs(r->class_name, s->class_name))
        return ALERT_OTHER_CLASS;
    if (differs(r->source, s->source))
        return ALERT_OTHER_SOURCE;
    if (differs(r->target, s->target))
        return ALERT_OTHER_TARGET;
    if (!labels_match(r->select, s->source_labels, s->n_source_labels, s->source))
        return ALERT_SOURCE_LABELS;
    if (!labels_match(r->target_select, s->target_labels, s->n_target_labels, s->target))
        return ALERT_TARGET_LABELS;
    source = labels_match(r->group, s->source_labels, s->n_source_labels, s->source);
    target = s->target[0] && labels_match(r->group, s->target_labels, s->n_target_labels, s->target);
    return source || target ? ALERT_APPLIES : ALERT_GROUP_LABELS;
}

static unsigned rank(const struct alert_rule *r)
{
    unsigned extra = !!r->mesh[0] + !!r->class_name[0] + !!r->select + !!r->target_select + !!r->group;

    return (unsigned)r->scope * 16 + extra;
}

void alert_rules_pick(const struct alert_rules *r, const struct alert_subject *s, uint16_t ret[ALERT_SLOTS])
{
    memset(ret, 0, ALERT_SLOTS * sizeof *ret);
    for (size_t i = 0; i < r->n_rules; i++) {
        const struct alert_rule *rule = &r->rules[i];
        uint16_t *at = &ret[alert_slot(rule->metric, rule->direction)];

        if (alert_rule_match(rule, s) == ALERT_APPLIES && (!*at || rank(rule) > rank(&r->rules[*at - 1])))
            *at = (uint16_t)(i + 1);
    }
}

enum alert_verdict alert_rules_explain(const struct alert_rules *r, const struct alert_subject *s, size_t i,
                                       size_t *ret_other)
{
    uint16_t picked[ALERT_SLOTS];
    const struct alert_rule *rule = &r->rules[i], *first;
    enum alert_verdict v = alert_rule_match(rule, s);

    *ret_other = i;
    if (v != ALERT_APPLIES)
        return v;
    alert_rules_pick(r, s, picked);
    *ret_other = picked[alert_slot(rule->metric, rule->direction)] - 1u;
    first = &r->rules[*ret_other];
    if (first == rule)
        return ALERT_APPLIES;
    return rank(first) > rank(rule) ? ALERT_LESS_SPECIFIC : ALERT_LATER;
}

const char *alert_verdict_text(enum alert_verdict v)
{
    static const char *const texts[] = {
        [ALERT_APPLIES] = "applies",
        [ALERT_OTHER_MESH] = "is of another mesh",
        [ALERT_OTHER_CLASS] = "is of another class",
        [ALERT_OTHER_SOURCE] = "is of another source",
        [ALERT_OTHER_TARGET] = "is of another target",
        [ALERT_SOURCE_LABELS] = "the source's labels do not match its select",
        [ALERT_TARGET_LABELS] = "the target's labels do not match its target_select",
        [ALERT_GROUP_LABELS] = "the labels of neither end match its group",
        [ALERT_OTHER_KIND] = "is not about this kind of thing",
        [ALERT_LESS_SPECIFIC] = "a more specific rule goes first",
        [ALERT_LATER] = "an equally specific rule stands before it",
    };

    return texts[v];
}

/* ---- Numbers ---- */

double alert_rule_raise(const struct alert_rule *r, enum alert_severity s, double baseline)
{
    double factor = r->level[s].raise;

    if (!r->relative)
        return factor;
    return baseline * factor > baseline + r->at_least ? baseline * factor : baseline + r->at_least;
}

static struct tw_num known(double v)
{
    return (struct tw_num){ true, v };
}

static struct tw_num loss(enum tw_direction d, const struct stats_view *v)
{
    return d == TW_FORWARD    ? v->loss_forward_ratio
           : d == TW_BACKWARD ? v->loss_backward_ratio
                              : v->loss_ratio;
}

/* A one-way number that the clocks do not bear out is none. */
static struct tw_num delay(const struct alert_rule *r, const struct stats_view *v)
{
    const struct stats_delay *d = &v->delay[r->direction];

    if (r->metric == ALERT_JITTER)
        return d->jitter_rfc3550_s;
    return r->direction == TW_ROUNDTRIP || v->one_way_valid ? d->p95_s : (struct tw_num){ 0 };
}

#define UNSYNCED_S 16.0 /* as the kernel says it: clkstate.h */
/* A clock may be wrong by more than it admits: then what the others see of it counts. */
static struct tw_num clock_error(const struct stats_view *v, struct tw_num offset)
{
    double local = v->clock_local_synced ? v->clock_local_error_s : UNSYNCED_S;
    double remote = !v->clock_remote_known   ? 0
                    : v->clock_remote_synced ? v->clock_remote_error_s
                                             : UNSYNCED_S;

    if (remote > local)
        local = remote;
    return known(offset.known && offset.value > local ? offset.value : local);
}

static struct tw_num availability(const struct stats_view *v)
{
    uint64_t judged = v->windows_available + v->windows_unavailable;

    return judged ? known((double)v->windows_available / (double)judged) : (struct tw_num){ 0 };
}

static bool says_nothing(const struct alert_rule *r, const struct stats_view *v)
{
    return v->sent < r->min_probes || !v->sent || (r->skip_trouble && strcmp(v->host_trouble, "none") != 0);
}

struct tw_num alert_rule_value(const struct alert_rule *r, const struct alert_facts *f)
{
    const struct stats_view *v = f->view;

    if (r->metric == ALERT_COMPLETENESS)
        return f->completeness;
    if (!v || says_nothing(r, v))
        return (struct tw_num){ 0 };
    switch (r->metric) {
    case ALERT_LOSS:
        return loss(r->direction, v);
    case ALERT_P95:
    case ALERT_JITTER:
        return delay(r, v);
    case ALERT_AVAILABILITY:
        return availability(v);
    case ALERT_CLOCK:
        return clock_error(v, f->clock_offset);
    default: /* those that are not of one period */
        return (struct tw_num){ 0 };
    }
}

bool alert_rule_parts(const struct alert_rule *r, const struct alert_facts *f, double *ret_part,
                      double *ret_whole)
{
    const struct stats_view *v = f->view;

    if (!v || (r->skip_trouble && strcmp(v->host_trouble, "none") != 0))
        return false;
    if (r->metric == ALERT_AVAILABILITY) {
        *ret_part = (double)v->windows_available;
        *ret_whole = (double)(v->windows_available + v->windows_unavailable);
    } else {
        *ret_part = (double)(r->direction == TW_FORWARD    ? v->lost_forward
                             : r->direction == TW_BACKWARD ? v->lost_backward
                                                           : v->lost);
        *ret_whole = (double)v->sent;
    }
    return *ret_whole > 0;
}
