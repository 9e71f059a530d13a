/* db/etcd/mirror_sql.h - the statements of mirror_rows.h, made from the tables as they are. Private to it. */
#ifndef TW_DB_MIRROR_SQL_H
#define TW_DB_MIRROR_SQL_H

#include "db/etcd/etcd_ask.h"
#include "db/etcd/mirror_rows.h"
#include "db/etcd/mirror_tables.h"

#define MIRROR_KEY_MAX 1024 /* of a row, without its table's name */
#define MIRROR_COLUMNS_MAX 32

struct mirror_column {
    char name[64];
    bool blob, key, local;
    char *fallback; /* SQL of its default, where it may not be NULL; NULL: none */
};

struct mirror_sql {
    const struct mirror_table *t;
    struct mirror_column column[MIRROR_COLUMNS_MAX];
    size_t n, n_key;
    sqlite3_stmt *read, *remove, *put;
    /* Of a bundle whose columns are ours in our order, as its beginning says: faster. */
    sqlite3_stmt *put_known;
    struct etcd_text known;
};

struct mirror_rows {
    struct sq *q;
    struct mirror_sql *tables;
    sqlite3_stmt *noted, *known, *know, *forget;
};

#endif
