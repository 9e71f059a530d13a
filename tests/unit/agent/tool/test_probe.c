/* twamp probe: its command line, its two outputs, and a run against our own reflector on loopback. What
 * reflectors are found to be is tested in agent/core/test_probe_run.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/io/worker.h"
#include "agent/tool/probe_out.h"
#include "agent/tool/tool.h"
#include "common/net/loop.h"
#include "tests/unit/controller/json_schema.h"

enum { TEXT_MAX = 1 << 15, ARGS_MAX = 10 };

static char out_text[TEXT_MAX], err_text[TEXT_MAX];

/* ---- Running it ---- */

static FILE *redirect(int fd, int *saved)
{
    FILE *f = tmpfile();

    assert_non_null(f);
    fflush(NULL);
    *saved = dup(fd);
    assert_true(*saved >= 0 && dup2(fileno(f), fd) == fd);
    return f;
}

static void restore(int fd, int saved, FILE *f, char text[TEXT_MAX])
{
    size_t n;

    fflush(NULL);
    dup2(saved, fd);
    close(saved);
    rewind(f);
    n = fread(text, 1, TEXT_MAX - 1, f);
    text[n] = '\0';
    fclose(f);
}

/* words: the command line, separated by spaces. */
static enum tool_exit probe(const char *words)
{
    char copy[256], *argv[ARGS_MAX + 1] = { 0 };
    int argc = 0, saved_out, saved_err;
    enum tool_exit code;
    FILE *out, *err;

    snprintf(copy, sizeof copy, "probe %s", words);
    for (char *save, *w = strtok_r(copy, " ", &save); w && argc < ARGS_MAX; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    out = redirect(STDOUT_FILENO, &saved_out);
    err = redirect(STDERR_FILENO, &saved_err);
    code = tool_run_cmd(&cmd_probe, argc, argv);
    restore(STDOUT_FILENO, saved_out, out, out_text);
    restore(STDERR_FILENO, saved_err, err, err_text);
    return code;
}

/* ---- JSON ---- */

static cJSON *load_schema(void)
{
    char path[512];
    cJSON *schema;
    size_t n;
    FILE *f;
    static char text[TEXT_MAX];

    snprintf(path, sizeof path, "%s/docs/schema/probe-v1.json", TW_SOURCE_DIR);
    f = fopen(path, "r");
    assert_non_null(f);
    n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    schema = cJSON_Parse(text);
    assert_non_null(schema);
    return schema;
}

/* One line, by the schema. */
static cJSON *parse(const char *name, const char *text)
{
    cJSON *schema = load_schema(), *doc = cJSON_Parse(text);
    struct schema_error err = { "" };

    if (!doc || !strchr(text, '\n') || strchr(text, '\n')[1])
        fail_msg("%s: not one line of JSON: %s", name, text);
    if (!schema_check(schema, schema, doc, "", &err))
        fail_msg("%s: %s", name, err.text);
    cJSON_Delete(schema);
    return doc;
}

static const char *text_of(const cJSON *doc, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(doc, key));

    return text ? text : "";
}

static void expect(const cJSON *doc, const char *key, const char *want)
{
    if (strcmp(text_of(doc, key), want))
        fail_msg("%s: %s", key, text_of(doc, key));
}

static void expect_bool(const cJSON *doc, const char *key, bool want)
{
    if (!cJSON_IsBool(cJSON_GetObjectItem(doc, key)) || cJSON_IsTrue(cJSON_GetObjectItem(doc, key)) != want)
        fail_msg("%s is not %d", key, want);
}

static double number_of(const cJSON *doc, const char *key)
{
    const cJSON *n = cJSON_GetObjectItem(doc, key);

    if (!cJSON_IsNumber(n))
        fail_msg("%s is no number", key);
    return n->valuedouble;
}

/* ---- Against our own reflector ---- */

struct reflector_rig {
    struct loop *loop;
    struct worker *worker;
    char port[2][TW_ADDR_TEXT];
};

static void reflector_start(struct reflector_rig *r, bool is_stateless)
{
    struct worker_cfg cfg = { .stateless = is_stateless };
    struct tw_err err = { 0 };
    struct tw_addr a;

    assert_int_equal(loop_new(&r->loop), TW_OK);
    cfg.loop = r->loop;
    tw_addr_parse("127.0.0.1", 0, &cfg.reflect[0]);
    tw_addr_parse("::1", 0, &cfg.reflect[1]);
    if (worker_start(&cfg, &r->worker, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(worker_reflector_addr(r->worker, i, &a), TW_OK);
        tw_addr_format(&a, r->port[i]);
    }
}

static void reflector_end(struct reflector_rig *r)
{
    worker_stop(r->worker);
    worker_free(r->worker);
    loop_free(r->loop);
}

static void check_twampmesh(const cJSON *doc, const char *counting)
{
    const cJSON *tlvs = cJSON_GetObjectItem(doc, "tlvs"), *tlv;

    expect(doc, "kind", "twampmesh");
    expect(doc, "counting", counting);
    expect(doc, "reply_size", "as_request");
    expect(doc, "padding", "shifted");
    expect(doc, "timestamp_format", "ntp");
    expect(doc, "dscp_of_answers", "copied");
    expect(doc, "tlv_unknown", "unrecognised");
    expect(doc, "tlv_malformed", "malformed");
    expect(doc, "location_source", text_of(doc, "source"));
    expect_bool(doc, "answers_short_packets", false);
    expect_bool(doc, "t1_returned", true);
    expect_bool(doc, "t1_t3_swapped", false);
    expect_bool(doc, "t2_t3_distinct", true);
    expect_bool(doc, "ssid_returned", true);
    expect_bool(doc, "wished_dscp_granted", true);
    expect_bool(doc, "interrupted", false);
    assert_int_equal(number_of(doc, "reply_min_bytes"), 41);
    assert_int_equal(number_of(doc, "ttl_forward"), 255);
    assert_int_equal(number_of(doc, "ttl_backward"), 255);
    assert_true(number_of(doc, "roundtrip_min_seconds") < 0.5 && number_of(doc, "residence_min_seconds") > 0);
    cJSON_ArrayForEach(tlv, tlvs)
    {
        if (strcmp(tlv->valuestring, strcmp(tlv->string, "hmac") ? "answered" : "unrecognised"))
            fail_msg("TLV %s: %s", tlv->string, tlv->valuestring);
    }
}

static void own_reflector(void **state)
{
    static const bool stateless[] = { false, true };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct reflector_rig r;
        char words[200];
        cJSON *doc;
        reflector_start(&r, stateless[i / 2]);
        snprintf(words, sizeof words, "--json --timeout=1s --tries 2 --max-pps 200 %s", r.port[i % 2]);
        if (probe(words) != TOOL_OK)
            fail_msg("%s", err_text);
        doc = parse(words, out_text);
        check_twampmesh(doc, stateless[i / 2] ? "stateless" : "stateful");
        expect(doc, "target_address", r.port[i % 2]);
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(doc, "rates")), 2);
        assert_int_equal(number_of(doc, "pps_without_loss"), 200);
        cJSON_Delete(doc);
        reflector_end(&r);
    }
}

static void own_reflector_for_people(void **state)
{
    static const char *const lines[] = {
        ": twampmesh, or another",
        "  answered        18 of 19 kinds of packet\n",
        "  numbers         stateful",
        "  size of answers as long as the request, at least 41 octets\n",
        "  TTL             returned: ours came there with 255 of 255; its answers come with 255\n",
        "  DSCP            answers have that of the request\n",
        "padding, location, timestamp, cos, direct, access, follow-up\n",
        "sees us as 127.0.0.1:",
        "(we are 127.0.0.1:",
        "  notes           measure with protocol stamp\n",
    };
    struct reflector_rig r;
    char words[200];

    (void)state;
    reflector_start(&r, false);
    snprintf(words, sizeof words, "--max-pps 0 --tries 2 --timeout 1s %s", r.port[0]);
    assert_int_equal(probe(words), TOOL_OK);
    for (size_t i = 0; i < TW_NELEM(lines); i++)
        if (!strstr(out_text, lines[i]))
            fail_msg("not there: %s in\n%s", lines[i], out_text);
    assert_null(strstr(out_text, "packets/s"));
    reflector_end(&r);
}

/* ---- Command lines ---- */

static void command_lines(void **state)
{
    static const struct {
        const char *words;
        enum tool_exit code;
        const char *out, *err; /* parts of what is printed */
    } rows[] = {
        { "--help", TOOL_OK, "--max-pps", "" },
        { "", TOOL_USAGE, "", "HOST" },
        { "127.0.0.1:1:2:3", TOOL_USAGE, "", "is no address" },
        { "127.0.0.1:0 --tries 1", TOOL_FAILED, "", "port 0" },
        { "127.0.0.1 --tries 9", TOOL_USAGE, "", "tries" },
        { "127.0.0.1 --max-pps 100001", TOOL_USAGE, "", "max-pps" },
        { "127.0.0.1 --dscp 64", TOOL_USAGE, "", "dscp" },
        { "127.0.0.1 --timeout 20s", TOOL_USAGE, "", "timeout" },
        { "127.0.0.1 127.0.0.1 --bind 127.0.0.1", TOOL_USAGE, "", "--bind" },
        { "127.0.0.1 --interface an-interface-with-a-long-name", TOOL_FAILED, "", "--interface" },
        { "127.0.0.1 192.0.2.9", TOOL_FAILED, "", "192.0.2.9" }, /* not an address of this host */
        { "127.0.0.1:9 --tries 1 --timeout 10ms", TOOL_OK, "no answer", "" },
        { "255.255.255.255:9 --tries 1 --timeout 10ms", TOOL_FAILED, "", "cannot send to 255.255.255.255:9" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        enum tool_exit code = probe(rows[i].words);
        if (code != rows[i].code || !strstr(out_text, rows[i].out) || !strstr(err_text, rows[i].err))
            fail_msg("%s: exit code %d, %s%s", rows[i].words, code, out_text, err_text);
        if (rows[i].code != TOOL_OK && (!*err_text || strchr(err_text, '\n')[1]))
            fail_msg("%s: not one line: %s", rows[i].words, err_text);
    }
}

/* ---- Every finding in both outputs ---- */

static const struct probe_run_cfg cfg = { .dscp = 46 };

static void print(const struct probe_findings *f, bool json)
{
    struct host_pair hosts = { .target = "router:862" };
    struct probe_report r = { .hosts = &hosts, .start = { 1 }, .end = { 2 }, .cfg = &cfg, .findings = f };
    FILE *to = tmpfile();
    size_t n;

    tw_addr_parse("192.0.2.7:862", 0, &hosts.remote);
    tw_addr_parse("192.0.2.1:40000", 0, &r.source);
    assert_non_null(to);
    (json ? probe_print_json : probe_print_text)(to, &r);
    rewind(to);
    n = fread(out_text, 1, sizeof out_text - 1, to);
    out_text[n] = '\0';
    fclose(to);
}

static void every_word(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PROBE_KINDS; i++) {
        struct probe_findings f = { .kind = i, .reply_ttl = -1, .dscp_plain = -1, .dscp_marked = -1 };
        cJSON *doc;
        f.steps_sent = f.steps_answered = i;
        f.counting = i % 3;
        f.sizing = i % 4;
        f.format = i % 4;
        f.marking = i % 4;
        f.padding = i % 5;
        f.readable = f.swapped = i % 2;
        for (unsigned type = 1; type < PROBE_TLV_TYPES; type++)
            f.tlv[type] = (i + type) % (PROBE_TLV_MISSING + 1);
        f.tlv_unknown = f.tlv_malformed = f.tlv[1];
        f.ssid_returned = f.stamp = i == PROBE_STAMP_8972;
        if (f.marking == PROBE_MARK_FIXED || f.marking == PROBE_MARK_OTHER) {
            f.dscp_plain = 0;
            f.dscp_marked = f.marking == PROBE_MARK_OTHER ? 8 : 0;
        }
        print(&f, true);
        doc = parse(probe_kind_name(i), out_text);
        expect(doc, "kind", probe_kind_name(i));
        cJSON_Delete(doc);
        print(&f, false);
        assert_non_null(strstr(out_text, probe_kind_text(i)));
    }
}

static void notes_by_finding(void **state)
{
    static const struct {
        struct probe_findings f;
        const char *note;
    } rows[] = {
        { { .kind = PROBE_NOTHING }, "check the port" },
        { { .kind = PROBE_STAMP_8762, .stamp = true }, "protocol stamp" },
        { { .kind = PROBE_RFC5357, .readable = true, .err_est_ok = true }, "protocol light" },
        { { .kind = PROBE_DOMOSLABS, .swapped = true }, "T1 and T3 are swapped" },
        { { .kind = PROBE_LIGHT_STATELESS, .counting = PROBE_STATELESS }, "cannot be told by direction" },
        { { .kind = PROBE_TWAMPY, .sizing = PROBE_FIXED }, "answers have one size" },
        { { .kind = PROBE_TWAMPY, .readable = true }, "no time of its own" },
        { { .kind = PROBE_RFC5357, .readable = true, .err_est_ok = true }, "not synchronised" },
        { { .kind = PROBE_RFC5357, .readable = true }, "multiplier 0" },
        { { .kind = PROBE_STAMP_8762, .format = PROBE_PTP_1900 }, "from 1900" },
        { { .kind = PROBE_STAMP_8762, .format = PROBE_PTP_FORMAT, .clock_offset_ns = INT64_C(37000400000) },
          "TAI" },
        { { .kind = PROBE_RFC5357, .readable = true, .answers_short = true }, "too short" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        bool found = false;
        const char *note;
        for (size_t k = 0; (note = probe_note(&rows[i].f, k)); k++)
            found = found || strstr(note, rows[i].note);
        if (!found)
            fail_msg("%s: not said", rows[i].note);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_lines),
        cmocka_unit_test(own_reflector),
        cmocka_unit_test(own_reflector_for_people),
        cmocka_unit_test(every_word),
        cmocka_unit_test(notes_by_finding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
