/* twampctl status: how the controller itself is, those that share its control state, and its counters. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "controller/cli/controllers.h"

/* ---- The controller ---- */

static const struct out_col fact_columns[] = {
    { .title = "Controller", .name = "ready" },
    { .title = "Version", .name = "version" },
    { .title = "Running since", .name = "started_ns", .as = OUT_AS_TIME },
    { .title = "Generation", .name = "generation", .as = OUT_AS_COUNT },
    { .title = "Agents" },
    { .title = "  set aside", .when = OUT_IF_SET },
    { .title = "Pairs", .name = "pairs", .as = OUT_AS_COUNT },
};

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

/* What operators keep out, or know to be out of order. */
static void put_set_aside(struct out_records *r, const Tw__StatusReply *s)
{
    out_u64(r, "agents_revoked", s->agents_revoked);
    out_u64(r, "agents_drained", s->agents_drained);
    out_u64(r, "agents_in_maintenance", s->agents_in_maintenance);
    out_u64(r, "pairs_in_maintenance", s->pairs_in_maintenance);
    out_tree(r, "maintenance", maintenance(s));
    if (!r->for_people)
        return;
    if (s->agents_drained || s->agents_in_maintenance || s->agents_revoked)
        out_show(r, "  set aside", OUT_DOUBT, "%u drained, %u in maintenance, %u revoked", s->agents_drained,
                 s->agents_in_maintenance, s->agents_revoked);
    if (s->pairs_in_maintenance)
        out_show(r, "pairs", OUT_PLAIN, "%" PRIu64 ", %" PRIu64 " of them in maintenance", s->pairs,
                 s->pairs_in_maintenance);
}

static void put_status(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__StatusReply *s = row;
    const struct cli *c = ctx;
    char since[OUT_NUM], ago[OUT_NUM];

    out_text(r, "version", s->version);
    out_bool(r, "ready", s->ready);
    out_ns(r, "started_ns", s->started_ns);
    out_u64(r, "generation", s->generation);
    out_u64(r, "agents_up", s->agents_up);
    out_u64(r, "agents_down", s->agents_down);
    out_u64(r, "agents_pending", s->agents_pending);
    out_u64(r, "pairs", s->pairs);
    put_set_aside(r, s);
    out_list(r, "problems", s->problems, s->n_problems);
    out_list(r, "warnings", s->warnings, s->n_warnings);
    if (!r->for_people)
        return;
    out_show(r, "ready", s->ready ? OUT_PLAIN : OUT_BAD, s->ready ? "ready" : "NOT READY");
    out_show(r, "started_ns", OUT_PLAIN, "%s (%s)", out_time(s->started_ns, since),
             out_ago(s->started_ns, c->wall_ns(), ago));
    out_show(r, "Agents", s->agents_down ? OUT_BAD : OUT_PLAIN, "%u up, %u down, %u pending", s->agents_up,
             s->agents_down, s->agents_pending);
}

static const Tw__StatusReply no_status = TW__STATUS_REPLY__INIT;
static const struct out_listing status_facts = { .key = "status",
                                                 .columns = fact_columns,
                                                 .n_columns = TW_NELEM(fact_columns),
                                                 .put = put_status,
                                                 .none = &no_status };

/* ---- Its counters: the list ---- */

static const struct out_col columns[] = {
    { .title = "COUNTER", .name = "name" },
    { .title = "VALUE", .name = "value", .as = OUT_AS_COUNT },
    { .title = "UNIT", .name = "unit", .wide = true },
};

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

static void put_counter(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__Counter *n = row;
    char text[OUT_NUM];

    (void)ctx;
    out_text(r, "name", n->name);
    out_real(r, "value", n->value);
    out_show(r, "value", OUT_PLAIN, "%s", value_text(n, text));
    out_text(r, "unit", n->unit);
}

static const Tw__Counter no_counter = TW__COUNTER__INIT;
static const struct out_listing counters = { .key = "counters",
                                             .columns = columns,
                                             .n_columns = TW_NELEM(columns),
                                             .put = put_counter,
                                             .none = &no_counter };

/* ---- Both ---- */

struct answer {
    const Tw__StatusReply *status;
    size_t left_out; /* counters at 0, of which only -o wide and programs hear */
};

static bool is_zero(const Tw__Counter *n)
{
    return !(n->value < 0 || n->value > 0);
}

/* Moves those that are left out to the end; returns how many stay. */
static size_t sort_out(Tw__Counter **v, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        Tw__Counter *counter = v[i];

        if (is_zero(counter))
            continue;
        v[i] = v[kept];
        v[kept++] = counter;
    }
    return kept;
}

static void put_head(struct out_records *r, const void *ctx)
{
    put_status(r, ((const struct answer *)ctx)->status, NULL);
}

static void print_maintenance(const Tw__StatusReply *s)
{
    char until[OUT_NUM];

    for (size_t i = 0; i < s->n_maintenance; i++) {
        const Tw__MaintenanceNow *m = s->maintenance[i];

        printf("Maintenance    %s ", *m->agent ? "agent" : "mesh");
        out_safe(stdout, *m->agent ? m->agent : m->mesh, false);
        if (m->until_ns)
            printf(" until %s", out_time(m->until_ns, until));
        if (*m->reason)
            printf(": ");
        out_safe(stdout, m->reason, false);
        putchar('\n');
    }
}

static void print_list(char *const *v, size_t n, const char *head)
{
    for (size_t i = 0; i < n; i++) {
        fputs(head, stdout);
        out_safe(stdout, v[i], false);
        putchar('\n');
    }
}

static void print_facts(struct cli *c, const void *ctx)
{
    const Tw__StatusReply *s = ((const struct answer *)ctx)->status;

    cli_print_facts(c, &status_facts, s, c);
    print_maintenance(s);
    print_list(s->problems, s->n_problems, c->colour ? "\033[31mProblem\033[0m        " : "Problem        ");
    print_list(s->warnings, s->n_warnings, c->colour ? "\033[33mWarning\033[0m        " : "Warning        ");
    controllers_print(c, s);
    if (s->n_counters)
        putchar('\n');
}

static void print_left_out(struct cli *c, const void *ctx, const struct out_table *t)
{
    size_t n = ((const struct answer *)ctx)->left_out;

    (void)c;
    (void)t;
    if (n)
        printf("and %zu more that are 0: -o wide shows them\n", n);
}

static enum cli_exit print(struct cli *c, const Tw__StatusReply *s)
{
    size_t shown = c->opt.output == FORMAT_TABLE ? sort_out(s->counters, s->n_counters) : s->n_counters;
    struct answer a = { s, s->n_counters - shown };
    struct cli_answer answer = { .main = { &counters, OUT_ROWS(s->counters, shown) },
                                 .head = put_head,
                                 .before = print_facts,
                                 .after = print_left_out,
                                 .ctx = &a };

    if (s->n_controllers)
        answer.more[0] = (struct cli_part){ &controllers_listing, OUT_ROWS(s->controllers, s->n_controllers) };
    return cli_print_answer(c, &answer);
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
