#include "controller/core/cell.h"
#include <string.h>

static const struct {
    const char *name, *unit;
    enum alert_metric rule;
    bool judged; /* there are such rules */
} metrics[CELL_METRICS] = {
    [CELL_LOSS] = { "loss", "ratio", ALERT_LOSS, true },   [CELL_P50] = { "p50", "s", ALERT_P95, false },
    [CELL_P95] = { "p95", "s", ALERT_P95, true },          [CELL_P99] = { "p99", "s", ALERT_P95, false },
    [CELL_JITTER] = { "jitter", "s", ALERT_JITTER, true },
};

const char *cell_metric_name(enum cell_metric m)
{
    return metrics[m].name;
}

bool cell_metric_parse(const char *text, enum cell_metric *ret)
{
    for (unsigned i = 0; i < CELL_METRICS; i++)
        if (!strcmp(text, metrics[i].name)) {
            *ret = (enum cell_metric)i;
            return true;
        }
    return false;
}

const char *cell_metric_unit(enum cell_metric m)
{
    return metrics[m].unit;
}

static struct tw_num loss(const struct stats_view *v, enum tw_direction d)
{
    switch (d) {
    case TW_FORWARD:
        return v->loss_forward_ratio;
    case TW_BACKWARD:
        return v->loss_backward_ratio;
    case TW_ROUNDTRIP:
        return v->loss_ratio;
    default:
        return v->loss_unknown_ratio;
    }
}

void cell_fetch(enum cell_metric m, const struct stats_view *v)
{
    __builtin_prefetch(&v->end_ns);
    if (m == CELL_LOSS) {
        __builtin_prefetch(&v->loss_ratio);
        __builtin_prefetch(&v->loss_unknown_ratio);
        return;
    }
    __builtin_prefetch(&v->one_way_valid);
    for (enum tw_direction d = TW_FORWARD; d <= TW_ROUNDTRIP; d++) {
        __builtin_prefetch(&v->delay[d].count);
        __builtin_prefetch(m == CELL_JITTER ? &v->delay[d].jitter_rfc3550_s : &v->delay[d].p95_s);
    }
}

/* Jitter is of differences, which clocks that are off do not spoil. */
bool cell_is_withheld(enum cell_metric m, const struct stats_view *v)
{
    return m != CELL_LOSS && m != CELL_JITTER && !v->one_way_valid &&
           (v->delay[TW_FORWARD].count || v->delay[TW_BACKWARD].count);
}

struct tw_num cell_number(enum cell_metric m, const struct stats_view *v, enum tw_direction d)
{
    const struct tw_num none = { 0 };

    if (m == CELL_LOSS)
        return loss(v, d);
    if (d > TW_ROUNDTRIP || (d != TW_ROUNDTRIP && m != CELL_JITTER && !v->one_way_valid))
        return none;
    switch (m) {
    case CELL_P50:
        return v->delay[d].p50_s;
    case CELL_P95:
        return v->delay[d].p95_s;
    case CELL_P99:
        return v->delay[d].p99_s;
    default:
        return v->delay[d].jitter_rfc3550_s;
    }
}

unsigned cell_slot(enum cell_metric m, enum tw_direction d, const uint16_t picked[ALERT_SLOTS])
{
    enum tw_direction all = m == CELL_LOSS ? TW_UNKNOWN : TW_ROUNDTRIP;
    unsigned own = alert_slot(metrics[m].rule, d == TW_ROUNDTRIP ? all : d);

    if (!metrics[m].judged || d > TW_ROUNDTRIP)
        return ALERT_SLOTS;
    if (picked[own])
        return own;
    own = alert_slot(metrics[m].rule, all);
    return m == CELL_LOSS && picked[own] ? own : ALERT_SLOTS;
}

int cell_severity(const struct alert_rule *r, struct tw_num baseline, const struct stats_view *v,
                  struct tw_num number)
{
    const struct alert_facts f = { .start_ns = v->start_ns, .end_ns = v->end_ns, .view = v };
    int worst = 0;

    if (r->off || !number.known || (r->relative && !baseline.known) || !alert_rule_value(r, &f).known)
        return CELL_NOT_JUDGED;
    for (int s = 0; s < ALERT_SEVERITY_COUNT; s++)
        if (r->level[s].given && number.value >= alert_rule_raise(r, (enum alert_severity)s, baseline.value))
            worst = s + 1;
    return worst;
}
