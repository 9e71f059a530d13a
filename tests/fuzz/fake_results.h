/* tests/fuzz/fake_results.h - a batch of results as a good agent sends it: some of now, some of a week ago,
 * whole, with losses one way and both, without any answer, with a host in trouble. */
#ifndef TESTS_FUZZ_FAKE_RESULTS_H
#define TESTS_FUZZ_FAKE_RESULTS_H

#include "common/stats.h"

enum { FAKE_RESULTS = 14 };

/* Number i of them, below FAKE_RESULTS: everything but whose it is, into an empty summary. */
void fake_result_fill(struct tw_summary *s, unsigned i, int64_t now_ns);

/* Packs a SummaryBatch, numbers 1 to FAKE_RESULTS, of that pair; each octet of the spool's id is `spool`.
 * Returns its length. */
size_t fake_results(uint64_t pair_id, uint64_t generation, uint8_t spool, int64_t now_ns, uint8_t *body,
                    size_t cap);

#endif
