/* schedule apply: reads the document, shows what is wrong with it or what it changes, and waits for the
 * agents. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/rollout.h"

#define DOCUMENT_MAX (512u * 1024) /* the controller takes no more */

/* ---- Reading ---- */

static enum cli_exit read_all(FILE *f, const char *name, char **ret)
{
    char *text = malloc(DOCUMENT_MAX + 2);
    size_t n;

    if (!text)
        return cli_no_memory();
    n = fread(text, 1, DOCUMENT_MAX + 1, f);
    text[n] = '\0';
    *ret = text;
    if (!ferror(f) && n <= DOCUMENT_MAX && !memchr(text, 0, n))
        return CLI_OK;
    free(text);
    *ret = NULL;
    if (ferror(f))
        return cli_fail(CLI_FAILED, "cannot read %s: %s", name, strerror(errno));
    if (n > DOCUMENT_MAX)
        return cli_fail(CLI_REFUSED, "%s is larger than %u KiB: split it into several meshes", name,
                        DOCUMENT_MAX / 1024);
    return cli_fail(CLI_REFUSED, "%s is no text: it has a zero octet", name);
}

static enum cli_exit read_document(const char *path, char **ret)
{
    FILE *f;
    enum cli_exit code;

    if (!strcmp(path, "-"))
        return read_all(stdin, "standard input", ret);
    f = fopen(path, "re");
    if (!f)
        return cli_fail(CLI_FAILED, "cannot read %s: %s", path, strerror(errno));
    code = read_all(f, path, ret);
    fclose(f);
    return code;
}

/* ---- What is wrong with it ---- */

/* The line that is wrong, with a caret under the column. Tabs stay tabs, so that the caret stands right. */
static void quote(const char *document, const Tw__Field *e)
{
    const char *line = document;
    size_t len;

    for (uint32_t i = 1; i < e->line && line; i++) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    if (!e->line || !line || !*line)
        return;
    len = strcspn(line, "\r\n");
    if (len > 160)
        len = 160;
    fprintf(stderr, "%5u | ", e->line);
    for (size_t i = 0; i < len; i++)
        putc((unsigned char)line[i] < ' ' && line[i] != '\t' ? '?' : line[i], stderr);
    putc('\n', stderr);
    if (!e->column || e->column > len + 1)
        return;
    fprintf(stderr, "      | ");
    for (size_t i = 0; i + 1 < e->column; i++)
        if (line[i] == '\t')
            putc('\t', stderr);
        else if (((unsigned char)line[i] & 0xc0) != 0x80) /* one blank per character, not per octet */
            putc(' ', stderr);
    fprintf(stderr, "^\n");
}

static enum cli_exit refused(const char *file, const char *document, const Tw__Field *e)
{
    char place[64] = "";

    if (e->line && e->column)
        snprintf(place, sizeof place, ":%u:%u", e->line, e->column);
    else if (e->line)
        snprintf(place, sizeof place, ":%u", e->line);
    out_safe(stderr, file, false);
    fprintf(stderr, "%s: ", place);
    out_safe(stderr, e->path, false);
    fputs(*e->path ? ": " : "", stderr);
    out_safe(stderr, e->text, false);
    putc('\n', stderr);
    quote(document, e);
    return CLI_REFUSED;
}

/* ---- The plan ---- */

static const struct out_column agent_columns[] = {
    { "AGENT", false, 0 }, { "PAIRS NOW", true, 0 }, { "THEN", true, 0 },
    { "SENDS", true, 0 },  { "", true, 0 },          { "REFLECTS", true, 0 },
};

static void put_rate(struct out_table *t, double pps)
{
    out_cell(t, OUT_PLAIN, "%.*f packets/s", pps < 10 && pps > 0 ? 2 : 0, pps);
}

static void put_agent(struct out_table *t, const Tw__PlanAgent *a)
{
    char text[OUT_NUM];

    out_cell(t, OUT_PLAIN, "%s", a->agent);
    out_cell(t, OUT_PLAIN, "%" PRIu64, a->pairs_before);
    out_cell(t, OUT_PLAIN, "%" PRIu64, a->pairs_after);
    put_rate(t, a->packets_per_second);
    out_cell(t, OUT_PLAIN, "%s", out_si(a->bits_per_second, "bit/s", text));
    put_rate(t, a->reflected_packets_per_second);
}

static void print_totals(const Tw__Plan *p)
{
    char text[OUT_NUM];

    printf("Mesh %s: %" PRIu64 " pairs: %" PRIu64 " added, %" PRIu64 " changed, %" PRIu64 " removed\n",
           p->mesh, p->pairs, p->added, p->changed, p->removed);
    printf("All meshes then: %" PRIu64 " Prometheus series, %.1f MB stored per day (%s in 30 days)\n",
           p->series, p->store_bytes_per_day / 1e6, out_si(p->store_bytes_per_day * 30, "B", text));
}

static enum cli_exit print_plan(struct cli *c, const Tw__Plan *p)
{
    struct out_table t;

    print_totals(p);
    if (!p->n_agents)
        return CLI_OK;
    out_table_init(&t, agent_columns, TW_NELEM(agent_columns));
    for (size_t i = 0; i < p->n_agents; i++)
        put_agent(&t, p->agents[i]);
    putchar('\n');
    return cli_print_table(c, &t);
}

static void agent_records(const Tw__Plan *p, struct out_records *r)
{
    static const Tw__PlanAgent none = TW__PLAN_AGENT__INIT;
    size_t n = p->n_agents ? p->n_agents : 1;

    r->skip = p->n_agents ? 0 : 1;
    for (size_t i = 0; i < n; i++) {
        const Tw__PlanAgent *a = p->n_agents ? p->agents[i] : &none;
        out_record(r);
        out_text(r, "agent", a->agent);
        out_u64(r, "pairs_before", a->pairs_before);
        out_u64(r, "pairs_after", a->pairs_after);
        out_real(r, "packets_per_second", a->packets_per_second);
        out_real(r, "bits_per_second", a->bits_per_second);
        out_real(r, "reflected_packets_per_second", a->reflected_packets_per_second);
    }
}

static cJSON *plan_json(const Tw__Plan *p)
{
    struct out_records r = { 0 }, agents = { 0 };
    cJSON *o, *list;

    out_record(&r);
    out_text(&r, "mesh", p->mesh);
    out_u64(&r, "pairs", p->pairs);
    out_u64(&r, "added", p->added);
    out_u64(&r, "removed", p->removed);
    out_u64(&r, "changed", p->changed);
    out_u64(&r, "series", p->series);
    out_real(&r, "store_bytes_per_day", p->store_bytes_per_day);
    agent_records(p, &agents);
    o = out_json_object(&r, 0);
    list = out_json_array(&agents);
    out_records_free(&r);
    out_records_free(&agents);
    if (list && cJSON_AddItemToObject(o, "agents", list))
        return o;
    cJSON_Delete(list);
    cJSON_Delete(o);
    return NULL;
}

/* ---- After it ---- */

/* Warns of the agents that are not there to take it, and tells which have not. */
static void tell_rollout(const Tw__ScheduleListReply *reply, uint64_t generation)
{
    rollout_warn_cut(reply);
    for (size_t i = 0; i < reply->n_rollout; i++) {
        const Tw__AgentRollout *a = reply->rollout[i];
        if (strcmp(a->state, "up") != 0)
            cli_fail(CLI_OK, "agent %s is %s: it gets the schedule when it is back", a->agent, a->state);
        else if (!a->current && a->generation < generation)
            cli_fail(CLI_OK, "agent %s still runs generation %" PRIu64 ": twampctl agent show %s", a->agent,
                     a->generation, a->agent);
        else if (a->refusals)
            cli_fail(CLI_OK, "agent %s refuses %u session%s: twampctl agent show %s says why", a->agent,
                     a->refusals, a->refusals == 1 ? "" : "s", a->agent);
    }
}

static enum cli_exit print_applied(struct cli *c, const Tw__ScheduleApplyReply *reply,
                                   const Tw__ScheduleListReply *list)
{
    struct out_records head = { 0 }, agents = { 0 };
    cJSON *root, *plan;

    if (!cli_for_tree(c)) {
        agent_records(reply->plan, &agents);
        return cli_print_records(c, "agents", &agents);
    }
    out_record(&head);
    out_u64(&head, "generation", reply->generation);
    root = out_json_object(&head, 0);
    out_records_free(&head);
    plan = plan_json(reply->plan);
    if (plan && cJSON_AddItemToObject(root, "plan", plan) && (!list || rollout_add_json(root, list)))
        return cli_print_tree(c, root);
    if (!cJSON_HasObjectItem(root, "plan"))
        cJSON_Delete(plan);
    cJSON_Delete(root);
    return cli_no_memory();
}

static enum cli_exit after(struct cli *c, const Tw__ScheduleApplyReply *reply)
{
    ProtobufCMessage *m = NULL;
    enum cli_exit code = CLI_OK, printed = CLI_OK;

    if (cli_for_people(c) && !c->opt.plan) {
        printf("Applied: generation %" PRIu64 "\n", reply->generation);
        print_totals(reply->plan);
        fflush(stdout);
    }
    if (!c->opt.plan && c->opt.wait_ns)
        code = rollout_wait(c, reply->generation, c->opt.wait_ns, &m);
    if (!cli_for_people(c))
        printed = print_applied(c, reply, (const Tw__ScheduleListReply *)m);
    else if (c->opt.plan)
        printed = print_plan(c, reply->plan);
    else if (m)
        rollout_print_count((const Tw__ScheduleListReply *)m);
    if (reply->plan->truncated)
        cli_fail(CLI_OK, "the plan has more agents than shown: the answer is full");
    if (m)
        tell_rollout((const Tw__ScheduleListReply *)m, reply->generation);
    cli_free_reply(m);
    return code ? code : printed;
}

static enum cli_exit apply(struct cli *c, char *document)
{
    bool from_stdin = !strcmp(c->opt.file, "-");
    Tw__ScheduleApplyRequest rq = TW__SCHEDULE_APPLY_REQUEST__INIT;
    const Tw__ScheduleApplyReply *reply;
    ProtobufCMessage *m = NULL;
    char user[64];
    enum cli_exit code;

    rq.file = from_stdin ? (char *)"<stdin>" : c->opt.file;
    rq.document = document;
    rq.plan_only = c->opt.plan;
    rq.author = c->opt.author ? c->opt.author : ctl_user_name(user);
    code = cli_call(c, "ScheduleApply", &rq.base, &m);
    if (code)
        return code;
    reply = (const Tw__ScheduleApplyReply *)m;
    if (reply->error)
        code = refused(rq.file, document, reply->error);
    else if (!reply->plan)
        code = cli_fail(CLI_FAILED, "the controller's answer lacks the plan");
    else
        code = after(c, reply);
    cli_free_reply(m);
    return code;
}

enum cli_exit cmd_schedule_apply(struct cli *c)
{
    char *document = NULL;
    enum cli_exit code = read_document(c->opt.file, &document);

    if (!code)
        code = apply(c, document);
    free(document);
    return code;
}
