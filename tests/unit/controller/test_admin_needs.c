/* Every method of the Admin service has a role, and what reads is open to viewers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "controller/admin.h"
#include "controller/http/api.h"

/* What is read by admins only. */
static const char *const secrets[] = { "AccessList", "AuditList", "DebugThreads", "JoinTokenList" };

static bool is_secret(const char *method)
{
    for (size_t i = 0; i < TW_NELEM(secrets); i++)
        if (!strcmp(secrets[i], method))
            return true;
    return false;
}

static void every_method_has_a_role(void **state)
{
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(secrets); i++)
        if (!protobuf_c_service_descriptor_get_method_by_name(d, secrets[i]) ||
            admin_needs((unsigned)(protobuf_c_service_descriptor_get_method_by_name(d, secrets[i]) - d->methods)).role != ACCESS_ADMIN)
            fail_msg("%s is for admins only", secrets[i]);
    for (unsigned i = 0; i < d->n_methods; i++) {
        struct admin_needs n = admin_needs(i);

        if (n.role <= ACCESS_NOBODY || n.role > ACCESS_ADMIN)
            fail_msg("%s has no role: add a row to ADMIN_METHODS in controller/admin.h", d->methods[i].name);
        if (n.changes && n.role == ACCESS_VIEWER)
            fail_msg("%s changes something, and viewers may call it", d->methods[i].name);
        if (!n.changes && n.role != ACCESS_VIEWER && !is_secret(d->methods[i].name))
            fail_msg("%s only reads, and viewers may not call it", d->methods[i].name);
    }
    assert_int_equal(admin_needs(d->n_methods).role, ACCESS_ROLES); /* nobody has that */
}

/* GET reads, POST and DELETE change: the routes say it a second time. */
static void routes_agree(void **state)
{
    size_t reads = 0, changes = 0;

    (void)state;
    for (size_t i = 0; i < controller_routes_n; i++) {
        const struct http_route *r = &controller_routes[i];

        if (r->fn != http_admin)
            continue;
        if (admin_needs((unsigned)api_admin_method(r)).changes != (r->method != NULL))
            fail_msg("%s: %s is taken for %s", r->path, (const char *)r->data,
                     r->method ? "reading" : "a change");
        if (r->method)
            changes++;
        else
            reads++;
    }
    assert_true(reads > 10 && changes > 10);
}

/* A few by name, so that a slip in the table's columns shows. */
static void some_by_name(void **state)
{
    static const struct {
        const char *name;
        enum access_role role;
    } rows[] = {
        { "AgentList", ACCESS_VIEWER },    { "Status", ACCESS_VIEWER },
        { "TestProgress", ACCESS_VIEWER }, { "ScheduleApply", ACCESS_OPERATOR },
        { "AgentDrain", ACCESS_OPERATOR }, { "AlertAck", ACCESS_OPERATOR },
        { "AgentApprove", ACCESS_ADMIN },  { "AgentRevoke", ACCESS_ADMIN },
        { "AlertApply", ACCESS_ADMIN },    { "DatabaseStart", ACCESS_ADMIN },
    };
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;
    size_t found = 0;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++)
        for (unsigned m = 0; m < d->n_methods; m++)
            if (!strcmp(d->methods[m].name, rows[i].name)) {
                assert_int_equal(admin_needs(m).role, rows[i].role);
                found++;
            }
    assert_int_equal(found, TW_NELEM(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_has_a_role),
        cmocka_unit_test(routes_agree),
        cmocka_unit_test(some_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
