/* common/net/now.h - reads the clocks. The only place that does, so that everything else can be simulated. */
#ifndef TW_NET_NOW_H
#define TW_NET_NOW_H

#include "common/clkstate.h"

struct tw_mono tw_mono_now(void);
struct tw_wall tw_wall_now(void);
/* Both, read back to back (wall between two mono readings; mono is their middle); anew if this thread lost
 * the CPU in between. */
struct tw_now tw_now(void);
/* Returns the first reading that is not before `due`: without sleeping, so not for long. */
struct tw_mono tw_spin_until(struct tw_mono due);
/* adjtimex(): what the kernel knows of this host's clock. No privilege needed. */
void tw_clock_read(struct clkstate *ret);

#endif
