/* The keys of a rule. What depends on the metric is read when all keys are there. */
#include "controller/alert_doc_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/alert_track.h"

#define DAY_NS (INT64_C(86400) * TW_NS_PER_S)

struct rule_doc {
    struct alert_rule *r;
    const yaml_node_t *map, *direction, *level[ALERT_SEVERITY_COUNT], *baseline, *over, *settle, *pairs_only;
};

static enum tw_rc set_metric(struct doc *d, const yaml_node_t *value, void *into)
{
    const char *names[ALERT_METRIC_COUNT];
    int metric = 0;
    enum tw_rc rc;

    for (int i = 0; i < ALERT_METRIC_COUNT; i++)
        names[i] = alert_metric_name((enum alert_metric)i);
    rc = doc_choice(d, value, names, TW_NELEM(names), &metric);
    ((struct rule_doc *)into)->r->metric = (enum alert_metric)metric;
    return rc;
}

static enum tw_rc set_direction(struct doc *d, const yaml_node_t *value, void *into)
{
    static const char *const names[] = { "forward", "backward", "roundtrip" };
    struct rule_doc *rd = into;
    int direction = 0;
    enum tw_rc rc = doc_choice(d, value, names, TW_NELEM(names), &direction);

    rd->r->direction = (enum tw_direction)direction;
    rd->direction = value;
    return rc;
}

static enum tw_rc set_mesh(struct doc *d, const yaml_node_t *value, void *into)
{
    struct rule_doc *rd = into;

    rd->pairs_only = value;
    return alert_doc_word(d, value, rd->r->mesh);
}

static enum tw_rc set_class(struct doc *d, const yaml_node_t *value, void *into)
{
    struct rule_doc *rd = into;

    rd->pairs_only = value;
    return alert_doc_word(d, value, rd->r->class_name);
}

static enum tw_rc set_source(struct doc *d, const yaml_node_t *value, void *into)
{
    return alert_doc_word(d, value, ((struct rule_doc *)into)->r->source);
}

static enum tw_rc set_target(struct doc *d, const yaml_node_t *value, void *into)
{
    struct rule_doc *rd = into;

    rd->pairs_only = value;
    return alert_doc_word(d, value, rd->r->target);
}

static enum tw_rc set_select(struct doc *d, const yaml_node_t *value, void *into)
{
    struct alert_rule *r = ((struct rule_doc *)into)->r;

    return alert_doc_selector(d, value, &r->select, &r->select_text);
}

static enum tw_rc set_target_select(struct doc *d, const yaml_node_t *value, void *into)
{
    struct rule_doc *rd = into;

    rd->pairs_only = value;
    return alert_doc_selector(d, value, &rd->r->target_select, &rd->r->target_select_text);
}

static enum tw_rc set_group(struct doc *d, const yaml_node_t *value, void *into)
{
    struct alert_rule *r = ((struct rule_doc *)into)->r;

    return alert_doc_selector(d, value, &r->group, &r->group_text);
}

static enum tw_rc set_off(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_bool(d, value, &((struct rule_doc *)into)->r->off);
}

#define SET_LEVEL(name, severity)                                                     \
    static enum tw_rc set_##name(struct doc *d, const yaml_node_t *value, void *into) \
    {                                                                                 \
        (void)d;                                                                      \
        ((struct rule_doc *)into)->level[severity] = value;                           \
        return TW_OK;                                                                 \
    }
SET_LEVEL(info, ALERT_INFO)
SET_LEVEL(warning, ALERT_WARNING)
SET_LEVEL(critical, ALERT_CRITICAL)

static enum tw_rc set_for(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_duration(d, value, 0, 30 * DAY_NS, &((struct rule_doc *)into)->r->for_ns);
}

static enum tw_rc set_clear_for(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_duration(d, value, 0, 30 * DAY_NS, &((struct rule_doc *)into)->r->clear_for_ns);
}

static enum tw_rc set_min_probes(struct doc *d, const yaml_node_t *value, void *into)
{
    int64_t n = 0;
    enum tw_rc rc = doc_integer(d, value, 0, 1000000000, "probes", &n);

    ((struct rule_doc *)into)->r->min_probes = (uint64_t)n;
    return rc;
}

static enum tw_rc set_skip(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_bool(d, value, &((struct rule_doc *)into)->r->skip_trouble);
}

static enum tw_rc set_over(struct doc *d, const yaml_node_t *value, void *into)
{
    struct rule_doc *rd = into;

    rd->over = value;
    return doc_duration(d, value, 60 * TW_NS_PER_S, 30 * DAY_NS, &rd->r->over_ns);
}

static enum tw_rc set_baseline(struct doc *d, const yaml_node_t *value, void *into)
{
    (void)d;
    ((struct rule_doc *)into)->baseline = value;
    return TW_OK;
}

static enum tw_rc set_settle(struct doc *d, const yaml_node_t *value, void *into)
{
    struct rule_doc *rd = into;

    rd->settle = value;
    return doc_duration(d, value, TW_NS_PER_S, 30 * DAY_NS, &rd->r->settle_ns);
}

static const struct doc_key rule_keys[] = {
    { "metric", DOC_TEXT, true, set_metric },
    { "direction", DOC_TEXT, false, set_direction },
    { "mesh", DOC_TEXT, false, set_mesh },
    { "class", DOC_TEXT, false, set_class },
    { "source", DOC_TEXT, false, set_source },
    { "target", DOC_TEXT, false, set_target },
    { "select", DOC_TEXT, false, set_select },
    { "target_select", DOC_TEXT, false, set_target_select },
    { "group", DOC_TEXT, false, set_group },
    { "off", DOC_TEXT, false, set_off },
    { "info", DOC_MAP, false, set_info },
    { "warning", DOC_MAP, false, set_warning },
    { "critical", DOC_MAP, false, set_critical },
    { "for", DOC_TEXT, false, set_for },
    { "clear_for", DOC_TEXT, false, set_clear_for },
    { "min_probes", DOC_TEXT, false, set_min_probes },
    { "skip_host_trouble", DOC_TEXT, false, set_skip },
    { "over", DOC_TEXT, false, set_over },
    { "baseline", DOC_MAP, false, set_baseline },
    { "settle", DOC_TEXT, false, set_settle },
};
const struct alert_doc_table alert_doc_rule = { "rule", rule_keys, TW_NELEM(rule_keys) };

/* ---- What depends on the metric ---- */

static enum tw_rc misplaced(struct doc *d, const yaml_node_t *at, const char *key, const char *belongs)
{
    doc_push(d, ".%s", key);
    return doc_fail(d, at, "belongs to %s", belongs);
}

static enum tw_rc take_direction(struct doc *d, const struct rule_doc *rd)
{
    struct alert_rule *r = rd->r;

    if (!rd->direction)
        r->direction = alert_metric_takes(r->metric, TW_UNKNOWN) ? TW_UNKNOWN
                       : r->metric == ALERT_ROUTE                ? TW_FORWARD
                                                                 : TW_ROUNDTRIP;
    if (alert_metric_takes(r->metric, r->direction))
        return TW_OK;
    doc_push(d, ".direction");
    return doc_fail(d, rd->direction, "metric %s has no direction %s", alert_metric_name(r->metric),
                    tw_direction_name(r->direction));
}

struct level_doc {
    const yaml_node_t *raise, *clear;
};

static enum tw_rc set_raise(struct doc *d, const yaml_node_t *value, void *into)
{
    (void)d;
    ((struct level_doc *)into)->raise = value;
    return TW_OK;
}

static enum tw_rc set_clear(struct doc *d, const yaml_node_t *value, void *into)
{
    (void)d;
    ((struct level_doc *)into)->clear = value;
    return TW_OK;
}

static const struct doc_key level_keys[] = {
    { "raise", DOC_TEXT, true, set_raise },
    { "clear", DOC_TEXT, false, set_clear },
};
const struct alert_doc_table alert_doc_level = { "level", level_keys, TW_NELEM(level_keys) };

static enum tw_rc take_number(struct doc *d, const char *key, const yaml_node_t *node,
                              const struct alert_rule *r, double *ret)
{
    size_t before = doc_push(d, ".%s", key);
    enum tw_rc rc = alert_doc_value(d, node, r, ret);

    if (!rc)
        doc_pop(d, before);
    return rc;
}

static enum tw_rc check_level(struct doc *d, const struct level_doc *ld, const struct alert_rule *r,
                              const struct alert_level *l)
{
    bool low = alert_metric_low_is_bad(r->metric);

    if (low ? l->clear >= l->raise : l->clear <= l->raise)
        return low || l->raise > 0
                   ? TW_OK
                   : (doc_push(d, ".raise"), doc_fail(d, ld->raise, "expected more than 0%%"));
    doc_push(d, ".clear");
    return doc_fail(d, ld->clear,
                    low ? "of %s low is bad: expected a level to end at that is not below raise"
                        : "of %s high is bad: expected a level to end at that is not above raise",
                    alert_metric_name(r->metric));
}

static enum tw_rc take_level(struct doc *d, const yaml_node_t *node, enum alert_severity s,
                             struct alert_rule *r)
{
    struct alert_level *l = &r->level[s];
    struct level_doc ld = { 0 };
    size_t before = doc_push(d, ".%s", alert_severity_name(s));
    enum tw_rc rc = doc_map(d, node, level_keys, TW_NELEM(level_keys), &ld);

    if (!rc)
        rc = take_number(d, "raise", ld.raise, r, &l->raise);
    l->clear = l->raise;
    if (!rc && ld.clear)
        rc = take_number(d, "clear", ld.clear, r, &l->clear);
    if (!rc)
        rc = check_level(d, &ld, r, l);
    if (rc)
        return rc;
    l->given = true;
    doc_pop(d, before);
    return TW_OK;
}

/* A worse severity is not raised earlier. */
static enum tw_rc check_order(struct doc *d, const struct rule_doc *rd)
{
    const struct alert_rule *r = rd->r;
    const struct alert_level *milder = NULL;
    bool low = alert_metric_low_is_bad(r->metric);

    for (unsigned s = 0; s < ALERT_SEVERITY_COUNT; s++) {
        const struct alert_level *l = &r->level[s];

        if (!l->given)
            continue;
        if (milder && (low ? l->raise > milder->raise : l->raise < milder->raise)) {
            doc_push(d, ".%s.raise", alert_severity_name((enum alert_severity)s));
            return doc_fail(d, rd->level[s], "a worse severity is not raised before a milder one");
        }
        milder = l;
    }
    return milder || r->off
               ? TW_OK
               : doc_fail(d, rd->map, "expected a level: info, warning or critical, or off: true");
}

static enum tw_rc take_levels(struct doc *d, const struct rule_doc *rd)
{
    enum tw_rc rc = TW_OK;

    for (unsigned s = 0; s < ALERT_SEVERITY_COUNT && !rc; s++)
        if (rd->level[s])
            rc = take_level(d, rd->level[s], (enum alert_severity)s, rd->r);
    return rc ? rc : check_order(d, rd);
}

/* ---- Baseline ---- */

static enum tw_rc set_base_over(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_duration(d, value, 3600 * TW_NS_PER_S, 90 * DAY_NS, &((struct alert_rule *)into)->baseline_ns);
}

static enum tw_rc set_warm_up(struct doc *d, const yaml_node_t *value, void *into)
{
    return doc_duration(d, value, 60 * TW_NS_PER_S, 90 * DAY_NS, &((struct alert_rule *)into)->warm_up_ns);
}

static enum tw_rc set_at_least(struct doc *d, const yaml_node_t *value, void *into)
{
    struct alert_rule *r = into;
    enum tw_rc rc;

    r->relative = false; /* in the metric's own unit */
    rc = alert_doc_value(d, value, r, &r->at_least);
    r->relative = true;
    return rc;
}

static const struct doc_key baseline_keys[] = {
    { "over", DOC_TEXT, true, set_base_over },
    { "warm_up", DOC_TEXT, false, set_warm_up },
    { "at_least", DOC_TEXT, false, set_at_least },
};
const struct alert_doc_table alert_doc_baseline = { "baseline", baseline_keys, TW_NELEM(baseline_keys) };

static bool may_be_relative(enum alert_metric m)
{
    return m == ALERT_LOSS || m == ALERT_P95 || m == ALERT_JITTER;
}

static enum tw_rc take_baseline(struct doc *d, const struct rule_doc *rd)
{
    struct alert_rule *r = rd->r;
    size_t before;
    enum tw_rc rc;

    if (!rd->baseline)
        return TW_OK;
    if (!may_be_relative(r->metric))
        return misplaced(d, rd->baseline, "baseline", "metric loss, p95 and jitter");
    before = doc_push(d, ".baseline");
    r->relative = true;
    rc = doc_map(d, rd->baseline, baseline_keys, TW_NELEM(baseline_keys), r);
    if (rc)
        return rc;
    if (!r->warm_up_ns)
        r->warm_up_ns = r->baseline_ns / 4;
    if (r->warm_up_ns > r->baseline_ns - 2 * (r->baseline_ns / ALERT_CELLS))
        return doc_push(d, ".warm_up"),
               doc_fail(d, rd->baseline, "expected clearly less than over: so much is never known");
    doc_pop(d, before);
    return TW_OK;
}

/* ---- Rules ---- */

static void set_scope(struct alert_rule *r)
{
    if (r->metric == ALERT_AGENT_DOWN ? r->source[0] : r->source[0] && r->target[0])
        r->scope = ALERT_SCOPE_PAIR;
    else if (r->select || r->target_select || r->group || r->source[0] || r->target[0])
        r->scope = ALERT_SCOPE_GROUP;
    else if (r->class_name[0] || r->mesh[0])
        r->scope = ALERT_SCOPE_CLASS;
}

static enum tw_rc check_keys(struct doc *d, const struct rule_doc *rd)
{
    const struct alert_rule *r = rd->r;

    if (r->metric == ALERT_AGENT_DOWN && rd->pairs_only)
        return doc_fail(d, rd->pairs_only,
                        "metric agent_down is of agents: expected source, select or group");
    if (rd->over && r->metric != ALERT_LOSS && r->metric != ALERT_AVAILABILITY)
        return misplaced(d, rd->over, "over", "metric loss and availability");
    if (rd->settle && r->metric != ALERT_ROUTE)
        return misplaced(d, rd->settle, "settle", "metric route");
    return TW_OK;
}

static enum tw_rc each_rule(struct doc *d, const yaml_node_t *key, const yaml_node_t *value, size_t i,
                            void *into)
{
    struct alert_rules *rules = into;
    struct rule_doc rd = { .r = &rules->rules[i], .map = value };
    enum tw_rc rc;

    rules->n_rules = i + 1;
    *rd.r =
        (struct alert_rule){ .settle_ns = 3600 * TW_NS_PER_S, .line = (unsigned)key->start_mark.line + 1 };
    rc = alert_doc_word(d, key, rd.r->name);
    if (!rc)
        rc = doc_map(d, value, rule_keys, TW_NELEM(rule_keys), &rd);
    if (!rc)
        rc = check_keys(d, &rd);
    if (!rc)
        rc = take_direction(d, &rd);
    if (!rc)
        rc = take_baseline(d, &rd);
    if (!rc)
        rc = take_levels(d, &rd);
    if (rd.r->metric == ALERT_AVAILABILITY && !rd.r->over_ns)
        rd.r->over_ns = 3600 * TW_NS_PER_S;
    set_scope(rd.r);
    return rc;
}

enum tw_rc alert_doc_set_rules(struct doc *d, const yaml_node_t *value, void *into)
{
    struct alert_rules *rules = into;
    size_t n = doc_count(value);

    if (!n || n > ALERT_RULES_MAX)
        return doc_fail(d, value, "expected 1 to %d rules, got %zu", ALERT_RULES_MAX, n);
    rules->rules = calloc(n, sizeof *rules->rules);
    if (!rules->rules)
        return doc_no_memory(d);
    return doc_named(d, value, DOC_MAP, each_rule, rules);
}
