/* TWAMP-Test packets in every mode. The first octets choose mode, features and what to spoil; what follows is
 * a packet: it is read as a probe and as an answer, and it is the padding of packets that we write and read.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/core/twamp_form.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 5, LEN_MAX = 2048 };

struct input {
    uint32_t mode;
    bool secure;
    size_t text_probe, text_reply; /* octets that the HMAC covers */
    size_t spoil;                  /* which bit */
};

static bool is_covered(size_t at, size_t text, size_t mac)
{
    return at < text || (at >= mac && at < mac + 16);
}

/* Exactly allocated, so that reading or writing one octet too many is seen. */
static uint8_t *copy_of(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    CHECK(copy);
    if (len)
        memcpy(copy, data, len);
    return copy;
}

static void read_anything(const struct input *in, struct twamp_form *f, const uint8_t *data, size_t len)
{
    uint8_t *copy = copy_of(data, len), out[64];
    struct test_probe p;
    struct test_reply r;
    enum tw_rc rc = twamp_form_read_probe(f, copy, len, &p);

    CHECK((rc == TW_ETRUNC) == (len < (in->secure ? 48 : 14)));
    CHECK(rc == TW_OK || rc == TW_ETRUNC || (rc == TW_EPERM && in->secure));
    if (rc == TW_OK && !in->secure && !(in->mode & TWAMP_SYMMETRICAL)) {
        size_t n = twamp_form_probe_min(f) + 2;
        memset(out, 0, sizeof out);
        CHECK(twamp_form_write_probe(f, &p, out, n) == TW_OK);
        CHECK(!memcmp(out, data, 14));
    }
    rc = twamp_form_read_reply(f, copy, len, &r);
    CHECK((rc == TW_ETRUNC) == (len < (in->secure ? 112 : 36)));
    CHECK(rc != TW_OK || r.err_est & 0xff);
    CHECK(rc != TW_EPERM || in->secure);
    CHECK(!len || !memcmp(copy, data, len));
    free(copy);
}

static void check_written_probe(const struct input *in, struct twamp_form *f, const struct test_probe *p,
                                uint8_t *buf, size_t len)
{
    struct test_probe q;
    size_t at = in->spoil / 8 % len;

    CHECK(twamp_form_write_probe(f, p, buf, len) == TW_OK);
    CHECK(twamp_form_read_probe(f, buf, len, &q) == TW_OK);
    CHECK(q.seq == p->seq && q.t1 == p->t1 && q.err_est == p->err_est && !q.ssid);
    buf[at] ^= (uint8_t)(1 << in->spoil % 8);
    CHECK((twamp_form_read_probe(f, buf, len, &q) == TW_EPERM) ==
          (in->secure && is_covered(at, in->text_probe, 32)));
    buf[at] ^= (uint8_t)(1 << in->spoil % 8);
}

static void check_written_reply(const struct input *in, struct twamp_form *f, const struct test_reply *r,
                                const uint8_t *request, size_t len)
{
    size_t reply_len = twamp_form_reply_len(f, len), at = in->spoil / 8 % reply_len;
    uint8_t *buf = malloc(reply_len);
    struct test_reply q;
    enum tw_rc rc;

    CHECK(buf);
    memset(buf, 0xaa, reply_len);
    CHECK(twamp_form_write_reply(f, r, request, len, buf) == TW_OK);
    CHECK(twamp_form_reply_seq(f, buf) == r->seq);
    CHECK(twamp_form_seal_reply(f, buf, r->t3, r->err_est) == TW_OK);
    rc = twamp_form_read_reply(f, buf, reply_len, &q);
    CHECK(rc == (r->err_est & 0xff ? TW_OK : TW_EINVAL));
    if (!rc) {
        CHECK(q.seq == r->seq && q.t3 == r->t3 && q.err_est == r->err_est && q.t2 == r->t2);
        CHECK(q.sender_seq == r->sender_seq && q.sender_t1 == r->sender_t1);
        CHECK(q.sender_err_est == r->sender_err_est && q.ttl_known == !!r->sender_ttl);
        CHECK(q.sender_ttl == r->sender_ttl && q.tos_known == !!(in->mode & TWAMP_DSCP_ECN));
        CHECK(!q.tos_known || q.sender_tos == r->sender_tos);
    }
    for (size_t i = twamp_form_reply_min(f); i < len; i++)
        CHECK(buf[i] == request[twamp_form_probe_min(f) + i - twamp_form_reply_min(f)]);
    buf[at] ^= (uint8_t)(1 << in->spoil % 8);
    rc = twamp_form_read_reply(f, buf, reply_len, &q);
    CHECK((rc == TW_EPERM) == (in->secure && is_covered(at, in->text_reply, 96)));
    free(buf);
}

static void write_and_read(const struct input *in, struct twamp_form *f, const uint8_t *data, size_t size)
{
    size_t least = twamp_form_probe_min(f) + 2, len = size > least ? size : least;
    uint8_t *buf = calloc(1, len);
    struct test_reply r = { .t3 = 0x1111222233334444, .t2 = 0x1111222233330000, .ttl_known = true };
    struct test_probe p;

    CHECK(buf);
    memcpy(buf, data, size);
    /* the values, too, are of the input */
    p = (struct test_probe){ .seq = (uint32_t)buf[0] << 24 | buf[1], .t1 = (uint64_t)buf[2] << 56 | buf[3] };
    p.err_est = (uint16_t)(buf[4] << 8 | buf[5]);
    r.seq = p.seq ^ buf[6];
    r.err_est = (uint16_t)(buf[7] << 8 | buf[8]);
    r.sender_ttl = buf[9];
    r.tos_known = true;
    r.sender_tos = buf[10];
    r.sender_seq = p.seq;
    r.sender_t1 = p.t1;
    r.sender_err_est = p.err_est;
    check_written_probe(in, f, &p, buf, len);
    check_written_reply(in, f, &r, buf, len);
    free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t features[] = { TWAMP_INDIVIDUAL, TWAMP_REFLECT, TWAMP_SYMMETRICAL, TWAMP_DSCP_ECN,
                                         TWAMP_PTP };
    struct twamp_form_cfg cfg = { .keys = { { 1 }, { 2 } } };
    struct twamp_form *f;
    struct input in = { 0 };

    if (size < HEAD || size > LEN_MAX)
        return 0;
    in.mode = 1u << (data[0] & 3);
    for (unsigned i = 0; i < TW_NELEM(features); i++)
        if (data[1] & 1u << i)
            in.mode |= features[i];
    in.secure = in.mode & (TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED);
    in.text_probe = in.mode & TWAMP_ENCRYPTED ? 32 : 16;
    in.text_reply = in.mode & TWAMP_ENCRYPTED ? 96 : 16;
    in.spoil = (size_t)data[2] << 8 | data[3];
    cfg.mode = in.mode;
    cfg.server_octets = data[4];
    CHECK(twamp_form_new(&cfg, &f) == TW_OK);
    read_anything(&in, f, data + HEAD, size - HEAD);
    write_and_read(&in, f, data + HEAD, size - HEAD);
    twamp_form_free(f);
    return 0;
}
