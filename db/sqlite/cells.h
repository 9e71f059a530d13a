/* db/sqlite/cells.h - the tables of roll-ups: rollup_1min_YYYYMMDD, rollup_10min_YYYYMM, rollup_1h_YYYYMM,
 * rollup_1d_YYYY. A part is known by its level and the first day that it holds. As with days, columns that an
 * older program did not know are added when the writer opens a table, and read as 0. */
#ifndef TW_DB_CELLS_H
#define TW_DB_CELLS_H

#include "db/level.h"
#include "db/sqlite/day.h"

#define CELLS_NAME 32
struct cells_part {
    enum store_level level;
    int64_t first_day, end_day; /* [first, end) */
};
/* The part that holds a day. */
struct cells_part cells_part_of(enum store_level level, int64_t day);
const char *cells_name(const struct cells_part *p, char buf[CELLS_NAME]);
/* The parts that there are, by level and first day; malloc'ed. */
enum tw_rc cells_list(struct sq *q, struct cells_part **ret, size_t *ret_n, struct tw_err *err);

/* A row of theirs. */
struct cell_row {
    int64_t rowid; /* 0: not stored yet */
    int64_t cell_ns;
    uint64_t rows, whole;
    int64_t longest_ns; /* of the summaries in it */
    struct tw_summary merged;
};

/* Statements of one part for the writer; makes or widens its table. */
struct cells_writer {
    struct cells_part part;
    bool open;
    sqlite3_stmt *find, *insert, *update;
};
enum tw_rc cells_open(struct sq *q, struct cells_writer *w, const struct cells_part *p, bool *ret_made,
                      struct tw_err *err);
void cells_close(struct cells_writer *w);
/* *ret: rowid 0 if there is none; merged must be initialised. *ret_octets: what it takes. */
enum tw_rc cells_find(struct sq *q, struct cells_writer *w, uint64_t pair_id, int64_t cell_ns, uint32_t flow,
                      struct cell_row *ret, uint64_t *ret_octets, struct tw_err *err);
/* Inserts, or updates the row with its rowid. */
enum tw_rc cells_put(struct sq *q, struct cells_writer *w, const struct cell_row *row, uint8_t *scratch,
                     uint64_t *ret_octets, struct tw_err *err);

/* A cached SELECT of a pair's cells in [?, ?), in order of (cell, flow), without some of the columns (enum
 * store_part): bind pair, from, to.
 */
enum tw_rc cells_select(struct sq *q, struct day_cache *c, const struct cells_part *p, unsigned without,
                        sqlite3_stmt **ret, struct tw_err *err);
/* A cached SELECT of the longest summary in a pair's cell: bind pair, cell. */
enum tw_rc cells_longest(struct sq *q, struct day_cache *c, const struct cells_part *p, sqlite3_stmt **ret,
                         struct tw_err *err);
enum tw_rc cells_take(struct sq_cur *c, struct cell_row *ret, unsigned without, struct tw_err *err);
/* Tells a part from others, in a cache of statements. */
static inline int64_t cells_key(const struct cells_part *p)
{
    return p->first_day * STORE_LEVELS + (int64_t)p->level;
}

#endif
