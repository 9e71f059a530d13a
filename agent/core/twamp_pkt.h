/* agent/core/twamp_pkt.h - TWAMP-Test packets, unauthenticated mode, as TWAMP Light uses them. Pure.
 * RFC 5357 sections 4.1.2 and 4.2.1, appendix I; RFC 4656 section 4.1.2. All sizes are UDP payload octets. */
#ifndef TW_AGENT_TWAMP_PKT_H
#define TW_AGENT_TWAMP_PKT_H

#include "common/clk.h"

#define TWAMP_PROBE_MIN 14
#define TWAMP_REPLY_MIN 41    /* what we send at least */
#define TWAMP_REPLY_ACCEPT 36 /* some reflectors leave out MBZ and TTL */
#define TWAMP_DATAGRAM_MAX 9000

struct twamp_probe {
    uint32_t seq;
    uint64_t t1; /* wire form; Z of err_est tells which format */
    uint16_t err_est;
};

struct twamp_reply {
    uint32_t seq; /* the reflector's own number */
    uint64_t t3;
    uint16_t err_est;
    uint64_t t2;
    uint32_t sender_seq;
    uint64_t sender_t1; /* as returned */
    uint16_t sender_err_est;
    bool ttl_known; /* false in replies shorter than 41 octets, and for 0, which is padding there */
    uint8_t sender_ttl;
};

/* Writes the 14 octets at buf; the caller has filled the padding once. TW_ETRUNC if cap < 14. */
enum tw_rc twamp_encode_probe(const struct twamp_probe *p, uint8_t *buf, size_t cap);
/* TW_ETRUNC below 14 octets. */
enum tw_rc twamp_decode_probe(const uint8_t *data, size_t len, struct twamp_probe *ret);
/* Writes the 41 octets. */
enum tw_rc twamp_encode_reply(const struct twamp_reply *r, uint8_t *buf, size_t cap);
/* TW_ETRUNC below 36 octets; TW_EINVAL when the reflector's Error Estimate has multiplier 0. */
enum tw_rc twamp_decode_reply(const uint8_t *data, size_t len, struct twamp_reply *ret);

#endif
