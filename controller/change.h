/* controller/change.h - everything that alters the schedule, one at a time: work out what the documents and agents want, let the
 * store writer make it durable in one transaction (mesh, agent, generation, pairs and their ids, closed intervals), and only then
 * take it over and push it. Loop thread.
 *
 * A change may touch many meshes: all of them in that one transaction and one generation, or none. One that would alter nothing makes no
 * generation. Each generation is in the history with its author and reason; consecutive ones that only follow the agents share a row.
 *
 * An interval "this pair is scheduled" opens at the first acknowledgement of a schedule that has the pair (fleet.c), and closes in the
 * change that ends or alters the pair. While an agent is down its intervals stay open, so that what is missing shows. */
#ifndef TW_CONTROLLER_CHANGE_H
#define TW_CONTROLLER_CHANGE_H

#include "controller/controller.h"
#include "controller/core/budget.h"
#include "controller/core/class_diff.h"
#include "controller/core/plan.h"
#include "controller/schedule.h"

enum change_kind {
    CHANGE_APPLY,    /* documents */
    CHANGE_ROLLBACK, /* documents, of all meshes as they were in the generation `number`; prune */
    CHANGE_PAUSE,  /* name: of a mesh */
    CHANGE_RESUME,
    CHANGE_DELETE,
    CHANGE_APPROVE, /* name: of an agent; fingerprint */
    CHANGE_REMOVE,
    CHANGE_EXPAND,  /* agents changed: expand again */
    CHANGE_AGENTS   /* the same, and somebody waits; name: what was done to them, for the history */
};

/* One mesh in an apply or rollback. */
struct change_mesh_plan {
    const char *mesh;
    enum { MESH_UNCHANGED, MESH_ADDED, MESH_CHANGED, MESH_DELETED } action;
    bool paused; /* then */
    uint64_t pairs;
    struct plan_diff diff;
    size_t below_degree; /* mesh_below_degree(), then */
    size_t ended_classes; /* of which no run is to come */
};
/* A pair that comes ('+'), goes ('-') or gets other settings ('~'). */
struct change_pair {
    char action;
    char mesh[MESH_NAME_MAX], class_name[MESH_NAME_MAX], source[MESH_NAME_MAX], target[MESH_NAME_MAX];
    char what[CLASS_DIFF_MAX]; /* '~': "spacing 20ms -> 50ms" */
};
#define CHANGE_PAIRS_MAX 10000
struct change_plan { /* CHANGE_APPLY, CHANGE_ROLLBACK */
    struct change_mesh_plan *meshes;
    size_t n_meshes;
    uint64_t pairs; /* of these meshes, then */
    struct plan_diff diff;
    struct plan_cost before, after; /* all meshes */
    struct budget_report budget;    /* what is beyond */
    struct change_pair *changed_pairs; /* up to max_pairs */
    size_t n_pairs;
    bool pairs_cut;                 /* there are more */
};
/* What came of it; valid during done(). */
struct change_result {
    Tw__Status status;
    struct tw_err err;   /* status != 0 */
    bool in_document;    /* the error is one of a document: file, line, column and field say where */
    bool over_budget;    /* the error is that it costs too much: plan->budget has all reasons, the plan the rest */
    bool unchanged;      /* there was nothing to do: no new generation */
    uint64_t generation; /* the present one, after it */
    const struct change_plan *plan; /* CHANGE_APPLY and CHANGE_ROLLBACK without another error, else NULL */
};
struct change_document {
    const char *file, *text;   /* one or several YAML documents */
    bool set_paused, paused;   /* else as the mesh is, or active if it is new */
};
#define CHANGE_DOCUMENTS_MAX 1000
struct change_request { /* texts are copied; NULL = "" */
    enum change_kind kind;
    const char *name, *author, *fingerprint;
    const char *reason;              /* the author's */
    const char *file, *document;     /* a single document, instead of the list */
    const struct change_document *documents;
    size_t n_documents;
    bool prune;                      /* delete the meshes that are in none of the documents */
    uint64_t number;                 /* CHANGE_ROLLBACK */
    bool plan_only;
    bool renames;                    /* CHANGE_AGENTS: pairs have other names now, if nothing else */
    bool force;                      /* past the operator's budgets, never past an agent's own limits */
    uint32_t max_pairs;              /* of which the plan shall tell each; CHANGE_PAIRS_MAX at most */
    void (*done)(void *ctx, const struct change_result *r); /* may be NULL; may run before change_submit() returns */
    void *ctx;
};

enum tw_rc changes_new(struct controller *c, struct changes **ret);
/* After the writer has stopped: no change is with it any more. Those that wait are dropped; done() is called. */
void changes_free(struct changes *s);
/* TW_EBUSY: 64 wait already (CHANGE_EXPAND is always taken: use change_expand()); done() is not called. TW_ENOMEM. */
enum tw_rc change_submit(struct changes *s, const struct change_request *rq);
/* Nothing begins until it is released: for who changes what changes build on. False: one is under way. */
bool change_hold(struct changes *s);
void change_release(struct changes *s);
/* Those that wait for what others did (follow.h) may begin. */
void change_go_on(struct changes *s);
/* Another schedule was taken over: who does not run it is behind since then. */
void change_note_behind(struct inventory *inv, int64_t now_ns);
/* Addresses or the set of agents changed. Many calls become one change. */
void change_expand(struct changes *s);
/* The same, and the history names the agent. */
void change_expand_for(struct changes *s, const char *agent);

#endif
