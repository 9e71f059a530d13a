#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/out.h"

const char *const out_format_names[] = { "table", "wide", "json", "yaml", "csv", "ndjson", NULL };

/* ---- Records ---- */

static const void *row_at(struct out_rows rows, size_t i)
{
    if (rows.stride)
        return (const char *)rows.v + i * rows.stride;
    return ((const void *const *)rows.v)[i];
}

void out_listing_records(const struct out_listing *l, struct out_records *r, struct out_rows rows,
                         const void *ctx)
{
    r->skip = rows.n ? 0 : 1;
    if (!rows.n) {
        out_record(r);
        l->put(r, l->none, ctx);
    }
    for (size_t i = 0; i < rows.n; i++) {
        out_record(r);
        l->put(r, row_at(rows, i), ctx);
    }
}

/* ---- One value for people ---- */

static void print_list(const struct out_field *f, FILE *to)
{
    if (!f->n)
        putc('-', to);
    for (size_t i = 0; i < f->n; i++) {
        fputs(i ? " " : "", to);
        if (f->kind == OUT_LIST)
            fputs(f->v.list[i], to);
        else
            fprintf(to, "%s=%s", f->v.labels[i]->key, f->v.labels[i]->value);
    }
}

static double as_real(const struct out_field *f)
{
    return f->kind == OUT_REAL  ? f->v.real
           : f->kind == OUT_U64 ? (double)f->v.u64
           : f->kind == OUT_I64 ? (double)f->v.i64
                                : 0;
}

static int64_t as_ns(const struct out_field *f)
{
    return f->kind == OUT_I64 ? f->v.i64 : f->kind == OUT_U64 ? (int64_t)f->v.u64 : 0;
}

static void print_plain(const struct out_field *f, FILE *to)
{
    char text[OUT_NUM];

    if (f->kind == OUT_TEXT)
        fputs(f->v.text, to);
    else if (f->kind == OUT_U64)
        fprintf(to, "%" PRIu64, f->v.u64);
    else if (f->kind == OUT_I64)
        fprintf(to, "%" PRId64, f->v.i64);
    else if (f->kind == OUT_REAL)
        fputs(numtext_exact(f->v.real, text), to);
    else if (f->kind == OUT_BOOL)
        fputs(f->v.boolean ? "yes" : "no", to);
    else if (f->kind == OUT_TREE)
        fputs("...", to);
    else
        print_list(f, to);
}

static void print_value(const struct out_field *f, enum out_as as, int64_t now_ns, FILE *to)
{
    char text[TW_TIME_TEXT > OUT_NUM ? TW_TIME_TEXT : OUT_NUM];
    struct tw_num num = { true, as_real(f) };

    if (f->kind == OUT_NULL)
        putc('-', to);
    else if (as == OUT_AS_SECONDS)
        fputs(out_seconds(num, text), to);
    else if (as == OUT_AS_RATIO)
        fputs(out_percent(num, text), to);
    else if (as == OUT_AS_BYTES)
        fputs(out_si(num.value, "B", text), to);
    else if (as == OUT_AS_BITRATE)
        fputs(out_si(num.value, "bit/s", text), to);
    else if (as == OUT_AS_TIME)
        fputs(out_time(as_ns(f), text), to);
    else if (as == OUT_AS_EXACT)
        fputs(tw_wall_format((struct tw_wall){ as_ns(f) }, text), to);
    else if (as == OUT_AS_AGO)
        fputs(out_ago(as_ns(f), now_ns, text), to);
    else
        print_plain(f, to);
}

static bool is_right(enum out_as as)
{
    return as != OUT_AS_TEXT && as != OUT_AS_TIME && as != OUT_AS_EXACT;
}

/* ---- Tables ---- */

#define NO_FIELD SIZE_MAX

static size_t field_of(const struct out_records *r, const struct out_col *c)
{
    for (size_t i = 0; c->name && i < r->per_record; i++)
        if (!strcmp(r->fields[i].name, c->name))
            return i;
    return NO_FIELD;
}

static const char *key_of(const struct out_col *c)
{
    return c->name ? c->name : c->title;
}

/* The last word on a value counts. */
static const struct out_shown *shown_of(const struct out_shown *s, size_t n, const char *key)
{
    const struct out_shown *found = NULL;

    for (size_t i = 0; i < n; i++)
        if (!strcmp(s[i].name, key))
            found = &s[i];
    return found;
}

static void put_cell(struct out_table *t, const struct out_field *f, const struct out_shown *s,
                     enum out_as as, int64_t now_ns)
{
    enum out_style style = s ? s->style : OUT_PLAIN;
    char *text = NULL;
    size_t len = 0;
    FILE *mem;

    if (s && s->text) {
        out_cell(t, style, "%s", s->text);
    } else if (!f) {
        out_cell(t, style, "-");
    } else {
        mem = open_memstream(&text, &len);
        if (mem) {
            print_value(f, as, now_ns, mem);
            fclose(mem);
        }
        t->no_memory |= !text;
        out_cell(t, style, "%s", text ? text : "");
        free(text);
    }
}

static bool is_in_table(const struct out_col *c, const struct out_records *r, bool wide)
{
    return (wide || !c->wide) && (!c->optional || field_of(r, c) != NO_FIELD);
}

/* false: no memory. */
static bool make_columns(const struct out_listing *l, const struct out_records *r, bool wide,
                         struct out_table *t)
{
    t->made = calloc(l->n_columns + 1, sizeof *t->made);
    t->from = calloc(l->n_columns + 1, sizeof *t->from);
    t->columns = t->made;
    if (!t->made || !t->from)
        return false;
    for (size_t i = 0; i < l->n_columns; i++) {
        const struct out_col *c = &l->columns[i];
        if (!is_in_table(c, r, wide))
            continue;
        t->from[t->n_columns] = (struct out_origin){ i, field_of(r, c) };
        t->made[t->n_columns++] =
            (struct out_column){ .title = c->title, .right = is_right(c->as), .drop = c->drop };
    }
    return true;
}

static void put_rows(const struct out_listing *l, const struct out_records *r, int64_t now_ns,
                     struct out_table *t)
{
    size_t at = 0, end;

    for (size_t i = 0; i < r->n_records; i++, at = end) {
        for (end = at; end < r->n_shown && r->shown[end].record == i; end++)
            ;
        if (i < r->skip)
            continue;
        for (size_t k = 0; k < t->n_columns; k++) {
            const struct out_col *c = &l->columns[t->from[k].col];
            size_t field = t->from[k].field;
            put_cell(t, field == NO_FIELD ? NULL : &r->fields[i * r->per_record + field],
                     end > at ? shown_of(r->shown + at, end - at, key_of(c)) : NULL, c->as, now_ns);
        }
    }
}

void out_listing_table(const struct out_listing *l, const struct out_records *r, bool wide, int64_t now_ns,
                       struct out_table *ret)
{
    *ret = (struct out_table){ .no_memory = r->no_memory };
    if (!ret->no_memory && !make_columns(l, r, wide, ret))
        ret->no_memory = true;
    if (!ret->no_memory)
        put_rows(l, r, now_ns, ret);
}

bool out_listing_shows(const struct out_listing *l, const struct out_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (!strcmp(key_of(&l->columns[t->from[i].col]), name))
            return out_table_shows(t, i);
    return false;
}

static bool is_nothing(const struct out_field *f)
{
    return (f->kind == OUT_U64 && !f->v.u64) || (f->kind == OUT_I64 && !f->v.i64) ||
           ((f->kind == OUT_LIST || f->kind == OUT_LABELS) && !f->n);
}

static bool is_told(const struct out_col *c, const struct out_field *f, const struct out_shown *s)
{
    if (c->when == OUT_ALWAYS || (s && s->text && (!f || f->kind != OUT_NULL)))
        return true;
    return f && f->kind != OUT_NULL && !(c->when == OUT_IF_SET && is_nothing(f));
}

void out_listing_facts(const struct out_listing *l, const struct out_records *r, bool wide, int64_t now_ns,
                       struct out_table *ret)
{
    static const struct out_column columns[] = { { NULL, false, 0 }, { NULL, false, 0 } };

    out_table_init(ret, columns, TW_NELEM(columns));
    ret->no_memory = r->no_memory;
    for (size_t i = 0; !ret->no_memory && i < l->n_columns; i++) {
        const struct out_col *c = &l->columns[i];
        size_t at = field_of(r, c);
        const struct out_field *f = at == NO_FIELD ? NULL : &r->fields[at];
        const struct out_shown *s = shown_of(r->shown, r->n_shown, key_of(c));

        if (!is_in_table(c, r, wide) || !is_told(c, f, s))
            continue;
        out_cell(ret, OUT_PLAIN, "%s", c->title);
        put_cell(ret, f, s, c->as, now_ns);
    }
}
