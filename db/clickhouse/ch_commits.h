/* db/clickhouse/ch_commits.h - sets of commits. A commit is (writer, number); numbers of a writer rise and
 * are used once. A set is stretches of numbers, since mostly they follow each other. Pure. */
#ifndef TW_DB_CH_COMMITS_H
#define TW_DB_CH_COMMITS_H

#include "db/clickhouse/ch_sql.h"

struct ch_stretch {
    int64_t writer, first, last; /* both in it */
};
struct ch_commits {       /* zeroed: empty */
    struct ch_stretch *v; /* by writer and number; apart from each other, with a hole between */
    size_t n, cap;
};

void ch_commits_free(struct ch_commits *c);               /* and is empty */
static inline void ch_commits_clear(struct ch_commits *c) /* keeps the memory */
{
    c->n = 0;
}
/* Of which some may be in it. TW_ENOMEM; TW_EINVAL: last < first. */
enum tw_rc ch_commits_add(struct ch_commits *c, int64_t writer, int64_t first, int64_t last);
bool ch_commits_have(const struct ch_commits *c, int64_t writer, int64_t number);
/* The largest number of the writer; 0: none. */
int64_t ch_commits_last(const struct ch_commits *c, int64_t writer);
/* to += what is in `all` and not in `less`. TW_ENOMEM */
enum tw_rc ch_commits_add_rest(struct ch_commits *to, const struct ch_commits *all,
                               const struct ch_commits *less);
/* Holes that lie more than `far` below the writer's largest number are closed. */
void ch_commits_close_holes(struct ch_commits *c, int64_t far);

/* As octets, for a column, and back: adds to *c. TW_ECORRUPT, TW_ENOMEM */
void ch_commits_put(struct ch_buf *b, const struct ch_commits *c); /* a String */
enum tw_rc ch_commits_take(const uint8_t *p, size_t len, struct ch_commits *c);
/* " AND (...)": columns writer and txn are in the set. */
void ch_commits_where(struct ch_sql *s, const struct ch_commits *c);

#endif
