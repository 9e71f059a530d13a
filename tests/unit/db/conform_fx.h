/* What the files of the suite of tests/unit/db/conform_history.h share. */
#ifndef TW_TESTS_CONFORM_FX_H
#define TW_TESTS_CONFORM_FX_H

#define TW_TESTS_REAL_SYNC
#include "tests/unit/db/conform_history.h"
#include "tests/unit/db/sums.h"

extern const struct conform_backend *conform_under_test;
extern const uint8_t spool_a[STORE_ID_LEN], spool_b[STORE_ID_LEN];

struct fx {
    char location[CONFORM_LOCATION];
    const struct history_ops *ops;
    uint64_t cluster; /* of history_conf */
    struct history *h;
    struct history_reader *r;
    uint64_t seq; /* of spool_a, with add_rows() */
    unsigned seed;
    struct history_kept kept; /* of all pairs: of the spans of read_sum() */
};

int conform_setup(void **state);
int conform_teardown(void **state);
void reopen(struct fx *f); /* as after a crash: what is not committed is lost */

void begin(struct fx *f);
void commit(struct fx *f);
/* In the open transaction; rows NULL: a gap of n. */
enum store_append_result append(struct fx *f, const uint8_t *spool, uint64_t first,
                                const struct tw_summary *rows, size_t n, bool ahead, uint64_t *ret_through);
/* The next ones of spool_a, in a transaction of their own. */
void add_rows(struct fx *f, const struct tw_summary *rows, size_t n);
void roll(struct fx *f, size_t max_rows); /* all that waits */
/* Of pairs that all keep the same, or groups of their own; in transactions of their own. */
void retain(struct fx *f, const int64_t from_ns[STORE_LEVELS], const struct history_group *groups,
            size_t n_groups);

struct store_cursor cursor_of(struct fx *f, int64_t agent, const uint8_t *spool); /* all zero: none */
const char *cursor_text(const struct store_cursor *at);                           /* "14 +50-54" */
/* "pair.flow@minute#seq_first " per row of pairs 2, 1, 1, 3 and of their latest. */
void check_rows(struct fx *f, const char *name, const char *expected);
void check_latest(struct fx *f, const char *name, const char *expected);
uint64_t count_rows(struct fx *f, uint64_t pair);
uint64_t count_gaps(struct fx *f, int64_t agent); /* numbers in them */

void read_sum(struct fx *f, uint64_t pair, int64_t from, int64_t to, int64_t step, int64_t raw_from,
              struct sum *ret);

/* The parts of the suite; each adds its tests to the list. */
struct conform_test {
    const char *name;
    void (*fn)(void **state);
};
extern const struct conform_test conform_append[], conform_read[], conform_span[], conform_random[],
    conform_carry[];
extern const size_t conform_append_n, conform_read_n, conform_span_n, conform_random_n, conform_carry_n;

/* conform_carry.c: something of everything, some of which is rolled up, and some gone; of a fx without a
 * spool_b. */
void carry_fill(struct fx *f);
void carry_more(struct fx *f, size_t n);
/* All that their readers tell is the same. */
void carry_same(struct fx *a, struct fx *b);
void carry_open(struct fx *to, const struct history_ops *ops, const char *location);

#endif
