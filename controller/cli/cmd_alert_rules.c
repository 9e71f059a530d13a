/* twampctl alert apply, export, history, rules, explain. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/alerts.h"

/* ---- Apply ---- */

static enum cli_exit print_applied(struct cli *c, const Tw__AlertApplyReply *reply,
                                   const Tw__AlertApplyRequest *rq)
{
    struct out_records r = { 0 };

    if (!cli_for_people(c)) {
        out_record(&r);
        out_u64(&r, "version", reply->version);
        out_bool(&r, "unchanged", reply->unchanged);
        out_bool(&r, "checked_only", rq->check_only);
        out_u64(&r, "rules", reply->rules);
        out_u64(&r, "receivers", reply->receivers);
        out_u64(&r, "routes", reply->routes);
        return cli_print_records(c, "applied", &r);
    }
    if (rq->check_only)
        printf("The document is good: ");
    else if (reply->unchanged)
        printf("Version %" PRIu64 " is in force already: ", reply->version);
    else
        printf("Version %" PRIu64 " is in force: ", reply->version);
    printf("%u rule%s, %u receiver%s, %u route%s\n", reply->rules, reply->rules == 1 ? "" : "s",
           reply->receivers, reply->receivers == 1 ? "" : "s", reply->routes, reply->routes == 1 ? "" : "s");
    return CLI_OK;
}

static enum cli_exit refused(const Tw__AlertApplyRequest *rq, const Tw__AlertDocumentError *e)
{
    Tw__Field f = TW__FIELD__INIT;

    f.line = e->line;
    f.column = e->column;
    f.path = e->path;
    f.text = e->text;
    f.file = e->file;
    return cli_document_refused(rq->file, rq->document, &f);
}

enum cli_exit cmd_alert_apply(struct cli *c)
{
    Tw__AlertApplyRequest rq = TW__ALERT_APPLY_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const Tw__AlertApplyReply *reply;
    char user[64], *text = NULL;
    enum cli_exit code = cli_read_document(c->opt.file, &text);

    if (code)
        return code;
    rq.document = text;
    rq.file = strcmp(c->opt.file, "-") ? c->opt.file : (char *)"<stdin>";
    rq.author = c->opt.author ? c->opt.author : ctl_user_name(user);
    rq.reason = c->opt.reason ? c->opt.reason : (char *)protobuf_c_empty_string;
    rq.check_only = c->opt.plan;
    code = cli_call(c, "AlertApply", &rq.base, &m);
    reply = (const Tw__AlertApplyReply *)m;
    if (!code)
        code = reply->error ? refused(&rq, reply->error) : print_applied(c, reply, &rq);
    cli_free_reply(m);
    free(text);
    return code;
}

/* ---- Export, history ---- */

enum cli_exit cmd_alert_export(struct cli *c)
{
    Tw__AlertExportRequest rq = TW__ALERT_EXPORT_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const Tw__AlertExportReply *reply;
    enum cli_exit code =
        c->args.n ? alerts_read_id(c->args.v[0], "a version: twampctl alert history shows them", &rq.version)
                  : CLI_OK;

    if (!code)
        code = cli_call(c, "AlertExport", &rq.base, &m);
    reply = (const Tw__AlertExportReply *)m;
    if (!code && !reply->document)
        code = cli_fail(CLI_FAILED, "the controller's answer lacks the document");
    else if (!code)
        fputs(reply->document->document, stdout);
    cli_free_reply(m);
    return code;
}

static const struct out_col history_columns[] = {
    { .title = "VERSION", .name = "version", .as = OUT_AS_COUNT },
    { .title = "TIME", .name = "time_ns", .as = OUT_AS_TIME },
    { .title = "BY", .name = "author" },
    { .title = "REASON", .name = "reason", .drop = 1 },
};

static void put_version(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__AlertDocument *d = row;

    (void)ctx;
    out_u64(r, "version", d->version);
    out_ns(r, "time_ns", d->time_ns);
    out_text(r, "author", d->author);
    out_text(r, "reason", d->reason);
}

static const Tw__AlertDocument no_version = TW__ALERT_DOCUMENT__INIT;
static const struct out_listing versions = {
    .key = "documents",
    .columns = history_columns,
    .n_columns = TW_NELEM(history_columns),
    .put = put_version,
    .none = &no_version,
    .empty = "No alert document was applied yet: twampctl alert apply -f FILE"
};

enum cli_exit cmd_alert_history(struct cli *c)
{
    Tw__AlertHistoryRequest rq = TW__ALERT_HISTORY_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const Tw__AlertHistoryReply *reply;
    enum cli_exit code;

    rq.limit = (uint32_t)c->opt.limit;
    code = cli_call(c, "AlertHistory", &rq.base, &m);
    reply = (const Tw__AlertHistoryReply *)m;
    if (!code)
        code = cli_print_list(c, &versions, OUT_ROWS(reply->documents, reply->n_documents), NULL);
    cli_free_reply(m);
    return code;
}

/* ---- Rules ---- */

static const struct out_col rule_columns[] = {
    { .title = "RULE", .name = "name" },
    { .title = "METRIC", .name = "metric" },
    { .title = "SCOPE", .name = "scope" },
    { .title = "MATCHES", .name = "matches", .drop = 2 },
    { .title = "WARNING", .name = "warning" },
    { .title = "CRITICAL", .name = "critical" },
    { .title = "FOR", .name = "for_seconds", .as = OUT_AS_SECONDS, .drop = 1 },
    { .title = "FIRING", .name = "firing", .as = OUT_AS_COUNT },
    { .title = "INFO", .name = "info", .wide = true },
    { .title = "CLEAR FOR", .name = "clear_for_seconds", .as = OUT_AS_SECONDS, .wide = true },
    { .title = "BASELINE", .name = "baseline_seconds", .as = OUT_AS_SECONDS, .wide = true },
    { .title = "PENDING", .name = "pending", .as = OUT_AS_COUNT, .wide = true },
    { .title = "LINE", .name = "line", .as = OUT_AS_COUNT, .wide = true },
};

static void put_time(struct out_records *r, const char *name, int64_t ns)
{
    char text[TW_TIME_TEXT];

    out_real(r, name, out_ns_to_s(ns));
    out_show(r, name, OUT_PLAIN, "%s", tw_duration_format(ns, text));
}

static void put_rule(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__AlertRuleInfo *i = row;

    (void)ctx;
    out_text(r, "name", i->name);
    alerts_put_metric(r, i->metric, i->direction);
    out_text(r, "scope", i->scope);
    out_text(r, "matches", i->matches);
    out_bool(r, "off", i->off);
    out_text(r, "info", i->info);
    out_text(r, "warning", i->warning);
    if (i->off)
        out_show(r, "warning", OUT_DIM, "off");
    out_text(r, "critical", i->critical);
    put_time(r, "for_seconds", i->for_time_ns);
    put_time(r, "clear_for_seconds", i->clear_time_ns);
    out_num(r, "baseline_seconds",
            (struct tw_num){ i->baseline_time_ns != 0, out_ns_to_s(i->baseline_time_ns) });
    out_u64(r, "firing", i->firing);
    out_style(r, "firing", i->firing ? OUT_BAD : OUT_PLAIN);
    out_u64(r, "pending", i->pending);
    out_u64(r, "line", i->line);
}

static const Tw__AlertRuleInfo no_rule = TW__ALERT_RULE_INFO__INIT;
static const struct out_listing rules = {
    .key = "rules",
    .columns = rule_columns,
    .n_columns = TW_NELEM(rule_columns),
    .put = put_rule,
    .none = &no_rule,
    .empty = "No alert document was applied yet: twampctl alert apply -f FILE"
};

static void rules_head(struct out_records *r, const void *ctx)
{
    const Tw__AlertRulesReply *reply = ctx;

    out_u64(r, "version", reply->version);
    out_ns(r, "time_ns", reply->time_ns);
    out_text(r, "author", reply->author);
    out_text(r, "reason", reply->reason);
}

enum cli_exit cmd_alert_rules(struct cli *c)
{
    Tw__AlertRulesRequest rq = TW__ALERT_RULES_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const Tw__AlertRulesReply *reply;
    enum cli_exit code = cli_call(c, "AlertRules", &rq.base, &m);

    reply = (const Tw__AlertRulesReply *)m;
    if (!code)
        code = cli_print_answer(
            c, &(struct cli_answer){ .main = { &rules, OUT_ROWS(reply->rules, reply->n_rules) },
                                     .head = rules_head,
                                     .ctx = reply });
    cli_free_reply(m);
    return code;
}

/* ---- Explain ---- */

static const struct out_col explain_columns[] = {
    { .title = "MESH/CLASS", .drop = 2 },
    { .title = "METRIC", .name = "metric" },
    { .title = "RULE", .name = "rule" },
    { .title = "WHY", .name = "why" },
    { .title = "LEVELS", .name = "levels" },
    { .title = "STATE", .name = "state" },
    { .title = "VALUE", .name = "value", .drop = 1 },
    { .title = "USUALLY", .name = "baseline", .drop = 1 },
    { .title = "ALERT", .name = "alert", .as = OUT_AS_COUNT, .wide = true },
};

static void put_baseline(struct out_records *r, const Tw__AlertExplainRow *i)
{
    char known[TW_TIME_TEXT], wanted[TW_TIME_TEXT], value[OUT_NUM];

    alerts_put_number(r, "baseline", i->metric, i->baseline);
    if (i->baseline && i->baseline_known_ns)
        out_show(r, "baseline", OUT_PLAIN, "%s (of %s)", alerts_value(i->metric, i->baseline, value),
                 tw_duration_format(i->baseline_known_ns, known));
    if (i->baseline_known_ns < i->baseline_wanted_ns)
        out_show(r, "baseline", OUT_DOUBT, "learning: %s of %s known",
                 tw_duration_format(i->baseline_known_ns, known),
                 tw_duration_format(i->baseline_wanted_ns, wanted));
    out_num(r, "baseline_known_seconds",
            (struct tw_num){ i->baseline_wanted_ns != 0, out_ns_to_s(i->baseline_known_ns) });
    out_num(r, "baseline_wanted_seconds",
            (struct tw_num){ i->baseline_wanted_ns != 0, out_ns_to_s(i->baseline_wanted_ns) });
}

static void put_explained(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__AlertExplainRow *i = row;

    (void)ctx;
    alerts_put_class(r, i->mesh, i->class_name);
    alerts_put_metric(r, i->metric, i->direction);
    out_text(r, "rule", i->rule);
    out_bool(r, "applies", i->applies);
    out_text(r, "why", i->why);
    out_text(r, "other", i->other);
    if (*i->other)
        out_show(r, "why", OUT_DIM, "%s: %s", i->why, i->other);
    else if (!i->applies)
        out_style(r, "why", OUT_DIM);
    out_text(r, "levels", i->levels);
    out_text(r, "state", i->state);
    out_style(r, "state", strcmp(i->state, "firing") ? OUT_PLAIN : OUT_BAD);
    alerts_put_number(r, "value", i->metric, i->value);
    put_baseline(r, i);
    out_u64(r, "alert", i->alert);
}

static const Tw__AlertExplainRow no_explained = TW__ALERT_EXPLAIN_ROW__INIT;
static const struct out_listing explained = { .key = "rules",
                                              .columns = explain_columns,
                                              .n_columns = TW_NELEM(explain_columns),
                                              .put = put_explained,
                                              .none = &no_explained,
                                              .empty = "There are no rules: twampctl alert apply -f FILE" };

enum cli_exit cmd_alert_explain(struct cli *c)
{
    Tw__AlertExplainRequest rq = TW__ALERT_EXPLAIN_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const Tw__AlertExplainReply *reply;
    enum cli_exit code;

    rq.source = c->args.v[0];
    rq.target = c->args.n > 1 ? c->args.v[1] : (char *)protobuf_c_empty_string;
    rq.mesh = c->opt.mesh ? c->opt.mesh : (char *)protobuf_c_empty_string;
    rq.class_name = c->opt.class_name ? c->opt.class_name : (char *)protobuf_c_empty_string;
    code = cli_call(c, "AlertExplain", &rq.base, &m);
    reply = (const Tw__AlertExplainReply *)m;
    if (!code)
        code = cli_print_list(c, &explained, OUT_ROWS(reply->rows, reply->n_rows), NULL);
    cli_free_reply(m);
    return code;
}
