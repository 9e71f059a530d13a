/* db/carry_sums.h - what rows of a history add up to, by kind, level and day: two databases that have the
 * same have the same sums, whatever order they give them in. Pure. */
#ifndef TW_DB_CARRY_SUMS_H
#define TW_DB_CARRY_SUMS_H

#include "db/carry.h"

struct carry_day {
    enum history_kind kind;
    enum store_level level;
    int64_t day; /* since 1970; of cursors 0 */
    uint64_t rows, sent, lost, digest;
};
struct carry_days {
    struct carry_day *v; /* in order of the first three */
    size_t n, cap, at;
};

/* TW_ENOMEM; TW_EINVAL: a histogram cannot be encoded. */
enum tw_rc carry_days_add(struct carry_days *d, const struct history_row *row, struct tw_err *err);
/* TW_ECORRUPT: they differ, *err says where first. */
enum tw_rc carry_days_compare(const struct carry_days *from, const struct carry_days *to, struct tw_err *err);
void carry_days_report(const struct carry_days *d, struct carry_report *ret);
void carry_days_free(struct carry_days *d);

#endif
