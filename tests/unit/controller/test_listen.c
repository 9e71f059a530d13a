/* Which addresses the controller may listen on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "controller/listen.h"

static const struct {
    const char *url;
    bool allow_plaintext;
    enum tw_rc rc;
} rows[] = {
    { "tcp://127.0.0.1:8620", false, TW_OK },
    { "tcp://[::1]:8620", false, TW_OK },
    { "tcp://192.0.2.1:8620", false, TW_EPERM },
    { "tcp://0.0.0.0:8620", false, TW_EPERM },
    { "tcp://192.0.2.1:8620", true, TW_OK },
    { "tls+tcp://0.0.0.0:8620", false, TW_OK },
    { "tls+tcp://[2001:db8::1]:8620", false, TW_OK },
    { "tls+tcp://ctl.example.net:8620", false, TW_EINVAL },
    { "tls://192.0.2.1:8620", true, TW_EINVAL },
    { "ipc:///run/x.sock", false, TW_OK },
    { "ipc://x.sock", false, TW_EINVAL },
};

static void addresses_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct tw_err err = { 0 };

        if (listen_check(rows[i].url, rows[i].allow_plaintext, &err) != rows[i].rc)
            fail_msg("%s: \"%s\"", rows[i].url, err.text);
        if (rows[i].rc == TW_EPERM)
            assert_non_null(strstr(err.text, "use tls+tcp://"));
        else if (rows[i].rc)
            assert_non_null(strstr(err.text, "expected "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
