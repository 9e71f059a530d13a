/* agent/core/stamp_tlv_kinds.h - inside stamp_tlv: what a TLV is on the wire, and one row for each type. */
#ifndef TW_AGENT_STAMP_TLV_KINDS_H
#define TW_AGENT_STAMP_TLV_KINDS_H

#include "agent/core/stamp_tlv.h"

#define STAMP_TLV_HEAD 4 /* flags, type, length */

/* One TLV among others, by offsets. */
struct tlv {
    size_t head, value, next;
    size_t len; /* of the value, as it says */
    uint8_t flags, type;
    bool cut; /* what holds it ends before the value does; then next is that end */
};
/* The TLV that begins at octet `at`. False: fewer than 4 octets are left. */
bool stamp_tlv_at(const uint8_t *data, size_t len, size_t at, struct tlv *ret);

/* What the functions of the rows work with. start: of the first TLV, for the HMAC. */
struct tlv_put {
    const struct stamp_tlv_want *want;
    uint32_t seq;
    struct crypto_hmac *hmac;
    uint8_t *start;
};
struct tlv_fill {
    const struct stamp_tlv_facts *facts;
    struct stamp_tlv_outcome *outcome;
    uint8_t *start;
};

struct tlv_kind {
    uint16_t min, max; /* Length that is valid */
    uint16_t size;     /* of the value that we send */
    bool zero_wrong;   /* of a wrong Length: the value comes back as zeros, not as it came */
    /* Sender: v points to `size` zeros. */
    void (*put)(const struct tlv_put *p, uint8_t *v);
    /* Reflector: v holds the request's value. False: malformed, and v is as it was. */
    bool (*fill)(const struct tlv_fill *f, uint8_t *v, size_t len);
    /* Sender: the answer's value. */
    void (*read)(const uint8_t *v, size_t len, struct stamp_tlv_seen *seen);
};
/* NULL: a type that we do not know. */
const struct tlv_kind *stamp_tlv_kind(uint8_t type);

#endif
