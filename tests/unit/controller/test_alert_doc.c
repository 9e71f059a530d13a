/* Alert documents: what they say, and what is said of bad ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/alert_doc_priv.h"
#include "controller/alert_row.h"

static char text[65536];

static const char *slurp(const char *name)
{
    char path[512];
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, TW_SOURCE_DIR "/%s", name);
    f = fopen(path, "r");
    assert_non_null(f);
    n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    return text;
}

static void the_example(void **state)
{
    struct alert_rules r;
    struct tw_err err = { 0 };
    const char *doc = slurp("deploy/examples/alerts.yaml");
    const struct alert_rule *v;

    (void)state;
    if (alert_doc_parse("alerts.yaml", doc, strlen(doc), &r, &err) != TW_OK)
        fail_msg("%u: %s: %s", err.line, err.field, err.text);
    assert_int_equal(r.n_rules, 9);
    assert_int_equal(r.n_receivers, 4);
    assert_int_equal(r.n_routes, 4);
    v = &r.rules[1];
    assert_string_equal(v->name, "voice-loss");
    assert_int_equal(v->scope, ALERT_SCOPE_CLASS);
    assert_true(v->level[ALERT_WARNING].raise > 0.00499 && v->level[ALERT_WARNING].raise < 0.00501);
    assert_int_equal(v->for_ns, 30 * TW_NS_PER_S);
    v = &r.rules[2];
    assert_true(v->relative && v->direction == TW_ROUNDTRIP && v->level[ALERT_WARNING].clear == 1.5);
    assert_true(v->at_least > 0.00499 && v->at_least < 0.00501);
    assert_int_equal(r.rules[4].direction, TW_UNKNOWN);
    assert_true(r.rules[4].level[ALERT_WARNING].clear == 120); /* as raise */
    assert_true(r.rules[6].off && r.rules[6].scope == ALERT_SCOPE_GROUP);
    assert_string_equal(r.receivers[2].argv[2], "noc");
    assert_string_equal(r.receivers[3].sendmail, "/usr/sbin/sendmail");
    assert_int_equal(r.routes[1].least, ALERT_CRITICAL);
    alert_rules_clear(&r);
}

static void everybody_without_routes(void **state)
{
    static const char doc[] = "rules: {a: {metric: loss, info: {raise: 1%}}}\n"
                              "receivers: {x: {webhook: 'http://h/'}, y: {command: [/bin/true]}}\n";
    struct alert_rules r;

    (void)state;
    assert_int_equal(alert_doc_parse("f", doc, strlen(doc), &r, NULL), TW_OK);
    assert_int_equal(r.n_routes, 2);
    assert_string_equal(r.routes[1].receiver, "y");
    alert_rules_clear(&r);
}

/* One rule "a" with these keys; or, if it begins with "-", the whole. */
static const struct {
    const char *doc;
    unsigned line;
    const char *field, *error;
} bad[] = {
    { "-{}", 1, "rules", "is missing" },
    { "-rules: {}", 1, "rules", "expected 1 to 1000 rules" },
    { "-rules: []", 1, "rules", "expected keys and values" },
    { "-rules: {a: {metric: loss, info: {raise: 1%}}}\nrule: 1", 2, "", "did you mean \"rules\"" },
    { "-rules: {'a b': {metric: loss}}", 1, "rules.a b", "expected a name" },
    { "metric: los", 3, "rules.a.metric", "expected one of" },
    { "warning: {raise: 1%}", 3, "rules.a.metric", "is missing" },
    { "metric: loss", 3, "rules.a", "expected a level" },
    { "metric: loss\n    warning: {raise: 1}\n    direction: roundtrip", 5, "rules.a.direction",
      "has no direction roundtrip" },
    { "metric: loss\n    warning: {raise: 0%}", 4, "rules.a.warning.raise", "more than 0%" },
    { "metric: loss\n    warning: {raise: 101%}", 4, "rules.a.warning.raise", "a ratio such as" },
    { "metric: loss\n    warning: {raise: 5ms}", 4, "rules.a.warning.raise", "a ratio such as" },
    { "metric: p95\n    warning: {raise: 5%}", 4, "rules.a.warning.raise", "time" },
    { "metric: loss\n    warning: {clear: 5%}", 4, "rules.a.warning.raise", "is missing" },
    { "metric: loss\n    warning: {raise: 5%, clear: 6%}", 4, "rules.a.warning.clear", "not above raise" },
    { "metric: availability\n    warning: {raise: 99%, clear: 98%}", 4, "rules.a.warning.clear",
      "not below raise" },
    { "metric: loss\n    warning: {raise: 5%}\n    critical: {raise: 2%}", 5, "rules.a.critical.raise",
      "a worse severity" },
    { "metric: availability\n    warning: {raise: 98%}\n    critical: {raise: 99%}", 5,
      "rules.a.critical.raise", "a worse severity" },
    { "metric: p95\n    warning: {raise: 2x}", 4, "rules.a.warning.raise", "time" },
    { "metric: p95\n    baseline: {over: 7d}\n    warning: {raise: 20ms}", 5, "rules.a.warning.raise",
      "a factor of the baseline" },
    { "metric: p95\n    baseline: {over: 7d}\n    warning: {raise: 0.5x}", 5, "rules.a.warning.raise",
      "at least 1x" },
    { "metric: p95\n    baseline: {over: 7d, warm_up: 7d}\n    warning: {raise: 2x}", 4,
      "rules.a.baseline.warm_up", "less than over" },
    { "metric: clock\n    baseline: {over: 7d}\n    warning: {raise: 2x}", 4, "rules.a.baseline",
      "belongs to" },
    { "metric: p95\n    over: 1h\n    warning: {raise: 2ms}", 4, "rules.a.over", "belongs to" },
    { "metric: p95\n    settle: 1h\n    warning: {raise: 2ms}", 4, "rules.a.settle", "belongs to" },
    { "metric: route\n    warning: {raise: 300}", 4, "rules.a.warning.raise", "hops" },
    { "metric: agent_down\n    mesh: m\n    warning: {raise: 1m}", 4, "rules.a", "is of agents" },
    { "metric: loss\n    select: 'a=b,,'\n    warning: {raise: 1%}", 4, "rules.a.select", "expected" },
    { "metric: loss\n    for: 5\n    warning: {raise: 1%}", 4, "rules.a.for", "time with its unit" },
    { "metric: loss\n    off: maybe", 4, "rules.a.off", "expected" },
#define RULE "-rules: {a: {metric: loss, info: {raise: 1%}}}\n"
    { RULE "receivers: {r: {}}", 2, "receivers.r", "one of webhook, command and mail" },
    { RULE "receivers: {r: {webhook: 'ftp://x'}}", 2, "receivers.r.webhook", "http://" },
    { RULE "receivers: {r: {webhook: 'http://x y'}}", 2, "receivers.r.webhook", "http://" },
    { RULE "receivers: {r: {command: []}}", 2, "receivers.r.command", "the list is empty" },
    { RULE "receivers: {r: {command: [page]}}", 2, "receivers.r.command", "whole path" },
    { RULE "receivers: {r: {command: [/bin/a], format: slack}}", 2, "receivers.r.format",
      "belongs to webhook" },
    { RULE "receivers: {r: {webhook: 'http://x', resend: 1m}}", 2, "receivers.r.resend",
      "belongs to format alertmanager" },
    { RULE "receivers: {r: {webhook: 'http://x', token_file: secret}}", 2, "receivers.r.token_file",
      "whole path" },
    { RULE "receivers: {r: {mail: ['a@b']}}", 2, "receivers.r", "mail needs" },
    { RULE "receivers: {r: {mail: ['-fevil@b'], from: a@b}}", 2, "receivers.r.mail", "expected addresses" },
    { RULE "receivers: {r: {mail: [\"a@b\\nBcc: c@d\"], from: a@b}}", 2, "receivers.r.mail",
      "expected addresses" },
    { RULE "routes: [{receiver: r}]", 2, "routes[0].receiver", "there is no receiver \"r\"" },
    { RULE "routes: [{severity: bad, receiver: r}]", 2, "routes[0].severity", "expected one of" },
    { RULE "correlate: {share: 10%}", 2, "correlate.share", "50% to 100%" },
    { RULE "correlate: {min_peers: 1}", 2, "correlate.min_peers", "neighbours" },
    { RULE "repeat: 5s", 2, "repeat", "1m at least" },
    { RULE "site_label: name", 2, "site_label", "key of a label" },
    { "-rules: {a: {metric: loss, info: {raise: 1%}}", 1, "", "" },
};

static void bad_documents(void **state)
{
    char doc[1024];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++) {
        struct alert_rules r;
        struct tw_err err = { 0 };

        if (*bad[i].doc == '-')
            snprintf(doc, sizeof doc, "%s\n", bad[i].doc + 1);
        else
            snprintf(doc, sizeof doc, "rules:\n  a:\n    %s\n", bad[i].doc);
        if (alert_doc_parse("f.yaml", doc, strlen(doc), &r, &err) == TW_OK)
            fail_msg("taken: %s", doc);
        assert_null(r.rules);
        if (!strstr(err.text, bad[i].error) || strncmp(err.field, bad[i].field, strlen(bad[i].field)) != 0 ||
            (bad[i].error[0] && err.line != bad[i].line))
            fail_msg("%s\ngot %u: %s: %s", doc, err.line, err.field, err.text);
    }
}

/* The schema has the keys that the parser has, and demands the same ones. */
static void the_schema(void **state)
{
    static const struct alert_doc_table *const tables[] = { &alert_doc_document, &alert_doc_correlate,
                                                            &alert_doc_rule,     &alert_doc_level,
                                                            &alert_doc_baseline, &alert_doc_receiver,
                                                            &alert_doc_route };
    cJSON *schema = cJSON_Parse(slurp("docs/schema/alerts.schema.json"));

    (void)state;
    assert_non_null(schema);
    for (size_t i = 0; i < TW_NELEM(tables); i++) {
        const cJSON *part = cJSON_GetObjectItem(cJSON_GetObjectItem(schema, "$defs"), tables[i]->name);
        const cJSON *keys = cJSON_GetObjectItem(part, "properties");
        int required = 0;

        assert_int_equal(cJSON_GetArraySize(keys), tables[i]->n);
        for (size_t k = 0; k < tables[i]->n; k++) {
            if (!cJSON_GetObjectItemCaseSensitive(keys, tables[i]->keys[k].key))
                fail_msg("%s has no %s", tables[i]->name, tables[i]->keys[k].key);
            required += tables[i]->keys[k].required;
        }
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(part, "required")), required);
        assert_true(cJSON_IsFalse(cJSON_GetObjectItem(part, "additionalProperties")));
    }
    cJSON_Delete(schema);
}

/* What the database keeps comes back as it was. */
static void rows(void **state)
{
    struct alert a, b;
    struct alert_silence s = { .id = 3,
                               .start_ns = 5,
                               .end_ns = INT64_C(1795766400123456789),
                               .match_text = "mesh=m",
                               .author = "me" },
                         t;
    char *json;

    (void)state;
    memset(&a, 0, sizeof a);
    a.id = UINT64_C(1795749438);
    a.key.pair_id = (UINT64_C(1) << 53) - 1;
    a.key.slot = alert_slot(ALERT_P95, TW_FORWARD);
    a.state = ALERT_FIRING;
    a.severity = ALERT_CRITICAL;
    a.pending_ns = INT64_C(1795766400123456789);
    a.value = (struct tw_num){ true, 0.1 };
    a.told = true;
    snprintf(a.source, sizeof a.source, "a\"b");
    json = alert_row_write(&a);
    assert_non_null(json);
    assert_int_equal(alert_row_read(json, &b), TW_OK);
    assert_memory_equal(&a.key, &b.key, sizeof a.key);
    assert_true(b.pending_ns == a.pending_ns && b.value.value == 0.1 && !b.worst.known && b.told &&
                !strcmp(b.source, "a\"b"));
    free(json);
    assert_int_equal(alert_row_read("{}", &b), TW_ECORRUPT);
    assert_int_equal(alert_row_read("nonsense", &b), TW_ECORRUPT);
    json = alert_silence_write(&s);
    assert_int_equal(alert_silence_read(json, &t), TW_OK);
    assert_true(t.end_ns == s.end_ns && t.match != NULL);
    selector_free(t.match);
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example),   cmocka_unit_test(everybody_without_routes),
        cmocka_unit_test(bad_documents), cmocka_unit_test(the_schema),
        cmocka_unit_test(rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
