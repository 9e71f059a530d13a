/* controller/agent_certs.h - the certificates that an agent has been given: the newest and some before it,
 * which hold until they expire, since an agent may not have got the newest. Loop thread. */
#ifndef TW_CONTROLLER_AGENT_CERTS_H
#define TW_CONTROLLER_AGENT_CERTS_H

#include "common/net/pki.h"

#define AGENT_CERTS_MAX 8

struct agent_cert {
    char serial[PKI_SERIAL_TEXT];
    int64_t issued_ns, not_after_ns;
};
struct agent_certs {
    size_t n;
    struct agent_cert v[AGENT_CERTS_MAX]; /* newest first */
    /* Of the newest: */
    uint8_t key_hash[PKI_HASH_LEN];
    uint8_t *der;
    size_t der_len;
};

/* Another one, newer than those before; *certs is made at the first. TW_ENOMEM; TW_ECORRUPT: it is none. */
enum tw_rc agent_certs_add(struct agent_certs **certs, const uint8_t *der, size_t len, int64_t issued_ns);
void agent_certs_free(struct agent_certs *certs); /* NULL is allowed, here and below */
/* Was the certificate of this serial number given to this agent? */
bool agent_certs_have(const struct agent_certs *certs, const char *serial);
/* It counts no more; with the newest go all. */
void agent_certs_drop(struct agent_certs **certs, const char *serial);
/* The newest; NULL: there is none. */
const struct agent_cert *agent_certs_newest(const struct agent_certs *certs);

#endif
