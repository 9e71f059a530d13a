/* controller/core/test_queue.h - which run of a test on demand is to start when, and how a test as a whole
 * stands. Pure: no clock, no network.
 *
 * A test has runs (one pair each). A source runs at most `per_source` of them at a time, all sources together
 * at most `total`; whoever is free takes its next one in the order of the list. Whoever wants the test must
 * come again within the lease, or what has not started never does, and what runs is to be stopped. */
#ifndef TW_CONTROLLER_TEST_QUEUE_H
#define TW_CONTROLLER_TEST_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

enum test_slot { TEST_QUEUED, TEST_ACTIVE, TEST_OVER, TEST_CANCELLED };
enum test_state {
    TEST_RUNNING,
    TEST_STOPPING, /* waits for the last answers */
    TEST_COMPLETE, /* every run ended by itself, some perhaps with trouble */
    TEST_STOPPED,
    TEST_ABANDONED, /* the lease was over */
    TEST_FAILED,    /* not one run could do its work */
    TEST_STATE_COUNT
};
const char *test_state_name(enum test_state s); /* "running", ... */

struct test_queue {
    uint32_t *source; /* by run: number of its source */
    uint8_t *slot;    /* by run: enum test_slot */
    uint32_t *active; /* by source */
    size_t n, n_sources;
    uint32_t per_source, total;
    size_t first; /* no run before it is queued */
    size_t queued, running, over, failed, cancelled;
    int64_t until_ns; /* of the lease */
    enum { TEST_GOES_ON, TEST_HALTED, TEST_LEFT } halt;
};

/* Takes over nothing: source[0..n) is copied; each below n_sources. All limits at least 1. */
enum tw_rc test_queue_init(struct test_queue *q, const uint32_t *source, size_t n, size_t n_sources,
                           uint32_t per_source, uint32_t total);
void test_queue_free(struct test_queue *q);

/* The next run to start now: it counts as active from then on. False: none, for now. */
bool test_queue_next(struct test_queue *q, size_t *ret);
/* An active run has ended. failed: it did not do its work. */
void test_queue_end(struct test_queue *q, size_t run, bool failed);
/* Nothing starts any more; true: this is new, and what is active is to be stopped. */
bool test_queue_halt(struct test_queue *q, bool left);

void test_queue_renew(struct test_queue *q, int64_t now_ns, int64_t lease_ns);
/* Has nobody come for too long? */
bool test_queue_expired(const struct test_queue *q, int64_t now_ns);
/* Is nothing active and nothing to start? */
bool test_queue_done(const struct test_queue *q);
enum test_state test_queue_state(const struct test_queue *q);

#endif
