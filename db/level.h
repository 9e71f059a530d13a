/* db/level.h - which cells make up a span, and when it is time to roll up. Pure: what is kept and how far the
 * roll-up has come are arguments. */
#ifndef TW_DB_LEVEL_H
#define TW_DB_LEVEL_H

#include "db/store_history.h"

/* The cell of `level` (not raw) that t is in begins here. */
int64_t level_cell(enum store_level level, int64_t t_ns);
/* The finest level from `l` on whose cells are longer than the summary: 1d takes whatever is left. */
enum store_level level_for(int64_t length_ns);

/* ---- The tiles of a span ---- */

struct level_span {
    int64_t at_ns, to_ns; /* what is left */
    int64_t step_ns, raw_from_ns;
    int64_t kept_from_ns[STORE_LEVELS]; /* whole days, none later than that of the finer level before it */
    /* Do the cells of this level (1min to 1h) hold all that is rolled up of the pair on that day? */
    bool (*holds_all)(void *ctx, enum store_level l, int64_t day_ns);
    void *ctx;
};
struct level_tile {
    enum store_level level;
    int64_t from_ns, to_ns; /* whole cells, or [from, to) of summaries' starts */
};
/* The next tile from the left. False: there is none left. Tiles never overlap. Only the first can begin
 * before, and only the last end behind, what was asked for: where just coarser cells are kept. What no level
 * keeps is left out. */
bool level_next(struct level_span *s, struct level_tile *ret);

/* ---- When to roll up ---- */

/* A round takes what has come since the last one, or LEVEL_ROUND_ROWS of it. It begins when as much waits, or
 * after the ends of 10 min cells, with a minute for the last summaries to arrive: most cells are then written
 * once. */
#define LEVEL_ROUND_ROWS 65536
struct level_day {
    int64_t day;
    int64_t last, through, until, next_pair; /* as in the database */
    int64_t looked_ns;                       /* when its last round began; 0: not since the program started */
};
bool level_is_due(const struct level_day *d, int64_t now_ns);
/* Which of these next: a round that is under way before others, then the oldest day. -1: none is due. */
int level_pick(const struct level_day *d, size_t n, int64_t now_ns);

#endif
