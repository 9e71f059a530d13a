/* common/net/pki_priv.h - what the files of pki share. */
#ifndef TW_NET_PKI_PRIV_H
#define TW_NET_PKI_PRIV_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include "common/net/pki.h"

/* The handles are OpenSSL's own objects; only these functions know. */
static inline EVP_PKEY *pki_pkey(const struct pki_key *k)
{
    return (EVP_PKEY *)k;
}
static inline X509 *pki_x509(const struct pki_cert *c)
{
    return (X509 *)c;
}
static inline X509_REQ *pki_req(const struct pki_csr *q)
{
    return (X509_REQ *)q;
}

/* OpenSSL keeps errors per thread, which nobody here reads. Returns its second argument. */
enum tw_rc pki_done(enum tw_rc rc);
/* Takes what was written to the BIO; frees it. */
enum tw_rc pki_take_bio(BIO *bio, bool written, struct pki_octets *ret);
bool pki_is_p256(EVP_PKEY *k);
/* 1 to 63 of ASCII 0x20 to 0x7e. */
bool pki_name_ok(const char *name, size_t len);
bool pki_hash_pubkey(X509_PUBKEY *k, uint8_t ret[PKI_HASH_LEN]);

#endif
