/* controller/core/clock_solve.h - inside the clock audit: the offsets that explain the differences best.
 * Pure. */
#ifndef TW_CONTROLLER_CORE_CLOCK_SOLVE_H
#define TW_CONTROLLER_CORE_CLOCK_SOLVE_H

#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

/* Between hosts a and b: what their clocks differ by (b minus a) if both ways take equally long. */
struct clock_edge {
    uint32_t a, b;
    double difference_s;
    double round_trip_s;
    double scale_s; /* > 0: how far from the truth the difference may be, relative to other edges */
};

/* difference minus what the offsets make of it. */
static inline double clock_residual(const struct clock_edge *e, const double *offset)
{
    return e->difference_s - (offset[e->b] - offset[e->a]);
}

/* Moves the offsets to where the sum of |residual| / scale is least. They come in anywhere near (along a
 * spanning tree), and keep each component's mean of corrections at 0. TW_ENOMEM. */
enum tw_rc clock_solve(const struct clock_edge *edges, size_t n_edges, size_t n_hosts, double *offset);

#endif
