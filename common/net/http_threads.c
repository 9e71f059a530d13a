/* common/net/http_threads.c - see http_threads.h. */
#include "common/net/http_threads.h"
#include <stddef.h>
#include "common/net/now.h"

static _Thread_local struct {
    struct http_threads *of;
    struct work *work; /* NULL: not measured, since there are more threads than were asked for */
} mine;

void http_threads_init(struct http_threads *t)
{
    int64_t now_ns = tw_mono_now().ns;

    for (size_t i = 0; i < HTTPD_THREADS; i++)
        work_init(&t->v[i], now_ns);
    t->n = 0;
}

static void become_one(struct http_threads *t)
{
    unsigned i = atomic_fetch_add(&t->n, 1);

    mine.of = t;
    mine.work = i < HTTPD_THREADS ? &t->v[i] : NULL;
}

void http_round_begin(struct http_threads *t)
{
    if (t && t != mine.of)
        become_one(t);
    if (mine.work)
        work_begin(mine.work, tw_mono_now().ns);
}

void http_round_end(void)
{
    if (mine.work)
        work_end(mine.work, tw_mono_now().ns);
}
