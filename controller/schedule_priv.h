/* controller/schedule_priv.h - what the parts of schedule.h share. */
#ifndef TW_CONTROLLER_SCHEDULE_PRIV_H
#define TW_CONTROLLER_SCHEDULE_PRIV_H

#include <openssl/evp.h>
#include "controller/schedule.h"

/* In pieces: *left is how many pairs may be looked at, and what is done is taken off it; TW_EAGAIN: there is
 * more. Until the end nothing may be adopted or renamed; *w has to stay where it is. */

/* schedule_diff.c: fills rows, changes, and the counts of w. */
struct merge;
enum tw_rc wanted_merge_new(struct inventory *inv, struct wanted *w, struct merge **ret);
enum tw_rc wanted_merge_go_on(struct merge *g, size_t *left);
void wanted_merge_free(struct merge *g);
/* schedule_spread.c: gives pairs that come, or come to another interval, their slots. */
/* keep: those that have one keep it, whoever gave it to them. */
struct choosing;
enum tw_rc wanted_choice_new(const struct inventory *inv, struct wanted *w, bool keep, struct choosing **ret);
enum tw_rc wanted_choice_go_on(struct choosing *g, size_t *left);
void wanted_choice_free(struct choosing *g);
/* Of a pair whose class has an interval. */
struct spread_runs wanted_runs(const struct wanted_pair *w);

/* schedule_list.c: the sum of the digests of a pair's sessions. */
struct summer {
    EVP_MD *md;
    EVP_MD_CTX *ctx;
};
enum tw_rc summer_init(struct summer *s);
void summer_free(struct summer *s);
/* Of the pair with this id, in this slot. TW_ENOMEM only. */
enum tw_rc summer_pair(struct summer *s, const struct wanted_pair *w, uint64_t id, uint8_t slot,
                       struct digest_sum *ret);

static inline void digest_sum_add(struct digest_sum *s, const struct digest_sum *more)
{
    for (int i = 0; i < 4; i++)
        s->v[i] += more->v[i];
}

static inline void digest_sum_subtract(struct digest_sum *s, const struct digest_sum *less)
{
    for (int i = 0; i < 4; i++)
        s->v[i] -= less->v[i];
}

/* schedule_want.c: as wanted_pair(), of any pair of the mesh. */
bool wanted_make_pair(const struct wanted *w, const struct wanted_mesh *m, const struct mesh_pair *p,
                      struct wanted_pair *ret);

/* Is the pair in the schedule, and does nothing about it have to change? */
bool pair_is_as_wanted(const struct pair *p, const struct wanted_pair *w, const struct digest_sum *sum);

#endif
