/* controller/change_priv.h - what change.c (one after the other, and what comes of it) and change_plan.c (what is asked for) share. */
#ifndef TW_CONTROLLER_CHANGE_PRIV_H
#define TW_CONTROLLER_CHANGE_PRIV_H

#include "controller/change.h"
#include "controller/writer.h"

/* What a change does to one mesh. */
struct change_mesh {
    struct mesh *mesh;      /* its new document, parsed; the inventory's once taken over. NULL: the document stays */
    char *document, *file;  /* ours */
    unsigned lines_before;
    bool put, drop;         /* for the writer thread */
    bool unchanged;         /* only named */
    struct store_mesh row;
};

/* Agents that a change is about, for the history: some names, and how many. */
#define CHANGE_NAMES 160
struct change_names {
    char text[CHANGE_NAMES];
    unsigned n, left_out;
};

struct change_slot {
    uint64_t pair_id;
    uint8_t slot;
};

/* Preparing: each may take many pieces of the loop. */
enum change_step { CHANGE_WANT, CHANGE_PLAN, CHANGE_LIST };

struct change {
    struct writer_job job; /* first */
    struct changes *owner;
    struct change *next;
    struct change_request rq; /* its texts are ours */
    struct change_names names; /* CHANGE_EXPAND */

    struct change_mesh *meshes;
    size_t n_meshes, cap_meshes;
    struct overlay_mesh *overlay_meshes;
    struct overlay overlay;
    enum change_step step;
    struct wanting *wanting;        /* CHANGE_WANT */
    struct change_compare *compare; /* CHANGE_PLAN */
    size_t n_listed;                /* CHANGE_LIST: of wanted.changes */
    struct wanted wanted;
    struct wanted_diff diff;
    struct agent *agent; /* approve, remove */
    struct change_plan plan;
    struct change_result result;
    int64_t now_ns, prepare_ns; /* when it began; so long it has kept the loop */
    uint64_t decided;           /* by that memory */
    unsigned tries; /* that others came before */
    bool await_agent; /* its agent is on the way to the store: go on when it has arrived */
    bool awaited;     /* it has been waited for once */

    /* For the writer thread. */
    bool put_agent, drop_agent, renumber;
    struct store_agent agent_row;
    struct store_generation generation;
    char what[2 * CHANGE_NAMES + 80];
    struct store_pair *added; /* get their ids there */
    size_t n_added, cap_added;
    struct change_slot *moved; /* pairs that the store knows, with another slot */
    size_t n_moved, cap_moved;
    uint64_t *closed; /* ids of pairs whose interval ends */
    size_t n_closed, cap_closed;

    /* It is durable, and is taken over. */
    enum tw_rc taken;
    size_t n_taken; /* of those that were added */
};

/* The last generation, if only agents made it: another one like it within a minute takes its row in the history. */
struct change_fleet {
    uint64_t first, number;
    enum change_kind kind;
    int64_t first_ns, last_ns;
    char author[STORE_NAME_MAX];
    struct change_names names;
    uint64_t added, removed, changed;
};

struct changes {
    struct controller *c;
    struct change *first, **end;
    unsigned waiting;
    bool busy; /* the first one is being prepared, with the writer, or being taken over */
    struct change *preparing, *taking;
    struct loop_task prepare_task, take_task;
    bool running;        /* run_waiting() is on the stack */
    struct change *expand_waiting; /* a CHANGE_EXPAND that has not begun */
    bool expand_held;    /* it is not in the list yet: the timer puts it there */
    struct loop_timer expand_timer;
    struct tw_mono expand_from; /* not before */
    struct change_fleet fleet;
};

/* From the request to what the writer has to do: begins with it. TW_EAGAIN with await_agent: not yet. Else a
 * failure, with what to answer in ch->result. */
enum tw_rc change_prepare(struct change *ch);
/* Then goes on with it, and looks at about *left pairs at most; what it did is taken off that. TW_EAGAIN:
 * there is more to do. */
enum tw_rc change_prepare_some(struct change *ch, size_t *left);
__attribute__((format(printf, 4, 5))) enum tw_rc change_refuse(struct change *ch, Tw__Status status, enum tw_rc rc,
                                                               const char *fmt, ...);
/* The next of ch->meshes, zeroed but for its name; NULL: no memory. Pointers to others move. */
struct change_mesh *change_add_mesh(struct change *ch, const char *name);

/* change_docs.c: the meshes that a set of documents puts, and with prune those that it deletes. */
enum tw_rc change_read_documents(struct change *ch);

/* change_compare.c: fills the plan, but for what is beyond the budgets. ch->wanted is there, and stays.
 * TW_ENOMEM. */
struct change_compare;
enum tw_rc change_compare_new(struct change *ch, struct change_compare **ret);
enum tw_rc change_compare_go_on(struct change_compare *g, size_t *left); /* as change_prepare_some() */
void change_compare_free(struct change_compare *g);                      /* NULL is allowed */
/* change_budget.c: TW_EINVAL and over_budget: it costs too much. The plan's costs are known. */
enum tw_rc change_check_budgets(struct change *ch);

/* change_take.c: takes over some of what is durable; true: not all of it. All that others can see changes
 * with the last of it. */
bool change_take_some(struct change *ch);

/* change_history.c */
void change_names_add(struct change_names *n, const char *name);
/* The generation that ch makes, and its row in the history. */
void change_number(struct change *ch);
/* It is durable. */
void change_numbered(struct change *ch);

#endif
