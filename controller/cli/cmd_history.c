/* schedule history: who changed the schedule, when and why, and which lines of documents. */
#include <inttypes.h>
#include <stdio.h>
#include "controller/cli/cli.h"

/* ---- The list ---- */

static const struct out_col columns[] = {
    { .title = "GENERATION", .name = "generation", .as = OUT_AS_COUNT },
    { .title = "TIME", .name = "time_ns", .as = OUT_AS_TIME },
    { .title = "BY", .name = "author" },
    { .title = "WHAT", .name = "what" },
    { .title = "PAIRS", .name = "pairs", .as = OUT_AS_COUNT },
    { .title = "ADDED", .name = "added", .as = OUT_AS_COUNT, .drop = 2 },
    { .title = "CHANGED", .name = "changed", .as = OUT_AS_COUNT, .drop = 2 },
    { .title = "REMOVED", .name = "removed", .as = OUT_AS_COUNT, .drop = 2 },
    { .title = "REASON", .name = "reason", .drop = 1 },
};

static cJSON *changes_tree(const Tw__GenerationInfo *g)
{
    struct out_records r = { 0 };
    cJSON *list;

    for (size_t i = 0; i < g->n_meshes; i++) {
        out_record(&r);
        out_text(&r, "mesh", g->meshes[i]->mesh);
        out_text(&r, "action", g->meshes[i]->action);
        out_u64(&r, "lines_added", g->meshes[i]->lines_added);
        out_u64(&r, "lines_removed", g->meshes[i]->lines_removed);
        out_text(&r, "diff", g->meshes[i]->diff);
        out_bool(&r, "diff_truncated", g->meshes[i]->diff_truncated);
    }
    list = out_json_array(&r);
    out_records_free(&r);
    return list;
}

static void put_count(struct out_records *r, const char *name, const Tw__GenerationInfo *g, uint64_t n)
{
    if (g->counted)
        out_u64(r, name, n);
    else
        out_null(r, name);
}

static void put_row(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__GenerationInfo *g = row;

    (void)ctx;
    out_u64(r, "generation", g->generation);
    out_u64(r, "first_generation", g->first_generation);
    if (g->first_generation < g->generation)
        out_show(r, "generation", OUT_PLAIN, "%" PRIu64 "-%" PRIu64, g->first_generation, g->generation);
    else if (!g->kept)
        out_style(r, "generation", OUT_DIM);
    out_ns(r, "time_ns", g->time_ns);
    out_text(r, "author", g->author);
    out_text(r, "what", g->what);
    put_count(r, "pairs", g, g->pairs);
    put_count(r, "added", g, g->added);
    put_count(r, "removed", g, g->removed);
    put_count(r, "changed", g, g->changed);
    out_text(r, "reason", g->reason);
    out_bool(r, "kept", g->kept);
    out_tree(r, "meshes", changes_tree(g));
}

static const Tw__GenerationInfo none = TW__GENERATION_INFO__INIT;
static const struct out_listing generations = { .key = "generations",
                                                .columns = columns,
                                                .n_columns = TW_NELEM(columns),
                                                .put = put_row,
                                                .none = &none,
                                                .empty = "No generation yet: twampctl schedule apply -f FILE" };

static void put_head(struct out_records *r, const void *ctx)
{
    const Tw__ScheduleHistoryReply *reply = ctx;

    out_u64(r, "generation", reply->generation);
    out_bool(r, "truncated", reply->truncated);
}

static enum cli_exit print_list(struct cli *c, const Tw__ScheduleHistoryReply *reply)
{
    enum cli_exit code = cli_print_answer(
        c, &(struct cli_answer){ .main = { &generations, OUT_ROWS(reply->generations, reply->n_generations) },
                                 .head = put_head,
                                 .ctx = reply });

    if (!code && reply->truncated && reply->n_generations)
        cli_fail(CLI_OK, "there are older ones: go on with --before %" PRIu64,
                 reply->generations[reply->n_generations - 1]->first_generation);
    return code;
}

/* ---- One ---- */

static void print_diff(const struct cli *c, const char *diff)
{
    while (*diff) {
        size_t n = 0;
        const char *colour = *diff == '+' ? "\033[32m" : *diff == '-' ? "\033[31m" : *diff == '@' ? "\033[2m" : "";
        char line[512];

        while (diff[n] && diff[n] != '\n')
            n++;
        snprintf(line, sizeof line, "%.*s", (int)n, diff);
        fputs(c->colour ? colour : "", stdout);
        fputs("  ", stdout);
        out_safe(stdout, line, false);
        fputs(c->colour && *colour ? "\033[0m\n" : "\n", stdout);
        diff += n + (diff[n] == '\n');
    }
}

static void print_changes(struct cli *c, const void *ctx, const struct out_table *t)
{
    const Tw__GenerationInfo *g = ctx;

    (void)t;
    if (!g->kept)
        printf("\nMade by an older program: its documents are not known.\n");
    for (size_t i = 0; i < g->n_meshes; i++) {
        const Tw__MeshChange *m = g->meshes[i];

        printf("\nMesh ");
        out_safe(stdout, m->mesh, false);
        printf(": %s, %u line%s added, %u removed\n", m->action, m->lines_added, m->lines_added == 1 ? "" : "s",
               m->lines_removed);
        print_diff(c, m->diff);
        if (m->diff_truncated)
            printf("  ... and more\n");
    }
}

static enum cli_exit print_one(struct cli *c, const Tw__GenerationInfo *g)
{
    enum cli_exit code = cli_print_facts(c, &generations, g, NULL);

    if (!code && cli_for_people(c))
        print_changes(c, g, NULL);
    return code;
}

enum cli_exit cmd_schedule_history(struct cli *c)
{
    Tw__ScheduleHistoryRequest rq = TW__SCHEDULE_HISTORY_REQUEST__INIT;
    const Tw__ScheduleHistoryReply *reply;
    ProtobufCMessage *m = NULL;
    enum cli_exit code;

    if (c->args.n && !cli_read_generation(c->args.v[0], &rq.generation))
        return CLI_USAGE;
    rq.limit = (uint32_t)c->opt.limit;
    rq.before = (uint64_t)c->opt.before;
    code = cli_call(c, "ScheduleHistory", &rq.base, &m);
    reply = (const Tw__ScheduleHistoryReply *)m;
    if (!code && rq.generation && !reply->n_generations)
        code = cli_fail(CLI_FAILED, "the controller's answer lacks the generation");
    else if (!code)
        code = rq.generation ? print_one(c, reply->generations[0]) : print_list(c, reply);
    cli_free_reply(m);
    return code;
}
