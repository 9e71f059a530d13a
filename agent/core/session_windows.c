/* agent/core/session_windows.c - availability: what came back of the probes sent in each window of 10 s (the
 * rule is in common/stats.h). Windows of probes whose fate is known pass in order of sending, a timeout
 * behind those of probes that are being sent: of each only one is open at a time, so a session needs no list
 * of windows. */
#include "agent/core/session_priv.h"
#include "common/unavail.h"

static int64_t floor_to(int64_t a, int64_t b)
{
    int64_t m = a % b;

    return a - m - (m < 0 ? b : 0);
}

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* The part of a window that lies in the period. The wall clock may have been slewed a little past the
 * period's ends. */
static void bounds(const struct session *s, const struct period *p, int64_t wall_ns, int64_t *ret_from,
                   int64_t *ret_to)
{
    int64_t at = clamp(wall_ns, p->sum.start_ns, p->sum.end_ns - 1), from = floor_to(at, STATS_WINDOW_NS);

    *ret_from = p->sum.start_ns;
    *ret_to = p->sum.end_ns;
    if (s->cfg.report_period_ns < STATS_WINDOW_NS)
        return;
    *ret_from = from > p->sum.start_ns ? from : p->sum.start_ns;
    *ret_to = from + STATS_WINDOW_NS < p->sum.end_ns ? from + STATS_WINDOW_NS : p->sum.end_ns;
}

/* ---- Fates ---- */

static void judge(struct session *s)
{
    struct windows *w = &s->windows;
    struct period *p = session_period_of(s, w->period);
    bool open = w->to_ns > w->from_ns;

    w->to_ns = w->from_ns;
    if (!open || !p)
        return;
    if (w->received) {
        p->sum.windows_available++;
    } else if (w->unsure || (w->dropped.ns && w->dropped.ns >= w->first.ns)) {
        p->sum.windows_unknown++;
    } else {
        int64_t from, to;
        bounds(s, p, w->from_ns, &from, &to); /* the period may have ended early */
        p->sum.windows_unavailable++;
        unavail_add(&p->sum.unavailable, &(struct tw_unavail_run){ from, to, 1, s->cfg.flow });
    }
}

/* The window of the probe is open afterwards; false: its period is gone. */
static bool begin(struct session *s, const struct slot *p)
{
    struct windows *w = &s->windows;
    const struct period *period = session_period_of(s, p->period);
    int64_t from, to;

    if (!period) {
        judge(s);
        return false;
    }
    bounds(s, period, p->t1_wall.ns, &from, &to);
    if (w->to_ns == w->from_ns || w->period != p->period || from != w->from_ns) {
        judge(s);
        w->period = p->period;
        w->first = p->t1_mono;
        w->received = w->unsure = false;
    }
    w->from_ns = from;
    w->to_ns = to;
    return true;
}

void session_window_resolve(struct session *s, const struct slot *p)
{
    struct windows *w = &s->windows;

    if ((w->period != p->period || p->t1_wall.ns >= w->to_ns || w->to_ns == w->from_ns) && !begin(s, p))
        return;
    w->received = w->received || p->state == SLOT_RECEIVED;
    w->unsure = w->unsure || (p->state != SLOT_RECEIVED && p->state != SLOT_LOST);
}

/* ---- Sending ---- */

static void end_sending(struct session *s)
{
    struct windows *w = &s->windows;
    struct period *p = session_period_of(s, w->sending_period);

    if (w->sending_to_ns && !w->sent && w->failed && p)
        p->sum.windows_unknown++;
    w->sending_to_ns = 0;
}

/* The window of an attempt is open afterwards; false: there is no period. */
static bool begin_sending(struct session *s, int64_t wall_ns)
{
    struct windows *w = &s->windows;
    const struct period *p = session_current(s);
    bool same = p && w->sending_to_ns && w->sending_period == p->id;
    int64_t from, to;

    if (same && wall_ns < w->sending_to_ns)
        return true;
    if (!p)
        return false;
    bounds(s, p, wall_ns, &from, &to);
    if (same && from < w->sending_to_ns) /* slewed past the end of the period */
        return true;
    end_sending(s);
    w->sending_to_ns = to;
    w->sending_period = p->id;
    w->sent = w->failed = false;
    return true;
}

void session_window_sent(struct session *s, int64_t wall_ns)
{
    if (begin_sending(s, wall_ns))
        s->windows.sent = true;
}

void session_window_failed(struct session *s, int64_t wall_ns)
{
    if (begin_sending(s, wall_ns))
        s->windows.failed = true;
}

void session_window_skipped(struct session *s, struct tw_mono from, struct tw_mono to, uint64_t n)
{
    const struct period *p = session_current(s);
    int64_t first = from.ns + s->offset_ns, last = to.ns + s->offset_ns, whole;

    if (!p || !n || last < first)
        return;
    session_window_failed(s, first);
    /* Those in between; with fewer probes than windows some had none due. */
    whole = s->cfg.report_period_ns < STATS_WINDOW_NS
                ? 0
                : (floor_to(last, STATS_WINDOW_NS) - floor_to(first, STATS_WINDOW_NS)) / STATS_WINDOW_NS - 1;
    if (whole > 0 && n > 2)
        session_current(s)->sum.windows_unknown += (uint64_t)whole < n - 2 ? (uint64_t)whole : n - 2;
    if (n > 1)
        session_window_failed(s, last);
}

/* ---- Closing ---- */

void session_window_close(struct session *s, struct period *p)
{
    struct windows *w = &s->windows;

    if (w->to_ns > w->from_ns && w->period == p->id)
        judge(s);
    if (w->sending_to_ns && w->sending_period == p->id)
        end_sending(s);
    unavail_fit(&p->sum.unavailable, p->sum.start_ns, p->sum.end_ns);
}
