/* Who holds a key of a real etcd: one at a time, also while members and holders are killed or stand still,
 * and another one soon after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clk.h"
#include "common/net/now.h"
#include "db/etcd/holder.h"
#include "tests/cluster/etcd_server.h"

enum { WHO = 3 };
#define TTL (2 * TW_NS_PER_S)

static struct etcd_cluster cluster;
static struct http_location place;
static char location[256];
static struct tw_err err;

/* Each is a process of its own, so that it can be killed, and stopped while it believes that it holds it. */
struct seen {
    _Atomic int64_t number; /* now */
    _Atomic bool quit;
};
static struct seen *seen; /* shared */
static pid_t pids[WHO];

/* As whoever holds it would: looks, and does a moment's work. */
static void live(int who)
{
    struct holder_conf conf = { .at = &place, .role = "test", .name = "me", .ttl_ns = TTL };
    struct holder *h = NULL;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (holder_start(&conf, &h, &err))
        _exit(1);
    while (!atomic_load(&seen[who].quit)) {
        atomic_store(&seen[who].number, holder_number(h));
        usleep(1000);
    }
    atomic_store(&seen[who].number, 0);
    holder_stop(h);
    _exit(0);
}

static void start(int who)
{
    atomic_store(&seen[who].number, 0);
    atomic_store(&seen[who].quit, false);
    pids[who] = fork();
    if (pids[who] == 0)
        live(who);
    assert_true(pids[who] > 0);
}

static void end(int who, int signal)
{
    if (signal)
        kill(pids[who], signal);
    else
        atomic_store(&seen[who].quit, true);
    waitpid(pids[who], NULL, 0);
    atomic_store(&seen[who].number, 0);
    pids[who] = 0;
}

static int64_t highest;

/* The one that holds it; -1: nobody. Those that are stopped say nothing: whether what they say is old is
 * looked at by the one who wakes them. */
static int holder_now(const bool stopped[WHO])
{
    int found = -1;

    for (int i = 0; i < WHO; i++) {
        int64_t number = stopped[i] ? 0 : atomic_load(&seen[i].number);
        if (!number)
            continue;
        if (found >= 0)
            fail_msg("two hold it");
        if (number < highest)
            fail_msg("%lld holds it after %lld", (long long)number, (long long)highest);
        highest = number;
        found = i;
    }
    return found;
}

/* Until somebody holds it, other than `not`. */
static int await(const bool stopped[WHO], int not, int64_t *ret_ns)
{
    int64_t from = tw_mono_now().ns;

    while (tw_mono_now().ns - from < 30 * TW_NS_PER_S) {
        int who = holder_now(stopped);
        if (who >= 0 && who != not ) {
            *ret_ns = tw_mono_now().ns - from;
            return who;
        }
        usleep(1000);
    }
    fail_msg("nobody holds it");
    return -1;
}

static int setup(void **state)
{
    char hosts[128];

    (void)state;
    seen = mmap(NULL, WHO * sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(seen != MAP_FAILED);
    etcd_cluster_start(&cluster, 3, false);
    etcd_cluster_hosts(&cluster, hosts, sizeof hosts);
    snprintf(location, sizeof location, "%s/c", hosts);
    assert_int_equal(http_location_parse(location, &etcd_location, &place, &err), TW_OK);
    for (int i = 0; i < WHO; i++)
        start(i);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < WHO; i++)
        if (pids[i])
            end(i, SIGKILL);
    etcd_cluster_stop(&cluster);
    return 0;
}

static void one_after_the_other(void **state)
{
    bool stopped[WHO] = { 0 };
    int64_t took;
    int who = await(stopped, -1, &took);

    (void)state;
    end(who, 0); /* gives it up */
    await(stopped, -1, &took);
    start(who);
    print_message("given up: %.1f s\n", (double)took / 1e9);
    assert_true(took < 5 * TW_NS_PER_S);
    who = holder_now(stopped);
    end(who, SIGKILL);
    await(stopped, -1, &took);
    start(who);
    print_message("killed: %.1f s\n", (double)took / 1e9);
    assert_true(took < 10 * TW_NS_PER_S);
}

/* One that stood still finds out by itself, before it does anything. */
static void one_that_stands_still(void **state)
{
    bool stopped[WHO] = { 0 };
    int64_t took;
    int who = await(stopped, -1, &took);

    (void)state;
    kill(pids[who], SIGSTOP);
    stopped[who] = true;
    await(stopped, who, &took);
    print_message("stopped: %.1f s\n", (double)took / 1e9);
    atomic_store(&seen[who].number, 0); /* what it said before it slept */
    kill(pids[who], SIGCONT);
    stopped[who] = false;
    for (int i = 0; i < 2000; i++) {
        assert_true(holder_now(stopped) != who);
        usleep(500);
    }
}

static void members_die(void **state)
{
    bool stopped[WHO] = { 0 };
    int64_t took;

    (void)state;
    for (int i = 0; i < 2; i++) {
        unsigned leader = etcd_cluster_leader(&cluster);
        if (i)
            etcd_member_pause(&cluster, leader, true);
        else
            etcd_member_kill(&cluster, leader);
        for (int k = 0; k < 4000; k++) {
            holder_now(stopped);
            usleep(1000);
        }
        await(stopped, -1, &took);
        if (i)
            etcd_member_pause(&cluster, leader, false);
        else
            etcd_member_again(&cluster, leader);
    }
    etcd_member_kill(&cluster, 0);
    etcd_member_kill(&cluster, 1);
    usleep(2 * TTL / 1000);
    assert_int_equal(holder_now(stopped), -1); /* nobody can be sure */
    etcd_member_again(&cluster, 0);
    await(stopped, -1, &took);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(one_that_stands_still),
        cmocka_unit_test(members_die),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
