#include "db/etcd/etcd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (64 << 20)
#define PASSWORD_MAX 256

const struct http_location_form etcd_location = { .port = "2379", .tls_port = "2379", .name = "CLUSTER" };

struct etcd {
    struct http_client *http;
    char *user, password[PASSWORD_MAX];
    bool has_token;
    struct etcd_text ask, got;
    struct etcd_refusal no; /* the last one */
};

/* ---- Making ---- */

static enum tw_rc no_memory(struct tw_err *err)
{
    return tw_err_set(err, TW_ENOMEM, "etcd: out of memory");
}

static enum tw_rc take_user(struct etcd *e, const struct http_location *l, struct tw_err *err)
{
    if (!l->user != !l->password_file)
        return tw_err_set(err, TW_EINVAL, "etcd: expected user= and password-file=, or neither");
    if (!l->user)
        return TW_OK;
    e->user = strdup(l->user);
    return e->user ? http_password_take(l->password_file, e->password, sizeof e->password, err)
                   : no_memory(err);
}

enum tw_rc etcd_new(const struct http_location *l, int64_t stall_ns, struct etcd **ret, struct tw_err *err)
{
    struct http_client_cfg cfg = { .what = "etcd",
                                   .n_endpoints = l->n_endpoints,
                                   .ca_file = l->ca_file,
                                   .cert_file = l->cert_file,
                                   .key_file = l->key_file,
                                   .stall_ns = stall_ns };
    struct etcd *e = calloc(1, sizeof *e);
    enum tw_rc rc;

    if (!e)
        return no_memory(err);
    memcpy(cfg.endpoints, l->endpoints, sizeof cfg.endpoints);
    rc = http_client_new(&cfg, &e->http, err);
    if (!rc)
        rc = http_client_header(e->http, "Content-Type", "application/json", err);
    /* A member that lost the others ends a watch instead of staying silent. */
    if (!rc)
        rc = http_client_header(e->http, "Grpc-Metadata-hasleader", "true", err);
    if (!rc)
        rc = take_user(e, l, err);
    if (rc) {
        etcd_free(e);
        return rc;
    }
    *ret = e;
    return TW_OK;
}

void etcd_free(struct etcd *e)
{
    if (!e)
        return;
    http_client_free(e->http);
    etcd_text_free(&e->ask);
    etcd_text_free(&e->got);
    explicit_bzero(e->password, sizeof e->password);
    free(e->user);
    free(e);
}

void etcd_interrupt(struct etcd *e)
{
    http_client_interrupt(e->http);
}

void etcd_hurry(struct etcd *e, int64_t by_mono_ns)
{
    http_client_hurry(e->http, by_mono_ns);
}

struct http_client_stats etcd_stats(const struct etcd *e)
{
    return http_client_stats(e->http);
}

/* ---- A request and its answer ---- */

struct asking {
    struct etcd *e;
    struct tw_err *err;
    enum tw_rc (*line)(void *ctx,
                       const struct etcd_answer *a); /* of a stream; NULL: the answer is gathered */
    void *ctx;
};

static enum tw_rc gather(void *ctx, const uint8_t *data, size_t len)
{
    struct asking *a = ctx;

    if (a->e->got.len + len > ANSWER_MAX)
        return tw_err_set(a->err, TW_ENOMEM, "etcd: an answer of more than %d MiB", ANSWER_MAX >> 20);
    etcd_text_add(&a->e->got, (const char *)data, len);
    return a->e->got.bad ? no_memory(a->err) : TW_OK;
}

static void forget(void *ctx)
{
    struct asking *a = ctx;

    a->e->got.len = 0;
}

static enum tw_rc judge(void *ctx, const struct http_client_refusal *r, bool *ret_elsewhere,
                        struct tw_err *err)
{
    struct etcd_refusal *no = &((struct asking *)ctx)->e->no;

    etcd_refusal_parse(r->text, r->len, r->status, no);
    *ret_elsewhere = no->elsewhere;
    return tw_err_set(err, no->rc, "etcd %.60s: %s", r->server,
                      no->why[0] ? no->why : "refused without a reason");
}

static enum tw_rc post(struct asking *a, const char *path, http_client_data_fn fn)
{
    struct http_client_request r = { .path = path,
                                     .body = a->e->ask.p,
                                     .body_len = a->e->ask.len,
                                     .fn = fn,
                                     .again = forget,
                                     .ctx = a,
                                     .judge = judge };

    if (a->e->ask.bad || a->e->got.bad) {
        etcd_text_free(&a->e->ask);
        etcd_text_free(&a->e->got);
        return no_memory(a->err);
    }
    a->e->no = (struct etcd_refusal){ .rc = TW_OK };
    return http_client_run(a->e->http, &r, a->err);
}

/* A token that is no more valid is a reason for etcd to refuse that, too: so it goes without one. */
static enum tw_rc log_in(struct etcd *e, struct tw_err *err)
{
    struct asking a = { .e = e, .err = err };
    struct etcd_text kept = e->ask; /* the request that waits for it */
    struct etcd_answer got;
    enum tw_rc rc = http_client_header(e->http, "Authorization", NULL, err);

    e->has_token = false;
    if (rc)
        return rc;
    e->ask = (struct etcd_text){ .p = NULL };
    etcd_ask_token(&e->ask, e->user, e->password);
    rc = post(&a, "/v3/auth/authenticate", gather);
    etcd_text_free(&e->ask);
    e->ask = kept;
    if (!rc)
        rc = etcd_answer_parse(e->got.p ? e->got.p : "", e->got.len, &got, err);
    if (rc)
        return rc;
    rc = *got.token ? http_client_header(e->http, "Authorization", got.token, err)
                    : tw_err_set(err, TW_ECORRUPT, "etcd: its answer has no token");
    e->has_token = rc == TW_OK;
    explicit_bzero(e->got.p, e->got.len);
    etcd_answer_free(&got);
    return rc;
}

/* A token lasts as long as etcd wants, until a member is started again, or until users are changed: one that
 * is refused is got anew, once. */
static enum tw_rc ask(struct asking *a, const char *path, http_client_data_fn fn)
{
    struct etcd *e = a->e;
    bool fresh = e->user && !e->has_token;
    enum tw_rc rc = fresh ? log_in(e, a->err) : TW_OK;

    if (!rc)
        rc = post(a, path, fn);
    if (rc != TW_EPERM || fresh || !e->user || !e->no.token)
        return rc;
    rc = log_in(e, a->err);
    return rc ? rc : post(a, path, fn);
}

/* What e->ask holds. */
static enum tw_rc call(struct etcd *e, const char *path, struct etcd_answer *ret, struct tw_err *err)
{
    struct asking a = { .e = e, .err = err };
    enum tw_rc rc = ask(&a, path, gather);

    return rc ? rc : etcd_answer_parse(e->got.p ? e->got.p : "", e->got.len, ret, err);
}

/* ---- Keys ---- */

enum tw_rc etcd_txn(struct etcd *e, const struct etcd_txn *t, struct etcd_answer *ret, struct tw_err *err)
{
    etcd_ask_txn(&e->ask, t);
    return call(e, "/v3/kv/txn", ret, err);
}

enum tw_rc etcd_get(struct etcd *e, const char *key, struct etcd_answer *ret, struct tw_err *err)
{
    enum tw_rc rc;

    etcd_ask_get(&e->ask, key);
    rc = call(e, "/v3/kv/range", ret, err);
    if (!rc && (ret->n > 1 || (ret->n && strcmp(ret->kv[0].key, key) != 0))) {
        etcd_answer_free(ret);
        return tw_err_set(err, TW_ECORRUPT, "etcd: its answer has another key than %.100s", key);
    }
    return rc;
}

/* Where the next page begins. */
static enum tw_rc give_page(const struct etcd_answer *page, const char *prefix, char from[ETCD_KEY_MAX + 1],
                            enum tw_rc (*fn)(void *ctx, const struct etcd_kv *kv), void *ctx,
                            struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < page->n && !rc; i++) {
        const char *key = page->kv[i].key;
        if (strlen(key) >= ETCD_KEY_MAX || strncmp(key, prefix, strlen(prefix)) != 0 || strcmp(key, from) < 0)
            return tw_err_set(err, TW_ECORRUPT, "etcd: its answer has key %.100s, which was not asked for",
                              key);
        snprintf(from, ETCD_KEY_MAX + 1, "%s%c", key, 1); /* no key of ours has an octet below ' ' */
        rc = fn(ctx, &page->kv[i]);
    }
    if (!rc && page->more && !page->n)
        return tw_err_set(err, TW_ECORRUPT, "etcd: its answer is empty and says that there is more");
    return rc;
}

enum tw_rc etcd_each(struct etcd *e, const char *prefix, int64_t page,
                     enum tw_rc (*fn)(void *ctx, const struct etcd_kv *kv), void *ctx, int64_t *ret_revision,
                     struct tw_err *err)
{
    char from[ETCD_KEY_MAX + 1];
    int64_t revision = 0;
    bool more = true;
    enum tw_rc rc = TW_OK;

    snprintf(from, sizeof from, "%s", prefix);
    while (!rc && more) {
        struct etcd_answer got;
        etcd_ask_range(&e->ask, from, prefix, page, revision);
        rc = call(e, "/v3/kv/range", &got, err);
        if (rc && e->no.too_large && page > 1) {
            page /= 2;
            rc = TW_OK;
            continue;
        }
        if (rc)
            return rc;
        revision = revision ? revision : got.revision;
        more = got.more;
        rc = give_page(&got, prefix, from, fn, ctx, err);
        etcd_answer_free(&got);
    }
    if (!rc)
        *ret_revision = revision;
    return rc;
}

/* ---- Leases ---- */

enum tw_rc etcd_grant(struct etcd *e, int64_t ttl_s, int64_t *ret_id, int64_t *ret_ttl_s, struct tw_err *err)
{
    struct etcd_answer got;
    enum tw_rc rc;

    etcd_ask_grant(&e->ask, ttl_s);
    rc = call(e, "/v3/lease/grant", &got, err);
    if (rc)
        return rc;
    *ret_id = got.lease;
    *ret_ttl_s = got.ttl_s;
    rc = got.lease && got.ttl_s > 0 ? TW_OK : tw_err_set(err, TW_ECORRUPT, "etcd: its answer has no lease");
    etcd_answer_free(&got);
    return rc;
}

enum tw_rc etcd_keep(struct etcd *e, int64_t id, int64_t *ret_ttl_s, struct tw_err *err)
{
    struct etcd_answer got;
    enum tw_rc rc;

    etcd_ask_lease(&e->ask, id);
    rc = call(e, "/v3/lease/keepalive", &got, err);
    if (rc)
        return rc;
    *ret_ttl_s = got.ttl_s;
    rc = got.ttl_s > 0 ? TW_OK : tw_err_set(err, TW_ENOENT, "etcd: the lease has ended");
    etcd_answer_free(&got);
    return rc;
}

enum tw_rc etcd_revoke(struct etcd *e, int64_t id, struct tw_err *err)
{
    struct etcd_answer got;
    enum tw_rc rc;

    etcd_ask_lease(&e->ask, id);
    rc = call(e, "/v3/lease/revoke", &got, err);
    if (!rc)
        etcd_answer_free(&got);
    return rc;
}

/* ---- Watching ---- */

/* A token that is no more valid is told that way, too, by an answer of status 200. */
static enum tw_rc ended(struct asking *a, const char *reason)
{
    etcd_refusal_parse(reason, strlen(reason), 500, &a->e->no);
    return tw_err_set(a->err, a->e->no.token ? TW_EPERM : TW_EIO, "etcd: the watch was ended: %.160s",
                      reason);
}

static enum tw_rc take_line(struct asking *a, const char *text, size_t len)
{
    struct etcd_answer got;
    enum tw_rc rc = etcd_answer_parse(text, len, &got, a->err);

    if (rc)
        return rc;
    if (got.compacted)
        rc = tw_err_set(a->err, TW_ERANGE, "etcd: changes before revision %lld are not known any more",
                        (long long)got.compacted);
    else if (got.canceled)
        rc = ended(a, got.reason);
    else
        rc = a->line(a->ctx, &got);
    etcd_answer_free(&got);
    return rc;
}

/* Messages of a stream end with a newline. */
static enum tw_rc take_lines(void *ctx, const uint8_t *data, size_t len)
{
    struct asking *a = ctx;
    struct etcd_text *got = &a->e->got;
    size_t from = got->len;
    enum tw_rc rc = gather(ctx, data, len);
    char *end;

    while (!rc && (end = memchr(got->p + from, '\n', got->len - from))) {
        size_t line = (size_t)(end - got->p);
        rc = line ? take_line(a, got->p, line) : TW_OK;
        got->len -= line + 1;
        memmove(got->p, end + 1, got->len);
        from = 0;
    }
    return rc;
}

enum tw_rc etcd_watch(struct etcd *e, const char *prefix, int64_t revision,
                      enum tw_rc (*fn)(void *ctx, const struct etcd_answer *a), void *ctx, struct tw_err *err)
{
    struct asking a = { .e = e, .err = err, .line = fn, .ctx = ctx };
    enum tw_rc rc;

    etcd_ask_watch(&e->ask, prefix, revision);
    rc = ask(&a, "/v3/watch", take_lines);
    if (!rc) /* it should never end by itself */
        rc = tw_err_set(err, TW_EIO, "etcd: the watch has ended");
    if (rc != TW_ECLOSED && rc != TW_ERANGE)
        http_client_move(e->http);
    return rc;
}
