/* agent/io/worker_priv.h - what the files of the worker share. Private to agent/io and its tests.
 *
 * A flow is a session and what the worker knows about it. The loop thread makes it, hands it over with
 * CMD_START, and frees it after the worker's notice that it has ended; between the two the worker thread owns
 * everything but the fields marked "loop". After the thread has been joined all belongs to the loop thread
 * again.
 *
 * A lane is a socket with a source port of its own. Sessions to different peers share a lane if they want to
 * send from the same address and interface and agree on Don't Fragment; one that brings its socket or names a
 * port has a lane to itself. Two sessions to the same address and port are always on different lanes, because
 * a stateful reflector counts per pair of addresses and ports. For the same reason a lane does not serve a
 * peer again until PEER_REST_NS after its last session there: a restarted session gets another lane, hence a
 * fresh count, whatever the reflector's rule for restarts is. */
#ifndef TW_AGENT_WORKER_PRIV_H
#define TW_AGENT_WORKER_PRIV_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include "agent/core/flight.h"
#include "agent/core/hoststate.h"
#include "agent/core/reflect.h"
#include "agent/core/reflect_session.h"
#include "agent/core/twamp_pkt.h"
#include "agent/core/wake_margin.h"
#include "agent/io/stamp_wait.h"
#include "agent/io/sumring.h"
#include "agent/io/udpsock.h"
#include "agent/io/worker.h"
#include "common/ring.h"

#define PEER_REST_NS (5 * TW_NS_PER_S)
#define RESULT_RETRY_NS (100 * TW_NS_PER_MS) /* when the result ring was full */

enum {
    REFLECTORS_MAX = TW_NELEM(((struct worker_cfg *)0)->reflect),
    LANES_MAX = 4096,
    RX_BATCH = 64,
    /* The later ones of a batch wait for the earlier ones with their time already stamped: few, so that this
     * stays in the order of 10 us when the host is busy. An idle host sends one at a time anyway. What they
     * wait for is the kernel, 1.3 us for each; making a probe takes 0.1 us, so stamping all of them anew just
     * before the call would gain nothing. The kernel's sending times tell the rest. */
    PROBE_BATCH = 8,
    ANSWER_BATCH = 64,   /* their time is told by their place, see stamp_answers() */
    ANSWERS_SIGNED = 16, /* of answers that are dear to make */
    STAMPS_AWAITED = 256,
    DATAGRAM_CAP = TEST_DATAGRAM_MAX
};

struct wtimer {
    struct timerq_entry entry; /* first */
    void (*fn)(struct worker *w, struct wtimer *t);
};

/* ---- What epoll points to ---- */

enum port_kind { PORT_COMMANDS, PORT_ALARM, PORT_REFLECTOR, PORT_LANE };
struct port {
    enum port_kind kind;
    struct udpsock sock; /* of the first two kinds only .fd is used */
};

/* An answer whose send time the kernel will tell. */
struct awaited {
    bool used;
    uint32_t id;
    struct tw_wall began; /* cannot have left before */
    struct reflect_tx tx;
};

/* A reflector socket: for everybody, or of one agreed session. */
struct mirror {
    struct port port; /* first */
    struct reflector *state;
    struct reflect_session *session; /* instead of `state` */
    struct awaited *awaited;         /* STAMPS_AWAITED, by id; an older one gives way. With `state` only. */
    bool asked; /* answers of this round want to know when they left: that comes by epoll */
};

/* A session agreed by TWAMP-Control. The loop thread makes it, hands it over with CMD_AGREED_OPEN, and frees
 * it after the worker has said that it has ended; between the two the worker thread owns everything but the
 * fields marked "loop". */
struct agreed {
    struct mirror mirror; /* first */
    struct wtimer ends;
    uint64_t id;
    bool open, started;
    _Atomic bool start_told; /* by the loop, ahead of its command: see agreed_catch_up() */
    struct agreed *prev, *next;
    struct reflect_counters
        counted; /* what the worker's counters have of it; all there is once it has ended */
    /* loop: */
    struct agreed *bucket_next;
    uint64_t last_cmd; /* number of the last command that names it */
};

/* What a lane's socket was asked to be. */
struct lane_key {
    struct tw_addr local; /* with the port if it is fixed; the family is always known */
    bool df;
    char interface[UDP_INTERFACE];
};

struct lane {
    struct port port; /* first */
    struct lane_key key;
    uint32_t serial;    /* no other open lane has it */
    unsigned hw_missed; /* probes since a card told when one left; see stamps_await() */
    bool own;           /* of one session */
    struct lane **list; /* that it is on */
    struct lane *prev, *next;
    struct peer *peers; /* all that it serves or rests from */
    unsigned flows;
};

/* A target as seen from one lane; flow NULL = resting until the timer fires. */
struct peer {
    struct wtimer rest; /* first */
    struct tw_addr addr;
    struct lane *lane;
    struct flow *flow;
    struct peer *bucket_next, *lane_prev, *lane_next;
};

/* ---- Sessions ---- */

/* Where to and from: until it has a lane. */
struct flow_start {
    struct tw_addr target;
    struct lane_key key;
    struct udpsock given; /* fd -1: none, or a lane has it */
};

/* What the worker's counters have of a session, modulo 2^32: differences are what is added. */
struct flow_counted {
    uint32_t sent, received, lost, send_errors, auth_failed, summaries_lost;
};

/* An agent may have 10,000 of them. */
struct flow {
    struct wtimer due; /* first */
    struct session *session;
    struct flight *flight; /* NULL: nothing is recorded */
    uint64_t pair_id;
    uint32_t number;
    struct stamp_waiter stamps;
    uint8_t tos, ttl;
    bool self;    /* of the self-test: on no list, in no count */
    bool stuck;   /* on the list of those that wait for room in the result ring */
    bool removed; /* loop */
    struct flow_start *start;
    struct peer *peer;  /* NULL: not started, or ended */
    struct tw_err *err; /* why it could not start, or NULL */
    struct flow *prev, *next;
    struct flight_record *tail; /* room for the last records, filled at its end; NULL: nobody asked */
    size_t n_tail;
    unsigned clock_number; /* what its session was told last */
    struct flow *stuck_next;
    struct flow_counted counted;
    /* loop: */
    struct flow *bucket_next;
    uint64_t last_cmd; /* number of the last command that names this flow */
    uint32_t live_row; /* its row of the open question */
};

/* One for each registered flow: made by the loop before it asks, filled by the worker before it answers. */
struct live_row {
    bool told; /* else the session has ended, or did not start: it is the loop's to ask */
    struct session_totals totals;
};

enum cmd_op {
    CMD_START,
    CMD_STOP,
    CMD_GENERATION,
    CMD_FORM,
    CMD_LIVE,
    CMD_FLIGHT,
    CMD_PEEK,
    CMD_TAIL,
    CMD_KEYS,
    CMD_ACL,
    CMD_AGREED_OPEN,
    CMD_AGREED_START,
    CMD_AGREED_STOP,
    CMD_AGREED_DROP
};
struct cmd {
    enum cmd_op op;
    union {
        struct flow *flow;
        struct agreed *agreed;
        struct stamp_keys *keys; /* one for each mirror, from calloc() */
        struct acl *acl;         /* the command's own hold */
    };
    union {
        uint64_t number;
        struct form *form;
        struct flight_record *tail; /* WORKER_FLIGHT_MAX of them */
    };
};

struct ending { /* item of the notice ring */
    struct flow *flow;
    enum tw_rc rc;
};

/* The loop fills in the upper half and asks; the lower half is its again once the worker has answered. */
struct flight_question {
    struct flight_span span;
    size_t limit;
    struct flight_kept kept;
    uint64_t total;
    struct flight_record *records; /* WORKER_FLIGHT_MAX; made for the first question */
    size_t n;
};

/* The same of worker_peek(). */
struct peek_question {
    struct tw_summary sum;
    struct session_peek peek;
    enum tw_rc rc;
};

/* worker_selftest.c */
struct selftest {
    struct flow *flow; /* NULL: does not run */
    struct mirror mirror;
    struct tw_mono rests_until; /* it could not run */
    struct tw_summary unused;
};

#define WORKER_COUNTERS_N (sizeof(struct worker_counters) / sizeof(uint64_t))

/* Packets with a token: the loop sets the token, the worker counts. */
enum tally_count {
    TALLY_CAME,
    TALLY_ANSWERED,
    TALLY_NOT_ALLOWED,
    TALLY_AUTH_DEMANDED,
    TALLY_REFUSED,
    TALLY_SEND_ERRORS,
    TALLY_COUNTS
};
struct tally {
    _Atomic uint64_t token; /* 0 = not in use */
    _Atomic uint64_t n[DIAG_KINDS][TALLY_COUNTS];
    _Atomic uint64_t from[sizeof(struct tw_addr) / sizeof(uint64_t)];
};

struct worker {
    struct worker_cfg cfg;
    size_t max_sessions;
    pthread_t thread;
    sem_t begun; /* once its on_thread() is through; in use within worker_run() */
    bool started, stopped;

    /* Between the threads. */
    struct ring *cmds, *endings, *agreed_endings;
    struct ring *incidents; /* NULL: no flight recorder */
    struct flight_question flight_question;
    struct peek_question peek_question;
    size_t cmds_max;
    struct work work; /* rounds */
    struct sumring *results;
    _Atomic uint64_t cmds_done;
    _Atomic bool want_room; /* a command found the ring full */
    _Atomic bool stop;
    _Atomic uint64_t live_done;
    int live_fd, news_fd; /* eventfd: worker to loop */
    pthread_mutex_t clock_lock;
    struct tw_clock_state clock_set; /* under clock_lock */
    struct worker_phc phcs_set[WORKER_PHCS_MAX];
    size_t n_phcs_set;
    _Atomic unsigned phcs_version;
    bool clock_watch_set; /* under clock_lock */
    _Atomic unsigned clock_version;
    _Atomic uint64_t published[WORKER_COUNTERS_N];
    struct tally tallies[WORKER_TALLIES];
    _Atomic unsigned n_tallies; /* 0: nobody looks at tokens */

    /* Loop thread. */
    struct loop_watch news_watch;
    struct flow **registry; /* by pair and flow; until the notice has been taken */
    size_t buckets;         /* of registry and peers: a power of two */
    size_t registered, running;
    struct flow *finished;           /* noticed, not freed yet: a command may still name it */
    struct agreed **agreed_registry; /* by id; until the end has been taken */
    size_t agreed_buckets, n_agreed, max_agreed;
    uint64_t last_agreed_id;
    struct agreed *agreed_finished;
    uint64_t cmds_sent, live_asked;
    struct live_row *live_rows; /* of the open question: the worker's */
    size_t drain_bucket;        /* worker_next_summary() after the stop */

    /* Worker thread. */
    int epoll_fd;
    struct port commands, alarm;
    struct tw_mono armed; /* what the alarm is set to */
    struct wake_margin margin;
    bool commanded; /* in this round */
    struct mirror mirrors[REFLECTORS_MAX];
    size_t n_mirrors;
    struct agreed *agreed;
    struct lane *lanes, *own_lanes; /* those that sessions can share, and those that they cannot */
    unsigned n_lanes;
    uint32_t last_lane; /* its serial */
    struct stamp_wait *stamps;
    struct peer **peers;
    size_t n_resting;
    struct flow *flows, *stuck;
    struct session_pool periods; /* of all of them */
    struct flight_pool *flights; /* NULL: nothing is recorded */
    struct timerq timers;
    struct wtimer retry;
    struct tw_now now; /* of this round */
    bool news;
    unsigned clock_seen;
    struct tw_clock_state clock;
    unsigned phcs_seen;
    struct worker_phc phcs[WORKER_PHCS_MAX];
    size_t n_phcs;
    bool clock_watch;                           /* we look ourselves */
    struct tw_mono clock_looked, clock_settled; /* last look; no clock is called synchronised before */
    unsigned clock_number; /* of what all have been told, or will be with their next probe */
    struct udp_rx *rx;
    struct udp_tx *tx_probes, *tx_answers;
    struct lane *tx_lane; /* of all in tx_probes */
    struct flow *tx_flow[PROBE_BATCH];
    struct reflect_tx answers[ANSWER_BATCH]; /* of tx_answers */
    struct tw_wall answers_began;            /* their sending */
    bool answers_awaited;                    /* the send time of any of them is wanted */
    bool answers_signed;                     /* any of them is, or is of an agreed session */
    int64_t answer_ns;                       /* that one of many takes in the system call */
    struct worker_counters count;
    struct hoststate *host;
    int schedstat_fd;
    struct tw_mono host_looked, host_published; /* worker_host.c: last time */
    bool reflecting;                            /* since then */
    struct selftest self;
};

/* worker.c */
enum tw_rc worker_open(const struct worker_cfg *cfg, struct worker **ret,
                       struct tw_err *err); /* no thread yet */
enum tw_rc worker_run(struct worker *w, struct tw_err *err);
enum tw_rc worker_watch(struct worker *w, struct port *p, uint32_t flags);
void worker_set_timer(struct worker *w, struct wtimer *t, struct tw_mono due);

/* worker_cmd.c: loop side and worker side of the commands */
void worker_take_commands(struct worker *w);
void worker_free_flows(struct worker *w);
/* Loop thread. Only the worker makes the ring emptier, so after TW_OK there is still room. TW_EBUSY,
 * TW_ECLOSED. */
enum tw_rc worker_check_room(struct worker *w);
/* After that. Returns the command's number. */
uint64_t worker_send(struct worker *w, const struct cmd *c);
/* Frees what commands carry that nobody will read. */
void worker_drop_commands(struct worker *w);
/* One that was removed does not count. */
struct flow *worker_find_flow(const struct worker *w, uint64_t pair_id, uint32_t number);
/* Questions, one at a time: while an earlier one that timed out is open, the worker may be writing its
 * answer. worker_quiet() waits until none is; worker_ask() sends one and waits for the answer. TW_ETIMEOUT.
 */
enum tw_rc worker_quiet(struct worker *w, struct tw_mono deadline);
enum tw_rc worker_ask(struct worker *w, enum cmd_op op, struct flow *f, struct tw_mono deadline);
/* Worker thread: the question has been answered. */
void worker_answered(struct worker *w, uint64_t question);

/* worker_flow.c */
void flow_start(struct worker *w, struct flow *f);
void flow_stop(struct worker *w, struct flow *f);
/* Sets its timer to what the session wants next. */
void flow_rearm(struct worker *w, struct flow *f);
/* Counts, fetches summaries, ends it if it is done, else re-arms. Not while lane events are being handled. */
void flow_settle(struct worker *w, struct flow *f);
void flow_count(struct worker *w, struct flow *f);
void flow_retry_results(struct worker *w, struct wtimer *t);

/* worker_flight.c: worker side, then what the loop calls in the life of flow and worker */
void flight_flow_start(struct worker *w, struct flow *f);
void flight_flow_end(struct flow *f);
void flight_look(struct worker *w, struct flow *f); /* tells what the session has noticed */
void flight_answer(struct worker *w, struct flow *f);
void flight_count(const struct worker *w, struct worker_counters *ret);
enum tw_rc flight_flow_init(const struct worker *w, struct flow *f);
enum tw_rc flight_init(struct worker *w);
void flight_free_all(struct worker *w);

/* worker_send.c */
void worker_send_due(struct worker *w);
/* When the thread has to be awake for the timer that is due first; *ret_probe: that is when a probe is to
 * leave. */
struct tw_mono worker_next_due(const struct worker *w, bool *ret_probe);
void flow_on_due(struct worker *w, struct wtimer *t);

/* worker_hw.c */
void worker_apply_phcs(struct worker *w);
/* Of a stamp by a card's clock, the system time, if that is credible: within [from, to]. interface 0: any. */
bool worker_hw_time(const struct worker *w, int64_t phc_ns, uint32_t interface, int64_t from_ns,
                    int64_t to_ns, struct tw_wall *ret);
/* When a datagram came: by the card if it tells, else by the kernel. */
void worker_rx_time(const struct worker *w, const struct udp_in *in, struct tw_wall *ret,
                    enum tw_ts_source *ret_source);

/* worker_stamp.c */
enum tw_rc stamps_init(struct worker *w);
/* Shall the next probe of this lane ask? */
bool stamps_wanted(struct worker *w, struct lane *l);
/* The n messages of tx_probes have been sent by this lane. */
void stamps_await(struct worker *w, struct lane *l, unsigned n);
/* EPOLLERR: sending times, and ICMP errors, which are let go of. */
void lane_take_stamps(struct worker *w, struct lane *l);
void stamps_count(const struct worker *w, struct worker_counters *ret);

/* worker_recv.c */
void lane_receive(struct worker *w, struct lane *l);

/* worker_reflect.c */
enum tw_rc mirror_open(struct worker *w, const struct tw_addr *local, struct tw_err *err);
void mirror_receive(struct worker *w, struct mirror *m);
void mirror_take_errors(struct worker *w, struct mirror *m);
void mirrors_set_acl(struct worker *w, struct acl *acl);
void mirrors_set_keys(struct worker *w, struct stamp_keys *keys);
void mirror_free(struct mirror *m);
void mirrors_free(struct worker *w);
void mirrors_set_clock(struct worker *w);
/* Adds what the reflectors counted. */
void mirrors_count(struct worker *w, struct worker_counters *ret);
/* Adds c less what it was before. */
void mirror_add_counters(struct worker_counters *to, const struct reflect_counters *c,
                         const struct reflect_counters *before);

/* worker_agreed.c: loop side and worker side */
enum tw_rc agreed_init(struct worker *w, size_t max);
void agreed_free_all(struct worker *w);
void agreed_execute(struct worker *w, const struct cmd *c);
void agreed_count(struct worker *w, struct agreed *a);
void agreed_catch_up(struct worker *w, struct agreed *a);
void agreed_set_clock(struct worker *w);
/* worker_clock.c */
void clock_apply(struct worker *w);
void flow_set_clock(struct worker *w, struct flow *f);

/* worker_host.c */
void host_begin(struct worker *w); /* on the worker's own thread */
void host_end(struct worker *w);
/* Before timers are run, for each batch of datagrams its oldest, and at the end of a round. */
void host_on_timers(struct worker *w);
void host_on_datagram(struct worker *w, const struct udp_in *in);
void host_look(struct worker *w);

/* worker_selftest.c */
void selftest_start(struct worker *w); /* there is a session; no effect if it runs or is switched off */
void selftest_end(struct worker *w);
void selftest_settle(struct worker *w, struct flow *f);

/* worker_tally.c: worker side. `rc` is what became of the datagram, `before` what its reflector had counted
 * then. */
void tally_datagram(struct worker *w, const struct udp_in *in, enum tw_rc rc,
                    const struct reflect_counters *before, const struct reflect_counters *after);
void tally_unsent(struct worker *w, const uint8_t *answer, size_t len);
static inline bool tally_wanted(const struct worker *w)
{
    return atomic_load_explicit(&w->n_tallies, memory_order_relaxed) != 0;
}

/* lane.c */
enum tw_rc lane_attach(struct worker *w, struct flow *f, struct tw_err *err);
void lane_detach(struct worker *w, struct flow *f);
struct peer *peer_find(struct worker *w, const struct lane *l, const struct tw_addr *a);
void lanes_free(struct worker *w);

#endif
