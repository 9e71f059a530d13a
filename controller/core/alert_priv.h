/* controller/core/alert_priv.h - what the files of the alert engine share. */
#ifndef TW_CONTROLLER_CORE_ALERT_PRIV_H
#define TW_CONTROLLER_CORE_ALERT_PRIV_H

#include "controller/core/alert.h"
#include "controller/core/alert_correlate.h"
#include "controller/core/alert_track.h"

#define ALERT_FIRES 8 /* that are remembered of one number */
#define ALERT_HOUR_NS (3600 * TW_NS_PER_S)

/* Which rules many pairs have. */
struct picked {
    uint16_t rule[ALERT_SLOTS]; /* index + 1 */
    UT_hash_handle hh;
};
struct track {
    struct track *next;
    unsigned slot;
    enum track_kind { TRACK_BASELINE, TRACK_WINDOW, TRACK_HOPS } kind;
    enum { PAST_UNKNOWN, PAST_ASKED, PAST_KNOWN } past; /* what was before it began to be fed */
    uint64_t asked;                                     /* number of the want */
    int64_t fed_ns;                                     /* begin of the first period that it was fed; 0: none */
    union {
        struct alert_baseline baseline;
        struct alert_window window;
        struct alert_hops hops;
    } u;
};
struct seen_pair {
    uint64_t id;
    uint64_t seq;   /* they stand in this order */
    uint64_t epoch; /* of the rules that were picked; 0: none yet */
    int64_t picked_ns;
    struct picked *picked;
    struct track *tracks;
    int32_t site[2], agent[2]; /* nodes of source and target; -1: none */
    int32_t cause;             /* node that explains it; -1 */
    uint32_t active, firing;   /* alerts of it */
    struct alert *alerts; /* the active ones: with hundreds of thousands a look into their table is a walk
                             through memory */
    bool counts;               /* something should come of it now */
    UT_hash_handle hh;
};
struct node {
    struct node_key {
        char name[ALERT_NAME_MAX];
        uint32_t kind; /* ALERT_AGENT, ALERT_SITE */
    } key;
    uint32_t index;
    int32_t site;        /* of an agent */
    struct alert *alert; /* of many pairs; NULL: none */
    struct alert *down;  /* of an agent that is not connected, firing */
    UT_hash_handle hh;
};
/* When a number fired lately. */
struct recent {
    struct alert_key key;
    int64_t fired_ns[ALERT_FIRES];
    UT_hash_handle hh;
};

struct alert_engine {
    struct alert_conf conf;
    const struct alert_rules *rules;
    uint64_t epoch, last_id, last_want;
    int64_t first_tick_ns, correlated_ns, pruned_ns;
    bool dirty;           /* correlate again */
    enum { ROUND_NONE, ROUND_SWEEP, ROUND_BLAME, ROUND_TELL } round; /* of what is done once a second or so */
    int64_t round_ns;                                                /* its beginning */
    struct alert *at;                                                /* where it is, of active */
    struct blame *blame;                                             /* NULL: nothing is being correlated */
    uint64_t last_seq;
    struct alert *active; /* by key */
    struct alert *by_id;
    struct alert *done[ALERT_DONE_MAX]; /* a ring */
    size_t next_done;
    struct seen_pair *pairs;
    struct picked *picked;
    struct node *nodes;
    struct node **node_at; /* by index */
    size_t n_nodes, cap_nodes;
    struct recent *recent;
    struct alert_silence *silences;
    size_t n_silences;
    struct alert_counts counts;
    struct tw_label labels[ALERT_LABELS_MAX];
    char label_text[ALERT_LABELS_MAX][TW_LABEL_MAX];
    size_t n_labels;
};

/* By report periods, as against what is looked at once a second. */
static inline bool alert_is_of_periods(enum alert_metric m)
{
    return m != ALERT_NO_DATA && m != ALERT_AGENT_DOWN;
}

/* alert.c: counts that, and returns TW_ENOMEM. */
enum tw_rc alert_no_memory(struct alert_engine *e);
/* alert_life.c */
struct alert *alert_find_active(const struct alert_engine *e, const struct alert_key *key);
/* p: the pair that it is of; NULL: it is of none. Here, since each number of each period asks. */
static inline struct alert *alert_active_of(const struct alert_engine *e, const struct seen_pair *p,
                                            const struct alert_key *key)
{
    struct alert *a = p ? p->alerts : NULL;

    if (!p)
        return alert_find_active(e, key);
    while (a && a->key.slot != key->slot)
        a = a->next_of_pair;
    return a;
}
/* Into the tables; false: no memory, it is in none. */
bool alert_add(struct alert_engine *e, struct alert *a);
/* The same of one that is only shown. */
bool alert_add_shown(struct alert_engine *e, struct alert *a);
/* Nobody may look at it any more as one that goes on. */
void alert_detach(struct alert_engine *e, struct alert *a);
/* NULL: no memory, which is counted. */
struct alert *alert_make(struct alert_engine *e, const struct alert_key *key, const char *rule);
void alert_fire(struct alert_engine *e, struct alert *a, int64_t now_ns);
void alert_finish(struct alert_engine *e, struct alert *a, const char *reason, int64_t now_ns);
/* It was pending, and is no alert. */
void alert_drop(struct alert_engine *e, struct alert *a);
/* Into the ring of resolved ones; what it pushes out is forgotten. */
void alert_keep_done(struct alert_engine *e, struct alert *a);
/* So many more (fewer) of its pair go on, and fire. */
void alert_note_active(struct alert_engine *e, struct alert *a, int active, int firing);
void alert_note_fired(struct alert_engine *e, const struct alert_key *key, int64_t now_ns);
/* The clear-time of what has fired again and again within the hour. */
int64_t alert_clear_for(struct alert_engine *e, const struct alert_key *key, int64_t ns, int64_t now_ns);
/* alert_pairs.c */
struct seen_pair *alert_pair_of(const struct alert_engine *e, uint64_t id);
struct seen_pair *alert_make_pair(struct alert_engine *e,
                                  uint64_t id); /* or the one that there is; NULL: no memory */
void alert_free_pair(struct alert_engine *e, struct seen_pair *p);
/* Makes it known, with the rules that its labels have now; NULL: no memory, which is counted. */
struct seen_pair *alert_know(struct alert_engine *e, const struct alert_subject *s, int64_t now_ns);
/* The site's node; -1: it has none. */
int32_t alert_site_of(struct alert_engine *e, const struct tw_label *labels, size_t n);
struct track *alert_track_of(struct alert_engine *e, struct seen_pair *p, unsigned slot, enum track_kind kind);
/* alert_feed.c */
bool alert_is_late(const struct alert_facts *f, int64_t now_ns);
/* alert_memory.c */
struct tw_num alert_value_of(struct alert_engine *e, struct seen_pair *p, const struct alert_rule *r, unsigned slot,
                             const struct alert_facts *f, int64_t now_ns);
struct alert_baseline *alert_baseline_of(struct alert_engine *e, struct seen_pair *p, const struct alert_rule *r,
                                         unsigned slot, const struct alert_facts *f, int64_t now_ns);
/* alert_tell.c */
void alert_tell(struct alert_engine *e, struct alert *a, int64_t now_ns);
void alert_prune_silences(struct alert_engine *e, int64_t now_ns);
/* alert_blame.c */
enum tw_rc alert_blame_begin(struct alert_engine *e); /* TW_ENOMEM: it has not begun */
/* Goes on for about *looks looks at a pair, node or alert, which it takes off; then e->blame is NULL, it is
 * over, or failed: TW_ENOMEM. */
enum tw_rc alert_blame_go(struct alert_engine *e, int64_t now_ns, size_t *looks);
void alert_blame_stop(struct alert_engine *e);
/* Before it goes. */
void alert_blame_forget_pair(struct alert_engine *e, const struct seen_pair *p);
void alert_blame_forget_alert(struct alert_engine *e, const struct alert *a);
int32_t alert_node_index(struct alert_engine *e, enum alert_kind kind, const char *name);

#endif
