/* common/clkstate.h - what the kernel knows of this host's clock, in our words. Pure: reading it is common/net/now.h.
 *
 * Who disciplines the clock (chrony, ntpd, timesyncd, phc2sys, nobody) cannot be told from it, and is not guessed. What all
 * of them leave in the kernel is a flag and a maximum error:
 *
 *   chrony, ntpd   set the maximum error (root distance) at every update; the kernel adds 500 us each second since
 *   timesyncd      does so too, from the server's root distance, at its polls
 *   phc2sys        clears the flag and sets the maximum error to 0 at every update: so it reads 0 or 500 us
 *   nobody         STA_UNSYNC, and a maximum error that has grown to 16 s (NTP_PHASE_LIMIT) */
#ifndef TW_COMMON_CLKSTATE_H
#define TW_COMMON_CLKSTATE_H

#include <sys/timex.h>
#include "common/clk.h"

/* The kernel's own bound, where it sets STA_UNSYNC by itself. */
#define CLKSTATE_WORST_NS (16 * TW_NS_PER_S)
/* The kernel counts whole microseconds: a claim of 0 is one of less than this. */
#define CLKSTATE_LEAST_NS TW_NS_PER_US
/* Hosts do a leap second, or spread it, each in its own time: this long before and after, no clock is called synchronised. */
#define CLKSTATE_LEAP_NS (30 * TW_NS_PER_S)
/* After a step of the clock it is not called synchronised for so long: who is asked meanwhile, says so (S bit). */
#define CLKSTATE_SETTLE_NS (5 * TW_NS_PER_S)
/* A look is good for so long. The kernel itself ages the maximum error but once a second. */
#define CLKSTATE_GOOD_NS (1 * TW_NS_PER_S)

enum tw_leap {
    TW_LEAP_NONE,
    TW_LEAP_INSERT, /* at the end of this UTC day */
    TW_LEAP_DELETE,
    TW_LEAP_NOW,  /* the inserted second */
    TW_LEAP_DONE, /* until the daemon takes its request back */
    TW_LEAPS
};
const char *tw_leap_name(enum tw_leap l); /* "none", "insert", "delete", "now", "done" */

struct clkstate {
    struct tw_clock_state state; /* steps is 0 */
    enum tw_leap leap;
    int64_t est_error_ns;  /* as the daemon estimates; phc2sys leaves it at 16 s */
    int64_t frequency_ppb; /* by which the kernel corrects the oscillator */
    int32_t tai_offset_s;  /* 0: nobody has told the kernel */
};

/* result: what adjtimex() returned; negative: it failed, and nothing is known. */
void clkstate_from_timex(int result, const struct timex *tx, struct tw_wall now, struct clkstate *ret);

#endif
