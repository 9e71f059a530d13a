/* agent/core/twamp_ctl_crypt.h - what protects a TWAMP-Control connection: the token that proves the
 * passphrase, the stream of ciphertext and HMACs in each direction, the keys of test sessions. Pure; not
 * thread-safe. RFC 4656 sections 3.1 to 3.3, 5357 section 3; the open mode passes everything through. */
#ifndef TW_AGENT_TWAMP_CTL_CRYPT_H
#define TW_AGENT_TWAMP_CTL_CRYPT_H

#include "agent/core/crypto.h"
#include "agent/core/twamp_ctl_msg.h"

/* The session keys of one connection, made by the client. */
struct ctl_keys {
    uint8_t aes[16], hmac[32];
};

/* What the passphrase is proved with: PBKDF2 of `count` rounds, which is the costly part. */
struct ctl_proof {
    const uint8_t *passphrase;
    size_t len;
    const uint8_t *salt, *challenge; /* 16 octets each */
    uint32_t count;
};
enum tw_rc ctl_token_make(const struct ctl_proof *p, const struct ctl_keys *keys, uint8_t ret[64]);
/* TW_EPERM: the token does not hold the challenge. Constant time, *ret is left alone then. */
enum tw_rc ctl_token_open(const struct ctl_proof *p, const uint8_t token[64], struct ctl_keys *ret);

/* Keys for the test packets of the session with this SID. */
enum tw_rc ctl_test_keys(const struct ctl_keys *keys, const uint8_t sid[CTL_SID],
                         struct twamp_test_keys *ret);

/* HMAC over a direction's text since the last one: a block carried from Server-Start, then the message. */
struct ctl_text {
    struct crypto_hmac *mac; /* NULL: open mode */
    uint8_t carried[CRYPTO_BLOCK];
    size_t carried_len;
};

/* What we receive. Octets come as they come; messages are looked at in clear and then dropped. */
struct ctl_rx {
    uint8_t *buf;
    size_t cap, len, plain; /* plain: octets of buf that are in clear */
    struct crypto_aes *aes; /* NULL: in clear as they come */
    struct ctl_text text;
    bool bad; /* libcrypto failed: nothing verifies any more */
};
enum tw_rc ctl_rx_init(struct ctl_rx *r, size_t cap);
void ctl_rx_free(struct ctl_rx *r); /* wipes */
size_t ctl_rx_room(const struct ctl_rx *r);
void ctl_rx_put(struct ctl_rx *r, const uint8_t *data, size_t len); /* len <= room */
/* From the next octet that was not looked at: encrypted and signed with these keys. */
enum tw_rc ctl_rx_set_keys(struct ctl_rx *r, const struct ctl_keys *keys, const uint8_t iv[16]);
/* The first n octets in clear; NULL: not there yet. With keys n must be a multiple of 16. */
const uint8_t *ctl_rx_peek(struct ctl_rx *r, size_t n);
/* Is the HMAC in the last 16 of the first n octets, which were peeked at, right? Once per message. */
bool ctl_rx_verify(struct ctl_rx *r, size_t n);
void ctl_rx_drop(struct ctl_rx *r, size_t n);
/* As drop, of 16 octets that the next HMAC covers too. */
void ctl_rx_carry(struct ctl_rx *r);

/* What we send. */
struct ctl_tx {
    struct crypto_aes *aes;
    struct ctl_text text;
};
void ctl_tx_free(struct ctl_tx *t);
enum tw_rc ctl_tx_set_keys(struct ctl_tx *t, const struct ctl_keys *keys, const uint8_t iv[16]);
/* Puts the HMAC into the last 16 octets (zero in the open mode) and encrypts. */
enum tw_rc ctl_tx_seal(struct ctl_tx *t, uint8_t *msg, size_t len);
/* Encrypts a block without HMAC of its own; the next one covers it. */
enum tw_rc ctl_tx_carry(struct ctl_tx *t, uint8_t block[CRYPTO_BLOCK]);

#endif
