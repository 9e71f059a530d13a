/* agent/threads.c - see threads.h. */
#include "agent/threads.h"
#include "agent/metrics_server.h"
#include "agent/resolver.h"

static void tell_worker(const struct worker *w, size_t i, struct thread_list *ret)
{
    Tw__ThreadState *t = thread_list_add(ret, 1, "worker %zu", i);
    struct worker_counters c;
    struct worker_load l;

    worker_load(w, &l);
    worker_counters(w, &c);
    thread_put_work(t, &l.work);
    thread_put_queue(t, l.commands, l.commands_max, c.summaries_lost);
}

/* Without names there are no threads for them. */
static void tell_resolver(const struct resolver *r, struct thread_list *ret)
{
    struct resolver_load l;

    resolver_load(r, &l);
    if (l.threads)
        thread_list_group(ret, &(struct thread_group){ .group = "name lookups",
                                                       .one = "name lookup",
                                                       .work = l.work,
                                                       .n = l.threads,
                                                       .queued = l.queued,
                                                       .queue_max = RESOLVER_NAMES_MAX });
}

void agent_threads_tell(const struct agent_threads *t, struct thread_list *ret)
{
    thread_list_loop(ret, t->loop);
    for (size_t i = 0; i < t->n_workers; i++)
        tell_worker(t->workers[i], i, ret);
    tell_resolver(t->resolver, ret);
    if (t->metrics)
        metrics_server_threads(t->metrics, ret);
}
