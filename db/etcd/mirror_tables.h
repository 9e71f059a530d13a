/* db/etcd/mirror_tables.h - the tables of control state, and how each goes to etcd.
 *
 * A row is a key, PREFIX TABLE/PRIMARY-KEY, with its columns as a JSON object. Rows of which there are many,
 * or which have no name of their own, are bundled: those that share the key's columns are one key with all of
 * them. Of the history (day tables, latest, cursor, gap, roll-ups) nothing goes there, and neither do
 * alert_baseline (a controller learns them anew) and what SQLite needs for itself. */
#ifndef TW_DB_MIRROR_TABLES_H
#define TW_DB_MIRROR_TABLES_H

#include <stdbool.h>
#include <stddef.h>

#define MIRROR_KEY_COLUMNS 3
struct mirror_table {
    const char *name;
    const char *key[MIRROR_KEY_COLUMNS]; /* columns of the key; then NULL */
    const char *of; /* the key's columns are this table's, whose id is our column `of_id`; NULL: our own */
    const char *of_id;
    bool bundle;
    const char *local; /* numbers rows here and means nothing elsewhere; NULL: there is none */
    /* A transaction that is more than etcd takes at once: rows of it are put before everything else, or go
     * behind everything else, in transactions of their own. Whoever dies between leaves rows that nobody
     * looks at yet, or not any more. */
    bool early, late;
};
/* Those that others refer to come first. */
extern const struct mirror_table mirror_tables[];
extern const size_t mirror_tables_n;

#endif
