/* agent/core/form.h - how the packets of one session look: TWAMP in one of its modes (Light is the
 * unauthenticated one), or STAMP with or without authentication and TLVs. Session-Senders and controlled
 * Session-Reflectors are written once, against this. Pure; belongs to one session (that of TWAMP Light, which
 * has nothing to remember, is one for all: any thread may use and free it). */
#ifndef TW_AGENT_FORM_H
#define TW_AGENT_FORM_H

#include "agent/core/stamp_pkt.h"
#include "agent/core/stamp_tlv.h"
#include "agent/core/twamp_form.h"

enum form_kind { FORM_TWAMP, FORM_STAMP };

struct form_key {
    const uint8_t *octets;
    size_t len;
};

struct form_cfg {
    enum form_kind kind;
    struct twamp_form_cfg twamp; /* FORM_TWAMP; mode 0 = TWAMP_OPEN */
    /* FORM_STAMP: */
    uint16_t ssid; /* 0 = none, RFC 8762 */
    bool authenticated;
    struct form_key keys[STAMP_KEYS_MAX]; /* the first signs, all are taken */
    unsigned n_keys;                      /* also for an HMAC TLV in unauthenticated mode */
    /* STAMP_TLV_PADDING says nothing here: padding comes by the size. Direct Measurement counts the session's
     * own probes: S_TxC = tx_count + Sequence Number + 1. */
    struct stamp_tlv_want tlvs;
};

struct form;

/* cfg NULL: TWAMP Light. Copies what it needs; freeing wipes the keys. TW_EINVAL: contradictory, or a value
 * that there is not. Authenticated STAMP with TLVs gets the HMAC TLV that it must have. */
enum tw_rc form_new(const struct form_cfg *cfg, struct form **ret);
void form_free(struct form *f);
enum form_kind form_kind(const struct form *f);
/* Smallest sender packet; a larger one may need at least so many octets more (STAMP: 4 for the Extra Padding
 * TLV). */
size_t form_probe_min(const struct form *f);
/* May a sender packet have this size? */
bool form_size_ok(const struct form *f, size_t len);
/* Where the padding begins that the caller may fill in once; in STAMP it may be behind the end of the
 * smallest packet. */
size_t form_padding_at(const struct form *f);

/* Writes a sender packet of len octets, its padding filled by the caller before; the SSID is the form's own.
 * TW_ETRUNC: below form_probe_min(); TW_EINVAL: not a size of this form. */
enum tw_rc form_write_probe(struct form *f, const struct test_probe *p, uint8_t *buf, size_t len);
/* What an answer says. *ret_tlvs is zeroed where there are none. TW_ETRUNC, TW_EINVAL, TW_EPERM
 * (authentication). A STAMP answer whose SSID is neither ours nor 0: TW_EINVAL. TLVs are read only if the
 * SSID came back (or none was sent). */
enum tw_rc form_read_reply(struct form *f, const uint8_t *data, size_t len, struct test_reply *ret,
                           struct stamp_tlv_seen *ret_tlvs);

#endif
