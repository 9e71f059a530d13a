#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/out.h"
#include "common/grow.h"

void out_records_free(struct out_records *r)
{
    for (size_t i = 0; i < r->n_fields; i++)
        if (r->fields[i].kind == OUT_TREE)
            cJSON_Delete(r->fields[i].v.tree);
    for (size_t i = 0; i < r->n_shown; i++)
        free(r->shown[i].text);
    free(r->fields);
    free(r->shown);
    *r = (struct out_records){ 0 };
}

void out_record(struct out_records *r)
{
    r->n_records++;
}

static void put(struct out_records *r, struct out_field f)
{
    if (r->no_memory || !TW_GROW(&r->fields, r->n_fields, &r->cap, 256)) {
        if (f.kind == OUT_TREE)
            cJSON_Delete(f.v.tree);
        r->no_memory = true;
        return;
    }
    r->fields[r->n_fields++] = f;
    if (r->n_records == 1)
        r->per_record = r->n_fields;
}

void out_null(struct out_records *r, const char *name)
{
    put(r, (struct out_field){ .name = name });
}

void out_text(struct out_records *r, const char *name, const char *text)
{
    if (text && *text)
        put(r, (struct out_field){ .name = name, .kind = OUT_TEXT, .v.text = text });
    else
        out_null(r, name);
}

void out_u64(struct out_records *r, const char *name, uint64_t v)
{
    put(r, (struct out_field){ .name = name, .kind = OUT_U64, .v.u64 = v });
}

void out_i64(struct out_records *r, const char *name, int64_t v)
{
    put(r, (struct out_field){ .name = name, .kind = OUT_I64, .v.i64 = v });
}

void out_ns(struct out_records *r, const char *name, int64_t ns)
{
    if (ns)
        out_i64(r, name, ns);
    else
        out_null(r, name);
}

void out_real(struct out_records *r, const char *name, double v)
{
    if (!isfinite(v)) /* JSON has no word for it */
        out_null(r, name);
    else
        put(r, (struct out_field){ .name = name, .kind = OUT_REAL, .v.real = v });
}

void out_num(struct out_records *r, const char *name, struct tw_num v)
{
    if (v.known)
        out_real(r, name, v.value);
    else
        out_null(r, name);
}

void out_bool(struct out_records *r, const char *name, bool v)
{
    put(r, (struct out_field){ .name = name, .kind = OUT_BOOL, .v.boolean = v });
}

void out_list(struct out_records *r, const char *name, char *const *list, size_t n)
{
    put(r, (struct out_field){ .name = name, .kind = OUT_LIST, .n = n, .v.list = list });
}

void out_labels(struct out_records *r, const char *name, Tw__Label *const *labels, size_t n)
{
    put(r, (struct out_field){ .name = name, .kind = OUT_LABELS, .n = n, .v.labels = labels });
}

void out_tree(struct out_records *r, const char *name, cJSON *tree)
{
    if (!tree)
        r->no_memory = true;
    else
        put(r, (struct out_field){ .name = name, .kind = OUT_TREE, .v.tree = tree });
}

/* Takes text. */
static void put_shown(struct out_records *r, const char *name, enum out_style style, char *text)
{
    if (r->no_memory || !TW_GROW(&r->shown, r->n_shown, &r->cap_shown, 256)) {
        free(text);
        r->no_memory = true;
        return;
    }
    r->shown[r->n_shown++] = (struct out_shown){ r->n_records - 1, name, text, style };
}

void out_style(struct out_records *r, const char *name, enum out_style style)
{
    if (r->for_people && style != OUT_PLAIN)
        put_shown(r, name, style, NULL);
}

void out_show(struct out_records *r, const char *name, enum out_style style, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    int n;

    if (!r->for_people)
        return;
    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        r->no_memory = true;
    else
        put_shown(r, name, style, text);
}

static void put_stats_field(struct out_records *r, const struct stats_field *f, const struct stats_view *v)
{
    const void *at = (const char *)v + f->offset;

    switch (f->kind) {
    case STATS_U64:
        out_u64(r, f->name, *(const uint64_t *)at);
        break;
    case STATS_U32:
        out_u64(r, f->name, *(const uint32_t *)at);
        break;
    case STATS_U8:
        out_u64(r, f->name, *(const uint8_t *)at);
        break;
    case STATS_F64:
        out_real(r, f->name, *(const double *)at);
        break;
    case STATS_NUM:
        out_num(r, f->name, *(const struct tw_num *)at);
        break;
    case STATS_BOOL:
        out_bool(r, f->name, *(const bool *)at);
        break;
    case STATS_TEXT:
        out_text(r, f->name, *(const char *const *)at);
        break;
    }
}

void out_view(struct out_records *r, const struct stats_view *v)
{
    for (size_t i = 0; i < stats_fields_n; i++)
        put_stats_field(r, &stats_fields[i], v);
}
