/* Operators' tokens, and what was done. */
#include "db/store_access.h"
#include <string.h>
#include "db/store_priv.h"

/* ---- Tokens ---- */

enum tw_rc store_put_access_token(struct store *s, const struct store_access_token *t, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_ACCESS_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, t->id);
    sq_put_blob(&c, t->digest, sizeof t->digest);
    sq_put_i64(&c, t->role);
    sq_put_text(&c, t->name);
    sq_put_text(&c, t->author);
    sq_put_i64(&c, t->created_ns);
    sq_put_i64(&c, t->expires_ns);
    sq_put_i64(&c, t->revoked_ns);
    sq_put_i64(&c, t->used_ns);
    return sq_run(&c, err);
}

enum tw_rc store_use_access_token(struct store *s, const char *id, int64_t used_ns, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_ACCESS_USED, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, id);
    sq_put_i64(&c, used_ns);
    return sq_run(&c, err);
}

enum tw_rc store_remove_access_token(struct store *s, const char *id, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_ACCESS_REMOVE, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, id);
    return sq_run(&c, err);
}

static enum tw_rc take_token(struct sq_cur *c, struct store_access_token *t, struct tw_err *err)
{
    const uint8_t *digest;
    size_t len;

    t->id = sq_take_text(c);
    digest = sq_take_blob(c, &len);
    if (len != sizeof t->digest)
        return tw_err_set(err, TW_ECORRUPT, "the digest of access token %.32s has %zu octets, not %zu", t->id,
                          len, sizeof t->digest);
    memcpy(t->digest, digest, sizeof t->digest);
    t->role = (uint32_t)sq_take_i64(c);
    t->name = sq_take_text(c);
    t->author = sq_take_text(c);
    t->created_ns = sq_take_i64(c);
    t->expires_ns = sq_take_i64(c);
    t->revoked_ns = sq_take_i64(c);
    t->used_ns = sq_take_i64(c);
    return TW_OK;
}

enum tw_rc store_each_access_token(struct store *s,
                                   enum tw_rc (*fn)(void *ctx, const struct store_access_token *t), void *ctx,
                                   struct tw_err *err)
{
    struct store_access_token t;
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_ACCESS_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        rc = take_token(&c, &t, err);
        if (rc == TW_OK)
            rc = fn(ctx, &t);
        if (rc != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* ---- The audit log ---- */

enum tw_rc store_put_audit(struct store *s, const struct store_audit *a, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_AUDIT_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)a->id);
    sq_put_i64(&c, a->time_ns);
    sq_put_text(&c, a->who);
    sq_put_text(&c, a->role);
    sq_put_text(&c, a->token_id);
    sq_put_text(&c, a->way);
    sq_put_text(&c, a->origin);
    sq_put_text(&c, a->method);
    sq_put_text(&c, a->subject);
    sq_put_i64(&c, a->status);
    sq_put_text(&c, a->detail);
    sq_put_text(&c, a->request);
    sq_put_text(&c, a->before);
    sq_put_text(&c, a->after);
    return sq_run(&c, err);
}

enum tw_rc store_last_audit(struct store *s, uint64_t *ret, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_AUDIT_LAST, &c, err);

    if (!rc)
        rc = sq_next(&c, err);
    if (rc)
        return rc;
    *ret = (uint64_t)sq_take_i64(&c);
    return sq_run(&c, err);
}

enum tw_rc store_retain_audit(struct store *s, int64_t before_ns, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_RETAIN_AUDIT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, before_ns);
    return sq_run(&c, err);
}

static void take_audit(struct sq_cur *c, struct store_audit *a)
{
    a->id = (uint64_t)sq_take_i64(c);
    a->time_ns = sq_take_i64(c);
    a->who = sq_take_text(c);
    a->role = sq_take_text(c);
    a->token_id = sq_take_text(c);
    a->way = sq_take_text(c);
    a->origin = sq_take_text(c);
    a->method = sq_take_text(c);
    a->subject = sq_take_text(c);
    a->status = (int32_t)sq_take_i64(c);
    a->detail = sq_take_text(c);
    a->request = sq_take_text(c);
    a->before = sq_take_text(c);
    a->after = sq_take_text(c);
}

enum tw_rc store_read_audit(struct store_reader *r, const struct store_audit_query *q,
                            enum tw_rc (*fn)(void *ctx, const struct store_audit *a), void *ctx,
                            struct tw_err *err)
{
    struct store_audit a;
    struct sq_cur c;
    enum tw_rc rc = sq_start(r->q, ST_READ_AUDIT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, q->from_ns);
    sq_put_i64(&c, q->to_ns ? q->to_ns : INT64_MAX);
    sq_put_text(&c, q->who);
    sq_put_text(&c, q->what);
    sq_put_i64(&c, q->refused);
    sq_put_i64(&c, q->before ? (int64_t)q->before : INT64_MAX);
    sq_put_i64(&c, (int64_t)q->limit);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        take_audit(&c, &a);
        if ((rc = fn(ctx, &a)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}
