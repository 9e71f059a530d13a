/* common/work.h - how a thread is doing that works in rounds and waits in between: how many, which share of
 * its time they take, the longest, and since when nothing was heard of it. Pure: time is an argument, of a
 * clock that never goes back. One thread notes its rounds, any thread may look meanwhile: the figures are
 * then of moments that lie a little apart, never torn. */
#ifndef TW_COMMON_WORK_H
#define TW_COMMON_WORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WORK_WINDOW_NS INT64_C(60000000000)

struct work_window {
    _Atomic int64_t start_ns, busy_ns, longest_ns;
};
struct work {
    _Atomic uint64_t rounds;
    _Atomic int64_t busy_ns, seen_ns; /* of rounds that are over; the last begin or end */
    _Atomic int64_t begun_ns;         /* of the round under way; WORK_WAITS: there is none */
    struct work_window now, before;
};
#define WORK_WAITS INT64_MIN

void work_init(struct work *w, int64_t now_ns);
/* In turns, by the thread whose work it is. */
void work_begin(struct work *w, int64_t now_ns);
void work_end(struct work *w, int64_t now_ns);

struct work_stats {
    uint64_t rounds;    /* that are over */
    int64_t busy_ns;    /* in rounds, with the one under way */
    int64_t longest_ns; /* round of the last one to two minutes, with the one under way */
    double busy_ratio;  /* share of that time that was work, 0 to 1 */
    int64_t quiet_ns;   /* since it last began or ended a round */
    bool working;
};
/* Any thread. */
void work_look(const struct work *w, int64_t now_ns, struct work_stats *ret);

#endif
