#include "common/json.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "common/numtext.h"

/* ---- Values ---- */

void json_put(cJSON *o, const char *key, cJSON *item)
{
    if (!cJSON_AddItemToObjectCS(o, key, item))
        cJSON_Delete(item);
}

cJSON *json_u64_item(uint64_t v)
{
    char text[NUMTEXT_MAX];

    return cJSON_CreateRaw(numtext_u64(v, text));
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

#define STATS_JSON_FIELD 96 /* a name, a number or a word, and what is around them */
#define STATS_JSON_MAX (128 * STATS_JSON_FIELD)

/* Name and value, with a comma before it but for the first one; NULL: that is no text, and no member. */
static char *put_field(char *p, const struct stats_field *f, const void *at, bool first)
{
    char number[NUMTEXT_MAX];
    const char *text = number, *quote = "";
    struct tw_num n = { true, 0 };

    switch (f->kind) {
    case STATS_U64:
        numtext_u64(*(const uint64_t *)at, number);
        break;
    case STATS_U32:
        numtext_u64(*(const uint32_t *)at, number);
        break;
    case STATS_U8:
        numtext_u64(*(const uint8_t *)at, number);
        break;
    case STATS_F64:
    case STATS_NUM:
        if (f->kind == STATS_NUM)
            n = *(const struct tw_num *)at;
        else
            n.value = *(const double *)at;
        text = n.known && isfinite(n.value) ? numtext_exact(n.value, number) : "null";
        break;
    case STATS_BOOL:
        text = *(const bool *)at ? "true" : "false";
        break;
    case STATS_TEXT: /* our own words: nothing in them has to be escaped */
        text = *(const char *const *)at;
        quote = "\"";
        break;
    }
    if (!text)
        return p;
    p = first ? p : stpcpy(stpcpy(stpcpy(p, ",\""), f->name), "\":");
    return stpcpy(stpcpy(stpcpy(p, quote), text), quote);
}

/* A tree of so many members for each pair took most of the time of a large report. They are one raw item, of
 * the first one's name: printed, members like all others. */
void json_stats(cJSON *o, const struct stats_view *v)
{
    char text[STATS_JSON_MAX], *p = text;

    assert(stats_fields_n * STATS_JSON_FIELD <= sizeof text);
    for (size_t i = 0; i < stats_fields_n; i++)
        p = put_field(p, &stats_fields[i], (const char *)v + stats_fields[i].offset, !i);
    *p = '\0';
    json_put(o, stats_fields[0].name, cJSON_CreateRaw(text));
}
