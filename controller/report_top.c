/* The worst of a report's pairs or groups. */
#include <stdlib.h>
#include <string.h>
#include "common/stats_compare.h"
#include "controller/report_group.h"

#define COMPLETENESS "completeness_ratio"

enum tw_rc report_sort_check(const char *name, struct tw_err *err)
{
    const struct stats_field *f = stats_field_find(name);

    if (!*name || !strcmp(name, COMPLETENESS) || (f && f->kind != STATS_TEXT))
        return TW_OK;
    return tw_err_set(
        err, TW_EINVAL,
        "\"%.63s\" is no number of a report; expected one such as loss_ratio, availability_ratio or "
        "delay_roundtrip_p99_seconds",
        name);
}

struct ranked {
    struct tw_num value; /* greater is worse */
    size_t at;
};

static int cmp_ranked(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;

    if (a->value.known != b->value.known)
        return a->value.known ? -1 : 1;
    if (a->value.known && a->value.value != b->value.value)
        return a->value.value > b->value.value ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static struct tw_num rank(const char *name, const struct stats_view *v, struct tw_num completeness)
{
    struct tw_num n = !strcmp(name, COMPLETENESS) ? completeness : stats_number(v, stats_field_find(name));

    if (stats_low_is_worse(name))
        n.value = -n.value;
    return n;
}

/* Puts v, of n elements, into the order of `ranked`. */
static bool reorder(void *v, size_t n, size_t size, const struct ranked *ranked)
{
    char *copy = malloc(n * size + 1);

    if (!copy)
        return false;
    for (size_t i = 0; i < n; i++)
        memcpy(copy + i * size, (char *)v + ranked[i].at * size, size);
    memcpy(v, copy, n * size);
    free(copy);
    return true;
}

/* Without memory they stay in order of their names. */
void report_sort(struct report *r, const char *name, uint32_t top)
{
    bool groups = r->groups != NULL;
    size_t n = groups ? r->n_groups : r->n_pairs;
    struct ranked *ranked = *name ? malloc((n + 1) * sizeof *ranked) : NULL;

    for (size_t i = 0; ranked && i < n; i++)
        ranked[i] = (struct ranked){ groups ? rank(name, &r->groups[i].view, r->groups[i].completeness_ratio)
                                            : rank(name, &r->pairs[i].view, r->pairs[i].completeness_ratio),
                                     i };
    if (ranked) {
        qsort(ranked, n, sizeof *ranked, cmp_ranked);
        if (groups)
            reorder(r->groups, n, sizeof *r->groups, ranked);
        else
            reorder(r->pairs, n, sizeof *r->pairs, ranked);
    }
    free(ranked);
    for (; top && groups && r->n_groups > top; r->n_groups--)
        summary_free(&r->groups[r->n_groups - 1].merged);
    for (; top && !groups && r->n_pairs > top; r->n_pairs--)
        report_pair_free(&r->pairs[r->n_pairs - 1]);
}
