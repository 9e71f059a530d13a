/* What the fuzz targets of TWAMP-Control share: PBKDF2 with one round (the linker wraps it), random octets
 * that are the same each time, and a peer that signs and encrypts, so that mutations get past the HMACs. */
#ifndef TESTS_FUZZ_CTL_FUZZ_H
#define TESTS_FUZZ_CTL_FUZZ_H

#include <string.h>

#include "agent/core/twamp_ctl.h"
#include "agent/core/twamp_ctl_crypt.h"
#include "common/wire.h"
#include "tests/fuzz/check.h"

#define FUZZ_PASSPHRASE "fuzz"

enum tw_rc __real_crypto_pbkdf2(const uint8_t *passphrase, size_t len, const uint8_t salt[16], uint32_t count,
                                uint8_t ret[16]);
enum tw_rc __wrap_crypto_pbkdf2(const uint8_t *passphrase, size_t len, const uint8_t salt[16], uint32_t count,
                                uint8_t ret[16]);
enum tw_rc __wrap_crypto_pbkdf2(const uint8_t *passphrase, size_t len, const uint8_t salt[16], uint32_t count,
                                uint8_t ret[16])
{
    CHECK(count <= 65536); /* a hostile count never gets here */
    return __real_crypto_pbkdf2(passphrase, len, salt, 1, ret);
}

/* ctx: a uint64_t that counts. */
static inline void fuzz_draw(void *ctx, uint8_t *buf, size_t n)
{
    uint64_t *at = ctx;

    for (size_t i = 0; i < n; i++)
        buf[i] = (uint8_t)(++*at * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

#endif
