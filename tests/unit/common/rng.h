/* tests/unit/common/rng.h - repeatable random numbers for property tests. */
#ifndef TW_TESTS_UNIT_COMMON_RNG_H
#define TW_TESTS_UNIT_COMMON_RNG_H

#include <math.h>
#include <stdint.h>
#include "common/splitmix.h"

static inline uint64_t rng_next(uint64_t *state)
{
    return tw_splitmix64(state);
}

static inline uint64_t rng_below(uint64_t *state, uint64_t n)
{
    return rng_next(state) % n;
}

/* (0, 1) */
static inline double rng_unit(uint64_t *state)
{
    return ((double)(rng_next(state) >> 11) + 0.5) * 0x1p-53;
}

static inline double rng_normal(uint64_t *state)
{
    double r = sqrt(-2 * log(rng_unit(state)));

    return r * cos(2 * M_PI * rng_unit(state));
}

#endif
