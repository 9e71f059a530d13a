/* agent/refusals.h - which sessions of the schedule do not run, and why: as the controller hears it. */
#ifndef TW_AGENT_REFUSALS_H
#define TW_AGENT_REFUSALS_H

#include "common/rc.h"
#include "fleet.pb-c.h"

#define REFUSALS_MAX 3000        /* that are told one by one: an acknowledgement has to fit into a frame */
#define REFUSALS_REASON_MAX 256 /* octets of a reason: what is longer is cut */

struct refusals {
    Tw__Refusal **v; /* as messages want them */
    size_t n;
    uint64_t more; /* beyond REFUSALS_MAX: only counted */
};

void refusals_clear(struct refusals *r);
enum tw_rc refusals_add(struct refusals *r, uint64_t pair_id, uint32_t flow, const char *reason);
/* No effect if there is none of it by itself. */
void refusals_drop(struct refusals *r, uint64_t pair_id, uint32_t flow);

#endif
