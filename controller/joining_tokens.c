/* Join tokens: made, revoked, kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/grow.h"
#include "common/net/now.h"
#include "controller/joining_priv.h"
#include "controller/decide.h"

#define KEPT_NS (INT64_C(30) * 86400 * TW_NS_PER_S) /* after its end, for those who look */

/* ---- Rows ---- */

void joining_token_row(const struct join_token *t, char labels[JOIN_LABELS_TEXT],
                       struct store_join_token *ret)
{
    *ret = (struct store_join_token){ .id = t->id,
                                      .created_ns = t->created_ns,
                                      .expires_ns = t->expires_ns,
                                      .revoked_ns = t->revoked_ns,
                                      .uses = t->uses,
                                      .used = t->used,
                                      .approve = t->approve,
                                      .name_glob = t->name_glob,
                                      .labels = join_labels_format(t, labels),
                                      .author = t->author };
    memcpy(ret->digest, t->digest, sizeof ret->digest);
}

static enum tw_rc append(struct joining *j, const struct join_token *t)
{
    if (!TW_GROW(&j->tokens, j->n_tokens, &j->cap_tokens, 16))
        return TW_ENOMEM;
    j->tokens[j->n_tokens++] = *t;
    return TW_OK;
}

void joining_token_of_row(const struct store_join_token *row, struct join_token *ret)
{
    struct join_token t = { .created_ns = row->created_ns,
                            .expires_ns = row->expires_ns,
                            .revoked_ns = row->revoked_ns,
                            .uses = row->uses,
                            .used = row->used,
                            .approve = row->approve };

    snprintf(t.id, sizeof t.id, "%s", row->id);
    snprintf(t.name_glob, sizeof t.name_glob, "%s", row->name_glob);
    snprintf(t.author, sizeof t.author, "%s", row->author);
    memcpy(t.digest, row->digest, sizeof t.digest);
    if (join_labels_parse(&t, row->labels)) {
        log_error("the labels of a join token cannot be read: it lets nobody in", LOG_S("id", t.id));
        t.uses = 0;
    }
    *ret = t;
}

static enum tw_rc load_token(void *ctx, const struct store_join_token *row)
{
    struct join_token t;

    joining_token_of_row(row, &t);
    return append(ctx, &t);
}

enum tw_rc joining_load_tokens(struct joining *j, struct tw_err *err)
{
    enum tw_rc rc = store_each_join_token(j->c->store, load_token, j, err);

    return rc == TW_ENOMEM ? tw_err_set(err, rc, "out of memory") : rc;
}

struct join_token *joining_token(struct joining *j, const char *id)
{
    for (size_t i = 0; i < j->n_tokens; i++)
        if (!strcmp(j->tokens[i].id, id))
            return &j->tokens[i];
    return NULL;
}

size_t joining_tokens(const struct joining *j, const struct join_token **ret)
{
    *ret = j->tokens;
    return j->n_tokens;
}

/* What is on its way to the disk counts already: that one is revoked. */
void joining_follow_tokens(struct joining *j, struct join_token *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct join_token *known = joining_token(j, v[i].id);

        if (known && known->revoked_ns && !v[i].revoked_ns)
            v[i].revoked_ns = known->revoked_ns;
    }
    free(j->tokens);
    j->tokens = v;
    j->n_tokens = j->cap_tokens = n;
}

static void forget_old(struct joining *j, int64_t before_ns)
{
    size_t n = 0;

    for (size_t i = 0; i < j->n_tokens; i++) {
        const struct join_token *t = &j->tokens[i];

        if (t->expires_ns >= before_ns && (!t->revoked_ns || t->revoked_ns >= before_ns))
            j->tokens[n++] = *t;
    }
    j->n_tokens = n;
}

/* ---- Changes ---- */

struct token_job {
    struct writer_job job; /* first */
    struct joining *j;
    struct joining_token_result r;
    int64_t forget_before_ns;
    bool made;
    joining_token_done *done;
    void *ctx;
};

static enum tw_rc run_token(struct writer_job *job, struct store *s, struct tw_err *err)
{
    struct token_job *tj = (struct token_job *)job;
    char labels[JOIN_LABELS_TEXT];
    struct store_join_token row;
    enum tw_rc rc = store_retain_join_tokens(s, tj->forget_before_ns, err);

    joining_token_row(&tj->r.token, labels, &row);
    return rc ? rc : store_put_join_token(s, &row, err);
}

static void take_token(struct token_job *tj)
{
    struct join_token *t = joining_token(tj->j, tj->r.token.id);

    forget_old(tj->j, tj->forget_before_ns);
    if (tj->made && !t && append(tj->j, &tj->r.token) != TW_OK) {
        tj->r.rc = tw_err_set(&tj->r.err, TW_ENOMEM, "out of memory: the token works after a restart");
        return;
    }
    t = joining_token(tj->j, tj->r.token.id);
    if (!t)
        return;
    tj->r.token = *t;
    log_info(tj->made ? "join token made" : "join token revoked", LOG_S("id", t->id),
             LOG_S("author", t->author), LOG_U("uses", t->uses), LOG_S("names", t->name_glob),
             LOG_S("approve", t->approve ? "yes" : "no"));
}

static void not_stored(struct token_job *tj)
{
    struct join_token *t = joining_token(tj->j, tj->r.token.id);

    tj->r.err = tj->job.err;
    if (tj->job.rc == TW_EAGAIN && t && !tj->made) /* it is asked for again */
        t->revoked_ns = 0;
}

static void token_stored(struct writer_job *job)
{
    struct token_job *tj = (struct token_job *)job;

    tj->r.rc = job->rc;
    if (job->rc == TW_OK)
        take_token(tj);
    else
        not_stored(tj);
    tj->done(tj->ctx, &tj->r);
    free(tj);
}

static void submit(struct joining *j, const struct joining_token_result *r, bool made,
                   joining_token_done *done, void *ctx)
{
    struct token_job *tj = r->rc ? NULL : calloc(1, sizeof *tj);
    struct joining_token_result failed = *r;

    if (!failed.rc && !tj)
        failed.rc = tw_err_set(&failed.err, TW_ENOMEM, "out of memory");
    if (tj) {
        *tj = (struct token_job){
            .job = { .run = run_token, .done = token_stored, .urgent = true, .decided = decide_memory(j->c) },
            .j = j,
            .r = *r,
            .forget_before_ns = tw_wall_now().ns - KEPT_NS,
            .made = made,
            .done = done,
            .ctx = ctx
        };
        if (writer_submit(j->c->writer, &tj->job) == TW_OK)
            return;
        free(tj);
        failed.rc = tw_err_set(&failed.err, TW_ECLOSED, "the controller is stopping");
    }
    done(ctx, &failed);
}

void joining_token_make(struct joining *j, const struct join_token *t, joining_token_done *done, void *ctx)
{
    struct joining_token_result r = { .token = *t };
    uint8_t random[JOIN_RANDOM_OCTETS];
    struct pki_info info;

    if (!j->ca)
        r.rc = tw_err_set(&r.err, TW_ENOENT,
                          "this controller has no certificate authority: twampctl ca init makes it, then "
                          "restart the controller");
    else if (j->n_tokens >= JOINING_TOKENS_MAX)
        r.rc = tw_err_set(&r.err, TW_ENOSPC,
                          "there are %d tokens, which is the most: those that are over go after 30 days",
                          JOINING_TOKENS_MAX);
    else if (identity_random(random, sizeof random))
        r.rc = tw_err_set(&r.err, TW_EIO, "the operating system gives no random octets");
    if (!r.rc) {
        pki_cert_info(authority_ca(j->ca), &info);
        join_token_make(random, info.key_hash, &r.token, r.text);
    }
    submit(j, &r, true, done, ctx);
}

void joining_token_revoke(struct joining *j, const char *id, joining_token_done *done, void *ctx)
{
    struct join_token *t = joining_token(j, id);
    struct joining_token_result r = { 0 };

    if (!t) {
        r.rc = tw_err_set(&r.err, TW_ENOENT, "no join token \"%.32s\": twampctl token list shows them", id);
        done(ctx, &r);
        return;
    }
    if (t->revoked_ns) {
        r.token = *t;
        done(ctx, &r);
        return;
    }
    t->revoked_ns = tw_wall_now().ns; /* at once, whether it can be stored or not */
    r.token = *t;
    r.token.used = joining_uses(j, t);
    submit(j, &r, false, done, ctx);
}
