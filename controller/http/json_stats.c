#include "controller/http/json_stats.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/numtext.h"

/* ---- Values ---- */

static void put(cJSON *o, const char *key, cJSON *item)
{
    if (!cJSON_AddItemToObjectCS(o, key, item))
        cJSON_Delete(item);
}

void json_u64(cJSON *o, const char *key, uint64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, v);
    put(o, key, cJSON_CreateRaw(text));
}

void json_i64(cJSON *o, const char *key, int64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, v);
    put(o, key, cJSON_CreateRaw(text));
}

/* Not by cJSON, whose digits need not read back as the same number: twampctl prints these ones too. */
void json_num(cJSON *o, const char *key, struct tw_num v)
{
    char text[NUMTEXT_MAX];

    put(o, key,
        v.known && isfinite(v.value) ? cJSON_CreateRaw(numtext_exact(v.value, text)) : cJSON_CreateNull());
}

void json_time(cJSON *o, const char *key, const char *ns_key, int64_t ns)
{
    char text[TW_TIME_TEXT];

    if (ns) {
        put(o, key, cJSON_CreateString(tw_wall_format((struct tw_wall){ ns }, text)));
        json_i64(o, ns_key, ns);
    } else {
        put(o, key, cJSON_CreateNull());
        put(o, ns_key, cJSON_CreateNull());
    }
}

void json_pair(cJSON *o, const struct store_pair *p)
{
    json_u64(o, "pair_id", p->id);
    put(o, "mesh", cJSON_CreateString(p->mesh));
    put(o, "class", cJSON_CreateString(p->class_name));
    put(o, "source", cJSON_CreateString(p->source));
    put(o, "target", cJSON_CreateString(p->target));
}

/* ---- Statistics ---- */

static void put_field(cJSON *o, const struct stats_field *f, const void *at)
{
    switch (f->kind) {
    case STATS_U64:
        json_u64(o, f->name, *(const uint64_t *)at);
        break;
    case STATS_U32:
        put(o, f->name, cJSON_CreateNumber(*(const uint32_t *)at));
        break;
    case STATS_U8:
        put(o, f->name, cJSON_CreateNumber(*(const uint8_t *)at));
        break;
    case STATS_F64:
        json_num(o, f->name, (struct tw_num){ true, *(const double *)at });
        break;
    case STATS_NUM:
        json_num(o, f->name, *(const struct tw_num *)at);
        break;
    case STATS_BOOL:
        put(o, f->name, cJSON_CreateBool(*(const bool *)at));
        break;
    case STATS_TEXT:
        put(o, f->name, cJSON_CreateString(*(const char *const *)at));
        break;
    }
}

void json_stats(cJSON *o, const struct stats_view *v)
{
    for (size_t i = 0; i < stats_fields_n; i++)
        put_field(o, &stats_fields[i], (const char *)v + stats_fields[i].offset);
}

/* ---- Lists ---- */

static void append(struct json_list *l, const char *text, size_t len)
{
    if (!l->failed && l->len + len > l->cap) {
        size_t cap = 2 * (l->len + len) + 4096;
        char *more = realloc(l->text, cap);
        l->failed = !more;
        l->text = more ? more : l->text;
        l->cap = more ? cap : l->cap;
    }
    if (l->failed)
        return;
    memcpy(l->text + l->len, text, len);
    l->len += len;
}

/* Without the last `cut` octets. */
static void print(struct json_list *l, cJSON *item, size_t cut)
{
    char *text = item ? cJSON_PrintUnformatted(item) : NULL;

    if (text)
        append(l, text, strlen(text) - cut);
    else
        l->failed = true;
    cJSON_free(text);
    cJSON_Delete(item);
}

void json_list_begin(struct json_list *l, cJSON *head, const char *key)
{
    *l = (struct json_list){ 0 };
    put(head, key, cJSON_CreateArray());
    print(l, head, strlen("]}"));
}

void json_list_add(struct json_list *l, cJSON *item)
{
    if (l->any)
        append(l, ",", 1);
    l->any = true;
    print(l, item, 0);
}

char *json_list_end(struct json_list *l, size_t *ret_len)
{
    append(l, "]}\n", 3);
    if (l->failed) {
        free(l->text);
        return NULL;
    }
    *ret_len = l->len;
    return l->text;
}
