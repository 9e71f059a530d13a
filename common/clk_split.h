/* common/clk_split.h - private to clk*.c: an instant as seconds and nanoseconds. */
#ifndef TW_COMMON_CLK_SPLIT_H
#define TW_COMMON_CLK_SPLIT_H

#include "common/clk.h"

struct clk_split {
    int64_t s;
    uint32_t ns; /* < 10^9, also before 1970 */
};

struct clk_split clk_split(struct tw_wall t);
/* ns may be 10^9. TW_ERANGE beyond what struct tw_wall holds. */
enum tw_rc clk_join(int64_t s, int64_t ns, struct tw_wall *ret);

#endif
