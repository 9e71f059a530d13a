/* agent/pair_names.h - the names of the pairs that this agent measures: they go with every summary, and so
 * outlive the session, whose last summary comes after it has stopped. */
#ifndef TW_AGENT_PAIR_NAMES_H
#define TW_AGENT_PAIR_NAMES_H

#include <uthash.h>
#include "common/rc.h"
#include "fleet.pb-c.h"

struct pair_name {
    uint64_t pair_id;
    char *mesh, *class_name, *target;
    int64_t report_period_ns;
    uint64_t wanted_in; /* generation that last had it */
    size_t in_workers;  /* sessions handed over and not ended yet */
    UT_hash_handle hh;
};
struct pair_names {
    struct pair_name *all;
};

struct pair_name *pair_names_find(const struct pair_names *p, uint64_t pair_id);
/* The generation has this pair. */
enum tw_rc pair_names_keep(struct pair_names *p, const Tw__SessionSpec *spec, uint64_t generation);
/* Those that neither of these generations has, nor a session that still waits for its last answers. */
void pair_names_forget(struct pair_names *p, uint64_t previous, uint64_t present);
void pair_names_free(struct pair_names *p);

#endif
