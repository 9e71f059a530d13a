#include "agent/core/run_clock.h"

#define MISSED_MAX 10000
#define LOOK_AGAIN_NS (60 * TW_NS_PER_S) /* after a search that found nothing yet */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Those that were to begin before that moment, and did not. */
static uint64_t count_missed(const struct run_clock *c, int64_t before_ns)
{
    if (!c->awaited_ns || c->awaited_ns >= before_ns)
        return 0;
    return times_runs(c->times, &c->pace, c->awaited_ns, before_ns, MISSED_MAX);
}

static int64_t find_next(struct run_clock *c, int64_t after_ns, int64_t lead_ns)
{
    struct times_span run;
    int64_t searched_ns;

    c->awaited_ns = 0;
    if (!times_next(c->times, &c->pace, after_ns, &run, &searched_ns))
        return searched_ns == TIMES_NEVER ? TIMES_NEVER : later(searched_ns, after_ns + LOOK_AGAIN_NS);
    c->awaited_ns = run.from_ns;
    return run.from_ns - lead_ns;
}

/* Is there still a probe to send in it? */
static bool has_probes(const struct run_clock *c, const struct times_run *run, int64_t now_ns)
{
    int64_t from_ns = later(run->begin_ns, now_ns),
            into_ns = (from_ns - c->pace.probe_phase_ns) % c->pace.spacing_ns;

    into_ns += into_ns < 0 ? c->pace.spacing_ns : 0;
    return from_ns + (into_ns ? c->pace.spacing_ns - into_ns : 0) < run->end_ns;
}

void run_clock_judge(struct run_clock *c, int64_t now_ns, int64_t lead_ns, struct run_order *ret)
{
    bool ahead = c->awaited_ns >= now_ns && c->awaited_ns <= now_ns + lead_ns;
    int64_t at_ns = ahead ? c->awaited_ns : now_ns;
    struct times_run run;

    *ret = (struct run_order){ 0 };
    times_look(c->times, &c->pace, at_ns, &run);
    ret->missed = count_missed(c, run.in ? run.begin_ns : at_ns);
    if (run.in && run.begin_ns > c->done_ns) {
        c->done_ns = run.begin_ns;
        ret->begin = has_probes(c, &run, now_ns);
        ret->start_ns = later(run.begin_ns, 1);
        ret->stop_ns = run.end_ns == TIMES_NEVER ? 0 : run.end_ns;
    }
    ret->wake_ns = find_next(c, later(at_ns, c->done_ns), lead_ns);
}

bool run_clock_goes_on(struct run_clock *c, int64_t now_ns)
{
    struct times_run run;

    times_look(c->times, &c->pace, now_ns, &run);
    if (c->times->kind != TIMES_CONTINUOUS)
        return times_allows(c->times, now_ns) && !(run.in && run.begin_ns > c->done_ns);
    if (run.in && run.end_ns == TIMES_NEVER)
        return true;
    c->done_ns = -1;
    return false;
}
