#include <inttypes.h>
#include <stdlib.h>
#include "controller/cli/out.h"

/* cJSON keeps numbers as doubles, and prints them as it likes; ours are written by us. */
static cJSON *raw_number(const struct out_field *f)
{
    char text[OUT_NUM];

    if (f->kind == OUT_U64)
        snprintf(text, sizeof text, "%" PRIu64, f->v.u64);
    else if (f->kind == OUT_I64)
        snprintf(text, sizeof text, "%" PRId64, f->v.i64);
    else
        numtext_exact(f->v.real, text);
    return cJSON_CreateRaw(text);
}

static cJSON *list(const struct out_field *f)
{
    cJSON *a = cJSON_CreateArray();

    for (size_t i = 0; i < f->n; i++)
        cJSON_AddItemToArray(a, cJSON_CreateString(f->v.list[i]));
    return a;
}

static cJSON *labels(const struct out_field *f)
{
    cJSON *o = cJSON_CreateObject();

    for (size_t i = 0; i < f->n; i++)
        cJSON_AddStringToObject(o, f->v.labels[i]->key, f->v.labels[i]->value);
    return o;
}

static cJSON *value(const struct out_field *f)
{
    switch (f->kind) {
    case OUT_NULL:
        return cJSON_CreateNull();
    case OUT_TEXT:
        return cJSON_CreateString(f->v.text);
    case OUT_BOOL:
        return cJSON_CreateBool(f->v.boolean);
    case OUT_LIST:
        return list(f);
    case OUT_LABELS:
        return labels(f);
    case OUT_TREE:
        return cJSON_Duplicate(f->v.tree, true);
    case OUT_U64:
    case OUT_I64:
    case OUT_REAL:
        break;
    }
    return raw_number(f);
}

cJSON *out_json_object(const struct out_records *r, size_t i)
{
    cJSON *o = r->no_memory ? NULL : cJSON_CreateObject();

    for (size_t k = 0; o && k < r->per_record; k++) {
        const struct out_field *f = &r->fields[i * r->per_record + k];
        cJSON *v = value(f);
        if (!v || !cJSON_AddItemToObject(o, f->name, v)) {
            cJSON_Delete(v);
            cJSON_Delete(o);
            return NULL;
        }
    }
    return o;
}

cJSON *out_json_array(const struct out_records *r)
{
    cJSON *a = cJSON_CreateArray();

    for (size_t i = r->skip; a && i < r->n_records; i++) {
        cJSON *o = out_json_object(r, i);
        if (!o) {
            cJSON_Delete(a);
            return NULL;
        }
        cJSON_AddItemToArray(a, o);
    }
    return a;
}

bool out_json_print(cJSON *root, FILE *to, bool one_line)
{
    char *text = NULL;

    if (root)
        text = one_line ? cJSON_PrintUnformatted(root) : cJSON_Print(root);
    cJSON_Delete(root);
    if (!text)
        return false;
    fprintf(to, "%s\n", text);
    cJSON_free(text);
    return true;
}

bool out_ndjson_rows(const struct out_records *r, FILE *to)
{
    bool ok = !r->no_memory;

    for (size_t i = r->skip; ok && i < r->n_records; i++)
        ok = out_json_print(out_json_object(r, i), to, true);
    return ok;
}
