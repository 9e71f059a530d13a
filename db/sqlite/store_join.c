/* Tokens by which agents join, and their certificates. */
#include "db/store_join.h"
#include <string.h>
#include "db/store_priv.h"

static void take_octets(struct sq_cur *c, uint8_t *ret, size_t want)
{
    size_t len;
    const uint8_t *data = sq_take_blob(c, &len);

    memset(ret, 0, want);
    if (len == want)
        memcpy(ret, data, want);
}

/* ---- Tokens ---- */

enum tw_rc store_put_join_token(struct store *s, const struct store_join_token *t, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_JOIN_TOKEN_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, t->id);
    sq_put_blob(&c, t->digest, sizeof t->digest);
    sq_put_i64(&c, t->created_ns);
    sq_put_i64(&c, t->expires_ns);
    sq_put_i64(&c, t->revoked_ns);
    sq_put_i64(&c, t->uses);
    sq_put_i64(&c, t->used);
    sq_put_i64(&c, t->approve);
    sq_put_text(&c, t->name_glob);
    sq_put_text(&c, t->labels);
    sq_put_text(&c, t->author);
    return sq_run(&c, err);
}

enum tw_rc store_each_join_token(struct store *s,
                                 enum tw_rc (*fn)(void *ctx, const struct store_join_token *t), void *ctx,
                                 struct tw_err *err)
{
    struct sq_cur c;
    struct store_join_token t;
    enum tw_rc rc = sq_start(s->q, ST_JOIN_TOKEN_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        t.id = sq_take_text(&c);
        take_octets(&c, t.digest, sizeof t.digest);
        t.created_ns = sq_take_i64(&c);
        t.expires_ns = sq_take_i64(&c);
        t.revoked_ns = sq_take_i64(&c);
        t.uses = (uint32_t)sq_take_i64(&c);
        t.used = (uint32_t)sq_take_i64(&c);
        t.approve = sq_take_i64(&c) != 0;
        t.name_glob = sq_take_text(&c);
        t.labels = sq_take_text(&c);
        t.author = sq_take_text(&c);
        if ((rc = fn(ctx, &t)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc store_retain_join_tokens(struct store *s, int64_t before_ns, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_RETAIN_JOIN_TOKEN, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, before_ns);
    return sq_run(&c, err);
}

/* ---- Certificates ---- */

static enum tw_rc trim(struct store *s, const uint8_t *public_key, unsigned keep, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_CERTIFICATE_TRIM, &c, err);

    if (rc)
        return rc;
    sq_put_blob(&c, public_key, STORE_KEY_LEN);
    sq_put_i64(&c, keep);
    return sq_run(&c, err);
}

enum tw_rc store_put_certificate(struct store *s, const struct store_certificate *cert, unsigned keep,
                                 struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_CERTIFICATE_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, cert->serial);
    sq_put_blob(&c, cert->public_key, sizeof cert->public_key);
    sq_put_i64(&c, cert->issued_ns);
    sq_put_i64(&c, cert->not_after_ns);
    sq_put_blob(&c, cert->der, cert->der_len);
    rc = sq_run(&c, err);
    return rc ? rc : trim(s, cert->public_key, keep, err);
}

enum tw_rc store_each_certificate(struct store *s,
                                  enum tw_rc (*fn)(void *ctx, const struct store_certificate *c), void *ctx,
                                  struct tw_err *err)
{
    struct sq_cur c;
    struct store_certificate cert;
    enum tw_rc rc = sq_start(s->q, ST_CERTIFICATE_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        cert.serial = sq_take_text(&c);
        take_octets(&c, cert.public_key, sizeof cert.public_key);
        cert.issued_ns = sq_take_i64(&c);
        cert.not_after_ns = sq_take_i64(&c);
        cert.der = sq_take_blob(&c, &cert.der_len);
        if ((rc = fn(ctx, &cert)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc store_remove_certificates(struct store *s, const uint8_t public_key[STORE_KEY_LEN],
                                     struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_CERTIFICATE_REMOVE, &c, err);

    if (rc)
        return rc;
    sq_put_blob(&c, public_key, STORE_KEY_LEN);
    return sq_run(&c, err);
}
