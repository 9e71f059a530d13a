/* common/seqset.h - a small set of sequence numbers, as stretches: sorted, apart from each other, at most
 * SEQSET_MAX of them. A value: copied by assignment, all zero is empty. Pure. Numbers go from 1 to UINT64_MAX
 * - 1. */
#ifndef TW_SEQSET_H
#define TW_SEQSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

#define SEQSET_MAX 16

struct seq_span {
    uint64_t first, last; /* both in it */
};
struct seqset {
    struct seq_span v[SEQSET_MAX];
    size_t n;
};

/* Adds first..last, of which some may be in it. TW_ENOSPC: that would be a stretch too many, nothing has
 * changed. TW_EINVAL: no such numbers. */
enum tw_rc seqset_add(struct seqset *s, uint64_t first, uint64_t last);
bool seqset_has(const struct seqset *s, uint64_t seq);
/* The first stretch of first..last that is not in the set. False: all of it is. */
bool seqset_missing(const struct seqset *s, uint64_t first, uint64_t last, struct seq_span *ret);
/* How many of first..last are not in it; 0 if first > last. */
uint64_t seqset_count_missing(const struct seqset *s, uint64_t first, uint64_t last);
/* The largest number; 0: empty. */
uint64_t seqset_end(const struct seqset *s);
/* Takes out everything up to `through`, and what follows it without a gap; returns the last number that has
 * gone, or `through`. */
uint64_t seqset_absorb(struct seqset *s, uint64_t through);
bool seqset_equal(const struct seqset *a, const struct seqset *b);

#endif
