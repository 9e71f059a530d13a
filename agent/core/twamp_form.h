/* agent/core/twamp_form.h - TWAMP-Test packets in every mode: unauthenticated, authenticated, encrypted,
 * mixed, with the features of RFC 6038 (reflect octets, symmetrical size), RFC 7750 (DSCP and ECN), RFC 8186
 * (timestamps). Layouts and what is encrypted: RFC 5357 sections 4.1.2 and 4.2.1, RFC 4656 section 4.1.2; the
 * unauthenticated layout itself is in twamp_pkt.h. All sizes are UDP payload octets. Pure; not thread-safe.
 */
#ifndef TW_AGENT_TWAMP_FORM_H
#define TW_AGENT_TWAMP_FORM_H

#include <stddef.h>
#include "agent/core/test_pkt.h"
#include "common/rc.h"

/* The Modes word of TWAMP-Control: exactly one security mode and any features. */
enum twamp_mode {
    TWAMP_OPEN = 0x001,
    TWAMP_AUTHENTICATED = 0x002,
    TWAMP_ENCRYPTED = 0x004,
    TWAMP_MIXED = 0x008, /* RFC 5618: control as encrypted, test as open */
    TWAMP_SECURITY = 0x00f,
    TWAMP_INDIVIDUAL = 0x010,  /* RFC 5938 */
    TWAMP_REFLECT = 0x020,     /* RFC 6038 */
    TWAMP_SYMMETRICAL = 0x040, /* RFC 6038 */
    TWAMP_DSCP_ECN = 0x100,    /* RFC 7750 */
    TWAMP_PTP = 0x200,         /* RFC 8186 */
    TWAMP_FEATURES = 0x370,    /* all that we know */
};

/* Keys of one test session, RFC 4656 section 3.1 and 5357 section 4.1.2 (twamp_ctl derives them from the
 * SID). */
struct twamp_test_keys {
    uint8_t aes[16], hmac[32];
};

struct twamp_form_cfg {
    uint32_t mode;               /* one security mode | features */
    struct twamp_test_keys keys; /* authenticated and encrypted mode */
    uint16_t server_octets;      /* TWAMP_REFLECT: not 0 = the first two octets of the sender's padding */
};

struct twamp_form;

/* TW_EINVAL: not exactly one security mode, or unknown features. Copies the keys; freeing wipes them. */
enum tw_rc twamp_form_new(const struct twamp_form_cfg *cfg, struct twamp_form **ret);
void twamp_form_free(struct twamp_form *f);
/* Smallest sender packet, and where its padding begins (Server octets need two more); smallest answer, and
 * where its padding begins. With RFC 6038's symmetrical size both are the same. */
size_t twamp_form_probe_min(const struct twamp_form *f);
size_t twamp_form_reply_min(const struct twamp_form *f);

/* ---- Session-Sender ---- */

/* buf holds len octets whose padding (from twamp_form_probe_min() on) the caller has filled; writes all
 * before it, and the Server octets into the padding. Encrypts and signs. TW_ETRUNC: len too small. */
enum tw_rc twamp_form_write_probe(struct twamp_form *f, const struct test_probe *p, uint8_t *buf, size_t len);
/* Decrypts and checks. In open form answers from 36 octets on are taken (some reflectors leave out MBZ and
 * TTL). TW_ETRUNC; TW_EINVAL: the reflector's Error Estimate has multiplier 0; TW_EPERM: HMAC. */
enum tw_rc twamp_form_read_reply(struct twamp_form *f, const uint8_t *data, size_t len,
                                 struct test_reply *ret);

/* ---- Session-Reflector ---- */

/* Leaves the input as it is. Takes packets without the MBZ of RFC 6038, too: peers differ about its length.
 * TW_ETRUNC; TW_EPERM: HMAC. */
enum tw_rc twamp_form_read_probe(struct twamp_form *f, const uint8_t *data, size_t len,
                                 struct test_probe *ret);
/* Length of the answer to a request of so many octets: as long, but at least twamp_form_reply_min(). */
size_t twamp_form_reply_len(const struct twamp_form *f, size_t request_len);
/* Writes all of the answer but T3 and the Error Estimate: r without t3 and err_est, then the request's
 * padding from its start. buf holds twamp_form_reply_len(len) octets. */
enum tw_rc twamp_form_write_reply(struct twamp_form *f, const struct test_reply *r, const uint8_t *request,
                                  size_t len, uint8_t *buf);
/* Puts T3 and the Error Estimate in, then encrypts and signs: the last thing before sending, once per answer.
 */
enum tw_rc twamp_form_seal_reply(struct twamp_form *f, uint8_t *buf, uint64_t t3, uint16_t err_est);
/* The number of an answer that is not sealed yet. */
uint32_t twamp_form_reply_seq(const struct twamp_form *f, const uint8_t *buf);

#endif
