#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "admin.pb-c.h"
#include "common/clk.h"
#include "common/net/words.h"
#include "controller/http/pb_json.h"

#define NOW (INT64_C(1700000000) * TW_NS_PER_S)

static void error_of(const ProtobufCMessageDescriptor *d, const char *json, bool text, char ret[512])
{
    cJSON *o = cJSON_Parse(json);
    ProtobufCMessage *m = NULL;
    struct tw_err err = { 0 };
    enum tw_rc rc = pb_json_parse(d, o, text, NOW, &m, &err);

    snprintf(ret, 512, "%s", rc ? err.text : "");
    if (!rc)
        protobuf_c_message_free_unpacked(m, NULL);
    cJSON_Delete(o);
}

static const struct {
    const char *json;
    bool text;
    const char *error; /* a part of it; NULL: it is taken */
} requests[] = {
    /* to a PairFlightRequest */
    { "{}", false, NULL },
    { "{\"pairs\":{\"mesh\":\"m\",\"class\":\"c\",\"limit\":3},\"reason\":\"x\"}", false, NULL },
    { "{\"pairs\":null,\"cause\":null}", false, NULL },
    { "{\"at\":\"2026-11-23T12:00:00Z\"}", false, NULL },
    { "{\"at\":\"-15m\"}", false, NULL },
    { "{\"at\":1700000000}", false, NULL },
    { "{\"at_ns\":1700000000}", false, NULL },
    { "{\"pair_id\":\"4503599627370497\"}", false, NULL },
    { "{\"pair_id\":1e300}", false, "pair_id: expected a whole number" },
    { "{\"pair_id\":-1}", false, "pair_id: expected a whole number" },
    { "{\"pair_id\":1.5}", false, "pair_id: expected" },
    { "{\"pair_id\":9007199254740994}", false, "beyond 2^53 as a text" },
    { "{\"flow\":4294967296}", false, "flow: expected a whole number, 0 to 4294967295" },
    { "{\"flow\":\"\"}", true, "flow: expected" },
    { "{\"flow\":\" 1\"}", true, "flow: expected" },
    { "{\"flow\":\"1x\"}", true, "flow: expected" },
    { "{\"flow\":\"12\",\"one_flow\":\"true\"}", true, NULL },
    { "{\"one_flow\":1}", false, "one_flow: expected true or false" },
    { "{\"one_flow\":\"yes\"}", true, "one_flow: expected true or false" },
    { "{\"reason\":7}", false, "reason: expected a text" },
    { "{\"reason\":\"a\",\"reason\":\"b\"}", false, "reason: expected it once" },
    { "{\"reason\":\"a\",\"flow\":1,\"reason\":\"b\"}", false, "reason: expected it once" },
    { "{\"pairs\":[]}", false, "pairs: expected an object" },
    { "{\"pairs\":{\"msh\":\"m\"}}", false, "unknown member \"msh\"; known: mesh, class, source" },
    { "{\"nosuch\":1}", false, "unknown member \"nosuch\"; known: pairs, pair_id" },
    { "{\"cause\":\"loss_run\"}", false, NULL },
    { "{\"cause\":\"loss-run\"}", false, "cause: expected one of command, alert, loss_run" },
    { "{\"at\":\"tomorrow\"}", false, "at_ns: expected a time" },
    { "[]", false, "expected a JSON object" },
};

static void what_is_taken_and_what_is_not(void **state)
{
    char error[512];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(requests); i++) {
        error_of(&tw__pair_flight_request__descriptor, requests[i].json, requests[i].text, error);
        if (requests[i].error ? !strstr(error, requests[i].error) : error[0])
            fail_msg("%s: \"%s\"", requests[i].json, error);
    }
}

static void values_arrive(void **state)
{
    cJSON *o =
        cJSON_Parse("{\"pairs\":{\"class\":\"voice\",\"from\":\"-15m\"},\"pair_id\":\"9007199254740993\","
                    "\"one_flow\":true,\"cause\":\"alert\"}");
    ProtobufCMessage *m = NULL;
    struct tw_err err = { 0 };
    const Tw__PairFlightRequest *r;

    (void)state;
    assert_int_equal(pb_json_parse(&tw__pair_flight_request__descriptor, o, false, NOW, &m, &err), TW_OK);
    r = (const Tw__PairFlightRequest *)m;
    assert_string_equal(r->pairs->class_name, "voice");
    assert_true(r->pairs->from_ns == NOW - 900 * TW_NS_PER_S);
    assert_true(r->pair_id == UINT64_C(9007199254740993));
    assert_true(r->one_flow);
    assert_int_equal(r->cause, TW__FLIGHT_CAUSE__FLIGHT_CAUSE_ALERT);
    assert_string_equal(r->reason, "");
    protobuf_c_message_free_unpacked(m, NULL);
    cJSON_Delete(o);
}

static void answers_are_exact(void **state)
{
    Tw__Label label = TW__LABEL__INIT, *labels[] = { &label };
    Tw__AgentInfo a = TW__AGENT_INFO__INIT;
    cJSON *o = cJSON_CreateObject();
    char *text;

    (void)state;
    label.key = (char *)"site";
    label.value = (char *)"ams";
    a.name = (char *)"a\"1";
    a.labels = labels;
    a.n_labels = 1;
    a.pairs = UINT64_C(9007199254740993);
    a.approved_ns = INT64_C(1795161600000000001);
    pb_json_add(o, &a.base);
    text = cJSON_PrintUnformatted(o);
    assert_non_null(strstr(text, "\"name\":\"a\\\"1\""));
    assert_non_null(strstr(text, "\"labels\":{\"site\":\"ams\"}"));
    assert_non_null(strstr(text, "\"pairs\":9007199254740993"));
    assert_non_null(
        strstr(text, "\"approved\":\"2026-11-20T08:00:00.000Z\",\"approved_ns\":1795161600000000001"));
    assert_non_null(strstr(text, "\"last_contact\":null,\"last_contact_ns\":null"));
    assert_non_null(strstr(text, "\"health\":null"));
    cJSON_free(text);
    cJSON_Delete(o);
}

/* ---- Every field in nanoseconds is classed ---- */

static const char *const durations[] = {
    "after_ns",         "before_ns",
    "busy_ns",          "longest_ns",       "quiet_ns",
    "claimed_error_ns", "clock_est_error_ns",
    "connect_ns",       "cpu_ns",
    "elapsed_ns",
    "backward_ns",      "flight_kept_ns",
    "forward_ns",       "host_stall_max_ns",
    "length_ns",        "limit_ns",
    "longer_ns",        "lookup_ns",
    "max_error_ns",     "max_ns",
    "min_duration_ns",  "offset_ns",
    "p50_ns",           "p99_ns",
    "report_period_ns", "residence_ns",
    "round_trip_ns",    "rtt_min_ns",
    "spacing_ns",       "timeout_ns",
    "uncertainty_ns",   "lateness_ns",
    "roundtrip_ns",     "ewma_sum_ns",
    "ipdv_abs_sum_ns",  "loss_run_longest_ns",
    "residence_sum_ns", "residence_max_ns",
    "duration_ns",      "lease_ns",
    "elapsed_ns",
    "last_rtt_ns",
    "ttl_ns",
    "for_time_ns", "clear_time_ns", "baseline_time_ns", "baseline_known_ns", "baseline_wanted_ns",
};

static bool is_duration(const char *name)
{
    for (size_t i = 0; i < TW_NELEM(durations); i++)
        if (!strcmp(durations[i], name))
            return true;
    return false;
}

static void check_names(const ProtobufCMessageDescriptor *d)
{
    if (!strcmp(d->short_name, "Summary")) /* shown by what it means */
        return;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        size_t len = strlen(f->name);

        if (f->type == PROTOBUF_C_TYPE_MESSAGE)
            check_names(f->descriptor);
        if (len <= 3 || strcmp(f->name + len - 3, "_ns") != 0)
            continue;
        if (pb_json_is_moment(f->name) == is_duration(f->name))
            fail_msg("%s.%s: a moment or a duration? Put it on the list in pb_json.c, or on the one here",
                     d->short_name, f->name);
    }
}

static void every_time_is_classed(void **state)
{
    const ProtobufCServiceDescriptor *s = &tw__admin__descriptor;

    (void)state;
    for (unsigned i = 0; i < s->n_methods; i++) {
        check_names(s->methods[i].input);
        check_names(s->methods[i].output);
    }
}

/* The words that programs print by themselves are those of the JSON; and all have '_' between their parts, as
 * states and members do. */
static void check_words(const ProtobufCMessageDescriptor *d)
{
    char word[PB_JSON_WORD];

    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCEnumDescriptor *e = d->fields[i].descriptor;

        if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            check_words(d->fields[i].descriptor);
        if (d->fields[i].type != PROTOBUF_C_TYPE_ENUM)
            continue;
        for (unsigned k = 0; k < e->n_values; k++) {
            const char *printed = words_find(e, e->values[k].value);

            pb_json_word(e, &e->values[k], word);
            if (word[strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_")] || (printed && strcmp(printed, word) != 0))
                fail_msg("%s: \"%s\" over HTTP, \"%s\" elsewhere", e->name, word, printed ? printed : "-");
            if (!printed && words_find(e, e->values[0].value))
                fail_msg("%s: common/net/words.c lacks \"%s\"", e->name, word);
        }
    }
}

static void a_value_has_one_word(void **state)
{
    const ProtobufCServiceDescriptor *s = &tw__admin__descriptor;

    (void)state;
    for (unsigned i = 0; i < s->n_methods; i++) {
        check_words(s->methods[i].input);
        check_words(s->methods[i].output);
    }
    assert_string_equal(words_of(&tw__flight_fate__descriptor, 0), "in_flight");
    assert_string_equal(words_of(&tw__flight_fate__descriptor, 99), "unknown");
    assert_null(words_find(&tw__flight_fate__descriptor, -1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_and_what_is_not),
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(answers_are_exact),
        cmocka_unit_test(every_time_is_classed),
        cmocka_unit_test(a_value_has_one_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
