/* controller/doctor_reply.h - what an agent answers to Diagnose, as what the checks of the doctor take. Pure.
 * An agent may be of another version, or lie: every text is cut to its room, what is missing is as if it were
 * not known. */
#ifndef TW_CONTROLLER_DOCTOR_REPLY_H
#define TW_CONTROLLER_DOCTOR_REPLY_H

#include "controller/core/doctor.h"
#include "fleet.pb-c.h"

/* The source's answer; host and control_port are what it was asked for. */
void doctor_take_probe(const Tw__DiagnoseReply *m, const char *host, uint32_t control_port,
                       struct doctor_probe *ret);
/* The target's: what its reflector counted. */
void doctor_take_seen(const Tw__DiagnoseReply *m, struct doctor_probe *p);

#endif
