#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include "controller/cli/out.h"
#include "common/grow.h"

#define GAP 2          /* blanks between columns */
#define MAX_COLUMNS 32 /* bits of `hidden` */

static const char *const styles[] = {
    [OUT_PLAIN] = "", [OUT_BAD] = "\033[31m", [OUT_DOUBT] = "\033[33m", [OUT_DIM] = "\033[2m"
};

/* ---- Text ---- */

static bool is_control(const char *c)
{
    unsigned char u = (unsigned char)*c;

    /* C1 controls are two octets in UTF-8: U+0080..U+009F. */
    return u < ' ' || u == 0x7f || (u == 0xc2 && (unsigned char)c[1] >= 0x80 && (unsigned char)c[1] <= 0x9f);
}

size_t out_width(const char *text)
{
    size_t width = 0, left = strlen(text);
    mbstate_t state = { 0 };

    while (left) {
        wchar_t c;
        size_t used = mbrtowc(&c, text, left, &state);
        int w = 1;
        if (used == (size_t)-1 || used == (size_t)-2) { /* not in this locale's encoding: octet by octet */
            memset(&state, 0, sizeof state);
            used = 1;
        } else {
            w = wcwidth(c);
        }
        width += w > 0 ? (size_t)w : 0;
        text += used;
        left -= used;
    }
    return width;
}

static bool ends_line(const char *c)
{
    return *c == '\n' || *c == '\t' || (c[0] == '\r' && c[1] == '\n');
}

void out_safe(FILE *to, const char *text, bool lines)
{
    for (const char *c = text; *c; c++) {
        if (lines && ends_line(c))
            putc(*c, to);
        else if (is_control(c))
            putc('?', to);
        else
            putc(*c, to);
        if ((unsigned char)*c == 0xc2 && is_control(c))
            c++;
    }
}

/* ---- Building ---- */

void out_table_init(struct out_table *t, const struct out_column *columns, size_t n_columns)
{
    *t = (struct out_table){ .columns = columns, .n_columns = n_columns };
}

void out_table_free(struct out_table *t)
{
    for (size_t i = 0; i < t->n_cells; i++)
        free(t->cells[i].text);
    free(t->cells);
    free(t->made);
    free(t->from);
    *t = (struct out_table){ 0 };
}

/* As out_safe(), in memory. */
static void defuse(char *text, bool lines)
{
    char *to = text;

    for (const char *c = text; *c; c++) {
        bool control = is_control(c) && !(lines && ends_line(c)), two = (unsigned char)*c == 0xc2;
        *to++ = control ? '?' : *c; /* may overwrite *c */
        if (control && two)
            c++;
    }
    *to = '\0';
}

void out_defuse(char *text)
{
    defuse(text, true);
}

void out_cell(struct out_table *t, enum out_style style, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    int n = -1;

    if (t->no_memory)
        return;
    va_start(ap, fmt);
    if (TW_GROW(&t->cells, t->n_cells, &t->cap, 256))
        n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0) {
        t->no_memory = true;
        return;
    }
    defuse(text, false);
    t->cells[t->n_cells++] = (struct out_cell){ text, style };
}

/* ---- Measuring ---- */

static bool has_heading(const struct out_table *t)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (t->columns[i].title)
            return true;
    return false;
}

static size_t column_width(const struct out_table *t, size_t column, size_t rows)
{
    size_t width = t->columns[column].title ? out_width(t->columns[column].title) : 0;

    for (size_t i = 0; i < rows; i++) {
        size_t w = out_width(t->cells[i * t->n_columns + column].text);
        if (w > width)
            width = w;
    }
    return width;
}

bool out_table_shows(const struct out_table *t, size_t column)
{
    return !(t->hidden & 1u << column);
}

/* One past the last column that is shown: nothing is padded to the right of it. */
static size_t last_shown(const struct out_table *t)
{
    size_t end = t->n_columns;

    while (end && !out_table_shows(t, end - 1))
        end--;
    return end;
}

static void blanks(FILE *to, size_t n)
{
    fprintf(to, "%*s", (int)n, "");
}

/* ---- Fitting ---- */

static size_t shown_width(const struct out_table *t, const size_t *widths)
{
    size_t sum = 0;

    for (size_t i = 0; i < t->n_columns; i++)
        if (out_table_shows(t, i))
            sum += widths[i] + (sum ? GAP : 0);
    return sum;
}

static void hide(struct out_table *t, unsigned drop)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (t->columns[i].drop == drop)
            t->hidden |= 1u << i;
}

void out_table_fit(struct out_table *t, size_t width)
{
    size_t widths[MAX_COLUMNS] = { 0 };
    unsigned last = 0;

    t->hidden = 0;
    if (!width || !t->n_columns || t->n_columns > MAX_COLUMNS)
        return;
    for (size_t i = 0; i < t->n_columns; i++) {
        widths[i] = column_width(t, i, t->n_cells / t->n_columns);
        if (t->columns[i].drop > last)
            last = t->columns[i].drop;
    }
    t->full_width = shown_width(t, widths);
    for (unsigned drop = 1; drop <= last && shown_width(t, widths) > width; drop++)
        hide(t, drop);
}

void out_table_print_hidden(const struct out_table *t, FILE *to)
{
    int n = __builtin_popcount(t->hidden);

    if (n)
        fprintf(to, "%d column%s left out: -o wide shows all (%zu wide)\n", n, n == 1 ? "" : "s",
                t->full_width);
}

/* ---- Printing ---- */

static void print_row(const struct out_table *t, FILE *to, bool colour, const struct out_cell *row,
                      const size_t *widths)
{
    size_t end = last_shown(t);

    for (size_t i = 0; i < end; i++) {
        size_t pad = widths[i] - out_width(row[i].text);
        bool last = i + 1 == end;
        if (!out_table_shows(t, i))
            continue;
        if (i)
            blanks(to, GAP);
        if (t->columns[i].right)
            blanks(to, pad);
        if (colour && row[i].style)
            fprintf(to, "%s%s\033[0m", styles[row[i].style], row[i].text);
        else
            fputs(row[i].text, to);
        if (!t->columns[i].right && !last)
            blanks(to, pad);
    }
    putc('\n', to);
}

static void print_heading(const struct out_table *t, FILE *to, bool colour, const size_t *widths)
{
    size_t end = last_shown(t);

    for (size_t i = 0; i < end; i++) {
        const char *title = t->columns[i].title ? t->columns[i].title : "";
        size_t pad = widths[i] - out_width(title);
        if (!out_table_shows(t, i))
            continue;
        if (i)
            blanks(to, GAP);
        if (t->columns[i].right)
            blanks(to, pad);
        fprintf(to, colour ? "\033[1m%s\033[0m" : "%s", title);
        if (!t->columns[i].right && i + 1 < end)
            blanks(to, pad);
    }
    putc('\n', to);
}

void out_table_print(const struct out_table *t, FILE *to, bool colour, size_t max_rows)
{
    size_t rows = t->n_columns ? t->n_cells / t->n_columns : 0;
    size_t widths[MAX_COLUMNS] = { 0 };

    if (t->n_columns > MAX_COLUMNS)
        return;
    if (max_rows && rows > max_rows)
        rows = max_rows;
    for (size_t i = 0; i < t->n_columns; i++)
        widths[i] = column_width(t, i, rows);
    if (has_heading(t))
        print_heading(t, to, colour, widths);
    for (size_t i = 0; i < rows; i++)
        print_row(t, to, colour, &t->cells[i * t->n_columns], widths);
}
