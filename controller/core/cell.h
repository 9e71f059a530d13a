/* controller/core/cell.h - what a cell of the matrix shows of a pair: one metric in each direction, and how
 * bad that is by the alert rules that apply to the pair. Pure.
 *
 * A cell is judged by the number that it shows: a rule that wants it for a while (for), or over a longer time
 * (over), says so here without the wait. Round trip of loss is all loss; unknown is what cannot be told the
 * direction of. */
#ifndef TW_CONTROLLER_CORE_CELL_H
#define TW_CONTROLLER_CORE_CELL_H

#include "controller/core/alert_rule.h"

enum cell_metric { CELL_LOSS, CELL_P50, CELL_P95, CELL_P99, CELL_JITTER, CELL_METRICS };
const char *cell_metric_name(enum cell_metric m); /* "loss", "p50", ... */
bool cell_metric_parse(const char *text, enum cell_metric *ret);
const char *cell_metric_unit(enum cell_metric m); /* "ratio", "s" */

#define CELL_DIRECTIONS 4 /* TW_FORWARD, TW_BACKWARD, TW_ROUNDTRIP, TW_UNKNOWN */
/* Unknown where there is none; one-way delays that the clocks do not bear out are withheld. */
struct tw_num cell_number(enum cell_metric m, const struct stats_view *v, enum tw_direction d);
/* Soon that metric will be asked for, in all directions. */
void cell_fetch(enum cell_metric m, const struct stats_view *v);
bool cell_is_withheld(enum cell_metric m, const struct stats_view *v);

/* The slot of alert rules by which a direction is judged; a direction of loss without a rule of its own goes
 * by that of all loss. picked: as from alert_rules_pick(). ALERT_SLOTS: by none. */
unsigned cell_slot(enum cell_metric m, enum tw_direction d, const uint16_t picked[ALERT_SLOTS]);

#define CELL_NOT_JUDGED (-1)
/* 0: good, else 1 + enum alert_severity; CELL_NOT_JUDGED: the number is not known, the rule is off, says
 * nothing of so few probes, or goes by a baseline that is not known yet. */
int cell_severity(const struct alert_rule *r, struct tw_num baseline, const struct stats_view *v,
                  struct tw_num number);

#endif
