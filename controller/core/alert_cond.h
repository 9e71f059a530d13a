/* controller/core/alert_cond.h - one number of one pair against its levels: ok, pending, firing, and back.
 * Pure values.
 *
 * It is raised when it was at a raise level without a break for the for-time, and ends when it was beyond the
 * clear level without a break for the clear-time; between the two levels nothing changes. Times are of the
 * measurements: from the begin of the first period that says so to the end of the last one. Every severity
 * with a level has its own for-time running; the highest that holds counts. An unknown value changes nothing.
 */
#ifndef TW_CONTROLLER_CORE_ALERT_COND_H
#define TW_CONTROLLER_CORE_ALERT_COND_H

#include "controller/core/alert_rule.h"

enum alert_state { ALERT_OK, ALERT_PENDING, ALERT_FIRING, ALERT_RESOLVED, ALERT_STATE_COUNT };
const char *alert_state_name(enum alert_state s);

struct alert_cond {
    enum alert_state state;       /* never RESOLVED */
    enum alert_severity severity; /* firing: the present one; pending: the highest that is on its way */
    int64_t since_ns[ALERT_SEVERITY_COUNT]; /* by severity: it is raised since; 0: it is not */
    int64_t clear_since_ns;
    int64_t last_end_ns;
};
struct alert_cond_rule {
    struct alert_level level[ALERT_SEVERITY_COUNT];
    bool low_is_bad;
    int64_t for_ns, clear_for_ns;
    int64_t gap_ns; /* when so long nothing came, what was before is no longer "without a break" */
};
enum alert_step {
    ALERT_STEP_NONE,
    ALERT_STEP_PENDING, /* from ok */
    ALERT_STEP_DROPPED, /* from pending to ok */
    ALERT_STEP_FIRED,
    ALERT_STEP_SEVERITY, /* it fires on, with another severity */
    ALERT_STEP_RESOLVED  /* from firing to ok */
};
enum alert_step alert_cond_feed(struct alert_cond *c, const struct alert_cond_rule *r, struct tw_num value,
                                int64_t start_ns, int64_t end_ns);

#endif
