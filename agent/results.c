/* agent/results.c - see results.h. */
#include "agent/results.h"

#include <stdlib.h>
#include "common/grow.h"
#include "common/log.h"
#include "common/net/arena.h"
#include "common/net/now.h"
#include "common/net/summary_pb.h"

#define COLLECT_NS (50 * TW_NS_PER_MS)
#define RETRY_NS (2 * TW_NS_PER_S)
#define HELD_MAX 20000u /* summaries kept in memory while the disk refuses, about 10 MB */

struct results {
    struct results_conf conf;
    struct loop_timer timer;
    bool armed, failing;
    struct spool_record *held; /* data malloc'ed here */
    size_t n, cap;
    uint64_t dropped;
    uint64_t lost_in_workers; /* of those that the spool has been told of */
    struct tw_summary scratch;
    struct arena *arena;
};

static bool make_room(struct results *r)
{
    return r->n < HELD_MAX && TW_GROW(&r->held, r->n, &r->cap, 256);
}

/* Packs a summary behind the held ones. */
static bool hold(struct results *r, const struct tw_summary *s)
{
    Tw__Summary *m;
    uint8_t *data;
    size_t len;

    arena_reset(r->arena);
    if (!make_room(r) || summary_to_pb(s, r->arena, &m) != TW_OK)
        return false;
    r->conf.name(r->conf.ctx, m);
    len = tw__summary__get_packed_size(m);
    data = malloc(len ? len : 1);
    if (!data)
        return false;
    r->held[r->n++] = (struct spool_record){ data, tw__summary__pack(m, data) };
    return true;
}

/* Sessions drop their oldest summaries when nobody has taken them for some periods. */
static void note_lost_in_workers(struct results *r)
{
    struct worker_counters c;
    uint64_t lost = 0;

    for (size_t w = 0; w < r->conf.n_workers; w++) {
        worker_counters(r->conf.workers[w], &c);
        lost += c.summaries_lost;
    }
    spool_count_lost(r->conf.spool, lost - r->lost_in_workers);
    r->lost_in_workers = lost;
}

/* What is lost leaves a gap in the spool, so that the controller hears of it. */
static void take(struct results *r, const struct tw_summary *s)
{
    if (r->conf.note)
        r->conf.note(r->conf.ctx, s);
    if (hold(r, s))
        return;
    r->dropped++;
    spool_count_lost(r->conf.spool, 1);
}

static void collect(struct results *r)
{
    for (size_t w = 0; w < r->conf.n_workers; w++)
        while (worker_next_summary(r->conf.workers[w], &r->scratch) == TW_OK)
            take(r, &r->scratch);
    note_lost_in_workers(r);
}

static void report_outcome(struct results *r, enum tw_rc rc)
{
    if (rc != TW_OK && !r->failing)
        log_error("spool cannot be written, summaries wait in memory", LOG_S("reason", tw_rc_name(rc)),
                  LOG_S("hint", rc == TW_ENOSPC ? "free disk space" : "look at the disk"),
                  LOG_U("waiting", r->n));
    if (rc == TW_OK && r->failing)
        log_info("spool is written again", LOG_U("dropped", r->dropped));
    r->failing = rc != TW_OK;
}

static enum tw_rc store(struct results *r)
{
    uint64_t first;
    enum tw_rc rc;

    if (!r->n)
        return TW_OK;
    rc = spool_append(r->conf.spool, tw_wall_now().ns, r->held, r->n, &first);
    report_outcome(r, rc);
    if (rc != TW_OK)
        return rc;
    for (size_t i = 0; i < r->n; i++)
        free((void *)r->held[i].data);
    r->n = 0;
    r->conf.on_stored(r->conf.ctx);
    return TW_OK;
}

static void arm(struct results *r, int64_t delay_ns)
{
    r->armed = true;
    loop_timer_set(r->conf.loop, &r->timer, (struct tw_mono){ tw_mono_now().ns + delay_ns });
}

static void on_timer(struct loop_timer *t)
{
    struct results *r = t->ctx;

    r->armed = false;
    collect(r);
    if (store(r) != TW_OK)
        arm(r, RETRY_NS);
}

void results_notify(struct results *r)
{
    collect(r); /* now, while the names of those that have ended are known */
    if (!r->armed)
        arm(r, COLLECT_NS);
}

void results_add(struct results *r, const struct tw_summary *s)
{
    take(r, s);
    if (!r->armed)
        arm(r, COLLECT_NS);
}

void results_flush(struct results *r)
{
    collect(r);
    if (store(r) != TW_OK)
        log_error("summaries lost at exit", LOG_U("summaries", r->n));
}

uint64_t results_dropped(const struct results *r)
{
    return r->dropped;
}

enum tw_rc results_new(const struct results_conf *c, struct results **ret)
{
    struct results *r = calloc(1, sizeof *r);

    if (!r)
        return TW_ENOMEM;
    if (arena_new(1u << 20, &r->arena) != TW_OK) {
        free(r);
        return TW_ENOMEM;
    }
    r->conf = *c;
    r->timer = (struct loop_timer){ .fn = on_timer, .ctx = r };
    summary_init(&r->scratch);
    *ret = r;
    return TW_OK;
}

void results_free(struct results *r)
{
    if (!r)
        return;
    loop_timer_cancel(r->conf.loop, &r->timer);
    for (size_t i = 0; i < r->n; i++)
        free((void *)r->held[i].data);
    free(r->held);
    summary_free(&r->scratch);
    arena_free(r->arena);
    free(r);
}
