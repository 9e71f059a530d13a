/* db/sqlite/history.h - the history in a SQLite file, which holds the control state, too. */
#ifndef TW_DB_SQLITE_HISTORY_H
#define TW_DB_SQLITE_HISTORY_H

#include "db/history.h"
#include "db/sqlite/sq.h"

extern const struct history_ops sqlite_history;

/* The file that it has open, for the control state: what is written by it is in the history's transactions,
 * and committed with them. It stays the history's. */
struct sq *sqlite_history_file(struct history *h);
struct sq *sqlite_reader_file(struct history_reader *r);

#endif
