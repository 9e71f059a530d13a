#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/core/crypto.h"
#include "tests/unit/agent/core/golden.h"

/* The chain of keys in captures of an independent implementation: passphrase to test packet. */
static const struct {
    const char *name, *salt, *pbkdf2, *aes_session, *hmac_session, *sid, *aes_test, *hmac_test;
} chains[] = {
    { "auth4", "c47872040856148413cb54f45f7e680e", "deb6e560f72704b0d20c70cdc7b2aaf9",
      "904063b817b5dd4b194f9bb778a6d0f0", "f529e70fbf80efa8e5111ecb39cec82fee1df34c7bba2f9b974893858bf1edf3",
      "7f000001eeae7f8a705c13fdd7e580ff", "fbaa1ad2c95af7dd81219b0a794a2946",
      "78a311b1ee5fd00895d375128594edaf43f830fe01b4566ca90a356f4b8c5415" },
    { "enc4", "b2ad3b87c799caba23551b5d72f2400c", "16f122b663a034e5cedfd7c4a6ebd5d0",
      "bfcdecdc318795a200070a917e584274", "b6d3ed2cfb4cdfa8d0061fe2c93b80b99622e6c00b069b6b811de807dc71560a",
      "7f000001eeae7f8e1782c2bdee8cdc60", "46b887679262c0b5c5cde0484799fe81",
      "e64d8f13beb83dc1f8f80281c07d3e0ee337c47f6733fa147f4dd88fcd139421" },
};

static void aes(enum crypto_aes_kind kind, const uint8_t key[16], const uint8_t *in, size_t len, uint8_t *out)
{
    struct crypto_aes *a;

    assert_int_equal(crypto_aes_new(kind, key, NULL, &a), TW_OK);
    assert_int_equal(crypto_aes_run(a, in, len, out), TW_OK);
    crypto_aes_free(a);
}

static void key_chains(void **state)
{
    static const char passphrase[] = "correct horse battery";

    (void)state;
    for (size_t i = 0; i < TW_NELEM(chains); i++) {
        uint8_t salt[16], key[16], want[32], session[32], sid[16], out[32];
        test_unhex(chains[i].salt, salt, sizeof salt);
        test_unhex(chains[i].pbkdf2, want, sizeof want);
        assert_int_equal(crypto_pbkdf2((const uint8_t *)passphrase, strlen(passphrase), salt, 2048, key),
                         TW_OK);
        assert_memory_equal(key, want, 16);
        test_unhex(chains[i].sid, sid, sizeof sid);
        test_unhex(chains[i].aes_session, session, sizeof session);
        test_unhex(chains[i].aes_test, want, sizeof want);
        aes(CRYPTO_ECB_ENCRYPT, sid, session, 16, out);
        assert_memory_equal(out, want, 16);
        aes(CRYPTO_ECB_DECRYPT, sid, out, 16, out);
        assert_memory_equal(out, session, 16);
        test_unhex(chains[i].hmac_session, session, sizeof session);
        test_unhex(chains[i].hmac_test, want, sizeof want);
        aes(CRYPTO_CBC_ENCRYPT, sid, session, 32, out);
        assert_memory_equal(out, want, 32);
        aes(CRYPTO_CBC_DECRYPT, sid, out, 32, out);
        assert_memory_equal(out, session, 32);
    }
}

/* A chain runs across calls until it is restarted. */
static void cbc_chain(void **state)
{
    static const uint8_t key[16] = { 1 }, iv[16] = { 2 }, text[48] = { 3 };
    uint8_t whole[48], parts[48];
    struct crypto_aes *a;

    (void)state;
    assert_int_equal(crypto_aes_new(CRYPTO_CBC_ENCRYPT, key, iv, &a), TW_OK);
    assert_int_equal(crypto_aes_run(a, text, 48, whole), TW_OK);
    assert_int_equal(crypto_aes_restart(a, iv), TW_OK);
    assert_int_equal(crypto_aes_run(a, text, 16, parts), TW_OK);
    assert_int_equal(crypto_aes_run(a, text + 16, 32, parts + 16), TW_OK);
    assert_memory_equal(parts, whole, sizeof whole);
    assert_int_equal(crypto_aes_restart(a, NULL), TW_OK);
    assert_int_equal(crypto_aes_run(a, text, 16, parts), TW_OK);
    assert_memory_not_equal(parts, whole, 16);
    assert_int_equal(crypto_aes_run(a, text, 15, parts), TW_EINVAL);
    crypto_aes_free(a);
}

/* RFC 2202 case 2 and RFC 4231 case 2: key "Jefe". */
static void hmacs(void **state)
{
    static const struct {
        enum crypto_hash hash;
        const char *mac;
    } rows[] = {
        { CRYPTO_SHA1, "effcdf6ae5eb2fa2d27416d5f184df9c" },
        { CRYPTO_SHA256, "5bdcc146bf60754e6a042426089575c7" },
    };
    static const uint8_t text[] = "what do ya want for nothing?";

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct crypto_hmac *m;
        uint8_t want[CRYPTO_MAC], mac[CRYPTO_MAC];
        test_unhex(rows[i].mac, want, sizeof want);
        assert_int_equal(crypto_hmac_new(rows[i].hash, (const uint8_t *)"Jefe", 4, &m), TW_OK);
        for (size_t cut = 0; cut <= sizeof text - 1; cut++) {
            crypto_hmac(m, text, cut, text + cut, sizeof text - 1 - cut, mac);
            assert_memory_equal(mac, want, sizeof mac);
        }
        assert_true(crypto_hmac_ok(m, text, sizeof text - 1, NULL, 0, want));
        want[15] ^= 1;
        assert_false(crypto_hmac_ok(m, text, sizeof text - 1, NULL, 0, want));
        crypto_hmac_free(m);
    }
}

static void refusals(void **state)
{
    uint8_t salt[16] = { 0 }, key[16];

    (void)state;
    assert_int_equal(crypto_pbkdf2((const uint8_t *)"x", 1, salt, 0, key), TW_EINVAL);
    assert_int_equal(crypto_pbkdf2((const uint8_t *)"x", 1, salt, UINT32_C(1) << 31, key), TW_EINVAL);
    assert_true(crypto_equal("abc", "abc", 3));
    assert_false(crypto_equal("abc", "abd", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_chains),
        cmocka_unit_test(cbc_chain),
        cmocka_unit_test(hmacs),
        cmocka_unit_test(refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
