/* common/times.c - rules: what is allowed, and which runs there are. */
#include "common/times.h"

#include <stdlib.h>
#include <string.h>
#include "common/civil.h"

#define DAY_NS (CIVIL_DAY_S * TW_NS_PER_S)
#define STEPS_MAX 512        /* of one search */
#define MERGE_MAX 64         /* pieces that an allowed stretch is put together of */
#define CRON_GAPS_CHECKED 64 /* runs whose distance is compared with their length */
/* What a rule costs in the long run is looked up over a year from here if it has no start. */
#define DUTY_FROM_NS (INT64_C(1767225600) * TW_NS_PER_S) /* 2026-01-01 */
#define DUTY_DAYS 364
#define DUTY_RUNS 2000

/* ---- Life ---- */

enum tw_rc times_new(struct times **ret)
{
    struct times *t = calloc(1, sizeof *t);

    if (!t)
        return TW_ENOMEM;
    t->until_ns = t->last_ns = TIMES_NEVER;
    t->refs = 1;
    *ret = t;
    return TW_OK;
}

struct times *times_ref(struct times *t)
{
    if (t)
        t->refs++;
    return t;
}

void times_unref(struct times *t)
{
    if (!t || --t->refs)
        return;
    times_set_clear(&t->windows);
    times_set_clear(&t->stop);
    free(t);
}

static bool same_set(const struct times_set *a, const struct times_set *b)
{
    return a->n_week == b->n_week && a->n_spans == b->n_spans && zone_same(&a->zone, &b->zone) &&
           (!a->n_week || !memcmp(a->week, b->week, a->n_week * sizeof *a->week)) &&
           (!a->n_spans || !memcmp(a->spans, b->spans, a->n_spans * sizeof *a->spans));
}

static bool same_cron(const struct times_cron *a, const struct times_cron *b)
{
    return a->minutes == b->minutes && a->hours == b->hours && a->days == b->days && a->months == b->months &&
           a->weekdays == b->weekdays && a->any_day == b->any_day && a->any_weekday == b->any_weekday &&
           a->wild == b->wild;
}

bool times_same(const struct times *a, const struct times *b)
{
    if (!a || !b)
        return a == b;
    return a->kind == b->kind && a->every_ns == b->every_ns && a->at_ns == b->at_ns &&
           a->for_ns == b->for_ns && a->count == b->count && a->start_ns == b->start_ns &&
           a->until_ns == b->until_ns && a->max_runs == b->max_runs && a->last_ns == b->last_ns &&
           same_cron(&a->cron, &b->cron) && same_set(&a->windows, &b->windows) &&
           same_set(&a->stop, &b->stop);
}

/* ---- Allowed moments ---- */

static void narrow(struct times_span *same, int64_t from_ns, int64_t to_ns)
{
    if (from_ns > same->from_ns)
        same->from_ns = from_ns;
    if (to_ns < same->to_ns)
        same->to_ns = to_ns;
}

/* By the calendar (start, until, windows), or with maintenance, too. */
enum judge { CALENDAR, ALL };

static bool is_allowed(const struct times *t, enum judge j, int64_t at_ns, struct times_span *same)
{
    struct times_span part = { INT64_MIN, INT64_MAX };
    bool in = true;

    if (at_ns < t->start_ns || at_ns >= t->until_ns) {
        *same = at_ns < t->start_ns ? (struct times_span){ INT64_MIN, t->start_ns }
                                    : (struct times_span){ t->until_ns, INT64_MAX };
        return false;
    }
    *same = (struct times_span){ t->start_ns, t->until_ns };
    if (t->windows.n_week) {
        in = times_set_at(&t->windows, at_ns, &part);
        narrow(same, part.from_ns, part.to_ns);
    }
    if (j == ALL && !times_set_is_empty(&t->stop)) {
        in &= !times_set_at(&t->stop, at_ns, &part);
        narrow(same, part.from_ns, part.to_ns);
    }
    return in;
}

bool times_allows(const struct times *t, int64_t at_ns)
{
    struct times_span same;

    return is_allowed(t, ALL, at_ns, &same);
}

/* The first allowed moment from there on. False: none is, or *ret is as far as the search came. */
static bool first_allowed(const struct times *t, enum judge j, int64_t from_ns, int64_t *ret)
{
    struct times_span same;

    for (unsigned i = 0; i < STEPS_MAX; i++) {
        if (is_allowed(t, j, from_ns, &same)) {
            *ret = from_ns;
            return true;
        }
        from_ns = same.to_ns;
        if (from_ns == INT64_MAX)
            break;
    }
    *ret = from_ns;
    return false;
}

static int64_t allowed_until(const struct times *t, enum judge j, int64_t at_ns)
{
    struct times_span same = { at_ns, at_ns };

    for (unsigned i = 0; i < MERGE_MAX && is_allowed(t, j, at_ns, &same); i++) {
        at_ns = same.to_ns;
        if (at_ns == INT64_MAX)
            break;
    }
    return at_ns;
}

static int64_t allowed_since(const struct times *t, enum judge j, int64_t at_ns)
{
    struct times_span same;

    for (unsigned i = 0; i < MERGE_MAX && is_allowed(t, j, at_ns, &same); i++) {
        if (same.from_ns <= t->start_ns)
            return t->start_ns;
        at_ns = same.from_ns - 1;
    }
    return at_ns + 1;
}

/* ---- Where runs begin ---- */

int64_t times_length_ns(const struct times *t, int64_t spacing_ns, bool exponential)
{
    int64_t probes = t->count;

    if (!t->count && exponential)
        return t->for_ns;
    if (!t->count)
        probes = (t->for_ns + spacing_ns - 1) / spacing_ns;
    return probes * spacing_ns;
}

static int64_t round_up(int64_t at_ns, int64_t every_ns, int64_t phase_ns)
{
    return phase_ns + civil_floor_div(at_ns - phase_ns + every_ns - 1, every_ns) * every_ns;
}

static int64_t nth_of(int64_t begin_ns, int64_t every_ns, int64_t n)
{
    int64_t at_ns;

    if (__builtin_mul_overflow(n - 1, every_ns, &at_ns) || __builtin_add_overflow(begin_ns, at_ns, &at_ns))
        return TIMES_NEVER;
    return at_ns;
}

/* The begin of the interval's last run if their number is bounded: run by run only where windows stand
 * between. */
static int64_t last_of_interval(const struct times *t, int64_t phase_ns)
{
    int64_t begin_ns = round_up(t->start_ns, t->every_ns, phase_ns), left = t->max_runs, n, end_ns;

    if (!t->max_runs)
        return TIMES_NEVER;
    if (!t->windows.n_week)
        return nth_of(begin_ns, t->every_ns, left);
    for (unsigned i = 0; i < 2 * TIMES_RUNS_MAX; i++) {
        if (!first_allowed(t, CALENDAR, begin_ns, &begin_ns))
            return TIMES_NEVER;
        end_ns = allowed_until(t, CALENDAR, begin_ns);
        begin_ns = round_up(begin_ns, t->every_ns, phase_ns);
        n = begin_ns < end_ns ? (end_ns - 1 - begin_ns) / t->every_ns + 1 : 0;
        if (n >= left)
            return nth_of(begin_ns, t->every_ns, left);
        left -= n;
        begin_ns = end_ns;
    }
    return TIMES_NEVER;
}

/* By its kind alone: the first begin after that moment. */
static int64_t next_begin(const struct times *t, const struct times_pace *p, int64_t after_ns)
{
    switch (t->kind) {
    case TIMES_CONTINUOUS:
        break;
    case TIMES_INTERVAL:
        return round_up(after_ns + 1, t->every_ns, p->phase_ns);
    case TIMES_ONCE:
        return t->at_ns > after_ns ? t->at_ns : TIMES_NEVER;
    case TIMES_CRON:
        return times_cron_next(&t->cron, &t->windows.zone, after_ns);
    }
    return after_ns + 1;
}

/* Of a search: until where it came, and whether it found something there. */
struct found {
    bool yes;
    int64_t at_ns; /* TIMES_NEVER: there is none */
};

static struct found next_stretch(const struct times *t, enum judge j, int64_t after_ns)
{
    struct times_span same;
    struct found f = { .at_ns = after_ns };

    if (is_allowed(t, j, after_ns, &same))
        f.at_ns = allowed_until(t, j, after_ns);
    else
        f.at_ns = same.to_ns;
    if (f.at_ns != TIMES_NEVER)
        f.yes = first_allowed(t, j, f.at_ns, &f.at_ns);
    return f;
}

static int64_t last_begin(const struct times *t, const struct times_pace *p)
{
    return t->kind == TIMES_INTERVAL ? last_of_interval(t, p->phase_ns) : t->last_ns;
}

static struct found next_run(const struct times *t, enum judge j, const struct times_pace *p,
                             int64_t after_ns, int64_t last_ns)
{
    struct found f = { .at_ns = after_ns };

    if (t->kind == TIMES_CONTINUOUS) {
        f = next_stretch(t, j, after_ns);
    } else {
        for (unsigned i = 0; i < STEPS_MAX && !f.yes; i++) {
            int64_t begin_ns = next_begin(t, p, f.at_ns);

            if (begin_ns >= TIMES_END_NS || begin_ns > last_ns)
                return (struct found){ false, TIMES_NEVER };
            if (!first_allowed(t, j, begin_ns, &f.at_ns))
                return f;
            f.yes = f.at_ns == begin_ns;
            f.at_ns -= !f.yes; /* the moment itself may be a begin */
        }
    }
    if (f.at_ns > last_ns || f.at_ns >= TIMES_END_NS)
        return (struct found){ false, TIMES_NEVER };
    return f;
}

/* ---- Runs ---- */

static int64_t end_of(const struct times *t, const struct times_pace *p, int64_t begin_ns)
{
    int64_t end_ns = allowed_until(t, ALL, begin_ns), limit_ns = TIMES_NEVER;

    if (t->kind == TIMES_CONTINUOUS)
        return end_ns;
    limit_ns = begin_ns + times_length_ns(t, p->spacing_ns, p->exponential);
    end_ns = limit_ns < end_ns ? limit_ns : end_ns;
    if (t->kind == TIMES_INTERVAL)
        limit_ns = begin_ns + t->every_ns;
    else if (t->kind == TIMES_CRON)
        limit_ns = times_cron_next(&t->cron, &t->windows.zone, begin_ns);
    return limit_ns < end_ns ? limit_ns : end_ns;
}

/* The last begin by its kind that is not later than now and near enough to matter; -1: none. */
static int64_t begin_before(const struct times *t, const struct times_pace *p, int64_t now_ns)
{
    int64_t begin_ns, at_ns;

    switch (t->kind) {
    case TIMES_CONTINUOUS:
        return allowed_since(t, ALL, now_ns);
    case TIMES_INTERVAL:
        return p->phase_ns + civil_floor_div(now_ns - p->phase_ns, t->every_ns) * t->every_ns;
    case TIMES_ONCE:
        return t->at_ns <= now_ns ? t->at_ns : -1;
    case TIMES_CRON:
        break;
    }
    begin_ns = -1;
    at_ns = now_ns - times_length_ns(t, p->spacing_ns, p->exponential);
    while ((at_ns = times_cron_next(&t->cron, &t->windows.zone, at_ns)) <= now_ns)
        begin_ns = at_ns;
    return begin_ns;
}

static int64_t clamp(int64_t ns)
{
    return ns < 0 ? 0 : ns >= TIMES_END_NS ? TIMES_END_NS - 1 : ns;
}

bool times_next(const struct times *t, const struct times_pace *p, int64_t after_ns, struct times_span *ret,
                int64_t *ret_searched)
{
    struct found f = next_run(t, ALL, p, clamp(after_ns), last_begin(t, p));

    *ret_searched = f.at_ns;
    if (f.yes)
        *ret = (struct times_span){ f.at_ns, end_of(t, p, f.at_ns) };
    return f.yes;
}

/* The run that has begun at or before now, if it takes place and is not over. */
static bool present_run(const struct times *t, const struct times_pace *p, int64_t now_ns, int64_t last_ns,
                        struct times_span *ret)
{
    struct times_span same;
    int64_t begin_ns = begin_before(t, p, now_ns);

    if (begin_ns < 0 || begin_ns > now_ns || begin_ns > last_ns || !is_allowed(t, ALL, begin_ns, &same))
        return false;
    *ret = (struct times_span){ begin_ns, end_of(t, p, begin_ns) };
    return now_ns < ret->to_ns;
}

void times_look(const struct times *t, const struct times_pace *p, int64_t now_ns, struct times_run *ret)
{
    int64_t last_ns = last_begin(t, p);
    struct times_span run = { 0, TIMES_NEVER };
    struct found next;

    now_ns = clamp(now_ns);
    *ret = (struct times_run){ .in = present_run(t, p, now_ns, last_ns, &run) };
    next = next_run(t, ALL, p, now_ns, last_ns);
    ret->begin_ns = ret->in ? run.from_ns : 0;
    ret->end_ns = ret->in ? run.to_ns : TIMES_NEVER;
    ret->next_ns = next.at_ns;
    ret->next_sure = next.yes;
}

uint64_t times_runs(const struct times *t, const struct times_pace *p, int64_t from_ns, int64_t to_ns,
                    uint64_t cap)
{
    int64_t last_ns = last_begin(t, p), at_ns = clamp(from_ns) - 1;
    uint64_t n = 0;

    for (uint64_t i = 0; n < cap && i < cap + STEPS_MAX; i++) {
        struct found f = next_run(t, ALL, p, at_ns, last_ns);

        if (f.at_ns >= to_ns)
            break;
        n += f.yes;
        at_ns = f.at_ns - !f.yes;
    }
    return n;
}

/* ---- What should be there ---- */

static uint64_t pieces(int64_t first, int64_t last)
{
    return last >= first ? (uint64_t)(last - first) + 1 : 0;
}

static uint64_t whole_periods(int64_t period_ns, int64_t from_ns, int64_t to_ns)
{
    return pieces(civil_floor_div(from_ns + period_ns - 1, period_ns), civil_floor_div(to_ns, period_ns) - 1);
}

/* Summaries of one run that lie in the span. */
static uint64_t of_run(const struct times_pace *p, int64_t period_ns, struct times_span run,
                       struct times_span in)
{
    int64_t first_ns, last_ns, first, last;

    if (p->exponential)
        return whole_periods(period_ns, run.from_ns > in.from_ns ? run.from_ns : in.from_ns,
                             run.to_ns < in.to_ns ? run.to_ns : in.to_ns);
    first_ns = round_up(run.from_ns, p->spacing_ns, p->probe_phase_ns);
    if (first_ns >= run.to_ns)
        return 0;
    first = civil_floor_div(first_ns, period_ns);
    if (first_ns < in.from_ns)
        first = civil_floor_div(in.from_ns + period_ns - 1, period_ns);
    if (run.to_ns > TIMES_END_NS)
        return pieces(first, civil_floor_div(in.to_ns, period_ns) - 1);
    last_ns = round_up(run.to_ns, p->spacing_ns, p->probe_phase_ns) - p->spacing_ns;
    last = civil_floor_div(last_ns < in.to_ns ? last_ns : in.to_ns, period_ns);
    return pieces(first, last_ns < in.to_ns ? last : last - 1);
}

static uint64_t reckon(uint64_t n, struct times_span in, int64_t at_ns)
{
    double done = (double)(at_ns - in.from_ns) / (double)(in.to_ns - in.from_ns);

    return done > 0 ? (uint64_t)((double)n / done) : n;
}

uint64_t times_expected(const struct times *t, const struct times_pace *p, int64_t period_ns, int64_t from_ns,
                        int64_t to_ns)
{
    struct times_span in = { clamp(from_ns), clamp(to_ns) }, run;
    int64_t last_ns, at_ns = in.from_ns;
    uint64_t n = 0;

    if (in.from_ns >= in.to_ns)
        return 0;
    if (!t)
        return whole_periods(period_ns, in.from_ns, in.to_ns);
    last_ns = last_begin(t, p);
    if (present_run(t, p, at_ns, last_ns, &run))
        n += of_run(p, period_ns, run, in);
    for (unsigned i = 0; i < TIMES_EXPECTED_RUNS; i++) {
        struct found f = next_run(t, ALL, p, at_ns, last_ns);

        if (f.at_ns >= in.to_ns)
            return n;
        at_ns = f.at_ns - !f.yes;
        if (f.yes)
            n += of_run(p, period_ns, (struct times_span){ at_ns, end_of(t, p, at_ns) }, in);
    }
    return reckon(n, in, at_ns);
}

/* ---- What it costs ---- */

static double per_run(const struct times_pace *p, int64_t period_ns, int64_t length_ns)
{
    return 1 + (double)(length_ns > p->spacing_ns ? length_ns - p->spacing_ns : 0) / (double)period_ns;
}

static double week_share(const struct times_set *windows)
{
    unsigned minutes = 0;

    for (size_t i = 0; i < windows->n_week; i++)
        minutes += (unsigned)(windows->week[i].to - windows->week[i].from);
    return windows->n_week ? (double)minutes / TIMES_WEEK_MINUTES : 1;
}

static struct times_duty duty_of(const struct times_pace *p, int64_t period_ns, double runs_per_day,
                                 int64_t length_ns)
{
    return (struct times_duty){ .share = runs_per_day * (double)length_ns / (double)DAY_NS,
                                .runs_per_day = runs_per_day,
                                .summaries_per_day = runs_per_day * per_run(p, period_ns, length_ns) };
}

static struct times_duty duty_of_cron(const struct times *t, const struct times_pace *p, int64_t period_ns)
{
    int64_t from_ns = t->start_ns ? t->start_ns : DUTY_FROM_NS, at_ns = from_ns - 1;
    int64_t to_ns = from_ns + DUTY_DAYS * DAY_NS;
    unsigned n = 0;

    while (n < DUTY_RUNS) {
        struct found f = next_run(t, CALENDAR, p, at_ns, TIMES_NEVER);

        if (f.at_ns >= to_ns) {
            at_ns = to_ns;
            break;
        }
        at_ns = f.at_ns;
        n++;
    }
    return duty_of(p, period_ns, (double)n / ((double)(at_ns - from_ns + 1) / (double)DAY_NS),
                   times_length_ns(t, p->spacing_ns, p->exponential));
}

struct times_duty times_duty(const struct times *t, const struct times_pace *p, int64_t period_ns)
{
    double periods = (double)DAY_NS / (double)period_ns, share = t ? week_share(&t->windows) : 1;

    if (!t || t->kind == TIMES_CONTINUOUS)
        return (struct times_duty){ share, t && t->windows.n_week ? (double)t->windows.n_week / 7 : 0,
                                    share * periods };
    if (t->kind == TIMES_INTERVAL)
        return duty_of(p, period_ns, share * (double)DAY_NS / (double)t->every_ns,
                       times_length_ns(t, p->spacing_ns, p->exponential));
    if (t->kind == TIMES_CRON)
        return duty_of_cron(t, p, period_ns);
    return (struct times_duty){ 0 }; /* once is nothing in the long run */
}

/* ---- Compiling ---- */

static enum tw_rc fail(struct tw_err *err, const char *key, enum tw_rc rc)
{
    if (err) {
        size_t len = strlen(key);

        memcpy(err->field, key, len + 1);
    }
    return rc;
}

static enum tw_rc check_kind(const struct times *t, struct tw_err *err)
{
    bool length = t->for_ns || t->count;

    if (t->for_ns && t->count)
        return fail(err, "count",
                    tw_err_set(err, TW_EINVAL,
                               "a run ends after a time or after probes: expected "
                               "`for` or `count`, not both"));
    if (t->kind == TIMES_CONTINUOUS && length)
        return fail(err, t->for_ns ? "for" : "count",
                    tw_err_set(err, TW_EINVAL,
                               "the length of runs of which nothing says when they begin: expected "
                               "`every`, `cron` or `at`, too"));
    if (t->kind != TIMES_CONTINUOUS && !length)
        return fail(err, "", tw_err_set(err, TW_EINVAL, "a run needs its length: expected `for` or `count`"));
    if (t->max_runs && t->kind == TIMES_ONCE)
        return fail(err, "max_runs", tw_err_set(err, TW_EINVAL, "`at` is one run: leave `max_runs` out"));
    if (t->max_runs && !t->start_ns)
        return fail(err, "max_runs",
                    tw_err_set(err, TW_EINVAL,
                               "runs are counted from a moment on: expected `start`, "
                               "too"));
    if (t->max_runs && t->kind == TIMES_CONTINUOUS && !t->windows.n_week)
        return fail(err, "max_runs",
                    tw_err_set(err, TW_EINVAL,
                               "a session without pause has no runs to count: "
                               "expected `every`, `cron` or `windows`, too"));
    if (t->until_ns <= t->start_ns)
        return fail(err, "until",
                    tw_err_set(err, TW_EINVAL, "it never runs: expected `until` after `start`"));
    return TW_OK;
}

/* Whatever the phase, each window has a run; a change of clocks may make one an hour shorter. */
static enum tw_rc check_windows(const struct times *t, struct tw_err *err)
{
    char every[TW_TIME_TEXT], window[TW_TIME_TEXT];

    if (t->kind == TIMES_INTERVAL && t->start_ns && t->until_ns - t->start_ns < t->every_ns)
        return fail(err, "every",
                    tw_err_set(err, TW_EINVAL,
                               "%s is longer than the time from `start` to `until`, so some sessions "
                               "would never run",
                               tw_duration_format(t->every_ns, every)));
    for (size_t i = 0; t->kind == TIMES_INTERVAL && i < t->windows.n_week; i++) {
        unsigned from = t->windows.week[i].from, to = t->windows.week[i].to, minutes = to - from;

        if (!from && t->windows.week[t->windows.n_week - 1].to == TIMES_WEEK_MINUTES)
            minutes += TIMES_WEEK_MINUTES - t->windows.week[t->windows.n_week - 1].from;
        if (to == TIMES_WEEK_MINUTES && !t->windows.week[0].from && i)
            minutes += t->windows.week[0].to;
        if (minutes * 60 * TW_NS_PER_S < t->every_ns)
            return fail(
                err, "every",
                tw_err_set(err, TW_EINVAL,
                           "%s is longer than a window of %s, so some sessions would never run: expected at "
                           "most the window, or cron",
                           tw_duration_format(t->every_ns, every),
                           tw_duration_format(minutes * 60 * TW_NS_PER_S, window)));
    }
    return TW_OK;
}

/* The whole week is no window. */
static void drop_idle_windows(struct times *t)
{
    if (t->windows.n_week == 1 && !t->windows.week[0].from && t->windows.week[0].to == TIMES_WEEK_MINUTES)
        t->windows.n_week = 0;
}

static enum tw_rc find_last(struct times *t, const struct times_pace *p, struct tw_err *err)
{
    int64_t at_ns = t->start_ns ? t->start_ns - 1 : -1;
    struct times_span same;
    uint32_t n = 0;

    t->last_ns = TIMES_NEVER;
    if (t->kind == TIMES_CONTINUOUS && is_allowed(t, CALENDAR, clamp(t->start_ns), &same)) {
        n++; /* it begins with `start`, before which there was nothing */
        at_ns = t->start_ns;
    }
    while (n < (t->kind == TIMES_INTERVAL || !t->max_runs ? 1 : t->max_runs)) {
        struct found f = next_run(t, CALENDAR, p, clamp(at_ns), TIMES_NEVER);

        if (!f.yes)
            break;
        at_ns = f.at_ns;
        n++;
    }
    if (!n)
        return fail(err, "", tw_err_set(err, TW_EINVAL, "it never runs: no moment fits all of this"));
    if (t->max_runs && t->kind != TIMES_INTERVAL && n == t->max_runs)
        t->last_ns = at_ns;
    return TW_OK;
}

enum tw_rc times_compile(struct times *t, struct tw_err *err)
{
    struct times_pace p = { .spacing_ns = TW_NS_PER_S };
    enum tw_rc rc = check_kind(t, err);

    if (rc)
        return rc;
    drop_idle_windows(t);
    if (t->kind != TIMES_CRON && !t->windows.n_week) /* nothing of it depends on its zone */
        zone_clear(&t->windows.zone);
    rc = check_windows(t, err);
    return rc ? rc : find_last(t, &p, err);
}

static enum tw_rc too_long(const struct times *t, int64_t length_ns, int64_t rest_ns, const char *key,
                           int64_t room_ns, struct tw_err *err)
{
    char length[TW_TIME_TEXT], room[TW_TIME_TEXT], rest[TW_TIME_TEXT];

    tw_duration_format(length_ns, length);
    tw_duration_format(room_ns, room);
    if (rest_ns)
        tw_err_set(err, TW_EINVAL, "a run of %s, and %s between runs, are more than the %s of `%s`", length,
                   tw_duration_format(rest_ns, rest), room, key);
    else
        tw_err_set(err, TW_EINVAL,
                   "a run of %s does not end before the next one: expected at most the %s of `%s`", length,
                   room, key);
    return fail(err, t->count ? "count" : "for", TW_EINVAL);
}

static enum tw_rc check_cron_gaps(const struct times *t, int64_t length_ns, int64_t rest_ns,
                                  struct tw_err *err)
{
    int64_t at_ns = times_cron_next(&t->cron, &t->windows.zone, t->start_ns ? t->start_ns - 1 : DUTY_FROM_NS),
            next_ns;

    for (unsigned i = 0; i < CRON_GAPS_CHECKED && at_ns < TIMES_NEVER; i++, at_ns = next_ns) {
        next_ns = times_cron_next(&t->cron, &t->windows.zone, at_ns);
        if (next_ns < TIMES_NEVER && next_ns - at_ns < length_ns + rest_ns)
            return too_long(t, length_ns, rest_ns, "cron", next_ns - at_ns, err);
    }
    return TW_OK;
}

enum tw_rc times_check_length(const struct times *t, int64_t spacing_ns, bool exponential, int64_t rest_ns,
                              struct tw_err *err)
{
    char length[TW_TIME_TEXT];
    int64_t length_ns;

    if (t->kind == TIMES_CONTINUOUS)
        return TW_OK;
    if (t->count && exponential)
        return fail(err, "count",
                    tw_err_set(err, TW_EINVAL,
                               "exponential spacing makes the length of so many probes "
                               "a matter of chance: expected `for`"));
    length_ns = times_length_ns(t, spacing_ns, exponential);
    if (length_ns > TIMES_LENGTH_MAX_NS)
        return fail(err, t->count ? "count" : "for",
                    tw_err_set(err, TW_EINVAL, "a run of %s is too long: expected at most 31d",
                               tw_duration_format(length_ns, length)));
    if (t->kind == TIMES_INTERVAL && length_ns + rest_ns > t->every_ns)
        return too_long(t, length_ns, rest_ns, "every", t->every_ns, err);
    return t->kind == TIMES_CRON ? check_cron_gaps(t, length_ns, rest_ns, err) : TW_OK;
}
