/* common/net/thread_list.c - see thread_list.h. */
#include "common/net/thread_list.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_OCTETS 128

enum tw_rc thread_list_init(struct thread_list *l, struct arena *arena, size_t max)
{
    *l = (struct thread_list){ .arena = arena, .v = arena_alloc(arena, max * sizeof *l->v), .max = max };
    return l->v ? TW_OK : TW_ENOMEM;
}

Tw__ThreadState *thread_list_add(struct thread_list *l, uint32_t threads, const char *fmt, ...)
{
    Tw__ThreadState *t = l->n < l->max ? arena_alloc(l->arena, sizeof *t + NAME_MAX_OCTETS) : NULL;
    va_list ap;

    if (!t)
        return NULL;
    tw__thread_state__init(t);
    t->name = (char *)(t + 1);
    va_start(ap, fmt);
    vsnprintf(t->name, NAME_MAX_OCTETS, fmt, ap);
    va_end(ap);
    t->threads = threads;
    l->v[l->n++] = t;
    return t;
}

void thread_put_work(Tw__ThreadState *t, const struct work_stats *w)
{
    if (!t)
        return;
    t->measured = true;
    t->rounds = w->rounds;
    t->working = w->working;
    t->busy_ns = w->busy_ns;
    t->busy_ratio = w->busy_ratio;
    t->longest_ns = w->longest_ns;
    t->quiet_ns = w->quiet_ns;
}

void thread_put_queue(Tw__ThreadState *t, uint64_t queued, uint64_t max, uint64_t dropped)
{
    if (!t)
        return;
    t->queued = queued;
    t->queue_max = max;
    t->dropped = dropped;
}

void thread_list_loop(struct thread_list *l, const struct loop *loop)
{
    Tw__ThreadState *t = thread_list_add(l, 1, "main loop");
    struct loop_stats s;

    loop_stats(loop, &s);
    thread_put_work(t, &s.work);
    if (t)
        t->timers = s.timers;
}

void thread_list_group(struct thread_list *l, const struct thread_group *g)
{
    thread_put_queue(thread_list_add(l, (uint32_t)g->n, "%s", g->group), g->queued, g->queue_max, g->dropped);
    for (size_t i = 0; i < g->n; i++)
        thread_put_work(thread_list_add(l, 1, "%s %zu", g->one, i + 1), &g->work[i]);
}

void thread_list_http(struct thread_list *l, const struct httpd_load *s)
{
    thread_list_group(l, &(struct thread_group){ .group = "http",
                                                 .one = "http",
                                                 .work = s->work,
                                                 .n = HTTPD_THREADS,
                                                 .queued = s->requests,
                                                 .queue_max = s->requests_max,
                                                 .dropped = s->refused });
}
