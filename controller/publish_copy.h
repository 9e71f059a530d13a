/* controller/publish_copy.h - inside publish: the copy of all live figures that a page is made of. It owns
 * everything it shows, since pairs and agents may go while the page is written. It is taken in slices, for a
 * copy of thousands of pairs would hold the loop: between two slices summaries come and pairs come and go.
 * Each pair is copied in one piece, so its figures agree with each other; what changes in between is shown as
 * it was or as it is. Pairs that are added after the beginning come with the next page. */
#ifndef TW_CONTROLLER_PUBLISH_COPY_H
#define TW_CONTROLLER_PUBLISH_COPY_H

#include "controller/publish_missing.h"

#define COPY_SLICE 256 /* pairs and groups in one piece: 1 to 3 ms */
#define COPY_SELF 256

struct agent_names;
enum copy_stage { COPY_BEGIN, COPY_PAIRS, COPY_GROUPS, COPY_FLEET, COPY_DONE };
struct page_copy {
    /* Set by whoever makes it, all else zero: */
    struct publish *p;
    char mesh[STORE_NAME_MAX]; /* "" = all */
    unsigned levels;           /* enum metrics_level */
    bool native;               /* with native histograms, where some are kept */
    /* What it makes: */
    struct metrics_snapshot snap;
    struct metrics_pair *pairs;
    struct store_pair *pair_rows;  /* the strings of pairs[] */
    struct hist (*pair_delays)[3]; /* NULL without native histograms */
    struct copy_groups {
        struct metrics_group *v;
        struct group_key *keys;
        struct hist (*delays)[3];
        size_t n, room;
    } groups[GROUP_KINDS];
    struct lacking_list lacking;
    struct metrics_agent *fleet;
    struct agent_names *fleet_names;
    struct metrics_self self[COPY_SELF];
    /* Where it is: */
    enum copy_stage stage;
    size_t budget;  /* of this piece, as it began */
    size_t at, end; /* rows of the inventory */
    enum group_by by;
    struct group *group; /* the next one of that kind */
};

/* Loop thread: goes on with at most so many rows, groups and agents (the fleet is copied in one piece
 * nevertheless). TW_EAGAIN: there is more. TW_OK: all is there. TW_ENOMEM: it has to be freed. From its first
 * call until it is done no other copy may be begun: the groups are counted in place. */
enum tw_rc publish_copy_go_on(struct page_copy *c, size_t budget);
/* What only the page shows: any thread. Then the rest: loop thread, for class_times are its own. */
void publish_copy_free_shown(struct page_copy *c);
void publish_copy_free(struct page_copy *c);

#endif
