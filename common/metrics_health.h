/* common/metrics_health.h - from an agent's health report to its metrics. */
#ifndef TW_COMMON_METRICS_HEALTH_H
#define TW_COMMON_METRICS_HEALTH_H

#include "common/metrics_page.h"
#include "fleet.pb-c.h"

/* Nothing in *ret points into the report. Name, state, software and generation are the caller's. */
void metrics_take_health(struct metrics_agent *ret, const Tw__HealthReport *h);

#endif
