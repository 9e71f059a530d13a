/* agent/core/twamp_pkt.h - TWAMP-Test packets, unauthenticated mode, as TWAMP Light uses them. Pure.
 * RFC 5357 sections 4.1.2 and 4.2.1, appendix I; RFC 4656 section 4.1.2. All sizes are UDP payload octets. */
#ifndef TW_AGENT_TWAMP_PKT_H
#define TW_AGENT_TWAMP_PKT_H

#include <stddef.h>
#include "agent/core/test_pkt.h"
#include "common/rc.h"

#define TWAMP_PROBE_MIN 14
#define TWAMP_REPLY_MIN 41    /* what we send at least */
#define TWAMP_REPLY_ACCEPT 36 /* some reflectors leave out MBZ and TTL */

/* Writes the 14 octets at buf; the caller has filled the padding once. TW_ETRUNC if cap < 14. */
enum tw_rc twamp_encode_probe(const struct test_probe *p, uint8_t *buf, size_t cap);
/* TW_ETRUNC below 14 octets. ssid = 0: there is none in this form. */
enum tw_rc twamp_decode_probe(const uint8_t *data, size_t len, struct test_probe *ret);
/* Writes the 41 octets; a TTL that is not known as 255. */
enum tw_rc twamp_encode_reply(const struct test_reply *r, uint8_t *buf, size_t cap);
/* TW_ETRUNC below 36 octets; TW_EINVAL when the reflector's Error Estimate has multiplier 0. The TTL is not
 * known in replies shorter than 41 octets, and where it is 0, which is padding there. */
enum tw_rc twamp_decode_reply(const uint8_t *data, size_t len, struct test_reply *ret);

#endif
