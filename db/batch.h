/* db/batch.h - which numbers of a batch are new, and where the cursor is with them: the same for every
 * database. Pure. */
#ifndef TW_DB_BATCH_H
#define TW_DB_BATCH_H

#include "db/store_history.h"

/* *ret_last: the last number of the batch. TW_EINVAL: numbers that cannot be. */
enum tw_rc batch_check(const struct store_batch *b, uint64_t *ret_last, struct tw_err *err);
/* Where the cursor of a spool that nothing is known of is taken to be, so that its first batch may start
 * anywhere. */
struct store_cursor batch_start(const struct store_batch *b);
/* known: of its spool something is stored. */
enum store_append_result batch_judge(const struct store_batch *b, uint64_t last,
                                     const struct store_cursor *at, bool known);
/* The next stretch that is not stored from *from on (begin with b->first_seq); *from moves behind it. False:
 * none is left. */
bool batch_next(uint64_t *from, uint64_t last, const struct store_cursor *at, struct seq_span *ret);
/* The batch is stored: TW_ENOSPC: a stretch ahead too many, which batch_judge() would have refused. */
enum tw_rc batch_advance(const struct store_batch *b, uint64_t last, struct store_cursor *at);

#endif
