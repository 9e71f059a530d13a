/* common/unavail.h - lists of the windows in which nothing came back: in order, bounded, joined where they
 * touch. Pure. The list itself is in common/stats.h: a summary owns one, and the rule of availability stands
 * there. */
#ifndef TW_COMMON_UNAVAIL_H
#define TW_COMMON_UNAVAIL_H

#include "common/stats.h"

void unavail_free(struct tw_unavail *l); /* empty afterwards */
/* Room for n in all; the list stays as it is. TW_ENOMEM. */
enum tw_rc unavail_reserve(struct tw_unavail *l, size_t n);
/* Puts *r into its place by (start, flow), joined with those of the same flow that it touches. A full list
 * (TW_UNAVAIL_MAX), or one that gets no memory, gives up its shortest run for a longer one. */
void unavail_add(struct tw_unavail *l, const struct tw_unavail_run *r);
/* Moves what sticks out into [start_ns, end_ns]: small corrections of the wall clock can make it so. */
void unavail_fit(struct tw_unavail *l, int64_t start_ns, int64_t end_ns);
/* Windows in the list. */
uint64_t unavail_windows(const struct tw_unavail *l);

/* The same as octets, for the database. An empty list has none. */
#define UNAVAIL_MAX_BLOB (2 + TW_UNAVAIL_MAX * 30)
enum tw_rc unavail_encode(const struct tw_unavail *l, uint8_t *buf, size_t cap, size_t *ret_len);
/* TW_ECORRUPT, TW_EVERSION, TW_ENOMEM: the list is empty. */
enum tw_rc unavail_decode(struct tw_unavail *l, const uint8_t *data, size_t len);

#endif
