/* agent/twamp_run_priv.h - private to twamp_run.c and twamp_flow.c: a pair and its flows. */
#ifndef TW_AGENT_TWAMP_RUN_PRIV_H
#define TW_AGENT_TWAMP_RUN_PRIV_H

#include "agent/core/twamp_ctl.h"
#include "agent/io/udpsock.h"
#include "agent/twamp_run.h"

#define WHY_MAX 200

enum twamp_flow_state {
    FLOW_IDLE,
    FLOW_ASKED,    /* requested, not answered */
    FLOW_ACCEPTED, /* has its form and target */
    FLOW_REFUSED,
    FLOW_RUNNING, /* in its worker */
    FLOW_ENDING,  /* its last answers are awaited */
};
struct twamp_flow {
    struct session_spec spec;
    bool wanted;
    enum twamp_flow_state state;
    struct udpsock sock; /* fd -1: none, or the worker has it */
    struct form *form;
    struct tw_addr target;
    char why[WHY_MAX]; /* as told; "" = it runs, or nothing was said yet */
};

/* Opens its socket, from which the probes will come. */
enum tw_rc twamp_flow_open(struct twamp_flow *f, struct tw_err *err);
/* What to ask the server for. mode: in force. */
void twamp_flow_request(const struct twamp_flow *f, struct ctl_session_spec *ret);
/* Takes over keys, mode and port. */
enum tw_rc twamp_flow_accept(struct twamp_flow *f, const struct ctl_session *s);
/* Gives it to its worker. */
enum tw_rc twamp_flow_hand_over(struct twamp_flow *f, struct worker *w);
/* Back to FLOW_IDLE; not while a worker has it. */
void twamp_flow_reset(struct twamp_flow *f);

/* The one security mode that a class' `auth` means. */
uint32_t twamp_flow_mode(const struct session_spec *s);

#endif
