/* Whatever alert_doc_parse() accepts can be used as it is; whatever it refuses must say why. */
#include <stdlib.h>
#include <string.h>

#include "controller/alert_doc.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rule(const struct alert_rule *r)
{
    bool low = alert_metric_low_is_bad(r->metric), any = r->off;

    CHECK(label_word_ok(r->name) && alert_metric_takes(r->metric, r->direction));
    CHECK(r->for_ns >= 0 && r->clear_for_ns >= 0 && r->over_ns >= 0 && r->settle_ns > 0);
    CHECK(!r->relative || (r->baseline_ns > 0 && r->warm_up_ns > 0 && r->warm_up_ns < r->baseline_ns));
    for (unsigned s = 0; s < ALERT_SEVERITY_COUNT; s++) {
        const struct alert_level *l = &r->level[s];

        any |= l->given;
        if (l->given)
            CHECK(low ? l->clear >= l->raise : l->clear <= l->raise && l->raise > 0);
    }
    CHECK(any);
}

static void check_receiver(const struct alert_receiver *r)
{
    CHECK(label_word_ok(r->name) && r->timeout_ns > 0);
    CHECK(r->kind == ALERT_TO_WEBHOOK ? r->url != NULL : r->n_args > 0 && r->n_args <= ALERT_ARGS_MAX);
    for (size_t i = 0; i < r->n_args; i++)
        CHECK(r->argv[i] && r->argv[i][0]);
    if (r->kind != ALERT_TO_MAIL)
        return;
    CHECK(r->from && r->sendmail && !strpbrk(r->from, "\r\n \t"));
    for (size_t i = 0; i < r->n_args; i++)
        CHECK(!strpbrk(r->argv[i], "\r\n \t") && r->argv[i][0] != '-');
}

static void check_rules(const struct alert_rules *r)
{
    const struct alert_subject s = { .pair_id = 1, .mesh = "m", .class_name = "c", .source = "a", .target = "b" };
    uint16_t picked[ALERT_SLOTS];

    CHECK(r->n_rules && r->n_rules <= ALERT_RULES_MAX && r->share >= 0.5 && r->share <= 1 && r->min_peers >= 2);
    for (size_t i = 0; i < r->n_rules; i++)
        check_rule(&r->rules[i]);
    for (size_t i = 0; i < r->n_receivers; i++)
        check_receiver(&r->receivers[i]);
    alert_rules_pick(r, &s, picked);
    for (unsigned i = 0; i < ALERT_SLOTS; i++)
        CHECK(picked[i] <= r->n_rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct alert_rules r;
    struct tw_err err = { 0 };

    if (alert_doc_parse("f", (const char *)data, size, &r, &err) == TW_OK) {
        check_rules(&r);
        alert_rules_clear(&r);
    } else {
        CHECK(!r.rules && !r.receivers && !r.routes && err.text[0]);
    }
    return 0;
}
