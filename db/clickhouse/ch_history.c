/* Opening, and the table of operations. */
#include "db/clickhouse/ch_priv.h"

#include <stdlib.h>

static void close_history(struct history *base)
{
    struct ch_history *h = (struct ch_history *)base;

    if (!h)
        return;
    ch_write_close(h);
    ch_rollup_close(h);
    free(h->drops);
    ch_db_close(&h->db);
    free(h);
}

static enum tw_rc open_history(const struct history_conf *conf, struct history **ret, struct tw_err *err)
{
    struct ch_history *h = calloc(1, sizeof *h);
    enum tw_rc rc;

    if (!h)
        return ch_no_memory(err);
    h->base.ops = &clickhouse_history;
    rc = ch_db_open(&h->db, conf->location, err);
    if (!rc)
        rc = ch_schema_open(h->db.http, h->db.name, err);
    if (!rc)
        rc = ch_write_open(h, err);
    if (!rc)
        rc = ch_rollup_open(h, err);
    if (rc) {
        close_history(&h->base);
        return rc;
    }
    *ret = &h->base;
    return TW_OK;
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
    .forget_agent = ch_forget_agent,
    .retain = ch_retain,
    .rollup = ch_rollup,
    .stats = ch_stats,
    .reader_open = ch_reader_open,
    .reader_close = ch_reader_close,
    .reader_interrupt = ch_reader_interrupt,
    .read_summaries = ch_read_summaries,
    .read_span = ch_read_span,
    .read_loss_runs = ch_read_loss_runs,
    .read_loss_chains = ch_read_loss_chains,
    .read_latest = ch_read_latest,
    .read_gaps = ch_read_gaps,
};
