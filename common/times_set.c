/* common/times_set.c - sets of moments: weekly by the clock on the wall, and dated. */
#include "common/times.h"

#include <stdlib.h>
#include <string.h>
#include "common/civil.h"

#define MINUTE_NS (60 * TW_NS_PER_S)
#define DAY_NS (CIVIL_DAY_S * TW_NS_PER_S)
#define WEEK_NS (7 * DAY_NS)
#define MONDAY_NS (3 * DAY_NS) /* 1970 began on a Thursday: how far into its week */

void times_set_clear(struct times_set *s)
{
    zone_clear(&s->zone);
    free(s->week);
    free(s->spans);
    *s = (struct times_set){ 0 };
}

/* ---- Adding ---- */

/* Where [from, to) goes among spans in order: *ret_first..*ret_end are those that it swallows. */
static void place(const struct times_span *v, size_t n, struct times_span add, size_t *ret_first,
                  size_t *ret_end)
{
    size_t i = 0;

    while (i < n && v[i].to_ns < add.from_ns)
        i++;
    *ret_first = i;
    while (i < n && v[i].from_ns <= add.to_ns)
        i++;
    *ret_end = i;
}

static size_t merge(struct times_span *v, size_t n, struct times_span add)
{
    size_t first, end;

    place(v, n, add, &first, &end);
    if (first < end) {
        add.from_ns = v[first].from_ns < add.from_ns ? v[first].from_ns : add.from_ns;
        add.to_ns = v[end - 1].to_ns > add.to_ns ? v[end - 1].to_ns : add.to_ns;
    }
    memmove(v + first + 1, v + end, (n - end) * sizeof *v);
    v[first] = add;
    return n - (end - first) + 1;
}

enum tw_rc times_set_add_span(struct times_set *s, int64_t from_ns, int64_t to_ns)
{
    if (from_ns >= to_ns)
        return TW_EINVAL;
    if (!s->spans && !(s->spans = calloc(TIMES_SPANS_MAX, sizeof *s->spans)))
        return TW_ENOMEM;
    if (s->n_spans == TIMES_SPANS_MAX)
        return TW_ENOMEM;
    s->n_spans = merge(s->spans, s->n_spans, (struct times_span){ from_ns, to_ns });
    return TW_OK;
}

static enum tw_rc add_piece(struct times_set *s, unsigned from, unsigned to)
{
    size_t first = 0, end;

    if (s->n_week == TIMES_WEEK_MAX)
        return TW_ENOMEM;
    while (first < s->n_week && s->week[first].to < from)
        first++;
    for (end = first; end < s->n_week && s->week[end].from <= to;)
        end++;
    if (first < end) {
        from = s->week[first].from < from ? s->week[first].from : from;
        to = s->week[end - 1].to > to ? s->week[end - 1].to : to;
    }
    memmove(s->week + first + 1, s->week + end, (s->n_week - end) * sizeof *s->week);
    s->week[first] = (struct times_piece){ (uint16_t)from, (uint16_t)to };
    s->n_week = s->n_week - (end - first) + 1;
    return TW_OK;
}

enum tw_rc times_set_add_week(struct times_set *s, unsigned from_minute, unsigned length_minutes)
{
    unsigned to = from_minute + length_minutes;
    enum tw_rc rc;

    if (from_minute >= TIMES_WEEK_MINUTES || !length_minutes || length_minutes > TIMES_WEEK_MINUTES)
        return TW_EINVAL;
    if (!s->week && !(s->week = calloc(TIMES_WEEK_MAX + 1, sizeof *s->week)))
        return TW_ENOMEM;
    if (to <= TIMES_WEEK_MINUTES)
        return add_piece(s, from_minute, to);
    rc = add_piece(s, from_minute, TIMES_WEEK_MINUTES);
    return rc ? rc : add_piece(s, 0, to - TIMES_WEEK_MINUTES);
}

/* ---- Asking ---- */

static void narrow(struct times_span *same, int64_t from_ns, int64_t to_ns)
{
    if (from_ns > same->from_ns)
        same->from_ns = from_ns;
    if (to_ns < same->to_ns)
        same->to_ns = to_ns;
}

static bool in_spans(const struct times_set *s, int64_t at_ns, struct times_span *same)
{
    size_t lo = 0, hi = s->n_spans; /* how many have begun */
    bool in;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (s->spans[mid].from_ns <= at_ns)
            lo = mid + 1;
        else
            hi = mid;
    }
    in = lo && at_ns < s->spans[lo - 1].to_ns;
    narrow(same, lo ? in ? s->spans[lo - 1].from_ns : s->spans[lo - 1].to_ns : INT64_MIN,
           in                ? s->spans[lo - 1].to_ns
           : lo < s->n_spans ? s->spans[lo].from_ns
                             : INT64_MAX);
    return in;
}

static size_t pieces_begun(const struct times_set *s, unsigned minute)
{
    size_t lo = 0, hi = s->n_week;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (s->week[mid].from <= minute)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool in_week(const struct times_set *s, int64_t at_ns, struct times_span *same)
{
    struct zone_part part = zone_at(&s->zone, civil_floor_div(at_ns, TW_NS_PER_S));
    int64_t local_ns = at_ns + part.offset_s * TW_NS_PER_S;
    int64_t into_ns = civil_floor_mod(local_ns + MONDAY_NS, WEEK_NS), week_ns = at_ns - into_ns;
    unsigned minute = (unsigned)(into_ns / MINUTE_NS), from = 0, to = TIMES_WEEK_MINUTES;
    size_t n = pieces_begun(s, minute);
    bool in = n && minute < s->week[n - 1].to;

    if (n)
        from = in ? s->week[n - 1].from : s->week[n - 1].to;
    if (in)
        to = s->week[n - 1].to;
    else if (n < s->n_week)
        to = s->week[n].from;
    narrow(same, week_ns + from * MINUTE_NS, week_ns + to * MINUTE_NS);
    if (part.from_s > INT64_MIN)
        narrow(same, part.from_s * TW_NS_PER_S, INT64_MAX);
    if (part.to_s < INT64_MAX)
        narrow(same, INT64_MIN, part.to_s * TW_NS_PER_S);
    return in;
}

bool times_set_at(const struct times_set *s, int64_t at_ns, struct times_span *ret_same)
{
    bool in = false;

    *ret_same = (struct times_span){ INT64_MIN, INT64_MAX };
    if (s->n_spans)
        in = in_spans(s, at_ns, ret_same);
    if (s->n_week)
        in |= in_week(s, at_ns, ret_same);
    return in;
}
