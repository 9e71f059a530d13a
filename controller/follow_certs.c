/* Certificates of agents: of those that have a new one, or one less, all are read. */
#include <stdlib.h>
#include <string.h>
#include "controller/follow_priv.h"
#include "common/grow.h"
#include "controller/joining_priv.h"

/* Whose certificates are read. */
struct owner_key {
    UT_hash_handle hh;
    uint8_t key[STORE_KEY_LEN];
};
struct cert_rows {
    const struct follow_keys *keys;
    struct owner_key *owners;
    struct store_certificate *v;
    size_t n, cap;
};

static void free_rows(void *data)
{
    struct cert_rows *r = data;
    struct owner_key *o, *next;

    HASH_ITER(hh, r->owners, o, next)
    {
        HASH_DEL(r->owners, o);
        free(o);
    }
    for (size_t i = 0; i < r->n; i++) {
        free((char *)r->v[i].serial);
        free((uint8_t *)r->v[i].der);
    }
    free(r->v);
    free(r);
}

static struct owner_key *find_owner(const struct cert_rows *r, const struct store_certificate *c)
{
    struct owner_key *o;

    HASH_FIND(hh, r->owners, c->public_key, sizeof c->public_key, o);
    return o;
}

static enum tw_rc note_owner(void *ctx, const struct store_certificate *c)
{
    struct cert_rows *r = ctx;
    struct owner_key *o;

    if (!follow_keys_have(r->keys, c->serial) || find_owner(r, c))
        return TW_OK;
    o = calloc(1, sizeof *o);
    if (!o)
        return TW_ENOMEM;
    memcpy(o->key, c->public_key, sizeof o->key);
    HASH_ADD(hh, r->owners, key, sizeof o->key, o);
    return TW_OK;
}

static enum tw_rc add_row(void *ctx, const struct store_certificate *c)
{
    struct cert_rows *r = ctx;
    struct store_certificate *row;

    if (!find_owner(r, c))
        return TW_OK;
    if (!TW_GROW(&r->v, r->n, &r->cap, 8))
        return TW_ENOMEM;
    row = &r->v[r->n++];
    *row = *c;
    row->serial = strdup(c->serial);
    row->der = malloc(c->der_len + 1);
    if (!row->serial || !row->der)
        return TW_ENOMEM;
    memcpy((uint8_t *)row->der, c->der, c->der_len);
    return TW_OK;
}

static enum tw_rc read_rows(const struct follow_keys *keys, struct store *s, void **ret, struct tw_err *err)
{
    struct cert_rows *r = *ret = calloc(1, sizeof *r);
    enum tw_rc rc;

    if (!r)
        return TW_ENOMEM;
    r->keys = keys;
    rc = store_each_certificate(s, note_owner, r, err);
    return rc == TW_OK ? store_each_certificate(s, add_row, r, err) : rc;
}

static bool is_owner(const struct cert_rows *r, const struct agent *a)
{
    struct owner_key *o;

    HASH_FIND(hh, r->owners, a->row.public_key, sizeof a->row.public_key, o);
    return o != NULL;
}

/* Those that are in the store no more. */
static void drop_gone(struct controller *c, const struct follow_keys *keys, const struct cert_rows *r)
{
    for (struct agent *a = c->inv.agents; a; a = a->hh.next) {
        char gone[AGENT_CERTS_MAX][PKI_SERIAL_TEXT];
        size_t n = 0;

        if (is_owner(r, a))
            continue;
        for (size_t i = 0; a->certs && i < a->certs->n; i++)
            if (follow_keys_have(keys, a->certs->v[i].serial))
                memcpy(gone[n++], a->certs->v[i].serial, sizeof gone[0]);
        for (size_t i = 0; i < n; i++)
            agent_certs_drop(&a->certs, gone[i]);
    }
}

static enum tw_rc take_rows(struct controller *c, struct follow_keys *keys, void *data)
{
    struct cert_rows *r = data;

    drop_gone(c, keys, r);
    return joining_follow_certificates(c->joining, r->v, r->n);
}

const struct follow_part follow_certificates = { "certificates", true, read_rows, take_rows, free_rows };
