/* Command lines: those of the Python tool, and ours; what is refused, and what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "agent/tool/out.h"
#include "agent/tool/tool.h"
#include "common/clk.h"

#define WORDS 24

struct words {
    char text[256], *argv[WORDS];
    int argc;
};

static void split(struct words *w, const char *command, const char *line)
{
    snprintf(w->text, sizeof w->text, "%s", line);
    w->argv[0] = (char *)(uintptr_t)command;
    w->argc = 1;
    for (char *t = strtok(w->text, " "); t; t = strtok(NULL, " "))
        w->argv[w->argc++] = t;
    w->argv[w->argc] = NULL;
}

/* ---- Lines of the Python tool that must go on working ---- */

static const struct {
    const char *line;
    int64_t interval_ms, count;
    int tos; /* octet to send with */
    int64_t ttl, padding;
    bool forever, df;
    int json;
    bool metrics, nodegraph, quiet, verbose, debug;
    const char *args;
} python[] = {
#define D 100, 100, 0x88, 64, TOOL_PADDING_DEFAULT
    { "", D, false, false, 0, false, false, false, false, false, "" },
    { "192.0.2.1", D, false, false, 0, false, false, false, false, false, "192.0.2.1" },
    { "192.0.2.1:20001 :20000", D, false, false, 0, false, false, false, false, false,
      "192.0.2.1:20001|:20000" },
    { "-i 200 -c 9999 192.0.2.1", 200, 9999, 0x88, 64, TOOL_PADDING_DEFAULT, false, false, 0, false, false,
      false, false, false, "192.0.2.1" },
    { "192.0.2.1 --interval=1000 --count 1", 1000, 1, 0x88, 64, TOOL_PADDING_DEFAULT, false, false, 0, false,
      false, false, false, false, "192.0.2.1" },
    { "192.0.2.1 --int 300 :1", 300, 100, 0x88, 64, TOOL_PADDING_DEFAULT, false, false, 0, false, false,
      false, false, false, "192.0.2.1|:1" },
    { "--co 5 --for x", 100, 5, 0x88, 64, TOOL_PADDING_DEFAULT, true, false, 0, false, false, false, false,
      false, "x" },
    { "-f -m -g x", 100, 100, 0x88, 64, TOOL_PADDING_DEFAULT, true, false, 0, true, true, false, false, false,
      "x" },
    { "-fmg x", 100, 100, 0x88, 64, TOOL_PADDING_DEFAULT, true, false, 0, true, true, false, false, false,
      "x" },
    { "x -jmg", 100, 100, 0x88, 64, TOOL_PADDING_DEFAULT, false, false, TOOL_JSON_RUN, true, true, false,
      false, false, "x" },
    { "x --forever --metrics --nodegraph", 100, 100, 0x88, 64, TOOL_PADDING_DEFAULT, true, false, 0, true,
      true, false, false, false, "x" },
    { "--json x", 100, 100, 0x88, 64, TOOL_PADDING_DEFAULT, false, false, TOOL_JSON_RUN, false, false, false,
      false, false, "x" },
    { "--json=compat x", 100, 100, 0x88, 64, TOOL_PADDING_DEFAULT, false, false, TOOL_JSON_COMPAT, false,
      false, false, false, false, "x" },
    { "--tos 184 x", 100, 100, 184, 64, TOOL_PADDING_DEFAULT, false, false, 0, false, false, false, false,
      false, "x" },
    { "--tos 0xb8 x", 100, 100, 184, 64, TOOL_PADDING_DEFAULT, false, false, 0, false, false, false, false,
      false, "x" },
    { "--dscp ef x", 100, 100, 184, 64, TOOL_PADDING_DEFAULT, false, false, 0, false, false, false, false,
      false, "x" },
    { "--dscp EF x", 100, 100, 184, 64, TOOL_PADDING_DEFAULT, false, false, 0, false, false, false, false,
      false, "x" },
    { "--dscp 46 x", 100, 100, 184, 64, TOOL_PADDING_DEFAULT, false, false, 0, false, false, false, false,
      false, "x" },
    { "--dscp 0x2e x", 100, 100, 184, 64, TOOL_PADDING_DEFAULT, false, false, 0, false, false, false, false,
      false, "x" },
    { "--ds cs0 x", 100, 100, 0, 64, TOOL_PADDING_DEFAULT, false, false, 0, false, false, false, false, false,
      "x" },
    { "--ttl 128 --pad 0 x", 100, 100, 0x88, 128, 0, false, false, 0, false, false, false, false, false,
      "x" },
    { "--padding -1 --do-not x", 100, 100, 0x88, 64, -1, false, true, 0, false, false, false, false, false,
      "x" },
    { "--padding=1400 --do-not-fragment x", 100, 100, 0x88, 64, 1400, false, true, 0, false, false, false,
      false, false, "x" },
    { "-q -l - x", D, false, false, 0, false, false, true, false, false, "x" },
    { "-v --log /tmp/x x", D, false, false, 0, false, false, false, true, false, "x" },
    { "-d x", D, false, false, 0, false, false, false, false, true, "x" },
    { "[2001:db8::1]:20001 [::]:20000", D, false, false, 0, false, false, false, false, false,
      "[2001:db8::1]:20001|[::]:20000" },
};

static void joined(const struct conf_strlist *l, char *buf, size_t cap)
{
    size_t len = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < l->n && len < cap; i++)
        len += (size_t)snprintf(buf + len, cap - len, "%s%s", i ? "|" : "", l->v[i]);
}

static void lines_of_the_python_tool(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(python); i++) {
        struct words w;
        struct tool_line l;
        struct tw_err err = { 0 };
        const struct tool_options *o = &l.options;
        uint8_t tos = 0;
        char args[128];

        split(&w, "sender", python[i].line);
        if (tool_parse(&cmd_sender, w.argc, w.argv, &l, &err) != TW_OK)
            fail_msg("\"%s\": %s: %s", python[i].line, err.field, err.text);
        joined(&l.args, args, sizeof args);
        assert_int_equal(tool_options_tos(o, 0x88, &tos, &err), TW_OK);
        if (o->interval_ns != python[i].interval_ms * TW_NS_PER_MS || o->count != python[i].count ||
            tos != python[i].tos || o->ttl != python[i].ttl || o->padding != python[i].padding ||
            o->forever != python[i].forever || o->do_not_fragment != python[i].df ||
            o->json != python[i].json || o->metrics.on != python[i].metrics ||
            o->nodegraph != python[i].nodegraph || o->quiet != python[i].quiet ||
            o->verbose != python[i].verbose || o->debug != python[i].debug || strcmp(args, python[i].args))
            fail_msg("\"%s\": interval %d ms, count %d, tos %d, ttl %d, padding %d, args %s", python[i].line,
                     (int)(o->interval_ns / TW_NS_PER_MS), (int)o->count, tos, (int)o->ttl, (int)o->padding,
                     args);
        tool_line_free(&l);
    }
}

/* Every group on every sub-command, as in the Python tool. */
static void shared_options_everywhere(void **state)
{
    static const struct {
        const struct tool_cmd *cmd;
        const char *line;
    } cases[] = {
        { &cmd_responder, "" },
        { &cmd_responder, ":20001 --timer 30 -m -g -q" },
        { &cmd_responder, "--tos 136 --dscp af41 --ttl 1 --padding 0 --do-not-fragment 192.0.2.1" },
        { &cmd_responder, "--ti 5 -vd -l x" },
        { &cmd_controller, "-i 100 -c 10 --tos 136 --ttl 64 --padding 0 -q 192.0.2.1:20001 :20000" },
        { &cmd_controller, "192.0.2.1 --co 5 --do -m" },
        { &cmd_controlclient, "-c 5 --dscp ef -v 192.0.2.2:20001 192.0.2.1:20000" },
        { &cmd_controlclient, "--pad 5 -m -g" },
        { &cmd_dscptable, "-m -g -v -d -q -l -" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct words w;
        struct tool_line l;
        struct tw_err err = { 0 };

        split(&w, cases[i].cmd->name, cases[i].line);
        if (tool_parse(cases[i].cmd, w.argc, w.argv, &l, &err) != TW_OK)
            fail_msg("%s \"%s\": %s: %s", cases[i].cmd->name, cases[i].line, err.field, err.text);
        tool_line_free(&l);
    }
}

/* ---- --metrics ---- */

static void metrics_values(void **state)
{
    static const struct {
        const char *text, *address;
        bool ok, histogram;
    } cases[] = {
        { "", "0.0.0.0:8000", true, false },
        { "histogram", "0.0.0.0:8000", true, true },
        { "127.0.0.1:9000", "127.0.0.1:9000", true, false },
        { "histogram,127.0.0.1:9000", "127.0.0.1:9000", true, true },
        { "[::]:9000,histogram", "[::]:9000", true, true },
        { "9000", "0.0.0.0:9000", true, false },
        { ":9000", "0.0.0.0:9000", true, false },
        { "127.0.0.1", "127.0.0.1:8000", true, false },
        { "histogramm", NULL, false, false },
        { "127.0.0.1:99999", NULL, false, false },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct tool_metrics_opt m = { 0 };
        struct tw_err err = { 0 };
        bool ok = tool_parse_metrics(cases[i].text, &m, &err) == TW_OK;

        if (ok != cases[i].ok)
            fail_msg("\"%s\": %s", cases[i].text, err.text);
        if (ok && (!m.on || m.histogram != cases[i].histogram || strcmp(m.address, cases[i].address)))
            fail_msg("\"%s\": %s", cases[i].text, m.address);
    }
}

static void intervals(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        { "100", 100000 },   { "1", 1000 },      { "60000", 60000000 }, { "20ms", 20000 },
        { "1.5s", 1500000 }, { "1500us", 1500 }, { "1m", 60000000 },    { "0", 0 },
        { "-1", 0 },         { "60001", 0 },     { "900us", 0 },        { "2m", 0 },
        { "1e3", 0 },        { "", 0 },          { "0x10", 16000 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct tw_err err = { 0 };
        int64_t ns = 0;
        enum tw_rc rc = tool_parse_interval(cases[i].text, &ns, &err);

        if ((rc == TW_OK) != (cases[i].us > 0) || ns != cases[i].us * TW_NS_PER_US)
            fail_msg("\"%s\": rc %d, %lld ns", cases[i].text, rc, (long long)ns);
    }
}

static void tlv_lists(void **state)
{
    uint32_t types = 0;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(tool_parse_tlvs("location,cos", &types, &err), TW_OK);
    assert_int_equal(types, STAMP_TLV_BIT(STAMP_TLV_LOCATION) | STAMP_TLV_BIT(STAMP_TLV_COS));
    assert_int_equal(tool_parse_tlvs("follow-up", &types, &err), TW_OK);
    assert_int_equal(types, STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP));
    assert_int_equal(tool_parse_tlvs("loc", &types, &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "must be of location, timestamp"));
    assert_int_equal(tool_parse_tlvs("", &types, &err), TW_EINVAL);
    assert_string_equal(tool_tlv_name(STAMP_TLV_HMAC), "hmac");
}

/* ---- What is refused ---- */

static const struct {
    const char *line, *field, *text;
} refused[] = {
    { "-i 0 x", "interval", "must be 1..60000 milliseconds" },
    { "-c 0 x", "count", "must be 1..1000000000, not \"0\"" },
    { "-c many x", "count", "must be 1..1000000000, not \"many\"" },
    { "--ttl 0 x", "ttl", "must be 1..255, not \"0\"" },
    { "--ttl 256 x", "ttl", "must be 1..255" },
    { "--tos 256 x", "tos", "must be 0..255 or 0x00..0xff, not \"256\"" },
    { "--tos -1 x", "tos", "must be 0..255" },
    { "--tos 0x x", "tos", "must be 0..255" },
    { "--dscp 64 x", "dscp", "must be a name such as ef" },
    { "--dscp gold x", "dscp", "must be a name such as ef" },
    { "--padding -2 x", "padding", "must be 0..8986 octets, or -1 for IMIX, not \"-2\"" },
    { "--padding 9000 x", "padding", "must be 0..8986" },
    { "--metrics=nowhere x", "metrics", "must be ADDRESS:PORT, \"histogram\"" },
    { "--flows 65 x", "flows", "must be 1..64" },
    { "--timeout 5 x", "timeout", "a duration with a unit" },
    { "--protocol x25 x", "protocol", "must be one of light, stamp, twamp" },
    { "a b c", "", "unexpected argument \"c\"" },
    { "--nope x", "--nope", "is not an option of twamp sender" },
};

static void refused_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(refused); i++) {
        struct words w;
        struct tool_line l;
        struct tw_err err = { 0 };

        split(&w, "sender", refused[i].line);
        if (tool_parse(&cmd_sender, w.argc, w.argv, &l, &err) != TW_EINVAL ||
            strcmp(err.field, refused[i].field) || !strstr(err.text, refused[i].text))
            fail_msg("\"%s\": \"%s\": \"%s\"", refused[i].line, err.field, err.text);
    }
}

/* Each value is fine, but not together. */
static const struct {
    const char *line, *text;
} contradictions[] = {
    { "--size 100 --padding 4 x", "--size and --padding" },
    { "--forever --timeout 20s x", "--timeout may not be longer" },
    { "--metrics --timeout 20s x", "--timeout may not be longer" },
    { "--timeout 20s x", NULL },
    { "-i 1 --timeout 60s x", NULL },
    { "--tlv cos x", "--tlv is of STAMP" },
    { "--ssid 5 x", "--ssid is of STAMP" },
    { "--reply-dscp ef x", "--reply-dscp is of STAMP" },
    { "--protocol stamp --tlv cos --ssid 5 --reply-dscp ef x", NULL },
    { "--mode open x", "--mode is of TWAMP" },
    { "--protocol stamp --features dscp x", "--features is of TWAMP" },
    { "--protocol twamp --features dscp x", NULL },
    { "--auth x", "--auth needs --protocol stamp" },
    { "--protocol stamp --auth x", "--auth needs keys: give --secrets" },
    { "--protocol stamp --auth=encrypted --secrets y x", "--auth of STAMP is" },
    { "--protocol stamp --tlv hmac x", "--tlv hmac needs keys" },
    { "--tos 0x88 --dscp ef x", "--tos 0x88 is DSCP 34, but --dscp says 46" },
    { "--tos 0xb9 --dscp ef x", NULL },
    { "--json --csv x", "cannot go together" },
    { "--raw --csv x", "cannot go together" },
    { "--raw --json x", NULL },
};

static enum tw_rc check_all(const struct tool_options *o, struct tw_err *err)
{
    const struct out_writer *out;
    uint8_t tos;
    enum tw_rc rc = plan_check(o, err);

    if (rc == TW_OK)
        rc = tool_options_tos(o, 0, &tos, err);
    return rc ? rc : out_choose(o, &out, err);
}

static void contradictory_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(contradictions); i++) {
        struct words w;
        struct tool_line l;
        struct tw_err err = { 0 };

        split(&w, "sender", contradictions[i].line);
        assert_int_equal(tool_parse(&cmd_sender, w.argc, w.argv, &l, &err), TW_OK);
        if ((check_all(&l.options, &err) == TW_OK) != !contradictions[i].text ||
            (contradictions[i].text && !strstr(err.text, contradictions[i].text)))
            fail_msg("\"%s\": \"%s\"", contradictions[i].line, err.text);
        tool_line_free(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_the_python_tool),
        cmocka_unit_test(shared_options_everywhere),
        cmocka_unit_test(metrics_values),
        cmocka_unit_test(intervals),
        cmocka_unit_test(tlv_lists),
        cmocka_unit_test(refused_lines),
        cmocka_unit_test(contradictory_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
