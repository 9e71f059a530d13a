/* controller/core/alert_track.h - what an alert rule remembers of a pair's number: its baseline, a sum over a
 * longer time, the hops that its packets took. Pure values; a time is that of a period's end, ns since 1970.
 *
 * Baseline: the span is cut into 48 cells; of each cell the median of its values (of 64 of them, drawn at
 * random, where there are more), and of these medians the median. One bad hour, or a whole bad night in a
 * week, does not move it; what stays for half of the span is the new normal. */
#ifndef TW_CONTROLLER_CORE_ALERT_TRACK_H
#define TW_CONTROLLER_CORE_ALERT_TRACK_H

#include "common/stats.h"

#define ALERT_CELLS 48
#define ALERT_CELL_SAMPLES 64

struct alert_baseline {
    int64_t cell_ns;
    int64_t cell;  /* number of the one that is being filled: end / cell_ns */
    uint64_t seen; /* values in it */
    uint64_t random;
    float sample[ALERT_CELL_SAMPLES];
    int64_t at[ALERT_CELLS]; /* number of the cell + 1; 0: none */
    float median[ALERT_CELLS];
};
void alert_baseline_init(struct alert_baseline *b, int64_t span_ns, uint64_t seed);
/* True: a cell is complete, and what there is to keep has changed. */
bool alert_baseline_add(struct alert_baseline *b, int64_t end_ns, double value);
/* All that is later than the end of a period that is now: it came of a clock that was ahead. */
void alert_baseline_trim(struct alert_baseline *b, int64_t end_ns);
/* Begin of the oldest cell that it lacks of those that count at `now_ns`, the one that is being filled among them. */
int64_t alert_baseline_lacks(const struct alert_baseline *b, int64_t now_ns);
/* Takes cells that it lacks, and what there is of the one that is being filled. True: what there is to keep has
 * changed. */
bool alert_baseline_fill(struct alert_baseline *b, const struct alert_baseline *from);
/* Unknown until cells of warm_up_ns are complete. *ret_known_ns: how much is. */
struct tw_num alert_baseline_value(const struct alert_baseline *b, int64_t now_ns, int64_t warm_up_ns,
                                   int64_t *ret_known_ns);
/* Complete cells as text, "cell_ns at:median at:median ...". False: it does not fit. */
#define ALERT_BASELINE_TEXT 2048
bool alert_baseline_save(const struct alert_baseline *b, char buf[ALERT_BASELINE_TEXT]);
/* False: it is of another span, or no such text; then *b is as it was. */
bool alert_baseline_load(struct alert_baseline *b, const char *text);

/* A ratio over a longer time. */
#define ALERT_PARTS 12
struct alert_window {
    int64_t cell_ns;
    int64_t at[ALERT_PARTS];
    double part[ALERT_PARTS], whole[ALERT_PARTS];
};
void alert_window_init(struct alert_window *w, int64_t span_ns);
void alert_window_add(struct alert_window *w, int64_t end_ns, double part, double whole);
void alert_window_trim(struct alert_window *w, int64_t end_ns); /* as alert_baseline_trim() */
struct tw_num alert_window_ratio(const struct alert_window *w, int64_t end_ns);

/* The hops of one way: what they are, until others have been so long that they are. */
struct alert_hops {
    uint8_t usual, other; /* received TTL; 0: none yet */
    int64_t other_since_ns;
};
/* By how many the TTL differs from the usual one. */
struct tw_num alert_hops_feed(struct alert_hops *h, struct tw_num min, struct tw_num max, int64_t end_ns,
                              int64_t settle_ns);

#endif
