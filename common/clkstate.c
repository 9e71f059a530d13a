#include "common/clkstate.h"

#define DAY_NS (86400 * TW_NS_PER_S)

const char *tw_leap_name(enum tw_leap l)
{
    static const char *const names[TW_LEAPS] = { "none", "insert", "delete", "now", "done" };

    return l < TW_LEAPS ? names[l] : "none";
}

/* TIME_ERROR hides the leap state: then the requests tell, which is all that matters before the fact. */
static enum tw_leap leap_of(int result, int status)
{
    switch (result) {
    case TIME_INS:
        return TW_LEAP_INSERT;
    case TIME_DEL:
        return TW_LEAP_DELETE;
    case TIME_OOP:
        return TW_LEAP_NOW;
    case TIME_WAIT:
        return TW_LEAP_DONE;
    case TIME_ERROR:
        return status & STA_INS ? TW_LEAP_INSERT : status & STA_DEL ? TW_LEAP_DELETE : TW_LEAP_NONE;
    default:
        return TW_LEAP_NONE;
    }
}

/* A request stands for hours before and after: what counts is the turn of the UTC day. */
static bool is_leaping(enum tw_leap l, struct tw_wall now)
{
    int64_t into = now.ns % DAY_NS;

    if (l == TW_LEAP_NONE)
        return false;
    return l == TW_LEAP_NOW || into < CLKSTATE_LEAP_NS || into >= DAY_NS - CLKSTATE_LEAP_NS;
}

static int64_t bounded_us(long us)
{
    if (us < 0 || us > CLKSTATE_WORST_NS / TW_NS_PER_US)
        return CLKSTATE_WORST_NS;
    return us * TW_NS_PER_US;
}

void clkstate_from_timex(int result, const struct timex *tx, struct tw_wall now, struct clkstate *ret)
{
    struct clkstate c = { .state.max_error_ns = CLKSTATE_WORST_NS, .est_error_ns = CLKSTATE_WORST_NS };

    if (result >= 0) {
        c.leap = leap_of(result, tx->status);
        c.state.max_error_ns = bounded_us(tx->maxerror);
        if (c.state.max_error_ns < CLKSTATE_LEAST_NS)
            c.state.max_error_ns = CLKSTATE_LEAST_NS;
        c.state.synced = result != TIME_ERROR && !(tx->status & (STA_UNSYNC | STA_CLOCKERR)) &&
                         c.state.max_error_ns < CLKSTATE_WORST_NS && !is_leaping(c.leap, now);
        c.est_error_ns = bounded_us(tx->esterror);
        c.frequency_ppb = (int64_t)tx->freq * 1000 / 65536; /* ppm, 16 bits of fraction */
        c.tai_offset_s = tx->tai;
    }
    *ret = c;
}
