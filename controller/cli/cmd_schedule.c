#include "controller/cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct out_column columns[] = {
    { "MESH", false, 0 },  { "STATE", false, 0 },       { "TOPOLOGY", false, 3 }, { "CLASSES", false, 4 },
    { "AGENTS", true, 0 }, { "PAIRS", true, 0 },        { "SINCE", true, 2 },     { "CHANGED", false, 0 },
    { "BY", false, 0 },    { "DESCRIPTION", false, 1 },
};

/* ---- Cells and records ---- */

static void put_classes(struct out_table *t, const Tw__MeshInfo *m)
{
    char text[256] = "";
    size_t len = 0;

    for (size_t i = 0; i < m->n_classes && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "", m->classes[i]);
    out_cell(t, OUT_PLAIN, "%s", len ? text : "-");
}

static const char *or_dash(const char *text)
{
    return *text ? text : "-";
}

static void put_row(struct out_table *t, const Tw__MeshInfo *m)
{
    char text[OUT_NUM];

    out_cell(t, OUT_PLAIN, "%s", m->name);
    out_cell(t, m->paused ? OUT_DOUBT : OUT_PLAIN, m->paused ? "paused" : "active");
    out_cell(t, OUT_PLAIN, "%s", m->topology);
    put_classes(t, m);
    out_cell(t, OUT_PLAIN, "%" PRIu64, m->agents);
    out_cell(t, OUT_PLAIN, "%" PRIu64, m->pairs);
    out_cell(t, OUT_PLAIN, "%" PRIu64, m->generation);
    out_cell(t, OUT_PLAIN, "%s", out_time(m->changed_ns, text));
    out_cell(t, OUT_PLAIN, "%s", or_dash(m->author));
    out_cell(t, OUT_PLAIN, "%s", or_dash(m->description));
}

static void put_record(struct out_records *r, const Tw__MeshInfo *m)
{
    out_record(r);
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

static void print_count(const Tw__ScheduleListReply *reply)
{
    size_t current = 0, refusing = 0;

    for (size_t i = 0; i < reply->n_rollout; i++) {
        current += reply->rollout[i]->current;
        refusing += reply->rollout[i]->refusals != 0;
    }
    printf("Generation %" PRIu64 " runs on %zu of %zu agents", reply->generation, current, reply->n_rollout);
    if (refusing)
        printf(", %zu refuse%s sessions", refusing, refusing == 1 ? "s" : "");
    printf(current < reply->n_rollout || refusing ? ": twampctl schedule rollout shows each\n" : "\n");
}

static bool add_rollout(cJSON *root, const Tw__ScheduleListReply *reply)
{
    struct out_records r = { 0 };
    cJSON *list;

    for (size_t i = 0; i < reply->n_rollout; i++) {
        const Tw__AgentRollout *a = reply->rollout[i];
        out_record(&r);
        out_text(&r, "agent", a->agent);
        out_text(&r, "state", a->state);
        out_u64(&r, "generation", a->generation);
        out_bool(&r, "current", a->current);
        out_u64(&r, "refusals", a->refusals);
    }
    list = out_json_array(&r);
    out_records_free(&r);
    if (list && cJSON_AddItemToObject(root, "rollout", list))
        return true;
    cJSON_Delete(list);
    return false;
}

static enum cli_exit print_table(struct cli *c, const Tw__ScheduleListReply *reply)
{
    struct out_table t;
    enum cli_exit code = CLI_OK;

    if (!reply->n_meshes) {
        printf("No meshes yet: twampctl schedule apply -f FILE\n");
    } else {
        out_table_init(&t, columns, TW_NELEM(columns));
        for (size_t i = 0; i < reply->n_meshes; i++)
            put_row(&t, reply->meshes[i]);
        code = cli_print_table(c, &t);
    }
    if (!code && reply->n_rollout)
        print_count(reply);
    return code;
}

static enum cli_exit print_json(struct cli *c, const Tw__ScheduleListReply *reply)
{
    struct out_records head = { 0 }, meshes = { 0 };
    cJSON *root, *list;

    out_record(&head);
    out_u64(&head, "generation", reply->generation);
    for (size_t i = 0; i < reply->n_meshes; i++)
        put_record(&meshes, reply->meshes[i]);
    root = out_json_object(&head, 0);
    list = out_json_array(&meshes);
    out_records_free(&head);
    out_records_free(&meshes);
    if (list && cJSON_AddItemToObject(root, "meshes", list) && add_rollout(root, reply))
        return cli_print_tree(c, root);
    if (!cJSON_HasObjectItem(root, "meshes"))
        cJSON_Delete(list);
    cJSON_Delete(root);
    return cli_no_memory();
}

static enum cli_exit print_csv(struct cli *c, const Tw__ScheduleListReply *reply)
{
    static const Tw__MeshInfo no_mesh = TW__MESH_INFO__INIT;
    struct out_records r = { .skip = reply->n_meshes ? 0 : 1 };

    if (!reply->n_meshes)
        put_record(&r, &no_mesh);
    for (size_t i = 0; i < reply->n_meshes; i++)
        put_record(&r, reply->meshes[i]);
    return cli_print_records(c, "meshes", &r);
}

enum cli_exit cmd_schedule_list(struct cli *c)
{
    ProtobufCMessage *m = NULL;
    enum cli_exit code = list_call(c, &m);
    const Tw__ScheduleListReply *reply = (const Tw__ScheduleListReply *)m;

    if (code)
        return code;
    if (cli_for_tree(c))
        code = print_json(c, reply);
    else
        code = cli_for_people(c) ? print_table(c, reply) : print_csv(c, reply);
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

static void put_fact(struct out_table *t, const char *what, const char *value)
{
    out_cell(t, OUT_PLAIN, "%s", what);
    out_cell(t, OUT_PLAIN, "%s", or_dash(value));
}

static enum cli_exit print_mesh(struct cli *c, const Tw__MeshInfo *m)
{
    static const struct out_column facts[] = { { NULL, false, 0 }, { NULL, false, 0 } };
    struct out_table t;
    char when[OUT_NUM];
    enum cli_exit code;

    out_table_init(&t, facts, TW_NELEM(facts));
    put_fact(&t, "Mesh", m->name);
    put_fact(&t, "Description", m->description);
    put_fact(&t, "State", m->paused ? "paused" : "active");
    put_fact(&t, "Topology", m->topology);
    out_cell(&t, OUT_PLAIN, "Classes");
    put_classes(&t, m);
    out_cell(&t, OUT_PLAIN, "Agents, pairs");
    out_cell(&t, OUT_PLAIN, "%" PRIu64 ", %" PRIu64, m->agents, m->pairs);
    out_cell(&t, OUT_PLAIN, "Last change");
    out_cell(&t, OUT_PLAIN, "%s by %s, generation %" PRIu64, out_time(m->changed_ns, when),
             or_dash(m->author), m->generation);
    code = cli_print_table(c, &t);
    putchar('\n');
    out_safe(stdout, m->document, true);
    end_line(m->document);
    return code;
}

static enum cli_exit print_mesh_records(struct cli *c, const Tw__MeshInfo *m)
{
    struct out_records r = { 0 };

    put_record(&r, m);
    out_text(&r, "document", m->document);
    return cli_print_records(c, "meshes", &r);
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
        code = cli_for_people(c) ? print_mesh(c, mesh) : print_mesh_records(c, mesh);
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
    code = cli_call(c, method, &rq.base, &m);
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
    return change(c, "ScheduleDelete", "Deleted");
}
