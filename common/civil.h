/* common/civil.h - dates of the proleptic Gregorian calendar as day numbers since 1970-01-01. Pure. */
#ifndef TW_COMMON_CIVIL_H
#define TW_COMMON_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

#define CIVIL_DAY_S INT64_C(86400)
/* A period of the calendar, and the day number of the 1st of March of year 0. Counting years from March, the
 * leap day comes last. */
#define CIVIL_ERA_DAYS INT64_C(146097)
#define CIVIL_ERA_START INT64_C(-719468)

struct civil_date {
    int year;
    unsigned month, day; /* 1..12, 1..31 */
};

/* Rounds down, also below 0; b > 0. */
static inline int64_t civil_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static inline int64_t civil_floor_mod(int64_t a, int64_t b)
{
    int64_t m = a % b;

    return m < 0 ? m + b : m;
}

static inline int64_t civil_days(int year, unsigned month, unsigned day)
{
    int64_t y = (int64_t)year - (month <= 2), era = civil_floor_div(y, 400), in_era = y - era * 400;
    int64_t in_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * CIVIL_ERA_DAYS + in_era * 365 + in_era / 4 - in_era / 100 + in_year + CIVIL_ERA_START;
}

static inline struct civil_date civil_date(int64_t days)
{
    int64_t from = days - CIVIL_ERA_START, era = civil_floor_div(from, CIVIL_ERA_DAYS);
    int64_t in_era = from - era * CIVIL_ERA_DAYS;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100), month = (5 * in_year + 2) / 153;

    return (struct civil_date){ .year = (int)(year + era * 400 + (month >= 10)),
                                .month = (unsigned)(month < 10 ? month + 3 : month - 9),
                                .day = (unsigned)(in_year - (153 * month + 2) / 5 + 1) };
}

static inline unsigned civil_month_days(int year, unsigned month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

/* 0 = Sunday. */
static inline unsigned civil_weekday(int64_t days)
{
    return (unsigned)civil_floor_mod(days + 4, 7);
}

#endif
