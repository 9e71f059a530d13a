#include "db/etcd/etcd_ask.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The text ---- */

void etcd_text_free(struct etcd_text *t)
{
    if (t->p)
        explicit_bzero(t->p, t->cap); /* it may hold a password */
    free(t->p);
    *t = (struct etcd_text){ .p = NULL };
}

/* Room for so many more, and a NUL. */
static char *room(struct etcd_text *t, size_t more)
{
    size_t cap = t->cap;
    char *p;

    if (t->bad)
        return NULL;
    while (cap - t->len < more + 1)
        cap = cap ? 2 * cap : 512;
    if (cap > t->cap) {
        p = realloc(t->p, cap);
        if (!p) {
            t->bad = true;
            return NULL;
        }
        t->p = p;
        t->cap = cap;
    }
    return t->p + t->len;
}

void etcd_text_add(struct etcd_text *t, const char *p, size_t len)
{
    char *to = room(t, len);

    if (!to)
        return;
    memcpy(to, p, len);
    to[len] = '\0';
    t->len += len;
}

static void add(struct etcd_text *t, const char *text)
{
    etcd_text_add(t, text, strlen(text));
}

static void add_number(struct etcd_text *t, const char *name, int64_t v)
{
    char text[96];

    snprintf(text, sizeof text, "\"%s\":\"%" PRId64 "\"", name, v);
    add(t, text);
}

static void add_octets(struct etcd_text *t, const char *name, const char *p, size_t len)
{
    char *to;

    add(t, "\"");
    add(t, name);
    add(t, "\":\"");
    to = room(t, (len + 2) / 3 * 4);
    if (!to)
        return;
    t->len += (size_t)EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)p, (int)len);
    add(t, "\"");
}

static void add_key(struct etcd_text *t, const char *name, const char *key)
{
    add_octets(t, name, key, strlen(key));
}

/* The first key behind all that begin with `prefix`, of which no octet is 255. */
static void add_end(struct etcd_text *t, const char *prefix)
{
    char end[1024];
    size_t len = strnlen(prefix, sizeof end);

    memcpy(end, prefix, len);
    end[len - 1]++;
    add_octets(t, "range_end", end, len);
}

/* A password may hold anything printable. */
static void add_quoted(struct etcd_text *t, const char *name, const char *value)
{
    add(t, "\"");
    add(t, name);
    add(t, "\":\"");
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            add(t, "\\");
        etcd_text_add(t, value, 1);
    }
    add(t, "\"");
}

static void begin(struct etcd_text *t)
{
    t->len = 0;
    add(t, "{");
}

/* ---- Transactions ---- */

static void add_op(struct etcd_text *t, const struct etcd_op *op)
{
    static const char *const names[] = { [ETCD_PUT] = "{\"request_put\":{",
                                         [ETCD_DELETE] = "{\"request_delete_range\":{",
                                         [ETCD_GET] = "{\"request_range\":{" };

    add(t, names[op->kind]);
    add_key(t, "key", op->key);
    if (op->kind == ETCD_PUT) {
        add(t, ",");
        add_octets(t, "value", op->value, op->value_len);
        if (op->lease) {
            add(t, ",");
            add_number(t, "lease", op->lease);
        }
    }
    add(t, "}}");
}

static void add_ops(struct etcd_text *t, const char *name, const struct etcd_op *v, size_t n)
{
    add(t, name);
    for (size_t i = 0; i < n; i++) {
        add(t, i ? "," : "");
        add_op(t, &v[i]);
    }
    add(t, "]");
}

static void add_compare(struct etcd_text *t, const struct etcd_compare *c)
{
    add(t, c->created ? "{\"target\":\"CREATE\"," : "{\"target\":\"MOD\",");
    add_key(t, "key", c->key);
    add(t, ",");
    add_number(t, c->created ? "create_revision" : "mod_revision", c->revision);
    add(t, "}");
}

void etcd_ask_txn(struct etcd_text *t, const struct etcd_txn *txn)
{
    begin(t);
    add(t, "\"compare\":[");
    for (size_t i = 0; i < txn->n_compare; i++) {
        add(t, i ? "," : "");
        add_compare(t, &txn->compare[i]);
    }
    add_ops(t, "],\"success\":[", txn->then, txn->n_then);
    add_ops(t, ",\"failure\":[", txn->otherwise, txn->n_otherwise);
    add(t, "}");
}

/* ---- Reading ---- */

void etcd_ask_range(struct etcd_text *t, const char *from, const char *prefix, int64_t limit,
                    int64_t revision)
{
    begin(t);
    add_key(t, "key", from);
    add(t, ",");
    add_end(t, prefix);
    add(t, ",");
    add_number(t, "limit", limit);
    add(t, ",");
    add_number(t, "revision", revision);
    add(t, "}");
}

void etcd_ask_get(struct etcd_text *t, const char *key)
{
    begin(t);
    add_key(t, "key", key);
    add(t, "}");
}

void etcd_ask_watch(struct etcd_text *t, const char *prefix, int64_t revision)
{
    begin(t);
    add(t, "\"create_request\":{");
    add_key(t, "key", prefix);
    add(t, ",");
    add_end(t, prefix);
    add(t, ",");
    add_number(t, "start_revision", revision);
    add(t, ",\"progress_notify\":true}}");
}

/* ---- Leases and users ---- */

void etcd_ask_grant(struct etcd_text *t, int64_t ttl_s)
{
    begin(t);
    add_number(t, "TTL", ttl_s);
    add(t, "}");
}

void etcd_ask_lease(struct etcd_text *t, int64_t id)
{
    begin(t);
    add_number(t, "ID", id);
    add(t, "}");
}

void etcd_ask_token(struct etcd_text *t, const char *user, const char *password)
{
    begin(t);
    add_quoted(t, "name", user);
    add(t, ",");
    add_quoted(t, "password", password);
    add(t, "}");
}
