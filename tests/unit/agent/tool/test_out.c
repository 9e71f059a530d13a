/* Every form of output against its golden copy; JSON also against the published schemas. */
#include "tests/unit/agent/tool/tool_fixture.h"
#include "tests/unit/controller/json_schema.h"

struct result {
    size_t flows;
    bool forever, stamp, whole, interrupted;
    void (*fill)(struct tw_summary *s, size_t flow);
};

/* ---- Results ---- */

static void all_well(struct tw_summary *s, size_t flow)
{
    (void)flow;
    fixture_summary(s, 100);
}

static void losses(struct tw_summary *s, size_t flow)
{
    (void)flow;
    fixture_summary(s, 92);
    fixture_lose(s, 3, 2, 3);
    s->duplicates_backward = 4;
    s->reordered_roundtrip = s->reordered_backward = 1;
    s->rejected = 6;
    s->late = 2;
    s->invalid_time = 0;
    s->skipped = 1;
}

static void nothing_back(struct tw_summary *s, size_t flow)
{
    (void)flow;
    fixture_summary(s, 0);
    fixture_lose(s, 0, 0, 100);
}

static void nothing_sent(struct tw_summary *s, size_t flow)
{
    (void)flow;
    fixture_summary(s, 0);
    s->send_errors = 100;
    s->status = summary_status(s);
}

/* 12 runs of 1 to 12 probes, the last going on; 20 that were too many to be listed. */
static void many_runs(struct tw_summary *s, size_t flow)
{
    (void)flow;
    fixture_summary(s, 922);
    fixture_lose(s, 0, 78, 0);
    loss_runs_free(&s->runs);
    for (uint32_t i = 0; i < 12; i++)
        loss_runs_add(&s->runs, &(struct tw_loss_run){ .start_ns = s->start_ns + i * 150 * TW_NS_PER_MS,
                                                       .length_ns = (i + 1) * 20 * TW_NS_PER_MS,
                                                       .probes = i + 1,
                                                       .seq_first = i * 7,
                                                       .direction = i % 3 == 0   ? TW_MIXED
                                                                    : i % 3 == 1 ? TW_BACKWARD
                                                                                 : TW_FORWARD,
                                                       .continues_after = i == 11 });
    s->loss_runs = 32;
    s->loss_run_longest = 12;
    s->loss_run_longest_ns = 240 * TW_NS_PER_MS;
}

static void one_flow_dead(struct tw_summary *s, size_t flow)
{
    if (flow == 1)
        nothing_back(s, flow);
    else
        all_well(s, flow);
}

static void trusted_clocks(struct tw_summary *s, size_t flow)
{
    all_well(s, flow);
    s->clock_remote = (struct tw_clock_state){ .synced = true, .max_error_ns = 400000 };
}

static void samples(FILE *to, const struct out_writer *w, const struct plan *p)
{
    struct session_sample s = { .kind = SAMPLE_RECEIVED,
                                .seq = 41,
                                .reflector_seq = 42,
                                .size_bytes = 41,
                                .reply_bytes = 41,
                                .t1 = { T0_NS },
                                .t2 = { T0_NS + 50000000 },
                                .t3 = { T0_NS + 50030000 },
                                .t4 = { T0_NS + 230000 },
                                .t1_used = { T0_NS + 40000 },
                                .t3_used = { T0_NS + 50030000 },
                                .tx_source = TW_TS_KERNEL,
                                .rx_source = TW_TS_KERNEL,
                                .timed = true,
                                .forward_ns = 49960000,
                                .backward_ns = -49800000,
                                .ttl_forward = 60,
                                .ttl_backward = 250,
                                .tos_forward = 0xb8,
                                .tos_backward = -1,
                                .ssid = p->ssid };

    if (p->tlvs) {
        s.tlvs.answered = p->tlvs | STAMP_TLV_BIT(STAMP_TLV_DIRECT) | STAMP_TLV_BIT(STAMP_TLV_TIMESTAMP_INFO);
        s.tlvs.unrecognised = STAMP_TLV_BIT(STAMP_TLV_ACCESS);
        fixture_addr("192.0.2.1:20000", &s.tlvs.location_source);
        fixture_addr("192.0.2.7:20001", &s.tlvs.location_target);
        s.tlvs.cos_dscp = 46;
        s.tlvs.sync_in = s.tlvs.sync_out = 1;
        s.tlvs.method_in = s.tlvs.method_out = 2;
        s.tlvs.direct_tx = s.tlvs.direct_rx = s.tlvs.direct_reflected = 42;
        s.followed_up = true;
        s.t3_used.ns += 70000;
        s.backward_ns -= 70000;
        s.tlvs.follow_up = true;
        s.tlvs.follow_up_seq = 41;
        s.tlvs.follow_up_time = UINT64_C(0xeca1000080000000);
        s.tlvs.follow_up_method = 2;
    }
    w->sample(to, p, 0, &s);
    s.kind = SAMPLE_DUPLICATE;
    w->sample(to, p, 0, &s);
    s.kind = SAMPLE_LATE;
    s.timed = s.followed_up = false;
    s.t1_used = s.t1;
    s.t3_used = s.t3;
    s.tx_source = TW_TS_USER;
    w->sample(to, p, 1, &s);
    w->sample(
        to, p, 0,
        &(struct session_sample){ .kind = SAMPLE_LOST, .seq = 43, .size_bytes = 41, .t1 = { T0_NS + 1 } });
    w->sample(to, p, 0, &(struct session_sample){ .kind = SAMPLE_SEND_ERROR, .seq = 44, .size_bytes = 1472 });
}

/* ---- Printing ---- */

static char *print(const struct out_writer *w, const struct result *res)
{
    struct plan *p = fixture_plan(res->flows, res->forever, res->stamp);
    struct tw_summary flows[4], total;
    struct report r = { .plan = p,
                        .whole = res->whole,
                        .interrupted = res->interrupted,
                        .flows = flows,
                        .n_flows = res->flows,
                        .total = &total };
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    assert_non_null(to);
    summary_init(&total);
    for (size_t i = 0; i < res->flows; i++) {
        res->fill(&flows[i], i);
        summary_merge(&total, &flows[i]);
    }
    total.status = flows[0].status == TW_STATUS_SEND_ERROR ? TW_STATUS_SEND_ERROR : summary_status(&total);
    if (w->begin)
        w->begin(to, p, res->stamp ? 8000 : 0);
    if (w->sample)
        samples(to, w, p);
    if (w->report)
        w->report(to, &r);
    fclose(to);
    for (size_t i = 0; i < res->flows; i++)
        summary_free(&flows[i]);
    summary_free(&total);
    free(p);
    return text;
}

static const struct {
    const char *file;
    const struct out_writer *writer;
    struct result result;
} cases[] = {
    { "text-ok.txt", &out_text, { 1, false, false, true, false, all_well } },
    { "text-clocks.txt", &out_text, { 1, false, false, true, false, trusted_clocks } },
    { "text-losses.txt", &out_text, { 1, false, false, true, false, losses } },
    { "text-runs.txt", &out_text, { 1, false, false, true, false, many_runs } },
    { "text-all-lost.txt", &out_text, { 1, false, false, true, false, nothing_back } },
    { "text-send-error.txt", &out_text, { 1, false, false, true, false, nothing_sent } },
    { "text-flows.txt", &out_text, { 3, false, false, true, false, one_flow_dead } },
    { "text-forever.txt", &out_text, { 1, true, false, false, false, losses } },
    { "text-forever-end.txt", &out_text, { 1, true, false, true, true, losses } },
    { "compat-ok.json", &out_compat, { 1, false, true, true, false, all_well } },
    { "compat-losses.json", &out_compat, { 1, false, false, true, false, losses } },
    { "compat-all-lost.json", &out_compat, { 1, false, false, true, false, nothing_back } },
    { "run-ok.json", &out_json, { 1, false, false, true, false, all_well } },
    { "run-runs.json", &out_json, { 1, false, false, true, false, many_runs } },
    { "run-all-lost.json", &out_json, { 1, false, false, true, true, nothing_back } },
    { "run-send-error.json", &out_json, { 1, false, false, true, false, nothing_sent } },
    { "run-flows.json", &out_json, { 3, true, true, false, false, one_flow_dead } },
    { "raw-light.json", &out_json_raw, { 1, false, false, true, false, losses } },
    { "raw-stamp.json", &out_json_raw, { 1, false, true, true, false, losses } },
    { "raw-light.txt", &out_raw, { 1, false, false, true, false, losses } },
    { "raw-stamp.txt", &out_raw, { 1, false, true, true, false, losses } },
    { "flows.csv", &out_csv, { 3, false, false, true, false, one_flow_dead } },
    { "all-lost.csv", &out_csv, { 1, true, false, false, false, nothing_back } },
};

static void golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        char *text = print(cases[i].writer, &cases[i].result);
        fixture_golden(cases[i].file, text);
        free(text);
    }
}

/* ---- JSON against the schemas ---- */

static cJSON *schema(const char *name)
{
    char path[512], *text;
    cJSON *root;

    snprintf(path, sizeof path, "%s/docs/schema/%s", TW_SOURCE_DIR, name);
    text = fixture_read(path);
    root = cJSON_Parse(text);
    if (!root)
        fail_msg("%s: no JSON", path);
    free(text);
    return root;
}

static void json_keeps_its_schema(void **state)
{
    cJSON *run = schema("run-v1.json"), *packet = schema("packet-v1.json");
    unsigned runs = 0, packets = 0;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        char *text = NULL, *save = NULL;

        if (cases[i].writer != &out_json && cases[i].writer != &out_json_raw)
            continue;
        text = print(cases[i].writer, &cases[i].result);
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            struct schema_error err = { "" };
            cJSON *doc = cJSON_Parse(line);
            const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(doc, "schema"));
            bool is_run = name && !strcmp(name, "twampmesh/run/v1");

            assert_non_null(name);
            if (!schema_check(is_run ? run : packet, is_run ? run : packet, doc, cases[i].file, &err))
                fail_msg("%s", err.text);
            runs += is_run;
            packets += !is_run;
            cJSON_Delete(doc);
        }
        free(text);
    }
    assert_true(runs >= 6 && packets >= 10);
    cJSON_Delete(run);
    cJSON_Delete(packet);
}

/* The schema names every number that the library has: none may be missing there or in the output. */
static void schema_knows_every_number(void **state)
{
    cJSON *run = schema("run-v1.json");
    cJSON *numbers = cJSON_GetObjectItem(cJSON_GetObjectItem(run, "$defs"), "numbers");
    cJSON *props = cJSON_GetObjectItem(numbers, "properties");

    (void)state;
    assert_non_null(props);
    for (size_t i = 0; i < stats_fields_n; i++)
        if (!cJSON_GetObjectItemCaseSensitive(props, stats_fields[i].name))
            fail_msg("docs/schema/run-v1.json lacks %s", stats_fields[i].name);
    cJSON_Delete(run);
}

/* ---- Delays as text ---- */

static void delays(void **state)
{
    static const struct {
        double ms;
        const char *text;
    } rows[] = {
        { 0, "       0us" },      { 0.0004, "       0us" }, { -0.0004, "       0us" },
        { 0.0006, "       1us" }, { 0.216, "     216us" },  { -0.25, "    -250us" },
        { 0.9994, "     999us" }, { 1, "    1.00ms" },      { 12.345, "   12.35ms" },
        { -49.9, "  -49.90ms" },  { 999.99, "  999.99ms" }, { 1000, "   1.00sec" },
        { 9999, "  10.00sec" },   { 12000, "   12.0sec" },  { 60000, "    1.0min" },
        { -90000, "   -1.5min" },
    };
    char buf[24];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (strcmp(out_delay(rows[i].ms, buf), rows[i].text))
            fail_msg("%g ms: \"%s\", expected \"%s\"", rows[i].ms, buf, rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(json_keeps_its_schema),
        cmocka_unit_test(schema_knows_every_number),
        cmocka_unit_test(delays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
