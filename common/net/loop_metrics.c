/* common/net/loop_metrics.c - see loop_metrics.h. */
#include "common/net/loop_metrics.h"

size_t loop_metrics(const struct loop *l, struct metrics_self *ret)
{
    struct loop_stats s;

    loop_stats(l, &s);
    ret[0] = (struct metrics_self){ "twamp_loop_rounds_total",
                                    "Rounds of the main loop: it woke up because there was something to do.",
                                    "counter",
                                    NULL,
                                    NULL,
                                    (double)s.work.rounds };
    ret[1] = (struct metrics_self){ "twamp_loop_busy_seconds_total",
                                    "Time that the main loop worked; its rate is the share of its thread.",
                                    "counter",
                                    NULL,
                                    NULL,
                                    (double)s.work.busy_ns / 1e9 };
    ret[2] = (struct metrics_self){
        "twamp_loop_longest_round_seconds",
        "Longest round of the main loop in the last one to two minutes: so long everything else waited.",
        "gauge",
        NULL,
        NULL,
        (double)s.work.longest_ns / 1e9
    };
    ret[3] = (struct metrics_self){ "twamp_loop_longest_piece_seconds",
                                    "Longest piece of work of the main loop in the last one to two minutes: "
                                    "so long what is urgent had to wait.",
                                    "gauge",
                                    NULL,
                                    NULL,
                                    (double)s.piece.longest_ns / 1e9 };
    ret[4] = (struct metrics_self){
        "twamp_loop_timers", "Timers of the main loop that are set.", "gauge", NULL, NULL, (double)s.timers
    };
    return LOOP_METRICS;
}
