/* What was decided by memory while others changed something: it is decided anew. */
#include "controller/alerts.h"
#include "tests/unit/controller/follow_fx.h"
#include "tests/unit/controller/stale.h"

#define DOCUMENT(level)                                                                                 \
    "{\"file\":\"x\",\"author\":\"eve\",\"reason\":\"r\",\"document\":\"rules:\\n  l: { metric: loss, " \
    "warning: { raise: " level " } }\\n\"}"

static char *apply_text(struct fixture *f, const char *document, Tw__Status *ret)
{
    return call_admin(f, "AlertApply", document, ret);
}

static void applied_as(struct fixture *f, const char *document, uint64_t version)
{
    Tw__Status status;
    char *text = apply_text(f, document, &status);

    if (status)
        fail_msg("%s", text);
    free(text);
    assert_int_equal(alerts_document(f->c->alerts)->version, version);
}

static void rules_of_alerts(void **state)
{
    struct fixture *f = *state;
    struct stale s;
    Tw__Status status;
    char *text;

    applied_as(f, DOCUMENT("1%"), 1);
    stale_begin(&s, f->c, 3);
    applied_as(f, DOCUMENT("2%"), 2);
    assert_int_equal(stale_decided(f->c), 3);
    stale_end(&s);
    stale_begin(&s, f->c, DECIDE_TRIES + 1);
    text = apply_text(f, DOCUMENT("5%"), &status);
    assert_int_equal(status, TW__STATUS__STATUS_ABORTED);
    assert_non_null(strstr(text, "another controller changed the control state meanwhile"));
    free(text);
    assert_int_equal(stale_decided(f->c), 3 + DECIDE_TRIES);
    stale_end(&s);
    assert_int_equal(alerts_document(f->c->alerts)->version, 2);
    assert_non_null(strstr(alerts_document(f->c->alerts)->text, "2%"));
    applied_as(f, DOCUMENT("5%"), 3);
}

/* ---- An answer that is there at once ---- */

struct applied {
    bool done, unchanged;
    uint64_t version;
};

static void on_applied(const Tw__AlertApplyReply *m, void *ctx)
{
    struct applied *a = ctx;

    a->done = true;
    a->unchanged = m && m->unchanged;
    a->version = m ? m->version : 0;
}

static void begin_apply(struct fixture *f, struct applied *a)
{
    Tw__AlertApplyRequest rq = TW__ALERT_APPLY_REQUEST__INIT;

    *a = (struct applied){ 0 };
    rq.document = (char *)"rules:\n  l: { metric: loss, warning: { raise: 7% } }\n";
    rq.author = (char *)"eve";
    tw__admin__alert_apply(admin_stub(f), &rq, on_applied, a);
}

/* What the first wants to be done is done by the second while it waits. */
static void what_is_done_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct applied first, second;
    struct stale s;

    stale_begin(&s, f->c, 2);
    begin_apply(f, &first);
    WAIT(stale_decided(f->c) >= 2);
    stale_end(&s);
    begin_apply(f, &second);
    WAIT(first.done && second.done);
    assert_int_equal(first.unchanged + second.unchanged, 1);
    assert_int_equal(first.version, 1);
    assert_int_equal(second.version, 1);
}

static uint64_t operators(struct fixture *f)
{
    struct rpc_counters n;

    rpc_server_counters(f->c->admin, &n);
    return n.peers;
}

/* An agent that has gone will ask again; and nobody can tell any more from where it asked. */
static void who_has_gone_gets_nothing_done(void **state)
{
    struct fixture *f = *state;
    struct applied first;
    struct stale s;

    stale_begin(&s, f->c, 1000);
    begin_apply(f, &first);
    WAIT(stale_decided(f->c) >= 2);
    rpc_client_stop(f->operator_);
    f->op = NULL;
    WAIT(operators(f) == 0);
    stale_end(&s);
    WAIT(!f->c->deciding);
    start_operator(f);
    applied_as(f, DOCUMENT("2%"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rules_of_alerts, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_is_done_meanwhile, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(who_has_gone_gets_nothing_done, fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
