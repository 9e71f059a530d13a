/* db/clickhouse/ch_sync.h - has the replica in use all that was confirmed anywhere? It is asked for what
 * ZooKeeper knows, and not for what it believes: one that is behind believes that it is not, until it has
 * read what it lacks.
 *
 * Each change of a table is an entry of its log in ZooKeeper, and there before it is confirmed. A replica
 * copies entries into its queue and moves its pointer in one transaction, and takes one out of the queue when
 * the part that it brings can be read. So it has everything once its pointer is behind the last entry of the
 * log, as that was when it was asked first, and what was in its queue by then is gone. Merges, mutations and
 * what only takes away are not waited for. A replica that is not active may be about to copy another one's
 * queue, and is not believed. */
#ifndef TW_DB_CH_SYNC_H
#define TW_DB_CH_SYNC_H

#include "db/clickhouse/ch_http.h"
#include "db/clickhouse/ch_sql.h"

struct ch_sync {
    struct ch_http *http;
    const char *database, *cluster; /* live as long */
    struct ch_sql sql;              /* starts zeroed; ch_sync_free() */
};
/* A ch_http_sync_fn of the ch_sync in ctx. */
enum tw_rc ch_sync_run(void *ctx, unsigned which, int64_t until_ns, bool *ret_elsewhere, struct tw_err *err);
void ch_sync_free(struct ch_sync *s);

/* "is the entry one that brings something?", of a row of system.zookeeper. Later releases may have lines
 * between block_id and the kind of an entry (log_entry_id). */
#define CH_SYNC_BRINGS                                                \
    "NOT match(value, '\\nblock_id: [^\\n]*\\n([a-z_]+: [^\\n]*\\n)*" \
    "(merge|mutate|drop|detach|clear_column|clear_index)\\n')"

#endif
