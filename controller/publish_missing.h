/* controller/publish_missing.h - inside publish: why summaries of the last hour are missing, for the groups
 * of a page. What is missing is the live state's (as twamp_completeness_ratio), why is the store's. */
#ifndef TW_CONTROLLER_PUBLISH_MISSING_H
#define TW_CONTROLLER_PUBLISH_MISSING_H

#include "controller/publish_page.h"

/* A pair that lacks some. */
struct lacking {
    const struct store_pair *pair; /* the page's */
    struct class_times *times;     /* a reference of the loop thread's; NULL: none */
    struct group *group[GROUP_KINDS];
    size_t at[GROUP_KINDS]; /* where those stand on the page */
    struct publish_periods periods;
    int64_t period_ns;
    uint32_t flows;
    unsigned slot;
    bool backlog;
};
struct lacking_list {
    struct lacking *v;
    size_t n, cap;
};

/* Loop thread. Notes the pair if it lacks some; `row`: a copy of its row that lives as long as the list. */
enum tw_rc publish_missing_note(struct publish *p, struct lacking_list *l, const struct pair *pair,
                                const struct store_pair *row, int64_t now_ns);
/* Loop thread, once struct group.at is right for this page. */
void publish_missing_place(struct lacking_list *l);
void publish_missing_free(struct lacking_list *l);

/* Reader thread: adds to the groups of the page; groups[by][at]. On an error they say nothing of it. */
enum tw_rc publish_missing_explain(struct lacking_list *l, struct store_reader *db,
                                   struct metrics_group *const groups[GROUP_KINDS],
                                   const size_t n[GROUP_KINDS], struct tw_err *err);

#endif
