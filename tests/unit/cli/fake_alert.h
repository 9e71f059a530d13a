/* tests/unit/cli/fake_alert.h - the alerts of the controller that twampctl is tested against. */
#ifndef TW_TESTS_UNIT_CLI_FAKE_ALERT_H
#define TW_TESTS_UNIT_CLI_FAKE_ALERT_H

#include "admin.pb-c.h"
#include "common/net/rpc.h"

#define FAKE_ALERT_NS INT64_C(1795766400000000000)

static inline Tw__AlertNumber fake_number(double v)
{
    Tw__AlertNumber n = TW__ALERT_NUMBER__INIT;

    n.value = v;
    return n;
}

/* 0: a site, 1: a pair that it explains, 2: a pair by its own. */
static inline Tw__AlertInfo fake_alert(int i)
{
    static Tw__AlertNumber loss, level, worst, delay, usual;
    Tw__AlertInfo a = TW__ALERT_INFO__INIT;

    loss = fake_number(0.5);
    level = fake_number(0.05);
    worst = fake_number(1);
    delay = fake_number(0.0312);
    usual = fake_number(0.0104);
    a.id = UINT64_C(1795749440) + (unsigned)i;
    a.state = (char *)(i == 2 ? "pending" : "firing");
    a.severity = (char *)(i == 2 ? "warning" : "critical");
    a.kind = (char *)(i ? "pair" : "site");
    a.subject = (char *)(i ? "a\033[31mms > fra" : "ams");
    a.metric = (char *)(i == 0 ? "" : i == 1 ? "loss" : "p95");
    a.direction = (char *)(i == 2 ? "forward" : "");
    a.rule = (char *)(i == 0 ? "" : i == 1 ? "loss" : "delay-unusual");
    a.summary = (char *)(i ? "loss 50% (raised at 5%) from ams to fra"
                           : "site ams: 17 of 18 pairs from and to it are bad");
    a.mesh = (char *)(i ? "voice" : "");
    a.class_name = (char *)(i ? "ef" : "");
    a.value = i == 0 ? NULL : i == 1 ? &loss : &delay;
    a.level = i == 1 ? &level : NULL;
    a.worst = i == 1 ? &worst : NULL;
    a.baseline = i == 2 ? &usual : NULL;
    a.pending_ns = FAKE_ALERT_NS;
    a.fired_ns = i == 2 ? 0 : FAKE_ALERT_NS + 30 * TW_NS_PER_S;
    a.bad_pairs = i ? 0 : 17;
    a.pairs = i ? 0 : 18;
    a.cause = i == 1 ? UINT64_C(1795749440) : 0;
    a.quiet = (char *)(i == 1 ? "explained" : "");
    a.quiet_reason = (char *)(i == 1 ? "by alert 1795749440" : "");
    a.told = !i;
    a.notices = !i;
    return a;
}

static void fake_alert_list(Tw__Admin_Service *s, const Tw__AlertListRequest *rq,
                            Tw__AlertListReply_Closure closure, void *data)
{
    Tw__AlertListReply reply = TW__ALERT_LIST_REPLY__INIT;
    Tw__AlertInfo v[3] = { fake_alert(0), fake_alert(1), fake_alert(2) }, *all[] = { &v[0], &v[1], &v[2] };

    (void)s;
    reply.alerts = all;
    reply.n_alerts = fake->empty || !strcmp(rq->state, "resolved") ? 0 : rq->roots ? 1 : 3;
    reply.firing = 2;
    reply.pending = 1;
    reply.truncated = rq->limit == 3;
    closure(&reply, data);
}

static void fake_alert_show(Tw__Admin_Service *s, const Tw__AlertRequest *rq,
                            Tw__AlertShowReply_Closure closure, void *data)
{
    Tw__AlertShowReply reply = TW__ALERT_SHOW_REPLY__INIT;
    Tw__AlertInfo a = fake_alert(0), pair = fake_alert(1), *evidence[] = { &pair };
    Tw__AlertLabel kind = TW__ALERT_LABEL__INIT, site = TW__ALERT_LABEL__INIT, *labels[] = { &kind, &site };
    char *receivers[] = { (char *)"am", (char *)"pager" };

    (void)s;
    if (rq->id != a.id) {
        rpc_fail(data, TW__STATUS__STATUS_NOT_FOUND,
                 "no alert 7: twampctl alert list shows those that go on");
        return;
    }
    kind.key = (char *)"kind";
    kind.value = (char *)"site";
    site.key = (char *)"site";
    site.value = (char *)"ams";
    reply.alert = &a;
    reply.evidence = evidence;
    reply.n_evidence = 1;
    reply.labels = labels;
    reply.n_labels = 2;
    reply.receivers = receivers;
    reply.n_receivers = 2;
    closure(&reply, data);
}

static void fake_alert_ack(Tw__Admin_Service *s, const Tw__AlertAckRequest *rq,
                           Tw__AlertAckReply_Closure closure, void *data)
{
    Tw__AlertAckReply reply = TW__ALERT_ACK_REPLY__INIT;
    Tw__AlertInfo a = fake_alert(0);

    (void)s;
    a.acked_by = rq->author;
    a.ack_reason = rq->reason;
    a.acked_ns = FAKE_ALERT_NS;
    reply.alert = &a;
    closure(&reply, data);
}

static void fake_alert_rules(Tw__Admin_Service *s, const Tw__AlertRulesRequest *rq,
                             Tw__AlertRulesReply_Closure closure, void *data)
{
    Tw__AlertRulesReply reply = TW__ALERT_RULES_REPLY__INIT;
    Tw__AlertRuleInfo a = TW__ALERT_RULE_INFO__INIT, b = a, *rules[] = { &a, &b };

    (void)s;
    (void)rq;
    a.name = (char *)"voice-loss";
    a.metric = (char *)"loss";
    a.scope = (char *)"class";
    a.matches = (char *)"class=voice";
    a.warning = (char *)"raise 0.5%, clear 0.2%";
    a.critical = (char *)"raise 3%, clear 1%";
    a.for_time_ns = 30 * TW_NS_PER_S;
    a.firing = 2;
    a.line = 8;
    b.name = (char *)"lab";
    b.metric = (char *)"agent_down";
    b.scope = (char *)"group";
    b.matches = (char *)"select=(role=lab)";
    b.off = true;
    b.line = 20;
    reply.version = fake->empty ? 0 : 3;
    reply.time_ns = FAKE_ALERT_NS;
    reply.author = (char *)"op";
    reply.rules = rules;
    reply.n_rules = 2;
    closure(&reply, data);
}

static void fake_alert_explain(Tw__Admin_Service *s, const Tw__AlertExplainRequest *rq,
                               Tw__AlertExplainReply_Closure closure, void *data)
{
    Tw__AlertExplainReply reply = TW__ALERT_EXPLAIN_REPLY__INIT;
    Tw__AlertExplainRow a = TW__ALERT_EXPLAIN_ROW__INIT, b = a, c = a, *rows[] = { &a, &b, &c };
    Tw__AlertNumber value = fake_number(0.5);

    (void)s;
    (void)rq;
    a.mesh = b.mesh = c.mesh = (char *)"voice";
    a.class_name = b.class_name = c.class_name = (char *)"ef";
    a.metric = c.metric = (char *)"loss";
    a.rule = (char *)"voice-loss";
    a.applies = b.applies = true;
    a.why = b.why = (char *)"applies";
    a.levels = (char *)"warning: raise 0.5%, clear 0.2%";
    a.state = (char *)"firing";
    a.alert = 7;
    a.value = &value;
    b.metric = (char *)"p95";
    b.direction = (char *)"roundtrip";
    b.rule = (char *)"delay-unusual";
    b.levels = (char *)"warning: raise 2x, clear 1.5x";
    b.state = (char *)"ok";
    b.baseline_known_ns = 3 * 3600 * TW_NS_PER_S;
    b.baseline_wanted_ns = 24 * 3600 * TW_NS_PER_S;
    c.rule = (char *)"loss";
    c.why = (char *)"a more specific rule goes first";
    c.other = (char *)"voice-loss";
    reply.rows = rows;
    reply.n_rows = 3;
    closure(&reply, data);
}

static void fake_alert_apply(Tw__Admin_Service *s, const Tw__AlertApplyRequest *rq,
                             Tw__AlertApplyReply_Closure closure, void *data)
{
    Tw__AlertApplyReply reply = TW__ALERT_APPLY_REPLY__INIT;
    Tw__AlertDocumentError e = TW__ALERT_DOCUMENT_ERROR__INIT;

    (void)s;
    e.line = 1;
    e.column = 8;
    e.path = (char *)"rules";
    e.text = (char *)"expected 1 to 1000 rules, got 0";
    reply.error = strstr(rq->document, "{}") ? &e : NULL;
    reply.version = 4;
    reply.rules = 2;
    reply.receivers = 1;
    reply.routes = 1;
    closure(&reply, data);
}

static void fake_alert_export(Tw__Admin_Service *s, const Tw__AlertExportRequest *rq,
                              Tw__AlertExportReply_Closure closure, void *data)
{
    Tw__AlertExportReply reply = TW__ALERT_EXPORT_REPLY__INIT;
    Tw__AlertDocument d = TW__ALERT_DOCUMENT__INIT;

    (void)s;
    d.version = rq->version ? rq->version : 3;
    d.document = (char *)"rules: { a: { metric: loss, info: { raise: 1% } } }\n";
    reply.document = &d;
    closure(&reply, data);
}

static void fake_alert_history(Tw__Admin_Service *s, const Tw__AlertHistoryRequest *rq,
                               Tw__AlertHistoryReply_Closure closure, void *data)
{
    Tw__AlertHistoryReply reply = TW__ALERT_HISTORY_REPLY__INIT;
    Tw__AlertDocument d = TW__ALERT_DOCUMENT__INIT, *all[] = { &d };

    (void)s;
    (void)rq;
    d.version = 3;
    d.time_ns = FAKE_ALERT_NS;
    d.author = (char *)"op";
    d.reason = (char *)"voice is stricter";
    reply.documents = all;
    reply.n_documents = 1;
    closure(&reply, data);
}

static inline Tw__AlertSilenceInfo fake_silence_row(const char *match)
{
    Tw__AlertSilenceInfo i = TW__ALERT_SILENCE_INFO__INIT;

    i.id = 7;
    i.match = (char *)match;
    i.start_ns = FAKE_ALERT_NS;
    i.end_ns = FAKE_ALERT_NS + 7200 * TW_NS_PER_S;
    i.author = (char *)"op";
    i.reason = (char *)"carrier works";
    i.state = (char *)"active";
    i.alerts = 2;
    return i;
}

static void fake_alert_silence(Tw__Admin_Service *s, const Tw__AlertSilenceRequest *rq,
                               Tw__AlertSilenceReply_Closure closure, void *data)
{
    Tw__AlertSilenceReply reply = TW__ALERT_SILENCE_REPLY__INIT;
    Tw__AlertSilenceInfo i = fake_silence_row(rq->match);

    (void)s;
    reply.silence = &i;
    closure(&reply, data);
}

static void fake_alert_unsilence(Tw__Admin_Service *s, const Tw__AlertUnsilenceRequest *rq,
                                 Tw__AlertSilenceReply_Closure closure, void *data)
{
    Tw__AlertSilenceReply reply = TW__ALERT_SILENCE_REPLY__INIT;
    Tw__AlertSilenceInfo i = fake_silence_row("mesh=voice");

    (void)s;
    (void)rq;
    reply.silence = &i;
    closure(&reply, data);
}

static void fake_alert_silences(Tw__Admin_Service *s, const Tw__AlertSilencesRequest *rq,
                                Tw__AlertSilencesReply_Closure closure, void *data)
{
    Tw__AlertSilencesReply reply = TW__ALERT_SILENCES_REPLY__INIT;
    Tw__AlertSilenceInfo i = fake_silence_row("mesh=voice,source.site=ams"), *all[] = { &i };

    (void)s;
    (void)rq;
    reply.silences = all;
    reply.n_silences = 1;
    closure(&reply, data);
}

static void fake_alert_receivers(Tw__Admin_Service *s, const Tw__AlertReceiversRequest *rq,
                                 Tw__AlertReceiversReply_Closure closure, void *data)
{
    Tw__AlertReceiversReply reply = TW__ALERT_RECEIVERS_REPLY__INIT;
    Tw__AlertReceiverInfo a = TW__ALERT_RECEIVER_INFO__INIT, b = a, *all[] = { &a, &b };

    (void)s;
    (void)rq;
    a.name = (char *)"am";
    a.kind = (char *)"webhook";
    a.format = (char *)"alertmanager";
    a.state = (char *)"retrying";
    a.queued = 3;
    a.queue_max = 1000;
    a.sent = 12;
    a.failed = 4;
    a.last_failed_ns = a.last_sent_ns = FAKE_ALERT_NS;
    a.last_error = (char *)"HTTP status 503: come later";
    b.name = (char *)"pager";
    b.kind = (char *)"command";
    b.state = (char *)"idle";
    reply.receivers = all;
    reply.n_receivers = 2;
    closure(&reply, data);
}

#endif
