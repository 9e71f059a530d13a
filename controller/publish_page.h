/* controller/publish_page.h - inside publish: its state, and the cache of rendered pages. */
#ifndef TW_CONTROLLER_PUBLISH_PAGE_H
#define TW_CONTROLLER_PUBLISH_PAGE_H

#include "controller/publish.h"
#include "controller/publish_late.h"

enum group_by { BY_AGENT, BY_SITE, BY_MESH, GROUP_KINDS };
struct group_key {
    char mesh[STORE_NAME_MAX], class_name[STORE_NAME_MAX]; /* all padded with zeros */
    char source[STORE_NAME_MAX], target[STORE_NAME_MAX];   /* by agent: source; by site: the sites */
};
struct group {
    struct group_key key;
    struct metrics_group sum; /* names NULL here; pairs and pairs_fresh are counted for each page */
    struct hist delay[3];     /* the same delays as native histograms */
    bool
        fed; /* a summary came since the copy for a page was begun: it has a pair, be it one that came then */
    size_t at;                /* where it stands on the page that is being made */
    UT_hash_handle hh;
};

struct page;
struct page_job;
struct publish {
    struct publish_conf conf;
    int64_t started_ns;
    struct group *groups[GROUP_KINDS]; /* uthash by key */
    struct late_table late;
    struct page *pages;            /* newest use first */
    struct page_job *copying;      /* the first is being copied, the others wait for it */
    struct loop_task copy_task;
};

/* Finds or makes; NULL: no memory. */
struct group *publish_group(struct publish *p, enum group_by by, const struct store_pair *pair);
void publish_free_group(struct publish *p, enum group_by by, struct group *g);
void publish_free_pages(struct publish *p);

#endif
