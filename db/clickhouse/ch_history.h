/* db/clickhouse/ch_history.h - the history in ClickHouse: what others need to know of it. The location is
 * that of db/clickhouse/ch_location.h. curl_global_init() before. */
#ifndef TW_DB_CH_HISTORY_H
#define TW_DB_CH_HISTORY_H

#include "db/history.h"

extern const struct history_ops clickhouse_history;

#endif
