/* twampctl alert list, show, ack, silence, unsilence, silences, receivers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "controller/cli/alerts.h"
#include "controller/cli/filter.h"

static char *or_empty(char *text)
{
    return text ? text : (char *)protobuf_c_empty_string;
}

/* ---- List ---- */

static void list_head(struct out_records *r, const void *ctx)
{
    const Tw__AlertListReply *reply = ctx;

    out_u64(r, "firing", reply->firing);
    out_u64(r, "pending", reply->pending);
    out_bool(r, "truncated", reply->truncated);
}

/* "No alert" of a controller that looks at nothing would be taken for good news. */
static bool looks_at_nothing(struct cli *c)
{
    Tw__AlertRulesRequest rq = TW__ALERT_RULES_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct ctl_error err;
    bool nothing;

    if (!cli_for_people(c) || ctl_call(c->ctl, "AlertRules", &rq.base, &m, &err))
        return false;
    nothing = !((const Tw__AlertRulesReply *)m)->version;
    cli_free_reply(m);
    return nothing;
}

enum cli_exit cmd_alert_list(struct cli *c)
{
    struct out_listing list = alerts_listing;
    Tw__AlertListRequest rq = TW__ALERT_LIST_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const Tw__AlertListReply *reply;
    enum cli_exit code;

    rq.state = or_empty(c->opt.state);
    rq.severity = or_empty(c->opt.severity);
    rq.select = or_empty(c->opt.select);
    rq.roots = c->opt.roots;
    rq.limit = (uint32_t)c->opt.limit;
    code = cli_call(c, "AlertList", &rq.base, &m);
    if (code)
        return code;
    reply = (const Tw__AlertListReply *)m;
    if (!reply->n_alerts && looks_at_nothing(c))
        list.empty =
            "No alert, because nothing is looked at: no alert document was applied yet (twampctl alert apply "
            "-f FILE). \"twampctl doctor\" tells what is wrong now.";
    code =
        cli_print_answer(c, &(struct cli_answer){ .main = { &list, OUT_ROWS(reply->alerts, reply->n_alerts) },
                                                  .head = list_head,
                                                  .ctx = reply });
    if (!code && reply->truncated)
        cli_fail(CLI_OK, "there are more alerts than these %zu: narrow it, or raise --limit",
                 reply->n_alerts);
    cli_free_reply(m);
    return code;
}

/* ---- Show ---- */

static void show_head(struct out_records *r, const void *ctx)
{
    const Tw__AlertShowReply *reply = ctx;
    cJSON *labels = cJSON_CreateObject();

    for (size_t i = 0; i < reply->n_labels; i++)
        cJSON_AddItemToObject(labels, reply->labels[i]->key, cJSON_CreateString(reply->labels[i]->value));
    out_tree(r, "labels", labels);
    out_list(r, "receivers", reply->receivers, reply->n_receivers);
}

static void show_rest(const Tw__AlertShowReply *reply)
{
    printf("\n");
    out_safe(stdout, reply->alert->summary, false);
    printf("\nReceivers:");
    for (size_t i = 0; i < reply->n_receivers; i++)
        printf(" %s", reply->receivers[i]);
    printf("%s\nLabels:", reply->n_receivers ? "" : " none");
    for (size_t i = 0; i < reply->n_labels; i++) {
        printf("%s ", i ? "," : "");
        out_safe(stdout, reply->labels[i]->key, false);
        putchar('=');
        out_safe(stdout, reply->labels[i]->value, false);
    }
    printf("\n");
}

static enum cli_exit print_alert(struct cli *c, const Tw__AlertShowReply *reply)
{
    static struct out_listing evidence;
    enum cli_exit code;

    evidence = alerts_listing;
    evidence.key = "evidence";
    if (!cli_for_people(c))
        return cli_print_answer(
            c, &(struct cli_answer){ .main = { &alerts_listing, OUT_ONE_ROW(reply->alert) },
                                     .more = { { &evidence, OUT_ROWS(reply->evidence, reply->n_evidence) } },
                                     .head = show_head,
                                     .ctx = reply });
    code = cli_print_facts(c, &alerts_listing, reply->alert, NULL);
    if (code)
        return code;
    show_rest(reply);
    if (!reply->n_evidence)
        return CLI_OK;
    printf("\nIt explains %zu alerts:\n", reply->n_evidence);
    return cli_print_list(c, &evidence, OUT_ROWS(reply->evidence, reply->n_evidence), NULL);
}

enum cli_exit cmd_alert_show(struct cli *c)
{
    Tw__AlertRequest rq = TW__ALERT_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    enum cli_exit code = alerts_read_id(c->args.v[0], "an alert: twampctl alert list shows them", &rq.id);

    if (!code)
        code = cli_call(c, "AlertShow", &rq.base, &m);
    if (code)
        return code;
    if (((const Tw__AlertShowReply *)m)->alert)
        code = print_alert(c, (const Tw__AlertShowReply *)m);
    else
        code = cli_fail(CLI_FAILED, "the controller's answer lacks the alert");
    cli_free_reply(m);
    return code;
}

/* ---- Acknowledge ---- */

enum cli_exit cmd_alert_ack(struct cli *c)
{
    char user[64];

    for (size_t i = 0; i < c->args.n; i++) {
        Tw__AlertAckRequest rq = TW__ALERT_ACK_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        enum cli_exit code = alerts_read_id(c->args.v[i], "an alert: twampctl alert list shows them", &rq.id);

        rq.author = c->opt.author ? c->opt.author : ctl_user_name(user);
        rq.reason = or_empty(c->opt.reason);
        if (!code)
            code = cli_call(c, "AlertAck", &rq.base, &m);
        if (!code && !((const Tw__AlertAckReply *)m)->alert)
            code = cli_fail(CLI_FAILED, "the controller's answer lacks the alert");
        if (code) {
            cli_free_reply(m);
            return code;
        }
        if (cli_for_people(c))
            printf("Acknowledged alert %" PRIu64 "\n", rq.id);
        else
            code =
                cli_print_list(c, &alerts_listing, OUT_ONE_ROW(((const Tw__AlertAckReply *)m)->alert), NULL);
        cli_free_reply(m);
        if (code)
            return code;
    }
    return CLI_OK;
}

/* ---- Silences ---- */

static const struct out_col silence_columns[] = {
    { .title = "SILENCE", .name = "id", .as = OUT_AS_COUNT },
    { .title = "STATE", .name = "state" },
    { .title = "MATCH", .name = "match" },
    { .title = "FROM", .name = "start_ns", .as = OUT_AS_TIME },
    { .title = "TO", .name = "end_ns", .as = OUT_AS_TIME },
    { .title = "ALERTS", .name = "alerts", .as = OUT_AS_COUNT, .drop = 3 },
    { .title = "BY", .name = "author", .drop = 2 },
    { .title = "REASON", .name = "reason", .drop = 1 },
};

static void put_silence(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__AlertSilenceInfo *s = row;

    (void)ctx;
    out_u64(r, "id", s->id);
    out_text(r, "state", s->state);
    out_style(r, "state", strcmp(s->state, "over") ? OUT_PLAIN : OUT_DIM);
    out_text(r, "match", s->match);
    out_ns(r, "start_ns", s->start_ns);
    out_ns(r, "end_ns", s->end_ns);
    out_u64(r, "alerts", s->alerts);
    out_text(r, "author", s->author);
    out_text(r, "reason", s->reason);
    out_ns(r, "made_ns", s->made_ns);
}

static const Tw__AlertSilenceInfo no_silence = TW__ALERT_SILENCE_INFO__INIT;
static const struct out_listing silences = { .key = "silences",
                                             .columns = silence_columns,
                                             .n_columns = TW_NELEM(silence_columns),
                                             .put = put_silence,
                                             .none = &no_silence,
                                             .empty = "No silence: twampctl alert silence MATCH --for 2h" };

static enum cli_exit print_silence(struct cli *c, const char *done, const Tw__AlertSilenceInfo *s)
{
    char from[OUT_NUM], to[OUT_NUM];

    if (!s)
        return cli_fail(CLI_FAILED, "the controller's answer lacks the silence");
    if (!cli_for_people(c))
        return cli_print_list(c, &silences, OUT_ONE_ROW(s), NULL);
    printf("Silence %" PRIu64 " %s: ", s->id, done);
    out_safe(stdout, s->match, false);
    printf(", from %s to %s, %u alert%s now\n", out_time(s->start_ns, from), out_time(s->end_ns, to),
           s->alerts, s->alerts == 1 ? "" : "s");
    return CLI_OK;
}

enum cli_exit cmd_alert_silence(struct cli *c)
{
    Tw__AlertSilenceRequest rq = TW__ALERT_SILENCE_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    char user[64];
    enum cli_exit code = filter_time(c, "from", c->opt.from, &rq.start_ns);

    rq.match = c->args.v[0];
    rq.duration_ns = c->opt.to ? 0 : c->opt.silence_ns;
    rq.author = c->opt.author ? c->opt.author : ctl_user_name(user);
    rq.reason = or_empty(c->opt.reason);
    if (!code)
        code = filter_time(c, "to", c->opt.to, &rq.end_ns);
    if (!code)
        code = cli_call(c, "AlertSilence", &rq.base, &m);
    if (!code)
        code = print_silence(c, "made", ((const Tw__AlertSilenceReply *)m)->silence);
    cli_free_reply(m);
    return code;
}

enum cli_exit cmd_alert_unsilence(struct cli *c)
{
    Tw__AlertUnsilenceRequest rq = TW__ALERT_UNSILENCE_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    char user[64];
    enum cli_exit code =
        alerts_read_id(c->args.v[0], "a silence: twampctl alert silences shows them", &rq.id);

    rq.author = c->opt.author ? c->opt.author : ctl_user_name(user);
    if (!code)
        code = cli_call(c, "AlertUnsilence", &rq.base, &m);
    if (!code)
        code = print_silence(c, "ended", ((const Tw__AlertSilenceReply *)m)->silence);
    cli_free_reply(m);
    return code;
}

enum cli_exit cmd_alert_silences(struct cli *c)
{
    Tw__AlertSilencesRequest rq = TW__ALERT_SILENCES_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const Tw__AlertSilencesReply *reply;
    enum cli_exit code;

    rq.all = c->opt.all;
    code = cli_call(c, "AlertSilences", &rq.base, &m);
    reply = (const Tw__AlertSilencesReply *)m;
    if (!code)
        code = cli_print_list(c, &silences, OUT_ROWS(reply->silences, reply->n_silences), NULL);
    cli_free_reply(m);
    return code;
}

/* ---- Receivers ---- */

static const struct out_col receiver_columns[] = {
    { .title = "RECEIVER", .name = "name" },
    { .title = "KIND", .name = "kind" },
    { .title = "FORMAT", .name = "format", .drop = 4 },
    { .title = "STATE", .name = "state" },
    { .title = "QUEUED", .name = "queued", .as = OUT_AS_COUNT },
    { .title = "SENT", .name = "sent", .as = OUT_AS_COUNT },
    { .title = "FAILED", .name = "failed", .as = OUT_AS_COUNT, .drop = 3 },
    { .title = "REFUSED", .name = "refused", .as = OUT_AS_COUNT, .drop = 3 },
    { .title = "DROPPED", .name = "dropped", .as = OUT_AS_COUNT },
    { .title = "LAST SENT", .name = "last_sent_ns", .as = OUT_AS_AGO, .drop = 2 },
    { .title = "LAST ERROR", .name = "last_error", .drop = 1 },
    { .title = "LAST FAILED", .name = "last_failed_ns", .as = OUT_AS_AGO, .wide = true },
    { .title = "NEXT TRY", .name = "next_try_ns", .as = OUT_AS_TIME, .wide = true },
};

static void put_receiver(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__AlertReceiverInfo *i = row;

    (void)ctx;
    out_text(r, "name", i->name);
    out_text(r, "kind", i->kind);
    out_text(r, "format", i->format);
    out_text(r, "state", i->state);
    out_style(r, "state", strcmp(i->state, "retrying") ? OUT_PLAIN : OUT_BAD);
    out_u64(r, "queued", i->queued);
    out_u64(r, "queue_max", i->queue_max);
    out_u64(r, "sent", i->sent);
    out_u64(r, "failed", i->failed);
    out_u64(r, "refused", i->refused);
    out_style(r, "refused", i->refused ? OUT_BAD : OUT_PLAIN);
    out_u64(r, "dropped", i->dropped);
    out_style(r, "dropped", i->dropped ? OUT_BAD : OUT_PLAIN);
    out_ns(r, "last_sent_ns", i->last_sent_ns);
    out_ns(r, "last_failed_ns", i->last_failed_ns);
    out_text(r, "last_error", i->last_error);
    out_ns(r, "next_try_ns", i->next_try_ns);
}

static const Tw__AlertReceiverInfo no_receiver = TW__ALERT_RECEIVER_INFO__INIT;
static const struct out_listing receivers = {
    .key = "receivers",
    .columns = receiver_columns,
    .n_columns = TW_NELEM(receiver_columns),
    .put = put_receiver,
    .none = &no_receiver,
    .empty = "No receivers, so nobody is told: an alert document has them (twampctl alert apply -f FILE)."
};

enum cli_exit cmd_alert_receivers(struct cli *c)
{
    Tw__AlertReceiversRequest rq = TW__ALERT_RECEIVERS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const Tw__AlertReceiversReply *reply;
    enum cli_exit code = cli_call(c, "AlertReceivers", &rq.base, &m);

    reply = (const Tw__AlertReceiversReply *)m;
    if (!code)
        code = cli_print_list(c, &receivers, OUT_ROWS(reply->receivers, reply->n_receivers), NULL);
    cli_free_reply(m);
    return code;
}
