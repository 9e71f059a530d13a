/* What operators say of agents, as a value and as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clk.h"
#include "controller/agent_ops.h"

#define S TW_NS_PER_S

static const char *shown(const struct agent_ops *o, const struct tw_label *own, size_t n_own)
{
    static char text[512];
    struct tw_label v[2 * TW_LABELS_MAX];
    size_t n = agent_ops_labels(o, own, n_own, v, TW_NELEM(v)), len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s=%s", i ? "," : "", v[i].key, v[i].value);
    return text;
}

static const struct {
    const char *key, *value;
    bool removed;
    const char *expected; /* all labels after it; the steps follow one another */
} steps[] = {
    { "site", "fra", false, "role=edge,site=fra" },
    { "rack", "r1", false, "rack=r1,role=edge,site=fra" },
    { "role", "", true, "rack=r1,site=fra" },
    { "none", "", true, "rack=r1,site=fra" },
    { "role", "core", false, "rack=r1,role=core,site=fra" },
    { "role", "", false, "rack=r1,role=edge,site=fra" }, /* as the agent says again */
    { "role", "", false, "rack=r1,role=edge,site=fra" },
    { "rack", "", false, "role=edge,site=fra" },
    { "site", "", false, "role=edge,site=ams" },
};

static void labels_of_operators_count_more(void **state)
{
    static const struct tw_label own[] = { { "site", "lon" }, { "role", "edge" }, { "site", "ams" } };
    struct agent_ops o = { 0 };

    (void)state;
    assert_string_equal(shown(NULL, own, 3), "role=edge,site=ams");
    for (size_t i = 0; i < TW_NELEM(steps); i++) {
        assert_int_equal(agent_ops_label(&o, steps[i].key, steps[i].value, steps[i].removed), TW_OK);
        if (strcmp(shown(&o, own, 3), steps[i].expected) != 0)
            fail_msg("step %zu: %s, expected %s", i, shown(&o, own, 3), steps[i].expected);
    }
    assert_int_equal(o.n_labels, 1); /* "none" is still away */
}

static void labels_have_a_bound(void **state)
{
    struct agent_ops o = { 0 };
    char key[16];

    (void)state;
    for (unsigned i = 0; i < TW_LABELS_MAX; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(agent_ops_label(&o, key, "v", false), TW_OK);
    }
    assert_int_equal(agent_ops_label(&o, "more", "v", false), TW_ENOSPC);
    assert_int_equal(agent_ops_label(&o, "more", "", true), TW_ENOSPC);
    assert_int_equal(agent_ops_label(&o, "more", "", false), TW_OK); /* nothing to forget */
    assert_int_equal(agent_ops_label(&o, "k3", "w", false), TW_OK);
    assert_int_equal(agent_ops_label(&o, "k4", "", false), TW_OK);
    assert_int_equal(agent_ops_label(&o, "more", "v", false), TW_OK);
}

static void maintenance(void **state)
{
    struct agent_ops o = { 0 };
    struct agent_span later = { 300 * S, 400 * S, "", "" }, soon = { 100 * S, 200 * S, "joe", "disks" };
    int64_t far = 200 * S + AGENT_SPAN_KEPT_NS;

    (void)state;
    assert_int_equal(agent_ops_add_span(&o, &later, 50 * S), TW_OK);
    assert_int_equal(agent_ops_add_span(&o, &soon, 50 * S), TW_OK);
    assert_int_equal(agent_ops_add_span(&o, &soon, 50 * S), TW_EEXIST);
    assert_int_equal(o.spans[0].from_ns, 100 * S); /* sorted */
    assert_null(agent_ops_span_at(&o, 100 * S - 1));
    assert_string_equal(agent_ops_span_at(&o, 100 * S)->reason, "disks");
    assert_non_null(agent_ops_span_at(&o, 200 * S - 1));
    assert_null(agent_ops_span_at(&o, 200 * S));
    assert_null(agent_ops_span_at(NULL, 100 * S));
    assert_true(agent_ops_end_spans(&o, 150 * S)); /* the one goes, the other ends now */
    assert_int_equal(o.n_spans, 1);
    assert_int_equal(o.spans[0].to_ns, 150 * S);
    assert_false(agent_ops_end_spans(&o, 150 * S));
    later.to_ns = far + 2 * S;
    assert_int_equal(agent_ops_add_span(&o, &later, far), TW_OK); /* what was over long ago is forgotten */
    assert_int_equal(o.n_spans, 1);
    assert_int_equal(o.spans[0].to_ns, far + 2 * S);
    for (unsigned i = 1; i < AGENT_SPANS_MAX; i++) {
        later.from_ns++;
        assert_int_equal(agent_ops_add_span(&o, &later, far), TW_OK);
    }
    later.from_ns++;
    assert_int_equal(agent_ops_add_span(&o, &later, far), TW_ENOSPC);
}

static void former_names(void **state)
{
    struct agent_ops o = { 0 };
    char name[16];

    (void)state;
    assert_false(agent_ops_had_name(NULL, "n0"));
    for (unsigned i = 0; i <= AGENT_FORMER_MAX; i++) {
        snprintf(name, sizeof name, "n%u", i);
        agent_ops_add_former(&o, name);
    }
    assert_false(agent_ops_had_name(&o, "n0")); /* the oldest made room */
    assert_true(agent_ops_had_name(&o, "n1"));
    assert_true(agent_ops_had_name(&o, "n8"));
    assert_int_equal(o.n_former, AGENT_FORMER_MAX);
}

static void json_brings_all_back(void **state)
{
    struct agent_ops o = { .drained = { INT64_MAX, "joe", "tab \"quoted\"" },
                           .revoked = { 7, "ann", "stolen" } };
    struct agent_span span = { 1700000000123456789, 1700000000123456790, "joe", "new disks" };
    struct agent_ops *back = NULL;
    char *json;

    (void)state;
    agent_ops_label(&o, "site", "ams", false);
    agent_ops_label(&o, "role", "", true);
    agent_ops_add_span(&o, &span, 0);
    agent_ops_add_former(&o, "old");
    json = agent_ops_to_json(&o);
    assert_non_null(json);
    assert_int_equal(agent_ops_from_json(json, &back), TW_OK);
    assert_memory_equal(back, &o, sizeof o);
    free(json);
    free(back);
}

static const char *const broken[] = {
    "",
    "[]",
    "{}",
    "{\"labels\":{},\"maintenance\":[]}",
    "{\"labels\":[],\"maintenance\":[],\"former_names\":[]}",
    "{\"labels\":{\"a b\":\"c\"},\"maintenance\":[],\"former_names\":[]}",
    "{\"labels\":{\"name\":\"c\"},\"maintenance\":[],\"former_names\":[]}",
    "{\"labels\":{\"a\":1},\"maintenance\":[],\"former_names\":[]}",
    "{\"labels\":{},\"maintenance\":[{}],\"former_names\":[]}",
    "{\"labels\":{},\"maintenance\":[{\"from_ns\":\"9\",\"to_ns\":\"8\",\"author\":\"\",\"reason\":\"\"}],"
    "\"former_names\":[]}",
    "{\"labels\":{},\"maintenance\":[],\"former_names\":[1]}",
    "{\"labels\":{},\"maintenance\":[],\"former_names\":[],\"revoked\":{}}",
    "{\"labels\":{},\"maintenance\":[],\"former_names\":[],\"revoked\":{\"at_ns\":\"0\",\"author\":\"\","
    "\"reason\":\"\"}}",
    "{\"labels\":{},\"maintenance\":[],\"former_names\":[],\"revoked\":{\"at_ns\":\"1x\",\"author\":\"\","
    "\"reason\":\"\"}}",
};

static void other_json_is_refused(void **state)
{
    struct agent_ops *o = NULL;

    (void)state;
    assert_int_equal(agent_ops_from_json("{\"labels\":{},\"maintenance\":[],\"former_names\":[]}", &o),
                     TW_OK);
    free(o);
    o = NULL;
    for (size_t i = 0; i < TW_NELEM(broken); i++)
        if (agent_ops_from_json(broken[i], &o) != TW_ECORRUPT || o)
            fail_msg("%s", broken[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_of_operators_count_more),
        cmocka_unit_test(labels_have_a_bound),
        cmocka_unit_test(maintenance),
        cmocka_unit_test(former_names),
        cmocka_unit_test(json_brings_all_back),
        cmocka_unit_test(other_json_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
