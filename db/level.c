#include <string.h>

#include "db/level.h"

static const struct {
    const char *name;
    int64_t ns;
} levels[STORE_LEVELS] = {
    [STORE_RAW] = { "raw", 0 },
    [STORE_1MIN] = { "1min", 60 * TW_NS_PER_S },
    [STORE_10MIN] = { "10min", 600 * TW_NS_PER_S },
    [STORE_1H] = { "1h", 3600 * TW_NS_PER_S },
    [STORE_1D] = { "1d", 86400 * TW_NS_PER_S },
};

const char *store_level_name(enum store_level l)
{
    return l < STORE_LEVELS ? levels[l].name : "?";
}

enum tw_rc store_level_parse(const char *name, enum store_level *ret)
{
    for (unsigned i = 0; i < STORE_LEVELS; i++)
        if (!strcmp(levels[i].name, name)) {
            *ret = (enum store_level)i;
            return TW_OK;
        }
    return TW_EINVAL;
}

int64_t store_level_ns(enum store_level l)
{
    return l < STORE_LEVELS ? levels[l].ns : 0;
}

static int64_t floor_to(int64_t t, int64_t unit)
{
    int64_t rest = t % unit;

    return t - (rest < 0 ? rest + unit : rest);
}

int64_t level_cell(enum store_level level, int64_t t_ns)
{
    return floor_to(t_ns, store_level_ns(level));
}

enum store_level level_for(int64_t length_ns)
{
    enum store_level l = STORE_1MIN;

    while (l < STORE_1D && store_level_ns(l) <= length_ns)
        l++;
    return l;
}

/* ---- The tiles of a span ---- */

static bool serves(const struct level_span *s, enum store_level l, int64_t t)
{
    return t >= s->kept_from_ns[l] && (l == STORE_1D || s->holds_all(s->ctx, l, level_cell(STORE_1D, t)));
}

/* The coarsest level with a cell that begins at t and does not go too far; raw: none. */
static enum store_level cell_at(const struct level_span *s, int64_t t)
{
    int64_t end = s->to_ns < s->raw_from_ns ? s->to_ns : s->raw_from_ns;

    if (t >= end)
        return STORE_RAW;
    for (enum store_level l = STORE_1D; l > STORE_RAW; l--) {
        int64_t ns = store_level_ns(l);
        if (t % ns == 0 && t <= end - ns && (!s->step_ns || s->step_ns % ns == 0) && serves(s, l, t))
            return l;
    }
    return STORE_RAW;
}

static bool is_kept(const struct level_span *s, int64_t t)
{
    return t >= s->kept_from_ns[STORE_RAW] || (t < s->raw_from_ns && t >= s->kept_from_ns[STORE_1D]);
}

/* What holds at the beginning of a day holds for all of it, if all of it is asked for. */
static int64_t stride(const struct level_span *s, int64_t t, int64_t ns)
{
    const int64_t day = store_level_ns(STORE_1D);

    return t % day == 0 && t <= s->to_ns - day && t <= s->raw_from_ns - day ? day : ns;
}

/* Cells of one level, as many as follow each other. */
static void take_cells(struct level_span *s, enum store_level l, struct level_tile *ret)
{
    int64_t t = s->at_ns;

    do
        t += stride(s, t, store_level_ns(l));
    while (t < s->to_ns && cell_at(s, t) == l);
    *ret = (struct level_tile){ l, s->at_ns, t };
    s->at_ns = t;
}

/* Summaries up to where a cell fits. */
static void take_raw(struct level_span *s, struct level_tile *ret)
{
    const int64_t minute = store_level_ns(STORE_1MIN);
    int64_t t = s->at_ns;

    if (t >= s->raw_from_ns || (s->step_ns && s->step_ns % minute))
        t = s->to_ns;
    while (t < s->to_ns) {
        int64_t by = t < s->raw_from_ns ? stride(s, t, minute) : minute;
        t = t > s->to_ns - by ? s->to_ns : floor_to(t, by) + by;
        if (t >= s->to_ns || cell_at(s, t) != STORE_RAW)
            break;
        if (t >= s->raw_from_ns)
            t = s->to_ns;
    }
    *ret = (struct level_tile){ STORE_RAW, s->at_ns, t };
    s->at_ns = t;
}

/* One cell, wherever it begins and ends. */
static void take_coarse(struct level_span *s, struct level_tile *ret)
{
    enum store_level l = STORE_1MIN;

    while (l < STORE_1D && !serves(s, l, s->at_ns))
        l++;
    ret->level = l;
    ret->from_ns = level_cell(l, s->at_ns);
    ret->to_ns = ret->from_ns + store_level_ns(l);
    s->at_ns = ret->to_ns;
}

bool level_next(struct level_span *s, struct level_tile *ret)
{
    enum store_level l;

    if (s->at_ns < s->to_ns && !is_kept(s, s->at_ns))
        s->at_ns = s->kept_from_ns[s->at_ns < s->raw_from_ns ? STORE_1D : STORE_RAW];
    if (s->at_ns >= s->to_ns)
        return false;
    l = cell_at(s, s->at_ns);
    if (l != STORE_RAW)
        take_cells(s, l, ret);
    else if (s->at_ns >= s->kept_from_ns[STORE_RAW])
        take_raw(s, ret);
    else
        take_coarse(s, ret);
    return true;
}

/* ---- When to roll up ---- */

#define GRACE_NS (60 * TW_NS_PER_S)

bool level_is_due(const struct level_day *d, int64_t now_ns)
{
    if (d->until > d->through || d->last - d->through >= LEVEL_ROUND_ROWS)
        return true;
    return d->last > d->through && (!d->looked_ns || level_cell(STORE_10MIN, now_ns - GRACE_NS) !=
                                                         level_cell(STORE_10MIN, d->looked_ns - GRACE_NS));
}

int level_pick(const struct level_day *d, size_t n, int64_t now_ns)
{
    int best = -1;

    for (size_t i = 0; i < n; i++) {
        if (d[i].until > d[i].through)
            return (int)i;
        if (level_is_due(&d[i], now_ns) && (best < 0 || d[i].day < d[best].day))
            best = (int)i;
    }
    return best;
}
