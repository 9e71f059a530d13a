/* controller/follow.h - memory follows what others changed in the control state that they share with us
 * (db/etcd/mirror.h). Loop thread.
 *
 * The store has it already, by a transaction of the writer's: what is told here is only where to look. The
 * rows are read by a job of the writer, so that what we ourselves have on the way there and what others did
 * come into memory in the order in which they came into the store. Memory is then as load.h and the owners of
 * each subject would have made it from the store, but for what is known only here: who is connected, what
 * came of it.
 *
 * What changes build on (agents, pairs, meshes) is followed between two changes (change.h), never within one;
 * agents that are connected here are told at once what is different for them. */
#ifndef TW_CONTROLLER_FOLLOW_H
#define TW_CONTROLLER_FOLLOW_H

#include "controller/controller.h"

struct follow;
enum tw_rc follow_new(struct controller *c, struct follow **ret);
void follow_free(struct follow *f); /* after the writer has stopped; NULL is fine */

/* Others changed the rows of these keys, "TABLE/..." of db/etcd/mirror_tables.h; "": anything may have
 * changed. What cannot be followed, for want of memory or since the store says no, is tried again. */
void follow_changed(struct controller *c, const char *const *keys, size_t n);
/* All that was told so far is in memory. */
bool follow_is_even(const struct controller *c);
/* For change.c: nothing of the schedule is under way, another change might begin. If there is something to
 * follow that changes build on it holds them (change_hold()) until it is in memory. */
void follow_go(struct follow *f);
/* Something that changes build on is not in memory yet: another one would be made from what is not true any more. When it
 * is, or cannot be, change_go_on() is called. */
bool follow_is_behind(const struct follow *f);

/* Which function follows a table: "" for those of which memory has nothing. */
struct follow_table {
    const char *table, *part, *why; /* why: nothing is to be followed; else NULL */
};
extern const struct follow_table follow_tables[];
extern const size_t follow_tables_n;

struct follow_stats {
    uint64_t keys;      /* told */
    uint64_t rounds;    /* that memory was brought up to date */
    uint64_t failed;    /* and could not be */
    int64_t longest_ns; /* that the loop was busy with a piece of it */
};
struct follow_stats follow_stats(const struct controller *c);

#endif
