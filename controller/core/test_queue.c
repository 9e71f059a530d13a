/* controller/core/test_queue.c - see test_queue.h. */
#include "controller/core/test_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *test_state_name(enum test_state s)
{
    static const char *const names[] = {
        [TEST_RUNNING] = "running", [TEST_STOPPING] = "stopping",   [TEST_COMPLETE] = "complete",
        [TEST_STOPPED] = "stopped", [TEST_ABANDONED] = "abandoned", [TEST_FAILED] = "failed",
    };

    return (unsigned)s < TW_NELEM(names) ? names[s] : "unknown";
}

enum tw_rc test_queue_init(struct test_queue *q, const uint32_t *source, size_t n, size_t n_sources,
                           uint32_t per_source, uint32_t total)
{
    *q = (struct test_queue){
        .n = n, .n_sources = n_sources, .per_source = per_source, .total = total, .queued = n
    };
    q->source = malloc((n + 1) * sizeof *q->source);
    q->slot = calloc(n + 1, sizeof *q->slot);
    q->active = calloc(n_sources + 1, sizeof *q->active);
    if (!q->source || !q->slot || !q->active) {
        test_queue_free(q);
        return TW_ENOMEM;
    }
    memcpy(q->source, source, n * sizeof *source);
    return TW_OK;
}

void test_queue_free(struct test_queue *q)
{
    free(q->source);
    free(q->slot);
    free(q->active);
    *q = (struct test_queue){ 0 };
}

bool test_queue_next(struct test_queue *q, size_t *ret)
{
    if (q->halt || !q->queued || q->running >= q->total)
        return false;
    while (q->slot[q->first] != TEST_QUEUED)
        q->first++;
    for (size_t i = q->first; i < q->n; i++) {
        uint32_t *active = &q->active[q->source[i]];
        if (q->slot[i] != TEST_QUEUED || *active >= q->per_source)
            continue;
        q->slot[i] = TEST_ACTIVE;
        ++*active;
        q->queued--;
        q->running++;
        *ret = i;
        return true;
    }
    return false;
}

void test_queue_end(struct test_queue *q, size_t run, bool failed)
{
    assert(run < q->n && q->slot[run] == TEST_ACTIVE);
    q->slot[run] = TEST_OVER;
    q->active[q->source[run]]--;
    q->running--;
    q->over++;
    q->failed += failed;
}

bool test_queue_halt(struct test_queue *q, bool left)
{
    if (q->halt || test_queue_done(q))
        return false;
    q->halt = left ? TEST_LEFT : TEST_HALTED;
    for (size_t i = q->first; i < q->n; i++)
        if (q->slot[i] == TEST_QUEUED)
            q->slot[i] = TEST_CANCELLED;
    q->cancelled += q->queued;
    q->queued = 0;
    return true;
}

void test_queue_renew(struct test_queue *q, int64_t now_ns, int64_t lease_ns)
{
    q->until_ns = now_ns + lease_ns;
}

bool test_queue_expired(const struct test_queue *q, int64_t now_ns)
{
    return !q->halt && now_ns >= q->until_ns;
}

bool test_queue_done(const struct test_queue *q)
{
    return !q->queued && !q->running;
}

enum test_state test_queue_state(const struct test_queue *q)
{
    if (!test_queue_done(q))
        return q->halt ? TEST_STOPPING : TEST_RUNNING;
    if (q->halt)
        return q->halt == TEST_LEFT ? TEST_ABANDONED : TEST_STOPPED;
    return q->failed && q->failed == q->over ? TEST_FAILED : TEST_COMPLETE;
}
