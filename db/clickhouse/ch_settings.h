/* db/clickhouse/ch_settings.h - what a server is told with each statement that changes something, if it knows
 * the setting: 18.16 refuses a statement with one that it does not have, and current releases have made
 * defaults of what must not be here. Pure.
 *
 * async_insert=0: an insert is written at once. From 26.2 on it waits 50 to 200 ms for others otherwise, and
 * a commit is several of them.
 *
 * deduplicate_insert=disable, deduplicate_insert_select=disable: blocks are not compared with earlier ones.
 * From 26.2 on insert_deduplicate=0 does not say so any more.
 *
 * And where a partition ends, max_partition_size_to_drop=0: retention is no accident. Before 23.12 only a
 * server's configuration has that. */
#ifndef TW_DB_CH_SETTINGS_H
#define TW_DB_CH_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#define CH_SETTINGS_MAX 160
struct ch_settings {               /* zeroed: it knows none of them */
    char changes[CH_SETTINGS_MAX]; /* "a=1&b=2" */
    bool drop_any;                 /* behind DROP PARTITION: CH_SETTINGS_DROP_ANY */
};
#define CH_SETTINGS_DROP_ANY " SETTINGS max_partition_size_to_drop = 0"

/* A statement that asks a server for those it knows. */
extern const char ch_settings_query[];
/* Its answer: a name in each line. */
void ch_settings_take(const char *text, size_t len, struct ch_settings *ret);

#endif
