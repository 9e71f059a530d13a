#include "controller/http/json_stats.h"
#include <stdlib.h>
#include <string.h>

void json_pair(cJSON *o, const struct store_pair *p)
{
    json_u64(o, "pair_id", p->id);
    json_put(o, "mesh", cJSON_CreateString(p->mesh));
    json_put(o, "class", cJSON_CreateString(p->class_name));
    json_put(o, "source", cJSON_CreateString(p->source));
    json_put(o, "target", cJSON_CreateString(p->target));
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
    json_put(head, key, cJSON_CreateArray());
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
