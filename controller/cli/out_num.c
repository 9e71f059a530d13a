#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "controller/cli/out.h"

static const char *unknown(char buf[OUT_NUM])
{
    return strcpy(buf, "-");
}

/* Three digits that count: 1.23, 12.3, 123. */
static void three_digits(double v, const char *unit, char buf[OUT_NUM])
{
    double m = fabs(v);
    int decimals = m < 9.995 ? 2 : m < 99.95 ? 1 : 0;

    snprintf(buf, OUT_NUM, "%.*f %s", decimals, v, unit);
}

const char *out_seconds(struct tw_num s, char buf[OUT_NUM])
{
    double m = fabs(s.value);

    if (!s.known)
        return unknown(buf);
    if (m < 999.5e-6)
        snprintf(buf, OUT_NUM, "%.*f us", m < 9.95e-6 ? 1 : 0, s.value * 1e6);
    else if (m < 999.5e-3)
        three_digits(s.value * 1e3, "ms", buf);
    else
        three_digits(s.value, "s", buf);
    return buf;
}

/* "0%" and "100%" mean exactly that. */
const char *out_percent(struct tw_num ratio, char buf[OUT_NUM])
{
    double percent = ratio.value * 100;

    if (!ratio.known)
        return unknown(buf);
    if (percent <= 0 || percent >= 100)
        snprintf(buf, OUT_NUM, "%.0f%%", percent);
    else if (percent < 0.01)
        snprintf(buf, OUT_NUM, "<0.01%%");
    else
        snprintf(buf, OUT_NUM, "%.2f%%", percent > 99.99 ? 99.99 : percent);
    return buf;
}

const char *out_si(double v, const char *unit, char buf[OUT_NUM])
{
    static const char *const prefixes[] = { "", "k", "M", "G", "T", "P" };
    char full[16];
    size_t i = 0;

    for (; fabs(v) >= 999.5 && i + 1 < TW_NELEM(prefixes); i++)
        v /= 1000;
    snprintf(full, sizeof full, "%s%s", prefixes[i], unit);
    if (i == 0 && v == floor(v))
        snprintf(buf, OUT_NUM, "%.0f %s", v, full);
    else
        three_digits(v, full, buf);
    return buf;
}

const char *out_ago(int64_t then_ns, int64_t now_ns, char buf[OUT_NUM])
{
    static const struct {
        int64_t below_s, unit_s;
        const char *unit;
    } steps[] = {
        { 120, 1, "s" }, { 120 * 60, 60, "min" }, { 48 * 3600, 3600, "h" }, { INT64_MAX, 86400, "d" }
    };
    int64_t s;
    size_t i = 0;

    if (then_ns <= 0)
        return unknown(buf);
    s = out_ns_between(then_ns, now_ns) / TW_NS_PER_S;
    if (s < 0) /* the controller's clock is ahead of ours */
        s = 0;
    while (s >= steps[i].below_s)
        i++;
    snprintf(buf, OUT_NUM, "%" PRId64 " %s", s / steps[i].unit_s, steps[i].unit);
    return buf;
}

const char *out_time(int64_t ns, char buf[OUT_NUM])
{
    char text[TW_TIME_TEXT];

    if (ns <= 0)
        return unknown(buf);
    tw_wall_format((struct tw_wall){ ns }, text);
    snprintf(buf, OUT_NUM, "%.19sZ", text); /* without the milliseconds */
    return buf;
}
