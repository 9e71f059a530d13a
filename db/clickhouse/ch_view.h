/* db/clickhouse/ch_view.h - what of the commits in a database is done, and what of those is in cells.
 *
 * Rounds of the roll-up have numbers that rise. Table `round` has, by `state`:
 *   DONE   commits that are in cells: stretches of them, by their first number; number: of the last round
 * that ended UNDERWAY  commits that the round `number` adds to them. It counts if its ver is the highest:
 * that is the term of whoever rolls up, then the round's number TERM   a term that is not used (again)
 * Whoever begins to roll up, since he was started or got the lease, reads the highest term m, writes m + 1
 * and uses m + 2. So what an earlier one had on its way, one statement, has a lower one and counts no more. A
 * round that was under way is written once more under the new term before it is gone on with. */
#ifndef TW_DB_CH_VIEW_H
#define TW_DB_CH_VIEW_H

#include "db/clickhouse/ch_commits.h"
#include "db/clickhouse/ch_http.h"

enum ch_round_state { CH_ROUND_TERM, CH_ROUND_UNDERWAY, CH_ROUND_DONE };

struct ch_view {                      /* zeroed: nothing is */
    struct ch_commits done;           /* to be seen */
    struct ch_commits rolled;         /* in cells; some may be done later than `done` knows */
    struct ch_commits fresh;          /* done and not rolled */
    struct ch_commits round;          /* what the round under way adds */
    int64_t round_no;                 /* 0: none is under way */
    int64_t rolled_no, last_no, term; /* of the last round that ended, the last of all, and the highest */
};
/* As the database is now, which a reader's operation takes as its moment. tables (ch_http_bit()): those from
 * which it will read what is done are complete so far, at the server in use and any later one. */
enum tw_rc ch_view_load(struct ch_http *h, const char *database, unsigned tables, struct ch_view *ret,
                        struct tw_err *err);
void ch_view_free(struct ch_view *v); /* and is zeroed */
/* May a summary be stored twice? */
static inline bool ch_view_copies(const struct ch_view *v)
{
    return v->done.n > 1;
}

/* Writes stretches into table `round`, as one. NULL: one row without. */
enum tw_rc ch_round_put(struct ch_http *h, const char *database, enum ch_round_state state,
                        const struct ch_commits *c, int64_t number, int64_t ver, struct tw_err *err);
static inline int64_t ch_round_ver(int64_t term, int64_t number)
{
    return term << 32 | number;
}

#endif
