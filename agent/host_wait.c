#include "agent/host_wait.h"

#include "common/log.h"
#include "common/net/now.h"

void host_wait_init(struct host_wait *w, const struct host_wait_conf *c)
{
    *w = (struct host_wait){ .conf = *c };
}

/* Where the report period ends that since_ns is in, or the run. */
static int64_t part_end(const struct host_wait *w)
{
    int64_t period_ns = w->conf.cfg->report_period_ns, end_ns = (w->since_ns / period_ns + 1) * period_ns;

    return w->stop_ns && w->stop_ns < end_ns ? w->stop_ns : end_ns;
}

static void say(const struct host_wait *w, int64_t until_ns)
{
    const struct session_cfg *c = w->conf.cfg;
    struct tw_summary s;

    if (until_ns <= w->since_ns)
        return;
    summary_init(&s);
    s.pair_id = c->pair_id;
    s.flow = c->flow;
    s.generation = c->generation;
    s.start_ns = w->since_ns;
    s.end_ns = until_ns;
    s.tos_sent = (uint8_t)(c->dscp << 2);
    s.status = TW_STATUS_NAME_ERROR;
    w->conf.report(w->conf.ctx, &s);
    summary_free(&s);
}

static void arm(struct host_wait *w, struct tw_now now)
{
    int64_t left_ns = part_end(w) - now.wall.ns;

    if (loop_timer_set(w->conf.loop, &w->tick, (struct tw_mono){ now.mono.ns + (left_ns > 0 ? left_ns : 0) }))
        log_error("out of memory: a name without address is not reported",
                  LOG_U("pair", w->conf.cfg->pair_id));
}

/* Of periods that nobody was awake for only the first is told, as of sessions that run. */
static void on_tick(struct loop_timer *t)
{
    struct host_wait *w = t->ctx;
    struct tw_now now = tw_now();
    int64_t end_ns = part_end(w), period_ns = w->conf.cfg->report_period_ns;

    if (now.wall.ns < end_ns) {
        arm(w, now);
        return;
    }
    say(w, end_ns);
    if (w->stop_ns && now.wall.ns >= w->stop_ns) {
        host_wait_cancel(w);
        w->conf.on_over(w->conf.ctx);
        return;
    }
    w->since_ns = now.wall.ns - end_ns < period_ns ? end_ns : now.wall.ns / period_ns * period_ns;
    arm(w, now);
}

void host_wait_begin(struct host_wait *w, int64_t start_ns, int64_t stop_ns, bool failed)
{
    struct tw_now now = tw_now();

    if (w->since_ns)
        return;
    w->since_ns = start_ns > now.wall.ns ? start_ns : now.wall.ns;
    w->stop_ns = stop_ns;
    w->failed = failed;
    w->tick = (struct loop_timer){ .fn = on_tick, .ctx = w };
    arm(w, now);
}

void host_wait_failed(struct host_wait *w)
{
    w->failed = true;
}

void host_wait_cancel(struct host_wait *w)
{
    if (!w->since_ns)
        return;
    loop_timer_cancel(w->conf.loop, &w->tick);
    w->since_ns = 0;
}

void host_wait_end(struct host_wait *w)
{
    int64_t now_ns = tw_wall_now().ns;

    if (!w->since_ns)
        return;
    if (w->failed)
        say(w, now_ns < part_end(w) ? now_ns : part_end(w));
    host_wait_cancel(w);
}
