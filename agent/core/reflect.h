/* agent/core/reflect.h - Session-Reflector for everybody: the answer to each TWAMP Light and STAMP probe that
 * comes to a port. Pure: the shell moves the bytes and reads the clocks. Not thread-safe: each reflector
 * socket has its own (SO_REUSEPORT keeps a sender on one socket). RFC 5357 section 4.2 and appendix I
 * (Light), RFC 8762, RFC 8972.
 *
 * One port serves all: a packet whose octets 4..15 are zero is authenticated STAMP
 * (stamp_looks_authenticated()), one whose octets 16..43 are zero is STAMP, any other TWAMP Light. */
#ifndef TW_AGENT_REFLECT_H
#define TW_AGENT_REFLECT_H

#include "agent/core/source_limit.h"
#include "agent/core/stamp_pkt.h"
#include "agent/core/stamp_tlv.h"
#include "common/acl.h"
#include "common/addr.h"
#include "common/clk.h"
#include "common/stats.h"

#define REFLECT_SENDERS 65536                  /* max_sessions, unless somebody says otherwise */
#define REFLECT_REFWAIT_NS (900 * TW_NS_PER_S) /* RFC 5357 section 3.6 */
#define REFLECT_RESTART_GAP_NS (3 * TW_NS_PER_S)

struct reflect_cfg {
    uint32_t max_sessions;  /* senders remembered; beyond it new ones are answered statelessly and counted */
    int64_t refwait_ns;     /* forget a sender after so long silence; 900 s by RFC 5357 section 3.6 */
    int64_t restart_gap_ns; /* number 0 after at least this silence starts the count again; 3 s */
    uint16_t port;      /* our own: probes from it, or from a well-known port, are dropped (answer loops) */
    uint64_t hash_seed; /* random, so that nobody can choose addresses that collide in the table of senders */
    bool stateless;     /* answers carry the sender's number, as RFC 8762 section 4 allows */
    bool demand_auth;   /* only authenticated STAMP is answered */
    struct acl *acl;            /* who is answered; it takes a hold of its own; NULL: everybody */
    struct source_limit *limit; /* how often; must outlive it; NULL: as often as it likes */
    bool refuse_dscp; /* Class of Service TLV: answer in the DSCP received, whatever is wished */
    bool refuse_short; /* no answer that is longer than the probe: shorter ones than 41 octets get none */
};

struct reflector;

enum tw_rc reflector_new(const struct reflect_cfg *cfg, struct reflector **ret);
void reflector_free(struct reflector *r);
void reflector_set_clock(struct reflector *r, const struct tw_clock_state *c);
/* Keys for authenticated STAMP and HMAC TLVs; takes over what *keys holds and empties it. Sessions go on. Not
 * between reflect_answer() and reflect_stamp(). */
void reflector_set_keys(struct reflector *r, struct stamp_keys *keys);

/* Another list; takes a hold of its own. */
void reflector_set_acl(struct reflector *r, struct acl *acl);

struct reflect_rx {
    struct tw_addr from, to; /* to: local address, family 0 if not known */
    struct tw_wall t2;
    enum tw_ts_source source; /* of t2 */
    struct tw_mono mono;      /* of the batch; for forgetting senders */
    int16_t ttl, tos;         /* -1 = not known; an unknown TTL is returned as 255 */
};
/* What the shell needs to send an answer, and keeps until it is sent. */
struct reflect_tx {
    size_t len;
    uint8_t tos;       /* to send it with */
    bool is_signed;    /* reflect_stamp() takes a microsecond, else next to nothing */
    bool want_txstamp; /* Follow-Up Telemetry: call reflect_on_txstamp() when the kernel tells when it left */
    /* The reflector's own: */
    uint8_t kind, key;
    uint32_t session, seq; /* entry + 1 (0 = none), number of the answer */
    uint64_t session_id;   /* the entry may have a new owner when the time of sending comes */
};
/* Builds the answer: as long as the request, but at least 41 octets; T3 and what depends on it is left for
 * reflect_stamp(). TW_ETRUNC, TW_EINVAL, TW_EPERM (loop, authentication, not allowed, too often): no answer, counted.
 * A loop is: what comes from where only servers send (our own port, well-known ports), from an address that is no
 * host's, and what is an answer itself: two reflectors would otherwise answer each other's answers for ever. ret may not overlap data. */
enum tw_rc reflect_answer(struct reflector *r, const struct reflect_rx *rx, const uint8_t *data, size_t len,
                          uint8_t *ret, size_t cap, struct reflect_tx *ret_tx);
/* Puts T3 and the Error Estimate in and signs: the last thing before sending. */
void reflect_stamp(struct reflector *r, const struct reflect_tx *tx, uint8_t *answer, struct tw_wall t3);
/* The answer could not be sent: its number is taken back if it was the sender's last, so that it does not
 * look like a loss on the way back. */
void reflect_unsent(struct reflector *r, const struct reflect_tx *tx);
/* When an answer with want_txstamp left; may never be called. */
void reflect_on_txstamp(struct reflector *r, const struct reflect_tx *tx, struct tw_wall t,
                        enum tw_ts_source source);

/* answered counts answers built; send_errors of them could not be sent. sessions: senders remembered now. */
struct reflect_counters {
    uint64_t answered, too_short, too_long, bad_error_estimate, loops_refused, stateless, sessions, expired,
        restarted, send_errors;
    uint64_t not_allowed;                   /* by cfg.acl */
    uint64_t rate_limited;                  /* by cfg.limit */
    uint64_t longer;                        /* cfg.refuse_short */
    uint64_t evicted; /* senders forgotten before their time to make room, of whom a single probe had come */
    uint64_t auth_failed;                   /* HMAC of the base packet: not answered */
    uint64_t tlv_auth_failed;               /* HMAC of the TLVs: answered, flagged */
    uint64_t auth_demanded;                 /* not authenticated where that is demanded */
    uint64_t answered_stamp, answered_auth; /* of `answered`, STAMP; and of those, authenticated */
    uint64_t foreign, not_started; /* controlled sessions: not from its sender, not between start and stop */
};
void reflector_counters(const struct reflector *r, struct reflect_counters *ret);

#endif
