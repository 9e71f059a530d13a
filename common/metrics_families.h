/* common/metrics_families.h - private to metrics_page.c: the tables of what is on the page. A new
 * metric is one more row. */
#ifndef TW_COMMON_METRICS_FAMILIES_H
#define TW_COMMON_METRICS_FAMILIES_H

#include "common/metrics_lines.h"
#include "common/metrics_page.h"

extern const struct level level_pair, level_agent, level_site, level_mesh, level_fleet;
extern const struct level level_twampy, level_edges; /* metrics_twampy.c: of struct twampy */

/* A pair as the Python tool shows one. */
struct twampy {
    const struct metrics_pair *pair;
    bool fresh, ok;
    struct tw_num min_s[3], avg_s[3], max_s[3], jitter_s[3]; /* by enum tw_direction */
    struct tw_num loss_ratio[3], loss_unknown_ratio;
    uint64_t runs_ok, runs_err;
    char mainstat[32], secondarystat[32], id[4 * 64];
};
void metrics_twampy(const struct metrics_pair *p, struct twampy *ret);

/* Series that one object of a level can have on a page of a format. */
unsigned metrics_series_of(const struct level *l, bool native);

/* Those that are not of an object. */
enum single { SINGLE_BUILD, SINGLE_SUPPRESSED, SINGLE_AGENTS, SINGLE_GENERATION, SINGLE_COUNT };
extern const struct family singles[SINGLE_COUNT];

#endif
