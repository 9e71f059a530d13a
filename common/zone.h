/* common/zone.h - a time zone as a table: when its clocks change, and by how much. Pure: the controller fills
 * tables from the tz database (controller/zone_table.c), and agents get them with what refers to them, so no
 * agent needs a tz database and all agree. Before the first change and after the last one the offset stays.
 *
 * Local seconds are those that a clock on the wall shows, counted as if it were UTC. When clocks go forward
 * some of them do not exist, when they go back some exist twice. */
#ifndef TW_COMMON_ZONE_H
#define TW_COMMON_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

#define ZONE_NAME 48         /* with the NUL */
#define ZONE_CHANGES_MAX 256 /* four a year for 60 years */

struct zone_change {
    int64_t at_s;     /* UTC: since 1970 */
    int32_t offset_s; /* from then on: local = UTC + offset */
};
/* All zero: UTC. */
struct zone {
    char name[ZONE_NAME]; /* for people; "" = UTC */
    int32_t offset_s;     /* before the first change */
    size_t n;
    struct zone_change *v; /* ascending */
};

/* Frees the table; the struct is the caller's. */
void zone_clear(struct zone *z);
/* TW_ENOMEM: *ret is all zero. */
enum tw_rc zone_copy(const struct zone *z, struct zone *ret);
/* Ascending, not more changes than the maximum, none before 1684 or after 2255, offsets below 26 hours. */
bool zone_is_valid(const struct zone *z);
bool zone_same(const struct zone *a, const struct zone *b);

/* What holds at a moment, and from when to when: [from, to). */
struct zone_part {
    int32_t offset_s;
    int64_t from_s, to_s; /* INT64_MIN, INT64_MAX: for ever */
    int32_t before_s;     /* offset before from_s; the same as offset_s if there is no change there */
};
struct zone_part zone_at(const struct zone *z, int64_t utc_s);

/* The moment that a local time means. One that does not exist means the moment of the change, one that exists
 * twice the first of the two. */
int64_t zone_moment(const struct zone *z, int64_t local_s);

#endif
