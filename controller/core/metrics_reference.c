/* What the tables say about themselves. */
#include "controller/core/metrics_families.h"

#include <stdio.h>
#include <string.h>

/* ---- For plans and for the reference ---- */

static unsigned series_of(const struct level *l)
{
    unsigned n = 0;

    for (size_t i = 0; i < l->n; i++)
        for (size_t k = 0; k < l->families[i].n; k++)
            n += l->families[i].samples[k].kind == METRIC_HIST ? METRICS_LE_N + 3 : 1;
    return n;
}

unsigned metrics_series_per_pair(void)
{
    return series_of(&level_pair) - 1; /* pair_maintenance is hardly ever shown */
}

unsigned metrics_series_per_group(void)
{
    return series_of(&level_agent);
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
    static const struct level *const levels[] = { &level_pair, &level_agent, &level_mesh, &level_fleet };

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
