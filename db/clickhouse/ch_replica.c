/* One history on several servers: tables that are replicated through ZooKeeper, each complete at each of
 * them.
 *
 * A server has what others confirmed some milliseconds later, each table by itself, and one that was away may
 * be far behind. But what is done must stay done wherever one looks, a commit must be there as a whole, and a
 * round must find the cells of the one before it. So nothing that matters is read without a sync: it is
 * waited until the server has all of a table that was confirmed anywhere by then (ch_sync.h), and if that
 * takes too long another one is asked.
 *   - At a server that was not the last to answer: all tables, before anything else (ch_http_replicas()).
 *     What was confirmed by another one, or read there, is there, too.
 *   - Where others may have written meanwhile, at whichever server: tables cursor and round before it is
 * looked which commits are done, and behind that the tables that are read (ch_view_load()). All of a commit
 * was confirmed before the row that says that it is done was sent, so what is done is complete.
 *
 * Two things can be read that may vanish: rows of an insert that a server had when it lost ZooKeeper in the
 * middle, and whose insert was not confirmed (it looks after some minutes whether they count, and says until
 * then that it has parts to check), and rows whose quorum is not there yet (they go if the server dies
 * before). What is built on such rows (what agents are told, which rounds there were) is written once more
 * first, and confirmed, at the server where it was read (ch_db_load_settled()). */
#include "db/clickhouse/ch_priv.h"

#include <stdio.h>

#define LOAD_TRIES 4   /* at replicas that come and go */
#define QUORUM_MS 3000 /* less than an insert may stand still */

struct cluster {
    int64_t hosts, shards, parallel;
};

/* Of current releases a SELECT that stands for its value may be NULL, whatever it is of. */
static enum tw_rc ask_cluster(struct ch_db *db, struct cluster *ret, struct tw_err *err)
{
    int64_t n[3];
    enum tw_rc rc;

    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK
                 ", toInt64(count()), toInt64(max(shard_num)), toInt64(assumeNotNull((SELECT count() FROM "
                 "system.settings WHERE name = 'insert_quorum_parallel'))) FROM system.clusters WHERE "
                 "cluster = '%s' FORMAT RowBinary",
                 db->where.cluster);
    rc = ch_get_numbers(db->http, &db->sql, n, TW_NELEM(n), err);
    if (!rc)
        *ret = (struct cluster){ n[0], n[1], n[2] };
    return rc;
}

static enum tw_rc check_cluster(const struct ch_db *db, const struct cluster *c, struct tw_err *err)
{
    const char *server = ch_http_server(db->http), *name = db->where.cluster;

    if (!c->hosts)
        return tw_err_set(err, TW_ENOENT, "clickhouse %.60s: it knows no cluster %.64s (remote_servers)",
                          server, name);
    if (c->shards != 1)
        return tw_err_set(
            err, TW_EINVAL,
            "clickhouse %.60s: cluster %.64s has %lld shards: expected one, of which each replica has "
            "everything",
            server, name, (long long)c->shards);
    if (db->where.quorum > c->hosts)
        return tw_err_set(err, TW_EINVAL, "quorum=%u: cluster %.64s has %lld replicas", db->where.quorum,
                          name, (long long)c->hosts);
    return TW_OK;
}

/* Keys tell what is there already, whatever a server thinks of it. Tables are waited for once, behind the
 * last. */
static void put_settings(const struct cluster *c, int64_t quorum, char *ret, size_t cap)
{
    int n = snprintf(ret, cap, "%s", "insert_deduplicate=0&distributed_ddl_task_timeout=0");

    if (quorum > 1)
        snprintf(ret + n, cap - (size_t)n, "&insert_quorum=%lld&insert_quorum_timeout=%d%s",
                 (long long)quorum, QUORUM_MS, c->parallel ? "&insert_quorum_parallel=0" : "");
}

/* A replica is away, or a quorum is waited for by now longer than any insert waits: by a replica that is
 * there and gets nothing. */
static enum tw_rc put_stuck(struct ch_db *db, const char **ret, struct tw_err *err)
{
    ch_sql_begin(
        &db->sql,
        "SELECT count() FROM (SELECT toUInt8(1) AS one FROM system.replicas WHERE database = '%s' AND "
        "active_replicas < 2",
        db->name);
    for (size_t i = 0; i < CH_TABLES; i++)
        ch_sql_add(&db->sql,
                   " UNION ALL SELECT toUInt8(1) AS one FROM system.zookeeper WHERE path = '" CH_ZK_PATH
                   "/quorum' AND name = 'status' AND ctime < now() - %d",
                   db->where.cluster, db->name, ch_table_name(i), QUORUM_MS / 1000 + 1);
    ch_sql_add(&db->sql, ")");
    *ret = ch_sql_text(&db->sql);
    return *ret ? TW_OK : ch_no_memory(err);
}

/* Where it must not go without a quorum nothing is read that has none. */
static enum tw_rc set_up(struct ch_db *db, const struct cluster *c, struct tw_err *err)
{
    int64_t quorum = db->where.quorum ? db->where.quorum : c->hosts > 1 ? 2 : 1;
    char settings[160], alone[160];
    struct ch_http_replicas r = { .change_settings = settings, .sync = ch_sync_run, .sync_ctx = &db->sync };
    enum tw_rc rc;

    db->sync.http = db->http;
    db->sync.database = db->name;
    db->sync.cluster = db->where.cluster;
    put_settings(c, quorum, settings, sizeof settings);
    put_settings(c, 1, alone, sizeof alone);
    if (!db->where.quorum)
        r.alone_settings = alone;
    else if (quorum > 1)
        r.select_settings = "select_sequential_consistency=1";
    rc = put_stuck(db, &r.stuck, err);
    return rc ? rc : ch_http_replicas(db->http, &r, err);
}

enum tw_rc ch_db_join(struct ch_db *db, struct tw_err *err)
{
    struct cluster c;
    enum tw_rc rc;

    if (!db->where.cluster || db->hosts)
        return TW_OK;
    rc = ask_cluster(db, &c, err);
    if (!rc)
        rc = check_cluster(db, &c, err);
    if (!rc)
        rc = set_up(db, &c, err);
    if (!rc)
        db->hosts = c.hosts;
    return rc;
}

/* ---- Without tables ---- */

enum tw_rc ch_db_find_tables(struct ch_db *db, struct tw_err *err)
{
    bool here = !db->hosts;
    enum tw_rc rc = TW_OK;

    for (size_t tried = 0; tried < db->where.http.n_endpoints && !here && !rc; tried++) {
        rc = ch_schema_is_here(db->http, db->name, &here, err);
        if (!rc && !here)
            ch_http_pass_bare(db->http);
    }
    if (!rc && !here)
        ch_http_forget_bare(db->http); /* nobody has: it is the first time */
    return rc;
}

enum tw_rc ch_db_mend(struct ch_db *db, struct tw_err *err)
{
    struct ch_place place = { .database = db->name, .cluster = db->where.cluster, .hosts = db->hosts };
    int64_t active;
    enum tw_rc rc;

    if (!db->hosts || !ch_http_saw_bare(db->http))
        return TW_OK;
    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK ", toInt64(max(active_replicas)) FROM system.replicas WHERE "
                 "database = '%s' FORMAT RowBinary",
                 db->name);
    rc = ch_get_numbers(db->http, &db->sql, &active, 1, err);
    if (rc || active >= db->hosts)
        return rc;
    rc = ch_schema_again(db->http, &place, err);
    if (!rc)
        ch_http_forget_bare(db->http);
    return rc;
}

/* ---- What may vanish ---- */

static enum tw_rc is_doubtful(struct ch_db *db, const char *table, bool *ret, struct tw_err *err)
{
    int64_t to_check = 0, pending = 0;
    enum tw_rc rc;

    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK ", toInt64(countIf(parts_to_check > 0)) FROM system.replicas WHERE "
                 "database = '%s' AND table = '%s' FORMAT RowBinary",
                 db->name, table);
    rc = ch_get_numbers(db->http, &db->sql, &to_check, 1, err);
    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK ", toInt64(count()) FROM system.zookeeper WHERE path = '" CH_ZK_PATH
                 "/quorum' AND name = 'status' FORMAT RowBinary",
                 db->where.cluster, db->name, table);
    if (!rc && !to_check)
        rc = ch_get_numbers(db->http, &db->sql, &pending, 1, err);
    *ret = to_check || pending;
    return rc;
}

static enum tw_rc settle(struct ch_db *db, enum ch_table table, struct tw_err *err)
{
    const char *name = ch_table_name(table);
    bool doubtful = false;
    enum tw_rc rc = db->hosts ? is_doubtful(db, name, &doubtful, err) : TW_OK;

    if (rc || !doubtful)
        return rc;
    ch_sql_begin(&db->sql, "INSERT INTO %s.%s SELECT * FROM %s.%s", db->name, name, db->name, name);
    return ch_run(db->http, &db->sql, err);
}

/* Another server knows nothing of what may vanish at the one before it. */
enum tw_rc ch_db_load_settled(struct ch_db *db, unsigned tables, ch_load_fn load, void *ctx,
                              struct tw_err *err)
{
    for (int tries = 0; tries < LOAD_TRIES; tries++) {
        uint64_t changes = ch_http_changes(db->http);
        enum tw_rc rc = load(ctx, err);

        for (unsigned i = 0; i < CH_TABLES && !rc; i++)
            if (tables & ch_http_bit(i))
                rc = settle(db, i, err);
        if (rc || !db->hosts || changes == ch_http_changes(db->http))
            return rc;
    }
    return tw_err_set(err, TW_ETIMEOUT,
                      "clickhouse %.60s: no replica answers for as long as it takes to read",
                      ch_http_server(db->http));
}
