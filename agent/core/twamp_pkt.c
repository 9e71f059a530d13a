/* agent/core/twamp_pkt.c - unauthenticated test packets.
 *
 * Sender, RFC 5357 section 4.1.2:      Reflector, section 4.2.1:
 *    0 Sequence Number                    0 Sequence Number        24 Sender Sequence Number
 *    4 Timestamp T1                       4 Timestamp T3           28 Sender Timestamp T1
 *   12 Error Estimate                    12 Error Estimate         36 Sender Error Estimate
 *   14 Packet Padding                    14 MBZ                    38 MBZ
 *                                        16 Receive Timestamp T2   40 Sender TTL    41 Packet Padding */
#include "agent/core/twamp_pkt.h"

#include "common/wire.h"

enum { ERREST_MULTIPLIER = 0xff };

enum tw_rc twamp_encode_probe(const struct test_probe *p, uint8_t *buf, size_t cap)
{
    struct wire_wr w = { .p = buf, .end = buf + cap };

    if (cap < TWAMP_PROBE_MIN)
        return TW_ETRUNC;
    wire_put_u32(&w, p->seq);
    wire_put_u64(&w, p->t1);
    wire_put_u16(&w, p->err_est);
    return TW_OK;
}

enum tw_rc twamp_decode_probe(const uint8_t *data, size_t len, struct test_probe *ret)
{
    struct wire_rd r = { .p = data, .end = data + len };
    struct test_probe p = { 0 };

    p.seq = wire_get_u32(&r);
    p.t1 = wire_get_u64(&r);
    p.err_est = wire_get_u16(&r);
    if (r.bad)
        return TW_ETRUNC;
    *ret = p;
    return TW_OK;
}

enum tw_rc twamp_encode_reply(const struct test_reply *p, uint8_t *buf, size_t cap)
{
    struct wire_wr w = { .p = buf, .end = buf + cap };

    if (cap < TWAMP_REPLY_MIN)
        return TW_ETRUNC;
    wire_put_u32(&w, p->seq);
    wire_put_u64(&w, p->t3);
    wire_put_u16(&w, p->err_est);
    wire_put_zero(&w, 2);
    wire_put_u64(&w, p->t2);
    wire_put_u32(&w, p->sender_seq);
    wire_put_u64(&w, p->sender_t1);
    wire_put_u16(&w, p->sender_err_est);
    wire_put_zero(&w, 2);
    wire_put_u8(&w, p->ttl_known ? p->sender_ttl : 255);
    return TW_OK;
}

enum tw_rc twamp_decode_reply(const uint8_t *data, size_t len, struct test_reply *ret)
{
    struct wire_rd r = { .p = data, .end = data + len };
    struct test_reply p = { 0 };

    p.seq = wire_get_u32(&r);
    p.t3 = wire_get_u64(&r);
    p.err_est = wire_get_u16(&r);
    wire_take(&r, 2);
    p.t2 = wire_get_u64(&r);
    p.sender_seq = wire_get_u32(&r);
    p.sender_t1 = wire_get_u64(&r);
    if (r.bad)
        return TW_ETRUNC;
    if (!(p.err_est & ERREST_MULTIPLIER)) /* RFC 4656 section 4.1.2: corrupt */
        return TW_EINVAL;
    p.sender_err_est = wire_get_u16(&r);
    wire_take(&r, 2);
    p.sender_ttl = wire_get_u8(&r);
    /* No datagram arrives with TTL 0: there it is the padding of a reflector that has no TTL field. */
    p.ttl_known = !r.bad && p.sender_ttl;
    *ret = p;
    return TW_OK;
}
