/* common/times_cron.c - crontab(5): its five fields, and when they come next. */
#include "common/times.h"

#include <string.h>
#include <strings.h>
#include "common/civil.h"

#define DAY_MINUTES 1440
#define YEARS_AHEAD 12 /* from one 29 February on a Monday to the next it can be that long... */
#define PARTS_MAX 64   /* ...in which clocks change twice a year */

/* ---- Reading ---- */

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun",
                                           "jul", "aug", "sep", "oct", "nov", "dec" };
static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

static const struct field {
    const char *name;
    unsigned min, max;
    const char *const *names; /* of min and up, or NULL */
    unsigned n_names;
    const char *expected;
} fields[] = {
    { "minute", 0, 59, NULL, 0, "0..59" },
    { "hour", 0, 23, NULL, 0, "0..23" },
    { "day of month", 1, 31, NULL, 0, "1..31" },
    { "month", 1, 12, month_names, 12, "1..12 or jan..dec" },
    { "day of week", 0, 7, day_names, 7, "0..7 (0 and 7 are Sunday) or sun..sat" },
};
#define FIELDS TW_NELEM(fields)

static const struct {
    const char *name, *means;
} nicknames[] = {
    { "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },   { "@midnight", "0 0 * * *" },
    { "@weekly", "0 0 * * 0" },   { "@monthly", "0 0 1 * *" }, { "@yearly", "0 0 1 1 *" },
    { "@annually", "0 0 1 1 *" },
};

static bool take_number(const char **p, unsigned *ret)
{
    unsigned v = 0;

    if (**p < '0' || **p > '9')
        return false;
    for (; **p >= '0' && **p <= '9'; (*p)++)
        if ((v = v * 10 + (unsigned)(**p - '0')) > 9999)
            return false;
    *ret = v;
    return true;
}

static bool take_value(const struct field *f, const char **p, unsigned *ret)
{
    for (unsigned i = 0; i < f->n_names; i++)
        if (!strncasecmp(*p, f->names[i], 3)) {
            *p += 3;
            *ret = f->min + i;
            return true;
        }
    return take_number(p, ret) && *ret >= f->min && *ret <= f->max;
}

/* One item of a list: *, a, a-b, each but a with /step. */
static const char *take_item(const struct field *f, const char **p, uint64_t *bits)
{
    unsigned from = f->min, to = f->max, step = 1;
    bool range = true;

    if (**p == '*') {
        (*p)++;
    } else {
        if (!take_value(f, p, &from))
            return f->expected;
        to = from;
        range = **p == '-';
        if (range) {
            (*p)++;
            if (!take_value(f, p, &to))
                return f->expected;
            if (!to && from && f->max == 7) /* fri-sun */
                to = 7;
        }
    }
    if (from > to)
        return "a range from the smaller to the larger";
    if (**p == '/') {
        (*p)++;
        if (!range)
            return "a step only after * or a range, such as 10-50/5";
        if (!take_number(p, &step) || !step || step > f->max)
            return "a step of at least 1 within the field";
    }
    for (unsigned i = from; i <= to; i += step)
        *bits |= UINT64_C(1) << i;
    return NULL;
}

/* Up to a space or the end. */
static const char *take_field(const struct field *f, const char **p, uint64_t *ret)
{
    *ret = 0;
    for (;;) {
        const char *expected = take_item(f, p, ret);

        if (expected)
            return expected;
        if (**p != ',')
            break;
        (*p)++;
    }
    return **p && **p != ' ' && **p != '\t' ? f->expected : NULL;
}

static enum tw_rc fail_field(const struct field *f, const char *at, const char *expected, struct tw_err *err)
{
    int len = (int)strcspn(at, " \t");

    return tw_err_set(err, TW_EINVAL, "%s \"%.*s\": expected %s", f->name, len < 40 ? len : 40, at, expected);
}

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t");
}

static enum tw_rc parse_fields(const char *text, struct times_cron *ret, struct tw_err *err)
{
    uint64_t bits[FIELDS];
    const char *p = skip_space(text), *at[FIELDS];

    for (size_t i = 0; i < FIELDS; i++) {
        const char *expected;

        if (!*p)
            return tw_err_set(err, TW_EINVAL,
                              "the %s is missing: expected five fields, minute hour day month weekday",
                              fields[i].name);
        at[i] = p;
        expected = take_field(&fields[i], &p, &bits[i]);
        if (expected)
            return fail_field(&fields[i], at[i], expected, err);
        p = skip_space(p);
    }
    if (*p)
        return tw_err_set(err, TW_EINVAL, "more than five fields: expected minute hour day month weekday");
    *ret = (struct times_cron){ .minutes = bits[0],
                                .hours = (uint32_t)bits[1],
                                .days = (uint32_t)bits[2],
                                .months = (uint16_t)bits[3],
                                .weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f),
                                .any_day = *at[2] == '*',
                                .any_weekday = *at[4] == '*',
                                .wild = *at[0] == '*' || *at[1] == '*' };
    return TW_OK;
}

enum tw_rc times_cron_parse(const char *text, struct times_cron *ret, struct tw_err *err)
{
    if (*text != '@')
        return parse_fields(text, ret, err);
    for (size_t i = 0; i < TW_NELEM(nicknames); i++)
        if (!strcasecmp(text, nicknames[i].name))
            return parse_fields(nicknames[i].means, ret, err);
    return tw_err_set(
        err, TW_EINVAL,
        "\"%.40s\" is unknown: expected five fields, or @hourly, @daily, @midnight, @weekly, @monthly, "
        "@yearly or @annually",
        text);
}

/* ---- Matching ---- */

static unsigned lowest(uint64_t bits)
{
    return (unsigned)__builtin_ctzll(bits);
}

/* The first minute of the day that matches, not before `from`; DAY_MINUTES: none. */
static unsigned minute_of_day(const struct times_cron *c, unsigned from)
{
    unsigned hour = from / 60;
    uint64_t rest = c->minutes >> (from % 60) << (from % 60);
    uint32_t later;

    if (from >= DAY_MINUTES)
        return DAY_MINUTES;
    if (c->hours & 1u << hour && rest)
        return hour * 60 + lowest(rest);
    later = hour < 31 ? c->hours >> (hour + 1) << (hour + 1) : 0;
    return later ? lowest(later) * 60 + lowest(c->minutes) : DAY_MINUTES;
}

static bool is_day(const struct times_cron *c, int64_t days, unsigned day_of_month)
{
    bool day = c->days >> day_of_month & 1, weekday = c->weekdays >> civil_weekday(days) & 1;

    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

/* The first day from then on that matches; INT64_MAX: none for years. */
static int64_t find_day(const struct times_cron *c, int64_t days)
{
    struct civil_date d = civil_date(days);

    for (unsigned i = 0; i < 12 * YEARS_AHEAD; i++) {
        int64_t first = civil_days(d.year, d.month, 1);
        unsigned n = civil_month_days(d.year, d.month);

        for (; c->months >> d.month & 1 && d.day <= n; d.day++)
            if (is_day(c, first + d.day - 1, d.day))
                return first + d.day - 1;
        d.day = 1;
        d.year += d.month == 12;
        d.month = d.month % 12 + 1;
    }
    return INT64_MAX;
}

/* Local minutes since 1970: the first that matches, not before that one. */
static int64_t match(const struct times_cron *c, int64_t from)
{
    int64_t today = civil_floor_div(from, DAY_MINUTES), days = find_day(c, today);
    unsigned minute = DAY_MINUTES;

    if (days == today)
        minute = minute_of_day(c, (unsigned)(from - today * DAY_MINUTES));
    if (minute < DAY_MINUTES)
        return today * DAY_MINUTES + minute;
    if (days == today)
        days = find_day(c, today + 1);
    return days == INT64_MAX ? INT64_MAX : days * DAY_MINUTES + minute_of_day(c, 0);
}

static int64_t minute_up(int64_t s)
{
    return civil_floor_div(s + 59, 60);
}

/* What clocks show, as they show it. */
static int64_t next_shown(const struct times_cron *c, const struct zone *z, int64_t from_s)
{
    for (unsigned i = 0; i < PARTS_MAX; i++) {
        struct zone_part part = zone_at(z, from_s);
        int64_t m = match(c, minute_up(from_s + part.offset_s));

        if (m == INT64_MAX)
            return INT64_MAX;
        if (m * 60 - part.offset_s < part.to_s)
            return m * 60 - part.offset_s;
        from_s = part.to_s;
    }
    return INT64_MAX;
}

/* Each time of day once, skipped ones when clocks change, doubled ones the first time. */
static int64_t next_named(const struct times_cron *c, const struct zone *z, int64_t after_s)
{
    struct zone_part part = zone_at(z, after_s);
    int64_t local_s = after_s + part.offset_s + 1, m;

    /* Clocks went back and have not caught up: all that was before. */
    if (part.from_s > INT64_MIN && part.from_s + part.before_s > local_s)
        local_s = part.from_s + part.before_s;
    for (m = minute_up(local_s); (m = match(c, m)) != INT64_MAX; m++) {
        int64_t utc_s = zone_moment(z, m * 60);

        if (utc_s > after_s)
            return utc_s;
    }
    return INT64_MAX;
}

int64_t times_cron_next(const struct times_cron *c, const struct zone *z, int64_t after_ns)
{
    int64_t after_s = civil_floor_div(after_ns, TW_NS_PER_S);
    int64_t s = c->wild ? next_shown(c, z, after_s + 1) : next_named(c, z, after_s);

    return s >= TIMES_END_NS / TW_NS_PER_S ? TIMES_NEVER : s * TW_NS_PER_S;
}
