/* Whatever the decoders accept, encoding it gives the same octets back (but for MBZ, and what a short reply
 * lacks). */
#include <string.h>

#include "agent/core/twamp_pkt.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_probe(const uint8_t *data, size_t size)
{
    struct test_probe p;
    uint8_t out[TWAMP_PROBE_MIN];

    if (twamp_decode_probe(data, size, &p)) {
        CHECK(size < TWAMP_PROBE_MIN);
        return;
    }
    CHECK(twamp_encode_probe(&p, out, sizeof out) == TW_OK);
    CHECK(!memcmp(out, data, sizeof out));
}

static void check_reply(const uint8_t *data, size_t size)
{
    struct test_reply r;
    uint8_t out[TWAMP_REPLY_MIN];
    enum tw_rc rc = twamp_decode_reply(data, size, &r);

    CHECK((rc == TW_ETRUNC) == (size < TWAMP_REPLY_ACCEPT));
    if (rc)
        return;
    CHECK(r.err_est & 0xff);
    CHECK(!r.ttl_known || size >= TWAMP_REPLY_MIN);
    CHECK(twamp_encode_reply(&r, out, sizeof out) == TW_OK);
    CHECK(!memcmp(out, data, 14) && !memcmp(out + 16, data + 16, 20));
    CHECK(size < 38 || !memcmp(out + 36, data + 36, 2));
    CHECK(!r.ttl_known || out[40] == data[40]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_probe(data, size);
    check_reply(data, size);
    return 0;
}
