/* Opening, and the table of operations. */
#include "db/clickhouse/ch_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void close_history(struct history *base)
{
    struct ch_history *h = (struct ch_history *)base;

    if (!h)
        return;
    ch_write_close(h);
    ch_import_close(h);
    ch_rollup_close(h);
    free(h->drops);
    ch_db_close(&h->db);
    free(h);
}

/* ours: as this one is; others: controllers of which no row says that they are of this cluster. */
static enum tw_rc count_owners(struct ch_history *h, int64_t *ret_ours, int64_t *ret_others,
                               struct tw_err *err)
{
    int64_t n[2], us = h->owner, cluster = h->cluster;
    enum tw_rc rc = ch_http_sync(h->db.http, ch_http_bit(CH_OWNER), err);

    if (rc)
        return rc;
    ch_sql_begin(
        &h->db.sql,
        "SELECT " CH_ROW_MARK ", toInt64(countIf(id = %lld AND here > 0)), toInt64(countIf(id != %lld AND "
        "(%lld = 0 OR here = 0))) FROM (SELECT id, countIf(cluster = %lld) AS here FROM %s.owner GROUP BY id)"
        " FORMAT RowBinary",
        (long long)us, (long long)us, (long long)cluster, (long long)cluster, h->db.name);
    rc = ch_get_numbers(h->db.http, &h->db.sql, n, 2, err);
    if (rc)
        return rc;
    *ret_ours = n[0];
    *ret_others = n[1];
    return TW_OK;
}

/* It is looked again behind the insert: of two that are first at the same moment one at least sees the other,
 * and takes nothing. */
static enum tw_rc check_owner(struct ch_history *h, struct tw_err *err)
{
    int64_t ours = 0, others = 0;
    enum tw_rc rc = h->owner ? count_owners(h, &ours, &others, err) : TW_OK;

    if (rc || !h->owner)
        return rc;
    if (!ours && !others) {
        ch_sql_begin(&h->db.sql, "INSERT INTO %s.owner (id, cluster) VALUES (%lld, %lld)", h->db.name,
                     (long long)h->owner, (long long)h->cluster);
        rc = ch_run(h->db.http, &h->db.sql, err);
        if (!rc)
            rc = count_owners(h, &ours, &others, err);
    }
    return rc || !others ? rc : ch_refuse_owner(h->db.name, err);
}

static enum tw_rc open_tables(struct ch_history *h, struct tw_err *err)
{
    struct ch_place place = { .database = h->db.name, .cluster = h->db.where.cluster };
    enum tw_rc rc = ch_db_join(&h->db, err);

    place.hosts = h->db.hosts;
    if (!rc)
        rc = ch_db_find_tables(&h->db, err);
    if (!rc)
        rc = ch_schema_open(h->db.http, &place, h->owner, err);
    if (!rc)
        ch_http_expect_tables(h->db.http);
    return rc ? rc : check_owner(h, err);
}

enum tw_rc ch_be_open(struct ch_history *h, struct tw_err *err)
{
    enum tw_rc rc = h->opened ? TW_OK : open_tables(h, err);

    if (rc || h->opened)
        return rc;
    h->opened = true; /* what follows asks for it */
    rc = ch_be_certain(h, err);
    if (!rc && !h->carrying && ch_import_is_under_way(h))
        rc = tw_err_set(err, TW_EINUSE,
                        "clickhouse database %.63s: a history is being carried into it, and not all of it is "
                        "there: end that first (twampctl db migrate)",
                        h->db.name);
    if (!rc)
        rc = ch_rollup_open(h, err);
    h->opened = !rc;
    return rc;
}

/* Another program's database, or none of ours, stays what it is. All else may be well at the next try: a
 * password is set, a disk is there again. */
static bool may_come(enum tw_rc rc)
{
    return rc != TW_EVERSION && rc != TW_EINUSE && rc != TW_ECORRUPT && rc != TW_ENOMEM;
}

static enum tw_rc open_history(const struct history_conf *conf, struct history **ret, struct tw_err *err)
{
    struct ch_history *h = calloc(1, sizeof *h);
    enum tw_rc rc;

    if (!h)
        return ch_no_memory(err);
    h->base.ops = &clickhouse_history;
    h->owner = (int64_t)(conf->owner & INT64_MAX);
    h->carrying = conf->carrying;
    h->cluster = (int64_t)(conf->cluster & INT64_MAX);
    h->writer = h->owner ? h->owner : 1;
    h->maintainer = conf->maintainer;
    h->maintainer_ctx = conf->maintainer_ctx;
    rc = ch_db_open(&h->db, conf->location, err);
    ch_write_init(h);
    if (!rc) {
        ch_http_ask_settings(h->db.http);
        rc = ch_be_open(h, err);
        if (rc && conf->may_be_away && may_come(rc))
            rc = TW_OK;
    }
    if (rc) {
        close_history(&h->base);
        return rc;
    }
    *ret = &h->base;
    return TW_OK;
}

static enum tw_rc look(struct history *base, struct tw_err *err)
{
    struct ch_history *h = (struct ch_history *)base;
    enum tw_rc rc = ch_http_knock(h->db.http, err);

    return rc || h->in_txn ? rc : ch_be_certain(h, err);
}

static void info(struct history *base, struct store_history_info *ret)
{
    const struct ch_history *h = (const struct ch_history *)base;
    const struct ch_http_cfg *http = &h->db.where.http;
    const struct ch_http_stats n = ch_http_stats(h->db.http);
    size_t at = 0, cap = sizeof ret->address;

    snprintf(ret->backend, sizeof ret->backend, "%s", "clickhouse");
    for (size_t i = 0; i < http->n_endpoints && at < cap; i++)
        at += (size_t)snprintf(ret->address + at, cap - at, "%s%s", i ? "," : "",
                               strstr(http->endpoints[i], "://") + 3);
    if (at < cap)
        snprintf(ret->address + at, cap - at, "/%s", h->db.name);
    snprintf(ret->server, sizeof ret->server, "%s", ch_http_server(h->db.http));
    snprintf(ret->lacks, sizeof ret->lacks, "%s", h->lacks.text);
    ret->behind_s = h->lacks.behind_s;
    ret->inserts = n.inserts;
    ret->insert_bytes = n.insert_bytes;
    ret->statements = n.statements;
    ret->failures = n.failures;
    ret->moves = n.moves;
}

static void hurry(struct history *base, int64_t by_mono_ns)
{
    ch_http_hurry(((struct ch_history *)base)->db.http, by_mono_ns);
}

const struct history_ops clickhouse_history = {
    .scheme = "clickhouse",
    .open = open_history,
    .close = close_history,
    .begin = ch_begin,
    .commit = ch_commit,
    .rollback = ch_rollback,
    .append = ch_append,
    .cursor = ch_cursor,
    .each_cursor = ch_each_cursor,
    .learn_cursors = ch_learn_cursors,
    .forget_agent = ch_forget_agent,
    .retain = ch_retain,
    .rollup = ch_rollup,
    .stats = ch_stats,
    .look = look,
    .info = info,
    .hurry = hurry,
    .reader_open = ch_reader_open,
    .reader_close = ch_reader_close,
    .reader_interrupt = ch_reader_interrupt,
    .read_summaries = ch_read_summaries,
    .read_span = ch_read_span,
    .read_loss_runs = ch_read_loss_runs,
    .read_loss_chains = ch_read_loss_chains,
    .read_latest = ch_read_latest,
    .read_gaps = ch_read_gaps,
    .export_parts = ch_export_parts,
    .export_rows = ch_export_rows,
    .import = ch_import,
};
