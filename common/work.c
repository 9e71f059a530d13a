/* common/work.c - see work.h. */
#include "common/work.h"

static void put(_Atomic int64_t *a, int64_t v)
{
    atomic_store_explicit(a, v, memory_order_relaxed);
}

static int64_t get(const _Atomic int64_t *a)
{
    return atomic_load_explicit(a, memory_order_relaxed);
}

static void set_window(struct work_window *w, int64_t start_ns, int64_t busy_ns, int64_t longest_ns)
{
    put(&w->start_ns, start_ns);
    put(&w->busy_ns, busy_ns);
    put(&w->longest_ns, longest_ns);
}

void work_init(struct work *w, int64_t now_ns)
{
    atomic_store_explicit(&w->rounds, 0, memory_order_relaxed);
    put(&w->busy_ns, 0);
    put(&w->seen_ns, now_ns);
    put(&w->begun_ns, WORK_WAITS);
    set_window(&w->now, now_ns, 0, 0);
    set_window(&w->before, now_ns, 0, 0);
}

/* A window that is over becomes the one before. After a long time only the end of it counts: there was
 * nothing but waiting, or, at the end of a long round, nothing but work. */
static void turn(struct work *w, int64_t now_ns, bool worked)
{
    int64_t start_ns = get(&w->now.start_ns), busy_ns = get(&w->now.busy_ns);

    if (now_ns - start_ns < WORK_WINDOW_NS)
        return;
    if (now_ns - start_ns < 2 * WORK_WINDOW_NS)
        set_window(&w->before, start_ns, busy_ns, get(&w->now.longest_ns));
    else if (worked)
        set_window(&w->before, now_ns - WORK_WINDOW_NS, busy_ns < WORK_WINDOW_NS ? busy_ns : WORK_WINDOW_NS,
                   get(&w->now.longest_ns));
    else
        set_window(&w->before, now_ns - WORK_WINDOW_NS, 0, 0);
    set_window(&w->now, now_ns, 0, 0);
}

void work_begin(struct work *w, int64_t now_ns)
{
    turn(w, now_ns, false);
    put(&w->seen_ns, now_ns);
    put(&w->begun_ns, now_ns);
}

void work_end(struct work *w, int64_t now_ns)
{
    int64_t took_ns = now_ns - get(&w->begun_ns);

    put(&w->begun_ns, WORK_WAITS);
    put(&w->seen_ns, now_ns);
    put(&w->busy_ns, get(&w->busy_ns) + took_ns);
    put(&w->now.busy_ns, get(&w->now.busy_ns) + took_ns);
    if (took_ns > get(&w->now.longest_ns))
        put(&w->now.longest_ns, took_ns);
    atomic_store_explicit(&w->rounds, atomic_load_explicit(&w->rounds, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    turn(w, now_ns, true);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static double ratio_of(int64_t busy_ns, int64_t span_ns)
{
    if (busy_ns <= 0 || span_ns <= 0)
        return 0;
    return busy_ns < span_ns ? (double)busy_ns / (double)span_ns : 1;
}

void work_look(const struct work *w, int64_t now_ns, struct work_stats *ret)
{
    int64_t begun_ns = get(&w->begun_ns),
            under_way_ns = begun_ns == WORK_WAITS ? 0 : larger(now_ns - begun_ns, 0);
    bool past = now_ns - get(&w->now.start_ns) >= 2 * WORK_WINDOW_NS; /* what is noted is from long ago */
    int64_t noted_ns = past ? 0 : get(&w->now.busy_ns) + get(&w->before.busy_ns),
            from_ns = past ? now_ns - 2 * WORK_WINDOW_NS : get(&w->before.start_ns);

    *ret = (struct work_stats){ .rounds = atomic_load_explicit(&w->rounds, memory_order_relaxed),
                                .busy_ns = get(&w->busy_ns) + under_way_ns,
                                .longest_ns = under_way_ns,
                                .busy_ratio = ratio_of(noted_ns + under_way_ns, now_ns - from_ns),
                                .quiet_ns = larger(now_ns - get(&w->seen_ns), 0),
                                .working = begun_ns != WORK_WAITS };
    if (!past)
        ret->longest_ns = larger(under_way_ns, larger(get(&w->now.longest_ns), get(&w->before.longest_ns)));
}
