/* controller/schedule.h - from mesh documents and approved agents to what each agent has to run. Loop thread, but touches nothing
 * except what it is given: the store is change.c's, the network is fleet.c's. */
#ifndef TW_CONTROLLER_SCHEDULE_H
#define TW_CONTROLLER_SCHEDULE_H

#include "controller/roster.h"
#include "controller/rule_list.h"

/* A ScheduleRequest has no more sessions than that, and no more octets, which leaves room under RPC_MAX_FRAME for what a difference removes.
 * Agents that do not take parts get no more. */
#define SCHEDULE_PART_OCTETS (RPC_MAX_FRAME - (256u << 10))
#define SCHEDULE_PART_SESSIONS 3000
/* Of one agent. An acknowledgement that refuses all of them stays under RPC_MAX_FRAME. */
#define SCHEDULE_MAX_SESSIONS 10000

/* What sessions depend on of the agents at their ends, as it was when the schedule was made: what is not in here must not have an
 * influence, since only a difference in here makes that a pair is looked at again. Compared as octets. */
struct reach {
    struct tw_addr any, v4, v6; /* agent_address() by family; family 0: none is known */
    uint32_t control_port, abilities;
    uint64_t name;    /* a hash of it: sessions say it, and their phases come of it */
    uint64_t drained; /* it is */
};
/* Zeroes *ret first. */
void reach_of(const struct agent *a, struct reach *ret);

/* A pair as documents and agents want it: made when somebody looks at it, since there may be a million. */
struct wanted_pair {
    const struct mesh *mesh;
    const struct mesh_class *class_;
    const char *source, *target; /* their names */
    struct agent *agent;    /* the source */
    struct tw_addr address; /* of the target; for TWAMP with the port of its control server */
    const struct mesh_target *host; /* has a name that the agent resolves: only the port of address counts; NULL: it has not */
    const char *refuse;     /* why it cannot run, for the operator; NULL: nothing known. A static string */
    bool stateful;          /* the target numbers its answers itself, as far as is known */
    bool paused;            /* does not run: its mesh is paused, or `drained` */
    bool drained;           /* an end is */
};
#define PAIR_ABSENT (PAIR_NONE - 1) /* an end has no address yet */
#define PAIR_NEW PAIR_NONE          /* never seen before, has no id yet */
struct wanted_mesh {
    const struct mesh *mesh;
    struct mesh_pairs pairs; /* in order of (class, source, target) by name */
    uint32_t *rows;          /* of each: its row in inventory.pairs, PAIR_ABSENT or PAIR_NEW */
    bool paused;
    uint64_t unresolved; /* names that are no approved agent */
    uint64_t unreachable;/* pairs left out since an end has no address yet */
    uint64_t drained;    /* pairs of the others of which an end is */
    bool ipv6;           /* a pair goes to an agent's IPv6 address */
    /* For the next comparison, when the document may have gone: */
    const char *name, **classes, **targets; /* kept names; the lists end with NULL and are by the numbers that pairs have */
};
enum wanted_what { WANTED_ADDED, WANTED_CHANGED, WANTED_REMOVED };
struct wanted_change {
    uint32_t at;   /* into the pairs of the mesh; WANTED_REMOVED: of the mesh as it is scheduled */
    uint32_t row;  /* PAIR_NEW: see wanted_change_pair() */
    uint16_t mesh;
    uint8_t what; /* enum wanted_what */
    uint8_t slot; /* that the pair will have; 0: none, its runs go by no interval */
    bool restarts; /* WANTED_CHANGED: its sessions do, since what agents are told of them is different */
};
/* All meshes expanded, and how that differs from what is scheduled. What is scheduled is one of these, too: inventory.scheduled. */
struct wanted {
    struct roster *roster;  /* NULL once it is scheduled */
    struct agent **agents;  /* by the numbers that pairs have; sorted by name */
    const char **names;     /* theirs, kept */
    struct reach *reach;
    size_t n_agents;
    bool any_drained, any_ipv6; /* of the agents: is drained, has such an address */
    struct wanted_mesh *meshes;
    size_t n_meshes;
    uint64_t n;             /* pairs, without those that are absent */
    struct wanted_change *changes; /* mesh by mesh, in order of the pairs */
    size_t n_changes;
    struct spread spread;   /* as inventory.spread will be; empty once it is scheduled */
    struct digest_sum *sums; /* of the first n_sums changes, see wanted_sum(); NULL once it is scheduled */
    size_t n_sums;
};

/* The inventory as it will be when a change has happened. All zero: as it is. */
struct overlay_mesh {
    const char *name;
    const struct mesh *put;         /* takes the place of the mesh with its name, or is new; NULL: its document stays */
    const char *file;               /* of `put`, for errors; NULL: not known */
    unsigned lines_before;          /* of the file, before the document */
    bool strict;                    /* unknown names in `put` are errors */
    bool drop, paused;
};
struct overlay {
    const struct overlay_mesh *meshes; /* each name once */
    size_t n_meshes;
    const struct agent *approve, *remove;
    bool keep_slots; /* pairs that come have theirs already: by the store, where somebody else put them */
};

/* Expands everything and compares it with what is scheduled. On TW_EINVAL *err says what is wrong in which document of the
 * overlay. Valid as long as meshes and agents stay, and until the next schedule_adopt(). */
enum tw_rc wanted_build(struct inventory *inv, const struct overlay *o, struct wanted *ret, struct tw_err *err);
void wanted_free(struct wanted *w);
/* The same in pieces, for the loop has others to serve. Until it has come to its end, or is freed, nothing
 * may be adopted, no agent renamed or freed, and no mesh of the inventory or of *o altered: no change of the
 * schedule but the one that it is for, see change.c. Pairs may come, agents may enrol, have labels or be
 * drained meanwhile; they count as they were at the beginning. *o and *err have to stay. */
struct wanting;
enum tw_rc wanting_new(struct inventory *inv, const struct overlay *o, struct wanting **ret,
                       struct tw_err *err);
/* Looks at about *left pairs at most, and takes what it did off that; what takes longer counts as more of
 * them. TW_EAGAIN: there is more to do. Otherwise as wanted_build(). */
enum tw_rc wanting_go_on(struct wanting *g, size_t *left, struct wanted *ret);
void wanting_free(struct wanting *g); /* NULL is allowed */
/* The pairs of this mesh alone, as they would be now: without rows and changes. */
enum tw_rc wanted_of_mesh(struct inventory *inv, const struct mesh_state *m, struct wanted *ret,
                          struct tw_err *err);
const struct wanted_mesh *wanted_find_mesh(const struct wanted *w, const char *name);
/* Pair `at` of a mesh. False: an end has no address yet. */
bool wanted_pair(const struct wanted *w, const struct wanted_mesh *m, size_t at, struct wanted_pair *ret);
/* The pair of a change that is none of WANTED_REMOVED. */
void wanted_change_pair(const struct wanted *w, const struct wanted_change *c, struct wanted_pair *ret);
/* How it differs from what is scheduled; a pair that is paused counts as none. */
struct wanted_diff {
    uint64_t pairs; /* then */
    uint64_t added, removed, changed;
    bool differs;   /* also in what is paused */
};
void wanted_compare_begin(const struct wanted *w, struct wanted_diff *ret); /* then each of its changes: */
void wanted_compare_change(const struct inventory *inv, const struct wanted *w, const struct wanted_change *c,
                           struct wanted_diff *d);
/* A pair of a mesh, for the agents of *w, goes to an agent's IPv6 address. */
bool wanted_goes_over_ipv6(const struct wanted *w, const struct mesh *m, const struct mesh_pair *p);

/* Works out ahead what takes schedule_adopt() the longest, of the next `most` changes, so that neither is a
 * long piece of the loop. The pairs that come have to be in the inventory. False: of all of them, or there is
 * no memory for more; schedule_adopt() does the rest itself. */
bool wanted_sum(struct inventory *inv, struct wanted *w, size_t most);

/* Which of the capabilities that matter to schedules an agent has, as bits. */
uint32_t schedule_abilities(const struct agent *a);

/* Why a pair cannot be measured so, for the operator; NULL: nothing known. target NULL: an address that is no agent. */
const char *schedule_cannot(const struct agent *source, const struct agent *target, const struct mesh_class *c);

/* Makes it the schedule: alters the pairs that change, counts, and brings every agent's digest up to date. Takes *w over and leaves
 * it empty. Pairs without an id are left out. forget(ctx, pair) is called for each pair that leaves the schedule. Pairs that left or
 * changed and whose interval is open, although the change did not know it, are in inventory.strays then. */
enum tw_rc schedule_adopt(struct inventory *inv, struct wanted *w, int64_t now_ns, void (*forget)(void *ctx, struct pair *p),
                          void *ctx);
void schedule_free(struct inventory *inv);
/* The agent has another name, a kept one, and so have its pairs: brings what is scheduled into order again. What is different for sessions by that
 * is found by the next comparison. */
void schedule_rename(struct inventory *inv, const struct agent *a, const char *name);
/* The pair has another slot in the store, which somebody else gave it: what is different by that is found by
 * the next comparison. TW_ENOMEM. */
enum tw_rc schedule_move(struct inventory *inv, struct pair *p, uint8_t slot);
/* Every change of pair.interval goes through here: agents count the pairs that wait for theirs to open. */
void schedule_set_interval(struct pair *p, enum pair_interval state);
/* Lets go of those strays that are none any more; true: some are left. */
bool schedule_settle_strays(struct inventory *inv);

/* ---- What an agent runs: made when it has to be sent ---- */

/* What a session's message points to. */
struct spec_room {
    char address[TW_ADDR_TEXT];
    uint32_t imix[MESH_IMIX];
};
/* Sessions as messages want them. Valid as long as the schedule stays. */
struct session_list {
    size_t n, cap;
    Tw__SessionSpec *specs;
    Tw__SessionSpec **list; /* the same */
    struct spec_room *rooms;
    struct rule_list rules; /* that the sessions refer to */
};
/* So many sessions of it, from one on, as go into a request, and their rules; points into the list. */
struct session_part {
    Tw__SessionSpec **list;
    size_t n;
    Tw__TimesRule **rules; /* of malloc() */
    size_t n_rules;
};
/* At least one session, if there is one from `from` on. TW_ENOMEM. */
enum tw_rc session_list_part(const struct session_list *l, size_t from, struct session_part *ret);
/* All of an agent. NULL: no memory. */
struct session_list *schedule_list(const struct inventory *inv, const struct agent *a);
void session_list_free(struct session_list *l);
/* How it differs from the list with the digest ->journal.base: sessions that went or changed, and that came or changed. Returned:
 * TW_ENOENT, the journal does not tell; TW_ENOMEM. */
struct session_delta {
    struct session_list *added;
    Tw__SessionKey *keys, **removed;
    size_t n_removed;
};
enum tw_rc schedule_delta(const struct inventory *inv, const struct agent *a, struct session_delta *ret);
void session_delta_free(struct session_delta *d);
/* Calls fn for each pair that the agent is the source of and runs; `row` is the pair's in inventory.pairs. */
void schedule_each_pair(const struct inventory *inv, const struct agent *a, void (*fn)(void *ctx, uint32_t row), void *ctx);
/* One session of a pair; false: it is not scheduled. The room must live as long as *ret is used. */
bool schedule_session(const struct inventory *inv, const struct pair *p, uint32_t flow, struct spec_room *room, Tw__SessionSpec *ret);
/* What a class says of its sessions, the sizes of an imix into `imix`, which must live as long as *s is used. */
void schedule_fill_class(const struct mesh_class *c, bool ipv6, uint32_t imix[MESH_IMIX], Tw__SessionSpec *s);
/* Has it a pair of this mesh to run? */
bool schedule_runs_mesh(const struct inventory *inv, const struct agent *a, const char *mesh);

/* agent.digest, of its list: each session's SHA-256, of its packed message, is four numbers of 64 bits (big-endian); they are added up, each
 * modulo 2^64, to 1. So it does not depend on the order, and a change of one pair alters it without a look at the others. */
void digest_sum_bytes(const struct digest_sum *s, uint8_t ret[AGENT_DIGEST_LEN]);

#endif
