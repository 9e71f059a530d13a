/* db/clickhouse/ch_sql.h - the text of a statement while it is put together. Pure. */
#ifndef TW_DB_CH_SQL_H
#define TW_DB_CH_SQL_H

#include "db/clickhouse/ch_wire.h"

struct ch_sql {
    struct ch_buf text; /* starts zeroed */
};
/* From the beginning; keeps the memory. */
void ch_sql_begin(struct ch_sql *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ch_sql_add(struct ch_sql *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "(1, 2, 3)" of n > 0 numbers. */
void ch_sql_add_numbers(struct ch_sql *s, const uint64_t *v, size_t n);
/* Valid until it changes; NULL: there was no memory. */
const char *ch_sql_text(struct ch_sql *s);
void ch_sql_free(struct ch_sql *s);

#endif
