/* controller/core/plan.h - what a schedule costs, and when its sessions start. Pure. */
#ifndef TW_CONTROLLER_PLAN_H
#define TW_CONTROLLER_PLAN_H

#include "controller/core/mesh.h"

/* Phase of a session in [0, spacing): a hash (FNV-1a 64, then a finaliser) of its names, so a restart keeps it and sessions spread evenly. */
int64_t plan_phase_ns(const char *mesh, const char *class_name, const char *source, const char *target, uint32_t flow,
                      int64_t spacing_ns);
/* The same for the runs of an interval, in [0, every), as it was before pairs had slots (spread.h): the past is judged by it. */
int64_t plan_run_phase_ns(const char *mesh, const char *class_name, const char *source, const char *target, uint32_t flow,
                          int64_t every_ns);
/* Seed for padding and exponential spacing: same names, same seed. */
uint64_t plan_seed(const char *mesh, const char *class_name, const char *source, const char *target, uint32_t flow);

/* Octets that one stored summary is reckoned at: counters, three sparse histograms and its part of the indexes. */
#define PLAN_ROW_BYTES 450

/* Load per agent. */
struct plan_agent {
    char name[MESH_NAME_MAX];
    uint64_t pairs, sessions;
    double pps, bps;             /* sent as source while all sessions run: IP packets and their bits */
    double mean_pps;             /* in the long run: sessions with times rest between their runs */
    double reflected_pps;        /* answers it makes */
};
struct plan_cost {
    struct plan_agent *agents; /* sorted by name; malloc'ed */
    size_t n_agents;
    uint64_t pairs, sessions;
    double pps, mean_pps;
    uint64_t series;           /* Prometheus series, as publish makes them */
    double store_bytes_per_day;
};
/* Adds one mesh's pairs, as mesh_expand() made them, to a cost (start from a zeroed one). Bits count IP and UDP headers and payload.
 * ipv6: between agents count 40 instead of 20 octets of IP header; targets have their own address. TW_ENOMEM: *c is as before. */
enum tw_rc plan_add(struct plan_cost *c, const struct mesh_pairs *pairs, bool ipv6);
void plan_free(struct plan_cost *c);
/* The same of several meshes, and in pieces. */
struct plan_costs;
struct plan_costs *plan_costs_new(void);                           /* NULL: no memory */
struct plan_costs *plan_costs_copy(const struct plan_costs *from); /* NULL: no memory */
/* The pairs of a mesh from *at on, about *left of them; what is done is added to the one and taken off the
 * other. TW_EAGAIN: there are more. TW_ENOMEM: then it is of no use any more. */
enum tw_rc plan_costs_add(struct plan_costs *s, const struct mesh_pairs *pairs, bool ipv6, size_t *at,
                          size_t *left);
void plan_costs_take(struct plan_costs *s, struct plan_cost *ret); /* and frees it; *ret is overwritten */
void plan_costs_free(struct plan_costs *s);                        /* NULL is allowed */
/* The same for one pair. */
struct plan_pair_cost {
    double pps, bps, store_bytes_per_day;
};
void plan_pair_cost(const struct mesh_pairs *pairs, const struct mesh_pair *p, bool ipv6, struct plan_pair_cost *ret);

/* What a change does to a mesh's pairs; a pair whose class settings differ counts as changed. Pairs as
 * mesh_expand() made them. Either side may be NULL. */
struct plan_diff {
    uint64_t added, removed, changed, kept;
};
void plan_compare(const struct mesh_pairs *before, const struct mesh_pairs *after, struct plan_diff *ret);
/* The same in pieces, and fn is called for each pair that differs, in order of names; before or after is NULL
 * if it comes or goes. fn: false stops the calls. All else zero at first. */
struct plan_walk {
    const struct mesh_pairs *before, *after;
    bool (*fn)(void *ctx, const struct mesh_pair *before,
               const struct mesh_pair *after); /* NULL: nobody is told */
    void *ctx;
    size_t b, a;           /* the next ones */
    struct plan_diff diff; /* so far */
};
/* About *left pairs, which are taken off that. TW_EAGAIN: there are more. */
enum tw_rc plan_walk_go_on(struct plan_walk *w, size_t *left);

#endif
