/* controller/inventory.h - what the controller knows right now: agents, meshes, pairs, generations. Loop thread only.
 * The database is the durable copy: loaded once at start, every change is queued to the store writer. */
#ifndef TW_CONTROLLER_INVENTORY_H
#define TW_CONTROLLER_INVENTORY_H

#include <uthash.h>
#include "common/fnv1a.h"
#include "common/net/rpc.h"
#include "controller/agent_certs.h"
#include "controller/agent_ops.h"
#include "controller/core/class_times.h"
#include "controller/core/clock_audit.h"
#include "controller/core/mesh.h"
#include "common/metrics_sums.h"
#include "controller/core/mesh.h"
#include "controller/core/spread.h"
#include "controller/journal.h"
#include "controller/names.h"
#include "controller/pair_groups.h"
#include "controller/pair_table.h"
#include "db/store.h"
#include "fleet.pb-c.h"

#define AGENT_DIGEST_LEN 32
#define AGENT_PORT 862 /* RFC 8762 section 4.1: where a reflector answers unless it says otherwise */

struct digest_sum { /* see digest_sum_bytes() */
    uint64_t v[4];
};

/* What the last mesh clock audit found; clocks.c keeps it. */
struct agent_audit {
    bool known;
    struct clock_claim claim;
    struct clock_host host;
};

/* Others that come with its name. */
struct agent_twins {
    uint32_t other_keys; /* HELLOs with another key, since the controller's start */
    int64_t other_key_ns; /* the last one */
    char other_key_address[TW_ADDR_TEXT];
    uint32_t takeovers; /* by a process that is not the one it replaces, with the same key, since takeovers_ns */
    int64_t takeovers_ns;
};

struct agent {
    struct store_agent row;           /* enrolment and ops are NULL here: see below */
    struct agent_ops *ops;            /* what operators said of it; NULL = nothing: agent_set_ops() */
    struct agent_certs *certs;        /* that it was given; NULL: none */
    struct tw_label *labels;          /* that count, sorted by key: agent_refresh() */
    size_t n_labels;
    struct rpc_peer *peer;            /* NULL = not connected */
    const char *elsewhere;            /* registry.c: the controller that it is connected to instead; NULL: none */
    bool was_elsewhere;               /* registry.c: it was last */
    int64_t nobodys_ns; /* registry.c, monotonic: since when no controller judges it; 0: one does */
    Tw__EnrolRequest *enrolment;      /* last one, unpacked; NULL = never enrolled */
    Tw__HealthReport *health;         /* last one; NULL = none since start */
    int64_t clock_ahead_ns;           /* its wall clock minus ours, as its last health report came; rough */
    struct agent_audit audit;
    Tw__HealthReport *health_base, *health_next_base; /* one or two minutes older; NULL: none, or from before its start */
    struct agent_twins twins;
    char peer_address[TW_ADDR_TEXT];
    int64_t last_contact_ns;
    uint64_t acked_generation;
    int64_t acked_ns;                 /* since when it runs what it runs, as far as is known; 0 = not since our start */
    int64_t behind_ns;                /* since when something else is wanted; while acked_current it means nothing */
    bool acked_current;               /* runs exactly what is wanted (digest equal) */
    Tw__AckRequest *ack;              /* last one, with its refusals */
    uint64_t ack_serial;              /* of it: see struct pair */
    int64_t found_started_ns;         /* absence.c: the start that is noted in the store; 0: it is noted as lost */
    bool refuses_nothing;             /* absence.c: as is noted in the store */
    uint8_t acked_digest[AGENT_DIGEST_LEN];
    /* Its part of the present generation; schedule.c keeps it: */
    bool listed;                      /* it has one, be it empty */
    uint64_t pairs, sessions;         /* as source */
    uint64_t unopened;                /* of `pairs`: whose interval is not INTERVAL_OPEN */
    struct digest_sum sum;
    uint8_t digest[AGENT_DIGEST_LEN]; /* of `sum` */
    struct journal journal;
    struct fleet_link *link;          /* fleet.c: what goes with `peer` */
    bool saving, save_again;          /* its row is on the way to the store */
    bool changing;                    /* a change that approves or removes it is on the way */
    bool editing;                     /* what operators say of it is on the way to the store: agent_edit.c */
    bool welcomed;                    /* its last HELLO was answered with approved = true */
    bool
        ours; /* it has been connected here, or to nobody that is there, and to nobody else since: alerts.h */
    bool gone;                        /* follow_agents.c: it is in the store no more */
    uint64_t learn_number;            /* learn.c: the question that its spool is in ... */
    int64_t learn_by_ns;              /* ... which is waited for until then; monotonic */
    uint32_t pairs_learned;           /* pairs that only its summaries told of, since the controller's start */
    UT_hash_handle hh;                /* by row.name */
};

/* A mesh as applied. */
struct mesh_state {
    struct store_mesh row;            /* document and author point to memory owned here */
    char *document, *author;
    struct mesh *mesh;                /* parsed document */
    uint64_t pairs, unresolved;
    UT_hash_handle hh;                /* by row.name */
};

/* Report periods in a row that had it. */
struct pair_trouble {
    int64_t since_ns; /* start of the first of them; 0: the last one had it not */
    bool or_before;   /* that was the first one since the start of the controller: it may be older */
};

/* Live state of one pair: what the newest committed summaries say. publish.c keeps it. */
struct pair_live {
    struct tw_summary last;           /* latest closed report period, flows merged */
    int64_t last_start_ns, last_end_ns;
    uint32_t last_flows;              /* flows merged into last */
    struct pair_trouble silent,
        lossy; /* nothing, or not all came back; by periods of which all flows are there */
    struct tw_mono heard;             /* when the last one of any time came */
    int64_t judged_end_ns;            /* alerts.c's: the period that it looked at last */
    int64_t report_period_ns;
    struct metrics_counters n;
    struct hist delay[3];             /* of all these, for native histograms; one way: only where the clocks bear it out */
    int64_t minute[60];               /* completeness of the last hour: which minute the count beside it is of */
    uint32_t minute_periods[60];      /* stored report periods (all flows) that ended in it */
};

enum pair_interval { INTERVAL_CLOSED, INTERVAL_MAYBE /* from before this start */, INTERVAL_OPEN };

/* There may be a million: what many share is kept elsewhere. */
struct pair {
    struct store_pair row;            /* names kept in inventory.names */
    bool scheduled, paused;           /* in the present generation; who is drained is paused, too */
    bool drained;                     /* it would be scheduled, but for an end that is drained */
    uint32_t flows;
    int64_t report_period_ns;
    int64_t scheduled_since_ns;
    struct class_times *times;        /* a reference; NULL: it runs always, and is never in maintenance */
    uint64_t sum[4];                  /* digest_sum of its sessions, as scheduled */
    enum pair_interval interval;      /* in the store */
    int64_t interval_period_ns;
    uint32_t interval_flows;
    uint64_t interval_rule;           /* expectation_rule_key() */
    uint64_t interval_sum;            /* sum[0] */
    bool unstored;                    /* only a batch told of it, which is not committed: the store may not know it */
    uint64_t refused_in;              /* ack_serial of the acknowledgement in which its source last refused a flow of it */
    struct pair_live *live;           /* NULL until the first summary since start */
};

struct inventory {
    struct agent *agents;             /* uthash by name */
    struct mesh_state *meshes;        /* uthash by name */
    struct pair_table pairs;
    struct pair_groups groups;        /* of them, by mesh and class: call pair_groups_update() first */
    struct pair_alias *aliases;       /* pairs by names, where their ids do not tell */
    struct names names;               /* of all of it, for the inventory's life */
    uint64_t generation;
    struct wanted *scheduled;         /* schedule.c's; NULL: nothing yet */
    struct spread spread;             /* of what is scheduled or paused */
    uint32_t *strays;                 /* rows of pairs with an open interval that has to be closed */
    size_t n_strays;
    uint32_t *drained;                /* rows of pairs that are `drained` although no document wants them now */
    size_t n_drained;
    uint64_t acks;                    /* that have come, to number them */
    unsigned pending;                 /* agents that wait for approval */
    unsigned revoked;
};

/* Frees everything in it. */
void inventory_free(struct inventory *inv);
/* Copies *row but not its enrolment and ops. NULL: no memory. */
struct agent *inventory_add_agent(struct inventory *inv, const struct store_agent *row);
/* The new name must be kept in inv->names, and free, of pairs, too. Its pairs keep their ids, and with them their history. */
void inventory_rename_agent(struct inventory *inv, struct agent *a, const char *name);
/* The same of pairs that no agent has any more; both names are kept in inv->names. */
void inventory_rename_pairs(struct inventory *inv, const char *old, const char *kept);
/* Its pairs stay, without a source. */
void inventory_drop_agent(struct inventory *inv, struct agent *a);
struct mesh_state *inventory_mesh(const struct inventory *inv, const char *name);
/* Puts or replaces; copies the texts of *row and takes the mesh, but only on TW_OK. */
enum tw_rc inventory_put_mesh(struct inventory *inv, const struct store_mesh *row, struct mesh *mesh);
/* It has another row, but the same document. TW_ENOMEM: nothing has changed. */
enum tw_rc inventory_touch_mesh(struct mesh_state *m, const struct store_mesh *row);
void inventory_drop_mesh(struct inventory *inv, struct mesh_state *m);
/* Keeps copies of the names; the id must be new. */
struct pair *inventory_add_pair(struct inventory *inv, const struct store_pair *row);
struct pair *inventory_pair_by_names(const struct inventory *inv, const char *mesh, const char *class_name,
                                     const char *source, const char *target);
/* Where its reflector answers: the first enrolled address of the family (4, 6; 0 = any), else the first one, else the address
 * that its connection comes from. TW_ENOENT: none is known. */
enum tw_rc agent_address(const struct agent *a, uint8_t family, struct tw_addr *ret);

/* For qsort() of pointers to agents: by name. */
int agent_by_name(const void *a, const void *b);
/* Has it said so when it enrolled? */
bool agent_can(const struct agent *a, const char *capability);
/* Where its TWAMP-Control server listens; 0 = it has none. */
uint16_t agent_control_port(const struct agent *a);

struct agent *inventory_agent(struct inventory *inv, const char *name);
struct agent *inventory_agent_by_id(struct inventory *inv, int64_t id);
struct pair *inventory_pair(struct inventory *inv, uint64_t id);
/* The agent that has the name of its source; NULL if removed. */
static inline struct agent *pair_source(const struct pair *p)
{
    return name_of(p->row.source)->agent;
}
/* Of an agent's name, for inventory.spread. */
static inline uint64_t spread_source(const char *name)
{
    return tw_fnv1a_text(name);
}
/* What its moments depend on. */
static inline struct pair_key pair_key_of(const struct pair *p)
{
    return (struct pair_key){ p->row.mesh, p->row.class_name, p->row.source, p->row.target, p->row.id, p->row.slot };
}
/* The row of the pair with these names (the id is not read); PAIR_NONE: there is none. */
uint32_t inventory_pair_row(const struct inventory *inv, const struct store_pair *names);
/* NULL: its target is no agent. */
static inline struct agent *pair_target(const struct pair *p)
{
    return name_of(p->row.target)->agent;
}
/* Takes over what operators say of it (NULL: nothing), counts it as revoked or not, and works out its labels. */
enum tw_rc agent_set_ops(struct inventory *inv, struct agent *a, struct agent_ops *ops);
/* Its enrolment has changed: works out its labels. TW_ENOMEM: it has none now. */
enum tw_rc agent_refresh(struct agent *a);
/* No scheduled session begins or ends at it; it is no member of what selects by labels or addresses. */
static inline bool agent_is_drained(const struct agent *a)
{
    return a->ops && a->ops->drained.at_ns;
}
static inline bool agent_is_revoked(const struct agent *a)
{
    return a->ops && a->ops->revoked.at_ns;
}
/* Measured on, but what comes of it is marked. */
static inline bool agent_in_maintenance(const struct agent *a, int64_t now_ns)
{
    return agent_ops_span_at(a->ops, now_ns) != NULL;
}
/* Is it connected to us, or to another controller? */
static inline bool agent_is_up(const struct agent *a)
{
    return a->peer || a->elsewhere;
}
/* State of an agent: "pending", "up", "down", "revoked". */
const char *agent_state(const struct agent *a);
/* The same, but "elsewhere" where another controller has it: what it runs only that one knows. */
static inline const char *agent_state_here(const struct agent *a)
{
    return a->elsewhere && !a->peer && a->row.approved && !agent_is_revoked(a) ? "elsewhere" : agent_state(a);
}
/* The generation that an agent runs: the present one, too, if its part of it is what it acknowledged earlier. */
uint64_t agent_generation(const struct inventory *inv, const struct agent *a);
/* Takes over an agent's acknowledgement: which of its pairs it refuses. */
void inventory_take_ack(struct inventory *inv, struct agent *a, Tw__AckRequest *ack);
/* Sessions that it refuses, also those that it does not tell one by one. */
static inline uint32_t agent_refusals(const struct agent *a)
{
    uint64_t n = a->ack ? a->ack->n_refusals + (a->ack->refusals_more & UINT32_MAX) : 0;

    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}
/* What it refused before it connected again counts no longer. */
void inventory_forget_ack(struct inventory *inv, struct agent *a);
/* Takes over an agent's health report; an older one stays as health_base. */
void inventory_take_health(struct agent *a, Tw__HealthReport *m);
/* Outside of its times? In maintenance, of its mesh or of an agent at either end? maintenance.h says whose, and until when. */
bool pair_is_idle(const struct pair *p, int64_t now_ns);
bool pair_in_maintenance(const struct pair *p, int64_t now_ns);
/* Is what its interval in the store expects what these settings mean? */
bool pair_interval_fits(const struct pair *p, int64_t report_period_ns, uint32_t flows, const struct class_times *times, unsigned slot);
/* Its interval in the store is one of the present settings. */
void pair_interval_set(struct pair *p);
/* Has its source, as it last said, more in its spool than what is just on its way here? */
/* The wall clock was set by so much: since when pairs are scheduled, and agents are away, is by the clock as it is now. */
void inventory_stepped(struct inventory *inv, int64_t by_ns);
bool pair_has_backlog(const struct pair *p);
/* State of a pair as in PairReport.state: its last status, or "idle" (outside of its times), or "refused" (and nothing of it comes), "agent_down", "no_data",
 * "elsewhere" (another controller has its source, and shows it), "not_scheduled", "paused", "drained". */
const char *pair_state(const struct pair *p, int64_t now_ns);

#endif
