/* controller/doctor.h - looks for what is wrong in the fleet: gathers what is known, lets agents probe what
 * looks bad, and has core/doctor.h say what it means. Loop thread. A run takes seconds; it is started, asked
 * for, and forgotten some time after its end. */
#ifndef TW_CONTROLLER_DOCTOR_H
#define TW_CONTROLLER_DOCTOR_H

#include "common/finding.h"
#include "controller/controller.h"

#define DOCTOR_RUNS 4u              /* at a time */
#define DOCTOR_PROBES 400u          /* of one run */
#define DOCTOR_PROBES_ALL 256u      /* a fleet with no more ways is probed as a whole */
#define DOCTOR_PROBES_AT_A_TIME 32u /* in all runs; of one source 2, of one target 3 */
#define DOCTOR_TO_ONE_TARGET 8u     /* what so many find of it, the others would find, too */
#define DOCTOR_NAME 300

struct doctor_query {
    char source[STORE_NAME_MAX], target[DOCTOR_NAME], mesh[STORE_NAME_MAX]; /* "" = any */
    struct selector *selector;                                              /* NULL = all; taken over */
    bool probe_all;
};

struct doctor_run_info {
    uint64_t id;
    bool over, stopped;
    uint32_t probes, probes_done, agents, meshes, not_probed;
    uint32_t set_aside; /* of agents: drained or in maintenance, not complained about */
    uint64_t pairs;
    int64_t elapsed_ns;
    const struct findings *findings; /* complete when it is over */
};

enum tw_rc doctor_new(struct controller *c, struct doctor **ret);
/* From now on nothing is asked and nothing is looked at. */
void doctor_stop(struct doctor *d);
/* After all that could still call back. */
void doctor_free(struct doctor *d);

/* TW_EBUSY: DOCTOR_RUNS go on. TW_ENOENT, TW_EINVAL: *err names what there is not. Takes q->selector in any
 * case. */
enum tw_rc doctor_start(struct doctor *d, struct doctor_query *q, uint64_t *ret_id, struct tw_err *err);
/* TW_ENOENT: never was, or too long ago. */
enum tw_rc doctor_look(struct doctor *d, uint64_t id, struct doctor_run_info *ret);
enum tw_rc doctor_cancel(struct doctor *d, uint64_t id);

#endif
