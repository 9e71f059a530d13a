/* agent/core/reflect_session.h - the Session-Reflector of one session that was agreed by TWAMP-Control: one
 * sender, one form, from start to stop. Pure; not thread-safe. RFC 5357 sections 3.1 and 4.2. The reflector
 * for everybody (TWAMP Light, STAMP) is reflect.h; both are used alike.
 *
 * T2 and T3 are in NTP format, with TWAMP_PTP in that of PTP (seconds of UTC, as this host's clock has them).
 */
#ifndef TW_AGENT_REFLECT_SESSION_H
#define TW_AGENT_REFLECT_SESSION_H

#include "agent/core/reflect.h"
#include "agent/core/twamp_form.h"

struct reflect_session_cfg {
    struct twamp_form_cfg form;
    struct tw_addr sender; /* the only one that is answered */
    uint8_t dscp;          /* of the answers: Type-P */
    int64_t refwait_ns;    /* ends after so long silence */
    int64_t timeout_ns;    /* goes on answering for so long after the stop */
    struct source_limit *limit; /* how often it is answered; must outlive it; NULL: as often as it likes */
};

struct reflect_session;

enum tw_rc reflect_session_new(const struct reflect_session_cfg *cfg, struct tw_mono now,
                               struct reflect_session **ret);
void reflect_session_free(struct reflect_session *s);
void reflect_session_set_clock(struct reflect_session *s, const struct tw_clock_state *c);
/* Before the start probes are dropped and counted. */
void reflect_session_start(struct reflect_session *s, struct tw_mono now);
void reflect_session_stop(struct reflect_session *s, struct tw_mono now);
/* When it ends by itself: after the stop, or after REFWAIT. */
struct tw_mono reflect_session_ends(const struct reflect_session *s);

/* As reflect_answer() and its companions. */
enum tw_rc reflect_session_answer(struct reflect_session *s, const struct reflect_rx *rx, const uint8_t *data,
                                  size_t len, uint8_t *ret, size_t cap, struct reflect_tx *ret_tx);
void reflect_session_stamp(struct reflect_session *s, const struct reflect_tx *tx, uint8_t *answer,
                           struct tw_wall t3);
void reflect_session_unsent(struct reflect_session *s, const struct reflect_tx *tx);
/* Only answered, rate_limited, too_short, too_long, bad_error_estimate, auth_failed, foreign, not_started, send_errors are
 * used. */
void reflect_session_counters(const struct reflect_session *s, struct reflect_counters *ret);

#endif
