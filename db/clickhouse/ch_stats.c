/* What there is, by what the server tells of its parts. */
#include "db/clickhouse/ch_priv.h"

#include <string.h>
#include "common/net/now.h"

#define FRESH_NS (5 * TW_NS_PER_S) /* so long what the server said is good enough */

static enum tw_rc take_table(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct store_stats *to = ctx;
    size_t len;
    const uint8_t *table = ch_get_string(row, &len);
    int64_t rows = ch_get_i64(row), bytes = ch_get_i64(row), oldest = ch_get_i64(row);

    (void)err;
    to->file_bytes += (uint64_t)bytes;
    for (int l = 0; table && l < STORE_LEVELS; l++)
        if (strlen(ch_level_tables[l]) == len && !memcmp(ch_level_tables[l], table, len))
            to->levels[l] = (struct store_level_stats){ (uint64_t)rows, (uint64_t)bytes,
                                                        oldest * ch_level_partition_ns(l) };
    return TW_OK;
}

/* Rows that a merge has yet to make one of are counted as they are. Without the server: what it said last. */
static void look(struct ch_history *h)
{
    static const enum ch_type types[] = { CH_STRING, CH_I64, CH_I64, CH_I64 };
    struct store_stats fresh = { 0 };
    struct tw_err err = { 0 };
    int64_t now_ns = tw_mono_now().ns;

    if (!h->opened || (h->stats_ns && now_ns - h->stats_ns < FRESH_NS))
        return;
    h->stats_ns = now_ns;
    ch_sql_begin(&h->db.sql,
                 "SELECT " CH_ROW_MARK
                 ", table, toInt64(sum(rows)), toInt64(sum(bytes_on_disk)), min(toInt64OrZero(partition))"
                 " FROM system.parts WHERE database = '%s' AND active GROUP BY table",
                 h->db.name);
    if (ch_db_select(&h->db, types, TW_NELEM(types), take_table, &fresh, &err))
        return;
    if (ch_db_mend(&h->db, &err)) /* it is tried again */
        return;
    if (ch_db_lacks(&h->db, &h->lacks, &err))
        h->lacks.text[0] = '\0'; /* that it cannot be used is said elsewhere */
    h->stats.file_bytes = fresh.file_bytes;
    memcpy(h->stats.levels, fresh.levels, sizeof fresh.levels);
}

void ch_stats(struct history *base, struct store_stats *ret)
{
    struct ch_history *h = (struct ch_history *)base;

    look(h);
    *ret = h->stats;
    if (ret->rollup_waiting)
        ret->rollup_since_ns = h->fresh_since_ns;
}
