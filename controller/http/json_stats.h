/* controller/http/json_stats.h - the JSON of numbers, times and pairs, the same in every answer; and long lists, printed item by
 * item so that the tree of a whole answer never stands in memory. Keys are string literals. Any thread. */
#ifndef TW_CONTROLLER_HTTP_JSON_STATS_H
#define TW_CONTROLLER_HTTP_JSON_STATS_H

#include <cJSON.h>
#include "common/stats.h"
#include "db/store.h"

/* Exact beyond 2^53, where a double is not. */
void json_u64(cJSON *o, const char *key, uint64_t v);
void json_i64(cJSON *o, const char *key, int64_t v);
void json_num(cJSON *o, const char *key, struct tw_num v); /* not known: null, never 0 */
/* KEY: RFC 3339 with milliseconds, and NS_KEY: nanoseconds since 1970; both null for 0, "never". */
void json_time(cJSON *o, const char *key, const char *ns_key, int64_t ns);
/* pair_id, mesh, class, source, target. */
void json_pair(cJSON *o, const struct store_pair *p);
/* Every number of stats_fields[], as members of o. */
void json_stats(cJSON *o, const struct stats_view *v);

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
