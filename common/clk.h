/* common/clk.h - clock types and wire timestamps. Pure: reading clocks is common/net/now.h.
 *
 * Two clocks that must never be mixed: `tw_mono` (CLOCK_MONOTONIC, by which we schedule) and `tw_wall`
 * (CLOCK_REALTIME, which goes on the wire and into the store). */
#ifndef TW_COMMON_CLK_H
#define TW_COMMON_CLK_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

#define TW_NS_PER_US INT64_C(1000)
#define TW_NS_PER_MS INT64_C(1000000)
#define TW_NS_PER_S INT64_C(1000000000)

struct tw_mono {
    int64_t ns; /* since an arbitrary start */
};
struct tw_wall {
    int64_t ns; /* since 1970-01-01 00:00 UTC */
};
/* The two clocks read together. */
struct tw_now {
    struct tw_mono mono;
    struct tw_wall wall;
};

#define TW_MONO_NEVER ((struct tw_mono){ INT64_MAX })

/* 64-bit NTP timestamp <-> nanoseconds since 1970, RFC 5905 section 6; identity for whole nanoseconds
 * (protocol reference section 5.1). Era: the instant nearest to `near` is meant, so 2036 does not matter. */
uint64_t tw_wall_to_ntp(struct tw_wall t);
struct tw_wall tw_wall_from_ntp(uint64_t ntp, struct tw_wall near);

/* PTPv2 truncated (32 bit seconds, 32 bit nanoseconds), RFC 8186. From: TW_EINVAL if ns >= 10^9. */
uint64_t tw_wall_to_ptp(struct tw_wall t);
enum tw_rc tw_wall_from_ptp(uint64_t ptp, struct tw_wall near, struct tw_wall *ret);

/* Error Estimate, RFC 4656 section 4.1.2: S bit, Z bit, 6 bit scale, 8 bit multiplier.
 * encode: the smallest scale whose rounded-up multiplier fits 8 bits, multiplier at least 1.
 * decode: the error in ns (saturating); *ret_synced from the S bit, *ret_ptp from Z. Multiplier 0: TW_EINVAL. */
uint16_t tw_errest_encode(int64_t error_ns, bool synced, bool ptp);
enum tw_rc tw_errest_decode(uint16_t wire, int64_t *ret_error_ns, bool *ret_synced, bool *ret_ptp);

/* What the kernel says about this host's clock (adjtimex), as summaries carry it. */
struct tw_clock_state {
    int64_t max_error_ns;
    uint32_t steps; /* steps of the wall clock seen since the process started */
    bool synced;
};

/* RFC 3339 UTC with milliseconds "2026-11-23T12:00:00.000Z"; buf of TW_TIME_TEXT octets. Returns buf. */
#define TW_TIME_TEXT 32
const char *tw_wall_format(struct tw_wall t, char buf[TW_TIME_TEXT]);
/* RFC 3339 with Z or numeric offset, optional fraction, or whole Unix seconds. */
enum tw_rc tw_wall_parse(const char *text, struct tw_wall *ret);
/* A time that a clock on some wall shows, "2026-12-01", "2026-12-01 08:00" or "2026-12-01T08:00:30", as seconds of
 * that calendar (common/zone.h). */
enum tw_rc tw_local_parse(const char *text, int64_t *ret_s);

/* "20ms", "1.5s", "100us", "2m", "1h", "7d", "0"; a bare number other than 0 is refused: units are demanded. */
enum tw_rc tw_duration_parse(const char *text, int64_t *ret_ns);
/* Shortest exact form in the largest unit that divides, e.g. "20ms". Returns buf. */
const char *tw_duration_format(int64_t ns, char buf[TW_TIME_TEXT]);

#endif
