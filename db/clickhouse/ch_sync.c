#include "db/clickhouse/ch_sync.h"

#include <string.h>
#include <unistd.h>
#include "common/clk.h"
#include "common/net/now.h"
#include "db/clickhouse/ch_rows.h"
#include "db/clickhouse/ch_schema.h"

#define FAR_BEHIND_S 3 /* what a server lacks for so long is nowhere to be had, or much */
#define PATH_MAX_OCTETS 255
#define FIRST_WAIT_US 2000
#define LAST_WAIT_US 100000

/* What is known of a table. */
struct table {
    bool there, pulled, done; /* pulled: its pointer is where it has to be */
    bool maybe_empty;         /* its log: a number says 0 of no entry and of the first one */
    bool in_log;              /* something, of such a one */
    int64_t pointer;          /* where it has to be; 0: it is not known yet */
    int64_t newest;           /* of the queue when it was looked at first, plus one; 0: it was not yet */
    char path[PATH_MAX_OCTETS + 1]; /* of the replica */
};

struct look {
    struct ch_sync *s;
    unsigned which;
    int64_t until_ns;
    bool *elsewhere;
    bool late; /* it is behind for long */
    struct table tables[CH_TABLES];
};

static bool is_asked(const struct look *l, size_t i)
{
    return l->which & ch_http_bit((unsigned)i);
}

static enum tw_rc ask(struct look *l, const enum ch_type *types, size_t n_types,
                      enum tw_rc (*fn)(void *ctx, struct wire_rd *row, struct tw_err *err),
                      struct tw_err *err)
{
    struct ch_rows r = { .types = types, .n_types = n_types, .fn = fn, .ctx = l, .err = err };
    const char *text;
    enum tw_rc rc;

    ch_sql_add(&l->s->sql, " FORMAT RowBinary");
    text = ch_sql_text(&l->s->sql);
    if (!text)
        return tw_err_set(err, TW_ENOMEM, "clickhouse: out of memory");
    rc = ch_http_ask(l->s->http, text, ch_rows_feed, &r, l->until_ns, l->elsewhere, err);
    return rc ? ch_rows_fail(&r, rc) : ch_rows_end(&r);
}

/* ---- The pointers ---- */

static enum tw_rc only_readable(struct look *l, size_t i, struct tw_err *err)
{
    *l->elsewhere = true;
    return tw_err_set(
        err, TW_ETIMEOUT,
        "clickhouse %.60s: table %s can only be read: it has no ZooKeeper, or came back just now",
        ch_http_server(l->s->http), ch_table_name(i));
}

static enum tw_rc keep_path(struct table *t, const uint8_t *path, size_t len, struct tw_err *err)
{
    if (len > PATH_MAX_OCTETS || memchr(path, '\'', len) || memchr(path, '\\', len) ||
        memchr(path, '\0', len))
        return tw_err_set(
            err, TW_EINVAL,
            "clickhouse: a replica's path in ZooKeeper: expected at most %d octets, without ' and \\",
            PATH_MAX_OCTETS);
    memcpy(t->path, path, len);
    t->path[len] = '\0';
    return TW_OK;
}

static enum tw_rc take_pointer(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct look *l = ctx;
    size_t i = ch_get_u8(row), len;
    const uint8_t *path = ch_get_string(row, &len);
    uint8_t active = ch_get_u8(row), late = ch_get_u8(row);
    int64_t newest = ch_get_i64(row), pointer = ch_get_i64(row);
    struct table *t = i < CH_TABLES && path ? &l->tables[i] : NULL;

    if (!t)
        return tw_err_set(err, TW_ECORRUPT, "clickhouse: table %zu: there is none", i);
    t->there = true;
    if (!active)
        return only_readable(l, i, err);
    l->late |= late;
    if (!t->pointer) {
        t->maybe_empty = !newest && !pointer;
        t->pointer = newest + 1;
    }
    t->pulled = pointer >= t->pointer;
    return keep_path(t, path, len, err);
}

/* Of those that were not yet where they have to be. A server that has no ZooKeeper says 0 for all of it, and
 * first reads the log and then the pointer. */
static enum tw_rc look_at_pointers(struct look *l, struct tw_err *err)
{
    static const enum ch_type types[] = { CH_U8, CH_STRING, CH_U8, CH_U8, CH_I64, CH_I64 };
    struct ch_sql *q = &l->s->sql;
    const char *before = "";

    ch_sql_begin(q, "SELECT " CH_ROW_MARK ", toUInt8(transform(table, [");
    for (size_t i = 0; i < CH_TABLES; i++)
        ch_sql_add(q, "%s'%s'", i ? ", " : "", ch_table_name(i));
    ch_sql_add(q, "], [");
    for (size_t i = 0; i < CH_TABLES; i++)
        ch_sql_add(q, "%s%zu", i ? ", " : "", i);
    ch_sql_add(
        q,
        "], 255)), replica_path, toUInt8(total_replicas > 0 AND NOT is_readonly), toUInt8(inserts_in_queue "
        "> 0 AND inserts_oldest_time < now() - %d), toInt64(log_max_index), toInt64(log_pointer) FROM "
        "system.replicas WHERE database = '%s' AND table IN (",
        FAR_BEHIND_S, l->s->database);
    for (size_t i = 0; i < CH_TABLES; i++) {
        if (!is_asked(l, i) || l->tables[i].pulled)
            continue;
        ch_sql_add(q, "%s'%s'", before, ch_table_name(i));
        before = ", ";
    }
    ch_sql_add(q, ")");
    return *before ? ask(l, types, TW_NELEM(types), take_pointer, err) : TW_OK;
}

/* ---- The queues ---- */

/* One of them has no row if nothing is in it. */
static enum tw_rc take_queue(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct look *l = ctx;
    size_t i = ch_get_u8(row);
    uint8_t is_log = ch_get_u8(row);
    int64_t newest = ch_get_i64(row), oldest = ch_get_i64(row);
    struct table *t = i < CH_TABLES ? &l->tables[i] : NULL;

    if (!t)
        return tw_err_set(err, TW_ECORRUPT, "clickhouse: table %zu: there is none", i);
    if (is_log) {
        t->in_log = true;
        return TW_OK;
    }
    if (!t->newest)
        t->newest = newest + 1;
    t->done = oldest >= t->newest;
    return TW_OK;
}

/* What the queue had counts only if the pointer was where it has to be before. */
static void judge(struct table *t)
{
    if (t->maybe_empty)
        t->pulled = !t->in_log;
    t->maybe_empty = false;
    if (t->pulled && !t->newest)
        t->newest = 1; /* of nothing */
    if (t->pulled)
        return;
    t->done = false;
    t->newest = 0;
}

static const char *add_rows(struct ch_sql *q, const char *before, size_t i, bool is_log)
{
    ch_sql_add(
        q,
        "%sSELECT toUInt8(%zu) AS i, toUInt8(%d) AS is_log, name, value FROM system.zookeeper WHERE path = ",
        before, i, is_log);
    return " UNION ALL ";
}

static enum tw_rc look_at_queues(struct look *l, struct tw_err *err)
{
    static const enum ch_type types[] = { CH_U8, CH_U8, CH_I64, CH_I64 };
    struct ch_sql *q = &l->s->sql;
    const char *before = "", number[] = "toInt64OrZero(substring(name, 7))"; /* of "queue-0000000123" */
    enum tw_rc rc;

    ch_sql_begin(q,
                 "SELECT " CH_ROW_MARK ", i, is_log, max(%s), min(if(" CH_SYNC_BRINGS
                 ", %s, toInt64(%lld))) FROM (",
                 number, number, (long long)INT64_MAX);
    for (size_t i = 0; i < CH_TABLES; i++) {
        struct table *t = &l->tables[i];
        if (!t->there || t->done)
            continue;
        t->done = true;
        before = add_rows(q, before, i, false);
        ch_sql_add(q, "'%s/queue'", t->path);
        if (!t->maybe_empty)
            continue;
        before = add_rows(q, before, i, true);
        ch_sql_add(q, "'" CH_ZK_PATH "/log'", l->s->cluster, l->s->database, ch_table_name(i));
    }
    ch_sql_add(q, ") GROUP BY i, is_log");
    rc = *before ? ask(l, types, TW_NELEM(types), take_queue, err) : TW_OK;
    for (size_t i = 0; i < CH_TABLES && !rc; i++)
        if (l->tables[i].there)
            judge(&l->tables[i]);
    return rc;
}

/* ---- Until it has everything ---- */

/* Which of them are not there, of those that were asked for. */
static bool lacks_tables(const struct look *l)
{
    for (size_t i = 0; i < CH_TABLES; i++)
        if (is_asked(l, i) && !l->tables[i].there)
            return true;
    return false;
}

/* A log that may be empty is looked at behind its pointer. */
static bool all_pulled(const struct look *l)
{
    for (size_t i = 0; i < CH_TABLES; i++)
        if (l->tables[i].there && !l->tables[i].pulled && !l->tables[i].maybe_empty)
            return false;
    return true;
}

static bool all_done(const struct look *l)
{
    for (size_t i = 0; i < CH_TABLES; i++)
        if (l->tables[i].there && !(l->tables[i].pulled && l->tables[i].done))
            return false;
    return true;
}

static enum tw_rc is_behind(struct look *l, struct tw_err *err)
{
    *l->elsewhere = true;
    return tw_err_set(err, TW_ETIMEOUT, "clickhouse %.60s: it has not got yet what other replicas have",
                      ch_http_server(l->s->http));
}

enum tw_rc ch_sync_run(void *ctx, unsigned which, int64_t until_ns, bool *ret_elsewhere, struct tw_err *err)
{
    struct look l = { .s = ctx, .which = which, .until_ns = until_ns, .elsewhere = ret_elsewhere };
    useconds_t wait_us = FIRST_WAIT_US;
    enum tw_rc rc;

    for (;;) {
        rc = look_at_pointers(&l, err);
        if (!rc && all_pulled(&l))
            rc = look_at_queues(&l, err);
        if (rc)
            return rc;
        if (all_done(&l))
            return lacks_tables(&l) ? TW_ENOENT : TW_OK;
        if (l.late || tw_mono_now().ns + wait_us * INT64_C(1000) >= until_ns)
            return is_behind(&l, err);
        usleep(wait_us);
        wait_us = wait_us < LAST_WAIT_US / 2 ? 2 * wait_us : LAST_WAIT_US;
    }
}

void ch_sync_free(struct ch_sync *s)
{
    ch_sql_free(&s->sql);
}
