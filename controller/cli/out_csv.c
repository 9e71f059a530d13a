#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/out.h"

/* RFC 4180 section 2: quoted where it must be. */
static void print_text(const char *text, FILE *to)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, to);
        return;
    }
    putc('"', to);
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            putc('"', to);
        putc(*c, to);
    }
    putc('"', to);
}

/* Lists are short and never contain blanks or commas but for reasons of refusals, so they are joined and then
 * quoted. */
static void print_joined(const struct out_field *f, FILE *to)
{
    char *text = NULL;
    size_t len = 0;
    FILE *mem = open_memstream(&text, &len);

    if (!mem)
        return;
    for (size_t i = 0; i < f->n; i++) {
        fputs(i ? " " : "", mem);
        if (f->kind == OUT_LIST)
            fputs(f->v.list[i], mem);
        else
            fprintf(mem, "%s=%s", f->v.labels[i]->key, f->v.labels[i]->value);
    }
    fclose(mem);
    if (text)
        print_text(text, to);
    free(text);
}

static void print_value(const struct out_field *f, FILE *to)
{
    char text[OUT_NUM];

    switch (f->kind) {
    case OUT_NULL:
        break;
    case OUT_TEXT:
        print_text(f->v.text, to);
        break;
    case OUT_U64:
        fprintf(to, "%" PRIu64, f->v.u64);
        break;
    case OUT_I64:
        fprintf(to, "%" PRId64, f->v.i64);
        break;
    case OUT_REAL:
        fputs(numtext_exact(f->v.real, text), to);
        break;
    case OUT_BOOL:
        fputs(f->v.boolean ? "true" : "false", to);
        break;
    case OUT_LIST:
    case OUT_LABELS:
        print_joined(f, to);
        break;
    case OUT_TREE:
        break;
    }
}

/* Of every record; separators stand between those that CSV has. */
static void print_line(const struct out_records *r, size_t record, FILE *to,
                       void (*print)(const struct out_field *f, FILE *to))
{
    const struct out_field *f = &r->fields[record * r->per_record];
    bool any = false;

    for (size_t i = 0; i < r->per_record; i++) {
        if (f[i].kind == OUT_TREE)
            continue;
        if (any)
            putc(',', to);
        any = true;
        print(&f[i], to);
    }
    putc('\n', to);
}

static void print_name(const struct out_field *f, FILE *to)
{
    print_text(f->name, to); /* counters have labels in their names */
}

void out_csv_header(const struct out_records *r, FILE *to)
{
    print_line(r, 0, to, print_name);
}

void out_csv_rows(const struct out_records *r, FILE *to)
{
    for (size_t row = r->skip; row < r->n_records; row++)
        print_line(r, row, to, print_value);
}
