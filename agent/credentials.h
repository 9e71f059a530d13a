/* agent/credentials.h - by what this agent is known: the CA that it trusts, and its certificate with its key,
 * in its data directory, for their owner alone:
 *
 *   ca.pem       the CA's certificate
 *   tls.pem      the agent's certificate and then its private key, in one file, so that they change together
 *   tls.key.new  the key for the certificate that it is asking for: who asks again asks for the same one
 *
 * A crash at any point leaves files from which it goes on. Loop thread. */
#ifndef TW_AGENT_CREDENTIALS_H
#define TW_AGENT_CREDENTIALS_H

#include "common/net/pki.h"

struct credentials;
/* What is not there yet is no error. */
enum tw_rc credentials_open(const char *dir, struct credentials **ret, struct tw_err *err);
void credentials_free(struct credentials *c);
/* NULL: not there. Valid until they change. */
const char *credentials_ca_pem(const struct credentials *c);
const char *credentials_pem(const struct credentials *c);
/* False: there is no certificate. */
bool credentials_info(const struct credentials *c, struct pki_info *ret);
/* A certificate whose time is not over. */
bool credentials_usable(const struct credentials *c, int64_t now_ns);
/* SHA-256 of the SubjectPublicKeyInfo; false: there is none. */
bool credentials_ca_hash(const struct credentials *c, uint8_t ret[PKI_HASH_LEN]);

/* Trusts a CA, from now on, if its key has this hash. TW_EPERM: it is another one. */
enum tw_rc credentials_trust(struct credentials *c, const uint8_t *der, size_t len,
                             const uint8_t hash[PKI_HASH_LEN], int64_t now_ns, struct tw_err *err);
/* A request for the next certificate. */
enum tw_rc credentials_request(struct credentials *c, const char *name, struct pki_octets *ret_csr,
                               struct tw_err *err);
/* The answer. TW_EPERM: it is not for the key of the request, not of our CA, or for another name: what we had
 * stays. */
enum tw_rc credentials_take(struct credentials *c, const char *name, const uint8_t *der, size_t len,
                            int64_t now_ns, struct tw_err *err);

#endif
