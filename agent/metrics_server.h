/* agent/metrics_server.h - the agent's own /metrics: its pairs, from their summaries as they close, and itself, by
 * the tables of the controller's page. So Prometheus can watch an agent that its controller does not reach. Made
 * when somebody asks, at most once in 5 s. Loop thread. */
#ifndef TW_AGENT_METRICS_SERVER_H
#define TW_AGENT_METRICS_SERVER_H

#include "agent/roam.h"
#include "agent/schedule_run.h"
#include "common/net/reload.h"
#include "common/stats.h"

struct metrics_server;
struct thread_list;
struct metrics_server_conf {
    struct loop *loop;
    const char *address;                 /* "192.0.2.1:9862", "[::]:9862" */
    const char *tls_cert, *tls_key;      /* files: HTTPS; both NULL: HTTP */
    bool plaintext;                      /* HTTP on an address that is not loopback, too */
    const char *name;                    /* of this agent: the source of its pairs */
    const struct schedule_run *schedule; /* says which pairs there are; outlives it */
    void (*fill_health)(void *ctx, Tw__HealthReport *ret); /* clock and noise are there to be filled */
    bool (*is_up)(void *ctx);                              /* connected to the controller */
    size_t (*ways)(void *ctx, struct roam_view ret[HOMING_MAX]); /* to its controllers */
    uint64_t (*moves)(void *ctx);                                /* between them */
    const struct reload *reload;                           /* what became of SIGHUP; NULL: there is none */
    void *ctx;
};
/* TW_EINVAL (address), TW_EINUSE, TW_EPERM. */
enum tw_rc metrics_server_start(const struct metrics_server_conf *c, struct metrics_server **ret, struct tw_err *err);
/* Reads certificate and key anew; what cannot be used changes nothing, and *err says why. */
enum tw_rc metrics_server_reload(struct metrics_server *m, struct tw_err *err);
void metrics_server_stop(struct metrics_server *m);
/* A summary is closed. m NULL: nobody looks. Those of tests on demand, and of pairs that are in the schedule no more, do not
 * count. */
void metrics_server_note(struct metrics_server *m, const struct tw_summary *s);
uint16_t metrics_server_port(const struct metrics_server *m);
void metrics_server_threads(const struct metrics_server *m, struct thread_list *ret);

#endif
