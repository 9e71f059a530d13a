/* Tokens: read, made, revoked, and when they were last used. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "controller/decide.h"
#include "controller/gate_priv.h"
#include "controller/writer.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-"

/* ---- Reading ---- */

bool gate_token_of_row(const struct store_access_token *row, struct access_token *ret)
{
    struct access_token t = { .role = (enum access_role)row->role,
                              .created_ns = row->created_ns,
                              .expires_ns = row->expires_ns,
                              .revoked_ns = row->revoked_ns,
                              .used_ns = row->used_ns };

    if (!access_id_ok(row->id) || row->role <= ACCESS_NOBODY || row->role >= ACCESS_ROLES) {
        log_warn("an access token in the database is none: it is left out", LOG_S("id", row->id),
                 LOG_U("role", row->role));
        return false;
    }
    snprintf(t.id, sizeof t.id, "%s", row->id);
    snprintf(t.name, sizeof t.name, "%s", row->name);
    snprintf(t.author, sizeof t.author, "%s", row->author);
    memcpy(t.digest, row->digest, sizeof t.digest);
    *ret = t;
    return true;
}

static enum tw_rc load_one(void *ctx, const struct store_access_token *row)
{
    struct gate *g = ctx;
    struct access_token t;

    return gate_token_of_row(row, &t) ? access_put(g->tokens, &t) : TW_OK;
}

enum tw_rc gate_load(struct gate *g, struct tw_err *err)
{
    enum tw_rc rc = store_each_access_token(g->c->store, load_one, g, err);

    return rc == TW_ENOMEM || rc == TW_ENOSPC
               ? tw_err_set(err, rc, "no room for the access tokens in the database")
               : rc;
}

/* ---- What others did ---- */

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct access_token *)a)->id, ((const struct access_token *)b)->id);
}

/* One whose revocation is on its way to the disk works no more already. */
static enum tw_rc follow_one(struct gate *g, const struct access_token *row)
{
    const struct access_token *known = access_get(g->tokens, row->id);
    struct access_token t = *row;

    if (known && known->revoked_ns && !t.revoked_ns)
        t.revoked_ns = known->revoked_ns;
    if (known && known->used_ns > t.used_ns)
        t.used_ns = known->used_ns;
    return access_put(g->tokens, &t);
}

enum tw_rc gate_follow(struct gate *g, struct access_token *v, size_t n)
{
    enum tw_rc rc = TW_OK;

    if (n)
        qsort(v, n, sizeof *v, by_id);
    for (size_t i = access_count(g->tokens); i-- > 0;) {
        struct access_token t = *access_at(g->tokens, i);

        if (!n || !bsearch(&t, v, n, sizeof *v, by_id))
            access_remove(g->tokens, t.id);
    }
    for (size_t i = 0; i < n; i++) {
        enum tw_rc one = follow_one(g, &v[i]);

        rc = rc == TW_OK ? one : rc;
    }
    gate_sweep(g);
    return rc;
}

/* ---- Writing ---- */

struct save {
    struct writer_job job; /* first */
    struct gate *g;
    struct access_token t;
    char forget[ACCESS_ID_TEXT]; /* makes room; "": nobody */
    char text[ACCESS_TOKEN_TEXT];
    bool is_new;
    bool is_use;              /* only when it was used last */
    struct save *prev, *next; /* of those that are new */
    void (*done)(void *ctx, const struct access_token *t, const char *text, const struct tw_err *err);
    void *ctx;
};

static enum tw_rc run_save(struct writer_job *j, struct store *s, struct tw_err *err)
{
    const struct save *v = (struct save *)j;
    struct store_access_token row = { v->t.id,         { 0 },           v->t.role,
                                      v->t.name,       v->t.author,     v->t.created_ns,
                                      v->t.expires_ns, v->t.revoked_ns, v->t.used_ns };
    enum tw_rc rc = *v->forget ? store_remove_access_token(s, v->forget, err) : TW_OK;

    if (v->is_use)
        return store_use_access_token(s, v->t.id, v->t.used_ns, err);
    memcpy(row.digest, v->t.digest, sizeof row.digest);
    return rc == TW_OK ? store_put_access_token(s, &row, err) : rc;
}

static void save_free(struct save *v)
{
    OPENSSL_cleanse(v->text, sizeof v->text);
    free(v);
}

static void save_done(struct writer_job *j)
{
    struct save *v = (struct save *)j;
    enum tw_rc rc = j->rc;

    if (v->is_new)
        DL_DELETE(v->g->making, v);
    if (rc == TW_OK && v->is_new) {
        if (*v->forget)
            access_remove(v->g->tokens, v->forget);
        rc = access_put(v->g->tokens, &v->t);
        if (rc != TW_OK)
            tw_err_set(&j->err, rc,
                       "no memory for the access token: it works after a restart of the controller");
    }
    if (v->done) {
        v->done(v->ctx, rc == TW_OK ? &v->t : NULL, v->is_new ? v->text : "", &j->err);
        gate_sweep(v->g); /* after the answer, which may go to who loses the connection now */
    }
    save_free(v);
}

static enum tw_rc submit(struct save *v, struct tw_err *err)
{
    enum tw_rc rc;

    v->job.run = run_save;
    v->job.done = save_done;
    v->job.urgent = v->done != NULL;
    v->job.decided =
        v->is_new ? decide_memory(v->g->c) : 0; /* the name is free; the rest is true in any case */
    rc = writer_submit(v->g->c->writer, &v->job);
    if (rc == TW_OK) {
        if (v->is_new)
            DL_APPEND(v->g->making, v);
        return rc;
    }
    save_free(v);
    return tw_err_set(err, rc, "the database takes no more at the moment: try again");
}

/* ---- Making ---- */

const char *gate_token_state(const struct access_token *t, struct tw_wall now)
{
    if (t->revoked_ns)
        return "revoked";
    return t->expires_ns && now.ns >= t->expires_ns ? "expired" : "active";
}

static bool name_taken(const struct gate *g, const char *name, struct tw_wall now)
{
    for (size_t i = 0; i < access_count(g->tokens); i++) {
        const struct access_token *t = access_at(g->tokens, i);

        if (!strcmp(t->name, name) && !strcmp(gate_token_state(t, now), "active"))
            return true;
    }
    for (const struct save *v = g->making; v; v = v->next)
        if (!strcmp(v->t.name, name))
            return true;
    return false;
}

/* The oldest that works no longer makes room for a new one. False: all of them work. */
static bool make_room(const struct gate *g, struct tw_wall now, char forget[ACCESS_ID_TEXT])
{
    const struct access_token *oldest = NULL;

    forget[0] = '\0';
    if (access_count(g->tokens) < GATE_TOKENS_MAX)
        return true;
    for (size_t i = 0; i < access_count(g->tokens); i++) {
        const struct access_token *t = access_at(g->tokens, i);

        if (strcmp(gate_token_state(t, now), "active") != 0 &&
            (!oldest || t->created_ns < oldest->created_ns))
            oldest = t;
    }
    if (oldest)
        snprintf(forget, ACCESS_ID_TEXT, "%s", oldest->id);
    return oldest;
}

static enum tw_rc check(const struct gate *g, const char *name, struct tw_wall now, int64_t duration_ns,
                        struct tw_err *err)
{
    size_t len = strlen(name);

    if (len == 0 || len >= ACCESS_NAME_MAX || strspn(name, NAME_CHARS) != len)
        return tw_err_set(err, TW_EINVAL,
                          "\"%.70s\" is no name for a token: expected 1 to 63 letters, digits and . _ @ -",
                          name);
    if (duration_ns < 0 || duration_ns > INT64_MAX - now.ns)
        return tw_err_set(err, TW_EINVAL,
                          "a token lives for a time above 0, or, with 0, until it is revoked");
    if (name_taken(g, name, now))
        return tw_err_set(err, TW_EEXIST,
                          "there is a token \"%.63s\" that works: revoke it first, or choose another name",
                          name);
    return TW_OK;
}

static enum tw_rc make_token(struct save *v, struct tw_err *err)
{
    uint8_t random[ACCESS_RANDOM_OCTETS];
    enum tw_rc rc = identity_random(random, sizeof random);

    if (rc != TW_OK)
        return tw_err_set(err, rc, "the kernel gives no random octets: %s", tw_rc_name(rc));
    access_make(random, &v->t, v->text);
    OPENSSL_cleanse(random, sizeof random);
    return TW_OK;
}

static enum tw_rc take_certificate(const struct gate *g, const uint8_t *sha256, struct save *v,
                                   struct tw_err *err)
{
    access_certificate(sha256, &v->t);
    if (access_get(g->tokens, v->t.id))
        return tw_err_set(err, TW_EEXIST, "this certificate is known already, as %s", v->t.id);
    return TW_OK;
}

enum tw_rc gate_create(struct gate *g, const struct gate_new *n,
                       void (*done)(void *ctx, const struct access_token *t, const char *text,
                                    const struct tw_err *err),
                       void *ctx, struct tw_err *err)
{
    struct tw_wall now = loop_now(g->c->loop).wall;
    enum tw_rc rc = check(g, n->name, now, n->duration_ns, err);
    struct save *v = rc == TW_OK ? calloc(1, sizeof *v) : NULL;

    if (!v)
        return rc == TW_OK ? tw_err_set(err, TW_ENOMEM, "out of memory") : rc;
    if (!make_room(g, now, v->forget))
        rc = tw_err_set(err, TW_ENOSPC, "there are %d access tokens, all of them working: revoke some first",
                        GATE_TOKENS_MAX);
    else
        rc = n->certificate ? take_certificate(g, n->certificate, v, err) : make_token(v, err);
    if (rc != TW_OK) {
        free(v);
        return rc;
    }
    v->t.role = n->role;
    v->t.created_ns = now.ns;
    v->t.expires_ns = n->duration_ns ? now.ns + n->duration_ns : 0;
    snprintf(v->t.name, sizeof v->t.name, "%s", n->name);
    snprintf(v->t.author, sizeof v->t.author, "%s", n->author);
    v->g = g;
    v->is_new = true;
    v->done = done;
    v->ctx = ctx;
    return submit(v, err);
}

enum tw_rc gate_revoke(struct gate *g, const char *id,
                       void (*done)(void *ctx, const struct access_token *t, const char *text,
                                    const struct tw_err *err),
                       void *ctx, struct tw_err *err)
{
    const struct access_token *t = access_get(g->tokens, id);
    struct save *v;

    if (!t)
        return tw_err_set(err, TW_ENOENT,
                          "there is no access token %.32s: twampctl access token list shows them", id);
    if (t->revoked_ns)
        return tw_err_set(err, TW_EEXIST, "access token %s is revoked already", t->id);
    v = calloc(1, sizeof *v);
    if (!v)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    v->g = g;
    v->t = *t;
    v->t.revoked_ns = loop_now(g->c->loop).wall.ns;
    v->done = done;
    v->ctx = ctx;
    access_put(g->tokens, &v->t); /* in its own place; whatever the disk does, it works no more */
    return submit(v, err);
}

/* ---- Uses ---- */

void gate_flush_uses(struct gate *g)
{
    for (size_t i = 0; i < access_count(g->tokens); i++) {
        const struct access_token *t = access_at(g->tokens, i);
        struct save *v;

        if (t->used_ns <= g->used_flushed_ns || !(v = calloc(1, sizeof *v)))
            continue;
        v->g = g;
        v->t = *t;
        v->is_use = true;
        submit(v, NULL); /* for people: if it does not work this time, the next use is noted */
    }
    g->used_flushed_ns = loop_now(g->c->loop).wall.ns;
}
