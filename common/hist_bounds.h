/* common/hist_bounds.h - private to hist.c: the bucket boundaries of one octave at HIST_SCALE. */
#ifndef TW_COMMON_HIST_BOUNDS_H
#define TW_COMMON_HIST_BOUNDS_H

#include <stdint.h>

#define HIST_OCTAVE 64
#define HIST_GUESSES 128

extern const double hist_bound[HIST_OCTAVE + 1];
extern const uint8_t hist_bound_guess[HIST_GUESSES];

#endif
