/* agent/core/crypto.c - the only user of libcrypto in the agent; see crypto.h. */
#include "agent/core/crypto.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { HASH_MAX = 32 };

struct crypto_aes {
    EVP_CIPHER_CTX *ctx;
};

struct crypto_hmac {
    EVP_MAC_CTX *ctx;
};

/* ---- AES ---- */

static const EVP_CIPHER *cipher_of(enum crypto_aes_kind kind)
{
    return kind == CRYPTO_ECB_ENCRYPT || kind == CRYPTO_ECB_DECRYPT ? EVP_aes_128_ecb() : EVP_aes_128_cbc();
}

enum tw_rc crypto_aes_new(enum crypto_aes_kind kind, const uint8_t key[16], const uint8_t *iv,
                          struct crypto_aes **ret)
{
    static const uint8_t zero[CRYPTO_BLOCK];
    bool encrypt = kind == CRYPTO_ECB_ENCRYPT || kind == CRYPTO_CBC_ENCRYPT;
    struct crypto_aes *a = calloc(1, sizeof *a);

    if (!a)
        return TW_ENOMEM;
    a->ctx = EVP_CIPHER_CTX_new();
    if (!a->ctx || EVP_CipherInit_ex(a->ctx, cipher_of(kind), NULL, key, iv ? iv : zero, encrypt) != 1 ||
        EVP_CIPHER_CTX_set_padding(a->ctx, 0) != 1) {
        crypto_aes_free(a);
        return TW_EIO;
    }
    *ret = a;
    return TW_OK;
}

void crypto_aes_free(struct crypto_aes *a)
{
    if (!a)
        return;
    EVP_CIPHER_CTX_free(a->ctx); /* wipes */
    free(a);
}

enum tw_rc crypto_aes_restart(struct crypto_aes *a, const uint8_t *iv)
{
    static const uint8_t zero[CRYPTO_BLOCK];

    /* -1: encrypting or decrypting, as it was */
    return EVP_CipherInit_ex(a->ctx, NULL, NULL, NULL, iv ? iv : zero, -1) == 1 ? TW_OK : TW_EIO;
}

enum tw_rc crypto_aes_run(struct crypto_aes *a, const uint8_t *in, size_t len, uint8_t *out)
{
    int n = 0;

    if (len % CRYPTO_BLOCK || len > INT32_MAX)
        return TW_EINVAL;
    if (EVP_CipherUpdate(a->ctx, out, &n, in, (int)len) != 1 || (size_t)n != len)
        return TW_EIO;
    return TW_OK;
}

/* ---- HMAC ---- */

enum tw_rc crypto_hmac_new(enum crypto_hash hash, const uint8_t *key, size_t len, struct crypto_hmac **ret)
{
    char name[8] = "SHA1", name256[8] = "SHA256";
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                             hash == CRYPTO_SHA1 ? name : name256, 0),
                            OSSL_PARAM_construct_end() };
    struct crypto_hmac *m = calloc(1, sizeof *m);
    EVP_MAC *mac;

    if (!m)
        return TW_ENOMEM;
    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    m->ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); /* the context holds it */
    if (!m->ctx || EVP_MAC_init(m->ctx, key, len, params) != 1) {
        crypto_hmac_free(m);
        return TW_EIO;
    }
    *ret = m;
    return TW_OK;
}

enum tw_rc crypto_hmac_copy(const struct crypto_hmac *m, struct crypto_hmac **ret)
{
    struct crypto_hmac *c = calloc(1, sizeof *c);

    if (!c)
        return TW_ENOMEM;
    c->ctx = EVP_MAC_CTX_dup(m->ctx);
    if (!c->ctx) {
        free(c);
        return TW_EIO;
    }
    *ret = c;
    return TW_OK;
}

void crypto_hmac_free(struct crypto_hmac *m)
{
    if (!m)
        return;
    EVP_MAC_CTX_free(m->ctx);
    free(m);
}

static bool compute(struct crypto_hmac *m, const uint8_t *text, size_t len, const uint8_t *text2, size_t len2,
                    uint8_t ret[CRYPTO_MAC])
{
    uint8_t full[HASH_MAX];
    size_t n = 0;

    if (EVP_MAC_init(m->ctx, NULL, 0, NULL) != 1 || (len && EVP_MAC_update(m->ctx, text, len) != 1) ||
        (len2 && EVP_MAC_update(m->ctx, text2, len2) != 1) ||
        EVP_MAC_final(m->ctx, full, &n, sizeof full) != 1 || n < CRYPTO_MAC)
        return false;
    memcpy(ret, full, CRYPTO_MAC);
    return true;
}

void crypto_hmac(struct crypto_hmac *m, const uint8_t *text, size_t len, const uint8_t *text2, size_t len2,
                 uint8_t ret[CRYPTO_MAC])
{
    if (!compute(m, text, len, text2, len2, ret))
        memset(ret, 0, CRYPTO_MAC);
}

bool crypto_hmac_ok(struct crypto_hmac *m, const uint8_t *text, size_t len, const uint8_t *text2, size_t len2,
                    const uint8_t expected[CRYPTO_MAC])
{
    uint8_t mac[CRYPTO_MAC];

    return compute(m, text, len, text2, len2, mac) && crypto_equal(mac, expected, CRYPTO_MAC);
}

/* ---- The rest ---- */

enum tw_rc crypto_pbkdf2(const uint8_t *passphrase, size_t len, const uint8_t salt[16], uint32_t count,
                         uint8_t ret[16])
{
    if (len > INT32_MAX || !count || count > INT32_MAX)
        return TW_EINVAL;
    return PKCS5_PBKDF2_HMAC((const char *)passphrase, (int)len, salt, 16, (int)count, EVP_sha1(), 16, ret) ==
                   1
               ? TW_OK
               : TW_EIO;
}

bool crypto_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void crypto_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}
