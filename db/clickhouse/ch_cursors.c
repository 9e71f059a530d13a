/* What is stored of each spool, as table cursor says. */
#include "db/clickhouse/ch_priv.h"

#include <string.h>

struct loading {
    struct cursors *to;
    struct cursor at; /* now: of the spool that is being read */
    int64_t forgotten_agent;
};

static enum tw_rc end_spool(struct loading *l, struct tw_err *err)
{
    if (!l->at.now.through)
        return TW_OK;
    return cursors_set(l->to, l->at.agent_id, l->at.spool_id, &l->at.now) ? ch_no_memory(err) : TW_OK;
}

/* In order of (agent, spool, first): a stretch that became part of another comes behind that. */
static enum tw_rc take_mark(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct loading *l = ctx;
    int64_t agent_id = ch_get_i64(row), first, last;
    const uint8_t *spool_id = wire_take(row, STORE_ID_LEN);
    enum tw_rc rc = TW_OK;

    first = ch_get_i64(row);
    last = ch_get_i64(row);
    if (row->bad || first < 0 || last < first)
        return tw_err_set(err, TW_ECORRUPT, "clickhouse: a row of table cursor is damaged");
    if (!first) {
        l->forgotten_agent = agent_id;
        return TW_OK;
    }
    if (l->forgotten_agent == agent_id)
        return TW_OK;
    if (agent_id != l->at.agent_id || memcmp(spool_id, l->at.spool_id, STORE_ID_LEN) != 0) {
        rc = end_spool(l, err);
        l->at = (struct cursor){ .agent_id = agent_id };
        memcpy(l->at.spool_id, spool_id, STORE_ID_LEN);
    }
    if (rc)
        return rc;
    if ((uint64_t)first <= l->at.now.through + 1) {
        if ((uint64_t)last > l->at.now.through)
            l->at.now.through = seqset_absorb(&l->at.now.ahead, (uint64_t)last);
        return TW_OK;
    }
    if (seqset_add(&l->at.now.ahead, (uint64_t)first, (uint64_t)last))
        return tw_err_set(err, TW_ECORRUPT, "clickhouse: table cursor has too many stretches of agent %lld",
                          (long long)agent_id);
    return TW_OK;
}

enum tw_rc ch_load_cursors(struct ch_db *db, const int64_t *agents, size_t n, struct cursors *ret,
                           struct tw_err *err)
{
    static const enum ch_type types[] = { CH_I64, CH_ID, CH_I64, CH_I64 };
    struct loading l = { .to = ret };
    enum tw_rc rc = ch_http_sync(db->http, ch_http_bit(CH_CURSOR), err);

    if (rc)
        return rc;
    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK
                 ", agent_id, spool_id, first_seq, last_seq FROM %s.cursor FINAL WHERE agent_id != 0"
                 " AND (writer != 0 OR txn NOT IN (SELECT txn FROM %s.burnt WHERE writer = 0))",
                 db->name, db->name);
    if (agents) {
        ch_sql_add(&db->sql, " AND agent_id IN ");
        ch_sql_add_numbers(&db->sql, (const uint64_t *)agents, n);
    }
    ch_sql_add(&db->sql, " ORDER BY agent_id, first_seq > 0, spool_id, first_seq");
    rc = ch_db_select(db, types, TW_NELEM(types), take_mark, &l, err);
    if (!rc)
        rc = end_spool(&l, err);
    if (rc)
        cursors_free(ret);
    else
        cursors_commit(ret);
    return rc;
}
