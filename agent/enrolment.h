/* agent/enrolment.h - what this agent says of itself when it enrols. */
#ifndef TW_AGENT_ENROLMENT_H
#define TW_AGENT_ENROLMENT_H

#include "agent/options.h"
#include "fleet.pb-c.h"

/* Builds the request from the options (generation and digest are the uplink's); enrolment_free() frees it. Port
 * 0: there is no such server. */
enum tw_rc enrolment_new(const struct agent_options *o, uint16_t reflector_port, uint16_t control_port,
                         Tw__EnrolRequest **ret);
void enrolment_free(Tw__EnrolRequest *rq);

#endif
