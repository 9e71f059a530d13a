/* STAMP base packets. Whatever is accepted gives the same octets when written again (but for MBZ, and what a
 * short answer lacks). Octet 0 chooses the keys; with keys, the packet is accepted if and only if it is
 * signed, so half of the inputs are signed here. */
#include <string.h>

#include "agent/core/stamp_pkt.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIGNED = 96, PACKET_MAX = 4096, KEYS = 3 };

static struct stamp_keys *all_keys(void)
{
    static struct stamp_keys k;

    while (k.n < KEYS) {
        uint8_t key[4] = { (uint8_t)k.n, 1, 2, 3 };
        CHECK(stamp_keys_add(&k, key, sizeof key) == TW_OK);
    }
    return &k;
}

/* The fields of a Session-Sender's packet; nothing else in it counts. */
static void check_probe(struct stamp_keys *keys, unsigned signer, const uint8_t *data, size_t size)
{
    size_t base = stamp_base(keys), ssid = keys ? 26 : 14;
    uint8_t out[STAMP_BASE_AUTH];
    unsigned key = signer + 1;
    struct test_probe p;

    if (stamp_read_probe(keys, data, size, &p, &key)) {
        CHECK(size < base || (keys && signer >= KEYS));
        return;
    }
    CHECK(size >= base && (!keys || key == signer));
    CHECK(stamp_write_probe(keys, key, &p, out, sizeof out) == TW_OK);
    CHECK(!memcmp(out, data, 4) && !memcmp(out + ssid - 10, data + ssid - 10, 12));
    CHECK(stamp_looks_authenticated(out, base) == (keys != NULL));
}

static void check_reply(struct stamp_keys *keys, unsigned signer, const uint8_t *data, size_t size)
{
    size_t need = keys ? STAMP_BASE_AUTH : STAMP_REPLY_ACCEPT, t = keys ? 16 : 4, t2 = keys ? 32 : 16;
    uint8_t out[STAMP_BASE_AUTH];
    unsigned key = signer + 1;
    struct test_reply r;
    enum tw_rc rc = stamp_read_reply(keys, data, size, &r, &key);

    CHECK((rc == TW_ETRUNC) == (size < need));
    CHECK(rc != TW_EPERM || (keys && signer >= KEYS));
    CHECK(rc != TW_EINVAL || !data[t + 9]);
    if (rc)
        return;
    CHECK(!keys || key == signer);
    CHECK(stamp_write_reply(keys, &r, out, sizeof out) == TW_OK);
    stamp_seal_reply(keys, key, out, r.t3, r.err_est);
    CHECK(!memcmp(out, data, 4) && !memcmp(out + t, data + t, 12) && !memcmp(out + t2, data + t2, 8));
    CHECK(!memcmp(out + (keys ? 48 : 24), data + (keys ? 48 : 24), 4));
    CHECK(!memcmp(out + (keys ? 64 : 28), data + (keys ? 64 : 28), 8));
    CHECK(!r.ttl_known || out[keys ? 80 : 40] == data[keys ? 80 : 40]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t copy[PACKET_MAX];
    struct stamp_keys *keys;
    unsigned signer;

    if (!size || size > PACKET_MAX)
        return 0;
    keys = data[0] & 1 ? all_keys() : NULL;
    signer = data[0] >> 1 & 7; /* KEYS and above: not signed */
    size--;
    memcpy(copy, data + 1, size);
    if (keys && signer < KEYS && size >= STAMP_BASE_AUTH)
        crypto_hmac(keys->key[signer], copy, SIGNED, NULL, 0, copy + SIGNED);
    check_probe(keys, signer, copy, size);
    check_reply(keys, signer, copy, size);
    stamp_looks_authenticated(copy, size);
    stamp_looks_like_stamp(copy, size);
    return 0;
}
