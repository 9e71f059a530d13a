/* How many sockets the sessions of a worker need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "tests/unit/agent/io/worker_rig.h"

enum { MANY = 2000, FILES_BESIDES = 64 };

static void start(struct rig *r, size_t max_sessions)
{
    rig_prepare(r);
    r->cfg.max_sessions = max_sessions;
    rig_go(r);
}

/* Nothing is sent in the time of a test. */
static struct session_cfg quiet(uint64_t pair)
{
    struct session_cfg cfg = rig_session(pair, 0);

    cfg.spacing_ns = 3600 * TW_NS_PER_S;
    cfg.phase_ns = cfg.spacing_ns / 2;
    if (llabs((tw_wall_now().ns % cfg.spacing_ns) - cfg.phase_ns) < 60 * TW_NS_PER_S)
        cfg.phase_ns = 0;
    return cfg;
}

static void add(struct rig *r, const struct session_cfg *cfg, const struct tw_addr *to)
{
    enum tw_rc rc;

    while ((rc = rig_add(r, cfg, to, 255)) == TW_EBUSY)
        rig_turn(r);
    assert_int_equal(rc, TW_OK);
}

static void many_peers_share_one_socket(void **state)
{
    struct rig r;

    (void)state;
    start(&r, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        struct session_cfg cfg = quiet(i);
        char text[32];
        struct tw_addr to;
        snprintf(text, sizeof text, "127.0.%u.%u", 1 + i / 200, 1 + i % 200);
        to = rig_addr(text, 9);
        add(&r, &cfg, &to);
    }
    RIG_WAIT(&r, rig_counters(&r).sessions == MANY);
    RIG_SETTLE(&r);
    assert_int_equal(r.w->n_lanes, 1);
    for (unsigned i = 0; i < MANY; i++)
        while (worker_remove(r.w, i, 0) == TW_EBUSY)
            rig_turn(&r);
    RIG_WAIT(&r, r.ended == MANY);
    assert_int_equal(rig_counters(&r).sessions, 0);
    rig_end(&r);
}

static bool may_open(rlim_t files)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) || (l.rlim_max != RLIM_INFINITY && l.rlim_max < files))
        return false;
    if (l.rlim_cur < files)
        l.rlim_cur = files;
    return setrlimit(RLIMIT_NOFILE, &l) == 0;
}

static void too_many_to_the_same_address_are_told_why(void **state)
{
    struct tw_addr to = rig_addr("127.0.0.1", 9);
    struct rig r;

    (void)state;
    if (!may_open(LANES_MAX + FILES_BESIDES))
        skip();
    start(&r, LANES_MAX + 1);
    for (uint32_t i = 0; i <= LANES_MAX; i++) {
        struct session_cfg cfg = quiet(1);
        cfg.flow = i;
        add(&r, &cfg, &to);
    }
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(r.last_end[1].rc, TW_ENOSPC);
    assert_string_equal(r.last_end[1].why,
                        "127.0.0.1:9 is probed from all 4096 sockets of this worker, and each session "
                        "to the same address and port needs its own: fewer flows, or more workers");
    assert_int_equal(rig_counters(&r).sessions, LANES_MAX);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_peers_share_one_socket),
        cmocka_unit_test(too_many_to_the_same_address_are_told_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
