/* controller/change_priv.h - what change.c (one after the other, and what comes of it) and change_plan.c (what is asked for) share. */
#ifndef TW_CONTROLLER_CHANGE_PRIV_H
#define TW_CONTROLLER_CHANGE_PRIV_H

#include "controller/change.h"
#include "controller/writer.h"

struct change {
    struct writer_job job; /* first */
    struct changes *owner;
    struct change *next;
    struct change_request rq; /* its texts are ours */

    struct mesh *mesh; /* parsed document; the inventory's once taken over */
    struct overlay overlay;
    struct wanted wanted;
    struct agent *agent; /* approve, remove */
    struct change_plan plan;
    struct change_result result;
    int64_t now_ns;
    bool await_agent; /* its agent is on the way to the store: go on when it has arrived */
    bool awaited;     /* it has been waited for once */

    /* For the writer thread. */
    bool put_mesh, drop_mesh, put_agent, drop_agent, renumber;
    struct store_mesh mesh_row;
    struct store_agent agent_row;
    struct store_generation generation;
    char reason[STORE_NAME_MAX + 32];
    struct store_pair *added; /* get their ids there */
    struct wanted_pair **added_to;
    size_t n_added;
    uint64_t *closed; /* ids of pairs whose interval ends */
    size_t n_closed;
};

struct changes {
    struct controller *c;
    struct change *first, **end;
    unsigned waiting;
    bool busy;           /* the first one is with the writer */
    bool running;        /* run_waiting() is on the stack */
    bool expand_waiting; /* a CHANGE_EXPAND that has not begun */
};

/* From the request to what the writer has to do. TW_EAGAIN with await_agent: not yet. Else a failure, with what to answer in
 * ch->result. */
enum tw_rc change_prepare(struct change *ch);

#endif
