/* common/net/thread_list.h - what the threads of a program do, as a list to be sent (twampctl debug threads).
 * Its memory is of an arena; what has no room there is left out. Not thread-safe. */
#ifndef TW_NET_THREAD_LIST_H
#define TW_NET_THREAD_LIST_H

#include "common/net/arena.h"
#include "common/net/httpd.h"
#include "common/net/loop.h"
#include "common/work.h"
#include "fleet.pb-c.h"

struct thread_list {
    struct arena *arena;
    Tw__ThreadState **v; /* `max` of them */
    size_t n, max;
};
/* TW_ENOMEM: `max` are more than the arena has room for. */
enum tw_rc thread_list_init(struct thread_list *l, struct arena *arena, size_t max);
/* NULL: there is no room. Of `threads` of that name; nothing else is said of it yet. */
Tw__ThreadState *thread_list_add(struct thread_list *l, uint32_t threads, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What was measured, and what waits; t NULL: nothing. */
void thread_put_work(Tw__ThreadState *t, const struct work_stats *w);
void thread_put_queue(Tw__ThreadState *t, uint64_t queued, uint64_t max, uint64_t dropped);

/* Whole rows: the main loop; and a group of threads that take from one queue, which has a row of its own:
 * "readers", then "reader 1" to n. A loop looks at itself. */
void thread_list_loop(struct thread_list *l, const struct loop *loop);
struct thread_group {
    const char *group, *one; /* names */
    const struct work_stats *work;
    size_t n;
    uint64_t queued, queue_max, dropped; /* queue_max 0: what waits is not known */
};
void thread_list_group(struct thread_list *l, const struct thread_group *g);
/* The group that serves HTTP. */
void thread_list_http(struct thread_list *l, const struct httpd_load *s);

#endif
