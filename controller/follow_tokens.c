/* Tokens: those by which agents join, and those of operators. There are few, so all are read. */
#include <stdlib.h>
#include <string.h>
#include "controller/follow_priv.h"
#include "controller/gate_priv.h"
#include "controller/joining_priv.h"

/* ---- Join tokens ---- */

struct join_rows {
    struct join_token *v;
    size_t n;
};

static void free_join_rows(void *data)
{
    struct join_rows *r = data;

    free(r->v);
    free(r);
}

static enum tw_rc add_join_row(void *ctx, const struct store_join_token *row)
{
    struct join_rows *r = ctx;
    struct join_token *v = reallocarray(r->v, r->n + 1, sizeof *v);

    if (!v)
        return TW_ENOMEM;
    r->v = v;
    joining_token_of_row(row, &v[r->n++]);
    return TW_OK;
}

static enum tw_rc read_join_tokens(const struct follow_keys *keys, struct store *s, void **ret,
                                   struct tw_err *err)
{
    struct join_rows *r = *ret = calloc(1, sizeof *r);

    (void)keys;
    return r ? store_each_join_token(s, add_join_row, r, err) : TW_ENOMEM;
}

static enum tw_rc take_join_tokens(struct controller *c, struct follow_keys *keys, void *data)
{
    struct join_rows *r = data;

    (void)keys;
    joining_follow_tokens(c->joining, r->v, r->n);
    r->v = NULL;
    return TW_OK;
}

const struct follow_part follow_join_tokens = { "join tokens", false, read_join_tokens, take_join_tokens,
                                                free_join_rows };

/* ---- Operators' ---- */

struct access_rows {
    struct access_token *v;
    size_t n;
};

static void free_access_rows(void *data)
{
    struct access_rows *r = data;

    free(r->v);
    free(r);
}

static enum tw_rc add_access_row(void *ctx, const struct store_access_token *row)
{
    struct access_rows *r = ctx;
    struct access_token *v = reallocarray(r->v, r->n + 1, sizeof *v);

    if (!v)
        return TW_ENOMEM;
    r->v = v;
    r->n += gate_token_of_row(row, &v[r->n]);
    return TW_OK;
}

static enum tw_rc read_access_tokens(const struct follow_keys *keys, struct store *s, void **ret,
                                     struct tw_err *err)
{
    struct access_rows *r = *ret = calloc(1, sizeof *r);

    (void)keys;
    return r ? store_each_access_token(s, add_access_row, r, err) : TW_ENOMEM;
}

static enum tw_rc take_access_tokens(struct controller *c, struct follow_keys *keys, void *data)
{
    struct access_rows *r = data;

    (void)keys;
    return gate_follow(c->gate, r->v, r->n);
}

const struct follow_part follow_access_tokens = { "access tokens", false, read_access_tokens,
                                                  take_access_tokens, free_access_rows };
