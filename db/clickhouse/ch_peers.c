/* What a history on replicas lacks, though it goes on: replicas that are away, and those that are there and
 * far behind, whichever is asked. ZooKeeper tells it of all of them: how far each has copied a table's log,
 * and since when something waits in its queue that brings rows. */
#include "db/clickhouse/ch_priv.h"

#include <stdio.h>
#include <string.h>
#include "common/net/now.h"

#define BEHIND_S 30
#define LOOK_NS (30 * TW_NS_PER_S) /* some hundred requests of ZooKeeper */
#define PEERS 8                    /* of more than that the first ones are looked at */

struct peers {
    char names[PEERS][CH_NAME_MAX];
    size_t n;
    int64_t last[CH_TABLES];            /* entry of the log; -1: the table is not there */
    int64_t behind_s[PEERS];            /* of those that are there */
    int64_t pointers[CH_TABLES][PEERS]; /* -1: it has copied all of the log, or is not there */
};

static enum tw_rc take_name(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct peers *p = ctx;
    size_t len;
    const uint8_t *name = ch_get_string(row, &len);

    (void)err;
    if (!name || p->n == PEERS || len >= CH_NAME_MAX || memchr(name, '\'', len) || memchr(name, '\\', len))
        return TW_OK;
    memcpy(p->names[p->n], name, len);
    p->names[p->n++][len] = '\0';
    return TW_OK;
}

static enum tw_rc take_last(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct peers *p = ctx;
    size_t len;
    const uint8_t *table = ch_get_string(row, &len);
    int64_t last = ch_get_i64(row);

    (void)err;
    for (size_t i = 0; table && i < CH_TABLES; i++)
        if (strlen(ch_table_name(i)) == len && !memcmp(ch_table_name(i), table, len))
            p->last[i] = last;
    return TW_OK;
}

/* The logs first: what comes into them meanwhile nobody lacks for long. */
static enum tw_rc look_at_tables(struct ch_db *db, struct peers *p, struct tw_err *err)
{
    static const enum ch_type last[] = { CH_STRING, CH_I64 }, name[] = { CH_STRING };
    enum tw_rc rc;

    for (size_t i = 0; i < CH_TABLES; i++)
        p->last[i] = -1;
    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK
                 ", table, toInt64(log_max_index) FROM system.replicas WHERE database = '%s'",
                 db->name);
    rc = ch_db_select(db, last, TW_NELEM(last), take_last, p, err);
    if (rc)
        return rc;
    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK ", name FROM system.zookeeper WHERE path = '" CH_ZK_PATH
                 "/replicas' ORDER BY name LIMIT %d",
                 db->where.cluster, db->name, ch_table_name(CH_CURSOR), PEERS);
    return ch_db_select(db, name, TW_NELEM(name), take_name, p, err);
}

/* ---- Each table of each ---- */

static void note(struct peers *p, size_t r, int64_t behind_s)
{
    if (behind_s > p->behind_s[r])
        p->behind_s[r] = behind_s;
}

static enum tw_rc take_peer(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct peers *p = ctx;
    size_t t = ch_get_u8(row), r = ch_get_u8(row);
    int64_t there = ch_get_i64(row), pointer = ch_get_i64(row), queued = ch_get_i64(row),
            since_s = ch_get_i64(row), now_s = ch_get_i64(row);

    if (t >= CH_TABLES || r >= p->n)
        return tw_err_set(err, TW_ECORRUPT, "clickhouse: table %zu of replica %zu: there is none", t, r);
    p->pointers[t][r] = there && p->last[t] >= pointer ? pointer : -1;
    if (there && queued && since_s)
        note(p, r, now_s - since_s);
    return TW_OK;
}

static enum tw_rc look_at_peers(struct ch_db *db, struct peers *p, struct tw_err *err)
{
    static const enum ch_type types[] = { CH_U8, CH_U8, CH_I64, CH_I64, CH_I64, CH_I64, CH_I64 };
    const char *before = "";

    ch_sql_begin(&db->sql, "SELECT " CH_ROW_MARK ", t, r, toInt64(countIf(name = 'is_active')), "
                           "max(if(name = 'log_pointer', toInt64OrZero(value), toInt64(0))), "
                           "max(if(name = 'queue', children, toInt64(0))), "
                           "max(if(name = 'min_unprocessed_insert_time', toInt64OrZero(value), toInt64(0))), "
                           "toInt64(now()) FROM (");
    for (size_t t = 0; t < CH_TABLES; t++)
        for (size_t r = 0; r < p->n && p->last[t] >= 0; r++) {
            ch_sql_add(&db->sql,
                       "%sSELECT toUInt8(%zu) AS t, toUInt8(%zu) AS r, name, value, toInt64(numChildren) AS "
                       "children "
                       "FROM system.zookeeper WHERE path = '" CH_ZK_PATH "/replicas/%s'",
                       before, t, r, db->where.cluster, db->name, ch_table_name(t), p->names[r]);
            before = " UNION ALL ";
        }
    ch_sql_add(&db->sql, ") GROUP BY t, r");
    return *before ? ch_db_select(db, types, TW_NELEM(types), take_peer, p, err) : TW_OK;
}

/* ---- Logs that one has not copied ---- */

static enum tw_rc take_waiting(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct peers *p = ctx;
    size_t r = ch_get_u8(row);
    int64_t since_s = ch_get_i64(row), now_s = ch_get_i64(row);

    if (r >= p->n)
        return tw_err_set(err, TW_ECORRUPT, "clickhouse: replica %zu: there is none", r);
    note(p, r, now_s - since_s);
    return TW_OK;
}

static enum tw_rc look_at_logs(struct ch_db *db, struct peers *p, struct tw_err *err)
{
    static const enum ch_type types[] = { CH_U8, CH_I64, CH_I64 };
    const char *before = "";

    ch_sql_begin(&db->sql, "SELECT " CH_ROW_MARK ", r, min(since), toInt64(now()) FROM (");
    for (size_t t = 0; t < CH_TABLES; t++)
        for (size_t r = 0; r < p->n && p->last[t] >= 0; r++) {
            if (p->pointers[t][r] < 0)
                continue;
            ch_sql_add(&db->sql,
                       "%sSELECT toUInt8(%zu) AS r, toInt64(ctime) AS since FROM "
                       "system.zookeeper WHERE path = '" CH_ZK_PATH "/log' AND name >= 'log-%010lld'",
                       before, r, db->where.cluster, db->name, ch_table_name(t),
                       (long long)p->pointers[t][r]);
            before = " UNION ALL ";
        }
    ch_sql_add(&db->sql, ") GROUP BY r");
    return *before ? ch_db_select(db, types, TW_NELEM(types), take_waiting, p, err) : TW_OK;
}

static enum tw_rc look(struct ch_db *db, struct ch_lacks *l, struct tw_err *err)
{
    struct peers p = { .n = 0 };
    size_t worst = 0;
    enum tw_rc rc = look_at_tables(db, &p, err);

    if (!rc)
        rc = look_at_peers(db, &p, err);
    if (!rc)
        rc = look_at_logs(db, &p, err);
    if (rc)
        return rc;
    for (size_t r = 1; r < p.n; r++)
        worst = p.behind_s[r] > p.behind_s[worst] ? r : worst;
    l->behind_s = p.behind_s[worst];
    snprintf(l->who, sizeof l->who, "%s", p.names[worst]);
    return TW_OK;
}

/* ---- What is told ---- */

static enum tw_rc look_at_those_away(struct ch_db *db, struct ch_lacks *l, struct tw_err *err)
{
    int64_t n[2];
    enum tw_rc rc;

    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK ", toInt64(min(active_replicas)), toInt64(countIf(is_readonly)) FROM "
                 "system.replicas WHERE database = '%s' FORMAT RowBinary",
                 db->name);
    rc = ch_get_numbers(db->http, &db->sql, n, TW_NELEM(n), err);
    if (rc)
        return rc;
    if (n[1])
        snprintf(l->text, sizeof l->text, "%.50s: %lld tables can only be read: it has no ZooKeeper",
                 ch_http_server(db->http), (long long)n[1]);
    else if (n[0] < db->hosts)
        snprintf(l->text, sizeof l->text, "of %lld replicas in cluster %.40s %lld are there",
                 (long long)db->hosts, db->where.cluster, (long long)n[0]);
    return TW_OK;
}

enum tw_rc ch_db_lacks(struct ch_db *db, struct ch_lacks *l, struct tw_err *err)
{
    int64_t now_ns = tw_mono_now().ns;
    enum tw_rc rc;

    l->text[0] = '\0';
    if (!db->hosts)
        return TW_OK;
    rc = look_at_those_away(db, l, err);
    if (rc)
        return rc;
    if (!l->looked_ns || now_ns - l->looked_ns >= LOOK_NS) {
        l->behind_s = 0;
        l->looked_ns = now_ns;
        rc = look(db, l, err);
    }
    if (!rc && !l->text[0] && l->behind_s > BEHIND_S)
        snprintf(l->text, sizeof l->text, "replica %.40s in cluster %.40s is %lld s behind the others",
                 l->who, db->where.cluster, (long long)l->behind_s);
    return rc;
}
