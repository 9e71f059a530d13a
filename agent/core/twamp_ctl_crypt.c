/* agent/core/twamp_ctl_crypt.c - see twamp_ctl_crypt.h. */
#include "agent/core/twamp_ctl_crypt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- Token and keys, RFC 4656 section 3.1 ---- */

/* One AES run with a context of its own. */
static enum tw_rc run_once(enum crypto_aes_kind kind, const uint8_t key[16], const uint8_t *in, size_t len,
                           uint8_t *out)
{
    struct crypto_aes *a;
    enum tw_rc rc = crypto_aes_new(kind, key, NULL, &a);

    if (rc)
        return rc;
    rc = crypto_aes_run(a, in, len, out);
    crypto_aes_free(a);
    return rc;
}

/* Challenge | AES Session-key | HMAC Session-key, encrypted with the key of the passphrase. */
enum tw_rc ctl_token_make(const struct ctl_proof *p, const struct ctl_keys *keys, uint8_t ret[64])
{
    uint8_t key[16], plain[64];
    enum tw_rc rc = crypto_pbkdf2(p->passphrase, p->len, p->salt, p->count, key);

    if (!rc) {
        memcpy(plain, p->challenge, 16);
        memcpy(plain + 16, keys->aes, sizeof keys->aes);
        memcpy(plain + 32, keys->hmac, sizeof keys->hmac);
        rc = run_once(CRYPTO_CBC_ENCRYPT, key, plain, sizeof plain, ret);
    }
    crypto_wipe(key, sizeof key);
    crypto_wipe(plain, sizeof plain);
    return rc;
}

enum tw_rc ctl_token_open(const struct ctl_proof *p, const uint8_t token[64], struct ctl_keys *ret)
{
    uint8_t key[16], plain[64];
    enum tw_rc rc = crypto_pbkdf2(p->passphrase, p->len, p->salt, p->count, key);

    if (!rc)
        rc = run_once(CRYPTO_CBC_DECRYPT, key, token, sizeof plain, plain);
    if (!rc && !crypto_equal(plain, p->challenge, 16))
        rc = TW_EPERM;
    if (!rc) {
        memcpy(ret->aes, plain + 16, sizeof ret->aes);
        memcpy(ret->hmac, plain + 32, sizeof ret->hmac);
    }
    crypto_wipe(key, sizeof key);
    crypto_wipe(plain, sizeof plain);
    return rc;
}

/* RFC 5357 section 4.1.2: the SID is the key, the session keys are the data. */
enum tw_rc ctl_test_keys(const struct ctl_keys *keys, const uint8_t sid[CTL_SID], struct twamp_test_keys *ret)
{
    enum tw_rc rc = run_once(CRYPTO_ECB_ENCRYPT, sid, keys->aes, sizeof keys->aes, ret->aes);

    return rc ? rc : run_once(CRYPTO_CBC_ENCRYPT, sid, keys->hmac, sizeof keys->hmac, ret->hmac);
}

/* ---- Text that HMACs cover ---- */

static void text_carry(struct ctl_text *t, const uint8_t block[CRYPTO_BLOCK])
{
    memcpy(t->carried, block, CRYPTO_BLOCK);
    t->carried_len = CRYPTO_BLOCK;
}

static enum tw_rc set_keys(enum crypto_aes_kind kind, const struct ctl_keys *keys, const uint8_t iv[16],
                           struct crypto_aes **aes, struct crypto_hmac **mac)
{
    enum tw_rc rc = crypto_aes_new(kind, keys->aes, iv, aes);

    return rc ? rc : crypto_hmac_new(CRYPTO_SHA1, keys->hmac, sizeof keys->hmac, mac);
}

/* ---- Receiving ---- */

enum tw_rc ctl_rx_init(struct ctl_rx *r, size_t cap)
{
    *r = (struct ctl_rx){ .buf = malloc(cap), .cap = cap };
    return r->buf ? TW_OK : TW_ENOMEM;
}

void ctl_rx_free(struct ctl_rx *r)
{
    if (r->buf)
        crypto_wipe(r->buf, r->cap);
    free(r->buf);
    crypto_aes_free(r->aes);
    crypto_hmac_free(r->text.mac);
    *r = (struct ctl_rx){ 0 };
}

size_t ctl_rx_room(const struct ctl_rx *r)
{
    return r->cap - r->len;
}

void ctl_rx_put(struct ctl_rx *r, const uint8_t *data, size_t len)
{
    assert(len <= ctl_rx_room(r));
    if (len)
        memcpy(r->buf + r->len, data, len);
    r->len += len;
}

enum tw_rc ctl_rx_set_keys(struct ctl_rx *r, const struct ctl_keys *keys, const uint8_t iv[16])
{
    return set_keys(CRYPTO_CBC_DECRYPT, keys, iv, &r->aes, &r->text.mac);
}

const uint8_t *ctl_rx_peek(struct ctl_rx *r, size_t n)
{
    if (r->len < n)
        return NULL;
    if (r->plain < n) {
        if (r->aes && crypto_aes_run(r->aes, r->buf + r->plain, n - r->plain, r->buf + r->plain)) {
            memset(r->buf + r->plain, 0, n - r->plain);
            r->bad = true;
        }
        r->plain = n;
    }
    return r->buf;
}

bool ctl_rx_verify(struct ctl_rx *r, size_t n)
{
    size_t covered = n - CTL_HMAC, carried = r->text.carried_len;

    r->text.carried_len = 0;
    if (!r->text.mac)
        return true;
    return !r->bad &&
           crypto_hmac_ok(r->text.mac, r->text.carried, carried, r->buf, covered, r->buf + covered);
}

void ctl_rx_drop(struct ctl_rx *r, size_t n)
{
    assert(n <= r->plain && r->plain <= r->len);
    memmove(r->buf, r->buf + n, r->len - n);
    r->len -= n;
    r->plain -= n;
}

void ctl_rx_carry(struct ctl_rx *r)
{
    text_carry(&r->text, r->buf);
    ctl_rx_drop(r, CRYPTO_BLOCK);
}

/* ---- Sending ---- */

void ctl_tx_free(struct ctl_tx *t)
{
    crypto_aes_free(t->aes);
    crypto_hmac_free(t->text.mac);
    *t = (struct ctl_tx){ 0 };
}

enum tw_rc ctl_tx_set_keys(struct ctl_tx *t, const struct ctl_keys *keys, const uint8_t iv[16])
{
    return set_keys(CRYPTO_CBC_ENCRYPT, keys, iv, &t->aes, &t->text.mac);
}

enum tw_rc ctl_tx_seal(struct ctl_tx *t, uint8_t *msg, size_t len)
{
    size_t covered = len - CTL_HMAC;

    if (!t->aes)
        return TW_OK; /* the writers left the HMAC zero */
    crypto_hmac(t->text.mac, t->text.carried, t->text.carried_len, msg, covered, msg + covered);
    t->text.carried_len = 0;
    return crypto_aes_run(t->aes, msg, len, msg);
}

enum tw_rc ctl_tx_carry(struct ctl_tx *t, uint8_t block[CRYPTO_BLOCK])
{
    if (!t->aes)
        return TW_OK;
    text_carry(&t->text, block);
    return crypto_aes_run(t->aes, block, CRYPTO_BLOCK, block);
}
