#include "common/clk_split.h"

/* Seconds from 1900-01-01 to 1970-01-01, RFC 5905 section 6. */
#define NTP_OFFSET_S INT64_C(2208988800)

struct clk_split clk_split(struct tw_wall t)
{
    int64_t s = t.ns / TW_NS_PER_S, ns = t.ns % TW_NS_PER_S;

    if (ns < 0) {
        s--;
        ns += TW_NS_PER_S;
    }
    return (struct clk_split){ s, (uint32_t)ns };
}

enum tw_rc clk_join(int64_t s, int64_t ns, struct tw_wall *ret)
{
    int64_t total;

    /* Towards zero, so that the earliest instants do not overflow on the way. */
    if (s < 0 && ns > 0) {
        s++;
        ns -= TW_NS_PER_S;
    }
    if (__builtin_mul_overflow(s, TW_NS_PER_S, &total) || __builtin_add_overflow(total, ns, &total))
        return TW_ERANGE;
    ret->ns = total;
    return TW_OK;
}

/* The instant with these low 32 bits of seconds (counted from `offset` before 1970) that is nearest to
 * `near`. */
static struct tw_wall from_seconds32(uint32_t s32, uint32_t ns, int64_t offset, struct tw_wall near)
{
    int64_t near_s = clk_split(near).s;
    int64_t s = near_s + (int32_t)(s32 - (uint32_t)(near_s + offset));
    struct tw_wall t;

    if (clk_join(s, ns, &t))
        t.ns = s < 0 ? INT64_MIN : INT64_MAX;
    return t;
}

uint64_t tw_wall_to_ntp(struct tw_wall t)
{
    struct clk_split at = clk_split(t);
    uint64_t frac = (((uint64_t)at.ns << 32) + TW_NS_PER_S / 2) / TW_NS_PER_S; /* < 2^32 */

    return (uint64_t)(at.s + NTP_OFFSET_S) << 32 | frac;
}

struct tw_wall tw_wall_from_ntp(uint64_t ntp, struct tw_wall near)
{
    /* May round up to 10^9: clk_join() carries. */
    uint64_t ns = ((ntp & UINT32_MAX) * TW_NS_PER_S + (UINT64_C(1) << 31)) >> 32;

    return from_seconds32((uint32_t)(ntp >> 32), (uint32_t)ns, NTP_OFFSET_S, near);
}

uint64_t tw_wall_to_ptp(struct tw_wall t)
{
    struct clk_split at = clk_split(t);

    return (uint64_t)at.s << 32 | at.ns;
}

enum tw_rc tw_wall_from_ptp(uint64_t ptp, struct tw_wall near, struct tw_wall *ret)
{
    if ((ptp & UINT32_MAX) >= TW_NS_PER_S)
        return TW_EINVAL;
    *ret = from_seconds32((uint32_t)(ptp >> 32), (uint32_t)ptp, 0, near);
    return TW_OK;
}

/* ---- Error Estimate, RFC 4656 section 4.1.2: multiplier * 2^(scale - 32) seconds ---- */

enum { ERREST_S = 0x8000, ERREST_Z = 0x4000, ERREST_SCALES = 64, ERREST_MULT_MAX = 255 };

uint16_t tw_errest_encode(int64_t error_ns, bool synced, bool ptp)
{
    unsigned __int128 error = (unsigned __int128)(error_ns > 0 ? error_ns : 0) << 32; /* 2^-32 ns */
    unsigned scale = 0;
    unsigned __int128 unit = TW_NS_PER_S; /* 2^scale s, in 2^-32 ns; the multiplier counts these */

    while (scale < ERREST_SCALES - 1 && error > unit * ERREST_MULT_MAX) {
        unit <<= 1;
        scale++;
    }
    error = (error + unit - 1) / unit;
    if (error < 1)
        error = 1;
    return (uint16_t)((synced ? ERREST_S : 0) | (ptp ? ERREST_Z : 0) | scale << 8 | (unsigned)error);
}

enum tw_rc tw_errest_decode(uint16_t wire, int64_t *ret_error_ns, bool *ret_synced, bool *ret_ptp)
{
    unsigned scale = wire >> 8 & 0x3f, mult = wire & 0xff;
    unsigned __int128 error = ((unsigned __int128)mult * TW_NS_PER_S) << scale; /* 2^-32 ns */

    if (!mult)
        return TW_EINVAL;
    error = (error + UINT32_MAX) >> 32; /* up: it is a bound */
    *ret_error_ns = error > INT64_MAX ? INT64_MAX : (int64_t)error;
    *ret_synced = wire & ERREST_S;
    *ret_ptp = wire & ERREST_Z;
    return TW_OK;
}
