/* agent/core/hoststate.h - what its own host did to a measuring thread: stalls, waiting for a CPU, and the
 * noise floor of the loopback self-test, kept by second so that each summary can be told of its own span,
 * whatever its report period is. Pure: times and figures are arguments. Not thread-safe. Nothing allocates
 * after hoststate_new(), and asking costs the same for one session and, as they share their spans, for ten
 * thousand.
 *
 * Kept are 256 cells each of 1 s, 64 s, 68 min and 3 days; a span is read from the finest that reach back to
 * its beginning. What lies in a cell on the border of two spans counts in both. */
#ifndef TW_AGENT_HOSTSTATE_H
#define TW_AGENT_HOSTSTATE_H

#include "common/stats.h"

#define HOST_LATE_NS TW_NS_PER_MS /* coming later than this is a stall */
#define HOST_NOISE_MAX 1024 /* percentiles of noise are those of the newest outcomes of a span, this many */

struct hoststate;

enum tw_rc hoststate_new(struct hoststate **ret); /* TW_ENOMEM */
void hoststate_free(struct hoststate *h);

/* Something that could have been done late_ns ago is being done now: a timer was due, a datagram had come. Up
 * to HOST_LATE_NS it is nothing. What was due before an earlier stall ended belongs to that stall: one count,
 * but the longest lateness stays. */
void hoststate_on_late(struct hoststate *h, struct tw_now now, int64_t late_ns);
/* Time that the thread has waited for a CPU since it began (run delay). Best once a second; the first call,
 * and one whose figure is lower than before, only set the base. */
void hoststate_on_cpu_wait(struct hoststate *h, struct tw_now now, uint64_t total_ns);
/* The outcome of one probe of the self-test, as it becomes known: it counts where it was learnt. */
void hoststate_on_probe(struct hoststate *h, struct tw_now now, int64_t roundtrip_ns);
void hoststate_on_lost_probe(struct hoststate *h, struct tw_now now);

struct host_figures {
    uint64_t stalls;
    int64_t stall_max_ns;
    uint32_t cpu_wait_ppm;
    struct tw_noise noise;
};
/* Of [from, to). A stall that began before `from` and lasted into it counts as one here, too. */
void hoststate_figures(struct hoststate *h, struct tw_wall from, struct tw_wall to, struct host_figures *ret);
/* Since hoststate_new(). */
struct host_totals {
    uint64_t stalls, sent, lost; /* the latter two of the self-test */
};
void hoststate_totals(const struct hoststate *h, struct host_totals *ret);
/* Puts those of the summary's span into it. */
void hoststate_fill(struct hoststate *h, struct tw_summary *s);

#endif
