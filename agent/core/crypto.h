/* agent/core/crypto.h - what TWAMP and STAMP need of cryptography, on OpenSSL's libcrypto and nothing else.
 * Pure: random octets are arguments of those who need them. RFC 4656 section 3.1, 5357 section 3, 8762
 * section 4.4.
 *
 * Contexts are made once per key. Using one makes no new context and takes no lock; libcrypto 3.0 itself
 * allocates and frees a digest state for each HMAC, which is in the 0.25 us that one takes. Not thread-safe:
 * each belongs to its owner. Freeing wipes the keys. Nothing here fails after the *_new() call but by a fault
 * of libcrypto: then functions give TW_EIO, crypto_hmac_ok() says no, and crypto_hmac() gives zeros, which no
 * receiver takes for a good value. */
#ifndef TW_AGENT_CRYPTO_H
#define TW_AGENT_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

#define CRYPTO_BLOCK 16
#define CRYPTO_MAC 16 /* all our HMACs are cut to their first 16 octets */

/* AES-128 without padding. */
enum crypto_aes_kind { CRYPTO_ECB_ENCRYPT, CRYPTO_ECB_DECRYPT, CRYPTO_CBC_ENCRYPT, CRYPTO_CBC_DECRYPT };
struct crypto_aes;
/* iv: NULL = 16 zero octets. TW_ENOMEM, TW_EIO. */
enum tw_rc crypto_aes_new(enum crypto_aes_kind kind, const uint8_t key[16], const uint8_t *iv,
                          struct crypto_aes **ret);
void crypto_aes_free(struct crypto_aes *a);
/* CBC: begins a new chain with this iv (NULL = zero); without it the chain goes on from call to call. */
enum tw_rc crypto_aes_restart(struct crypto_aes *a, const uint8_t *iv);
/* len is a multiple of 16; out may be in. */
enum tw_rc crypto_aes_run(struct crypto_aes *a, const uint8_t *in, size_t len, uint8_t *out);

enum crypto_hash { CRYPTO_SHA1, CRYPTO_SHA256 };
struct crypto_hmac;
enum tw_rc crypto_hmac_new(enum crypto_hash hash, const uint8_t *key, size_t len, struct crypto_hmac **ret);
/* For another owner. TW_ENOMEM, TW_EIO. */
enum tw_rc crypto_hmac_copy(const struct crypto_hmac *m, struct crypto_hmac **ret);
void crypto_hmac_free(struct crypto_hmac *m);
/* HMAC over the two texts, one after the other; either may be empty. */
void crypto_hmac(struct crypto_hmac *m, const uint8_t *text, size_t len, const uint8_t *text2, size_t len2,
                 uint8_t ret[CRYPTO_MAC]);
/* Constant time. */
bool crypto_hmac_ok(struct crypto_hmac *m, const uint8_t *text, size_t len, const uint8_t *text2, size_t len2,
                    const uint8_t expected[CRYPTO_MAC]);

/* PBKDF2-HMAC-SHA1 to 16 octets; the caller has bounded count. About 0.8 ms per 1,024 rounds. */
enum tw_rc crypto_pbkdf2(const uint8_t *passphrase, size_t len, const uint8_t salt[16], uint32_t count,
                         uint8_t ret[16]);

bool crypto_equal(const void *a, const void *b, size_t n); /* constant time */
void crypto_wipe(void *p, size_t n);                       /* is not optimised away */

#endif
