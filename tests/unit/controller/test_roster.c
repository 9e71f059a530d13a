/* The approved agents as documents see them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/net/rpc.h"
#include "controller/enrolment.h"
#include "controller/roster.h"

static struct agent *add_agent(struct inventory *inv, const char *name, bool approved)
{
    struct store_agent row = { .id = 1, .approved = approved };
    struct agent *a;

    snprintf(row.name, sizeof row.name, "%s", name);
    a = inventory_add_agent(inv, &row);
    assert_non_null(a);
    return a;
}

static void enrol(struct agent *a, char **addresses, size_t n)
{
    Tw__Label site = TW__LABEL__INIT, role = TW__LABEL__INIT;
    Tw__Label *labels[] = { &site, &role };
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;

    site.key = (char *)"site";
    site.value = (char *)"ams";
    role.key = (char *)"role";
    role.value = (char *)"edge";
    rq.labels = labels;
    rq.n_labels = 2;
    rq.addresses = addresses;
    rq.n_addresses = n;
    a->enrolment = message_clone(&rq.base);
    assert_non_null(a->enrolment);
    assert_int_equal(agent_refresh(a), TW_OK);
}

static void is_sorted_and_approved(void **state)
{
    struct inventory inv = { 0 };
    struct agent *b = add_agent(&inv, "b", true), *a = add_agent(&inv, "a", true),
                 *c = add_agent(&inv, "c", false);
    struct roster *r = roster_new(&inv, NULL, NULL);

    (void)state;
    assert_int_equal(r->agents.n, 2);
    assert_ptr_equal(r->of[0], a);
    assert_ptr_equal(r->of[1], b);
    assert_string_equal(r->agents.v[0].name, "a");
    roster_free(r);
    r = roster_new(&inv, c, a); /* as if */
    assert_int_equal(r->agents.n, 2);
    assert_string_equal(r->agents.v[0].name, "b");
    assert_string_equal(r->agents.v[1].name, "c");
    roster_free(r);
    inventory_free(&inv);
}

static void brings_labels_and_addresses(void **state)
{
    static char *addresses[] = { (char *)"2001:db8::1", (char *)"192.0.2.1" };
    struct inventory inv = { 0 };
    struct agent *a = add_agent(&inv, "a", true), *b = add_agent(&inv, "b", true);
    char text[TW_ADDR_TEXT];
    struct roster *r;

    (void)state;
    enrol(a, addresses, 2);
    enrol(b, NULL, 0);
    strcpy(b->peer_address, "198.51.100.7");
    add_agent(&inv, "c", true); /* never seen */
    r = roster_new(&inv, NULL, NULL);
    assert_int_equal(r->agents.n, 3);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(r->agents.v[i].n_labels, 2);
        assert_string_equal(r->agents.v[i].labels[0].key, "role");
        assert_string_equal(r->agents.v[i].labels[1].value, "ams");
    }
    assert_int_equal(r->agents.v[0].n_addresses, 2);
    assert_string_equal(tw_addr_format_ip(&r->agents.v[0].addresses[1], text), "192.0.2.1");
    assert_int_equal(r->agents.v[1].n_addresses, 1);
    assert_string_equal(tw_addr_format_ip(&r->agents.v[1].addresses[0], text), "198.51.100.7");
    assert_int_equal(r->agents.v[2].n_labels + r->agents.v[2].n_addresses, 0);
    roster_free(r);
    inventory_free(&inv);
}

/* What an operator says of an agent counts more than what it says itself. */
static void tells_what_operators_say(void **state)
{
    struct inventory inv = { 0 };
    struct agent *a = add_agent(&inv, "a", true);
    struct agent_ops *ops = calloc(1, sizeof *ops);
    struct roster *r;

    (void)state;
    enrol(a, NULL, 0);
    assert_int_equal(agent_ops_label(ops, "site", "fra", false), TW_OK);
    assert_int_equal(agent_ops_label(ops, "role", "", true), TW_OK);
    ops->drained.at_ns = 1;
    assert_int_equal(agent_set_ops(&inv, a, ops), TW_OK);
    r = roster_new(&inv, NULL, NULL);
    assert_int_equal(r->agents.v[0].n_labels, 1);
    assert_string_equal(r->agents.v[0].labels[0].key, "site");
    assert_string_equal(r->agents.v[0].labels[0].value, "fra");
    assert_true(r->agents.v[0].draining);
    roster_free(r);
    inventory_free(&inv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_sorted_and_approved),
        cmocka_unit_test(brings_labels_and_addresses),
        cmocka_unit_test(tells_what_operators_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
