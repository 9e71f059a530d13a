#include "controller/publish_late.h"
#include <stdlib.h>
#include <string.h>

#define WINDOW_NS (60 * TW_NS_PER_S)

static struct late_agent *find(const struct late_table *t, const char *name)
{
    struct late_agent *a;

    HASH_FIND_STR(t->agents, name, a);
    return a;
}

static struct late_agent *make(struct late_table *t, const char *name, struct tw_mono now)
{
    struct late_agent *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    memcpy(a->name, name, strnlen(name, sizeof a->name - 1));
    hist_init(&a->now);
    hist_init(&a->before);
    a->start_ns = now.ns;
    a->window_ns = WINDOW_NS;
    HASH_ADD_STR(t->agents, name, a);
    return a;
}

static void swap(struct late_agent *a)
{
    struct hist h = a->before;

    a->before = a->now;
    a->now = h;
    hist_reset(&a->now);
}

/* Two windows without anything leave nothing of before. */
static void turn(struct late_agent *a, struct tw_mono now)
{
    int64_t age_ns = now.ns - a->start_ns;

    if (age_ns < a->window_ns)
        return;
    swap(a);
    if (age_ns >= 2 * a->window_ns)
        hist_reset(&a->before);
    a->start_ns = now.ns;
    a->window_ns = WINDOW_NS;
}

void late_add(struct late_table *t, const char *source, const struct hist *lateness, int64_t report_period_ns,
              struct tw_mono now)
{
    struct late_agent *a = find(t, source);

    if (!a && !(a = make(t, source, now)))
        return;
    turn(a, now);
    if (a->window_ns < report_period_ns)
        a->window_ns = report_period_ns;
    hist_merge(&a->now, lateness);
}

static struct tw_num in_seconds(int64_t ns)
{
    return (struct tw_num){ true, (double)ns / (double)TW_NS_PER_S };
}

void late_of(const struct late_table *t, const char *source, struct tw_mono now, struct tw_num *ret_p99_s,
             struct tw_num *ret_max_s)
{
    const struct late_agent *a = find(t, source);
    struct hist both;
    int64_t p99_ns;

    *ret_p99_s = *ret_max_s = (struct tw_num){ 0 };
    if (!a || now.ns - a->start_ns >= 2 * a->window_ns)
        return;
    hist_init(&both);
    hist_merge(&both, &a->now);
    if (now.ns - a->start_ns < a->window_ns)
        hist_merge(&both, &a->before);
    if (hist_percentile(&both, 99, &p99_ns) == TW_OK) {
        *ret_p99_s = in_seconds(p99_ns);
        *ret_max_s = in_seconds(both.max_ns);
    }
    hist_free(&both);
}

static void drop(struct late_table *t, struct late_agent *a)
{
    HASH_DEL(t->agents, a);
    hist_free(&a->now);
    hist_free(&a->before);
    free(a);
}

void late_sweep(struct late_table *t, struct tw_mono now)
{
    struct late_agent *a, *next;

    HASH_ITER(hh, t->agents, a, next)
    if (now.ns - a->start_ns >= 4 * a->window_ns)
        drop(t, a);
}

void late_free(struct late_table *t)
{
    struct late_agent *a, *next;

    HASH_ITER(hh, t->agents, a, next)
    drop(t, a);
}
