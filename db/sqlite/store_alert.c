/* What alerting keeps. */
#include "db/store_alert.h"
#include "db/store_priv.h"

static enum tw_rc start(struct store *s, unsigned which, struct sq_cur *c, struct tw_err *err)
{
    return sq_start(s->q, which, c, err);
}

static enum tw_rc remove_row(struct store *s, unsigned which, uint64_t id, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = start(s, which, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)id);
    return sq_run(&c, err);
}

static enum tw_rc last(struct store *s, unsigned which, uint64_t *ret, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = start(s, which, &c, err);

    if (!rc)
        rc = sq_next(&c, err);
    if (rc)
        return rc;
    *ret = (uint64_t)sq_take_i64(&c);
    return sq_run(&c, err);
}

/* ---- Alerts ---- */

enum tw_rc store_put_alert(struct store *s, const struct store_alert *a, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = start(s, ST_ALERT_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)a->id);
    sq_put_i64(&c, a->open);
    sq_put_i64(&c, a->changed_ns);
    sq_put_text(&c, a->body);
    return sq_run(&c, err);
}

enum tw_rc store_remove_alert(struct store *s, uint64_t id, struct tw_err *err)
{
    return remove_row(s, ST_ALERT_REMOVE, id, err);
}

enum tw_rc store_last_alert(struct store *s, uint64_t *ret, struct tw_err *err)
{
    return last(s, ST_ALERT_LAST, ret, err);
}

static enum tw_rc each_alert(struct sq_cur *c, size_t *ret_n,
                             enum tw_rc (*fn)(void *ctx, const struct store_alert *a), void *ctx,
                             struct tw_err *err)
{
    struct store_alert a;
    enum tw_rc rc;

    *ret_n = 0;
    while ((rc = sq_next(c, err)) == TW_OK) {
        a.id = (uint64_t)sq_take_i64(c);
        a.open = sq_take_i64(c) != 0;
        a.changed_ns = sq_take_i64(c);
        a.body = sq_take_text(c);
        ++*ret_n;
        if ((rc = fn(ctx, &a)) != TW_OK) {
            sq_end(c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc store_each_alert(struct store *s, uint64_t closed,
                            enum tw_rc (*fn)(void *ctx, const struct store_alert *a), void *ctx,
                            struct tw_err *err)
{
    struct sq_cur c;
    size_t n;
    enum tw_rc rc = start(s, ST_ALERT_EACH, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)closed);
    return each_alert(&c, &n, fn, ctx, err);
}

enum tw_rc store_find_alert(struct store *s, uint64_t id,
                            enum tw_rc (*fn)(void *ctx, const struct store_alert *a), void *ctx,
                            struct tw_err *err)
{
    struct sq_cur c;
    size_t n;
    enum tw_rc rc = start(s, ST_ALERT_FIND, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)id);
    rc = each_alert(&c, &n, fn, ctx, err);
    if (rc == TW_OK && !n)
        rc = tw_err_set(err, TW_ENOENT, "there is no alert %llu", (unsigned long long)id);
    return rc;
}

/* ---- Documents ---- */

enum tw_rc store_put_alert_document(struct store *s, const struct store_alert_document *d, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = start(s, ST_ALERT_DOCUMENT_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)d->version);
    sq_put_i64(&c, d->time_ns);
    sq_put_text(&c, d->author);
    sq_put_text(&c, d->reason);
    sq_put_text(&c, d->text);
    return sq_run(&c, err);
}

static enum tw_rc each_document(struct sq_cur *c, size_t *ret_n,
                                enum tw_rc (*fn)(void *ctx, const struct store_alert_document *d), void *ctx,
                                struct tw_err *err)
{
    struct store_alert_document d;
    enum tw_rc rc;

    *ret_n = 0;
    while ((rc = sq_next(c, err)) == TW_OK) {
        d.version = (uint64_t)sq_take_i64(c);
        d.time_ns = sq_take_i64(c);
        d.author = sq_take_text(c);
        d.reason = sq_take_text(c);
        d.text = sq_take_text(c);
        ++*ret_n;
        if ((rc = fn(ctx, &d)) != TW_OK) {
            sq_end(c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static void put_document_query(struct sq_cur *c, uint64_t version, uint64_t limit)
{
    sq_put_i64(c, (int64_t)version);
    sq_put_i64(c, (int64_t)limit);
}

enum tw_rc store_last_alert_document(struct store *s,
                                     enum tw_rc (*fn)(void *ctx, const struct store_alert_document *d),
                                     void *ctx, struct tw_err *err)
{
    struct sq_cur c;
    size_t n;
    enum tw_rc rc = start(s, ST_ALERT_DOCUMENTS, &c, err);

    if (rc)
        return rc;
    put_document_query(&c, 0, 1);
    rc = each_document(&c, &n, fn, ctx, err);
    return !rc && !n ? TW_ENOENT : rc;
}

enum tw_rc store_read_alert_documents(struct store_reader *r, uint64_t version, uint64_t limit,
                                      enum tw_rc (*fn)(void *ctx, const struct store_alert_document *d),
                                      void *ctx, struct tw_err *err)
{
    struct sq_cur c;
    size_t n;
    enum tw_rc rc = sq_start(r->q, ST_ALERT_DOCUMENTS, &c, err);

    if (rc)
        return rc;
    put_document_query(&c, version, limit);
    return each_document(&c, &n, fn, ctx, err);
}

/* ---- Silences ---- */

enum tw_rc store_put_alert_silence(struct store *s, const struct store_alert_silence *i, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = start(s, ST_ALERT_SILENCE_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)i->id);
    sq_put_i64(&c, i->end_ns);
    sq_put_text(&c, i->body);
    return sq_run(&c, err);
}

enum tw_rc store_each_alert_silence(struct store *s, int64_t after_ns,
                                    enum tw_rc (*fn)(void *ctx, const struct store_alert_silence *i),
                                    void *ctx, struct tw_err *err)
{
    struct sq_cur c;
    struct store_alert_silence i;
    enum tw_rc rc = start(s, ST_ALERT_SILENCE_EACH, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, after_ns);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        i.id = (uint64_t)sq_take_i64(&c);
        i.end_ns = sq_take_i64(&c);
        i.body = sq_take_text(&c);
        if ((rc = fn(ctx, &i)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc store_last_alert_silence(struct store *s, uint64_t *ret, struct tw_err *err)
{
    return last(s, ST_ALERT_SILENCE_LAST, ret, err);
}

/* ---- Baselines ---- */

enum tw_rc store_put_alert_baseline(struct store *s, const struct store_alert_baseline *b, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = start(s, ST_ALERT_BASELINE_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)b->pair_id);
    sq_put_i64(&c, b->slot);
    sq_put_text(&c, b->body);
    return sq_run(&c, err);
}

enum tw_rc store_each_alert_baseline(struct store *s,
                                     enum tw_rc (*fn)(void *ctx, const struct store_alert_baseline *b),
                                     void *ctx, struct tw_err *err)
{
    struct sq_cur c;
    struct store_alert_baseline b;
    enum tw_rc rc = start(s, ST_ALERT_BASELINE_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        b.pair_id = (uint64_t)sq_take_i64(&c);
        b.slot = (uint32_t)sq_take_i64(&c);
        b.body = sq_take_text(&c);
        if ((rc = fn(ctx, &b)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* ---- What is on its way ---- */

enum tw_rc store_put_alert_notice(struct store *s, const struct store_alert_notice *n, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = start(s, ST_ALERT_NOTICE_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)n->id);
    sq_put_i64(&c, n->made_ns);
    sq_put_text(&c, n->receiver);
    sq_put_text(&c, n->key);
    sq_put_text(&c, n->body);
    return sq_run(&c, err);
}

enum tw_rc store_remove_alert_notice(struct store *s, uint64_t id, struct tw_err *err)
{
    return remove_row(s, ST_ALERT_NOTICE_REMOVE, id, err);
}

enum tw_rc store_each_alert_notice(struct store *s,
                                   enum tw_rc (*fn)(void *ctx, const struct store_alert_notice *n), void *ctx,
                                   struct tw_err *err)
{
    struct sq_cur c;
    struct store_alert_notice n;
    enum tw_rc rc = start(s, ST_ALERT_NOTICE_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        n.id = (uint64_t)sq_take_i64(&c);
        n.made_ns = sq_take_i64(&c);
        n.receiver = sq_take_text(&c);
        n.key = sq_take_text(&c);
        n.body = sq_take_text(&c);
        if ((rc = fn(ctx, &n)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc store_last_alert_notice(struct store *s, uint64_t *ret, struct tw_err *err)
{
    return last(s, ST_ALERT_NOTICE_LAST, ret, err);
}

enum tw_rc store_retain_alerts(struct store *s, int64_t before_ns, struct tw_err *err)
{
    static const enum store_stmt all[] = { ST_RETAIN_ALERT, ST_RETAIN_ALERT_SILENCE,
                                           ST_RETAIN_ALERT_DOCUMENT };
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < TW_NELEM(all) && !rc; i++) {
        struct sq_cur c;

        rc = start(s, all[i], &c, err);
        if (rc)
            return rc;
        sq_put_i64(&c, before_ns);
        rc = sq_run(&c, err);
    }
    return rc;
}
