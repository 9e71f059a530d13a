/* common/net/rpc_check.h - what protobuf-c accepts and we do not: strings that are not UTF-8, enum values
 * that the .proto does not name. And a walk over all texts. Pure. */
#ifndef TW_NET_RPC_CHECK_H
#define TW_NET_RPC_CHECK_H

#include <protobuf-c/protobuf-c.h>
#include "common/rc.h"
#include "common/utf8.h"

/* Walks the whole message by its descriptor. TW_EINVAL: err->field names the field. */
enum tw_rc rpc_check_message(const ProtobufCMessage *m, struct tw_err *err);
/* Calls fn with each text of an unpacked message, which it may change in place, to nothing longer. */
void rpc_each_text(ProtobufCMessage *m, void (*fn)(char *text));

#endif
