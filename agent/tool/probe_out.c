/* agent/tool/probe_out.c - see probe_out.h. */
#include "agent/tool/probe_out.h"

#include <inttypes.h>
#include <string.h>
#include "agent/tool/options.h"
#include "common/dscp.h"
#include "common/json.h"

enum { LABEL = 16, SENT_TTL = 255, TAI_MINUS_UTC_S = 37 };

/* ---- Words, the same in text and JSON ---- */

static const char *const countings[] = { "unknown", "stateful", "stateless" };
static const char *const sizings[] = { "unknown", "as_request", "fixed", "other" };
static const char *const paddings[] = { "unknown", "shifted", "kept", "zero", "other" };
static const char *const formats[] = { "unknown", "ntp", "ptp", "ptp_from_1900" };
static const char *const markings[] = { "unknown", "copied", "fixed", "other" };
static const char *const tlv_states[] = { "no_answer", "not_read",  "answered", "unrecognised",
                                          "malformed", "integrity", "missing" };

/* ---- Notes ---- */

static bool no_answer(const struct probe_findings *f)
{
    return f->kind == PROBE_NOTHING;
}
static bool use_stamp(const struct probe_findings *f)
{
    return f->stamp && f->kind != PROBE_DOMOSLABS;
}
static bool use_light(const struct probe_findings *f)
{
    return f->readable && !use_stamp(f);
}
static bool is_swapped(const struct probe_findings *f)
{
    return f->swapped;
}
static bool is_stateless(const struct probe_findings *f)
{
    return f->counting == PROBE_STATELESS;
}
static bool is_fixed(const struct probe_findings *f)
{
    return f->sizing == PROBE_FIXED;
}
static bool has_no_residence(const struct probe_findings *f)
{
    return f->readable && !f->times_distinct;
}
static bool is_unsynced(const struct probe_findings *f)
{
    return f->readable && f->err_est_ok && !f->synced;
}
static bool is_corrupt(const struct probe_findings *f)
{
    return f->readable && !f->err_est_ok;
}
static bool counts_from_1900(const struct probe_findings *f)
{
    return f->format == PROBE_PTP_1900;
}
static bool is_tai(const struct probe_findings *f)
{
    int64_t off = f->clock_offset_ns - TAI_MINUS_UTC_S * TW_NS_PER_S;

    return f->format == PROBE_PTP_FORMAT && off < TW_NS_PER_S && off > -TW_NS_PER_S;
}
static bool answers_noise(const struct probe_findings *f)
{
    return f->answers_short && f->readable;
}

static const struct {
    bool (*when)(const struct probe_findings *f);
    const char *text;
} notes[] = {
    { no_answer,
      "check the port (TWAMP Light and STAMP: 862; twampy: 20001), filters, and that reflecting is on; "
      "reflectors of TWAMP-Control sessions, and those that demand authentication, do not answer this" },
    { use_stamp, "measure with protocol stamp" },
    { use_light, "measure with protocol light" },
    { is_swapped, "T1 and T3 are swapped: the round trip can be computed, delays in one direction cannot" },
    { is_stateless, "it copies the sender's number: loss cannot be told by direction" },
    { is_fixed, "answers have one size: the way back carries another load than the way there" },
    { has_no_residence,
      "it tells no time of its own between receiving and sending: what it needs counts as delay" },
    { is_unsynced, "its clock is not synchronised, as it says: delays in one direction are not valid" },
    { is_corrupt, "its Error Estimate has multiplier 0: senders that keep to RFC 4656 discard its answers" },
    { counts_from_1900,
      "says PTP but counts seconds from 1900: senders that keep to RFC 8186 are 70 years off" },
    { is_tai, "its clock is TAI, 37 s ahead of UTC: one-way delays are off by that" },
    { answers_noise, "answers even what is too short for a test packet" },
};

const char *probe_note(const struct probe_findings *f, size_t i)
{
    for (size_t k = 0; k < TW_NELEM(notes); k++)
        if (notes[k].when(f) && !i--)
            return notes[k].text;
    return NULL;
}

/* ---- Text ---- */

static void label(FILE *to, const char *name)
{
    fprintf(to, "  %-*s", LABEL, name);
}

static void line(FILE *to, const char *name, const char *text)
{
    label(to, name);
    fprintf(to, "%s\n", text);
}

static double ms(int64_t ns)
{
    return (double)ns / (double)TW_NS_PER_MS;
}

static void print_numbers(FILE *to, const struct probe_findings *f)
{
    static const char *const counting[] = {
        "unknown", "stateful: numbers its answers itself, so loss can be told by direction",
        "stateless: its answers carry the sender's number"
    };
    static const char *const padding[] = { "unknown: no answer has any",
                                           "the sender's, from its start (RFC 5357)",
                                           "the sender's, at the same place (STAMP)", "zeros",
                                           "something else" };

    line(to, "numbers", counting[f->counting]);
    label(to, "size of answers");
    if (f->sizing == PROBE_AS_REQUEST)
        fprintf(to, "as long as the request, at least %zu octets\n", f->reply_min);
    else if (f->sizing == PROBE_FIXED)
        fprintf(to, "%zu octets, whatever the request has\n", f->reply_min);
    else
        fprintf(to, "%s, at least %zu octets\n",
                f->sizing == PROBE_SIZING_OTHER ? "by no rule known" : "unknown", f->reply_min);
    line(to, "padding", padding[f->padding]);
}

static void print_clock(FILE *to, const struct probe_findings *f)
{
    static const char *const format[] = { "unknown", "NTP", "PTP", "PTP (with seconds from 1900)" };

    label(to, "timestamps");
    fprintf(to, "%s format%s; T1 %s; T2 and T3 %s\n", format[f->format],
            f->format_follows ? " (PTP to who sends it)" : "",
            f->swapped       ? "in the place of T3"
            : f->t1_returned ? "returned"
                             : "NOT returned as sent",
            f->times_distinct ? "distinct" : "the same");
    label(to, "round trip");
    fprintf(to, "%.3f ms at least; inside the reflector %.3f to %.3f ms\n", ms(f->round_trip_min_ns),
            ms(f->residence_min_ns), ms(f->residence_max_ns));
    label(to, "its clock");
    fprintf(to, "%+.3f ms against this host's, if both ways are equal; ", ms(f->clock_offset_ns));
    if (!f->err_est_ok)
        fprintf(to, "Error Estimate not valid\n");
    else if (f->synced)
        fprintf(to, "synchronised, error %.3f ms\n", ms(f->clock_error_ns));
    else
        fprintf(to, "not synchronised\n");
}

static void print_header(FILE *to, const struct probe_report *r)
{
    const struct probe_findings *f = r->findings;

    label(to, "TTL");
    if (f->ttl_returned)
        fprintf(to, "returned: ours came there with %u of %u; ", f->ttl_seen, SENT_TTL);
    else
        fprintf(to, "not returned; ");
    if (f->reply_ttl >= 0)
        fprintf(to, "its answers come with %d\n", f->reply_ttl);
    else
        fprintf(to, "that of its answers is not known\n");
    label(to, "DSCP");
    if (f->marking == PROBE_MARK_COPIED)
        fprintf(to, "answers have that of the request\n");
    else if (f->marking == PROBE_MARK_FIXED)
        fprintf(to, "answers come with %s, whatever the request has (or the network clears it)\n",
                dscp_name((uint8_t)f->dscp_plain));
    else if (f->marking == PROBE_MARK_OTHER)
        fprintf(to, "answers to requests with BE and %s come with %d and %d\n", dscp_name(r->cfg->dscp),
                f->dscp_plain, f->dscp_marked);
    else
        fprintf(to, "unknown\n");
}

static void list_tlvs(FILE *to, const struct probe_findings *f, enum probe_tlv state, const char *words)
{
    bool first = true;

    for (unsigned type = 1; type < PROBE_TLV_TYPES; type++) {
        if (f->tlv[type] != state)
            continue;
        if (first)
            line(to, "", words);
        fprintf(to, "%*s%s", first ? LABEL + 4 : 0, "", first ? "" : ", ");
        fprintf(to, "%s", tool_tlv_name(type));
        first = false;
    }
    if (!first)
        fputc('\n', to);
}

static void print_seen(FILE *to, const struct probe_report *r)
{
    const struct stamp_tlv_seen *t = &r->findings->seen;
    char seen[TW_ADDR_TEXT], ours[TW_ADDR_TEXT];

    if (t->answered & STAMP_TLV_BIT(STAMP_TLV_LOCATION) && t->location_source.family) {
        label(to, "");
        fprintf(to, "sees us as %s (we are %s)\n", tw_addr_format(&t->location_source, seen),
                tw_addr_format(&r->source, ours));
    }
    if (t->answered & STAMP_TLV_BIT(STAMP_TLV_COS)) {
        label(to, "");
        fprintf(to, "wished DSCP of the answer: %s\n",
                r->findings->reply_dscp_honoured ? "granted"
                : t->cos_refused                 ? "refused"
                                                 : "not seen here");
    }
}

static void print_stamp(FILE *to, const struct probe_report *r)
{
    const struct probe_findings *f = r->findings;

    line(to, "STAMP",
         f->ssid_returned ? "yes; returns the SSID (RFC 8972)"
         : f->stamp       ? "yes, of RFC 8762: no SSID, no TLVs"
                          : "no");
    if (!f->ssid_returned)
        return;
    line(to, "TLVs",
         f->tlv_unknown == PROBE_TLV_UNRECOGNISED && f->tlv_malformed == PROBE_TLV_IS_MALFORMED
             ? "unknown and malformed ones are flagged as they should be"
             : "unknown or malformed ones are NOT flagged as they should be");
    list_tlvs(to, f, PROBE_TLV_ANSWERED, "answered:");
    list_tlvs(to, f, PROBE_TLV_UNRECOGNISED, "not known to it:");
    list_tlvs(to, f, PROBE_TLV_INTEGRITY, "known, but its key is not ours:");
    list_tlvs(to, f, PROBE_TLV_IS_MALFORMED, "taken for malformed:");
    list_tlvs(to, f, PROBE_TLV_MISSING, "not in the answer:");
    list_tlvs(to, f, PROBE_TLV_NO_ANSWER, "not answered at all:");
    print_seen(to, r);
}

static void print_rates(FILE *to, const struct probe_findings *f)
{
    for (size_t i = 0; i < f->n_rates; i++) {
        const struct probe_rate *s = &f->rates[i];
        label(to, i ? "" : "rate");
        fprintf(to, "%u packets/s: %u of %u answered", s->sent_pps, s->answered, s->sent);
        if (f->counting == PROBE_STATEFUL && s->answered && s->answered < s->sent)
            fprintf(to, "; %u lost on the way there", probe_rate_lost_forward(s));
        fputc('\n', to);
    }
}

void probe_print_text(FILE *to, const struct probe_report *r)
{
    const struct probe_findings *f = r->findings;
    const char *note;

    fprintf(to, "%s: %s\n", r->hosts->target, probe_kind_text(f->kind));
    label(to, "answered");
    fprintf(to, "%u of %u kinds of packet%s\n", f->steps_answered, f->steps_sent,
            r->interrupted ? " (interrupted)" : "");
    if (f->steps_answered) {
        print_numbers(to, f);
        if (f->readable)
            print_clock(to, f);
        print_header(to, r);
        print_stamp(to, r);
        print_rates(to, f);
    }
    if (r->extra.strange || r->extra.duplicates || r->extra.send_errors) {
        label(to, "besides");
        fprintf(to, "%" PRIu64 " duplicates, %" PRIu64 " strange datagrams, %" PRIu64 " send errors\n",
                r->extra.duplicates, r->extra.strange, r->extra.send_errors);
    }
    for (size_t i = 0; (note = probe_note(f, i)); i++)
        line(to, i ? "" : "notes", note);
}

/* ---- JSON ---- */

static void put_text(cJSON *o, const char *key, const char *text)
{
    json_put(o, key, cJSON_CreateString(text));
}

static void put_bool(cJSON *o, const char *key, bool known, bool v)
{
    json_put(o, key, known ? cJSON_CreateBool(v) : cJSON_CreateNull());
}

static void put_seconds(cJSON *o, const char *key, bool known, int64_t ns)
{
    json_put(o, key, known ? cJSON_CreateNumber((double)ns / (double)TW_NS_PER_S) : cJSON_CreateNull());
}

static void put_count(cJSON *o, const char *key, bool known, int64_t v)
{
    json_put(o, key, known ? cJSON_CreateNumber((double)v) : cJSON_CreateNull());
}

static void put_addr(cJSON *o, const char *key, const struct tw_addr *a)
{
    char text[TW_ADDR_TEXT];

    json_put(o, key, a->family ? cJSON_CreateString(tw_addr_format(a, text)) : cJSON_CreateNull());
}

static void put_times(cJSON *o, const struct probe_findings *f)
{
    bool known = f->readable;

    put_text(o, "timestamp_format", formats[f->format]);
    put_bool(o, "timestamp_format_follows", known, f->format_follows);
    put_bool(o, "t1_returned", known, f->t1_returned);
    put_bool(o, "t1_t3_swapped", known, f->swapped);
    put_bool(o, "t2_t3_distinct", known, f->times_distinct);
    put_seconds(o, "roundtrip_min_seconds", known, f->round_trip_min_ns);
    put_seconds(o, "residence_min_seconds", known, f->residence_min_ns);
    put_seconds(o, "residence_max_seconds", known, f->residence_max_ns);
    put_seconds(o, "clock_offset_seconds", known, f->clock_offset_ns);
    put_bool(o, "error_estimate_valid", known, f->err_est_ok);
    put_bool(o, "clock_synchronised", known && f->err_est_ok, f->synced);
    put_seconds(o, "clock_error_seconds", known && f->err_est_ok, f->clock_error_ns);
}

static void put_header(cJSON *o, const struct probe_report *r)
{
    const struct probe_findings *f = r->findings;

    put_bool(o, "ttl_returned", f->readable, f->ttl_returned);
    put_count(o, "ttl_forward", f->ttl_returned, f->ttl_seen);
    put_count(o, "ttl_backward", f->reply_ttl >= 0, f->reply_ttl);
    put_text(o, "dscp_of_answers", markings[f->marking]);
    put_count(o, "dscp_sent", true, r->cfg->dscp);
    put_count(o, "dscp_of_answer_to_0", f->dscp_plain >= 0, f->dscp_plain);
    put_count(o, "dscp_of_answer_to_sent", f->dscp_marked >= 0, f->dscp_marked);
}

static void put_stamp(cJSON *o, const struct probe_findings *f)
{
    cJSON *tlvs = cJSON_CreateObject(), *together = cJSON_CreateArray();
    bool cos = f->seen.answered & STAMP_TLV_BIT(STAMP_TLV_COS);
    bool info = f->seen.answered & STAMP_TLV_BIT(STAMP_TLV_TIMESTAMP_INFO);

    put_bool(o, "stamp", f->steps_answered, f->stamp);
    put_bool(o, "ssid_returned", f->steps_answered, f->ssid_returned);
    for (unsigned type = 1; type < PROBE_TLV_TYPES; type++) {
        put_text(tlvs, tool_tlv_name(type), tlv_states[f->tlv[type]]);
        if (f->tlvs_together & STAMP_TLV_BIT(type))
            cJSON_AddItemToArray(together, cJSON_CreateString(tool_tlv_name(type)));
    }
    json_put(o, "tlvs", tlvs);
    put_text(o, "tlv_unknown", tlv_states[f->tlv_unknown]);
    put_text(o, "tlv_malformed", tlv_states[f->tlv_malformed]);
    json_put(o, "tlvs_together", together);
    put_bool(o, "wished_dscp_granted", f->tlv[STAMP_TLV_COS] == PROBE_TLV_ANSWERED, f->reply_dscp_honoured);
    put_addr(o, "location_source", &f->seen.location_source);
    put_addr(o, "location_target", &f->seen.location_target);
    put_count(o, "cos_dscp_received", cos, f->seen.cos_dscp);
    put_count(o, "sync_source", info, f->seen.sync_in);
    put_count(o, "timestamp_method_in", info, f->seen.method_in);
    put_count(o, "timestamp_method_out", info, f->seen.method_out);
}

static void put_rates(cJSON *o, const struct probe_findings *f)
{
    cJSON *rates = cJSON_CreateArray();

    for (size_t i = 0; i < f->n_rates; i++) {
        const struct probe_rate *s = &f->rates[i];
        cJSON *stage = cJSON_CreateObject();
        put_count(stage, "wanted_pps", true, s->pps);
        put_count(stage, "sent_pps", true, s->sent_pps);
        put_count(stage, "sent", true, s->sent);
        put_count(stage, "answered", true, s->answered);
        put_count(stage, "lost_forward", f->counting == PROBE_STATEFUL && s->answered,
                  probe_rate_lost_forward(s));
        cJSON_AddItemToArray(rates, stage);
    }
    json_put(o, "rates", rates);
    put_count(o, "pps_without_loss", f->n_rates, f->pps_without_loss);
}

static void put_notes(cJSON *o, const struct probe_findings *f)
{
    cJSON *a = cJSON_CreateArray();
    const char *note;

    for (size_t i = 0; (note = probe_note(f, i)); i++)
        cJSON_AddItemToArray(a, cJSON_CreateString(note));
    json_put(o, "notes", a);
}

void probe_print_json(FILE *to, const struct probe_report *r)
{
    const struct probe_findings *f = r->findings;
    cJSON *o = cJSON_CreateObject();
    char *text;

    put_text(o, "schema", "twampmesh/probe/v1");
    put_text(o, "target", r->hosts->target);
    put_addr(o, "target_address", &r->hosts->remote);
    put_addr(o, "source", &r->source);
    json_time(o, "start", "start_ns", r->start.ns);
    json_time(o, "end", "end_ns", r->end.ns);
    put_bool(o, "interrupted", true, r->interrupted);
    put_text(o, "kind", probe_kind_name(f->kind));
    put_text(o, "description", probe_kind_text(f->kind));
    put_count(o, "steps_sent", true, f->steps_sent);
    put_count(o, "steps_answered", true, f->steps_answered);
    put_text(o, "counting", countings[f->counting]);
    put_text(o, "reply_size", sizings[f->sizing]);
    put_count(o, "reply_min_bytes", f->steps_answered, (int64_t)f->reply_min);
    put_text(o, "padding", paddings[f->padding]);
    put_bool(o, "answers_short_packets", f->steps_answered, f->answers_short);
    put_times(o, f);
    put_header(o, r);
    put_stamp(o, f);
    put_rates(o, f);
    json_u64(o, "duplicates", r->extra.duplicates);
    json_u64(o, "strange_datagrams", r->extra.strange);
    json_u64(o, "send_errors", r->extra.send_errors);
    put_notes(o, f);
    text = cJSON_PrintUnformatted(o);
    if (text)
        fprintf(to, "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(o);
}
