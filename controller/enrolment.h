/* controller/enrolment.h - what an agent says of itself: checked, kept, and as JSON in the store. */
#ifndef TW_CONTROLLER_ENROLMENT_H
#define TW_CONTROLLER_ENROLMENT_H

#include "common/rc.h"
#include "fleet.pb-c.h"

#define ENROLMENT_MAX_LABELS 64
#define ENROLMENT_MAX_ADDRESSES 16
#define ENROLMENT_MAX_CAPABILITIES 32
#define ENROLMENT_TEXT_MAX 64 /* octets of a key, value or capability, with the final NUL */

/* Lengths, counts, characters and addresses. TW_EINVAL with *err naming the field. */
enum tw_rc enrolment_validate(const Tw__EnrolRequest *m, struct tw_err *err);
/* malloc'ed JSON; `peer_address` is the address seen, used when none was enrolled. NULL: no memory. */
char *enrolment_to_json(const Tw__EnrolRequest *m, const char *peer_address);
/* The message (free_unpacked() it) and the address; TW_ECORRUPT if it is not what enrolment_to_json() writes. */
enum tw_rc enrolment_from_json(const char *json, Tw__EnrolRequest **ret, char *ret_peer_address, size_t cap);

/* A deep copy to end with the generated free_unpacked(); NULL: no memory. */
void *message_clone(const ProtobufCMessage *m);

#endif
