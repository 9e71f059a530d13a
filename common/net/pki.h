/* common/net/pki.h - keys, certificate requests, and certificates: X.509 (RFC 5280) by OpenSSL libcrypto, all
 * in memory. Keys are ECDSA on P-256 with SHA-256, which every TLS library speaks. There is one CA and
 * nothing between it and what it issues.
 *
 * Input may be hostile: whatever is too long, followed by something, of another kind of key, or not in DER is
 * refused. Objects are not changed after they were made: several threads may read one. Times are UTC in ns
 * since 1970. */
#ifndef TW_NET_PKI_H
#define TW_NET_PKI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

#define PKI_DER_MAX 4096   /* longest certificate or request that is looked at */
#define PKI_PEM_MAX 16384  /* longest text that is looked at */
#define PKI_NAME_TEXT 64   /* with the NUL */
#define PKI_SERIAL_TEXT 41 /* lower-case hexadecimal, at most 20 octets (RFC 5280 section 4.1.2.2) */
#define PKI_HASH_LEN 32
#define PKI_SIG_MAX 80 /* a DER ECDSA signature by P-256 has at most 72 octets */
#define PKI_MAX_HOSTS 32
#define PKI_HOST_TEXT 256
/* Certificates are valid from this long before they were made: clocks of agents differ from ours. */
#define PKI_BACKDATE_NS (INT64_C(300) * 1000000000)

/* Octets or a text that the caller frees. A NUL follows the last one, which `len` does not count. */
struct pki_octets {
    uint8_t *data;
    size_t len;
};
void pki_octets_free(struct pki_octets *o); /* wipes them first */

/* ---- Keys ---- */
struct pki_key; /* a private key; wiped on free */
enum tw_rc pki_key_make(struct pki_key **ret);
/* TW_ECORRUPT: no unencrypted P-256 private key in PEM. */
enum tw_rc pki_key_from_pem(const char *text, size_t len, struct pki_key **ret, struct tw_err *err);
enum tw_rc pki_key_to_pem(const struct pki_key *k, struct pki_octets *ret);
void pki_key_free(struct pki_key *k);
/* ECDSA with SHA-256. */
enum tw_rc pki_sign(const struct pki_key *k, const uint8_t *data, size_t len, uint8_t ret_sig[PKI_SIG_MAX],
                    size_t *ret_len);

/* ---- Certificates ---- */
struct pki_cert;
enum pki_purpose {
    PKI_AGENT,
    PKI_SERVER
}; /* extended key usage clientAuth, serverAuth: this one and no other */

struct pki_info {
    char name[PKI_NAME_TEXT]; /* the common name; "": none, several, or one that is not 1 to 63 of ASCII 0x20
                                 to 0x7e */
    char serial[PKI_SERIAL_TEXT];
    int64_t not_before_ns, not_after_ns;
    uint8_t key_hash[PKI_HASH_LEN]; /* SHA-256 of the SubjectPublicKeyInfo */
    bool ca;                        /* may issue */
};

/* TW_ECORRUPT with *err. Of any kind of key: what it may be used for says pki_check(). */
enum tw_rc pki_cert_from_der(const uint8_t *data, size_t len, struct pki_cert **ret, struct tw_err *err);
/* Exactly one certificate; text around it is passed over. */
enum tw_rc pki_cert_from_pem(const char *text, size_t len, struct pki_cert **ret, struct tw_err *err);
enum tw_rc pki_cert_to_der(const struct pki_cert *c, struct pki_octets *ret);
enum tw_rc pki_cert_to_pem(const struct pki_cert *c, struct pki_octets *ret);
void pki_cert_free(struct pki_cert *c);
void pki_cert_info(const struct pki_cert *c, struct pki_info *ret);
/* SHA-256 of all of it, in DER. */
enum tw_rc pki_cert_hash(const struct pki_cert *c, uint8_t ret[PKI_HASH_LEN]);
/* Was it made by the key of this certificate? */
bool pki_verify(const struct pki_cert *c, const uint8_t *data, size_t len, const uint8_t *sig,
                size_t sig_len);
/* Is it that of this key? */
bool pki_cert_is_of(const struct pki_cert *c, const struct pki_key *k);
/* Is it for this DNS name or numeric address? */
bool pki_cert_has_host(const struct pki_cert *c, const char *host);

/* The names and addresses that pki_issue() was given, as texts; at most `cap`. Returns how many. */
size_t pki_cert_hosts(const struct pki_cert *c, char (*ret)[PKI_HOST_TEXT], size_t cap);

/* What is wrong with a certificate. */
enum pki_fault {
    PKI_FINE,
    PKI_UNKNOWN_CA,    /* not issued by this CA, or altered since */
    PKI_NOT_YET_VALID, /* by our clock */
    PKI_EXPIRED,
    PKI_WRONG_PURPOSE, /* an agent's where a server's is needed, the CA itself, ... */
    PKI_WRONG_KIND,    /* no P-256 key, or no name */
};
/* Judges it as one issued by `ca` for `purpose`, at the given time. Not PKI_FINE: *err says what and what was
 * expected. */
enum pki_fault pki_check(const struct pki_cert *ca, const struct pki_cert *c, enum pki_purpose purpose,
                         int64_t now_ns, struct tw_err *err);
/* Judges a certificate as that of a CA: it issued itself and may issue, and its time is not over. */
enum pki_fault pki_check_ca(const struct pki_cert *ca, int64_t now_ns, struct tw_err *err);
/* When to get the next one: at two thirds of its life. Pure. */
int64_t pki_renew_at_ns(int64_t not_before_ns, int64_t not_after_ns);

/* ---- Requests (PKCS #10, RFC 2986) ---- */
struct pki_csr;
enum tw_rc pki_csr_make(const struct pki_key *k, const char *name, struct pki_octets *ret_der);
/* TW_ECORRUPT with *err: no request, no P-256 key, or not signed by the key in it. Of a request nothing but
 * its key is used: names and extensions are for the issuer to decide. */
enum tw_rc pki_csr_from_der(const uint8_t *data, size_t len, struct pki_csr **ret, struct tw_err *err);
void pki_csr_hash(const struct pki_csr *q, uint8_t ret_key_hash[PKI_HASH_LEN]);
void pki_csr_free(struct pki_csr *q);

/* ---- Issuing ---- */
/* A new CA with its own key, valid from now (and PKI_BACKDATE_NS before) for life_ns. */
enum tw_rc pki_ca_make(const char *name, int64_t now_ns, int64_t life_ns, struct pki_key **ret_key,
                       struct pki_cert **ret_cert);

/* For OpenSSL's readers of PEM: none is ever asked for on the terminal. */
int pki_no_passphrase(char *buf, int size, int writing, void *ctx);

struct pki_issue {
    enum pki_purpose purpose;
    const char *name;         /* 1 to 63 of ASCII 0x20 to 0x7e */
    const char *const *hosts; /* DNS names and numeric addresses; servers have at least one, agents none */
    size_t n_hosts;
    int64_t now_ns, life_ns; /* ends with the CA's life at the latest */
};
/* TW_EINVAL with *err: a name or host that cannot be in a certificate, or a CA that is over. */
enum tw_rc pki_issue(const struct pki_cert *ca, const struct pki_key *ca_key, const struct pki_csr *q,
                     const struct pki_issue *what, struct pki_cert **ret, struct tw_err *err);

#endif
