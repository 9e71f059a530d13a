/* db/sqlite/rollup.h - what the files of the roll-ups share: rollup_days.c, rollup_txn.c, history_rollup.c. */
#ifndef TW_DB_ROLLUP_H
#define TW_DB_ROLLUP_H

#include "db/sqlite/history_priv.h"

#define INDEX_OCTETS 22 /* of an entry (pair, start or cell, flow, row) */

/* Where the day is in r->days, or belongs. */
size_t rollup_find_day(struct rollup *r, int64_t day);
bool rollup_knows(struct rollup *r, int64_t day);
/* Finds or makes; valid until another one is made. */
enum tw_rc rollup_find_part(struct sqlite_history *s, const struct cells_part *p, struct part_state **ret,
                            struct tw_err *err);
/* What the file says of days and tables; those of before there were roll-ups are taken in. */
enum tw_rc rollup_load(struct sqlite_history *s, struct tw_err *err);
/* Forgets the round under way: it begins again where it is durable. */
void rollup_end_round(struct rollup *r);

#endif
