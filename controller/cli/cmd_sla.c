/* twampctl report sla: were objectives kept? */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/filter.h"
#include "controller/cli/pairs.h"

#define OBJECTIVES_MAX 65536

/* A pair's objective, or one of its outages. */
struct sla_row {
    const Tw__SlaPair *pair;
    const Tw__SlaGoal *goal;
    const Tw__SlaOutage *outage;
    const Tw__SlaExcluded *excluded;
};
struct sla_all {
    Tw__SlaReply **parts;
    size_t n_parts;
    uint64_t met, missed, unknown;
    struct sla_row *goals, *outages, *excluded;
    size_t n_goals, n_outages, n_excluded;
    bool inexact;
};

static const Tw__SlaPair no_pair = TW__SLA_PAIR__INIT;
static const Tw__SlaGoal no_goal = TW__SLA_GOAL__INIT;
static const Tw__SlaOutage no_outage = TW__SLA_OUTAGE__INIT;
static const Tw__SlaExcluded no_excluded = TW__SLA_EXCLUDED__INIT;
static const struct sla_row no_row = { &no_pair, &no_goal, &no_outage, &no_excluded };

static void put_names(struct out_records *r, const Tw__SlaPair *p)
{
    Tw__PairInfo names = TW__PAIR_INFO__INIT;

    names.mesh = p->mesh;
    names.class_name = p->class_name;
    names.source = p->source;
    names.target = p->target;
    pairs_put_names(r, &names);
}

/* ---- Objectives ---- */

static const struct out_col goal_columns[] = {
    { .title = "MESH/CLASS" },
    { .title = "PAIR" },
    { .title = "OBJECTIVE", .name = "objective" },
    { .title = "GOAL", .name = "limit" },
    { .title = "ACHIEVED", .name = "achieved" },
    { .title = "VERDICT", .name = "verdict" },
    { .title = "BUDGET", .name = "budget", .drop = 2 },
    { .title = "USED", .name = "used", .drop = 2 },
    { .title = "LEFT", .name = "left" },
    { .title = "OF", .name = "budget_unit", .drop = 1 },
    { .title = "COMPLETE", .name = "completeness_ratio", .as = OUT_AS_RATIO, .drop = 3 },
};

static bool is_delay(const Tw__SlaGoal *g)
{
    return g->kind[0] == 'p';
}

static void show_value(struct out_records *r, const char *name, const Tw__SlaGoal *g, struct tw_num v)
{
    char text[OUT_NUM];

    if (v.known)
        out_show(r, name, OUT_PLAIN, "%s", is_delay(g) ? out_seconds(v, text) : out_percent(v, text));
}

static void put_goal(struct out_records *r, const void *row, const void *ctx)
{
    const struct sla_row *w = row;
    const Tw__SlaGoal *g = w->goal;
    const Tw__SlaPair *p = w->pair;
    struct tw_num achieved = { g->known, g->achieved }, limit = { true, g->limit };
    double ratio = p->periods_expected ? (double)p->periods_stored / (double)p->periods_expected : 0;

    (void)ctx;
    put_names(r, p);
    out_text(r, "objective", g->kind);
    out_real(r, "limit", g->limit);
    show_value(r, "limit", g, limit);
    out_num(r, "achieved", achieved);
    show_value(r, "achieved", g, achieved);
    out_text(r, "verdict", g->verdict);
    out_style(r, "verdict",
              !strcmp(g->verdict, "missed") ? OUT_BAD
              : !strcmp(g->verdict, "met")  ? OUT_PLAIN
                                            : OUT_DOUBT);
    out_real(r, "budget", g->budget);
    out_show(r, "budget", OUT_PLAIN, "%.1f", g->budget);
    out_real(r, "used", g->used);
    out_show(r, "used", OUT_PLAIN, "%.0f", g->used);
    out_real(r, "left", g->left);
    out_show(r, "left", g->left < 0 ? OUT_BAD : OUT_PLAIN, "%.1f", g->left);
    out_text(r, "budget_unit", g->unit);
    out_u64(r, "sent", p->sent);
    out_u64(r, "lost", p->lost);
    out_u64(r, "windows_available", p->windows_available);
    out_u64(r, "windows_unavailable", p->windows_unavailable);
    out_u64(r, "windows_unknown", p->windows_unknown);
    out_u64(r, "periods_expected", p->periods_expected);
    out_u64(r, "periods_stored", p->periods_stored);
    out_num(r, "completeness_ratio", (struct tw_num){ p->periods_expected != 0, ratio < 1 ? ratio : 1 });
    out_bool(r, "inexact", p->inexact);
}

static const struct out_listing goal_listing = {
    .key = "objectives",
    .columns = goal_columns,
    .n_columns = TW_NELEM(goal_columns),
    .put = put_goal,
    .none = &no_row,
    .empty = "Nothing was measured in that span, or no pair matches.",
};

/* ---- Outages, and what was left out ---- */

static const struct out_col outage_columns[] = {
    { .title = "MESH/CLASS" },
    { .title = "PAIR" },
    { .title = "FLOW", .name = "flow", .as = OUT_AS_COUNT, .wide = true },
    { .title = "UNAVAILABLE FROM", .name = "start_ns", .as = OUT_AS_TIME },
    { .title = "TO", .name = "end_ns", .as = OUT_AS_TIME },
    { .title = "LASTED", .name = "duration_seconds", .as = OUT_AS_SECONDS },
    { .title = "WINDOWS", .name = "windows", .as = OUT_AS_COUNT },
};

static void put_outage(struct out_records *r, const void *row, const void *ctx)
{
    const struct sla_row *w = row;

    (void)ctx;
    put_names(r, w->pair);
    out_u64(r, "flow", w->outage->flow);
    out_ns(r, "start_ns", w->outage->start_ns);
    out_ns(r, "end_ns", w->outage->end_ns);
    out_real(r, "duration_seconds", out_ns_to_s(out_ns_between(w->outage->start_ns, w->outage->end_ns)));
    out_u64(r, "windows", w->outage->windows);
}

static const struct out_listing outage_listing = {
    .key = "outages",
    .columns = outage_columns,
    .n_columns = TW_NELEM(outage_columns),
    .put = put_outage,
    .none = &no_row,
    .empty = "No window was unavailable.",
};

static const struct out_col excluded_columns[] = {
    { .title = "MESH/CLASS" },
    { .title = "PAIR" },
    { .title = "MAINTENANCE FROM", .name = "from_ns", .as = OUT_AS_TIME },
    { .title = "TO", .name = "to_ns", .as = OUT_AS_TIME },
};

static void put_excluded(struct out_records *r, const void *row, const void *ctx)
{
    const struct sla_row *w = row;

    (void)ctx;
    put_names(r, w->pair);
    out_ns(r, "from_ns", w->excluded->from_ns);
    out_ns(r, "to_ns", w->excluded->to_ns);
}

static const struct out_listing excluded_listing = {
    .key = "excluded",
    .columns = excluded_columns,
    .n_columns = TW_NELEM(excluded_columns),
    .put = put_excluded,
    .none = &no_row,
    .empty = "No maintenance was left out.",
};

static void put_head(struct out_records *r, const void *ctx)
{
    const struct sla_all *a = ctx;

    out_ns(r, "from_ns", a->parts[0]->from_ns);
    out_ns(r, "to_ns", a->parts[0]->to_ns);
    out_u64(r, "met", a->met);
    out_u64(r, "missed", a->missed);
    out_u64(r, "unknown", a->unknown);
}

static void print_before(struct cli *c, const void *ctx)
{
    const struct sla_all *a = ctx;
    char from[OUT_NUM], to[OUT_NUM];

    (void)c;
    printf("%s to %s: %" PRIu64 " pair%s met, %" PRIu64 " missed, %" PRIu64 " unknown\n",
           out_time(a->parts[0]->from_ns, from), out_time(a->parts[0]->to_ns, to), a->met,
           a->met == 1 ? "" : "s", a->missed, a->unknown);
}

static void print_part(struct cli *c, const struct out_listing *l, struct out_rows rows)
{
    struct out_records r = { .for_people = true };
    struct out_table t;

    if (!rows.n)
        return;
    out_listing_records(l, &r, rows, NULL);
    out_listing_table(l, &r, c->opt.output == FORMAT_WIDE, c->wall_ns(), &t);
    putchar('\n');
    cli_print_table(c, &t);
    out_records_free(&r);
}

static void print_after(struct cli *c, const void *ctx, const struct out_table *t)
{
    const struct sla_all *a = ctx;

    (void)t;
    print_part(c, &outage_listing, OUT_ROW_ARRAY(a->outages, a->n_outages));
    print_part(c, &excluded_listing, OUT_ROW_ARRAY(a->excluded, a->n_excluded));
    if (a->inexact)
        puts("Of some maintenance only roll-ups are left that hold more than it: they count as a whole");
}

/* ---- Asking ---- */

static enum cli_exit read_file(const char *path, char **ret)
{
    FILE *f = fopen(path, "re");
    char *text = f ? calloc(1, OBJECTIVES_MAX + 1) : NULL;
    size_t n = text ? fread(text, 1, OBJECTIVES_MAX + 1, f) : 0;
    bool bad = !f || ferror(f);

    if (f)
        fclose(f);
    if (text && !bad && n <= OBJECTIVES_MAX && strlen(text) == n) {
        *ret = text;
        return CLI_OK;
    }
    free(text);
    return cli_fail(CLI_USAGE, "--objectives: cannot read %s: expected a file of text of at most %d octets",
                    path, OBJECTIVES_MAX);
}

static void add_option(FILE *to, const char *name, const char *value, bool *any)
{
    if (!value)
        return;
    fprintf(to, "%s%s: \"", *any ? ", " : "{", name);
    for (const char *p = value; *p; p++) {
        if (*p == '"' || *p == '\\')
            putc('\\', to);
        putc(*p, to);
    }
    putc('"', to);
    *any = true;
}

/* As a document, so that the controller says what is wrong with it in either case. */
static enum cli_exit fill_objectives(struct cli *c, char **ret)
{
    char *text = NULL;
    size_t len;
    bool any = false;
    FILE *to;

    if (c->opt.objectives && (c->opt.availability || c->opt.loss || c->opt.p95 || c->opt.p99))
        return cli_fail(CLI_USAGE, "--objectives goes without --availability, --loss, --p95 and --p99");
    if (c->opt.objectives)
        return read_file(c->opt.objectives, ret);
    to = open_memstream(&text, &len);
    if (!to)
        return cli_no_memory();
    add_option(to, "availability", c->opt.availability, &any);
    add_option(to, "loss", c->opt.loss, &any);
    add_option(to, "p95", c->opt.p95, &any);
    add_option(to, "p99", c->opt.p99, &any);
    fputs(any ? "}" : "", to);
    if (fclose(to)) {
        free(text);
        return cli_no_memory();
    }
    *ret = text;
    if (any)
        return CLI_OK;
    return cli_fail(CLI_USAGE,
                    "no objectives: expected --objectives FILE, or --availability, --loss, --p95 or --p99");
}

static void count_rows(struct sla_all *a)
{
    for (size_t k = 0; k < a->n_parts; k++) {
        const Tw__SlaReply *r = a->parts[k];
        a->met += r->met;
        a->missed += r->missed;
        a->unknown += r->unknown;
        for (size_t i = 0; i < r->n_pairs; i++) {
            a->n_goals += r->pairs[i]->n_goals;
            a->n_outages += r->pairs[i]->n_outages;
            a->n_excluded += r->pairs[i]->n_excluded;
            a->inexact |= r->pairs[i]->inexact;
        }
    }
}

static void add_pair(struct sla_all *a, const Tw__SlaPair *p)
{
    for (size_t i = 0; i < p->n_goals; i++)
        a->goals[a->n_goals++] = (struct sla_row){ .pair = p, .goal = p->goals[i] };
    for (size_t i = 0; i < p->n_outages; i++)
        a->outages[a->n_outages++] = (struct sla_row){ .pair = p, .outage = p->outages[i] };
    for (size_t i = 0; i < p->n_excluded; i++)
        a->excluded[a->n_excluded++] = (struct sla_row){ .pair = p, .excluded = p->excluded[i] };
}

static enum cli_exit make_rows(struct sla_all *a)
{
    count_rows(a);
    a->goals = calloc(a->n_goals + 1, sizeof *a->goals);
    a->outages = calloc(a->n_outages + 1, sizeof *a->outages);
    a->excluded = calloc(a->n_excluded + 1, sizeof *a->excluded);
    if (!a->goals || !a->outages || !a->excluded)
        return cli_no_memory();
    a->n_goals = a->n_outages = a->n_excluded = 0;
    for (size_t k = 0; k < a->n_parts; k++)
        for (size_t i = 0; i < a->parts[k]->n_pairs; i++)
            add_pair(a, a->parts[k]->pairs[i]);
    return CLI_OK;
}

/* An answer holds so many pairs: the rest is asked for, over the same span. */
static enum cli_exit fetch(struct cli *c, Tw__PairFilter *f, struct sla_all *a)
{
    for (;;) {
        Tw__SlaReply **parts = realloc(a->parts, (a->n_parts + 1) * sizeof *parts), *r;
        ProtobufCMessage *m = NULL;
        enum cli_exit code;

        if (!parts)
            return cli_no_memory();
        a->parts = parts;
        code = cli_call(c, "ReportSla", &f->base, &m);
        if (code)
            return code;
        r = a->parts[a->n_parts++] = (Tw__SlaReply *)m;
        if (!r->truncated || r->next <= f->skip)
            return CLI_OK;
        f->skip = r->next;
        f->from_ns = r->from_ns;
        f->to_ns = r->to_ns;
    }
}

static enum cli_exit print_sla(struct cli *c, const struct sla_all *a)
{
    struct cli_answer answer = { .main = { &goal_listing, OUT_ROW_ARRAY(a->goals, a->n_goals) },
                                 .more = { { &outage_listing, OUT_ROW_ARRAY(a->outages, a->n_outages) },
                                           { &excluded_listing, OUT_ROW_ARRAY(a->excluded, a->n_excluded) } },
                                 .head = put_head,
                                 .before = print_before,
                                 .after = print_after,
                                 .ctx = a };

    return cli_print_answer(c, &answer);
}

enum cli_exit cmd_report_sla(struct cli *c)
{
    Tw__PairFilter filter = TW__PAIR_FILTER__INIT;
    struct sla_all a = { 0 };
    char *objectives = NULL;
    enum cli_exit code = fill_objectives(c, &objectives);

    if (!code)
        code = filter_fill(c, &filter);
    if (!code) {
        filter.objectives = objectives;
        code = fetch(c, &filter, &a);
    }
    if (!code)
        code = make_rows(&a);
    if (!code)
        code = print_sla(c, &a);
    for (size_t i = 0; i < a.n_parts; i++)
        cli_free_reply(&a.parts[i]->base);
    free(a.parts);
    free(a.goals);
    free(a.outages);
    free(a.excluded);
    free(objectives);
    return code;
}
