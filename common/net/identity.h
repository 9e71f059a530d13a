/* common/net/identity.h - the Ed25519 key that says which agent this is (RFC 8032; OpenSSL libcrypto). */
#ifndef TW_NET_IDENTITY_H
#define TW_NET_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

#define IDENTITY_KEY_LEN 32
#define IDENTITY_SIG_LEN 64
#define IDENTITY_FINGERPRINT_TEXT 65

struct identity; /* holds the private key; wiped on free */

/* Reads the PEM private key at `path`; makes one (file mode 0600, written atomically) if there is none. A file that others can read
 * or write is refused with TW_EPERM. */
enum tw_rc identity_load(const char *path, struct identity **ret, struct tw_err *err);
void identity_free(struct identity *id);
void identity_public(const struct identity *id, uint8_t ret_key[IDENTITY_KEY_LEN]);
enum tw_rc identity_sign(const struct identity *id, const uint8_t *data, size_t len, uint8_t ret_sig[IDENTITY_SIG_LEN]);
bool identity_verify(const uint8_t key[IDENTITY_KEY_LEN], const uint8_t *data, size_t len,
                     const uint8_t *sig, size_t sig_len);
/* SHA-256 of the public key, lower-case hexadecimal. */
void identity_fingerprint(const uint8_t key[IDENTITY_KEY_LEN], char ret[IDENTITY_FINGERPRINT_TEXT]);
/* Random octets from the operating system. */
enum tw_rc identity_random(uint8_t *buf, size_t len);

#endif
