/* controller/core/metrics_families.h - private to metrics_text.c: the tables of what is on the page. A new
 * metric is one more row. */
#ifndef TW_CONTROLLER_METRICS_FAMILIES_H
#define TW_CONTROLLER_METRICS_FAMILIES_H

#include "common/metrics_lines.h"
#include "controller/core/metrics_text.h"

extern const struct level level_pair, level_agent, level_mesh, level_fleet;

/* Those that are not of an object. */
enum single { SINGLE_BUILD, SINGLE_SUPPRESSED, SINGLE_AGENTS, SINGLE_GENERATION, SINGLE_COUNT };
extern const struct family singles[SINGLE_COUNT];

#endif
