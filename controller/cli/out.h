/* controller/cli/out.h - what twampctl prints. Two shapes of the same rows: a table for people, with units
 * that adapt, and records for programs (JSON, YAML, CSV), with SI base units and full precision.
 *
 * How a new command prints a list in every format: it describes the list once, in a struct out_listing, and
 * gives its rows to cli_print_list() or cli_print_answer() of cli.h.
 *
 *     static const struct out_col columns[] = {            // the table: heading, value, what it is
 *         { .title = "NAME", .name = "name" },
 *         { .title = "STATE", .name = "state" },
 *         { .title = "RTT P50", .name = "rtt_p50_seconds", .as = OUT_AS_SECONDS, .drop = 1 },
 *         { .title = "SEEN", .name = "seen_ns", .as = OUT_AS_AGO },
 *         { .title = "KEY", .name = "fingerprint", .wide = true },
 *     };
 *     static void put_row(struct out_records *r, const void *row, const void *ctx)
 *     {
 *         const Tw__Thing *t = row;
 *         out_text(r, "name", t->name);                    // in the order of CSV; every row the same names
 *         out_text(r, "state", t->state);
 *         out_style(r, "state", strcmp(t->state, "bad") ? OUT_PLAIN : OUT_BAD);
 *         out_num(r, "rtt_p50_seconds", ...);
 *         ...
 *     }
 *     static const Tw__Thing none = TW__THING__INIT;       // names the columns of CSV where there are no
 * rows static const struct out_listing things = { .key = "things", .columns = columns, .n_columns =
 * TW_NELEM(columns), .put = put_row, .none = &none, .empty = "No things yet: ..." }; return cli_print_list(c,
 * &things, reply->things, reply->n_things);
 *
 * A cell that is more than a value (two of them, a mark) is set by out_show(). Values that only JSON and YAML
 * can hold (lists of records) go in by out_tree().
 *
 * Everything is built first and printed in one go. Running out of memory while building is remembered, and
 * printing then fails, so that builders need no checks. Nothing here is thread-safe. */
#ifndef TW_CLI_OUT_H
#define TW_CLI_OUT_H

#include <cjson/cJSON.h>
#include <stdio.h>
#include "common/numtext.h"
#include "common/stats.h"
#include "fleet.pb-c.h"

/* As users choose it by --output; out_format_names[] are its words. */
enum out_format { FORMAT_TABLE, FORMAT_WIDE, FORMAT_JSON, FORMAT_YAML, FORMAT_CSV, FORMAT_NDJSON };
extern const char *const out_format_names[]; /* ends with NULL */

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
struct out_origin {
    size_t col, field;
};
struct out_table {
    const struct out_column *columns; /* the caller's; must outlive the table */
    size_t n_columns;
    struct out_cell *cells; /* row by row */
    size_t n_cells, cap;
    uint32_t hidden;         /* bit by column: left out by out_table_fit() */
    size_t full_width;       /* found by out_table_fit(): what all columns need */
    struct out_column *made; /* columns that belong to the table, */
    struct out_origin *from; /* and what of the listing each shows */
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
/* Prints text for people, control characters (but for ends of lines and tabs, with `lines`) as '?'. */
void out_safe(FILE *to, const char *text, bool lines);
/* The same with `lines`, in place. */
void out_defuse(char *text);

/* ---- Numbers for people (out_num.c). Each returns buf.
 * ------------------------------------------------------------ */

#define OUT_NUM NUMTEXT_MAX
static inline double out_ns_to_s(int64_t ns)
{
    return (double)ns / (double)TW_NS_PER_S;
}
/* Of any answer: what is beyond all times is the last, or first, of them. */
static inline int64_t out_ns_sum(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT64_MIN : INT64_MAX) : sum;
}
static inline int64_t out_ns_between(int64_t from_ns, int64_t to_ns)
{
    int64_t length;

    return __builtin_sub_overflow(to_ns, from_ns, &length) ? (from_ns < 0 ? INT64_MAX : INT64_MIN) : length;
}
const char *out_seconds(struct tw_num s, char buf[OUT_NUM]);       /* "412 us", "1.23 ms", "-" */
const char *out_percent(struct tw_num ratio, char buf[OUT_NUM]);   /* never rounded to 0% or 100% */
const char *out_si(double v, const char *unit, char buf[OUT_NUM]); /* "1.23 Mbit/s" */
const char *out_ago(int64_t then_ns, int64_t now_ns,
                    char buf[OUT_NUM]);              /* "12 s", "3 min", "5 h", "2 d"; then 0: "-" */
const char *out_time(int64_t ns, char buf[OUT_NUM]); /* RFC 3339 in whole seconds; 0: "-" */

/* ---- Records (out_records.c)
 * ------------------------------------------------------------------------------------- */

enum out_kind { OUT_NULL, OUT_TEXT, OUT_U64, OUT_I64, OUT_REAL, OUT_BOOL, OUT_LIST, OUT_LABELS, OUT_TREE };
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
        cJSON *tree; /* owned */
    } v;
};
/* How a table shows one value of a record, where it is not as the value and its column say. */
struct out_shown {
    size_t record;
    const char *name; /* of the value; of a column without one its title */
    char *text;       /* NULL: as it would be, but for the style */
    enum out_style style;
};
/* Every record has the same fields in the same order. Names and texts are the caller's and must live until
 * printed. */
struct out_records {
    struct out_field *fields;
    size_t n_fields, cap;
    size_t n_records, per_record;
    size_t skip;     /* so many records at the beginning are only there to name the columns of CSV */
    bool for_people; /* a table is made of them: out_show() and out_style() are kept */
    struct out_shown *shown;
    size_t n_shown, cap_shown;
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
/* What only JSON and YAML can hold; CSV has no such column. Takes tree; NULL: no memory. */
void out_tree(struct out_records *r, const char *name, cJSON *tree);
/* Every number of stats_fields[] by its name. */
void out_view(struct out_records *r, const struct stats_view *v);
/* The present record in a table: another text than that of the value, or only another style. By the value's
 * name; for a column without value by its title. */
void out_show(struct out_records *r, const char *name, enum out_style style, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void out_style(struct out_records *r, const char *name, enum out_style style);

/* out_json.c: unknown is null. NULL without memory. */
cJSON *out_json_array(const struct out_records *r);
cJSON *out_json_object(const struct out_records *r, size_t i);
/* One document and a newline; takes root. false: out of memory, or root is NULL. */
bool out_json_print(cJSON *root, FILE *to, bool one_line);
/* Each record on a line of its own. false: out of memory. */
bool out_ndjson_rows(const struct out_records *r, FILE *to);
/* out_yaml.c: the same content, by libyaml's emitter; `begin` writes "---" before it. Takes root. On an error
 * *ret_why says what it was. */
bool out_yaml_print(cJSON *root, FILE *to, bool begin, const char **ret_why);
/* out_csv.c: RFC 4180 with LF; unknown is empty; lists are joined by blanks, labels are key=value. */
void out_csv_header(const struct out_records *r, FILE *to);
void out_csv_rows(const struct out_records *r, FILE *to);

/* ---- Listings (out_listing.c): described once for all formats
 * ---------------------------------------------------------- */

/* How a table shows a value. Unknown is "-". */
enum out_as {
    OUT_AS_TEXT, /* a text, yes or no, a list or labels; to the left, and all others but times to the right */
    OUT_AS_COUNT,   /* a number as it is */
    OUT_AS_SECONDS, /* "1.23 ms" */
    OUT_AS_RATIO,   /* "0.12%" */
    OUT_AS_BYTES,   /* "1.23 MB" */
    OUT_AS_BITRATE, /* "1.23 Mbit/s" */
    OUT_AS_TIME,    /* of ns: RFC 3339 in whole seconds */
    OUT_AS_EXACT,   /* of ns: RFC 3339 with milliseconds */
    OUT_AS_AGO      /* of ns: "12 s" before now */
};
/* Does a value stand among facts (out_listing_facts()) that is unknown, or nothing: 0, an empty list? A column without value
 * counts as known where out_show() has filled it. */
enum out_when { OUT_ALWAYS, OUT_IF_KNOWN, OUT_IF_SET };
struct out_col {
    const char *title;
    const char *name; /* the value that it shows; NULL: out_show() fills it, by title */
    enum out_as as;
    unsigned drop; /* as in struct out_column */
    bool wide;     /* only -o wide shows it */
    bool optional; /* only shown if the records have such a value */
    enum out_when when;
};
struct out_listing {
    const char *key; /* of JSON and YAML */
    const struct out_col *columns;
    size_t n_columns;
    /* Puts the values of one row; ctx as given to cli_print_answer(). */
    void (*put)(struct out_records *r, const void *row, const void *ctx);
    const void *none;  /* a row of which only the names matter */
    const char *empty; /* said to people in place of a table without rows */
};

struct out_rows {
    const void *v;
    size_t stride; /* of an array of rows; 0: v is an array of pointers to rows */
    size_t n;
};
#define OUT_ROWS(pointers, count) ((struct out_rows){ (pointers), 0, (count) })
#define OUT_ROW_ARRAY(rows, count) ((struct out_rows){ (rows), sizeof *(rows), (count) })
#define OUT_ONE_ROW(row) OUT_ROW_ARRAY(row, 1)

/* The records of rows, or that of `none`, to be skipped. */
void out_listing_records(const struct out_listing *l, struct out_records *r, struct out_rows rows,
                         const void *ctx);
/* A table of records, which the caller frees. wide: with columns for that. */
void out_listing_table(const struct out_listing *l, const struct out_records *r, bool wide, int64_t now_ns,
                       struct out_table *ret);
/* Does the table show this value (of a column without one, its title)? After out_table_fit(). */
bool out_listing_shows(const struct out_listing *l, const struct out_table *t, const char *name);
/* The first record of them, one line for each column: "Title  value". */
void out_listing_facts(const struct out_listing *l, const struct out_records *r, bool wide, int64_t now_ns,
                       struct out_table *ret);

#endif
