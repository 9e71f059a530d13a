/* controller/http/json_stats.h - the JSON of pairs; and long lists, printed item by item so that the
 * tree of a whole answer never stands in memory. Numbers and times: common/json.h. Any thread. */
#ifndef TW_CONTROLLER_HTTP_JSON_STATS_H
#define TW_CONTROLLER_HTTP_JSON_STATS_H

#include "common/json.h"
#include "db/store.h"

/* pair_id, mesh, class, source, target. */
void json_pair(cJSON *o, const struct store_pair *p);

struct json_list {
    char *text;
    size_t len, cap;
    bool any, failed;
};
/* Takes head, which gets a last member `key`: the list. */
void json_list_begin(struct json_list *l, cJSON *head, const char *key);
void json_list_add(struct json_list *l, cJSON *item); /* takes item */
/* malloc'ed; NULL: no memory. */
char *json_list_end(struct json_list *l, size_t *ret_len);

#endif
