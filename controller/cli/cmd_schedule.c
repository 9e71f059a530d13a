#include "controller/cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct out_col columns[] = {
    { .title = "MESH", .name = "name" },
    { .title = "STATE", .name = "state" },
    { .title = "TOPOLOGY", .name = "topology", .drop = 3 },
    { .title = "CLASSES", .name = "classes", .drop = 4 },
    { .title = "AGENTS", .name = "agents", .as = OUT_AS_COUNT },
    { .title = "PAIRS", .name = "pairs", .as = OUT_AS_COUNT },
    { .title = "NEXT RUN", .name = "next_run_ns", .as = OUT_AS_TIME, .drop = 5 },
    { .title = "SINCE", .name = "generation", .as = OUT_AS_COUNT, .drop = 2 },
    { .title = "CHANGED", .name = "changed_ns", .as = OUT_AS_TIME },
    { .title = "BY", .name = "author" },
    { .title = "DESCRIPTION", .name = "description", .drop = 1 },
    { .title = "RUNS", .name = "runs", .wide = true },
    { .title = "IDLE", .name = "pairs_idle", .as = OUT_AS_COUNT, .wide = true },
};

static void put_row(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__MeshInfo *m = row;
    const char *state = m->paused ? "paused" : m->pairs && m->pairs_idle == m->pairs ? "idle" : "active";

    (void)ctx;
    out_text(r, "name", m->name);
    out_bool(r, "paused", m->paused);
    out_text(r, "topology", m->topology);
    out_list(r, "classes", m->classes, m->n_classes);
    out_u64(r, "agents", m->agents);
    out_u64(r, "pairs", m->pairs);
    out_u64(r, "generation", m->generation);
    out_ns(r, "changed_ns", m->changed_ns);
    out_text(r, "author", m->author);
    out_text(r, "description", m->description);
    out_text(r, "state", state);
    out_text(r, "runs", m->runs);
    out_ns(r, "next_run_ns", m->next_run_ns);
    out_u64(r, "pairs_idle", m->pairs_idle);
    out_bool(r, "in_maintenance", m->in_maintenance);
    out_show(r, "state", m->paused || m->in_maintenance ? OUT_DOUBT : OUT_PLAIN, "%s%s", state,
             m->in_maintenance ? ", maintenance" : "");
}

static const Tw__MeshInfo no_mesh = TW__MESH_INFO__INIT;
static const struct out_listing meshes = { .key = "meshes",
                                           .columns = columns,
                                           .n_columns = TW_NELEM(columns),
                                           .put = put_row,
                                           .none = &no_mesh,
                                           .empty = "No meshes yet: twampctl schedule apply -f FILE" };

static void put_agent(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__AgentRollout *a = row;

    (void)ctx;
    out_text(r, "agent", a->agent);
    out_text(r, "state", a->state);
    out_u64(r, "generation", a->generation);
    out_bool(r, "current", a->current);
    out_u64(r, "refusals", a->refusals);
}

static const Tw__AgentRollout no_agent = TW__AGENT_ROLLOUT__INIT;
static const struct out_listing rollout = { .key = "rollout", .put = put_agent, .none = &no_agent };

static void put_head(struct out_records *r, const void *ctx)
{
    out_u64(r, "generation", ((const Tw__ScheduleListReply *)ctx)->generation);
}

/* ---- List ---- */

static int by_agent(const void *a, const void *b)
{
    const Tw__AgentRollout *const *ra = a, *const *rb = b;

    return strcmp((*ra)->agent, (*rb)->agent);
}

static int by_mesh(const void *a, const void *b)
{
    const Tw__MeshInfo *const *ma = a, *const *mb = b;

    return strcmp((*ma)->name, (*mb)->name);
}

static enum cli_exit list_call(struct cli *c, ProtobufCMessage **ret)
{
    Tw__ScheduleListRequest rq = TW__SCHEDULE_LIST_REQUEST__INIT;
    enum cli_exit code = cli_call(c, "ScheduleList", &rq.base, ret);
    Tw__ScheduleListReply *reply = (Tw__ScheduleListReply *)*ret;

    if (code)
        return code;
    if (reply->n_rollout)
        qsort(reply->rollout, reply->n_rollout, sizeof(Tw__AgentRollout *), by_agent);
    if (reply->n_meshes)
        qsort(reply->meshes, reply->n_meshes, sizeof(Tw__MeshInfo *), by_mesh);
    return CLI_OK;
}

static void warn_cut(const Tw__ScheduleListReply *reply)
{
    if (reply->truncated)
        cli_fail(CLI_OK, "there are more meshes or agents than shown: the answer is full");
}

static void print_count(struct cli *c, const void *ctx, const struct out_table *t)
{
    const Tw__ScheduleListReply *reply = ctx;
    size_t current = 0, refusing = 0;

    (void)c;
    (void)t;
    for (size_t i = 0; i < reply->n_rollout; i++) {
        current += reply->rollout[i]->current;
        refusing += reply->rollout[i]->refusals != 0;
    }
    if (!reply->n_rollout)
        return;
    printf("Generation %" PRIu64 " runs on %zu of %zu agents", reply->generation, current, reply->n_rollout);
    if (refusing)
        printf(", %zu refuse%s sessions", refusing, refusing == 1 ? "s" : "");
    printf(current < reply->n_rollout || refusing ? ": twampctl schedule rollout shows each\n" : "\n");
}

enum cli_exit cmd_schedule_list(struct cli *c)
{
    ProtobufCMessage *m = NULL;
    enum cli_exit code = list_call(c, &m);
    const Tw__ScheduleListReply *reply = (const Tw__ScheduleListReply *)m;

    if (code)
        return code;
    code = cli_print_answer(
        c, &(struct cli_answer){ .main = { &meshes, OUT_ROWS(reply->meshes, reply->n_meshes) },
                                 .more = { { &rollout, OUT_ROWS(reply->rollout, reply->n_rollout) } },
                                 .head = put_head,
                                 .after = print_count,
                                 .ctx = reply });
    if (!code)
        warn_cut(reply);
    cli_free_reply(m);
    return code;
}

/* ---- Show ---- */

static void end_line(const char *document)
{
    size_t n = strlen(document);

    if (n && document[n - 1] != '\n')
        putchar('\n');
}

static void print_document(const char *document)
{
    fputs(document, stdout);
    end_line(document);
}

/* The same values as the list, and the document. */
static void put_shown(struct out_records *r, const void *row, const void *ctx)
{
    put_row(r, row, ctx);
    out_text(r, "document", ((const Tw__MeshInfo *)row)->document);
}

static const struct out_col shown_columns[] = {
    { .title = "Mesh", .name = "name" },
    { .title = "Description", .name = "description" },
    { .title = "State", .name = "state" },
    { .title = "Topology", .name = "topology" },
    { .title = "Classes", .name = "classes" },
    { .title = "Agents", .name = "agents", .as = OUT_AS_COUNT },
    { .title = "Pairs", .name = "pairs", .as = OUT_AS_COUNT },
    { .title = "Runs", .name = "runs" },
    { .title = "Pairs idle", .name = "pairs_idle", .as = OUT_AS_COUNT },
    { .title = "Next run", .name = "next_run_ns", .as = OUT_AS_TIME },
    { .title = "Changed", .name = "changed_ns", .as = OUT_AS_TIME },
    { .title = "By", .name = "author" },
    { .title = "Generation", .name = "generation", .as = OUT_AS_COUNT },
};
static const struct out_listing shown_mesh = { .key = "meshes",
                                               .columns = shown_columns,
                                               .n_columns = TW_NELEM(shown_columns),
                                               .put = put_shown,
                                               .none = &no_mesh };

static enum cli_exit print_mesh(struct cli *c, const Tw__MeshInfo *m)
{
    enum cli_exit code = cli_print_facts(c, &shown_mesh, m, NULL);

    if (code || !cli_for_people(c))
        return code;
    putchar('\n');
    out_safe(stdout, m->document, true);
    end_line(m->document);
    return CLI_OK;
}

enum cli_exit cmd_schedule_show(struct cli *c)
{
    Tw__MeshRequest rq = TW__MESH_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    enum cli_exit code;
    const Tw__MeshInfo *mesh;

    rq.name = c->args.v[0];
    code = cli_call(c, "ScheduleShow", &rq.base, &m);
    if (code)
        return code;
    mesh = ((const Tw__ScheduleShowReply *)m)->mesh;
    if (!mesh)
        code = cli_fail(CLI_FAILED, "the controller's answer lacks the mesh");
    else if (c->opt.document)
        print_document(mesh->document);
    else
        code = print_mesh(c, mesh);
    cli_free_reply(m);
    return code;
}

/* ---- Changes ---- */

static enum cli_exit change(struct cli *c, const char *method, const char *done)
{
    Tw__MeshRequest rq = TW__MESH_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct out_records r = { 0 };
    char user[64];
    enum cli_exit code;
    uint64_t generation;

    rq.name = c->args.v[0];
    rq.author = c->opt.author ? c->opt.author : ctl_user_name(user);
    if (c->opt.reason)
        rq.reason = c->opt.reason;
    code = cli_change_schedule(c, method, &rq.base, &m);
    if (code)
        return code;
    generation = ((const Tw__ScheduleChangeReply *)m)->generation;
    cli_free_reply(m);
    if (cli_for_people(c)) {
        printf("%s %s: generation %" PRIu64 "\n", done, c->args.v[0], generation);
        return CLI_OK;
    }
    out_record(&r);
    out_text(&r, "name", c->args.v[0]);
    out_u64(&r, "generation", generation);
    return cli_print_records(c, "meshes", &r);
}

enum cli_exit cmd_schedule_pause(struct cli *c)
{
    return change(c, "SchedulePause", "Paused");
}

enum cli_exit cmd_schedule_resume(struct cli *c)
{
    return change(c, "ScheduleResume", "Resumed");
}

enum cli_exit cmd_schedule_delete(struct cli *c)
{
    /* It can be taken back, so scripts need not say --yes. */
    enum cli_exit code =
        isatty(STDIN_FILENO)
            ? cli_confirm(c, "delete", "End mesh",
                          "and forget its document? \"twampctl schedule rollback\" brings it back.")
            : CLI_OK;

    return code ? code : change(c, "ScheduleDelete", "Deleted");
}
