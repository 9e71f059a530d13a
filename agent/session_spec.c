/* agent/session_spec.c - see session_spec.h. */
#include "agent/session_spec.h"

#include <net/if.h>
#include <string.h>
#include "agent/keyring.h"
#include "common/hostname.h"

#define PERIOD_MAX_NS (366 * 86400 * TW_NS_PER_S) /* as session_new() */
#define SIZE_MIN 14
#define NAME_MAX_OCTETS 63
#define SIGNED_MIN 48 /* TWAMP, authenticated and encrypted */
#define ACCESS_NOT_3GPP 2
#define ACCESS_AVAILABLE 1

/* ---- Checks ---- */

static const char *check_names(const Tw__SessionSpec *p)
{
    return strlen(p->mesh) > NAME_MAX_OCTETS || strlen(p->class_name) > NAME_MAX_OCTETS ||
                   strlen(p->target) > NAME_MAX_OCTETS
               ? "a name has more than 63 octets"
               : NULL;
}

static const char *check_times(const Tw__SessionSpec *p)
{
    if (p->spacing_kind != TW__SPACING_KIND__SPACING_FIXED &&
        p->spacing_kind != TW__SPACING_KIND__SPACING_EXPONENTIAL)
        return "the agent does not know this kind of spacing";
    if (p->spacing_ns < TW_NS_PER_MS || p->spacing_ns > 3600 * TW_NS_PER_S)
        return "spacing outside 1ms..1h";
    if (p->report_period_ns > PERIOD_MAX_NS)
        return "report period over 366 days";
    if (p->report_period_ns < TW_NS_PER_S || p->timeout_ns <= 0 || p->timeout_ns > p->report_period_ns)
        return "timeout must be above 0 and within the report period of at least 1s";
    if (p->phase_ns < 0 || p->phase_ns >= p->spacing_ns)
        return "phase outside the spacing";
    return NULL;
}

static const char *check_form(const Tw__SessionSpec *p)
{
    static const uint8_t auths[] = { /* by protocol: those that it has, as bits */
                                     [TW__PROTOCOL__PROTOCOL_LIGHT] = 1 << TW__AUTH__AUTH_NONE,
                                     [TW__PROTOCOL__PROTOCOL_STAMP] =
                                         1 << TW__AUTH__AUTH_NONE | 1 << TW__AUTH__AUTH_AUTHENTICATED,
                                     [TW__PROTOCOL__PROTOCOL_TWAMP] = 0xf
    };
    const uint32_t known = STAMP_TLV_BIT(STAMP_TLV_HMAC + 1) - STAMP_TLV_BIT(STAMP_TLV_LOCATION);

    if ((unsigned)p->protocol >= TW_NELEM(auths))
        return "the agent does not know this protocol";
    if ((unsigned)p->auth > 7 || !(auths[p->protocol] & 1 << p->auth))
        return "the protocol does not have this kind of authentication";
    if (p->tlvs & ~known || (p->tlvs && p->protocol != TW__PROTOCOL__PROTOCOL_STAMP))
        return "TLVs that the agent does not know, or without STAMP";
    if (strlen(p->key_id) >= SPEC_KEY_ID)
        return "the name of the key has more than 80 octets";
    if ((p->auth != TW__AUTH__AUTH_NONE || p->tlvs & STAMP_TLV_BIT(STAMP_TLV_HMAC)) && !p->key_id[0])
        return "authentication without the name of a key";
    return p->dscp > 63 || p->reply_dscp > 63 || p->ttl < 1 || p->ttl > 255
               ? "dscp outside 0..63 or ttl outside 1..255"
               : NULL;
}

/* Smallest packets of this kind; *ret_more: a larger one has at least so many octets more. */
static size_t least_bytes(const Tw__SessionSpec *p, size_t *ret_more)
{
    bool authenticated = p->auth == TW__AUTH__AUTH_AUTHENTICATED;
    struct stamp_tlv_want tlvs = { .types = p->tlvs };

    *ret_more = 0;
    if (p->protocol != TW__PROTOCOL__PROTOCOL_STAMP)
        return authenticated || p->auth == TW__AUTH__AUTH_ENCRYPTED ? SIGNED_MIN : SIZE_MIN;
    if (authenticated && tlvs.types)
        tlvs.types |= STAMP_TLV_BIT(STAMP_TLV_HMAC);
    *ret_more = 4; /* an Extra Padding TLV */
    return stamp_base(authenticated) + stamp_tlv_size(&tlvs);
}

static bool size_ok(const Tw__SessionSpec *p, uint32_t bytes)
{
    size_t more, least = least_bytes(p, &more);

    return bytes == least || (bytes >= least + more && bytes <= TEST_DATAGRAM_MAX);
}

static const char *check_sizes(const Tw__SessionSpec *p)
{
    static const char wrong[] = "size above 9000 octets, or less than the packets need";

    if (p->n_imix_bytes && p->n_imix_bytes != TW_NELEM(((struct session_cfg *)0)->imix_bytes))
        return "an imix has three sizes";
    for (size_t i = 0; i < p->n_imix_bytes; i++)
        if (!size_ok(p, p->imix_bytes[i]))
            return wrong;
    return p->n_imix_bytes || size_ok(p, p->size_bytes) ? NULL : wrong;
}

static const char *read_bind(const Tw__SessionSpec *p, struct session_spec *s)
{
    size_t len = strlen(p->bind);

    if (!len)
        return NULL;
    if (tw_addr_parse(p->bind, 0, &s->bind) == TW_OK)
        return s->bind.port || (s->target.family && s->bind.family != s->target.family)
                   ? "bind: the address has a port, or is of another family than the target's"
                   : NULL;
    s->bind = (struct tw_addr){ 0 };
    if (len >= sizeof s->interface || !if_nametoindex(p->bind))
        return "bind: this agent has no such interface";
    memcpy(s->interface, p->bind, len + 1);
    return NULL;
}

static const char *read_target(const Tw__SessionSpec *p, struct session_spec *s)
{
    if (p->port < 1 || p->port > 65535)
        return "no pair or port";
    if (!*p->host)
        return tw_addr_parse(p->address, (uint16_t)p->port, &s->target) == TW_OK && s->target.port == p->port
                   ? NULL
                   : "target address is not numeric, or has another port";
    if (*p->address)
        return "the target has an address and a host name";
    if (!hostname_ok(p->host))
        return "the target's host name is none";
    if (p->host_family && p->host_family != 4 && p->host_family != 6)
        return "the family of the target's host name is neither 4 nor 6";
    s->by_name = true;
    s->target = (struct tw_addr){ .port = (uint16_t)p->port, .family = (uint8_t)p->host_family };
    return NULL;
}

/* ---- Reading ---- */

static uint64_t seed_of(const Tw__SessionSpec *p)
{
    uint64_t x = p->pair_id * 0x9e3779b97f4a7c15u + p->flow;

    x ^= x >> 31;
    return x * 0xbf58476d1ce4e5b9u;
}

/* The upper bits of a product mix best. One in 65,536 shares its number with 1; addresses tell them apart. */
static uint16_t ssid_of(const Tw__SessionSpec *p)
{
    uint16_t id = (uint16_t)(seed_of(p) >> 48);

    return id ? id : 1;
}

static struct session_cfg cfg_of(const Tw__SessionSpec *p, uint64_t generation)
{
    struct session_cfg c = {
        .pair_id = p->pair_id,
        .flow = p->flow,
        .generation = generation,
        .spacing_ns = p->spacing_ns,
        .spacing_kind =
            p->spacing_kind == TW__SPACING_KIND__SPACING_EXPONENTIAL ? SESSION_EXPONENTIAL : SESSION_FIXED,
        .size_bytes = (uint16_t)p->size_bytes,
        .zero_padding = p->zero_padding,
        .dscp = (uint8_t)p->dscp,
        .timeout_ns = p->timeout_ns,
        .report_period_ns = p->report_period_ns,
        .phase_ns = p->phase_ns,
        .seed = seed_of(p),
        .reflector_stateful = p->reflector_stateful,
    };

    for (size_t i = 0; i < p->n_imix_bytes; i++)
        c.imix_bytes[i] = (uint16_t)p->imix_bytes[i];
    return c;
}

const char *session_spec_read(const Tw__SessionSpec *p, uint64_t generation, struct session_spec *ret)
{
    struct session_spec s = { .ttl = (uint8_t)p->ttl,
                              .df = p->df,
                              .protocol = p->protocol,
                              .auth = p->auth,
                              .tlvs = p->tlvs,
                              .reply_dscp = (uint8_t)p->reply_dscp,
                              .times_id = p->times_id,
                              .times_phase_ns = p->times_phase_ns };
    const char *why;

    if (p->refuse[0])
        return p->refuse;
    if (!p->pair_id)
        return "no pair or port";
    if ((why = check_names(p)) || (why = read_target(p, &s)) || (why = check_times(p)) || (why = check_form(p)) ||
        (why = check_sizes(p)) || (why = read_bind(p, &s)))
        return why;
    if (s.by_name && s.bind.family) /* others cannot be reached from there */
        s.target.family = s.bind.family;
    memcpy(s.key_id, p->key_id, strlen(p->key_id) + 1);
    s.cfg = cfg_of(p, generation);
    s.ssid = p->protocol == TW__PROTOCOL__PROTOCOL_STAMP ? ssid_of(p) : 0;
    *ret = s;
    return NULL;
}

static bool same_cfg(const struct session_cfg *a, const struct session_cfg *b)
{
    return a->spacing_ns == b->spacing_ns && a->spacing_kind == b->spacing_kind &&
           a->size_bytes == b->size_bytes && !memcmp(a->imix_bytes, b->imix_bytes, sizeof a->imix_bytes) &&
           a->zero_padding == b->zero_padding && a->dscp == b->dscp && a->timeout_ns == b->timeout_ns &&
           a->report_period_ns == b->report_period_ns && a->phase_ns == b->phase_ns &&
           a->reflector_stateful == b->reflector_stateful;
}

bool session_spec_same(const struct session_spec *a, const struct session_spec *b)
{
    return same_cfg(&a->cfg, &b->cfg) && !memcmp(&a->target, &b->target, sizeof a->target) &&
           a->by_name == b->by_name && a->ttl == b->ttl && a->df == b->df && !memcmp(&a->bind, &b->bind, sizeof a->bind) &&
           !strcmp(a->interface, b->interface) && a->protocol == b->protocol && a->auth == b->auth &&
           !strcmp(a->key_id, b->key_id) && a->tlvs == b->tlvs && a->reply_dscp == b->reply_dscp &&
           a->times_id == b->times_id && a->times_phase_ns == b->times_phase_ns;
}

/* ---- Forms ---- */

enum tw_rc session_spec_form(const struct session_spec *s, const struct form_key *keys, size_t n,
                             struct form **ret)
{
    struct form_cfg c = { .kind = FORM_TWAMP };

    if (s->protocol == TW__PROTOCOL__PROTOCOL_STAMP) {
        c.kind = FORM_STAMP;
        c.ssid = s->ssid;
        c.authenticated = s->auth == TW__AUTH__AUTH_AUTHENTICATED;
        c.tlvs = (struct stamp_tlv_want){ .types = s->tlvs,
                                          .cos_dscp = s->reply_dscp,
                                          .access_id = ACCESS_NOT_3GPP,
                                          .access_code = ACCESS_AVAILABLE };
        for (; c.n_keys < n && c.n_keys < STAMP_KEYS_MAX; c.n_keys++)
            c.keys[c.n_keys] = keys[c.n_keys];
    }
    return form_new(&c, ret);
}

enum tw_rc session_spec_keyed_form(const struct session_spec *s, const struct keyring *k, struct form **ret)
{
    struct form_key keys[STAMP_KEYS_MAX];
    size_t n = 0;

    if (session_spec_keyed(s))
        n = keyring_find(k, s->key_id, keys, TW_NELEM(keys));
    return session_spec_form(s, keys, n, ret);
}

enum tw_rc session_spec_start(const struct session_spec *s, const struct keyring *k, struct worker *w)
{
    struct worker_session ws = {
        .cfg = s->cfg, .target = s->target, .ttl = s->ttl, .df = s->df, .bind = s->bind
    };
    enum tw_rc rc = session_spec_keyed_form(s, k, &ws.form);

    if (rc)
        return rc;
    memcpy(ws.interface, s->interface, sizeof ws.interface);
    rc = worker_add(w, &ws);
    if (rc)
        form_free(ws.form);
    return rc;
}
