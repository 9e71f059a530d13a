/* controller/registry_list.h - which controllers there are, by what is heard of them (db/etcd/presence.h).
 * Pure: times are arguments (ns of the wall clock). */
#ifndef TW_CONTROLLER_REGISTRY_LIST_H
#define TW_CONTROLLER_REGISTRY_LIST_H

#include "controller/registry_row.h"
#include "db/etcd/presence.h"

/* A controller that was killed and started again is there twice until its lease ends: for so long that is no
 * second one. */
#define REGISTRY_AGAIN_NS INT64_C(15000000000)

enum registry_state { REGISTRY_UP, REGISTRY_MISSING, REGISTRY_ENDED /* by itself */, REGISTRY_STATES };
const char *registry_state_name(enum registry_state s); /* "up", "missing", "ended" */

struct registry_member { /* a process that is there */
    int64_t lease, revision, since_ns;
    struct registry_facts facts;
    bool seen, before; /* before: what one of the others was before it started again, or lost its lease */
};
struct registry_known { /* one that was there at some time */
    int64_t revision, gone_ns;
    struct registry_facts facts;
    bool seen, was_up; /* was_up: while we looked */
};
struct registry_row {
    const struct registry_facts *facts; /* until the list is told of something */
    enum registry_state state;
    int64_t gone_ns; /* since when it is not there */
    bool self, twin; /* twin: another one has its name */
};
struct registry_list {
    struct registry_member *members;
    struct registry_known *known;
    struct registry_row *rows; /* by name, own first among twins */
    size_t n_members, n_known, n_rows;
};

/* All that is heard now: begin, each text of slot 0, end. */
void registry_list_begin(struct registry_list *l);
/* TW_ENOMEM: it is left out this time. TW_ECORRUPT: it cannot be read, and is left out. */
enum tw_rc registry_list_take(struct registry_list *l, const struct presence_text *t, int64_t now_ns);
/* Makes the rows. own_lease: of ourselves, 0: none. */
enum tw_rc registry_list_end(struct registry_list *l, int64_t own_lease, int64_t now_ns);
void registry_list_free(struct registry_list *l);
/* Is that a process which is there? What it was before is not. */
const struct registry_member *registry_list_member(const struct registry_list *l, int64_t lease);

#endif
