/* agent/io/sumring.h - bounded queue of summaries from one producer thread to one consumer thread. Summaries
 * are swapped in and out of the slots, so the memory of their histograms is reused and nothing is copied. */
#ifndef TW_AGENT_SUMRING_H
#define TW_AGENT_SUMRING_H

#include "common/stats.h"

struct sumring;

/* capacity is rounded up to a power of two. */
enum tw_rc sumring_new(size_t capacity, struct sumring **ret);
void sumring_free(struct sumring *r);
/* Producer: the slot to fill, NULL when full. It stays the producer's until sumring_push(). */
struct tw_summary *sumring_slot(struct sumring *r);
void sumring_push(struct sumring *r);
/* Consumer: swaps the oldest with *ret. TW_EAGAIN: empty. */
enum tw_rc sumring_pop(struct sumring *r, struct tw_summary *ret);

#endif
