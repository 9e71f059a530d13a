/* agent/core/session_priv.h - private to session*.c: the state of a session.
 *
 *   session.c         life
 *   session_send.c    pacing, probes
 *   session_answer.c  what an answer means: duplicates, what else it carries
 *   session_times.c   which times the delays are made of; delays
 *   session_order.c   who overtook whom
 *   session_runs.c    loss runs and their directions
 *   session_windows.c availability
 *   session_period.c  probes in order of sending, report periods, summaries
 *   session_clock.c   what is said of our clock, steps of the other's
 *   session_sample.c  outcomes of single probes */
#ifndef TW_AGENT_SESSION_PRIV_H
#define TW_AGENT_SESSION_PRIV_H

#include "agent/core/flight.h"
#include "agent/core/lossdir.h"
#include "agent/core/session.h"

/* A jump of wall against monotonic time beyond this between two calls is a step of the clock. */
#define STEP_NS (50 * TW_NS_PER_MS)
/* A probe during which the two clocks moved apart by more than this has no valid delay. */
#define SKEW_NS TW_NS_PER_MS
/* Summaries open or waiting to be fetched: made when a period begins, freed when its summary has been
 * fetched. Two are open for a timeout after each boundary. */
#define PERIODS 4

enum slot_state { SLOT_EMPTY, SLOT_SENT, SLOT_RECEIVED, SLOT_LOST };

/* When a probe left, by others than ourselves. */
enum slot_tx {
    TX_USER, /* not asked, not told in time, or not believed */
    TX_AWAITED,
    TX_HARDWARE_AWAITED,
    TX_KERNEL_FIRST, /* known, and the hardware's is still awaited */
    TX_KERNEL,
    TX_HARDWARE
};

/* A probe. Stays after its fate is known until the ring comes round, so that late and second answers are
 * recognised. An agent may have 10,000 sessions with dozens of them: each octet counts. */
struct slot {
    struct tw_wall t1_wall;
    struct tw_mono t1_mono;
    uint32_t r;      /* received, or answered late */
    int32_t left_ns; /* so long after T1 it left; if tx tells */
    uint16_t period;
    uint8_t state;      /* enum slot_state */
    bool timed : 1;     /* delays_at() is, or was, valid */
    bool overtaken : 1; /* counted as reordered on the way out */
    bool answered : 1;  /* r is valid */
    enum slot_tx tx : 3;
};

/* Of a received probe, until its neighbours have been compared with it. */
struct delays {
    int64_t forward, backward;
};

struct period {
    struct tw_summary sum;
    struct period *next; /* in the pool */
    uint16_t id;
    bool ended;      /* no probe is added any more */
    bool after_step; /* a step of the clock began it: no loss run goes on from before */
    struct tw_mono start, end;
    struct tw_mono last_sent;
    uint64_t lost;
    uint8_t last_ttl_forward, last_ttl_backward, last_tos_forward, last_tos_backward;
};

/* The run of lost probes that is open, all of one period. */
struct loss_run {
    uint64_t n; /* 0: none is */
    uint16_t period;
    uint32_t seq_first;
    struct tw_mono start;
    struct tw_wall start_wall;
    bool continues_before;
    bool last_lost; /* the probe that was resolved last, of whatever period */
};

/* The windows of availability that are open (common/stats.h), by the wall clock: at most one of probes whose fate is
 * known, in order of sending, and one of probes that are being sent. */
struct windows {
    int64_t from_ns, to_ns; /* fates; equal: none is open */
    struct tw_mono first;   /* its first probe */
    int64_t sending_to_ns;  /* sending; 0: none is open */
    struct tw_mono dropped; /* this host dropped datagrams last; by then */
    uint16_t period, sending_period;
    bool received, unsure;  /* a probe of it was; one's fate is not known */
    bool sent, failed;      /* a probe of it was; one was not, by this host's fault */
};

/* A first answer in time, and its times as the packet has them. */
struct arrived {
    uint32_t seq, r;
    bool valid;           /* the times do not contradict each other */
    bool await_follow_up; /* when this answer left is still to be told */
    bool followed_up;     /* left_ns is valid */
    uint8_t rx_source;    /* enum tw_ts_source */
    int32_t left_ns;      /* after T3 */
    int64_t t2_ns, t3_ns, t4_ns;
    struct tw_mono until; /* the kernel's sending time is waited for until then */
    int16_t ttl_forward, ttl_backward, tos_forward, tos_backward; /* -1 = not known */
};

#define ARRIVED_MAX 8
#define FOLLOW_UPS_KEPT 4

/* Answers whose delays wait for better times, in order of arrival: jitter is computed in that order, so one
 * that waits holds up those behind it. */
struct waiting {
    struct arrived at[ARRIVED_MAX];
    struct session_sample *samples; /* of each, or NULL: none are kept */
    unsigned first, n;
    /* Follow-ups of answers that have not come yet: these were overtaken. */
    struct {
        bool used;
        uint32_t r;
        int64_t ns;
    } follow_up[FOLLOW_UPS_KEPT];
    unsigned next_follow_up;
};

/* An answer that has been read. */
struct answer {
    const struct session_rx *rx;
    size_t len;
    struct test_reply reply;
    struct stamp_tlv_seen tlvs;
    struct tw_mono at; /* when it arrived */
    bool in_future;
};

/* What an answer shows of the other's clock. */
struct remote_clock {
    bool seen;
    int64_t offset_ns, within_ns; /* minus ours, give or take */
    int64_t mono_ns;              /* when its probe was sent */
    int64_t ours_ns;              /* our wall clock minus the monotonic one, then */
};

struct session {
    struct session_cfg cfg;
    struct form *form;
    uint16_t size[3]; /* of probes: small, middle, large of a mix, else the first */
    bool imix;
    bool clock_told;
    uint16_t err_est;
    uint64_t rng, padding_seed;
    struct session_totals totals; /* in_flight is computed */
    struct tw_clock_state clock;

    /* Pacing. */
    struct tw_mono due;
    struct tw_mono stop; /* nothing is due from then on */
    int64_t gap_ns; /* from due to the one after it */
    uint64_t attempts;
    bool finished; /* `count` or `stop` reached: stops at the next call, so that the last probe can still be
                      taken back */
    bool stopped;
    bool lateness_open; /* of the newest probe: counted when it can no more be taken back */
    int64_t lateness_ns;

    /* Clocks. */
    struct tw_now last;
    int64_t offset_ns; /* wall - mono at the last call */
    uint32_t steps_found, steps_told, steps_counted;
    struct remote_clock remote;

    /* Probes [next_seq - span, next_seq); those from head_seq on are not resolved. */
    uint32_t span, next_seq, head_seq;
    uint32_t next_at;  /* where next_seq will be in the ring */
    uint64_t numbered; /* probes before next_seq, without wrapping */
    struct slot *ring;
    /* By sequence number, a power of two: of all that are in flight and the one before. Grows with them. */
    uint32_t delays_mask, delays_max;
    struct delays *delays;

    /* Order of answers. */
    bool any_answer, any_number, jitter_ready;
    uint32_t s_max;                                  /* highest answered: round trip */
    uint32_t r_max, s_max_numbered, s_numbered_from; /* since the reflector last started to count */
    int64_t jitter_last[3];
    double jitter[3];

    struct lossdir *lossdir;
    struct loss_run run;
    struct windows windows;
    struct waiting *waiting; /* NULL: none was needed yet */

    /* FIFO of periods: closed ones first, then the ended, then the current. */
    struct period *periods[PERIODS];
    struct session_pool *pool; /* NULL: none */
    unsigned first, n_closed, n_periods;
    uint16_t next_period;
    uint64_t summaries_lost;

    struct session_sample *samples; /* FIFO of cfg.samples; NULL: none are kept */
    uint32_t sample_first, n_samples;
    uint64_t samples_lost;

    struct flight *flight; /* the caller's; NULL: nothing is recorded */
};

/* Is it one of those that are in the ring? */
static inline bool is_remembered(const struct session *s, uint32_t seq)
{
    return s->next_seq - 1 - seq < s->span;
}
static inline uint32_t slot_index(const struct session *s, uint32_t seq)
{
    uint32_t back = s->next_seq - seq;

    return s->next_at >= back ? s->next_at - back : s->next_at + s->span - back;
}
/* Of one that is remembered, or next_seq. */
static inline struct slot *slot_at(struct session *s, uint32_t seq)
{
    return &s->ring[slot_index(s, seq)];
}
static inline const struct slot *slot_at_const(const struct session *s, uint32_t seq)
{
    return &s->ring[slot_index(s, seq)];
}
static inline struct delays *delays_at(const struct session *s, uint32_t seq)
{
    return &s->delays[seq & s->delays_mask];
}

/* session.c */
void session_end_sending(struct session *s, struct tw_now now);

/* session_send.c */
int64_t session_first_gap(struct session *s);
void session_settle_probe(struct session *s);
/* UDP payload octets of probe seq: next_seq, or one that is remembered. */
uint16_t session_size_of(const struct session *s, uint32_t seq);
void session_skip_before(struct session *s, struct tw_mono limit, struct tw_mono now);

/* session_period.c */
/* Brings everything up to `at` (not later than now but for an answer's arrival): timeouts, boundaries,
 * closing. */
void session_tick(struct session *s, struct tw_now now, struct tw_mono at);
/* Resolves what can be resolved in order of sending; probes older than the timeout at `at` are lost. */
void session_advance(struct session *s, struct tw_mono at);
/* NULL when that period has been closed (or dropped). */
struct period *session_period_of(struct session *s, uint16_t id);
/* The probe's own period while it is open, else the current one. */
struct period *session_period_for(struct session *s, const struct slot *p);
/* Where events that belong to no open period are counted; NULL when none is open. */
struct period *session_current(struct session *s);
void session_free_period(struct period *p);
/* TW_ENOMEM only for the first; without memory a later one takes that of the oldest, which is counted. */
enum tw_rc session_open_first(struct session *s, struct tw_now now);
void session_end_current(struct session *s, int64_t end_wall_ns, struct tw_mono end);
/* It leaves no trace. */
void session_drop_current(struct session *s);
void session_close_ready(struct session *s, struct tw_mono at);
void session_close_all(struct session *s);
/* When the next period ends or closes, whatever arrives. */
struct tw_mono session_close_due(const struct session *s);
void session_count_steps(struct session *s);

/* session_times.c */
/* The delays of a first answer in time: now, or when better times are there. */
void session_take_times(struct session *s, uint32_t seq, struct slot *p, const struct answer *a);
/* What an accepted answer tells about one before it. */
void session_take_follow_up(struct session *s, const struct answer *a);
/* Delays that have waited for the kernel for long enough at `at`. */
void session_settle_due(struct session *s, struct tw_mono at);
/* All that wait, as it is. */
void session_settle_all(struct session *s);
/* Those whose probe, or the one before it, is about to be forgotten; and those of a period that closes. */
void session_settle_old(struct session *s);
/* The oldest probe whose delays may still come, at most next_seq. */
uint32_t session_oldest_awaited(struct session *s);
void session_settle_period(struct session *s, uint16_t id);
bool session_waits_in(struct session *s, uint16_t id);
/* When the kernel is not waited for any more; TW_MONO_NEVER: nobody waits for it. */
struct tw_mono session_settle_at(const struct session *s);
/* Who told when it left, and how long after T1 that was. */
enum tw_ts_source session_tx_source(const struct slot *p);
int64_t session_left_ns(const struct slot *p);
/* Into the flight recorder, by the same times. */
void session_record_answer(struct session *s, bool late, uint32_t seq, const struct slot *p,
                           const struct answer *a);
/* A sample of this answer, by the times of the packet and the sending time that is known. */
void session_fill_sample(struct session *s, struct session_sample *m, const struct slot *p,
                         const struct answer *a);

/* session_runs.c */
/* The next probe in order of sending has its fate. Before lossdir is told. */
void session_run_resolve(struct session *s, uint32_t seq, const struct slot *p);
/* The period closes: what is open of it ends. */
void session_run_close(struct session *s, struct period *p);
/* Takes what lossdir has found out about gaps since the last time. */
void session_run_directions(struct session *s);

/* session_windows.c */
/* The next probe in order of sending has its fate: received, lost, or else unknown. */
void session_window_resolve(struct session *s, const struct slot *p);
/* A probe was sent, for good; or could not be; or n that were due in [from, to] were skipped. */
void session_window_sent(struct session *s, int64_t wall_ns);
void session_window_failed(struct session *s, int64_t wall_ns);
void session_window_skipped(struct session *s, struct tw_mono from, struct tw_mono to, uint64_t n);
/* The period closes: what is open of it ends. */
void session_window_close(struct session *s, struct period *p);

/* session_clock.c */
/* A step of the other's clock since the answer before is counted in *sum (NULL: nowhere). */
void session_watch_remote(struct session *s, const struct slot *p, struct tw_summary *sum, int64_t forward,
                          int64_t backward);

/* session_order.c */
/* A first answer in time, numbered p->r, as lossdir has seen it. */
void session_order(struct session *s, uint32_t seq, struct slot *p, struct period *period,
                   enum lossdir_seen seen);
void session_overtaken_late(struct session *s, uint32_t seq, const struct slot *p);

/* session_sample.c */
/* All that is known without an answer. */
void session_start_sample(const struct session *s, struct session_sample *m, enum sample_kind kind,
                          uint32_t seq, const struct slot *p);
/* The room for one more, with all that is known without an answer; NULL: none are kept. */
struct session_sample *session_add_sample(struct session *s, enum sample_kind kind, uint32_t seq,
                                          const struct slot *p);

#endif
