/* agent/core/flight.h - the flight recorder: what became of each of the last probes of a session, kept in
 * memory so that the packets around an incident can be looked at afterwards. Pure; no allocation, no lock and
 * no system call after the start. A pool and its rings belong to one thread.
 *
 * A probe has one record. It is made when the probe is sent and completed when its fate is known: answered,
 * lost, answered after it had been counted as lost (late), or not sent at all. Second answers are counted in
 * the record of their probe. The way on which a probe was lost is told later still, when the reflector's
 * numbers have shown it; a gap in which probes were lost on both ways does not say which was which, and stays
 * unknown.
 *
 * The pool is one piece of memory, cut into chunks that rings take as they grow, so an agent with few
 * sessions uses little of it. When all are in use each session may keep an equal share: who has more gives up
 * its oldest chunk.
 *
 * The recorder also notices incidents: runs of lost probes, of which the owner may want to keep a copy. */
#ifndef TW_AGENT_FLIGHT_H
#define TW_AGENT_FLIGHT_H

#include "common/clk.h"
#include "common/stats.h"

#define FLIGHT_PROBES_MAX 65536u
/* Between two incidents of a session that are told. */
#define FLIGHT_INCIDENT_GAP_NS (60 * TW_NS_PER_S)
/* A run of lost probes as long as this is told again when it has ended. */
#define FLIGHT_LONG_RUN_NS (5 * TW_NS_PER_S)

enum flight_fate {
    FLIGHT_IN_FLIGHT,
    FLIGHT_RECEIVED,
    FLIGHT_LOST,
    FLIGHT_LATE, /* answered, but only after it had been counted as lost */
    FLIGHT_SEND_ERROR,
    FLIGHT_FATE_COUNT
};
const char *flight_fate_name(enum flight_fate f); /* "in_flight", "received", ... */

#define FLIGHT_TIMED 1u   /* the delays are valid */
#define FLIGHT_DECIDED 2u /* `way` is final */
#define FLIGHT_TOS_FORWARD 4u
#define FLIGHT_TOS_BACKWARD 8u /* the octet is known */

/* 40 octets. */
struct flight_record {
    int64_t t1_ns;                   /* wall time of sending */
    int64_t forward_ns, backward_ns; /* signed; valid if FLIGHT_TIMED */
    uint32_t seq;
    uint32_t residence_ns; /* T3 - T2; UINT32_MAX: that or more */
    uint8_t fate;          /* enum flight_fate */
    uint8_t way;           /* lost, late: enum tw_direction; TW_UNKNOWN: cannot be told, or not yet */
    uint8_t duplicates;    /* further answers; 255: that or more */
    uint8_t flags;         /* FLIGHT_*, and above them the sources of T1 and T4 */
    uint8_t ttl_forward, ttl_backward; /* 0 = not known */
    uint8_t tos_forward, tos_backward;
};
_Static_assert(sizeof(struct flight_record) == 40, "memory is counted in these");

static inline enum tw_ts_source flight_tx_source(const struct flight_record *r)
{
    return (enum tw_ts_source)(r->flags >> 4 & 3);
}
static inline enum tw_ts_source flight_rx_source(const struct flight_record *r)
{
    return (enum tw_ts_source)(r->flags >> 6);
}
/* Sources that have no place in a record become unknown. */
uint8_t flight_flags(unsigned flags, enum tw_ts_source tx, enum tw_ts_source rx);

struct flight_pool;
struct flight;

/* ---- Memory ---- */

/* probes: the most that one session keeps, FLIGHT_PROBES_MAX at most. loss_run: so many probes lost one after
 * the other are an incident; 0 = never. The memory is touched only as it is used. TW_EINVAL: bytes hold no
 * chunk, or probes is 0 or too many. */
enum tw_rc flight_pool_new(size_t bytes, uint32_t probes, uint32_t loss_run, struct flight_pool **ret);
/* No ring of it may be used afterwards. */
void flight_pool_free(struct flight_pool *p);

/* Any thread may make a ring and free one that is not attached. `probes` as for the pool that it will have.
 */
enum tw_rc flight_new(uint32_t probes, struct flight **ret);
void flight_free(struct flight *f);
void flight_attach(struct flight *f, struct flight_pool *p);
/* Gives its memory back: nothing is recorded any more. */
void flight_detach(struct flight *f);

struct flight_stats {
    uint64_t sessions, octets; /* attached rings; memory in use */
    uint64_t share;            /* probes that each session can keep at present */
    int64_t
        kept_min_ns;  /* the shortest time back that any session kept lately; 0: none has had to forget yet */
    uint64_t refused; /* probes not recorded: more sessions than chunks */
    uint64_t withheld; /* incidents not told, since the session's last one was a moment ago */
};
void flight_pool_stats(const struct flight_pool *p, struct flight_stats *ret);

/* ---- Feeding: for what is no longer in the ring, and rings that are not attached, without effect ---- */

void flight_sent(struct flight *f, uint32_t seq, struct tw_wall t1);
/* The newest probe could not be sent; the next one will have its number. */
void flight_not_sent(struct flight *f);
struct flight_answer {
    bool timed;
    int64_t forward_ns, backward_ns, residence_ns;
    int16_t ttl_forward, ttl_backward, tos_forward, tos_backward; /* -1 = not known */
    enum tw_ts_source tx_source, rx_source;
};
void flight_answered(struct flight *f, uint32_t seq, bool late, const struct flight_answer *a);
void flight_duplicate(struct flight *f, uint32_t seq);
/* In order of sending: what the waiting time, or an answer, has decided. */
void flight_lost(struct flight *f, uint32_t seq, struct tw_wall t1);
void flight_passed(struct flight *f, struct tw_wall t1);
/* Of the lost ones that have no verdict yet, the oldest forward + backward + unknown. */
void flight_decided(struct flight *f, uint64_t forward, uint64_t backward, uint64_t unknown);

/* ---- Reading ---- */

struct flight_kept {
    int64_t first_ns, last_ns; /* T1 of the oldest and the newest */
    uint64_t n;                /* 0: nothing */
};
void flight_kept(const struct flight *f, struct flight_kept *ret);
/* Copies the records with T1 in [from, to), in order of sending; of more than cap those around `at`.
 * *ret_total: how many there are. */
struct flight_span {
    int64_t from_ns, at_ns, to_ns;
};
size_t flight_read(const struct flight *f, const struct flight_span *span, struct flight_record *ret,
                   size_t cap, uint64_t *ret_total);

/* A run of lost probes: when it has become long enough, and again at its end if that is much later. */
struct flight_incident {
    int64_t start_ns, at_ns; /* T1 of the first lost; of that, or of the first one after the run */
    uint64_t probes;         /* lost so far */
    bool ended;
};
/* Takes it: an incident that nobody takes is replaced by the next one. */
bool flight_next_incident(struct flight *f, struct flight_incident *ret);

#endif
