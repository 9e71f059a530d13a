/* agent/core/session.h - a Session-Sender for one flow of one pair: what to send next, what each answer
 * means, and a summary for each report period. Pure: time and datagrams are arguments, so agent, simulator
 * and fuzzer drive the same code. Not thread-safe: a session belongs to the thread that made it. RFC 5357
 * section 4.1, RFC 2330 section 11.
 *
 * Periods are aligned to the wall clock (start = k * report_period). A probe belongs to the period in which
 * it was sent; the period's summary closes when none of its probes is in flight. At every moment sent =
 * received + lost + in flight. After a step of the wall clock the open period is closed early and a new one
 * begins, so that no summary mixes two time scales; pacing follows the monotonic clock and does not notice.
 *
 * Better times than those in the packets: the kernel's time of sending a probe, which the shell tells by
 * session_on_txstamp(), takes the place of T1 in the delays, and the reflector's Follow-Up Telemetry (RFC
 * 8972 section 4.7) that of T3. Both may come late or never. The answer is counted as received at once; its
 * delays wait in a bounded queue, for the kernel SESSION_TX_GRACE_NS at most, for the follow-up until it
 * comes, or later answers show that it will not, or the period must close. Then what the packets say has to
 * do.
 *
 * What other TLVs tell is for those who take samples. An Access Report TLV, which is to be repeated until it
 * is answered (RFC 8972 section 4.6), goes along in every probe. */
#ifndef TW_AGENT_SESSION_H
#define TW_AGENT_SESSION_H

#include "agent/core/form.h"
#include "common/clk.h"
#include "common/stats.h"

#define SESSION_TX_GRACE_NS (50 * TW_NS_PER_MS)
/* A sending time so long after T1 or T3, or before it, is not believed: a clock was set in between. */
#define SESSION_LEFT_MAX_NS TW_NS_PER_S

enum session_spacing { SESSION_FIXED, SESSION_EXPONENTIAL };

struct session_cfg {
    uint64_t pair_id, generation;
    uint32_t flow;
    uint32_t seq_start; /* Sequence Number of the first probe; 0 but for tests of the wrap */
    uint32_t samples;   /* keep this many outcomes of single probes for session_next_sample(); 0 = none */
    int64_t spacing_ns; /* > 0; mean if exponential */
    enum session_spacing spacing_kind;
    uint16_t
        size_bytes; /* UDP payload, TEST_DATAGRAM_MAX at most; less than the form needs is raised to it */
    uint16_t imix_bytes[3]; /* small S, middle M, large L, not 0: probes of these sizes, not of size_bytes, in
                               turns of S M S S M S L S M S M S: of any 12 in a row 7, 4 and 1 */
    bool zero_padding;      /* else pseudo-random, the same in every probe */
    uint8_t dscp;           /* 0..63; for the summary's tos_sent */
    bool reflector_stateful;  /* configuration says that the reflector numbers its answers itself; false: find
                                 out */
    int64_t timeout_ns;       /* > 0, <= report_period_ns: the waiting time of RFC 6673 */
    int64_t report_period_ns; /* > 0 */
    int64_t phase_ns;         /* [0, spacing): the first probe goes out when wall time mod spacing == phase */
    uint64_t seed;            /* of exponential spacing and padding */
    uint64_t count;           /* probes to send; 0 = until session_stop() */
    /* Wall time of a run; 0 = at once, and without end. The first probe goes out at its first due time in [start,
     * stop), with which the first period begins, and no probe is due at `stop` or later: after the last one the
     * session ends by itself. One that is late is still sent, but none a second after `stop`. From session_new()
     * on the monotonic clock keeps both. */
    int64_t start_ns, stop_ns;
};

struct session;
struct flight;

/* Copies *cfg, takes over form (NULL: TWAMP Light). Allocates all that it will need for single probes (the
 * ring of those outstanding). Report periods are made when they begin, and their histograms grow with what
 * they see: so that 10,000 sessions fit into 40 MB. When memory is short a period goes on and its histograms
 * get coarser, but nothing is lost. TW_EINVAL, TW_ENOMEM, TW_ERANGE (no probe is due before stop_ns): *ret and
 * the form are left alone. */
enum tw_rc session_new(const struct session_cfg *cfg, struct form *form, struct tw_now now,
                       struct session **ret);
void session_free(struct session *s);
const struct session_cfg *session_config(const struct session *s);
/* A new generation that leaves the session as it is: later summaries carry the number. */
void session_set_generation(struct session *s, uint64_t generation);
/* Other keys for the same kind of packets: takes over `form` and frees the one before. TW_EINVAL: its packets
 * do not have the sizes that this session sends; nothing is taken. */
enum tw_rc session_set_form(struct session *s, struct form *form);
/* Would session_set_form() take it? Looks at what never changes, so any thread may ask. */
bool session_form_fits(const struct session *s, const struct form *form);

/* Every probe is recorded there from now on (agent/core/flight.h); NULL: no more. It must outlive the session
 * or that call. */
void session_set_flight(struct session *s, struct flight *f);
/* Where the memory of report periods goes when their summaries have been fetched, and new ones come from, so
 * that sessions of the same thread hand it on and it does not fall into pieces. Before the session is freed,
 * or handed to another thread, set it to NULL: as at first, each period is allocated and freed. The pool is
 * freed last. */
struct session_pool {
    struct period *free; /* session's own */
    unsigned n;
};
void session_set_pool(struct session *s, struct session_pool *p);
void session_pool_clear(struct session_pool *p);

/* No probe after this; what is in flight is awaited, then session_next_summary() gives the last one and
 * session_done() is true. */
void session_stop(struct session *s, struct tw_now now);
bool session_done(const struct session *s);
/* For shutdown: closes all periods now. Probes in flight are taken out of `sent`: their outcome is not known.
 */
void session_flush(struct session *s, struct tw_now now);

/* ---- Inputs
 * ------------------------------------------------------------------------------------------------ */

/* A received datagram and what the kernel said about it. */
struct session_rx {
    struct tw_wall time;      /* T4 */
    enum tw_ts_source source; /* TW_TS_HARDWARE, TW_TS_KERNEL or TW_TS_USER */
    int16_t ttl, tos;         /* -1 = not known */
};
/* The caller has matched the source address. TW_OK: counted as received, late or duplicate. TW_EINVAL,
 * TW_ETRUNC: counted as rejected. `now` is when it is handed over. */
enum tw_rc session_on_reply(struct session *s, struct tw_now now, const struct session_rx *rx,
                            const uint8_t *data, size_t len);
/* The probe that session_next_probe() made last could not be sent: takes it back and counts a send error.
 * Only before the next session_next_probe() of this session. */
void session_on_send_error(struct session *s);
/* The probe that session_next_probe() made last was sent, and the kernel is to tell when it left; `best`:
 * TW_TS_KERNEL, or TW_TS_HARDWARE with or without the kernel's before it. Returns its Sequence Number. Only
 * before the next session_next_probe() of this session. */
uint32_t session_await_txstamp(struct session *s, enum tw_ts_source best);
/* When probe `seq` left. TW_EINVAL: not believed. TW_ENOENT: not awaited, or not any more: its delays have
 * been computed without. */
enum tw_rc session_on_txstamp(struct session *s, uint32_t seq, struct tw_wall time, enum tw_ts_source source);
/* Datagrams that the host dropped on the socket this session uses. */
void session_on_host_drops(struct session *s, uint64_t n);
/* Present state of the local clock, for error estimates and summaries; steps counts since process start. */
void session_set_clock(struct session *s, const struct tw_clock_state *c);

/* ---- Outputs: call each until TW_EAGAIN, then sleep to session_next_due()
 * ---------------------------------- */

/* At most one probe per due time; when the host was late by more than one spacing, the missed ones are
 * counted as skipped, never sent in a burst. Stamps T1 = now.wall. TW_ETRUNC: it is longer than cap, and
 * stays due. */
enum tw_rc session_next_probe(struct session *s, struct tw_now now, uint8_t *buf, size_t cap,
                              size_t *ret_len);
/* Moves the oldest closed summary into *ret (initialised; swapped, so that with a pool
 * the memory of its histograms is used again). A closed summary
 * that is not fetched within a few periods is overwritten by newer ones and counted by
 * session_summaries_lost(). */
enum tw_rc session_next_summary(struct session *s, struct tw_now now, struct tw_summary *ret);
uint64_t session_summaries_lost(const struct session *s);
/* When something is to do next: a probe to send or a period to close. TW_MONO_NEVER: done. */
struct tw_mono session_next_due(const struct session *s);
/* The part of it that cannot wait: when the next probe is to be sent (TW_MONO_NEVER: no more). Closing a
 * period can, so a shell with many sessions, whose periods all end at the same instant, may leave it to the
 * next probe. */
struct tw_mono session_next_probe_due(const struct session *s);

/* The outcome of one probe. Order: as it becomes known; a late or second answer is a sample of its own. When
 * nobody takes them the oldest are overwritten and counted. That of a received probe comes when its delays
 * are computed. */
enum sample_kind { SAMPLE_RECEIVED, SAMPLE_LOST, SAMPLE_LATE, SAMPLE_DUPLICATE, SAMPLE_SEND_ERROR };
struct session_sample {
    enum sample_kind kind;
    uint32_t seq; /* of the probe */
    uint32_t reflector_seq;
    uint16_t size_bytes;
    struct tw_wall t1, t2, t3, t4;          /* t2..t4: 0 when there was no answer */
    struct tw_wall t1_used, t3_used;        /* what the delays are made of: t1 and t3, or better ones */
    enum tw_ts_source tx_source, rx_source; /* of t1_used, t4 */
    bool followed_up;                       /* t3_used is when the answer really left */
    bool timed;                             /* the delays are valid */
    int64_t forward_ns, backward_ns;        /* signed; round trip = their sum */
    int16_t ttl_forward, ttl_backward, tos_forward, tos_backward; /* -1 = not known */
    uint16_t reply_bytes;
    uint16_t err_est; /* of the reflector */
    uint16_t ssid;    /* as returned */
    struct stamp_tlv_seen tlvs;
};
enum tw_rc session_next_sample(struct session *s, struct session_sample *ret); /* TW_EAGAIN: none */
uint64_t session_samples_lost(const struct session *s);

/* What is measured but not fetched yet, merged into *ret (initialised): open periods, without what is in flight,
 * and closed ones. Losses whose direction answers may still tell count as unknown. */
struct session_peek {
    uint64_t in_flight;
    bool last_known;
    int64_t last_rtt_ns; /* of the newest answer that has a delay */
};
enum tw_rc session_peek(const struct session *s, struct tw_wall now, struct tw_summary *sum,
                        struct session_peek *ret);

/* Since session_new(); sent = received + lost + in_flight. auth_failed: of `rejected`, those whose HMAC was
 * wrong. */
struct session_totals {
    uint64_t sent, received, lost, in_flight, late, duplicates, rejected, send_errors, skipped, auth_failed;
};
void session_totals(const struct session *s, struct session_totals *ret);

#endif
