/* Times and durations as text. */
#include "common/civil.h"
#include "common/clk_split.h"

#include <stdio.h>
#include <string.h>

/* ---- Wall clock. The calendar is our own, because libc's normalises what should be refused. ---- */

const char *tw_wall_format(struct tw_wall t, char buf[TW_TIME_TEXT])
{
    struct clk_split at = clk_split(t);
    int64_t second = civil_floor_mod(at.s, CIVIL_DAY_S);
    struct civil_date date = civil_date(civil_floor_div(at.s, CIVIL_DAY_S));

    snprintf(buf, TW_TIME_TEXT, "%04d-%02u-%02uT%02d:%02d:%02d.%03uZ", date.year, date.month, date.day,
             (int)(second / 3600), (int)(second / 60 % 60), (int)(second % 60), at.ns / 1000000);
    return buf;
}

/* Exactly n digits, within [lo, hi]. */
static bool take_digits(const char **p, unsigned n, unsigned lo, unsigned hi, unsigned *ret)
{
    unsigned v = 0;

    for (; n; n--, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        v = v * 10 + (unsigned)(**p - '0');
    }
    *ret = v;
    return v >= lo && v <= hi;
}

static bool take_char(const char **p, const char *any_of)
{
    if (!**p || !strchr(any_of, **p))
        return false;
    (*p)++;
    return true;
}

static bool take_date(const char **p, int64_t *ret_days)
{
    unsigned year, month, day;

    if (!take_digits(p, 4, 0, 9999, &year) || !take_char(p, "-") || !take_digits(p, 2, 1, 12, &month) ||
        !take_char(p, "-") || !take_digits(p, 2, 1, 31, &day))
        return false;
    if (day > civil_month_days((int)year, month))
        return false;
    *ret_days = civil_days((int)year, month, day);
    return true;
}

/* A leap second (60) is taken for the second after it, as POSIX time does. */
static bool take_time(const char **p, int64_t *ret_s)
{
    unsigned hour, minute, second;

    if (!take_digits(p, 2, 0, 23, &hour) || !take_char(p, ":") || !take_digits(p, 2, 0, 59, &minute) ||
        !take_char(p, ":") || !take_digits(p, 2, 0, 60, &second))
        return false;
    *ret_s = (int64_t)hour * 3600 + minute * 60 + second;
    return true;
}

/* Digits beyond the nanosecond are dropped. */
static bool take_fraction(const char **p, int64_t *ret_ns)
{
    int64_t unit = TW_NS_PER_S / 10;

    *ret_ns = 0;
    if (!take_char(p, "."))
        return true;
    if (**p < '0' || **p > '9')
        return false;
    for (; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
        *ret_ns += (**p - '0') * unit;
    return true;
}

/* Seconds may be left out. */
static bool take_minutes(const char **p, int64_t *ret_s)
{
    unsigned hour, minute, second = 0;

    if (!take_digits(p, 2, 0, 23, &hour) || !take_char(p, ":") || !take_digits(p, 2, 0, 59, &minute) ||
        (take_char(p, ":") && !take_digits(p, 2, 0, 59, &second)))
        return false;
    *ret_s = (int64_t)hour * 3600 + minute * 60 + second;
    return true;
}

static bool take_zone(const char **p, int64_t *ret_s)
{
    unsigned hour, minute;
    int sign = **p == '-' ? -1 : 1;

    *ret_s = 0;
    if (take_char(p, "Zz"))
        return true;
    if (!take_char(p, "+-") || !take_digits(p, 2, 0, 23, &hour) || !take_char(p, ":") ||
        !take_digits(p, 2, 0, 59, &minute))
        return false;
    *ret_s = sign * (int64_t)(hour * 3600 + minute * 60);
    return true;
}

static enum tw_rc parse_unix_seconds(const char *text, struct tw_wall *ret)
{
    int64_t s = 0;

    for (; *text; text++)
        if (__builtin_mul_overflow(s, 10, &s) || __builtin_add_overflow(s, *text - '0', &s))
            return TW_ERANGE;
    return clk_join(s, 0, ret);
}

enum tw_rc tw_wall_parse(const char *text, struct tw_wall *ret)
{
    const char *p = text;
    int64_t days, second, ns, zone;

    if (*text && strspn(text, "0123456789") == strlen(text))
        return parse_unix_seconds(text, ret);
    if (!take_date(&p, &days) || !take_char(&p, "Tt ") || !take_time(&p, &second) ||
        !take_fraction(&p, &ns) || !take_zone(&p, &zone) || *p)
        return TW_EINVAL;
    return clk_join(days * 86400 + second - zone, ns, ret);
}

enum tw_rc tw_local_parse(const char *text, int64_t *ret_s)
{
    const char *p = text;
    int64_t days, second = 0;

    if (!take_date(&p, &days) || (*p && (!take_char(&p, "Tt ") || !take_minutes(&p, &second))) || *p)
        return TW_EINVAL;
    *ret_s = days * CIVIL_DAY_S + second;
    return TW_OK;
}

/* ---- Durations ---- */

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    /* largest first */
    { "d", INT64_C(86400) * TW_NS_PER_S },
    { "h", 3600 * TW_NS_PER_S },
    { "m", 60 * TW_NS_PER_S },
    { "s", TW_NS_PER_S },
    { "ms", TW_NS_PER_MS },
    { "us", TW_NS_PER_US },
    { "ns", 1 },
};

static int64_t unit_ns(const char *name)
{
    for (size_t i = 0; i < TW_NELEM(units); i++)
        if (!strcmp(name, units[i].name))
            return units[i].ns;
    return 0;
}

/* Digits after the point; what is not a whole number of nanoseconds is refused rather than rounded. */
static enum tw_rc parse_decimals(const char *digits, size_t n, int64_t unit, int64_t *ret_ns)
{
    int64_t value = 0, tens = 1;

    while (n && digits[n - 1] == '0')
        n--;
    if (n > 15) /* finer than any unit divides */
        return TW_EINVAL;
    for (size_t i = 0; i < n; i++, tens *= 10)
        value = value * 10 + digits[i] - '0';
    if ((__int128)value * unit % tens)
        return TW_EINVAL;
    *ret_ns = (int64_t)((__int128)value * unit / tens);
    return TW_OK;
}

enum tw_rc tw_duration_parse(const char *text, int64_t *ret_ns)
{
    size_t n_whole = strspn(text, "0123456789"), n_dec = 0;
    const char *rest = text + n_whole, *dec = rest;
    int64_t whole = 0, part, unit;
    enum tw_rc rc;

    if (!strcmp(text, "0")) {
        *ret_ns = 0;
        return TW_OK;
    }
    if (*rest == '.') {
        dec = rest + 1;
        n_dec = strspn(dec, "0123456789");
        rest = dec + n_dec;
    }
    unit = unit_ns(rest);
    if (!n_whole || (dec != text + n_whole && !n_dec) || !unit)
        return TW_EINVAL;
    for (size_t i = 0; i < n_whole; i++)
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, text[i] - '0', &whole))
            return TW_ERANGE;
    rc = parse_decimals(dec, n_dec, unit, &part);
    if (rc)
        return rc;
    if (__builtin_mul_overflow(whole, unit, &whole) || __builtin_add_overflow(whole, part, &whole))
        return TW_ERANGE;
    *ret_ns = whole;
    return TW_OK;
}

const char *tw_duration_format(int64_t ns, char buf[TW_TIME_TEXT])
{
    uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    size_t i = 0;

    if (!ns)
        return strcpy(buf, "0");
    while (left % (uint64_t)units[i].ns)
        i++;
    snprintf(buf, TW_TIME_TEXT, "%s%llu%s", ns < 0 ? "-" : "",
             (unsigned long long)(left / (uint64_t)units[i].ns), units[i].name);
    return buf;
}
