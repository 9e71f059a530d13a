/* controller/agent_edit_kinds.h - the kinds of agent_edit.h: what each needs, and what it does to one agent. Pure. */
#ifndef TW_CONTROLLER_AGENT_EDIT_KINDS_H
#define TW_CONTROLLER_AGENT_EDIT_KINDS_H

#include "admin.pb-c.h"
#include "controller/agent_edit.h"

struct agent_edit_rule {
    const char *verb;  /* of the history: "drain" */
    bool many;         /* takes a selector, too */
    bool revoked_too;  /* of a revoked agent, too */
    bool expands;      /* the meshes may come out otherwise after it */
    /* What is wrong with the request, whatever agent it is for. NULL: nothing can be. */
    enum tw_rc (*check)(const Tw__AgentRequest *rq, int64_t now_ns, struct tw_err *err);
    /* On TW_OK *o is as asked for, changed or not. */
    enum tw_rc (*edit)(const Tw__AgentRequest *rq, const char *name, int64_t now_ns, struct agent_ops *o,
                       struct tw_err *err);
};
extern const struct agent_edit_rule agent_edit_rules[]; /* by enum agent_edit_kind */

/* The texts that every request may have. */
enum tw_rc agent_edit_check_texts(const Tw__AgentRequest *rq, struct tw_err *err);

#endif
