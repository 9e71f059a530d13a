/* agent/core/reflect.h - Session-Reflector: the answer to each probe. Pure: the shell moves the bytes and
 * reads the clocks. Not thread-safe: each reflector socket has its own (SO_REUSEPORT keeps a sender on one
 * socket). RFC 5357 section 4.2 and appendix I (Light). */
#ifndef TW_AGENT_REFLECT_H
#define TW_AGENT_REFLECT_H

#include "common/addr.h"
#include "common/clk.h"

struct reflect_cfg {
    uint32_t max_sessions;  /* senders remembered; beyond it new ones are answered statelessly and counted */
    int64_t refwait_ns;     /* forget a sender after so long silence; 900 s by RFC 5357 section 3.6 */
    int64_t restart_gap_ns; /* number 0 after at least this silence starts the count again; 3 s */
    uint16_t port;      /* our own: probes whose source port equals it, or 862, are dropped (answer loops) */
    uint64_t hash_seed; /* random, so that nobody can choose addresses that collide in the table of senders */
};

struct reflector;

enum tw_rc reflector_new(const struct reflect_cfg *cfg, struct reflector **ret);
void reflector_free(struct reflector *r);
void reflector_set_clock(struct reflector *r, const struct tw_clock_state *c);

struct reflect_rx {
    struct tw_addr from, to; /* to: local address, family 0 if not known */
    struct tw_wall t2;
    struct tw_mono mono; /* of the batch; for forgetting senders */
    int16_t ttl, tos;    /* -1 = not known; an unknown TTL is returned as 255 */
};
/* Builds the answer: as long as the request, at least 41 octets, the sender's padding reused from its start;
 * T3 is left for reflect_stamp(). TW_ETRUNC, TW_EINVAL, TW_EPERM (loop): no answer, counted. ret may not
 * overlap data. */
enum tw_rc reflect_answer(struct reflector *r, const struct reflect_rx *rx, const uint8_t *data, size_t len,
                          uint8_t *ret, size_t cap, size_t *ret_len);
/* Puts T3 and the Error Estimate in: the last thing before sending. */
void reflect_stamp(const struct reflector *r, uint8_t *answer, struct tw_wall t3);
/* The answer could not be sent: its number is taken back if it was the sender's last, so that it does not
 * look like a loss on the way back. */
void reflect_unsent(struct reflector *r, const struct reflect_rx *rx, const uint8_t *answer);

/* answered counts answers built; send_errors of them could not be sent. sessions: senders remembered now. */
struct reflect_counters {
    uint64_t answered, too_short, too_long, bad_error_estimate, loops_refused, stateless, sessions, expired,
        restarted, send_errors;
};
void reflector_counters(const struct reflector *r, struct reflect_counters *ret);

#endif
