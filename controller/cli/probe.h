/* controller/cli/probe.h - one probe, as a flight recorder keeps it: its words and its numbers, the same
 * wherever twampctl shows one. */
#ifndef TW_CLI_PROBE_H
#define TW_CLI_PROBE_H

#include "controller/cli/out.h"
#include "flight.pb-c.h"

/* "in_flight", "received", "lost", "late", "send_error". */
const char *probe_fate(const Tw__FlightRecord *r);
bool probe_is_lost(const Tw__FlightRecord *r);
/* "forward", "backward", "unknown"; "" if it is not lost. */
const char *probe_way(const Tw__FlightRecord *r);
/* A delay of it; not known if its times are not. */
struct tw_num probe_seconds(const Tw__FlightRecord *r, int64_t ns);
/* When it was sent, with microseconds; "-" if that is not known. Returns buf. */
const char *probe_time(const Tw__FlightRecord *r, char buf[TW_TIME_TEXT]);
/* An octet of a header; 0: not known, else what is shown is v - less. */
void probe_put_octet(struct out_records *to, const char *name, uint32_t v, uint32_t less);
/* Fields flow, sent_ns, seq, fate, lost_on, the delays, and both TTLs. */
void probe_put(struct out_records *to, uint32_t flow, const Tw__FlightRecord *r);

#endif
