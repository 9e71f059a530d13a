/* controller/core/class_times.h - when the sessions of a class run, and its mesh's maintenance: what pairs
 * keep of it, so it outlives the document. Pure; not thread-safe: whoever hands one to another thread gives a
 * reference along and takes it back. */
#ifndef TW_CONTROLLER_CLASS_TIMES_H
#define TW_CONTROLLER_CLASS_TIMES_H

#include "common/times.h"

#define CLASS_TIMES_REASON 81 /* octets of a maintenance's reason, with the NUL */

struct maintenance {
    struct times_set when;
    bool stop; /* probes stop meanwhile */
    char reason[CLASS_TIMES_REASON];
};
struct class_times {
    struct times *times;
    uint64_t id; /* of its octets, as in schedules; 0: they run always, agents need no rule */
    const struct maintenance *maintenance;
    size_t n_maintenance;
    struct mesh_maintenance *owner; /* of the two above */
    int64_t spacing_ns, report_period_ns;
    bool exponential;
    uint32_t flows;
    struct times_duty duty; /* of one flow */
    unsigned refs;
};

/* What the classes of one mesh share. Each takes one more reference. */
struct mesh_maintenance {
    struct maintenance *v;
    size_t n;
    unsigned refs;
};
void mesh_maintenance_unref(struct mesh_maintenance *m);

struct class_times *class_times_ref(struct class_times *c); /* NULL is fine in both */
void class_times_unref(struct class_times *c);
/* Would everybody see the same? Either may be NULL. */
bool class_times_same(const struct class_times *a, const struct class_times *b);
/* A number that differs when they differ; 0 for NULL. */
uint64_t class_times_hash(const struct class_times *c);

/* What decides about the moments of a pair, and the pace of a flow by it. */
struct pair_key {
    const char *mesh, *class_name, *source, *target;
    uint64_t id;
    unsigned slot;  /* in which its runs of an interval begin (spread.h); 0: it was scheduled before there were any, by a hash of its names */
};
struct times_pace pair_pace(const struct times *t, int64_t spacing_ns, bool exponential, const struct pair_key *k, uint32_t flow,
                            uint32_t flows);
/* The interval of its runs, if that is what they go by; else 0. c NULL: 0. */
static inline int64_t class_times_every(const struct class_times *c)
{
    return c && c->id && c->times->kind == TIMES_INTERVAL ? c->times->every_ns : 0;
}
struct times_pace class_times_pace(const struct class_times *c, const struct pair_key *k, uint32_t flow);
/* Is no flow of the pair in a run? c NULL: no. */
bool class_times_is_idle(const struct class_times *c, const struct pair_key *k, int64_t now_ns);
/* When the next run of a flow of the pair begins, after now; TIMES_NEVER: none is to come, or it always runs. c NULL: never. */
int64_t class_times_next(const struct class_times *c, const struct pair_key *k, int64_t now_ns);
/* Nothing has come of the pair since then: for how long something should have. Time before the run that should have brought the next
 * report does not count, however long the pair rested. -1: it rests now, nothing is to come. c NULL: it always runs. */
int64_t class_times_silence(const struct class_times *c, const struct pair_key *k, int64_t since_ns, int64_t now_ns);
/* The maintenance that is going on, its reason perhaps ""; NULL: none. */
const struct maintenance *class_times_maintenance(const struct class_times *c, int64_t now_ns);

#endif
