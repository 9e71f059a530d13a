/* agent/core/phc_map.h - from the time of a network card's clock (PHC) to system time. Cards stamp packets by
 * a clock of their own, which runs at a rate of its own, and which others may set. Readings of both clocks, a
 * second apart, give a straight line from one to the other. Pure; one owner. */
#ifndef TW_AGENT_PHC_MAP_H
#define TW_AGENT_PHC_MAP_H

#include "common/clk.h"

#define PHC_MAP_READINGS 8
/* Without a reading for so long nothing is converted any more. */
#define PHC_MAP_AGE_NS (5 * TW_NS_PER_S)

struct phc_reading {
    int64_t phc_ns, offset_ns; /* system time - PHC */
    int64_t error_ns;          /* half of the time that the reading took */
};

struct phc_map {
    struct phc_reading at[PHC_MAP_READINGS]; /* FIFO */
    unsigned first, n;
    /* system time = phc + offset + rate * (phc - origin) */
    int64_t origin_ns, offset_ns, error_ns;
    double rate;
    uint32_t steps; /* times that a clock was set, so that the line began anew */
};

/* The PHC was read between two readings of the system clock. Zeroed before the first. */
void phc_map_add(struct phc_map *m, struct tw_wall before, int64_t phc_ns, struct tw_wall after);
/* *ret_error_ns: how far off it may be. TW_EAGAIN: the clock has not been read lately, before or after that
 * time. */
enum tw_rc phc_map_convert(const struct phc_map *m, int64_t phc_ns, struct tw_wall *ret,
                           int64_t *ret_error_ns);

#endif
