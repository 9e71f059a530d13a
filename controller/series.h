/* controller/series.h - one pair over time: steps of a length that suits the span, from the roll-ups and
 * summaries in the store. */
#ifndef TW_CONTROLLER_SERIES_H
#define TW_CONTROLLER_SERIES_H

#include "controller/report.h"

#define SERIES_POINTS_DEFAULT 300u
#define SERIES_POINTS_MAX 2000u
#define SERIES_FLOW_STEPS_MAX 4000u         /* flows x steps: with flows there are fewer steps */
#define SERIES_MAX_BYTES ((size_t)64 << 20) /* of histograms: what comes then is left out, and said */
#define SERIES_HEAT_ROWS 64u

struct series_step {
    struct tw_summary merged; /* end_ns 0: nothing is stored */
    enum store_level level;   /* the coarsest that it is made of */
    uint64_t rows;            /* summaries in it */
};
struct series_flow {
    uint32_t flow;
    struct tw_summary *steps; /* n_steps, without one-way delays */
};
struct series_interval {
    int64_t from_ns, until_ns, report_period_ns;
};
struct series {
    struct store_pair pair;    /* names kept in inventory.names */
    int64_t from_ns, to_ns;    /* asked for */
    int64_t first_ns, step_ns; /* step i: [first + i step, first + (i + 1) step) in UTC */
    struct series_step *steps;
    size_t n_steps;
    struct series_flow *flows; /* by number */
    size_t n_flows;
    struct series_interval *scheduled; /* when the pair was, oldest first */
    size_t n_scheduled;
    bool truncated;
};

/* A report period, or a whole number of them (a round time if one is near), so that at most `points` steps
 * touch [from, to); not much longer than need be. */
int64_t series_step_ns(int64_t from_ns, int64_t to_ns, int64_t period_ns, uint32_t points);
/* Reader thread. points 0: the default; period_ns, flows: of the pair now, 0: as it was scheduled. *ret is
 * valid on TW_OK. */
enum tw_rc series_read(struct store_reader *db, const struct store_pair *pair, const struct report_filter *f,
                       int64_t period_ns, uint32_t flows, struct series *ret, struct tw_err *err);
void series_free(struct series *s);

/* Histograms of the steps on one scale that leaves few rows. */
struct series_heat {
    int scale;
    int32_t rows[SERIES_HEAT_ROWS]; /* keys of common/hist.h, rising */
    size_t n_rows;
};
void series_heat(const struct series *s, enum tw_direction d, struct series_heat *ret);
/* Row of a key at the heat map's scale; -1: none. */
int series_heat_row(const struct series_heat *h, int32_t key);

#endif
