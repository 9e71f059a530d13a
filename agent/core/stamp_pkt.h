/* agent/core/stamp_pkt.h - STAMP base packets, RFC 8762 section 4 with the SSID of RFC 8972 section 3:
 * unauthenticated (44 octets) and authenticated (112 octets, HMAC-SHA-256 over the first 96). What follows
 * them is TLVs (stamp_tlv.h). All sizes are UDP payload octets. Pure; not thread-safe. */
#ifndef TW_AGENT_STAMP_PKT_H
#define TW_AGENT_STAMP_PKT_H

#include <stddef.h>
#include "agent/core/crypto.h"
#include "agent/core/test_pkt.h"

#define STAMP_BASE 44
#define STAMP_BASE_AUTH 112
#define STAMP_REPLY_ACCEPT 36 /* some TWAMP Light reflectors leave out what follows T1 */
#define STAMP_KEYS_MAX 16

static inline size_t stamp_base(bool authenticated)
{
    return authenticated ? STAMP_BASE_AUTH : STAMP_BASE;
}

/* Several keys that are good at a time, so that a key can change without a lost interval: senders sign with
 * the first, everybody takes any of them, and an answer is signed with the key that its request was. */
struct stamp_keys {
    struct crypto_hmac *key[STAMP_KEYS_MAX];
    unsigned n;
};
/* Appends a key. TW_ENOSPC: STAMP_KEYS_MAX are there; TW_EINVAL: empty; TW_ENOMEM, TW_EIO. */
enum tw_rc stamp_keys_add(struct stamp_keys *k, const uint8_t *key, size_t len);
/* A set for another owner; *ret is overwritten. TW_ENOMEM, TW_EIO: it is empty then. */
enum tw_rc stamp_keys_copy(const struct stamp_keys *k, struct stamp_keys *ret);
/* Frees and wipes what it holds, not k itself, which is empty then. */
void stamp_keys_clear(struct stamp_keys *k);

/* Writes the base packet at buf. keys NULL: unauthenticated, else signed with key `use`. TW_ETRUNC. */
enum tw_rc stamp_write_probe(struct stamp_keys *keys, unsigned use, const struct test_probe *p, uint8_t *buf,
                             size_t cap);
/* *ret_key: which of the keys signed it; the one in *ret_key on entry is tried first (any value is fine).
 * TW_ETRUNC; TW_EPERM: none did. Unauthenticated packets may be longer than 44, never shorter. */
enum tw_rc stamp_read_probe(struct stamp_keys *keys, const uint8_t *data, size_t len, struct test_probe *ret,
                            unsigned *ret_key);
/* Everything but T3, Error Estimate and HMAC. */
enum tw_rc stamp_write_reply(bool authenticated, const struct test_reply *r, uint8_t *buf, size_t cap);
/* Puts T3 and the Error Estimate in and signs: the last thing before sending. */
void stamp_seal_reply(struct stamp_keys *keys, unsigned use, uint8_t *buf, uint64_t t3, uint16_t err_est);
/* As stamp_read_probe(); also TW_EINVAL: Error Estimate with multiplier 0. Unauthenticated answers are taken
 * from STAMP_REPLY_ACCEPT octets on; what is missing is 0 or not known. */
enum tw_rc stamp_read_reply(struct stamp_keys *keys, const uint8_t *data, size_t len, struct test_reply *ret,
                            unsigned *ret_key);

/* Octets 4..15 of an authenticated packet are zero (MBZ); those of an unauthenticated one hold a timestamp
 * and an Error Estimate whose multiplier must not be 0. So one port can serve both. False below 112 octets. */
bool stamp_looks_authenticated(const uint8_t *data, size_t len);
/* STAMP or padded TWAMP Light? Octets 16..43 of the former are zero (MBZ), those of the latter padding; where
 * that is zero too, both rules give the same answer. False below 44 octets. */
bool stamp_looks_like_stamp(const uint8_t *data, size_t len);

#endif
