/* agent/io/worker.h - the thread that moves probes: its sessions, its reflector sockets, its timer queue and
 * buffers. One owner for all of it; the agent loop sends commands and takes summaries through bounded rings.
 * The worker neither allocates nor locks nor logs per packet: allocation happens when sessions come and go,
 * and when their report periods begin.
 */
#ifndef TW_AGENT_WORKER_H
#define TW_AGENT_WORKER_H

#include "agent/core/diag.h"
#include "agent/core/flight.h"
#include "agent/core/phc_map.h"
#include "agent/core/reflect_session.h"
#include "agent/core/session.h"
#include "agent/io/udpsock.h"
#include "common/addr.h"
#include "common/net/loop.h"

struct worker;

struct worker_cfg {
    unsigned index;
    struct loop *loop;             /* where on_results() runs; NULL: nowhere */
    void (*on_results)(void *ctx); /* on the loop thread: summaries or notices are waiting */
    void (*on_thread)(void *ctx);  /* first thing on its own thread; NULL: nothing */
    void *ctx;
    struct tw_addr reflect[8];     /* reflector sockets to open (SO_REUSEPORT); family 0 ends the list */
    uint32_t reflect_max_sessions; /* 0 = 65536 */
    int64_t refwait_ns;            /* 0 = 900 s */
    size_t max_sessions;           /* of sender; 0 = 10000 */
    uint32_t max_reflect_sessions; /* agreed by TWAMP-Control; 0 = 1000 */
    struct acl *acl;               /* of its reflectors, which take holds of their own; NULL: everybody */
    struct source_limit
        *limit; /* of all reflectors, those of agreed sessions, too; must outlive it; NULL: none */
    bool stateless, demand_auth, refuse_dscp, refuse_short; /* of its reflectors: reflect_cfg */
    uint32_t flight_probes;   /* that a session keeps in the flight recorder; 0 = none */
    size_t flight_bytes;      /* of all sessions */
    uint32_t flight_loss_run; /* so many lost in a row are an incident; 0 = never */
    /* Probes leave closer to their time: the thread wakes a margin earlier (agent/core/wake_margin.h) and
     * spins for what is left of it. Costs as much CPU: up to 200 us for each instant when probes are due. */
    bool precise;
    bool self_test;     /* while there are sessions, measure over the loopback device, too: the noise floor */
    bool hw_times;      /* of network cards, too: worker_set_phcs() */
    bool user_tx_times; /* the kernel is not asked when probes left: saves a tenth of the CPU of a probe */
};

/* Opens the sockets (so that errors are reported here), then starts the thread; on_thread() is through when
 * it returns. */
enum tw_rc worker_start(const struct worker_cfg *cfg, struct worker **ret, struct tw_err *err);
/* Where reflector i (of cfg.reflect) listens: tells the port that the kernel chose for port 0. TW_ENOENT: no
 * such. */
enum tw_rc worker_reflector_addr(const struct worker *w, size_t i, struct tw_addr *ret);
/* Stops sending, flushes the open periods into the result ring (drain it afterwards with
 * worker_next_summary()), ends the thread. */
void worker_stop(struct worker *w);
void worker_free(struct worker *w);

/* What to run for one flow. */
struct worker_session {
    struct session_cfg cfg; /* samples are not kept */
    struct form *form;      /* NULL: TWAMP Light; taken over on TW_OK */
    struct tw_addr target;  /* with the port */
    uint8_t ttl;            /* 0 = 255 */
    /* Where it sends from. Sessions share a socket only if all of this is equal, and never with one that has
     * a port of its own. */
    bool df;             /* Don't Fragment: what is too long for the path is a send error */
    struct tw_addr bind; /* source address (family 0: by routing) and port (0: the kernel chooses) */
    char interface[UDP_INTERFACE]; /* "" = any */
    struct udpsock *sock;          /* an open socket to send from, for those who must know the port before;
                                    * its own options count, not the three above. Taken over on TW_OK: its fd
                                    * is -1 then. NULL: the worker finds or opens one. */
};

/* Commands; loop thread only. TW_EBUSY: the command ring is full, try again after on_results(); TW_ECLOSED
 * after worker_stop(). worker_add: TW_EEXIST if that flow of the pair runs (one that was removed and still
 * waits for answers does not count), TW_ENOSPC at max_sessions, TW_EINVAL if the families of its addresses
 * differ, TW_EINVAL or TW_ENOMEM from session_new(). Each session that was added gives exactly one notice;
 * what it takes is freed once the notice has been read. */
enum tw_rc worker_add(struct worker *w, const struct worker_session *ws);
/* Stops it; its last summary follows when nothing is in flight. */
enum tw_rc worker_remove(struct worker *w, uint64_t pair_id, uint32_t flow);
/* Leaves one alone that has a stop_ns: it ends by itself, and from now on counts as removed, so that the next
 * run of that flow may be added. */
void worker_let_end(struct worker *w, uint64_t pair_id, uint32_t flow);
enum tw_rc worker_set_generation(struct worker *w, uint64_t pair_id, uint32_t flow, uint64_t generation);
/* Other keys: takes over `form` on TW_OK. TW_EINVAL: its packets do not have the sizes that the session
 * sends; TW_ENOENT. */
enum tw_rc worker_set_form(struct worker *w, uint64_t pair_id, uint32_t flow, struct form *form);
/* Keys of authenticated STAMP for all reflectors of this worker: on TW_OK takes over and empties *keys. */
enum tw_rc worker_set_stamp_keys(struct worker *w, struct stamp_keys *keys);
/* Another access list for all reflectors of this worker but those of agreed sessions; takes a hold of its
 * own. */
enum tw_rc worker_set_acl(struct worker *w, struct acl *acl);
/* For error estimates; also tells of wall clock steps. Any thread. */
void worker_set_clock(struct worker *w, const struct tw_clock_state *c);
/* What the clocks of network cards say in system time: to be told once a second. Any thread. */
#define WORKER_PHCS_MAX 4
struct worker_phc {
    uint32_t interface; /* its index */
    struct phc_map map;
};
void worker_set_phcs(struct worker *w, const struct worker_phc *phcs, size_t n);
/* The same, and from now on the worker looks at the kernel's clock state itself: when it is awake and the
 * last look is older than CLKSTATE_GOOD_NS, so an idle worker does not wake up for it. If c->steps has grown,
 * the clock is not called synchronised for CLKSTATE_SETTLE_NS. Any thread. */
void worker_watch_clock(struct worker *w, const struct tw_clock_state *c);

/* Loop thread. TW_EAGAIN: none. *ret is initialised by the caller and swapped in. It tells of the host in its
 * span, too. */
enum tw_rc worker_next_summary(struct worker *w, struct tw_summary *ret);
/* A session that could not start or ended; rc TW_OK = ended as asked. */
struct worker_notice {
    uint64_t pair_id;
    uint32_t flow;
    enum tw_rc rc;
    bool removed;  /* worker_remove() came before it: the flow may run again by another worker_add() */
    char why[160]; /* it could not start: what is wrong with its socket; "" = rc says all */
    const struct flight_record
        *tail; /* after worker_keep_tail(): its last records; valid until the next call */
    size_t n_tail;
};
enum tw_rc worker_next_notice(struct worker *w, struct worker_notice *ret);

/* Reflectors of sessions agreed by TWAMP-Control. Loop thread. open: binds a socket at `local` (port 0: any)
 * and hands it to the worker; *ret_id names it from then on, *ret_port is where it listens. TW_EINUSE,
 * TW_EPERM, TW_EINVAL (address, configuration), TW_ENOSPC (max_reflect_sessions are open, or their ends not
 * yet taken), TW_EBUSY and TW_ECLOSED as above. *err says it in words. */
enum tw_rc worker_reflect_open(struct worker *w, const struct tw_addr *local,
                               const struct reflect_session_cfg *cfg, uint64_t *ret_id, uint16_t *ret_port,
                               struct tw_err *err);
/* TW_ENOENT: no such, or its end has been taken; on one that has ended otherwise they have no effect. */
enum tw_rc worker_reflect_start(struct worker *w, uint64_t id);
enum tw_rc worker_reflect_stop(struct worker *w, uint64_t id); /* answers for its timeout, then ends */
enum tw_rc worker_reflect_drop(struct worker *w, uint64_t id); /* ends now */
/* Each one that was opened ends exactly once: by REFWAIT, by the timeout after its stop, dropped, or with the
 * worker. Until then its port is taken. on_results() tells that there is news. TW_EAGAIN: none. */
struct worker_reflect_end {
    uint64_t id;
    struct reflect_counters counters;
};
enum tw_rc worker_next_reflect_end(struct worker *w, struct worker_reflect_end *ret);

/* Any thread; momentary. */
struct worker_counters {
    uint64_t sessions, probes_sent, probes_received, probes_lost, send_errors,
        unmatched /* from addresses we do not probe */;
    uint64_t auth_failed; /* answers whose HMAC was wrong */
    /* Each datagram that came to a reflector is either reflected or rejected. */
    uint64_t reflected, reflector_rejected, reflector_send_errors, reflector_stateless, reflector_sessions,
        rxq_drops; /* of the reflector sockets */
    uint64_t reflector_not_allowed, reflector_rate_limited, reflector_loops,
        reflector_longer;                                    /* of `reflector_rejected` */
    uint64_t reflector_evicted;                              /* senders forgotten to make room */
    uint64_t reflector_auth_failed, reflector_auth_demanded; /* of `reflector_rejected` */
    uint64_t reflector_tlv_auth_failed;       /* of `reflected`: only the HMAC of their TLVs was wrong */
    uint64_t reflected_stamp, reflected_auth; /* of `reflected` */
    uint64_t reflect_sessions;                /* agreed by TWAMP-Control, open now */
    uint64_t sender_rxq_drops, rx_user_time, summaries_lost, wakeups;
    /* struct flight_stats; incidents_lost: nobody took them in time. */
    uint64_t flight_share, flight_kept_min_ns, flight_octets, flight_refused, flight_withheld,
        flight_incidents_lost;
    /* Sending times that the kernel told: used; after the answer had been settled; not credible; never. */
    uint64_t tx_stamps, tx_stamps_late, tx_stamps_refused, tx_stamps_missing;
    uint64_t spins, spun_ns;                 /* `precise`: how often it spun, and for how long in all */
    uint64_t host_stalls;                    /* agent/core/hoststate.h */
    uint64_t self_test_sent, self_test_lost; /* in none of the counts above */
    /* Of the minute before `host_looked_ns` (monotonic; 0: never yet); an idle worker does not look. */
    uint64_t host_looked_ns, host_stall_max_ns, host_cpu_wait_ppm, noise_p50_ns, noise_p99_ns, noise_max_ns;
};
void worker_counters(const struct worker *w, struct worker_counters *ret);
/* How its thread is doing, and what waits for it. Any thread. */
struct worker_load {
    struct work_stats work; /* with the spinning of `precise` */
    size_t commands, commands_max;
};
void worker_load(const struct worker *w, struct worker_load *ret);
/* Totals per session, for Live: fills up to cap rows and returns how many sessions there are. Loop thread;
 * answered by the worker within a moment, TW_ETIMEOUT after 1 s. */
struct worker_live {
    uint64_t pair_id;
    uint32_t flow;
    struct session_totals totals;
};
enum tw_rc worker_live(struct worker *w, struct worker_live *ret, size_t cap, size_t *ret_n);

/* ---- Counting what comes to the reflectors with a token of `doctor` (agent/core/diag.h). Loop thread. ----
 */

#define WORKER_TALLIES 16
struct worker_tally {
    struct {
        uint64_t came, answered, not_allowed, auth_demanded, refused, send_errors;
    } kind[DIAG_KINDS];
    struct tw_addr from; /* of the last one; family 0: none came */
};
/* From now on. TW_EBUSY: so many are counted already; TW_EEXIST: this one is. */
enum tw_rc worker_tally_begin(struct worker *w, uint64_t token);
/* What has come; counts no longer. TW_ENOENT. */
enum tw_rc worker_tally_end(struct worker *w, uint64_t token, struct worker_tally *ret);
/* What a session has measured since the last summary that worker_next_summary() gave, or will give: merged
 * into *sum (initialised), as session_peek(). TW_ENOENT: no such session; TW_ETIMEOUT after 1 s. Loop thread.
 */
enum tw_rc worker_peek(struct worker *w, uint64_t pair_id, uint32_t flow, struct tw_summary *sum,
                       struct session_peek *ret);

/* ---- The flight recorder. Loop thread. ---- */

#define WORKER_FLIGHT_MAX 8192 /* records that one question gets */

/* A copy of what a session recorded, answered by the worker within a moment. TW_ENOENT: no such session, or
 * nothing is recorded here; TW_ETIMEOUT after 1 s. `records` are valid until the next call. */
struct worker_flight {
    struct flight_kept kept;
    uint64_t total; /* in the span */
    const struct flight_record *records;
    size_t n;
};
enum tw_rc worker_flight(struct worker *w, uint64_t pair_id, uint32_t flow, const struct flight_span *span,
                         size_t limit, struct worker_flight *ret);
/* With the notice of its end comes what the flight recorder has of it then: at most the last
 * WORKER_FLIGHT_MAX records. TW_ENOENT, TW_ENOMEM, TW_EBUSY, TW_ECLOSED. */
enum tw_rc worker_keep_tail(struct worker *w, uint64_t pair_id, uint32_t flow);
/* The flows of a pair that run here, at most cap; returns how many there are. */
size_t worker_flows(const struct worker *w, uint64_t pair_id, uint32_t *ret, size_t cap);
/* A session has lost probes in a row. on_results() tells that there is news. TW_EAGAIN: none. */
struct worker_incident {
    uint64_t pair_id;
    uint32_t flow;
    struct flight_incident what;
    int64_t timeout_ns; /* after which the fate of a probe is known */
    int64_t holds_ns;   /* the ring will hold about so much time */
};
enum tw_rc worker_next_incident(struct worker *w, struct worker_incident *ret);

#endif
