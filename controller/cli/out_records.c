#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/out.h"

void out_records_free(struct out_records *r)
{
    free(r->fields);
    *r = (struct out_records){ 0 };
}

void out_record(struct out_records *r)
{
    r->n_records++;
}

static bool make_room(struct out_records *r)
{
    size_t cap = r->cap ? 2 * r->cap : 256;
    struct out_field *fields;

    if (r->n_fields < r->cap)
        return true;
    fields = realloc(r->fields, cap * sizeof *fields);
    if (!fields)
        return false;
    r->fields = fields;
    r->cap = cap;
    return true;
}

static void put(struct out_records *r, struct out_field f)
{
    if (r->no_memory || !make_room(r)) {
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
