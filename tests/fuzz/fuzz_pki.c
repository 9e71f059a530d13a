/* What a stranger sends to get a certificate, or shows as one. First octet: which decoder. A certificate that
 * is read is judged, too; none can have been issued by a CA that was made for this run. */
#include <string.h>

#include "common/net/pki.h"
#include "tests/fuzz/check.h"

#define NOW_NS (INT64_C(1795000000) * 1000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pki_cert *ca;

static void try_cert(struct pki_cert *c)
{
    struct pki_octets der = { 0 };
    struct pki_info info;
    struct tw_err err = { 0 };

    pki_cert_info(c, &info);
    CHECK(memchr(info.name, 0, sizeof info.name) && memchr(info.serial, 0, sizeof info.serial));
    CHECK(pki_check(ca, c, PKI_AGENT, NOW_NS, &err) != PKI_FINE && err.text[0]);
    CHECK(pki_check(ca, c, PKI_SERVER, NOW_NS, &err) != PKI_FINE);
    pki_check_ca(c, NOW_NS, &err);
    pki_cert_has_host(c, "controller");
    CHECK(!pki_verify(c, info.key_hash, sizeof info.key_hash, (const uint8_t *)&info, 70));
    CHECK(pki_cert_to_der(c, &der) == TW_OK && der.len > 0);
    pki_octets_free(&der);
    pki_cert_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pki_key *key = NULL;
    struct pki_cert *c = NULL;
    struct pki_csr *q = NULL;
    struct tw_err err = { 0 };
    uint8_t hash[PKI_HASH_LEN];

    if (!ca) {
        CHECK(pki_ca_make("fuzz", NOW_NS, INT64_C(86400) * 1000000000, &key, &ca) == TW_OK);
        pki_key_free(key);
    }
    if (size == 0)
        return 0;
    switch (data[0] % 4) {
    case 0:
        if (pki_cert_from_der(data + 1, size - 1, &c, &err) == TW_OK)
            try_cert(c);
        break;
    case 1:
        if (pki_cert_from_pem((const char *)data + 1, size - 1, &c, &err) == TW_OK)
            try_cert(c);
        break;
    case 2:
        if (pki_csr_from_der(data + 1, size - 1, &q, &err) == TW_OK)
            pki_csr_hash(q, hash);
        pki_csr_free(q);
        break;
    default:
        key = NULL;
        if (pki_key_from_pem((const char *)data + 1, size - 1, &key, &err) != TW_OK)
            CHECK(err.text[0] && !key);
        pki_key_free(key);
    }
    return 0;
}
