/* What is told of SIGHUP: counts, the first error of a reload, and the service manager. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/log.h"
#include "common/net/reload.h"

static int manager = -1; /* its socket */

/* With a name that nobody else has: that of the kernel's choice. */
static int listen_as_manager(void **state)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    socklen_t len = sizeof a;
    char path[sizeof a.sun_path + 1] = "@";

    (void)state;
    log_init("test", LOG_ERROR_, LOG_TEXT);
    log_to(STDOUT_FILENO);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (manager < 0 || bind(manager, (struct sockaddr *)&a, sizeof a.sun_family) ||
        getsockname(manager, (struct sockaddr *)&a, &len))
        return -1;
    snprintf(path + 1, sizeof path - 1, "%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path) - 1),
             a.sun_path + 1);
    return setenv("NOTIFY_SOCKET", path, 1);
}

static void expect_told(const char *begin)
{
    char text[200];
    ssize_t n = recv(manager, text, sizeof text - 1, MSG_DONTWAIT);

    assert_true(n > 0);
    text[n] = '\0';
    if (strncmp(text, begin, strlen(begin)))
        fail_msg("told \"%s\", expected \"%s\"", text, begin);
}

static void reloads_are_told(void **state)
{
    static const struct {
        const char *first, *second, *error;
        uint64_t ok, failed;
    } rows[] = {
        { "", NULL, "", 1, 0 },
        { "acl:2: no prefix", "", "lists: acl:2: no prefix", 1, 1 },
        { "acl:2: no prefix", "no such file", "lists: acl:2: no prefix", 1, 2 },
        { NULL, "no such file", "keys: no such file", 1, 3 },
        { "", "", "", 2, 3 }, /* the error is gone with its cause */
    };
    struct reload r = { 0 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        reload_begin(&r);
        reload_part(&r, "lists", rows[i].first);
        reload_part(&r, "keys", rows[i].second);
        reload_end(&r);
        assert_string_equal(r.error, rows[i].error);
        assert_int_equal(r.ok, rows[i].ok);
        assert_int_equal(r.failed, rows[i].failed);
        assert_true(r.time_ns > 0);
        expect_told("RELOADING=1\nMONOTONIC_USEC=");
        expect_told("READY=1");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reloads_are_told) };

    return cmocka_run_group_tests(tests, listen_as_manager, NULL);
}
