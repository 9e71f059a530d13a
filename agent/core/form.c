/* agent/core/form.c - one way to write and read a session's packets, whatever they look like; see form.h. */
#include "agent/core/form.h"

#include <stdlib.h>
#include <string.h>

#include "agent/core/twamp_pkt.h"

enum {
    TLV_HEADER = 4,
    SERVER_OCTETS = 2,
    DSCP_MAX = 63,
    TLV_KNOWN = STAMP_TLV_BIT(STAMP_TLV_HMAC + 1) - STAMP_TLV_BIT(STAMP_TLV_PADDING),
};

struct form {
    enum form_kind kind;
    struct twamp_form *twamp;     /* NULL: TWAMP Light */
    size_t min, padding_at, more; /* a packet has min octets, or min + more at least */
    /* STAMP: */
    uint16_t ssid;
    bool authenticated;
    struct stamp_keys *keys; /* NULL: none */
    unsigned last_key;       /* that an answer was signed with */
    struct stamp_tlv_want want;
};

/* Has no key and nothing of its own, so that all sessions can share it. Never written to. */
static struct form light = { .kind = FORM_TWAMP, .min = TWAMP_PROBE_MIN, .padding_at = TWAMP_PROBE_MIN };

/* ---- Making one ---- */

static bool access_ok(const struct stamp_tlv_want *w)
{
    return !(w->types & STAMP_TLV_BIT(STAMP_TLV_ACCESS)) ||
           ((w->access_id == 1 || w->access_id == 2) && (w->access_code == 1 || w->access_code == 2));
}

static bool stamp_ok(const struct form_cfg *c)
{
    bool need_key = c->authenticated || c->tlvs.types & STAMP_TLV_BIT(STAMP_TLV_HMAC);

    return c->n_keys <= STAMP_KEYS_MAX && (c->n_keys || !need_key) &&
           !(c->tlvs.types & ~(uint32_t)TLV_KNOWN) && c->tlvs.cos_dscp <= DSCP_MAX && access_ok(&c->tlvs);
}

static bool twamp_ok(const struct form_cfg *c)
{
    return !c->ssid && !c->authenticated && !c->n_keys && !c->tlvs.types;
}

static bool is_light(const struct form_cfg *c)
{
    return !c || (c->kind == FORM_TWAMP && twamp_ok(c) && (!c->twamp.mode || c->twamp.mode == TWAMP_OPEN));
}

static enum tw_rc init_twamp(struct form *f, const struct form_cfg *c)
{
    struct twamp_form_cfg twamp = c->twamp;
    enum tw_rc rc;

    if (!twamp_ok(c))
        return TW_EINVAL;
    rc = twamp_form_new(&twamp, &f->twamp);
    crypto_wipe(&twamp.keys, sizeof twamp.keys);
    if (rc)
        return rc;
    f->padding_at = f->min = twamp_form_probe_min(f->twamp);
    if (twamp.mode & TWAMP_REFLECT && twamp.server_octets)
        f->min += SERVER_OCTETS;
    return TW_OK;
}

static enum tw_rc init_stamp(struct form *f, const struct form_cfg *c)
{
    if (!stamp_ok(c))
        return TW_EINVAL;
    f->ssid = c->ssid;
    f->authenticated = c->authenticated;
    f->want = c->tlvs;
    f->want.types &= ~(uint32_t)STAMP_TLV_BIT(STAMP_TLV_PADDING); /* comes by the size */
    if (f->authenticated && f->want.types)                        /* RFC 8972 section 4.8: must */
        f->want.types |= STAMP_TLV_BIT(STAMP_TLV_HMAC);
    if (c->n_keys && !(f->keys = calloc(1, sizeof *f->keys)))
        return TW_ENOMEM;
    for (unsigned i = 0; i < c->n_keys; i++) {
        enum tw_rc rc = stamp_keys_add(f->keys, c->keys[i].octets, c->keys[i].len);
        if (rc)
            return rc;
    }
    f->min = stamp_base(f->authenticated) + stamp_tlv_size(&f->want);
    f->more = TLV_HEADER;
    f->padding_at = f->min + TLV_HEADER;
    return TW_OK;
}

enum tw_rc form_new(const struct form_cfg *cfg, struct form **ret)
{
    struct form *f;
    enum tw_rc rc;

    if (is_light(cfg)) {
        *ret = &light;
        return TW_OK;
    }
    f = calloc(1, sizeof *f);
    if (!f)
        return TW_ENOMEM;
    f->kind = cfg->kind;
    rc = f->kind == FORM_STAMP ? init_stamp(f, cfg) : init_twamp(f, cfg);
    if (rc) {
        form_free(f);
        return rc;
    }
    *ret = f;
    return TW_OK;
}

void form_free(struct form *f)
{
    if (!f || f == &light)
        return;
    twamp_form_free(f->twamp);
    if (f->keys)
        stamp_keys_clear(f->keys);
    free(f->keys);
    free(f);
}

enum form_kind form_kind(const struct form *f)
{
    return f->kind;
}

size_t form_probe_min(const struct form *f)
{
    return f->min;
}

bool form_size_ok(const struct form *f, size_t len)
{
    return len <= TEST_DATAGRAM_MAX && (len == f->min || len >= f->min + f->more);
}

size_t form_padding_at(const struct form *f)
{
    return f->padding_at;
}

/* ---- Sender packets ---- */

static enum tw_rc write_tlvs(struct form *f, uint32_t seq, uint8_t *buf, size_t len)
{
    bool sign = f->want.types & STAMP_TLV_BIT(STAMP_TLV_HMAC);
    struct stamp_tlv_want want = f->want;

    if (!len)
        return TW_OK;
    /* The flow that Direct Measurement counts is the session itself: its packets up to this one. */
    want.tx_count += seq + 1;
    return stamp_tlv_write(&want, seq, sign ? f->keys->key[0] : NULL, buf, len);
}

static enum tw_rc write_stamp(struct form *f, const struct test_probe *p, uint8_t *buf, size_t len)
{
    size_t base = stamp_base(f->authenticated);
    struct test_probe probe = *p;
    enum tw_rc rc;

    probe.ssid = f->ssid;
    rc = stamp_write_probe(f->authenticated ? f->keys : NULL, 0, &probe, buf, len);
    return rc ? rc : write_tlvs(f, p->seq, buf + base, len - base);
}

enum tw_rc form_write_probe(struct form *f, const struct test_probe *p, uint8_t *buf, size_t len)
{
    if (len < f->min)
        return TW_ETRUNC;
    if (!form_size_ok(f, len))
        return TW_EINVAL;
    if (f->kind == FORM_STAMP)
        return write_stamp(f, p, buf, len);
    return f->twamp ? twamp_form_write_probe(f->twamp, p, buf, len) : twamp_encode_probe(p, buf, len);
}

/* ---- Answers ---- */

/* Authenticated: the TLVs are signed with the key of the base packet. Else any of ours will do: while keys
 * change, answers to the old one are under way. */
static void read_tlvs(struct form *f, uint32_t seq, const uint8_t *data, size_t len,
                      struct stamp_tlv_seen *ret)
{
    if (f->authenticated) {
        stamp_tlv_read(data, len, seq, f->keys->key[f->last_key], ret);
        return;
    }
    if (!(f->want.types & STAMP_TLV_BIT(STAMP_TLV_HMAC))) {
        stamp_tlv_read(data, len, seq, NULL, ret);
        return;
    }
    ret->integrity = true;
    for (unsigned i = 0; i < f->keys->n && ret->integrity; i++)
        stamp_tlv_read(data, len, seq, f->keys->key[i], ret);
}

/* A reflector of TWAMP Light or of RFC 8762 only returns something else than TLVs, or not as TLVs. The SSID
 * tells: only who knows of TLVs returns it (RFC 8972 section 3). */
static bool has_tlvs(const struct form *f, const struct test_reply *r, size_t len)
{
    return len > stamp_base(f->authenticated) && (f->ssid ? r->ssid == f->ssid : f->want.types);
}

static enum tw_rc read_stamp(struct form *f, const uint8_t *data, size_t len, struct test_reply *ret,
                             struct stamp_tlv_seen *ret_tlvs)
{
    size_t base = stamp_base(f->authenticated);
    struct test_reply r;
    enum tw_rc rc = stamp_read_reply(f->authenticated ? f->keys : NULL, data, len, &r, &f->last_key);

    if (rc)
        return rc;
    if (r.ssid && r.ssid != f->ssid)
        return TW_EINVAL;
    memset(ret_tlvs, 0, sizeof *ret_tlvs);
    if (has_tlvs(f, &r, len))
        read_tlvs(f, r.seq, data + base, len - base, ret_tlvs);
    if (ret_tlvs->answered & STAMP_TLV_BIT(STAMP_TLV_COS)) {
        r.tos_known = true;
        r.sender_tos = (uint8_t)(ret_tlvs->cos_dscp << 2 | ret_tlvs->cos_ecn);
    }
    *ret = r;
    return TW_OK;
}

enum tw_rc form_read_reply(struct form *f, const uint8_t *data, size_t len, struct test_reply *ret,
                           struct stamp_tlv_seen *ret_tlvs)
{
    enum tw_rc rc;

    if (f->kind == FORM_STAMP)
        return read_stamp(f, data, len, ret, ret_tlvs);
    rc = f->twamp ? twamp_form_read_reply(f->twamp, data, len, ret) : twamp_decode_reply(data, len, ret);
    if (!rc)
        memset(ret_tlvs, 0, sizeof *ret_tlvs);
    return rc;
}
