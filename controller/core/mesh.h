/* controller/core/mesh.h - a mesh document as data, and its expansion to pairs. Pure.
 *
 * Document (YAML or JSON; docs/mesh.md):
 *   mesh: quickstart            # [a-z0-9-]{1,63}
 *   description: text
 *   topology: full              # full | hub-spoke | list
 *   members: [ams, fra, "@emea"] # full: agents, @groups (quoted: YAML reserves a leading @), targets
 *   hubs: [...]  spokes: [...]  # hub-spoke: hub<->spoke both ways, never spoke-spoke, nor hub-hub
 *   pairs: [[ams, fra], ...]    # list: source, target; one-way; a @group stands for each of its members
 *   exclude: [[ams, fra], ...]  # one-way; any topology
 *   groups: { emea: [ams, "@core"], ... }   # nested groups allowed, cycles refused
 *   targets: { edge1: 192.0.2.1:862, ... }  # addresses that reflect but are no agents; targets only
 *   classes:
 *     voice: { dscp: EF, spacing: 20ms, spacing_kind: fixed, size: 200, timeout: 2s, report_period: 10s, ttl: 255, flows: 1,
 *              protocol: stamp, auth: authenticated, key_id: site, tlvs: [cos], reply_dscp: EF, df: true, padding: zero, bind: eth0 }
 * Defaults of a class: dscp 0, spacing 100ms, fixed, size 100, timeout 2s, report_period 10s, ttl 255, flows 1, protocol light
 * without authentication, random padding, routers may fragment, no bind. */
#ifndef TW_CONTROLLER_MESH_H
#define TW_CONTROLLER_MESH_H

#include "common/addr.h"
#include "common/clk.h"
#include "common/selector.h"

#define MESH_NAME_MAX 64
/* Bounds that keep one document from eating the controller. */
#define MESH_GROUP_DEPTH 32       /* groups within groups */
#define MESH_PAIRS_MAX 4000000    /* of one mesh: 1,000 agents, full, 4 classes */

#define MESH_KEY_MAX 80           /* octets of a key_id: KeyID of RFC 5357 */
#define MESH_BIND_MAX 46          /* with the NUL: an IPv6 address, or the name of an interface */
#define MESH_DATAGRAM_MAX 9000    /* UDP payload */

enum mesh_topology { MESH_FULL, MESH_HUB_SPOKE, MESH_LIST };

enum mesh_protocol { MESH_LIGHT, MESH_STAMP, MESH_TWAMP, MESH_PROTOCOLS };
enum mesh_auth { MESH_AUTH_NONE, MESH_AUTHENTICATED, MESH_ENCRYPTED, MESH_MIXED, MESH_AUTHS };
/* STAMP TLVs by their types, RFC 8972 section 4; mesh_class.tlvs has one bit for each. */
enum mesh_tlv {
    MESH_TLV_LOCATION = 2,
    MESH_TLV_TIMESTAMP_INFO,
    MESH_TLV_COS,
    MESH_TLV_DIRECT,
    MESH_TLV_ACCESS,
    MESH_TLV_FOLLOW_UP,
    MESH_TLV_HMAC,
    MESH_TLVS
};
#define MESH_TLV_BIT(type) (1u << (type))
#define MESH_IMIX 3 /* sizes of an imix: of 12 packets 7, 4 and 1 have them */

struct mesh_class {
    char name[MESH_NAME_MAX];
    uint8_t dscp, ttl;
    uint16_t size_bytes;         /* UDP payload, mesh_class_min_bytes()..9000; 0 with imix */
    bool imix;                   /* sizes by mesh_class_imix() */
    bool df;                     /* Don't Fragment */
    bool zero_padding;           /* else pseudo-random */
    enum mesh_protocol protocol;
    enum mesh_auth auth;
    char key_id[MESH_KEY_MAX + 1]; /* entry of the agents' files of secrets; "" = none */
    char bind[MESH_BIND_MAX];    /* source address, or interface, of the probes; "" = by routing */
    uint32_t tlvs;               /* MESH_TLV_BIT() of each; STAMP only */
    uint8_t reply_dscp;          /* with MESH_TLV_COS: DSCP wished for the answers */
    bool exponential;
    int64_t spacing_ns;          /* 1 ms .. 1 h */
    int64_t timeout_ns;          /* 10 ms .. report_period */
    int64_t report_period_ns;    /* 1 s .. 1 h, divides a day */
    uint32_t flows;              /* 1..32 */
};

struct mesh_target {
    char name[MESH_NAME_MAX];
    struct tw_addr addr;
};

/* A name in a list, with its place in the document for error messages. */
struct mesh_name {
    char name[MESH_NAME_MAX]; /* a group begins with '@' */
    unsigned line, column;
};
struct mesh_names {
    struct mesh_name *v;
    size_t n;
};
struct mesh_group {
    char name[MESH_NAME_MAX];
    struct mesh_names members;
    unsigned line, column;
};
struct mesh_link {
    struct mesh_name source, target;
};

struct mesh {
    char name[MESH_NAME_MAX];
    char *description;
    enum mesh_topology topology;
    struct mesh_names members, hubs, spokes;
    struct mesh_link *pairs;
    size_t n_pairs;
    struct mesh_link *exclude;
    size_t n_exclude;
    struct mesh_group *groups;
    size_t n_groups;
    struct mesh_target *targets;
    size_t n_targets;
    struct mesh_class *classes;
    size_t n_classes;
};

/* Reads a document (controller/mesh_doc.c does it with libyaml, outside the pure library). Everything is checked that the
 * document alone can tell: unknown keys, duplicate names, empty groups, cycles, ranges, DSCP names. On an error *err has file, line,
 * column, field and what was expected, and nothing is returned. */
enum tw_rc mesh_doc_parse(const char *file, const char *text, size_t len, struct mesh **ret, struct tw_err *err);
void mesh_free(struct mesh *m);
/* The part of it that is about meaning and not about syntax: groups exist, no cycles, no self pairs, nobody both hub and spoke, at
 * least two members, no target as a source. mesh_doc_parse() calls it. */
enum tw_rc mesh_check(const struct mesh *m, struct tw_err *err);

const char *mesh_protocol_name(enum mesh_protocol p);
const char *mesh_auth_name(enum mesh_auth a);
const char *mesh_tlv_name(enum mesh_tlv t); /* as in documents: "timestamp-info" */
/* May a class of this protocol have this kind of authentication? */
bool mesh_auth_allowed(enum mesh_protocol p, enum mesh_auth a);
/* Smallest UDP payload of its probes, with their TLVs. */
uint16_t mesh_class_min_bytes(const struct mesh_class *c);
/* UDP payloads of an imix class, in order of size: IP packets of 50 (IPv6: 62), 576 and 1500 octets, as far as the class' packets can
 * be so small. */
void mesh_class_imix(const struct mesh_class *c, bool ipv6, uint16_t ret[MESH_IMIX]);
/* Mean UDP payload. */
double mesh_class_mean_bytes(const struct mesh_class *c, bool ipv6);
/* Would an agent have to do the same? The name does not count. */
bool mesh_class_same(const struct mesh_class *a, const struct mesh_class *b);

/* An approved agent as documents see it. */
struct mesh_agent {
    const char *name;
    const struct tw_label *labels; /* sorted by key */
    size_t n_labels;
    const struct tw_addr *addresses;
    size_t n_addresses;
};
struct mesh_agents {
    const struct mesh_agent *v; /* sorted by name (strcmp), each once */
    size_t n;
};

/* One pair: numbers in what expansion was given. */
struct mesh_pair {
    uint32_t source;      /* into agents->v */
    int32_t target;       /* >= 0: into agents->v; < 0: ~index into mesh->targets */
    uint16_t class_index; /* into mesh->classes */
};
/* A mesh's pairs with what their numbers mean. */
struct mesh_pairs {
    const struct mesh *mesh;
    const struct mesh_agents *agents;
    struct mesh_pair *v;
    size_t n;
};

static inline const char *mesh_pair_source(const struct mesh_agents *agents, const struct mesh_pair *p)
{
    return agents->v[p->source].name;
}

static inline const char *mesh_pair_target(const struct mesh *m, const struct mesh_agents *agents, const struct mesh_pair *p)
{
    return p->target >= 0 ? agents->v[p->target].name : m->targets[~p->target].name;
}

/* Expands to pairs, sorted by names (class, source, target), each once, no self pairs, exclusions applied; a target is never a source.
 * strict: a name that is no agent's and no target's is an error with its line, and so is a name that is both (for apply). Otherwise
 * unknown names' pairs are left out and the names counted in *ret_unresolved (agents may be removed later), and where both exist the
 * document's target is meant. *ret is malloc'ed, also when *ret_n is 0. More than MESH_PAIRS_MAX pairs: TW_ENOSPC. */
enum tw_rc mesh_expand(const struct mesh *m, const struct mesh_agents *agents, bool strict, struct mesh_pair **ret, size_t *ret_n,
                       size_t *ret_unresolved, struct tw_err *err);

#endif
