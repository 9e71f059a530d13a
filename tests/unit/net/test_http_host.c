#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/net/http_host.h"
#include "common/rc.h"

static const char *const names[] = { "Controller", "mesh.example.net." };

static const struct {
    const char *host;
    bool ours;
} rows[] = {
    { NULL, true },
    { "127.0.0.1", true },
    { "127.0.0.1:8080", true },
    { "192.0.2.7:8443", true },
    { "[::1]:8080", true },
    { "[2001:db8::1]", true },
    { "localhost", true },
    { "LocalHost:8080", true },
    { "localhost.:8080", true },
    { "controller", true },
    { "CONTROLLER:8080", true },
    { "mesh.example.net", true },
    { "mesh.example.net.:443", true },
    { "", false },
    { ".", false },
    { ":8080", false },
    { "evil.example", false },
    { "evil.example:8080", false },
    { "controller.evil.example", false },
    { "notcontroller", false },
    { "127.0.0.1.evil.example", false },
    { "localhost.evil.example:8080", false },
    { "127.1", false }, /* whatever a resolver makes of it */
    { "2130706433", false },
    { "controller evil", false },
};

static void is_ours(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (http_host_is_ours(rows[i].host, names, TW_NELEM(names)) != rows[i].ours)
            fail_msg("\"%s\": expected %d", rows[i].host ? rows[i].host : "(none)", rows[i].ours);
    assert_false(http_host_is_ours("controller", NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(is_ours) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
