#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/net/confine.h"

/* What is given up cannot be had back: each in a process of its own. Its exit code, or 1000 + the signal. */
static int in_child(int (*fn)(void))
{
    int status;
    pid_t pid = fork();

    if (!pid)
        _exit(fn());
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

enum { SANITIZED = 99 };

static int filtered(enum confine_mode mode, unsigned needs)
{
    struct tw_err err = { 0 };
    enum tw_rc rc = confine_syscalls(mode, needs, &err);

    if (rc == TW_EINVAL && strstr(err.text, "sanitizer"))
        return SANITIZED;
    return rc == TW_OK ? 0 : 98;
}

/* Of no use to anybody here, and harmless. */
static int is_refused(void)
{
    errno = 0;
    return syscall(SYS_ioprio_get, 1, 0) < 0 && errno == ENOSYS;
}

static int usual_work(void)
{
    int e = filtered(CONFINE_ON, 0), fd[2];
    void *p;

    if (e)
        return e;
    p = malloc(1 << 22);
    memset(p, 1, 1 << 22);
    free(p);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) || write(fd[1], "x", 1) != 1 || !is_refused())
        return 1;
    return pipe(fd) == 0 || errno != ENOSYS; /* of those who run programs only */
}

static int debug_somebody(void)
{
    int e = filtered(CONFINE_ON, CONFINE_CHILDREN);

    if (!e)
        ptrace(PTRACE_TRACEME, 0, 0, 0);
    return e ? e : 1;
}

static int run_something(void)
{
    int e = filtered(CONFINE_ON, 0);

    if (!e)
        execl("/bin/true", "true", (char *)NULL);
    return e ? e : 1;
}

static int run_what_it_may(void)
{
    int e = filtered(CONFINE_ON, CONFINE_CHILDREN);

    if (!e)
        execl("/bin/sh", "sh", "-c", "exit $(( $(echo 20 | cat) + 3 ))", (char *)NULL);
    return e ? e : 1;
}

static int only_log(void)
{
    int e = filtered(CONFINE_LOG, 0);

    return e ? e : is_refused();
}

static int no_filter(void)
{
    return confine_syscalls(CONFINE_OFF, 0, NULL) != TW_OK || is_refused();
}

static void *on_thread(void *arg)
{
    sigset_t *go = arg;
    int signo;

    sigwait(go, &signo);
    return (void *)(intptr_t)is_refused();
}

/* One that there was before. */
static int other_threads(void)
{
    sigset_t go;
    pthread_t t;
    void *refused = NULL;
    int e;

    sigemptyset(&go);
    sigaddset(&go, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &go, NULL);
    if (pthread_create(&t, NULL, on_thread, &go))
        return 1;
    e = filtered(CONFINE_ON, 0);
    pthread_kill(t, SIGUSR1);
    pthread_join(t, &refused);
    return e ? e : !refused;
}

static void check(int got, int wanted)
{
    if (got == SANITIZED)
        skip();
    assert_int_equal(got, wanted);
}

static void usual_calls_go_on(void **state)
{
    (void)state;
    check(in_child(usual_work), 0);
}

static void intruders_end(void **state)
{
    (void)state;
    check(in_child(debug_somebody), 1000 + SIGSYS);
    check(in_child(run_something), 1000 + SIGSYS);
}

static void programs_that_are_run_can_work(void **state)
{
    (void)state;
    check(in_child(run_what_it_may), 23);
}

static void log_lets_all_through(void **state)
{
    (void)state;
    check(in_child(only_log), 0);
    assert_int_equal(in_child(no_filter), 0);
}

static void all_threads_are_filtered(void **state)
{
    (void)state;
    check(in_child(other_threads), 0);
}

static int begin_as_one_is(void)
{
    struct confine_begin c = { 0 };
    struct rlimit core;

    if (confine_begin(&c, NULL) != TW_OK || getrlimit(RLIMIT_CORE, &core) || core.rlim_max)
        return 1;
    return prctl(PR_GET_DUMPABLE) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

static int begin_with_dumps(void)
{
    struct confine_begin c = { .core_dumps = true };

    return confine_begin(&c, NULL) != TW_OK || prctl(PR_GET_DUMPABLE) != 1;
}

static int become_nobody(void)
{
    struct confine_begin c = { .user = "nobody", .capabilities = CONFINE_CAP(10) };

    if (confine_begin(&c, NULL) != TW_OK || geteuid() == 0 || getegid() == 0)
        return 1;
    confine_keep(0);
    return setuid(0) == 0;
}

static int become_a_ghost(void)
{
    struct confine_begin c = { .user = "no-such-user-here" };
    struct tw_err err = { 0 };

    return confine_begin(&c, &err) != TW_ENOENT || !strstr(err.text, "no-such-user-here");
}

static int become_root_again(void)
{
    struct confine_begin c = { .user = "root" };
    struct tw_err err = { 0 };

    if (setuid(65534))
        return 1;
    return confine_begin(&c, &err) != TW_EPERM || !strstr(err.text, "only root");
}

static void beginnings(void **state)
{
    (void)state;
    assert_int_equal(in_child(begin_as_one_is), 0);
    assert_int_equal(in_child(begin_with_dumps), 0);
    assert_int_equal(in_child(become_a_ghost), 0);
    if (geteuid() != 0)
        return;
    assert_int_equal(in_child(become_nobody), 0);
    assert_int_equal(in_child(become_root_again), 0);
}

static void low_ports(void **state)
{
    static const struct {
        const char *address;
        bool low;
    } rows[] = { { "0.0.0.0:862", true },     { "[::]:862", true },       { "127.0.0.1:8862", false },
                 { "127.0.0.1:1024", false }, { "127.0.0.1:1023", true }, { "tcp://[::1]:443", true },
                 { "off", false },            { "none", false },          { "127.0.0.1:0", false } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (confine_low_port(rows[i].address) != rows[i].low)
            fail_msg("%s", rows[i].address);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_calls_go_on),
        cmocka_unit_test(intruders_end),
        cmocka_unit_test(programs_that_are_run_can_work),
        cmocka_unit_test(log_lets_all_through),
        cmocka_unit_test(all_threads_are_filtered),
        cmocka_unit_test(beginnings),
        cmocka_unit_test(low_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
