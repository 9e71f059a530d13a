/* ch_fx.h - what tests of a history in ClickHouse share: summaries of one flow of a pair, a minute each from
 * DAY0 on, that are written and counted. append() and commit_of() may be called by several threads, each with
 * a history of its own; all else is for one. */
#ifndef TW_TEST_CH_FX_H
#define TW_TEST_CH_FX_H

#include "common/clk.h"
#include "db/clickhouse/ch_history.h"
#include "db/clickhouse/ch_priv.h"
#include "tests/cluster/ch_server.h"

#define DAY0 (INT64_C(20000) * CH_DAY_NS)
#define MINUTE (60 * TW_NS_PER_S)

extern _Thread_local struct tw_err err
    __attribute__((visibility("hidden")));                      /* a function of that name is in libc */
extern char location[128];                                      /* of the database at hand */

struct history *open_it(void);

/* Number seq of agent and pair `agent` starts at minute seq; at most 64 at once. */
enum tw_rc append(struct history *h, int64_t agent, uint64_t first, size_t n, enum store_append_result *ret);
enum tw_rc commit_of(struct history *h, int64_t agent, uint64_t first, size_t n,
                     enum store_append_result *ret);
void roll_up(struct history *h); /* all that waits */

struct sums {
    uint64_t rows, sent, delays, cells;
    int64_t delay_sum;
};
struct sums read_raw(uint64_t pair);
struct sums read_cells(uint64_t pair); /* the coarsest that fit */
struct sums read_hours(uint64_t pair); /* where nothing finer than an hour is kept */
/* Numbers 1..n of the pair, each once, by every way of reading. */
void expect(uint64_t pair, uint64_t n);

#endif
