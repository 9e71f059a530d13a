/* controller/relay_text.h - what a controller says to others through etcd (proto/relay.proto) as a text:
 * base64, since what stands in etcd is one. Pure. */
#ifndef TW_CONTROLLER_RELAY_TEXT_H
#define TW_CONTROLLER_RELAY_TEXT_H

#include "common/net/arena.h"
#include "relay.pb-c.h"

/* Packed: etcd takes transactions of 1.5 MB, with all else that is said. */
#define RELAY_OCTETS_MAX (512u << 10)
#define RELAY_TEXT_MAX (4 * ((RELAY_OCTETS_MAX + 2) / 3)) /* without NUL */

/* From malloc(). NULL: no memory, or it is larger than RELAY_OCTETS_MAX. */
char *relay_text_write(const Tw__RelaySaid *said);
/* *ret lives in *ret_arena, which the caller frees. TW_ERANGE: it is too long. TW_ECORRUPT, TW_EINVAL: it is
 * none, or one without its `self`. TW_ENOMEM. */
enum tw_rc relay_text_read(const char *text, struct arena **ret_arena, Tw__RelaySaid **ret,
                           struct tw_err *err);

#endif
