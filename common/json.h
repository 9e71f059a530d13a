/* common/json.h - the JSON of numbers and times, the same in every program. Keys are string literals. Pure
 * but for cJSON; any thread. */
#ifndef TW_COMMON_JSON_H
#define TW_COMMON_JSON_H

#include <cJSON.h>
#include "common/stats.h"

/* Adds item, or frees it. */
void json_put(cJSON *o, const char *key, cJSON *item);
/* Exact beyond 2^53, where a double is not. NULL: no memory. */
cJSON *json_u64_item(uint64_t v);
cJSON *json_i64_item(int64_t v);
/* Not known, or not finite: null, never 0. */
cJSON *json_num_item(struct tw_num v);
void json_u64(cJSON *o, const char *key, uint64_t v);
void json_i64(cJSON *o, const char *key, int64_t v);
void json_num(cJSON *o, const char *key, struct tw_num v);
/* KEY: RFC 3339 with milliseconds, and NS_KEY: nanoseconds since 1970; both null for 0, "never". */
void json_time(cJSON *o, const char *key, const char *ns_key, int64_t ns);
/* Every number of stats_fields[], as members of o once it is printed; in the tree they are one raw item. */
void json_stats(cJSON *o, const struct stats_view *v);

#endif
