#include "controller/http/report_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/numtext.h"
#include "common/stats_compare.h"
#include "controller/http/api.h"
#include "controller/http/json_stats.h"

/* ---- JSON ---- */

static cJSON *completeness(uint64_t expected, uint64_t stored, struct tw_num ratio)
{
    cJSON *o = cJSON_CreateObject();

    json_u64(o, "expected", expected);
    json_u64(o, "stored", stored);
    json_num(o, "ratio", ratio);
    return o;
}

static void put_numbers(cJSON *o, const struct stats_view *v, bool measured)
{
    if (measured)
        cJSON_AddStringToObject(o, "status", tw_status_name(v->status));
    else
        cJSON_AddNullToObject(o, "status");
    json_time(o, "start", "start_ns", v->start_ns);
    json_time(o, "end", "end_ns", v->end_ns);
    json_stats(o, v);
}

/* null: nothing is kept of the span. */
static void put_cover(cJSON *o, int64_t from_ns, int64_t to_ns)
{
    bool any = from_ns < to_ns;

    json_time(o, "covers_from", "covers_from_ns", any ? from_ns : 0);
    json_time(o, "covers_to", "covers_to_ns", any ? to_ns : 0);
}

static struct tw_num number(const char *name, const struct stats_view *v, struct tw_num completeness_ratio)
{
    return !strcmp(name, "completeness_ratio") ? completeness_ratio : stats_number(v, stats_field_find(name));
}

/* before NULL: there is nothing to compare with. */
static void put_change(cJSON *o, const struct stats_view *now, struct tw_num complete,
                       const struct stats_view *before, struct tw_num before_complete)
{
    cJSON *all = cJSON_AddObjectToObject(o, "change");

    for (size_t i = 0; stats_compared[i]; i++) {
        const char *name = stats_compared[i];
        struct stats_change c =
            stats_change_of(number(name, now, complete),
                            before ? number(name, before, before_complete) : (struct tw_num){ 0 });
        cJSON *one = cJSON_AddObjectToObject(all, name);
        json_num(one, "now", c.now);
        json_num(one, "before", c.before);
        json_num(one, "delta", c.delta);
        json_num(one, "ratio", c.ratio);
    }
}

cJSON *report_group_item(const struct report_group *g)
{
    cJSON *o = cJSON_CreateObject();

    json_put(o, "key", cJSON_CreateString(g->key));
    json_u64(o, "pairs", g->pairs);
    cJSON_AddItemToObject(o, "completeness",
                          completeness(g->periods_expected, g->periods_stored, g->completeness_ratio));
    put_cover(o, g->covers_from_ns, g->covers_to_ns);
    put_numbers(o, &g->view, g->merged.end_ns != 0);
    if (g->before)
        put_change(o, &g->view, g->completeness_ratio, &g->before->view, g->before->completeness_ratio);
    return o;
}

static cJSON *pair_head(const struct report_pair *p)
{
    cJSON *o = cJSON_CreateObject();

    json_pair(o, &p->pair);
    cJSON_AddBoolToObject(o, "scheduled", p->scheduled);
    cJSON_AddStringToObject(o, "state", p->state);
    cJSON_AddBoolToObject(o, "maintenance", p->maintenance);
    api_maintenance(o, p->maintenance_note);
    put_cover(o, p->covers_from_ns, p->covers_to_ns);
    return o;
}

static cJSON *with_dropped(cJSON *completeness_of, uint64_t dropped)
{
    json_u64(completeness_of, "dropped", dropped);
    return completeness_of;
}

static cJSON *missing(const struct missing *m)
{
    cJSON *o = cJSON_CreateObject();

    for (int c = 0; c < STORE_CAUSES; c++)
        json_u64(o, store_cause_name(c), m->of[c]);
    return o;
}

cJSON *report_pair_item(const struct report_pair *p)
{
    cJSON *o = pair_head(p);
    cJSON *c = with_dropped(completeness(p->periods_expected, p->periods_stored, p->completeness_ratio),
                            p->summaries_dropped);

    cJSON_AddItemToObject(c, "missing", missing(&p->missing));
    cJSON_AddItemToObject(o, "completeness", c);
    put_numbers(o, &p->view, p->merged.end_ns != 0);
    if (p->before)
        put_change(o, &p->view, p->completeness_ratio, &p->before->view, p->before->completeness_ratio);
    return o;
}

cJSON *report_flow_item(const struct report_pair *p, const struct report_flow *f)
{
    cJSON *o = pair_head(p);

    cJSON_AddNumberToObject(o, "flow", f->flow);
    cJSON_AddItemToObject(
        o, "completeness",
        with_dropped(completeness(f->periods_expected, f->periods_stored, f->completeness_ratio),
                     p->summaries_dropped));
    put_numbers(o, &f->view, f->merged.end_ns != 0);
    return o;
}

/* Takes o. */
static void print_item(cJSON *o, FILE *to)
{
    char *text = cJSON_PrintUnformatted(o);

    if (text)
        fprintf(to, "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(o);
}

/* ---- Texts ---- */

static char *end_text(FILE *to, char **text, bool ok)
{
    ok = ok && !ferror(to);
    if (fclose(to) || !ok) {
        free(*text);
        return NULL;
    }
    return *text;
}

void report_ndjson_rows(FILE *to, const struct report *r, bool flows)
{
    for (size_t i = 0; i < r->n_groups; i++)
        print_item(report_group_item(&r->groups[i]), to);
    for (size_t i = 0; !r->groups && i < r->n_pairs; i++) {
        if (!flows)
            print_item(report_pair_item(&r->pairs[i]), to);
        for (size_t k = 0; flows && k < r->pairs[i].n_flows; k++)
            print_item(report_flow_item(&r->pairs[i], &r->pairs[i].flows[k]), to);
    }
}

char *report_ndjson(const struct report *r, bool flows, size_t *ret_len)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, ret_len);

    if (!to)
        return NULL;
    report_ndjson_rows(to, r, flows);
    return end_text(to, &text, true);
}

/* ---- CSV ---- */

static void csv_text(FILE *to, const char *text)
{
    bool quote = strpbrk(text, ",\"\r\n") != NULL;

    if (quote)
        putc('"', to);
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            putc('"', to);
        putc(*c, to);
    }
    fputs(quote ? "\"," : ",", to);
}

static void csv_num(FILE *to, struct tw_num n)
{
    char text[NUMTEXT_MAX];

    fputs(n.known ? numtext_exact(n.value, text) : "", to);
}

static void csv_field(FILE *to, const struct stats_view *v, const struct stats_field *f)
{
    char text[NUMTEXT_MAX];
    const void *at = (const char *)v + f->offset;

    switch (f->kind) {
    case STATS_U64:
        fputs(numtext_u64(*(const uint64_t *)at, text), to);
        break;
    case STATS_BOOL:
        fputs(*(const bool *)at ? "true" : "false", to);
        break;
    case STATS_TEXT:
        fputs(*(const char *const *)at ? *(const char *const *)at : "", to);
        break;
    default:
        csv_num(to, stats_number(v, f));
        break;
    }
}

static void csv_time(FILE *to, int64_t ns)
{
    if (ns)
        fprintf(to, "%" PRId64, ns);
    putc(',', to);
}

static void csv_cover(FILE *to, int64_t from_ns, int64_t to_ns)
{
    csv_time(to, from_ns < to_ns ? from_ns : 0);
    csv_time(to, from_ns < to_ns ? to_ns : 0);
}

static void csv_changes(FILE *to, const struct stats_view *now, struct tw_num complete,
                        const struct stats_view *before, struct tw_num before_complete)
{
    for (size_t i = 0; stats_compared[i]; i++) {
        const char *name = stats_compared[i];
        struct stats_change c =
            stats_change_of(number(name, now, complete),
                            before ? number(name, before, before_complete) : (struct tw_num){ 0 });
        putc(',', to);
        csv_num(to, c.before);
        putc(',', to);
        csv_num(to, c.delta);
        putc(',', to);
        csv_num(to, c.ratio);
    }
}

static void csv_fields(FILE *to, const struct stats_view *v)
{
    for (size_t i = 0; i < stats_fields_n; i++) {
        if (i)
            putc(',', to);
        csv_field(to, v, &stats_fields[i]);
    }
}

/* From periods_expected on, but for what only pairs have. */
static void csv_view(FILE *to, const struct stats_view *v)
{
    putc(',', to);
    csv_fields(to, v);
}

void report_csv_heading(FILE *to, const struct report *r, bool flows)
{
    if (r->groups)
        fputs("key,pairs,status,start_ns,end_ns,covers_from_ns,covers_to_ns,periods_expected,periods_stored,completeness_ratio", to);
    else
        fprintf(to,
                "mesh,class,source,target,%sstate,maintenance,status,start_ns,end_ns,covers_from_ns,covers_to_ns,"
                "scheduled,pair_id,"
                "periods_expected,"
                "periods_stored,summaries_dropped,completeness_ratio",
                flows ? "flow," : "");
    for (int c = 0; !r->groups && !flows && c < STORE_CAUSES; c++)
        fprintf(to, ",missing_%s", store_cause_name(c));
    for (size_t i = 0; i < stats_fields_n; i++)
        fprintf(to, ",%s", stats_fields[i].name);
    for (size_t i = 0; r->before && stats_compared[i]; i++)
        fprintf(to, ",%s_before,%s_delta,%s_ratio", stats_compared[i], stats_compared[i], stats_compared[i]);
    putc('\n', to);
}

static void csv_group(FILE *to, const struct report *r, const struct report_group *g)
{
    csv_text(to, g->key);
    fprintf(to, "%" PRIu64 ",", g->pairs);
    csv_text(to, g->merged.end_ns ? tw_status_name(g->view.status) : "");
    csv_time(to, g->view.start_ns);
    csv_time(to, g->view.end_ns);
    csv_cover(to, g->covers_from_ns, g->covers_to_ns);
    fprintf(to, "%" PRIu64 ",%" PRIu64 ",", g->periods_expected, g->periods_stored);
    csv_num(to, g->completeness_ratio);
    csv_view(to, &g->view);
    if (r->before)
        csv_changes(to, &g->view, g->completeness_ratio, g->before ? &g->before->view : NULL,
                    g->before ? g->before->completeness_ratio : (struct tw_num){ 0 });
    putc('\n', to);
}

/* flow NULL: the pair as a whole. */
static void csv_pair(FILE *to, const struct report *r, const struct report_pair *p,
                     const struct report_flow *flow)
{
    const struct stats_view *v = flow ? &flow->view : &p->view;
    bool measured = (flow ? flow->merged.end_ns : p->merged.end_ns) != 0;

    csv_text(to, p->pair.mesh);
    csv_text(to, p->pair.class_name);
    csv_text(to, p->pair.source);
    csv_text(to, p->pair.target);
    if (flow)
        fprintf(to, "%u,", flow->flow);
    fprintf(to, "%s,%s,%s,", p->state, p->maintenance ? "true" : "false",
            measured ? tw_status_name(v->status) : "");
    csv_time(to, v->start_ns);
    csv_time(to, v->end_ns);
    csv_cover(to, p->covers_from_ns, p->covers_to_ns);
    fprintf(to, "%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",", p->scheduled ? "true" : "false",
            p->pair.id, flow ? flow->periods_expected : p->periods_expected,
            flow ? flow->periods_stored : p->periods_stored, p->summaries_dropped);
    csv_num(to, flow ? flow->completeness_ratio : p->completeness_ratio);
    for (int c = 0; !flow && c < STORE_CAUSES; c++)
        fprintf(to, ",%" PRIu64, p->missing.of[c]);
    csv_view(to, v);
    if (r->before)
        csv_changes(to, v, p->completeness_ratio, p->before ? &p->before->view : NULL,
                    p->before ? p->before->completeness_ratio : (struct tw_num){ 0 });
    putc('\n', to);
}

void report_csv_rows(FILE *to, const struct report *r, bool flows)
{
    for (size_t i = 0; i < r->n_groups; i++)
        csv_group(to, r, &r->groups[i]);
    for (size_t i = 0; !r->groups && i < r->n_pairs; i++) {
        if (!flows)
            csv_pair(to, r, &r->pairs[i], NULL);
        for (size_t k = 0; flows && k < r->pairs[i].n_flows; k++)
            csv_pair(to, r, &r->pairs[i], &r->pairs[i].flows[k]);
    }
}

char *report_csv(const struct report *r, bool flows, size_t *ret_len)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, ret_len);

    if (!to)
        return NULL;
    report_csv_heading(to, r, flows);
    report_csv_rows(to, r, flows);
    return end_text(to, &text, true);
}

/* ---- Summaries ---- */

cJSON *summary_item(const struct store_pair *pair, const struct tw_summary *s)
{
    cJSON *o = cJSON_CreateObject();
    struct stats_view view;

    stats_view(s, &view);
    json_pair(o, pair);
    cJSON_AddNumberToObject(o, "flow", s->flow);
    json_u64(o, "generation", s->generation);
    cJSON_AddNumberToObject(o, "seq_first", s->seq_first);
    cJSON_AddStringToObject(o, "status", tw_status_name(s->status));
    json_time(o, "start", "start_ns", s->start_ns);
    json_time(o, "end", "end_ns", s->end_ns);
    json_stats(o, &view);
    return o;
}

void summary_ndjson_row(FILE *to, const struct store_pair *pair, const struct tw_summary *s)
{
    print_item(summary_item(pair, s), to);
}

/* What comes before the numbers of a summary, in CSV and in twampctl's lines: name, how it is written, value.
 */
#define SUMMARY_HEAD(X)                        \
    X(mesh, text, pair->mesh)                  \
    X(class, text, pair->class_name)           \
    X(source, text, pair->source)              \
    X(target, text, pair->target)              \
    X(flow, number, s->flow)                   \
    X(status, text, tw_status_name(s->status)) \
    X(start_ns, time, s->start_ns)             \
    X(end_ns, time, s->end_ns)                 \
    X(pair_id, number, pair->id)               \
    X(generation, number, s->generation)       \
    X(seq_first, number, s->seq_first)         \
    X(test_id, number, s->test_id)

static void csv_number(FILE *to, uint64_t v)
{
    char text[NUMTEXT_MAX];

    fputs(numtext_u64(v, text), to);
    putc(',', to);
}

void summary_csv_heading(FILE *to)
{
    const char *comma = "";

#define NAME(name, as, value) fputs(#name ",", to);
    SUMMARY_HEAD(NAME)
#undef NAME
    for (size_t i = 0; i < stats_fields_n; i++, comma = ",")
        fprintf(to, "%s%s", comma, stats_fields[i].name);
    putc('\n', to);
}

void summary_csv_row(FILE *to, const struct store_pair *pair, const struct tw_summary *s)
{
    struct stats_view view;

    stats_view(s, &view);
#define VALUE(name, as, value) csv_##as(to, value);
    SUMMARY_HEAD(VALUE)
#undef VALUE
    csv_fields(to, &view);
    putc('\n', to);
}

/* ---- As twampctl's lines ---- */

/* A line has 130 names and numbers, and a million lines are soon asked for: stdio's way for each of them
 * would cost more than all else. */
struct line {
    FILE *to;
    size_t len;
    char text[4096];
};

static void line_flush(struct line *l)
{
    fwrite(l->text, 1, l->len, l->to);
    l->len = 0;
}

/* Pieces are short, but for texts that come character by character. */
static void line_put(struct line *l, const char *piece, size_t len)
{
    if (len > sizeof l->text - l->len)
        line_flush(l);
    memcpy(l->text + l->len, piece, len);
    l->len += len;
}

static void line_puts(struct line *l, const char *piece)
{
    line_put(l, piece, strlen(piece));
}

/* As cJSON escapes it. */
static void line_escaped(struct line *l, unsigned char c)
{
    static const char short_of[] = "b\bf\fn\nr\rt\t\"\"\\\\";
    char text[8] = { '\\' };

    for (size_t i = 1; i < sizeof short_of && !text[1]; i += 2)
        text[1] = short_of[i] == (char)c ? short_of[i - 1] : '\0';
    if (!text[1])
        snprintf(text, sizeof text, "\\u%04x", c);
    line_puts(l, text);
}

static void line_text(struct line *l, const char *text)
{
    if (!*text) {
        line_puts(l, "null");
        return;
    }
    line_put(l, "\"", 1);
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 32 || *c == '"' || *c == '\\')
            line_escaped(l, (unsigned char)*c);
        else
            line_put(l, c, 1);
    }
    line_put(l, "\"", 1);
}

static void line_number(struct line *l, uint64_t v)
{
    char text[NUMTEXT_MAX];

    line_puts(l, numtext_u64(v, text));
}

/* After 1970. */
static void line_time(struct line *l, int64_t ns)
{
    if (ns)
        line_number(l, (uint64_t)ns);
    else
        line_puts(l, "null");
}

static void line_value(struct line *l, const struct stats_view *v, const struct stats_field *f)
{
    char text[NUMTEXT_MAX];
    const void *at = (const char *)v + f->offset;
    const char *word;
    struct tw_num n;

    switch (f->kind) {
    case STATS_U64:
        line_number(l, *(const uint64_t *)at);
        break;
    case STATS_BOOL:
        line_puts(l, *(const bool *)at ? "true" : "false");
        break;
    case STATS_TEXT:
        word = *(const char *const *)at;
        line_text(l, word ? word : "");
        break;
    default:
        n = stats_number(v, f);
        line_puts(l, n.known ? numtext_exact(n.value, text) : "null");
        break;
    }
}

void summary_line_row(FILE *to, const struct store_pair *pair, const struct tw_summary *s)
{
    struct line l; /* not cleared: `len` says what of it counts */
    struct stats_view view;
    const char *before = "{\"";

    l.to = to;
    l.len = 0;
    stats_view(s, &view);
#define VALUE(name, as, value)  \
    line_puts(&l, before);      \
    line_puts(&l, #name "\":"); \
    line_##as(&l, value);       \
    before = ",\"";
    SUMMARY_HEAD(VALUE)
#undef VALUE
    for (size_t i = 0; i < stats_fields_n; i++) {
        line_put(&l, ",\"", 2);
        line_puts(&l, stats_fields[i].name);
        line_put(&l, "\":", 2);
        line_value(&l, &view, &stats_fields[i]);
    }
    line_put(&l, "}\n", 2);
    line_flush(&l);
}
