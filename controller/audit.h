/* controller/audit.h - the audit log: who changed what, from where, and what was different then; refused
 * tries, too. Loop thread.
 *
 * A change has its row before it begins: both go through the store's writer, in this order, so that no change
 * is ever on the disk without its row. When it has ended, the row says how. Rows that cannot be kept are
 * counted and go to the log; a change whose first row has no room is refused. */
#ifndef TW_CONTROLLER_AUDIT_H
#define TW_CONTROLLER_AUDIT_H

#include "controller/gate.h"

struct audit;
struct audit_entry; /* a change under way */

#define AUDIT_TEXT_MAX 8192 /* octets of `before` and of `after` */
#define AUDIT_REQUEST_MAX 2048

/* After the store has been opened, before the writer starts. */
enum tw_rc audit_new(struct controller *c, struct audit **ret, struct tw_err *err);
/* The writer has stopped: what ends from now on is written at once. */
void audit_stop(struct audit *a);
void audit_free(struct audit *a);

/* A change begins. NULL: there is no room, and it must not. request and before are copied. */
struct audit_entry *audit_begin(struct audit *a, const struct actor *who, const char *method,
                                const char *subject, const char *request, const char *before);
const char *audit_before(const struct audit_entry *e);
/* It has ended. before: what of it is worth keeping. */
void audit_end(struct audit_entry *e, Tw__Status status, const char *detail, const char *before,
               const char *after);
/* It was not let begin. Beyond a rate these are only counted: whoever is refused must not fill the disk. */
void audit_refused(struct audit *a, const struct actor *who, const char *method, const char *subject,
                   Tw__Status status, const char *detail);

/* Are rows on their way to the disk? Who reads waits for them. */
bool audit_is_behind(const struct audit *a);

struct audit_counters {
    uint64_t written, lost; /* rows; lost: neither begin nor end, or only the end, could be kept */
    uint64_t held_back;     /* refusals that were only counted */
    uint64_t blocked;       /* changes refused for want of room */
};
void audit_counters(const struct audit *a, struct audit_counters *ret);

#endif
