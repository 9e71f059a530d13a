#include "common/net/rpc_frame.h"
#include <string.h>
#include "common/net/rpc_check.h"
#include "common/wire.h"

#define BODY_TAG (9 << 3 | 2) /* field 9 of Frame, length-delimited */

enum tw_rc rpc_frame_cut(const uint8_t *data, size_t len, size_t max, size_t *ret_len)
{
    struct wire_rd r = { .p = data, .end = data + len };
    size_t n;

    if (len < RPC_FRAME_HEADER) {
        *ret_len = RPC_FRAME_HEADER;
        return TW_EAGAIN;
    }
    n = wire_get_u32(&r);
    if (n > max)
        return TW_ERANGE;
    *ret_len = RPC_FRAME_HEADER + n;
    return len < *ret_len ? TW_EAGAIN : TW_OK;
}

enum tw_rc rpc_body_unpack(const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t len,
                           struct arena *a, ProtobufCMessage **ret, struct tw_err *err)
{
    ProtobufCMessage *m = protobuf_c_message_unpack(d, arena_allocator(a), len, data);
    enum tw_rc rc;

    if (!m)
        return tw_err_set(err, TW_ECORRUPT, "not a %s, or one that needs too much memory", d->name);
    rc = rpc_check_message(m, err);
    if (!rc)
        *ret = m;
    return rc;
}

enum tw_rc rpc_frame_unpack(const uint8_t *data, size_t len, struct arena *a, Tw__Frame **ret,
                            struct tw_err *err)
{
    ProtobufCMessage *m = NULL;
    Tw__Frame *f;
    enum tw_rc rc = rpc_body_unpack(&tw__frame__descriptor, data, len, a, &m, err);

    if (rc)
        return rc;
    f = (Tw__Frame *)m;
    if (f->kind == TW__FRAME_KIND__FRAME_NONE)
        return tw_err_set(err, TW_EINVAL, "a frame without a kind");
    if (strlen(f->detail) > RPC_MAX_DETAIL)
        return tw_err_set(err, TW_EINVAL, "detail is longer than %d octets", RPC_MAX_DETAIL);
    *ret = f;
    return TW_OK;
}

static size_t varint_size(size_t v)
{
    size_t n = 1;

    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

static size_t payload_size(const Tw__Frame *f, size_t body)
{
    return tw__frame__get_packed_size(f) + (body ? 1 + varint_size(body) + body : 0);
}

size_t rpc_frame_size(const Tw__Frame *f, const ProtobufCMessage *body)
{
    return RPC_FRAME_HEADER + payload_size(f, body ? protobuf_c_message_get_packed_size(body) : 0);
}

/* The body is packed straight into its place: fields of a message may come in any order, so field 9 is
 * appended. */
void rpc_frame_pack(const Tw__Frame *f, const ProtobufCMessage *body, uint8_t *out)
{
    size_t n = body ? protobuf_c_message_get_packed_size(body) : 0;
    size_t payload = payload_size(f, n);
    struct wire_wr w = { .p = out, .end = out + RPC_FRAME_HEADER + payload };

    wire_put_u32(&w, (uint32_t)payload);
    w.p += tw__frame__pack(f, w.p);
    if (n == 0)
        return;
    wire_put_u8(&w, BODY_TAG);
    wire_put_varint(&w, n);
    protobuf_c_message_pack(body, w.p);
}
