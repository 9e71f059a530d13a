#include <inttypes.h>
#include <string.h>
#include "controller/cli/cli.h"

static const struct out_column facts[] = { { NULL, false, 0 }, { NULL, false, 0 } };
static const struct out_column counter_columns[] = { { "COUNTER", false, 0 }, { "VALUE", true, 0 } };

/* What operators keep out, or know to be out of order. */
static void put_set_aside(struct out_table *t, const Tw__StatusReply *s)
{
    if (!s->agents_drained && !s->agents_in_maintenance && !s->agents_revoked)
        return;
    out_cell(t, OUT_PLAIN, "%s", "");
    out_cell(t, OUT_DOUBT, "%u drained, %u in maintenance, %u revoked", s->agents_drained, s->agents_in_maintenance,
             s->agents_revoked);
}

static void put_maintenance(struct out_table *t, const Tw__StatusReply *s)
{
    char until[OUT_NUM];

    for (size_t i = 0; i < s->n_maintenance; i++) {
        const Tw__MaintenanceNow *m = s->maintenance[i];

        out_cell(t, OUT_PLAIN, "%s", i ? "" : "Maintenance");
        out_cell(t, OUT_DOUBT, "%s %s%s%s%s%s", *m->agent ? "agent" : "mesh", *m->agent ? m->agent : m->mesh,
                 m->until_ns ? " until " : "", m->until_ns ? out_time(m->until_ns, until) : "",
                 *m->reason ? ": " : "", m->reason);
    }
}

static void put_facts(struct cli *c, struct out_table *t, const Tw__StatusReply *s)
{
    char since[OUT_NUM], ago[OUT_NUM];

    out_cell(t, OUT_PLAIN, "Controller");
    out_cell(t, s->ready ? OUT_PLAIN : OUT_BAD, s->ready ? "ready" : "NOT READY");
    out_cell(t, OUT_PLAIN, "Version");
    out_cell(t, OUT_PLAIN, "%s", s->version);
    out_cell(t, OUT_PLAIN, "Running since");
    out_cell(t, OUT_PLAIN, "%s (%s)", out_time(s->started_ns, since),
             out_ago(s->started_ns, c->wall_ns(), ago));
    out_cell(t, OUT_PLAIN, "Generation");
    out_cell(t, OUT_PLAIN, "%" PRIu64, s->generation);
    out_cell(t, OUT_PLAIN, "Agents");
    out_cell(t, s->agents_down ? OUT_BAD : OUT_PLAIN, "%u up, %u down, %u pending", s->agents_up,
             s->agents_down, s->agents_pending);
    put_set_aside(t, s);
    out_cell(t, OUT_PLAIN, "Pairs");
    if (s->pairs_in_maintenance)
        out_cell(t, OUT_PLAIN, "%" PRIu64 ", %" PRIu64 " of them in maintenance", s->pairs, s->pairs_in_maintenance);
    else
        out_cell(t, OUT_PLAIN, "%" PRIu64, s->pairs);
    put_maintenance(t, s);
    for (size_t i = 0; i < s->n_problems; i++) {
        out_cell(t, OUT_BAD, "Problem");
        out_cell(t, OUT_BAD, "%s", s->problems[i]);
    }
}

static const char *value_text(const Tw__Counter *n, char buf[OUT_NUM])
{
    bool seconds = !strcmp(n->unit, "seconds");

    if (seconds && strstr(n->name, "_time_seconds")) /* a moment, by the naming rules of Prometheus */
        return out_time((int64_t)(n->value * 1e9), buf);
    if (seconds)
        return out_seconds((struct tw_num){ true, n->value }, buf);
    if (!strcmp(n->unit, "bytes"))
        return out_si(n->value, "B", buf);
    return numtext_exact(n->value, buf);
}

/* Those at 0 say nothing to people; JSON and CSV have them. */
static enum cli_exit print_counters(struct cli *c, const Tw__StatusReply *s)
{
    struct out_table t;
    char text[OUT_NUM];
    size_t left_out = 0;
    enum cli_exit code;

    out_table_init(&t, counter_columns, TW_NELEM(counter_columns));
    for (size_t i = 0; i < s->n_counters; i++) {
        if (!(s->counters[i]->value < 0 || s->counters[i]->value > 0)) {
            left_out++;
            continue;
        }
        out_cell(&t, OUT_PLAIN, "%s", s->counters[i]->name);
        out_cell(&t, OUT_PLAIN, "%s", value_text(s->counters[i], text));
    }
    putchar('\n');
    code = cli_print_table(c, &t);
    if (!code && left_out)
        printf("and %zu more that are 0\n", left_out);
    return code;
}

static enum cli_exit print_table(struct cli *c, const Tw__StatusReply *s)
{
    struct out_table t;
    enum cli_exit code;

    out_table_init(&t, facts, TW_NELEM(facts));
    put_facts(c, &t, s);
    code = cli_print_table(c, &t);
    return code || !s->n_counters ? code : print_counters(c, s);
}

static cJSON *maintenance(const Tw__StatusReply *s)
{
    struct out_records r = { 0 };
    cJSON *list;

    for (size_t i = 0; i < s->n_maintenance; i++) {
        const Tw__MaintenanceNow *m = s->maintenance[i];

        out_record(&r);
        out_text(&r, "agent", *m->agent ? m->agent : NULL);
        out_text(&r, "mesh", *m->mesh ? m->mesh : NULL);
        out_text(&r, "reason", m->reason);
        out_ns(&r, "until_ns", m->until_ns);
    }
    list = out_json_array(&r);
    out_records_free(&r);
    return list;
}

static void put_record(struct out_records *r, const Tw__StatusReply *s)
{
    out_record(r);
    out_text(r, "version", s->version);
    out_bool(r, "ready", s->ready);
    out_ns(r, "started_ns", s->started_ns);
    out_u64(r, "generation", s->generation);
    out_u64(r, "agents_up", s->agents_up);
    out_u64(r, "agents_down", s->agents_down);
    out_u64(r, "agents_pending", s->agents_pending);
    out_u64(r, "pairs", s->pairs);
    out_u64(r, "agents_revoked", s->agents_revoked);
    out_u64(r, "agents_drained", s->agents_drained);
    out_u64(r, "agents_in_maintenance", s->agents_in_maintenance);
    out_u64(r, "pairs_in_maintenance", s->pairs_in_maintenance);
    out_tree(r, "maintenance", maintenance(s));
    out_list(r, "problems", s->problems, s->n_problems);
}

static void put_counters(struct out_records *r, const Tw__StatusReply *s)
{
    for (size_t i = 0; i < s->n_counters; i++) {
        out_record(r);
        out_text(r, "name", s->counters[i]->name);
        out_real(r, "value", s->counters[i]->value);
        out_text(r, "unit", s->counters[i]->unit);
    }
}

/* CSV: one row of what status is about, with a column per counter. */
static void put_counter_columns(struct out_records *r, const Tw__StatusReply *s)
{
    for (size_t i = 0; i < s->n_counters; i++)
        out_real(r, s->counters[i]->name, s->counters[i]->value);
}

static enum cli_exit print_json(struct cli *c, const Tw__StatusReply *s)
{
    struct out_records head = { 0 }, counters = { 0 };
    cJSON *root, *list;

    put_record(&head, s);
    put_counters(&counters, s);
    root = out_json_object(&head, 0);
    list = out_json_array(&counters);
    out_records_free(&head);
    out_records_free(&counters);
    if (!list || !cJSON_AddItemToObject(root, "counters", list)) {
        cJSON_Delete(list);
        cJSON_Delete(root);
        return cli_no_memory();
    }
    return cli_print_tree(c, root);
}

static enum cli_exit print_csv(struct cli *c, const Tw__StatusReply *s)
{
    struct out_records r = { 0 };

    put_record(&r, s);
    put_counter_columns(&r, s);
    return cli_print_records(c, "", &r);
}

static enum cli_exit print(struct cli *c, const Tw__StatusReply *s)
{
    if (cli_for_people(c))
        return print_table(c, s);
    return cli_for_tree(c) ? print_json(c, s) : print_csv(c, s);
}

enum cli_exit cmd_status(struct cli *c)
{
    Tw__StatusRequest rq = TW__STATUS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    enum cli_exit code = cli_call(c, "Status", &rq.base, &reply);

    if (!code)
        code = print(c, (const Tw__StatusReply *)reply);
    cli_free_reply(reply);
    return code;
}
