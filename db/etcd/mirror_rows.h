/* db/etcd/mirror_rows.h - the rows of control state in SQLite as keys and values: which of them a transaction
 * changed, and putting what others changed in. The statements are made from the tables as they are, so that a
 * new column is nothing new here. Of the thread of the connection. */
#ifndef TW_DB_MIRROR_ROWS_H
#define TW_DB_MIRROR_ROWS_H

#include "db/sqlite/sq.h"

struct mirror_rows;

/* Watches q's changes from now on. */
enum tw_rc mirror_rows_new(struct sq *q, struct mirror_rows **ret, struct tw_err *err);
void mirror_rows_free(struct mirror_rows *r); /* before sq_close(); also of NULL */

struct mirror_change {
    unsigned table; /* of mirror_tables */
    char *key;      /* "TABLE/..." */
    char *value;    /* NULL: it is gone */
    size_t len;
};
struct mirror_changes {
    struct mirror_change *v;
    size_t n, cap;
};
void mirror_changes_free(struct mirror_changes *c);

/* What the open transaction changed, in order of mirror_tables. */
enum tw_rc mirror_rows_changes(struct mirror_rows *r, struct mirror_changes *ret, struct tw_err *err);
/* It is known to be so elsewhere: in the same transaction. */
enum tw_rc mirror_rows_settle(struct mirror_rows *r, const struct mirror_changes *c, struct tw_err *err);
/* Outside of a transaction: was something changed that nobody settled? */
enum tw_rc mirror_rows_untold(struct mirror_rows *r, bool *ret, struct tw_err *err);

/* What others changed, all of one moment; in a transaction begun by the caller, and first in it. Keys of no
 * table are passed over. TW_ECORRUPT: it is nothing that could be a row. */
enum tw_rc mirror_rows_apply(struct mirror_rows *r, const struct mirror_change *v, size_t n,
                             struct tw_err *err);
/* Empties all tables; as above. */
enum tw_rc mirror_rows_wipe(struct mirror_rows *r, struct tw_err *err);
/* Numbers of agents that are gone are not given again; behind the last of the two above. */
enum tw_rc mirror_rows_end(struct mirror_rows *r, struct tw_err *err);
/* The table of a key "TABLE/...", UINT_MAX: none. */
unsigned mirror_rows_table(const char *key);

#endif
