/* common/net/rpc_frame.h - the frames of proto/rpc.proto: cutting them off a byte stream, unpacking, packing.
 * Pure. */
#ifndef TW_NET_RPC_FRAME_H
#define TW_NET_RPC_FRAME_H

#include "common/net/arena.h"
#include "rpc.pb-c.h"

#define RPC_FRAME_HEADER 4 /* u32 length, big-endian, of what follows */
#define RPC_MAX_DETAIL 512

/* Memory that unpacking `len` octets of an honest message may take. Structs are larger than what is on the
 * wire, most of all when almost every field is absent; a hostile message asks for a hundred times its size.
 */
#define RPC_ARENA_CAP(len) (65536 + 32 * (size_t)(len))

/* The frame at the start of data. TW_OK: *ret_len octets with the header. TW_EAGAIN: incomplete; *ret_len
 * octets are needed at least. TW_ERANGE: longer than `max`, as far as its header says. */
enum tw_rc rpc_frame_cut(const uint8_t *data, size_t len, size_t max, size_t *ret_len);

/* `data` is a frame without its header. The result lives in the arena. TW_ECORRUPT, TW_EINVAL with *err. */
enum tw_rc rpc_frame_unpack(const uint8_t *data, size_t len, struct arena *a, Tw__Frame **ret,
                            struct tw_err *err);

/* Any message, checked with rpc_check_message(). */
enum tw_rc rpc_body_unpack(const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t len,
                           struct arena *a, ProtobufCMessage **ret, struct tw_err *err);

/* Octets with header of a frame whose body is the packed message (f->body is empty; body may be NULL). */
size_t rpc_frame_size(const Tw__Frame *f, const ProtobufCMessage *body);
/* Writes exactly those. */
void rpc_frame_pack(const Tw__Frame *f, const ProtobufCMessage *body, uint8_t *out);

#endif
