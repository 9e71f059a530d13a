/* agent/core/twamp_form.c - TWAMP-Test packets in every mode; the open layout is that of twamp_pkt.c.
 *
 * Authenticated and encrypted mode, RFC 4656 section 4.1.2 and RFC 5357 sections 4.1.2, 4.2.1:
 *   Sender:                                Reflector:
 *    0 Sequence Number    4 MBZ             0 Sequence Number    4 MBZ
 *   16 Timestamp T1                        16 Timestamp T3
 *   24 Error Estimate    26 MBZ            24 Error Estimate    26 MBZ
 *   32 HMAC                                32 Receive Timestamp T2    40 MBZ
 *   48 Packet Padding                      48 Sender Sequence Number    52 MBZ
 *                                          64 Sender Timestamp T1
 *                                          72 Sender Error Estimate    74 MBZ
 *                                          80 Sender TTL
 *                                          81 MBZ; RFC 7750: DSCP and ECN as received
 *                                          96 HMAC    112 Packet Padding
 *
 * Encrypted, and covered by the HMAC before that: the first block (authenticated) or all before the HMAC
 * (encrypted). Each packet begins a new chain with IV 0. HMAC and padding stay in clear. */
#include "agent/core/twamp_form.h"

#include <stdlib.h>
#include <string.h>

#include "agent/core/crypto.h"
#include "agent/core/twamp_pkt.h"
#include "common/wire.h"

enum {
    ERREST_MULTIPLIER = 0xff,
    SERVER_OCTETS = 2,
    /* open form */
    TOS_AT = 41,
    TOS_ROOM = 3, /* RFC 7750: the octet itself and 2 MBZ, where padding would begin */
    /* the others */
    PROBE_MAC = 32,
    REPLY_MAC = 96,
    TIME_AT = 16,
    PROBE_HEAD = PROBE_MAC + CRYPTO_MAC,
    REPLY_HEAD = REPLY_MAC + CRYPTO_MAC,
};

struct twamp_form {
    uint32_t mode;
    uint16_t server_octets;
    bool secure;
    size_t probe_head, probe_padding; /* octets before the MBZ of RFC 6038; before the padding */
    size_t reply_head;
    size_t probe_text, reply_text; /* secure: octets encrypted and under the HMAC */
    struct crypto_aes *encrypt, *decrypt;
    struct crypto_hmac *hmac;
};

/* ---- Making one ---- */

static bool mode_ok(uint32_t mode)
{
    uint32_t security = mode & TWAMP_SECURITY;

    return security && !(security & (security - 1)) && !(mode & ~(uint32_t)(TWAMP_SECURITY | TWAMP_FEATURES));
}

/* RFC 6038 section 5: with symmetrical size the sender's padding begins where the reflector's does. RFC 7750
 * speaks of 28 octets more for its one field; its own figure has 30, and only so is the padding whole. */
static void set_sizes(struct twamp_form *f)
{
    f->probe_head = f->secure ? PROBE_HEAD : TWAMP_PROBE_MIN;
    f->reply_head = f->secure ? REPLY_HEAD : TWAMP_REPLY_MIN;
    if (!f->secure && f->mode & TWAMP_DSCP_ECN)
        f->reply_head += TOS_ROOM;
    f->probe_padding = f->mode & TWAMP_SYMMETRICAL ? f->reply_head : f->probe_head;
    f->probe_text = f->mode & TWAMP_ENCRYPTED ? PROBE_MAC : CRYPTO_BLOCK;
    f->reply_text = f->mode & TWAMP_ENCRYPTED ? REPLY_MAC : CRYPTO_BLOCK;
}

static enum tw_rc set_keys(struct twamp_form *f, const struct twamp_test_keys *keys)
{
    bool chain = f->mode & TWAMP_ENCRYPTED;
    enum tw_rc rc;

    if (!f->secure)
        return TW_OK;
    rc = crypto_aes_new(chain ? CRYPTO_CBC_ENCRYPT : CRYPTO_ECB_ENCRYPT, keys->aes, NULL, &f->encrypt);
    if (!rc)
        rc = crypto_aes_new(chain ? CRYPTO_CBC_DECRYPT : CRYPTO_ECB_DECRYPT, keys->aes, NULL, &f->decrypt);
    if (!rc)
        rc = crypto_hmac_new(CRYPTO_SHA1, keys->hmac, sizeof keys->hmac, &f->hmac);
    return rc;
}

enum tw_rc twamp_form_new(const struct twamp_form_cfg *cfg, struct twamp_form **ret)
{
    struct twamp_form *f;
    enum tw_rc rc;

    if (!mode_ok(cfg->mode))
        return TW_EINVAL;
    f = calloc(1, sizeof *f);
    if (!f)
        return TW_ENOMEM;
    f->mode = cfg->mode;
    f->secure = cfg->mode & (TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED);
    f->server_octets = cfg->mode & TWAMP_REFLECT ? cfg->server_octets : 0;
    set_sizes(f);
    rc = set_keys(f, &cfg->keys);
    if (rc) {
        twamp_form_free(f);
        return rc;
    }
    *ret = f;
    return TW_OK;
}

void twamp_form_free(struct twamp_form *f)
{
    if (!f)
        return;
    crypto_aes_free(f->encrypt);
    crypto_aes_free(f->decrypt);
    crypto_hmac_free(f->hmac);
    free(f);
}

size_t twamp_form_probe_min(const struct twamp_form *f)
{
    return f->probe_padding;
}

size_t twamp_form_reply_min(const struct twamp_form *f)
{
    return f->reply_head;
}

/* ---- Protection of what is not in clear ---- */

/* Signs and encrypts a packet whose HMAC field is at mac. */
static enum tw_rc protect(struct twamp_form *f, uint8_t *buf, size_t text, size_t mac)
{
    enum tw_rc rc;

    crypto_hmac(f->hmac, buf, text, NULL, 0, buf + mac);
    rc = crypto_aes_restart(f->encrypt, NULL);
    return rc ? rc : crypto_aes_run(f->encrypt, buf, text, buf);
}

/* Copies the mac octets before the HMAC field to ret in clear; data is left as it is. */
static enum tw_rc unprotect(struct twamp_form *f, const uint8_t *data, size_t text, size_t mac, uint8_t *ret)
{
    enum tw_rc rc = crypto_aes_restart(f->decrypt, NULL);

    if (!rc)
        rc = crypto_aes_run(f->decrypt, data, text, ret);
    if (rc)
        return rc;
    memcpy(ret + text, data + text, mac - text);
    return crypto_hmac_ok(f->hmac, ret, text, NULL, 0, data + mac) ? TW_OK : TW_EPERM;
}

/* ---- Session-Sender ---- */

static void put_probe(const struct test_probe *p, uint8_t *buf)
{
    struct wire_wr w = { .p = buf, .end = buf + PROBE_MAC };

    memset(buf, 0, PROBE_MAC);
    wire_put_u32(&w, p->seq);
    wire_room(&w, 12);
    wire_put_u64(&w, p->t1);
    wire_put_u16(&w, p->err_est);
}

enum tw_rc twamp_form_write_probe(struct twamp_form *f, const struct test_probe *p, uint8_t *buf, size_t len)
{
    if (len < f->probe_padding + (f->server_octets ? SERVER_OCTETS : 0))
        return TW_ETRUNC;
    memset(buf + f->probe_head, 0, f->probe_padding - f->probe_head);
    if (f->server_octets) {
        buf[f->probe_padding] = (uint8_t)(f->server_octets >> 8);
        buf[f->probe_padding + 1] = (uint8_t)f->server_octets;
    }
    if (!f->secure)
        return twamp_encode_probe(p, buf, len);
    put_probe(p, buf);
    return protect(f, buf, f->probe_text, PROBE_MAC);
}

static void get_reply(const uint8_t *clear, struct test_reply *ret)
{
    struct wire_rd r = { .p = clear, .end = clear + REPLY_MAC };

    *ret = (struct test_reply){ .seq = wire_get_u32(&r) };
    wire_take(&r, 12);
    ret->t3 = wire_get_u64(&r);
    ret->err_est = wire_get_u16(&r);
    wire_take(&r, 6);
    ret->t2 = wire_get_u64(&r);
    wire_take(&r, 8);
    ret->sender_seq = wire_get_u32(&r);
    wire_take(&r, 12);
    ret->sender_t1 = wire_get_u64(&r);
    ret->sender_err_est = wire_get_u16(&r);
    wire_take(&r, 6);
    ret->sender_ttl = wire_get_u8(&r);
    ret->ttl_known = ret->sender_ttl; /* no datagram arrives with TTL 0 */
    ret->sender_tos = wire_get_u8(&r);
}

static enum tw_rc read_secure_reply(struct twamp_form *f, const uint8_t *data, size_t len,
                                    struct test_reply *ret)
{
    uint8_t clear[REPLY_MAC];
    struct test_reply r;
    enum tw_rc rc;

    if (len < REPLY_HEAD)
        return TW_ETRUNC;
    rc = unprotect(f, data, f->reply_text, REPLY_MAC, clear);
    if (rc)
        return rc;
    get_reply(clear, &r);
    if (!(r.err_est & ERREST_MULTIPLIER)) /* RFC 4656 section 4.1.2: corrupt */
        return TW_EINVAL;
    r.tos_known = f->mode & TWAMP_DSCP_ECN;
    if (!r.tos_known)
        r.sender_tos = 0;
    *ret = r;
    return TW_OK;
}

enum tw_rc twamp_form_read_reply(struct twamp_form *f, const uint8_t *data, size_t len,
                                 struct test_reply *ret)
{
    enum tw_rc rc;

    if (f->secure)
        return read_secure_reply(f, data, len, ret);
    rc = twamp_decode_reply(data, len, ret);
    if (!rc && f->mode & TWAMP_DSCP_ECN && len > TOS_AT) {
        ret->tos_known = true;
        ret->sender_tos = data[TOS_AT];
    }
    return rc;
}

/* ---- Session-Reflector ---- */

enum tw_rc twamp_form_read_probe(struct twamp_form *f, const uint8_t *data, size_t len,
                                 struct test_probe *ret)
{
    uint8_t clear[PROBE_MAC];
    struct wire_rd r = { .p = clear, .end = clear + sizeof clear };
    enum tw_rc rc;

    /* Not probe_padding: senders that take RFC 6038's MBZ to be shorter are answered, too. */
    if (!f->secure)
        return twamp_decode_probe(data, len, ret);
    if (len < PROBE_HEAD)
        return TW_ETRUNC;
    rc = unprotect(f, data, f->probe_text, PROBE_MAC, clear);
    if (rc)
        return rc;
    *ret = (struct test_probe){ .seq = wire_get_u32(&r) };
    wire_take(&r, 12);
    ret->t1 = wire_get_u64(&r);
    ret->err_est = wire_get_u16(&r);
    return TW_OK;
}

size_t twamp_form_reply_len(const struct twamp_form *f, size_t request_len)
{
    return request_len > f->reply_head ? request_len : f->reply_head;
}

static void put_reply(const struct test_reply *a, bool with_tos, uint8_t *buf)
{
    struct wire_wr w = { .p = buf, .end = buf + REPLY_HEAD };

    memset(buf, 0, REPLY_HEAD);
    wire_put_u32(&w, a->seq);
    wire_room(&w, 28); /* T3 and its Error Estimate come when it is sealed */
    wire_put_u64(&w, a->t2);
    wire_room(&w, 8);
    wire_put_u32(&w, a->sender_seq);
    wire_room(&w, 12);
    wire_put_u64(&w, a->sender_t1);
    wire_put_u16(&w, a->sender_err_est);
    wire_room(&w, 6);
    wire_put_u8(&w, a->ttl_known ? a->sender_ttl : 255);
    wire_put_u8(&w, with_tos && a->tos_known ? a->sender_tos : 0);
}

static enum tw_rc put_open_reply(const struct twamp_form *f, const struct test_reply *a, uint8_t *buf)
{
    struct test_reply unsealed = *a;

    unsealed.t3 = 0;
    unsealed.err_est = 0;
    if (f->mode & TWAMP_DSCP_ECN) {
        memset(buf + TOS_AT, 0, TOS_ROOM);
        buf[TOS_AT] = a->tos_known ? a->sender_tos : 0;
    }
    return twamp_encode_reply(&unsealed, buf, TWAMP_REPLY_MIN);
}

enum tw_rc twamp_form_write_reply(struct twamp_form *f, const struct test_reply *r, const uint8_t *request,
                                  size_t len, uint8_t *buf)
{
    /* The answer's padding is never longer than the request's: it begins later, or at the same place. */
    if (len > f->reply_head)
        memcpy(buf + f->reply_head, request + f->probe_padding, len - f->reply_head);
    if (!f->secure)
        return put_open_reply(f, r, buf);
    put_reply(r, f->mode & TWAMP_DSCP_ECN, buf);
    return TW_OK;
}

enum tw_rc twamp_form_seal_reply(struct twamp_form *f, uint8_t *buf, uint64_t t3, uint16_t err_est)
{
    uint8_t *at = buf + (f->secure ? TIME_AT : 4);
    struct wire_wr w = { .p = at, .end = at + 10 };

    wire_put_u64(&w, t3);
    wire_put_u16(&w, err_est);
    return f->secure ? protect(f, buf, f->reply_text, REPLY_MAC) : TW_OK;
}

uint32_t twamp_form_reply_seq(const struct twamp_form *f, const uint8_t *buf)
{
    struct wire_rd r = { .p = buf, .end = buf + 4 };

    (void)f; /* the same place in all of them */
    return wire_get_u32(&r);
}
