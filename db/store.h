/* db/store.h - the controller's history and control state. Coarse on purpose, so that another database can
 * stand behind it: the history is behind the table of operations of db/history.h. What is stored, and how it
 * is read, is in a header for each subject.
 *
 * One `struct store` (read-write) belongs to one thread, the store writer. Any number of `struct
 * store_reader` (read-only), one thread each at a time. All times are wall ns, UTC. */
#ifndef TW_DB_STORE_H
#define TW_DB_STORE_H

#include "db/store_absence.h"
#include "db/store_agent.h"
#include "db/store_history.h"
#include "db/store_mesh.h"
#include "db/store_test.h"

/* `location`: a PATH, or sqlite:PATH; TW_EINVAL: the scheme of a database that this program does not know.
 * Opens, creates or migrates (migrations are embedded, numbered, each in its own transaction; the schema
 * version is PRAGMA user_version). TW_ECORRUPT (quick_check fails or not a database; files over 64 MiB: the
 * raw days are not checked, so that a start is quick), TW_EVERSION (made by a newer program): the file is
 * left untouched and *err says what to do. TW_EPERM, TW_ENOSPC, TW_ENOENT (no such directory), TW_EINUSE
 * (another controller has it open: an advisory lock on PATH.lock is held while open). */
enum tw_rc store_open(const char *location, struct store **ret, struct tw_err *err);
void store_close(struct store *s);
/* Another program may have the file locked: that is waited for 5 s at a time, and from now on not beyond this
 * moment (monotonic clock). store_close() leaves the write-ahead log to the next one that opens the file if
 * there is no time left for it. Any thread. */
void store_hurry(struct store *s, int64_t by_mono_ns);
/* After store_open() of the same location. While a reader's fn runs, the same reader takes no other call. */
enum tw_rc store_reader_open(const char *location, struct store_reader **ret, struct tw_err *err);
void store_reader_close(struct store_reader *r);
/* Ends the statement that another thread runs by this reader, if one does, with an error. */
void store_reader_interrupt(struct store_reader *r);

/* ---- Transactions: the writer groups many changes in one commit ------------------------------------------- */
enum tw_rc store_begin(struct store *s, struct tw_err *err);
/* In it, before anything is written to a history that is apart: an error says that it is away, and not what
 * is wrong with a job. Without it the first write begins it. What touches control state alone needs no
 * history. */
enum tw_rc store_begin_history(struct store *s, struct tw_err *err);
/* Durable on TW_OK (synchronous=FULL). On an error everything since store_begin() is gone; TW_ENOSPC: disk
 * full. With the history in a database of its own that is committed first: after an error of the second
 * commit its summaries and gaps may be there. Nobody was told so; the same batches again are repeated ones.
 */
enum tw_rc store_commit(struct store *s, struct tw_err *err);
void store_rollback(struct store *s);
/* In the open transaction: what fn reads decides nothing in it, so others may change it before the commit
 * (db/control.h). */
enum tw_rc store_glance(struct store *s, enum tw_rc (*fn)(void *ctx, struct store *s, struct tw_err *err),
                        void *ctx, struct tw_err *err);

#endif
