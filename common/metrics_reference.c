/* What the tables say about themselves. */
#include "common/metrics_families.h"

#include <stdio.h>
#include <string.h>

/* ---- For plans and for the reference ---- */

unsigned metrics_series_of(const struct level *l, bool native)
{
    unsigned n = 0;

    for (size_t i = 0; i < l->n; i++)
        for (size_t k = 0; k < l->families[i].n; k++)
            switch (l->families[i].samples[k].kind) {
            case METRIC_HIST:
                n += METRICS_LE_N + 3;
                break;
            case METRIC_NATIVE:
                n += native;
                break;
            default:
                n++;
            }
    return n;
}

unsigned metrics_series_per_pair(void)
{
    return metrics_series_of(&level_pair, false) - 1; /* pair_maintenance is hardly ever shown */
}

unsigned metrics_series_per_group(void)
{
    return metrics_series_of(&level_agent, false);
}

static void describe(const char *prefix, const char *labels, const struct family *f,
                     struct metrics_description *ret)
{
    *ret = (struct metrics_description){ .type = f->type, .help = f->help };
    snprintf(ret->name, sizeof ret->name, "%s%s", prefix, f->name);
    snprintf(ret->labels, sizeof ret->labels, "%s%s%s", labels, *labels && *f->labels ? ", " : "", f->labels);
}

bool metrics_describe(size_t i, struct metrics_description *ret)
{
    static const struct level *const levels[] = { &level_pair,  &level_agent,  &level_site, &level_mesh,
                                                  &level_fleet, &level_twampy, &level_edges };

    for (size_t k = 0; k < TW_NELEM(levels); i -= levels[k++]->n)
        if (i < levels[k]->n) {
            describe(levels[k]->prefix, levels[k]->labels, &levels[k]->families[i], ret);
            return true;
        }
    if (i >= SINGLE_COUNT)
        return false;
    describe("", "", &singles[i], ret);
    return true;
}
