/* db/sqlite/day.h - the tables of raw summaries, one per UTC day of their start: summary_YYYYMMDD. A day is
 * named by its number since 1970-01-01.
 *
 * A table made by an older program lacks the columns of newer counters: the writer adds them when it opens
 * the table to insert (today's, and days that late summaries belong to); readers take 0 for what is missing,
 * so old days are never rewritten. */
#ifndef TW_DB_DAY_H
#define TW_DB_DAY_H

#include "db/sqlite/row.h"

#define DAY_NAME 24
#define DAY_GLOB "summary_[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]"
#define DAY_NS (86400 * TW_NS_PER_S)
/* Every int64_t of nanoseconds is in [DAY_MIN, DAY_MAX]. */
#define DAY_MIN (-106752)
#define DAY_MAX 106751

int64_t day_of(int64_t ns);
/* Begin of a day: INT64_MIN or INT64_MAX where that is out of their reach. */
static inline int64_t day_start(int64_t day)
{
    return day > DAY_MAX ? INT64_MAX : day <= DAY_MIN ? INT64_MIN : day * DAY_NS;
}
const char *day_name(int64_t day, char buf[DAY_NAME]);

/* Statements kept per day; the one not used for longest makes room. */
#define DAY_CACHE 16
struct day_cache {
    struct {
        int64_t day; /* or whatever else tells statements apart */
        uint64_t used;
        sqlite3_stmt *st;
    } e[DAY_CACHE];
    uint64_t clock;
};
void day_cache_clear(struct day_cache *c);
void day_cache_drop(struct day_cache *c, int64_t day);
sqlite3_stmt *day_cache_find(struct day_cache *c, int64_t day); /* NULL: not there */
void day_cache_put(struct day_cache *c, int64_t day, sqlite3_stmt *st); /* takes st */

/* The cached INSERT of all columns; makes or widens the table first. */
enum tw_rc day_insert(struct sq *q, struct day_cache *c, int64_t day, sqlite3_stmt **ret, struct tw_err *err);
/* A cached SELECT of all columns, but for those of parts that are left out (enum store_part), with `tail`
 * (WHERE ...); one cache per tail. TW_ENOENT: no such day. */
enum tw_rc day_select(struct sq *q, struct day_cache *c, int64_t day, unsigned without, const char *tail,
                      sqlite3_stmt **ret, struct tw_err *err);
/* The same of what `join` ("TABLE CROSS JOIN") finds; the day is `s`. */
enum tw_rc day_select_behind(struct sq *q, struct day_cache *c, int64_t day, unsigned without,
                             const char *join, const char *tail, sqlite3_stmt **ret, struct tw_err *err);
/* The columns to be read of a table that has those: "a, b, 0, NULL". `prefix` is before each name. */
void day_put_columns(sqlite3_str *sql, const bool *have, unsigned without, const char *prefix);

/* What tables of summaries and of roll-ups share. Ends `sql` and prepares it, or runs it (ret NULL). */
enum tw_rc day_finish(struct sq *q, sqlite3_str *sql, sqlite3_stmt **ret, struct tw_err *err);
/* have[i]: the table has row_cols[i]. *ret_any false: there is no such table. */
enum tw_rc day_columns(struct sq *q, const char *name, bool *have, bool *ret_any, struct tw_err *err);
/* A newer program's digests are of columns, too, that we do not know: those rows are not compared. */
enum tw_rc day_leave_out_foreign_digest(struct sq *q, const char *name, bool *have, struct tw_err *err);
/* Adds the columns that it does not have. */
enum tw_rc day_widen(struct sq *q, const char *name, const bool *have, struct tw_err *err);

/* Days in [first, last] that have a table, ascending; malloc'ed. */
enum tw_rc day_list(struct sq *q, int64_t first, int64_t last, int64_t **ret, size_t *ret_n,
                    struct tw_err *err);
/* The same of other tables whose names end in _YYYYMMDD. */
enum tw_rc day_list_of(struct sq *q, const char *glob, int64_t first, int64_t last, int64_t **ret, size_t *ret_n,
                       struct tw_err *err);

#endif
