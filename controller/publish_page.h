/* controller/publish_page.h - inside publish: its state, and the cache of rendered pages. */
#ifndef TW_CONTROLLER_PUBLISH_PAGE_H
#define TW_CONTROLLER_PUBLISH_PAGE_H

#include "controller/publish.h"

struct group_key {
    char mesh[STORE_NAME_MAX], class_name[STORE_NAME_MAX],
        source[STORE_NAME_MAX]; /* padded with zeros; source "" = mesh level */
};
struct group {
    struct group_key key;
    struct metrics_group sum; /* names NULL here; pairs and pairs_fresh are counted for each page */
    UT_hash_handle hh;
};

struct page;
struct publish {
    struct publish_conf conf;
    int64_t started_ns;
    struct group *agents, *meshes; /* uthash by key */
    struct page *pages;            /* newest use first */
};

/* Finds or makes; NULL: no memory. */
struct group *publish_group(struct group **table, const struct store_pair *pair, bool by_source);
void publish_free_pages(struct publish *p);

#endif
