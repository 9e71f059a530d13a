/* common/json.h - the JSON of numbers and times, the same in every program. Keys are string literals. Pure
 * but for cJSON; any thread. */
#ifndef TW_COMMON_JSON_H
#define TW_COMMON_JSON_H

#include <cJSON.h>
#include "common/stats.h"

/* Adds item, or frees it. */
void json_put(cJSON *o, const char *key, cJSON *item);
/* Exact beyond 2^53, where a double is not. */
void json_u64(cJSON *o, const char *key, uint64_t v);
void json_i64(cJSON *o, const char *key, int64_t v);
void json_num(cJSON *o, const char *key, struct tw_num v); /* not known: null, never 0 */
/* KEY: RFC 3339 with milliseconds, and NS_KEY: nanoseconds since 1970; both null for 0, "never". */
void json_time(cJSON *o, const char *key, const char *ns_key, int64_t ns);
/* Every number of stats_fields[], as members of o. */
void json_stats(cJSON *o, const struct stats_view *v);

#endif
