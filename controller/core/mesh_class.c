/* What classes are: the forms of their packets and how large those are. */
#include "controller/core/class_times.h"
#include "controller/core/mesh.h"

#include <string.h>

static const char *const protocol_names[MESH_PROTOCOLS] = {
    [MESH_LIGHT] = "light", [MESH_STAMP] = "stamp", [MESH_TWAMP] = "twamp"
};
static const char *const auth_names[MESH_AUTHS] = { [MESH_AUTH_NONE] = "none",
                                                    [MESH_AUTHENTICATED] = "authenticated",
                                                    [MESH_ENCRYPTED] = "encrypted",
                                                    [MESH_MIXED] = "mixed" };

/* Smallest packets: TWAMP by RFC 5357 section 4.1.2 and 5618 (mixed: the test packets are open), STAMP by RFC
 * 8762 section 4.2. 0: the protocol has no such mode. */
static const uint16_t base_bytes[MESH_PROTOCOLS][MESH_AUTHS] = {
    [MESH_LIGHT] = { [MESH_AUTH_NONE] = 14 },
    [MESH_STAMP] = { [MESH_AUTH_NONE] = 44, [MESH_AUTHENTICATED] = 112 },
    [MESH_TWAMP] = { [MESH_AUTH_NONE] = 14,
                     [MESH_AUTHENTICATED] = 48,
                     [MESH_ENCRYPTED] = 48,
                     [MESH_MIXED] = 14 },
};

/* With the four octets before each value. Location asks for MAC and both addresses: ports and three sub-TLVs.
 */
static const struct {
    const char *name;
    uint16_t bytes;
} tlvs[MESH_TLVS] = {
    [MESH_TLV_LOCATION] = { "location", 8 + 12 + 2 * 20 },
    [MESH_TLV_TIMESTAMP_INFO] = { "timestamp-info", 8 },
    [MESH_TLV_COS] = { "cos", 8 },
    [MESH_TLV_DIRECT] = { "direct-measurement", 16 },
    [MESH_TLV_ACCESS] = { "access-report", 8 },
    [MESH_TLV_FOLLOW_UP] = { "follow-up", 20 },
    [MESH_TLV_HMAC] = { "hmac", 20 },
};

const char *mesh_protocol_name(enum mesh_protocol p)
{
    return (unsigned)p < MESH_PROTOCOLS ? protocol_names[p] : "unknown";
}

const char *mesh_auth_name(enum mesh_auth a)
{
    return (unsigned)a < MESH_AUTHS ? auth_names[a] : "unknown";
}

const char *mesh_tlv_name(enum mesh_tlv t)
{
    return (unsigned)t < MESH_TLVS && tlvs[t].name ? tlvs[t].name : "unknown";
}

bool mesh_auth_allowed(enum mesh_protocol p, enum mesh_auth a)
{
    return base_bytes[p][a] != 0;
}

uint16_t mesh_class_min_bytes(const struct mesh_class *c)
{
    uint16_t n = base_bytes[c->protocol][c->auth];

    for (unsigned t = 0; t < MESH_TLVS; t++)
        if (c->tlvs & MESH_TLV_BIT(t))
            n = (uint16_t)(n + tlvs[t].bytes);
    return n;
}

void mesh_class_imix(const struct mesh_class *c, bool ipv6, uint16_t ret[MESH_IMIX])
{
    static const uint16_t bytes[2][MESH_IMIX] = { { 22, 548, 1472 }, { 14, 528, 1452 } };
    uint16_t min = mesh_class_min_bytes(c);

    for (unsigned i = 0; i < MESH_IMIX; i++)
        ret[i] = bytes[ipv6][i] < min ? min : bytes[ipv6][i];
}

double mesh_class_mean_bytes(const struct mesh_class *c, bool ipv6)
{
    uint16_t n[MESH_IMIX];

    if (!c->imix)
        return c->size_bytes;
    mesh_class_imix(c, ipv6, n);
    return (7.0 * n[0] + 4.0 * n[1] + n[2]) / 12;
}

bool mesh_class_same(const struct mesh_class *a, const struct mesh_class *b)
{
    return a->dscp == b->dscp && a->ttl == b->ttl && a->size_bytes == b->size_bytes && a->imix == b->imix &&
           a->df == b->df && a->zero_padding == b->zero_padding && a->protocol == b->protocol &&
           a->auth == b->auth && !strcmp(a->key_id, b->key_id) && !strcmp(a->bind, b->bind) &&
           a->tlvs == b->tlvs && a->reply_dscp == b->reply_dscp && a->exponential == b->exponential &&
           a->spacing_ns == b->spacing_ns && a->timeout_ns == b->timeout_ns &&
           a->report_period_ns == b->report_period_ns && a->flows == b->flows &&
           class_times_same(a->times, b->times);
}
