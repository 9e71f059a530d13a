#include "common/json.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include "common/numtext.h"

/* ---- Values ---- */

void json_put(cJSON *o, const char *key, cJSON *item)
{
    if (!cJSON_AddItemToObjectCS(o, key, item))
        cJSON_Delete(item);
}

cJSON *json_u64_item(uint64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, v);
    return cJSON_CreateRaw(text);
}

cJSON *json_i64_item(int64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, v);
    return cJSON_CreateRaw(text);
}

/* Not by cJSON, whose digits need not read back as the same number: twampctl prints these ones too. */
cJSON *json_num_item(struct tw_num v)
{
    char text[NUMTEXT_MAX];

    return v.known && isfinite(v.value) ? cJSON_CreateRaw(numtext_exact(v.value, text)) : cJSON_CreateNull();
}

void json_u64(cJSON *o, const char *key, uint64_t v)
{
    json_put(o, key, json_u64_item(v));
}

void json_i64(cJSON *o, const char *key, int64_t v)
{
    json_put(o, key, json_i64_item(v));
}

void json_num(cJSON *o, const char *key, struct tw_num v)
{
    json_put(o, key, json_num_item(v));
}

void json_time(cJSON *o, const char *key, const char *ns_key, int64_t ns)
{
    char text[TW_TIME_TEXT];

    if (ns) {
        json_put(o, key, cJSON_CreateString(tw_wall_format((struct tw_wall){ ns }, text)));
        json_i64(o, ns_key, ns);
    } else {
        json_put(o, key, cJSON_CreateNull());
        json_put(o, ns_key, cJSON_CreateNull());
    }
}

/* ---- Statistics ---- */

static void put_field(cJSON *o, const struct stats_field *f, const void *at)
{
    switch (f->kind) {
    case STATS_U64:
        json_u64(o, f->name, *(const uint64_t *)at);
        break;
    case STATS_U32:
        json_put(o, f->name, cJSON_CreateNumber(*(const uint32_t *)at));
        break;
    case STATS_U8:
        json_put(o, f->name, cJSON_CreateNumber(*(const uint8_t *)at));
        break;
    case STATS_F64:
        json_num(o, f->name, (struct tw_num){ true, *(const double *)at });
        break;
    case STATS_NUM:
        json_num(o, f->name, *(const struct tw_num *)at);
        break;
    case STATS_BOOL:
        json_put(o, f->name, cJSON_CreateBool(*(const bool *)at));
        break;
    case STATS_TEXT:
        json_put(o, f->name, cJSON_CreateString(*(const char *const *)at));
        break;
    }
}

void json_stats(cJSON *o, const struct stats_view *v)
{
    for (size_t i = 0; i < stats_fields_n; i++)
        put_field(o, &stats_fields[i], (const char *)v + stats_fields[i].offset);
}
