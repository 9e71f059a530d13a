/* agent/tool/run.h - runs the flows of one measurement on an event loop: sends when a probe is due, times
 * answers in the kernel, hands out samples and summaries, and ends when all probes are accounted for. An idle
 * run does not wake up but once a second, to look at the clock. Loop thread only. */
#ifndef TW_AGENT_TOOL_RUN_H
#define TW_AGENT_TOOL_RUN_H

#include "agent/core/session.h"
#include "agent/io/udpsock.h"
#include "common/net/loop.h"

#define RUN_FLOWS_MAX 64
/* A report period for runs that are to be one piece. */
#define RUN_ONE_PERIOD_NS (86400 * TW_NS_PER_S * 366)

struct run_flow {
    struct tw_addr target; /* only its answers are taken */
    struct form *form;     /* NULL: TWAMP Light */
    struct udpsock sock;   /* open */
};

/* What all flows did in one report period; an empty summary (end_ns 0) where a flow did nothing. Valid during
 * the call. */
struct run_period {
    const struct tw_summary *flows;
    size_t n_flows;
    const struct tw_summary *total;
};

struct run_cfg {
    struct loop *loop;
    struct session_cfg session; /* of every flow; `flow` is set here */
    struct run_flow *flows;
    size_t n_flows;   /* 1..RUN_FLOWS_MAX */
    uint8_t tos, ttl; /* ttl 0 = 255 */
    bool user_tx_times; /* the kernel is not asked when packets left */
    bool precise;     /* spin for the last moments before a probe is due: agent/core/wake_margin.h */
    /* Any may be NULL. None may free the run. */
    void (*on_sample)(void *ctx, unsigned flow, const struct session_sample *s); /* needs session.samples */
    void (*on_period)(void *ctx, const struct run_period *p); /* in order, once per period that had probes */
    void (*on_end)(void *ctx);                                /* nothing comes after it */
    void *ctx;
};

struct run;

/* Starts to send. Forms and sockets of cfg->flows that it took are NULL and -1 there afterwards: all on
 * TW_OK, perhaps some forms otherwise. */
enum tw_rc run_start(const struct run_cfg *cfg, struct run **ret, struct tw_err *err);
/* Sends no more, waits for answers for at most a second, then on_end(). Called again it does not wait. */
void run_stop(struct run *r);
/* At once; on_end() is not called. */
void run_free(struct run *r);
/* Samples that were overwritten before on_sample() could have them. */
uint64_t run_samples_lost(const struct run *r);
/* errno of the last probe that the operating system refused; 0: none. */
int run_last_error(const struct run *r);
/* All flows together, now. */
void run_totals(const struct run *r, struct session_totals *ret);

#endif
