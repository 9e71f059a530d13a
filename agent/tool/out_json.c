/* agent/tool/out_json.c - one JSON document per report, on a line of its own: docs/schema/run-v1.json. With
 * --raw also one per packet: docs/schema/packet-v1.json. */
#include <stdlib.h>
#include "agent/tool/out.h"
#include "common/dscp.h"
#include "common/json.h"

static void put_text(cJSON *o, const char *key, const char *text)
{
    json_put(o, key, cJSON_CreateString(text));
}

static void put_addr(cJSON *o, const char *key, const struct tw_addr *a)
{
    char text[TW_ADDR_TEXT];

    json_put(o, key, a->family ? cJSON_CreateString(tw_addr_format(a, text)) : cJSON_CreateNull());
}

static void put_seconds(cJSON *o, const char *key, bool known, int64_t ns)
{
    json_num(o, key, (struct tw_num){ known, (double)ns / 1e9 });
}

static void put_octet(cJSON *o, const char *key, int v)
{
    json_put(o, key, v < 0 ? cJSON_CreateNull() : cJSON_CreateNumber(v));
}

static void print_line(FILE *to, cJSON *root)
{
    char *text = root ? cJSON_PrintUnformatted(root) : NULL;

    if (text)
        fprintf(to, "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(root);
}

/* ---- Reports ---- */

static cJSON *tlv_names(uint32_t types)
{
    cJSON *a = cJSON_CreateArray();

    for (unsigned t = 1; t < 32; t++)
        if (types & STAMP_TLV_BIT(t))
            cJSON_AddItemToArray(a, cJSON_CreateString(tool_tlv_name((enum stamp_tlv_type)t)));
    return a;
}

static cJSON *sizes(const struct plan *p)
{
    cJSON *a = cJSON_CreateArray();

    if (p->size_bytes)
        cJSON_AddItemToArray(a, cJSON_CreateNumber(p->size_bytes));
    for (int i = 0; !p->size_bytes && i < 3; i++)
        cJSON_AddItemToArray(a, cJSON_CreateNumber(p->imix_bytes[i]));
    return a;
}

static cJSON *options(const struct plan *p)
{
    const struct session_cfg *s = &p->run.session;
    cJSON *o = cJSON_CreateObject();

    put_text(o, "protocol", p->protocol);
    put_text(o, "auth", p->auth);
    json_put(o, "count", s->count ? cJSON_CreateNumber((double)s->count) : cJSON_CreateNull());
    put_seconds(o, "interval_seconds", true, s->spacing_ns);
    put_text(o, "spacing", s->spacing_kind == SESSION_EXPONENTIAL ? "exponential" : "fixed");
    put_seconds(o, "timeout_seconds", true, s->timeout_ns);
    put_seconds(o, "report_period_seconds", s->report_period_ns != RUN_ONE_PERIOD_NS, s->report_period_ns);
    json_put(o, "sizes", sizes(p));
    json_put(o, "zero_padding", cJSON_CreateBool(s->zero_padding));
    json_put(o, "tos", cJSON_CreateNumber(p->run.tos));
    json_put(o, "dscp", cJSON_CreateNumber(p->run.tos >> 2));
    put_text(o, "dscp_name", dscp_name(p->run.tos >> 2));
    json_put(o, "ttl", cJSON_CreateNumber(p->run.ttl));
    json_put(o, "do_not_fragment", cJSON_CreateBool(p->df));
    json_put(o, "flows", cJSON_CreateNumber((double)p->run.n_flows));
    json_put(o, "ssid", p->ssid ? cJSON_CreateNumber(p->ssid) : cJSON_CreateNull());
    json_put(o, "tlvs", tlv_names(p->tlvs));
    return o;
}

static cJSON *runs(const struct tw_loss_runs *l)
{
    cJSON *a = cJSON_CreateArray();

    for (size_t i = 0; i < l->n; i++) {
        const struct tw_loss_run *r = &l->v[i];
        cJSON *o = cJSON_CreateObject();
        json_put(o, "flow", cJSON_CreateNumber(r->flow));
        json_time(o, "start", "start_ns", r->start_ns);
        put_seconds(o, "duration_seconds", true, r->length_ns);
        json_u64(o, "probes", r->probes);
        json_put(o, "seq_first", cJSON_CreateNumber(r->seq_first));
        put_text(o, "direction", tw_direction_name(r->direction));
        json_put(o, "continues_before", cJSON_CreateBool(r->continues_before));
        json_put(o, "continues_after", cJSON_CreateBool(r->continues_after));
        cJSON_AddItemToArray(a, o);
    }
    return a;
}

static void put_numbers(cJSON *o, const struct tw_summary *s)
{
    struct stats_view v;

    stats_view(s, &v);
    put_text(o, "status", tw_status_name(v.status));
    json_time(o, "start", "start_ns", v.start_ns);
    json_time(o, "end", "end_ns", v.end_ns);
    json_stats(o, &v);
    json_put(o, "runs", runs(&s->runs));
}

static void print_report(FILE *to, const struct report *r)
{
    cJSON *root = cJSON_CreateObject(), *flows = cJSON_CreateArray(), *total = cJSON_CreateObject();

    put_text(root, "schema", "twampmesh/run/v1");
    put_text(root, "scope", r->whole ? "run" : "period");
    put_text(root, "status", tw_status_name(r->total->status));
    json_put(root, "interrupted", cJSON_CreateBool(r->interrupted));
    put_text(root, "target", r->plan->target);
    put_addr(root, "target_address", &r->plan->remote);
    put_addr(root, "source", &r->plan->source[0]);
    json_time(root, "start", "start_ns", r->total->start_ns);
    json_time(root, "end", "end_ns", r->total->end_ns);
    json_put(root, "options", options(r->plan));
    put_numbers(total, r->total);
    json_put(root, "total", total);
    for (size_t i = 0; i < r->n_flows; i++) {
        cJSON *f = cJSON_CreateObject();
        json_put(f, "flow", cJSON_CreateNumber((double)i));
        json_put(f, "source_port", cJSON_CreateNumber(r->plan->source[i].port));
        put_numbers(f, &r->flows[i]);
        cJSON_AddItemToArray(flows, f);
    }
    json_put(root, "flows", flows);
    print_line(to, root);
}

/* ---- Packets ---- */

static cJSON *tlv_findings(const struct stamp_tlv_seen *t)
{
    cJSON *o = cJSON_CreateObject();

    json_put(o, "answered", tlv_names(t->answered));
    json_put(o, "unrecognised", tlv_names(t->unrecognised));
    json_put(o, "malformed", cJSON_CreateBool(t->malformed));
    json_put(o, "integrity_failed", cJSON_CreateBool(t->integrity));
    if (t->answered & STAMP_TLV_BIT(STAMP_TLV_LOCATION)) {
        put_addr(o, "location_source", &t->location_source);
        put_addr(o, "location_target", &t->location_target);
    }
    if (t->answered & STAMP_TLV_BIT(STAMP_TLV_TIMESTAMP_INFO)) {
        put_octet(o, "sync_source_in", t->sync_in);
        put_octet(o, "timestamp_in", t->method_in);
        put_octet(o, "sync_source_out", t->sync_out);
        put_octet(o, "timestamp_out", t->method_out);
    }
    if (t->answered & STAMP_TLV_BIT(STAMP_TLV_COS)) {
        put_octet(o, "cos_dscp", t->cos_dscp);
        put_octet(o, "cos_ecn", t->cos_ecn);
        json_put(o, "cos_refused", cJSON_CreateBool(t->cos_refused));
    }
    if (t->answered & STAMP_TLV_BIT(STAMP_TLV_DIRECT)) {
        json_u64(o, "direct_sent", t->direct_tx);
        json_u64(o, "direct_received", t->direct_rx);
        json_u64(o, "direct_reflected", t->direct_reflected);
    }
    if (t->answered & STAMP_TLV_BIT(STAMP_TLV_ACCESS)) {
        put_octet(o, "access_id", t->access_id);
        put_octet(o, "access_code", t->access_code);
    }
    if (t->follow_up) {
        json_u64(o, "follow_up_seq", t->follow_up_seq);
        json_u64(o, "follow_up_time", t->follow_up_time);
        put_octet(o, "follow_up_timestamp", t->follow_up_method);
    }
    return o;
}

static void put_ns(cJSON *o, const char *key, int64_t ns)
{
    if (ns)
        json_i64(o, key, ns);
    else
        json_put(o, key, cJSON_CreateNull());
}

static void put_source(cJSON *o, const char *key, enum tw_ts_source source)
{
    json_put(o, key, source ? cJSON_CreateString(tw_ts_source_name(source)) : cJSON_CreateNull());
}

static void print_sample(FILE *to, const struct plan *p, unsigned flow, const struct session_sample *s)
{
    bool answered = s->t4.ns != 0;
    cJSON *o = cJSON_CreateObject();

    put_text(o, "schema", "twampmesh/packet/v1");
    put_text(o, "kind", out_sample_kind(s->kind));
    json_put(o, "flow", cJSON_CreateNumber(flow));
    json_u64(o, "seq", s->seq);
    json_put(o, "reflector_seq", answered ? cJSON_CreateNumber(s->reflector_seq) : cJSON_CreateNull());
    put_ns(o, "t1_ns", s->t1.ns);
    put_ns(o, "t2_ns", s->t2.ns);
    put_ns(o, "t3_ns", s->t3.ns);
    put_ns(o, "t4_ns", s->t4.ns);
    put_source(o, "tx_source", s->tx_source);
    put_source(o, "rx_source", s->rx_source);
    put_ns(o, "t1_used_ns", s->t1_used.ns);
    put_ns(o, "t3_used_ns", s->t3_used.ns);
    json_put(o, "followed_up", cJSON_CreateBool(s->followed_up));
    put_seconds(o, "delay_forward_seconds", s->timed, s->forward_ns);
    put_seconds(o, "delay_backward_seconds", s->timed, s->backward_ns);
    put_seconds(o, "delay_roundtrip_seconds", s->timed, s->forward_ns + s->backward_ns);
    json_put(o, "size", cJSON_CreateNumber(s->size_bytes));
    json_put(o, "reply_size", answered ? cJSON_CreateNumber(s->reply_bytes) : cJSON_CreateNull());
    put_octet(o, "ttl_forward", answered ? s->ttl_forward : -1);
    put_octet(o, "ttl_backward", answered ? s->ttl_backward : -1);
    put_octet(o, "tos_forward", answered ? s->tos_forward : -1);
    put_octet(o, "tos_backward", answered ? s->tos_backward : -1);
    put_octet(o, "ssid", answered && s->ssid ? s->ssid : -1);
    json_put(o, "tlvs", answered && p->tlvs ? tlv_findings(&s->tlvs) : cJSON_CreateNull());
    print_line(to, o);
}

const struct out_writer out_json = { .name = "json", .report = print_report, .periods = true };
const struct out_writer out_json_raw = {
    .name = "json with packets", .report = print_report, .sample = print_sample, .periods = true
};
