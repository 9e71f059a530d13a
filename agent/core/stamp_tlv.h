/* agent/core/stamp_tlv.h - the optional TLVs of STAMP, RFC 8972 section 4 (and 9503, 9534: answered as
 * unrecognised). Pure.
 *
 * A TLV: flags (U 0x80 unrecognised, M 0x40 malformed, I 0x20 integrity), type, 2 octets length of the value,
 * value. A sender sends them with U set; a reflector that knows one clears it. The answer is as long as the
 * request, each TLV at the same place. */
#ifndef TW_AGENT_STAMP_TLV_H
#define TW_AGENT_STAMP_TLV_H

#include <stddef.h>
#include "agent/core/crypto.h"
#include "agent/core/test_pkt.h"
#include "common/addr.h"

enum stamp_tlv_flag { STAMP_TLV_U = 0x80, STAMP_TLV_M = 0x40, STAMP_TLV_I = 0x20 };
enum stamp_tlv_type {
    STAMP_TLV_PADDING = 1,
    STAMP_TLV_LOCATION = 2,
    STAMP_TLV_TIMESTAMP_INFO = 3,
    STAMP_TLV_COS = 4,
    STAMP_TLV_DIRECT = 5,
    STAMP_TLV_ACCESS = 6,
    STAMP_TLV_FOLLOW_UP = 7,
    STAMP_TLV_HMAC = 8,
};
#define STAMP_TLV_BIT(type) (1u << (type))

/* Where a clock gets its time, and how a timestamp was taken (RFC 8972 section 4.3). 0 = not told. */
enum stamp_sync_source {
    STAMP_SYNC_NTP = 1,
    STAMP_SYNC_PTP,
    STAMP_SYNC_SSU,
    STAMP_SYNC_GNSS,
    STAMP_SYNC_LOCAL
};
enum stamp_ts_method { STAMP_TS_HARDWARE = 1, STAMP_TS_SOFTWARE, STAMP_TS_CONTROL };

/* ---- Session-Sender ---- */

struct stamp_tlv_want {
    uint32_t types;    /* STAMP_TLV_BIT() of those to send; what room is left is one Extra Padding TLV */
    uint8_t cos_dscp;  /* Class of Service: DSCP wished for the answer */
    uint32_t tx_count; /* Direct Measurement: S_TxC */
    uint8_t access_id, access_code; /* Access Report: 1 3GPP, 2 not; 1 available, 2 not */
};
/* Octets that these TLVs take, without padding. */
size_t stamp_tlv_size(const struct stamp_tlv_want *w);
/* Fills exactly len octets at buf (which hold padding already, for the Extra Padding TLV's value): the TLVs,
 * HMAC last but for the padding behind it. hmac: NULL unless STAMP_TLV_HMAC is wanted. TW_EINVAL: len is less
 * than stamp_tlv_size(), or more by 1 to 3 octets, in which no TLV fits; or *w wants what there is not. */
enum tw_rc stamp_tlv_write(const struct stamp_tlv_want *w, uint32_t seq, struct crypto_hmac *hmac,
                           uint8_t *buf, size_t len);

struct stamp_tlv_seen {
    uint32_t answered; /* STAMP_TLV_BIT() of those that the reflector has filled in */
    uint32_t unrecognised;
    bool malformed; /* an M: what stands behind it has not been read; of a sub-TLV: in its TLV */
    bool integrity; /* an I, or our own check failed: nothing has been read */
    /* Location: what the reflector saw. family 0: not told. */
    struct tw_addr location_source, location_target;
    uint8_t sync_in, method_in, sync_out, method_out; /* Timestamp Information */
    uint8_t cos_dscp, cos_ecn;                        /* Class of Service: as received */
    bool cos_refused;                                 /* RP: the answer has not the DSCP wished for */
    uint32_t direct_tx, direct_rx, direct_reflected;  /* Direct Measurement: S_TxC, R_RxC, R_TxC */
    uint8_t access_id, access_code;
    bool follow_up;          /* the following are told */
    uint32_t follow_up_seq;  /* reflector's number of its previous answer */
    uint64_t follow_up_time; /* when it left, in the format of the answer's Error Estimate */
    uint8_t follow_up_method;
};
/* data: what follows the base packet of an answer. seq: of the answer. hmac: NULL = an HMAC TLV is not
 * checked; else one must be there and right, unless all there is is one Extra Padding TLV. Never fails: what
 * cannot be read is flagged. */
void stamp_tlv_read(const uint8_t *data, size_t len, uint32_t seq, struct crypto_hmac *hmac,
                    struct stamp_tlv_seen *ret);

/* ---- Session-Reflector ---- */

/* What the reflector knows when it answers. */
struct stamp_tlv_facts {
    struct tw_addr from, to; /* as received; family 0 = not known */
    int16_t tos;             /* as received, -1 = not known */
    uint8_t sync_source, method_in, method_out;
    uint8_t mac_len, source_mac[8]; /* of the link the request came by; 0 = not known, answered as zeros */
    bool refuse_dscp;               /* policy: answer in the received DSCP whatever is wished */
    uint32_t rx_count,
        tx_count;   /* Direct Measurement: received and answered, of this session, with this one */
    bool follow_up; /* the following are known */
    uint32_t follow_up_seq;
    uint64_t follow_up_time; /* in the format of our Error Estimate */
    uint8_t follow_up_method;
    uint32_t seq;             /* of the request, for checking its HMAC TLV */
    uint32_t reply_seq;       /* of the answer */
    struct crypto_hmac *hmac; /* NULL: HMAC TLVs are not known here, and none is demanded */
    bool demand_hmac;         /* authenticated mode: TLVs other than a single Extra Padding need one */
};
struct stamp_tlv_outcome {
    int16_t reply_dscp;  /* that the answer shall have, -1 = the usual */
    bool want_follow_up; /* the sender asks: remember when this answer leaves */
    bool integrity_failed, malformed;
    uint32_t types; /* STAMP_TLV_BIT() of the known types that were answered */
};
/* Copies the len octets behind the request's base packet to out, filled in by the rules of RFC 8972
 * section 4. out does not overlap in. */
void stamp_tlv_answer(const uint8_t *in, size_t len, const struct stamp_tlv_facts *facts, uint8_t *out,
                      struct stamp_tlv_outcome *ret);

#endif
