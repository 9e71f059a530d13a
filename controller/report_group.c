#include "controller/report_group.h"

#include <stdlib.h>
#include <string.h>
#include "controller/report_flows.h"

static const char *const by_names[] = {
    [REPORT_BY_PAIR] = "pair",   [REPORT_BY_SOURCE] = "source", [REPORT_BY_TARGET] = "target",
    [REPORT_BY_AGENT] = "agent", [REPORT_BY_MESH] = "mesh",     [REPORT_BY_CLASS] = "class",
};

enum tw_rc report_by_parse(const char *text, enum report_by *ret, const char **ret_label, struct tw_err *err)
{
    static const char prefix[] = "label:";

    if (!*text) {
        *ret = REPORT_BY_PAIR;
        return TW_OK;
    }
    for (size_t i = 0; i < TW_NELEM(by_names); i++)
        if (!strcmp(by_names[i], text)) {
            *ret = (enum report_by)i;
            return TW_OK;
        }
    if (!strncmp(text, prefix, sizeof prefix - 1) && text[sizeof prefix - 1]) {
        *ret = REPORT_BY_LABEL;
        *ret_label = text + sizeof prefix - 1;
        return TW_OK;
    }
    return tw_err_set(
        err, TW_EINVAL,
        "\"%.80s\" is nothing to group by; expected pair, source, target, agent, mesh, class or label:KEY",
        text);
}

/* ---- Which group ---- */

static int by_key(const void *key, const void *group)
{
    return strcmp(key, ((const struct report_group *)group)->key);
}

/* Where it is in the list in order of keys, or would be. */
static size_t place_of(const struct report *r, const char *key, const uint32_t *order)
{
    size_t low = 0, high = r->n_groups;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (by_key(key, &r->groups[order[mid]]) > 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The groups stand in order of their making while pairs are taken; behind them is room for as many numbers,
 * in order of keys. */
static uint32_t *order_of(struct report *r)
{
    return (uint32_t *)(void *)(r->groups + r->cap_groups);
}

static enum tw_rc grow(struct report *r)
{
    size_t cap = r->cap_groups ? 2 * r->cap_groups : 16;
    struct report_group *more = malloc(cap * (sizeof *more + sizeof(uint32_t)));

    if (!more)
        return TW_ENOMEM;
    if (r->n_groups) {
        memcpy(more, r->groups, r->n_groups * sizeof *more);
        memcpy(more + cap, order_of(r), r->n_groups * sizeof(uint32_t));
    }
    free(r->groups);
    r->groups = more;
    r->cap_groups = cap;
    return TW_OK;
}

static enum tw_rc group_of(struct report *r, const char *key, uint32_t *ret)
{
    struct report_group *g;
    uint32_t *order;
    size_t at;

    if (r->n_groups == r->cap_groups && grow(r))
        return TW_ENOMEM;
    order = order_of(r);
    at = place_of(r, key, order);
    if (at == r->n_groups || strcmp(r->groups[order[at]].key, key) != 0) {
        memmove(&order[at + 1], &order[at], (r->n_groups - at) * sizeof *order);
        order[at] = (uint32_t)r->n_groups;
        g = &r->groups[r->n_groups++];
        *g = (struct report_group){ 0 };
        strncpy(g->key, key, sizeof g->key - 1);
        summary_init(&g->merged);
    }
    *ret = order[at] + 1;
    return TW_OK;
}

static const char *label_of(const struct inventory *inv, const char *agent, const char *key)
{
    const struct agent *a = inventory_agent((struct inventory *)inv, agent);

    for (size_t i = 0; a && i < a->n_labels; i++)
        if (!strcmp(a->labels[i].key, key))
            return a->labels[i].value;
    return "";
}

enum tw_rc report_groups_take(struct report *r, const struct inventory *inv, enum report_by by,
                              const char *label, struct report_pair *p)
{
    const char *first = by == REPORT_BY_TARGET  ? p->pair.target
                        : by == REPORT_BY_MESH  ? p->pair.mesh
                        : by == REPORT_BY_CLASS ? p->pair.class_name
                        : by == REPORT_BY_LABEL ? label_of(inv, p->pair.source, label)
                                                : p->pair.source;
    enum tw_rc rc;

    if (by == REPORT_BY_PAIR)
        return TW_OK;
    rc = group_of(r, first, &p->groups[0]);
    if (!rc && by == REPORT_BY_AGENT && inventory_agent((struct inventory *)inv, p->pair.target))
        rc = group_of(r, p->pair.target, &p->groups[1]);
    return rc;
}

/* ---- Their numbers ---- */

void report_groups_add(struct report *r, const struct report_pair *p)
{
    for (int i = 0; i < 2; i++)
        if (p->groups[i])
            summary_merge(&r->groups[p->groups[i] - 1].merged, &p->merged);
}

static void count_pair(struct report_group *g, const struct report_pair *p)
{
    g->pairs++;
    g->periods_expected += p->periods_expected;
    g->periods_stored += p->periods_stored;
    g->loss_runs += p->merged.loss_runs;
    if (p->covers_from_ns < p->covers_to_ns) {
        bool first = g->covers_from_ns >= g->covers_to_ns;
        if (first || p->covers_from_ns < g->covers_from_ns)
            g->covers_from_ns = p->covers_from_ns;
        if (first || p->covers_to_ns > g->covers_to_ns)
            g->covers_to_ns = p->covers_to_ns;
    }
    if (p->merged.loss_run_longest > g->merged.loss_run_longest)
        g->merged.loss_run_longest = p->merged.loss_run_longest;
    if (p->merged.loss_run_longest_ns > g->merged.loss_run_longest_ns)
        g->merged.loss_run_longest_ns = p->merged.loss_run_longest_ns;
}

static int cmp_groups(const void *a, const void *b)
{
    return strcmp(((const struct report_group *)a)->key, ((const struct report_group *)b)->key);
}

void report_groups_finish(struct report *r)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->n_pairs; i++)
        for (int k = 0; k < 2; k++)
            if (r->pairs[i].groups[k])
                count_pair(&r->groups[r->pairs[i].groups[k] - 1], &r->pairs[i]);
    for (size_t i = 0; i < r->n_groups; i++) {
        struct report_group *g = &r->groups[i];
        if (!g->pairs) {
            summary_free(&g->merged);
            continue;
        }
        g->merged.loss_runs = g->loss_runs; /* as its pairs have them: joined over the ends of periods */
        stats_view(&g->merged, &g->view);
        g->completeness_ratio = report_completeness(g->periods_stored, g->periods_expected);
        r->groups[kept++] = *g;
    }
    r->n_groups = kept;
    if (kept)
        qsort(r->groups, kept, sizeof *r->groups, cmp_groups);
}

void report_groups_free(struct report *r)
{
    for (size_t i = 0; i < r->n_groups; i++)
        summary_free(&r->groups[i].merged);
    free(r->groups);
    r->groups = NULL;
    r->n_groups = r->cap_groups = 0;
}
