/* controller/cli/out.h - what twampctl prints. Two shapes of the same rows: a table for people, with units
 * that adapt, and records for programs (JSON, CSV), with SI base units and full precision.
 *
 * Both are built first and printed in one go. Running out of memory while building is remembered, and
 * printing then fails, so that builders need no checks. Nothing here is thread-safe. */
#ifndef TW_CLI_OUT_H
#define TW_CLI_OUT_H

#include <cjson/cJSON.h>
#include <stdio.h>
#include "common/numtext.h"
#include "common/stats.h"
#include "fleet.pb-c.h"

enum out_format { OUT_TABLE, OUT_JSON, OUT_CSV };

/* ---- Tables (out_table.c)
 * ------------------------------------------------------------------------------------ */

enum out_style { OUT_PLAIN, OUT_BAD, OUT_DOUBT, OUT_DIM };

struct out_column {
    const char *title; /* NULL in every column: no heading */
    bool right;        /* numbers */
    unsigned drop;     /* where there is no room for all: 1 is left out first, equal ones together, 0 never */
};
struct out_cell {
    char *text;
    enum out_style style;
};
struct out_table {
    const struct out_column *columns; /* the caller's; must outlive the table */
    size_t n_columns;
    struct out_cell *cells; /* row by row */
    size_t n_cells, cap;
    uint32_t hidden;   /* bit by column: left out by out_table_fit() */
    size_t full_width; /* found by out_table_fit(): what all columns need */
    bool no_memory;
};

void out_table_init(struct out_table *t, const struct out_column *columns, size_t n_columns);
void out_table_free(struct out_table *t);
/* The next cell, from left to right; a row ends by itself. Control characters become '?': what agents and
 * operators wrote must not move the cursor. */
void out_cell(struct out_table *t, enum out_style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Leaves out columns, as their `drop` says, until the rows built so far take at most `width` (0: no limit).
 * Those that are never left out may still need more. */
void out_table_fit(struct out_table *t, size_t width);
bool out_table_shows(const struct out_table *t, size_t column);
/* A line that says how many columns were left out and what would show them; nothing if none was. */
void out_table_print_hidden(const struct out_table *t, FILE *to);
/* Heading, then at most max_rows rows (0 = all). */
void out_table_print(const struct out_table *t, FILE *to, bool colour, size_t max_rows);
/* Columns that text takes on a terminal. */
size_t out_width(const char *text);
/* Prints text for people, control characters (but for newlines, with `lines`) as '?'. */
void out_safe(FILE *to, const char *text, bool lines);

/* ---- Numbers for people (out_num.c). Each returns buf.
 * ------------------------------------------------------------ */

#define OUT_NUM NUMTEXT_MAX
static inline double out_ns_to_s(int64_t ns)
{
    return (double)ns / (double)TW_NS_PER_S;
}
const char *out_seconds(struct tw_num s, char buf[OUT_NUM]);       /* "412 us", "1.23 ms", "-" */
const char *out_percent(struct tw_num ratio, char buf[OUT_NUM]);   /* never rounded to 0% or 100% */
const char *out_si(double v, const char *unit, char buf[OUT_NUM]); /* "1.23 Mbit/s" */
const char *out_ago(int64_t then_ns, int64_t now_ns,
                    char buf[OUT_NUM]);              /* "12 s", "3 min", "5 h", "2 d"; then 0: "-" */
const char *out_time(int64_t ns, char buf[OUT_NUM]); /* RFC 3339 in whole seconds; 0: "-" */

/* ---- Records (out_records.c)
 * ------------------------------------------------------------------------------------- */

enum out_kind { OUT_NULL, OUT_TEXT, OUT_U64, OUT_I64, OUT_REAL, OUT_BOOL, OUT_LIST, OUT_LABELS };
struct out_field {
    const char *name;
    enum out_kind kind;
    size_t n; /* OUT_LIST, OUT_LABELS */
    union {
        const char *text;
        uint64_t u64;
        int64_t i64;
        double real;
        bool boolean;
        char *const *list;
        Tw__Label *const *labels;
    } v;
};
/* Every record has the same fields in the same order. Names and texts are the caller's and must live until
 * printed. */
struct out_records {
    struct out_field *fields;
    size_t n_fields, cap;
    size_t n_records, per_record;
    size_t skip; /* so many records at the beginning are only there to name the columns of CSV */
    bool no_memory;
};

void out_records_free(struct out_records *r);
/* Begins the next record. */
void out_record(struct out_records *r);
/* Empty text is unknown. */
void out_text(struct out_records *r, const char *name, const char *text);
void out_u64(struct out_records *r, const char *name, uint64_t v);
void out_i64(struct out_records *r, const char *name, int64_t v);
/* A time; 0 is unknown. */
void out_ns(struct out_records *r, const char *name, int64_t ns);
void out_real(struct out_records *r, const char *name, double v);
void out_num(struct out_records *r, const char *name, struct tw_num v);
void out_bool(struct out_records *r, const char *name, bool v);
void out_null(struct out_records *r, const char *name);
void out_list(struct out_records *r, const char *name, char *const *list, size_t n);
void out_labels(struct out_records *r, const char *name, Tw__Label *const *labels, size_t n);
/* Every number of stats_fields[] by its name. */
void out_view(struct out_records *r, const struct stats_view *v);

/* out_json.c: unknown is null. NULL without memory. */
cJSON *out_json_array(const struct out_records *r);
cJSON *out_json_object(const struct out_records *r, size_t i);
/* One document and a newline; takes root. false: out of memory, or root is NULL. */
bool out_json_print(cJSON *root, FILE *to, bool one_line);
/* out_csv.c: RFC 4180 with LF; unknown is empty; lists are joined by blanks, labels are key=value. */
void out_csv_header(const struct out_records *r, FILE *to);
void out_csv_rows(const struct out_records *r, FILE *to);

#endif
