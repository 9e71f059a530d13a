/* controller/schedule.h - from mesh documents and approved agents to what each agent has to run. Loop thread, but touches nothing
 * except what it is given: the store is change.c's, the network is fleet.c's. */
#ifndef TW_CONTROLLER_SCHEDULE_H
#define TW_CONTROLLER_SCHEDULE_H

#include "controller/roster.h"
#include "controller/rule_list.h"

/* A ScheduleRequest stays under RPC_MAX_FRAME with so many sessions, however long the names are. */
#define SCHEDULE_MAX_SESSIONS 3000

/* What a session's message points to. */
struct spec_room {
    char address[TW_ADDR_TEXT];
    uint32_t imix[MESH_IMIX];
};
/* One agent's part of a generation: sessions by pair id and flow. The names belong to the pairs. */
struct session_list {
    size_t n;
    Tw__SessionSpec *specs;
    Tw__SessionSpec **list; /* the same, as messages want them */
    struct spec_room *rooms;
    char **texts; /* keys and interfaces in use, each once: meshes may go before the list does */
    size_t n_texts;
    struct rule_list rules; /* that the sessions refer to */
    uint8_t digest[AGENT_DIGEST_LEN]; /* SHA-256 over the packed sessions in order */
};
void session_list_free(struct session_list *l);

/* A pair as documents and agents want it. */
struct wanted_pair {
    const struct mesh *mesh;
    const struct mesh_class *class_;
    const char *target; /* its name */
    struct agent *source;
    struct tw_addr address; /* of the target; for TWAMP with the port of its control server */
    const struct mesh_target *host; /* has a name that the agent resolves: only the port of address counts; NULL: it has not */
    const char *refuse;     /* why it cannot run, for the operator; NULL: nothing known. A static string */
    bool stateful;          /* the target numbers its answers itself, as far as is known */
    uint64_t settings;      /* hash of what the agent has to know of it */
    bool paused;            /* does not run: its mesh is paused, or `drained` */
    bool drained;           /* an end is */
    struct pair *pair;      /* NULL: never seen before, has no id yet */
};
struct wanted_mesh {
    const struct mesh *mesh;
    struct mesh_pairs pairs;
    bool paused;
    uint64_t unresolved; /* names that are no approved agent */
    uint64_t unreachable;/* pairs left out since an end has no address yet */
};
struct wanted {
    struct roster *roster;
    struct wanted_mesh *meshes;
    size_t n_meshes;
    struct wanted_pair *pairs;
    size_t n;
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
};

/* Expands everything. On TW_EINVAL *err says what is wrong in which document of the overlay. Valid as long as meshes and agents stay. */
enum tw_rc wanted_build(struct inventory *inv, const struct overlay *o, struct wanted *ret, struct tw_err *err);
void wanted_free(struct wanted *w);
const struct wanted_mesh *wanted_find_mesh(const struct wanted *w, const char *name);
/* How it differs from what is scheduled; a pair that is paused counts as none. */
struct wanted_diff {
    uint64_t pairs; /* then */
    uint64_t added, removed, changed;
    bool differs;   /* also in what is paused */
};
void wanted_compare(struct inventory *inv, const struct wanted *w, struct wanted_diff *ret);

/* Which of the capabilities that matter to schedules an agent has, as bits. */
uint32_t schedule_abilities(const struct agent *a);

/* Why a pair cannot be measured so, for the operator; NULL: nothing known. target NULL: an address that is no agent. */
const char *schedule_cannot(const struct agent *source, const struct agent *target, const struct mesh_class *c);

/* Makes it the schedule: marks the pairs, links their sources, counts, and builds every agent's list. Pairs without an id are left
 * out. forget(ctx, pair) is called for each pair that leaves the schedule. TW_ENOMEM: some agents keep their old list. */
enum tw_rc schedule_adopt(struct inventory *inv, struct wanted *w, int64_t now_ns, void (*forget)(void *ctx, struct pair *p),
                          void *ctx);

#endif
