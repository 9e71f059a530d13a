/* controller/core/mesh.h - a mesh document as data, and its expansion to pairs. Pure.
 *
 * Document (YAML or JSON; docs/mesh.md):
 *   mesh: quickstart            # [a-z0-9-]{1,63}
 *   description: text
 *   topology: full              # full | list | hub-spoke | disjoint | ring | k-regular
 *   members: [ams, fra, "@emea"] # full, ring, k-regular: agents, @groups (quoted: YAML reserves a leading @), targets
 *   hubs: [...]  spokes: [...]  # hub-spoke: hub<->spoke both ways, never spoke-spoke, nor hub-hub
 *   left: [...]  right: [...]   # disjoint: each left to each right and back
 *   degree: 4                   # k-regular: targets of each member, and members that measure to it
 *   one_way: true               # full: one direction of each pair; hub to spoke; left to right; to the next in the ring
 *   pairs: [[ams, fra], ...]    # list: source, target; one-way; a @group stands for each of its members
 *   exclude: [[ams, fra], ...]  # one-way; any topology
 *   groups: { emea: [ams, "@core"], ... }   # nested groups allowed, cycles refused
 *           { edge: { select: "role=edge,site!=ams", cidr: [10.0.0.0/8], members: [ams], allow_empty: true } }
 *   targets: { edge1: 192.0.2.1:862, edge2: router.example.net, ... } # reflect but are no agents; targets only
 *   defaults: { keys of a class }
 *   classes:
 *     voice: { dscp: EF, spacing: 20ms, spacing_kind: fixed, size: 200, timeout: 2s, report_period: 10s, ttl: 255, flows: 1,
 *              protocol: stamp, auth: authenticated, key_id: site, tlvs: [cos], reply_dscp: EF, df: true, padding: zero, bind: eth0 }
 *     video: { extends: voice, size: 1200 }
 *   schedule: { every: 5m, count: 100, zone: Europe/Amsterdam, windows: [{ days: mon-fri, from: "08:00", to: "18:00" }] }  # or in a class
 *   maintenance: [{ from: "2026-12-01 22:00", to: "2026-12-02 02:00", reason: text, probes: stop }]
 * Defaults of a class: dscp 0, spacing 100ms, fixed, size 100, timeout 2s, report_period 10s, ttl 255, flows 1, protocol light
 * without authentication, random padding, routers may fragment, no bind. */
#ifndef TW_CONTROLLER_MESH_H
#define TW_CONTROLLER_MESH_H

#include "common/addr.h"
#include "common/clk.h"
#include "common/prefix.h"
#include "common/selector.h"

#define MESH_NAME_MAX 64
#define MESH_ON_DEMAND "on-demand" /* mesh of tests on demand: no document can have this name */
/* Bounds that keep one document from eating the controller. */
#define MESH_GROUP_DEPTH 32       /* groups within groups */
#define MESH_PAIRS_MAX 4000000    /* of one mesh: 1,000 agents, full, 4 classes */

#define MESH_KEY_MAX 80           /* octets of a key_id: KeyID of RFC 5357 */
#define MESH_BIND_MAX 46          /* with the NUL: an IPv6 address, or the name of an interface */
#define MESH_DATAGRAM_MAX 9000    /* UDP payload */
#define MESH_HOST_MAX 128         /* octets of a host name, with its NUL: half of what DNS allows, for the room in messages to agents */
#define MESH_DEGREE_MAX 1000000

enum mesh_topology { MESH_FULL, MESH_HUB_SPOKE, MESH_LIST, MESH_DISJOINT, MESH_RING, MESH_K_REGULAR, MESH_TOPOLOGIES };

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
    struct class_times *times;   /* a reference; NULL: always, and the mesh has no maintenance */
    const struct yaml_node_s *schedule_node; /* the reader's own */
};

struct mesh_target {
    char name[MESH_NAME_MAX];
    struct tw_addr addr;      /* with a host name only the port counts: family is 0 */
    char host[MESH_HOST_MAX]; /* resolved by each agent; "" = addr */
    uint8_t family;           /* with a host name: 4 or 6 alone will do; 0 = any */
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
/* Those of the agents that `select` and `cidr` both mean, and the members. */
struct mesh_group {
    char name[MESH_NAME_MAX];
    struct mesh_names members;
    struct selector *select; /* NULL: not given */
    struct tw_prefix *cidr;  /* one of its addresses is in one of these */
    size_t n_cidr;
    bool allow_empty;
    unsigned line, column;
};
static inline bool mesh_group_selects(const struct mesh_group *g)
{
    return g->select || g->n_cidr;
}
struct mesh_link {
    struct mesh_name source, target;
};

#define MESH_LEVELS 5
struct mesh {
    char name[MESH_NAME_MAX];
    char *description;
    enum mesh_topology topology;
    struct mesh_names members, hubs, spokes, left, right;
    uint32_t degree;
    bool one_way;
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
    int64_t keep_ns[MESH_LEVELS]; /* of results, by enum store_level; 0: as the controller keeps them */
    const struct yaml_node_s *schedule_node, *maintenance_node; /* the reader's own */
};

/* Reads a document (controller/mesh_doc.c does it with libyaml, outside the pure library). Everything is checked that the
 * document alone can tell: unknown keys, duplicate names, empty lists, cycles of groups and of classes, ranges, DSCP names. On an error *err has file, line,
 * column, field and what was expected, and nothing is returned. */
enum tw_rc mesh_doc_parse(const char *file, const char *text, size_t len, struct mesh **ret, struct tw_err *err);
void mesh_free(struct mesh *m);
/* The part of it that is about meaning and not about syntax: groups exist, no cycles, no self pairs, nobody both hub and spoke, at
 * least two members, no target as a source. mesh_doc_parse() calls it. */
enum tw_rc mesh_check(const struct mesh *m, struct tw_err *err);

const char *mesh_topology_name(enum mesh_topology t); /* as in documents: "hub-spoke" */
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
    bool draining; /* no selection takes it */
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
 * Groups that select take the agents of the day. A hub that comes among the spokes by a group stays a hub only. Of a full mesh that
 * is one_way a hash of both names says which way; a ring goes by the names in order, k-regular as in mesh_regular.h.
 * strict: a name that is no agent's and no target's is an error with its line, and so are a name that is both, and a group that is
 * empty although it may not (for apply). Otherwise
 * unknown names' pairs are left out and the names counted in *ret_unresolved (agents may be removed later), and where both exist the
 * document's target is meant. *ret is malloc'ed, also when *ret_n is 0. More than MESH_PAIRS_MAX pairs: TW_ENOSPC. */
enum tw_rc mesh_expand(const struct mesh *m, const struct mesh_agents *agents, bool strict, struct mesh_pair **ret, size_t *ret_n,
                       size_t *ret_unresolved, struct tw_err *err);
/* The same in pieces, for who must not be held up by a mesh of a million pairs. What agents are (labels,
 * addresses) is looked at by mesh_expansion_new() alone; names and documents have to stay until it is freed,
 * and *err, which any of these may fill. */
struct mesh_expansion;
enum tw_rc mesh_expansion_new(const struct mesh *m, const struct mesh_agents *agents, bool strict,
                              struct mesh_expansion **ret, struct tw_err *err);
/* Looks at about *left pairs at most, and takes what it did off that. TW_EAGAIN: there is more to do; *left
 * is 0 then. */
enum tw_rc mesh_expansion_go_on(struct mesh_expansion *x, size_t *left);
/* Once, after TW_OK. */
void mesh_expansion_take(struct mesh_expansion *x, struct mesh_pair **ret, size_t *ret_n,
                         size_t *ret_unresolved);
void mesh_expansion_free(struct mesh_expansion *x); /* NULL is allowed */
/* What *ret_unresolved of mesh_expand() would be, if not strict, without a look at any pair. TW_ENOMEM. */
enum tw_rc mesh_count_unresolved(const struct mesh *m, const struct mesh_agents *agents, size_t *ret);
/* Agents of a k-regular mesh that have fewer targets or sources than its degree, since pairs are excluded. 0
 * for other topologies. TW_ENOMEM. */
enum tw_rc mesh_below_degree(const struct mesh_pairs *pairs, size_t *ret);

#endif
