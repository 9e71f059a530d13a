/* Steps of the wall clock and changes of its state, with the clocks in our hand: the kernel's timer is an
 * eventfd here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "agent/clockwatch.h"
#include "common/net/loop.h"
#include "common/net/now.h"

static struct {
    int64_t step_ns; /* the wall clock is ahead of the real one */
    struct tw_clock_state state;
    bool no_timer, no_cancel;
    int fd; /* of the last timer that was made */
    int arms, reads;
    struct tw_clock_state told;
    int tells;
} fake;

struct tw_now __real_tw_now(void);
struct tw_now __wrap_tw_now(void);
struct tw_now __wrap_tw_now(void)
{
    struct tw_now n = __real_tw_now();

    n.wall.ns += fake.step_ns;
    return n;
}

void __wrap_tw_clock_read(struct clkstate *ret);
void __wrap_tw_clock_read(struct clkstate *ret)
{
    fake.reads++;
    *ret = (struct clkstate){ .state = fake.state };
}

int __wrap_timerfd_create(clockid_t clock, int flags);
int __real_timerfd_create(clockid_t clock, int flags);
int __wrap_timerfd_create(clockid_t clock, int flags)
{
    if (clock != CLOCK_REALTIME) /* the loop's own */
        return __real_timerfd_create(clock, flags);
    if (fake.no_timer) {
        errno = EINVAL;
        return -1;
    }
    fake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return fake.fd;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old)
{
    if (!(flags & TFD_TIMER_CANCEL_ON_SET))
        return __real_timerfd_settime(fd, flags, at, old);
    fake.arms++;
    errno = EINVAL;
    return fake.no_cancel ? -1 : 0;
}

void __wrap_worker_watch_clock(struct worker *w, const struct tw_clock_state *c);
void __wrap_worker_watch_clock(struct worker *w, const struct tw_clock_state *c)
{
    (void)w;
    fake.told = *c;
    fake.tells++;
}

/* ---- Rig ---- */

struct rig {
    struct loop *loop;
    struct worker *workers[1];
    struct clockwatch c;
};

static struct rig *start(void)
{
    static struct rig r;

    memset(&r, 0, sizeof r);
    assert_int_equal(loop_new(&r.loop), TW_OK);
    clockwatch_start(&r.c, r.loop, r.workers, 1);
    return &r;
}

static void stop(struct rig *r)
{
    clockwatch_stop(&r->c);
    loop_free(r->loop);
}

static int reset(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.fd = -1;
    fake.state = (struct tw_clock_state){ .synced = true, .max_error_ns = 1000 };
    return 0;
}

static void run_for(struct rig *r, int64_t ns)
{
    bool never = false;

    loop_run_until(r->loop, &never, (struct tw_mono){ tw_mono_now().ns + ns });
}

static void run_until_told(struct rig *r, int tells, int64_t within_ns)
{
    int64_t end = tw_mono_now().ns + within_ns;

    while (fake.tells < tells && tw_mono_now().ns < end)
        run_for(r, 10 * TW_NS_PER_MS);
    assert_int_equal(fake.tells, tells);
}

static void set_clock(int64_t step_ns)
{
    uint64_t one = 1;

    fake.step_ns += step_ns;
    if (fake.fd >= 0)
        assert_int_equal(write(fake.fd, &one, sizeof one), sizeof one);
}

/* ---- Tests ---- */

static void the_kernel_tells_of_steps(void **state)
{
    static const int64_t steps[] = { 10 * TW_NS_PER_S, -10 * TW_NS_PER_S, 5 * TW_NS_PER_MS };
    struct rig *r = start();

    (void)state;
    assert_int_equal(fake.tells, 1);
    assert_true(fake.told.synced && fake.told.max_error_ns == 1000 && !fake.told.steps);
    for (size_t i = 0; i < TW_NELEM(steps); i++) {
        set_clock(steps[i]);
        run_until_told(r, (int)i + 2, 20 * TW_NS_PER_S);
        assert_int_equal(fake.told.steps, i + 1);
        assert_false(fake.told.synced); /* for a while */
        assert_int_equal(fake.arms, i + 2);
    }
    assert_int_equal(clockwatch_look(&r->c)->state.steps, 3);
    stop(r);
}

/* Daemons and virtual machines set the clock by next to nothing, too. */
static void next_to_nothing_is_no_step(void **state)
{
    struct rig *r = start();

    (void)state;
    set_clock(100000);
    for (int i = 0; i < 100 && fake.arms < 2; i++)
        run_for(r, 10 * TW_NS_PER_MS);
    assert_int_equal(fake.arms, 2);
    assert_int_equal(fake.tells, 1);
    assert_true(clockwatch_look(&r->c)->state.synced);
    stop(r);
}

static void an_idle_host_is_left_alone(void **state)
{
    struct rig *r = start();

    (void)state;
    run_for(r, 1500 * TW_NS_PER_MS);
    assert_int_equal(fake.reads, 1); /* the first one */
    assert_int_equal(fake.tells, 1);
    stop(r);
}

/* No such timer, or one that cannot be cancelled: steps are found by looking. */
static void without_the_kernels_help(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct rig *r;
        reset(NULL);
        fake.no_timer = !i;
        fake.no_cancel = i;
        r = start();
        fake.fd = -1;
        set_clock(TW_NS_PER_S);
        run_until_told(r, 2, 20 * TW_NS_PER_S);
        assert_int_equal(fake.told.steps, 1);
        stop(r);
    }
}

static void looks_are_fresh(void **state)
{
    struct rig *r = start();

    (void)state;
    fake.state = (struct tw_clock_state){ .synced = false, .max_error_ns = CLKSTATE_WORST_NS };
    assert_false(clockwatch_look(&r->c)->state.synced);
    assert_true(r->c.last.state.max_error_ns == CLKSTATE_WORST_NS);
    fake.state = (struct tw_clock_state){ .synced = true, .max_error_ns = 5 };
    assert_true(clockwatch_look(&r->c)->state.synced);
    assert_int_equal(fake.tells, 1); /* workers look themselves */
    stop(r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_kernel_tells_of_steps, reset),
        cmocka_unit_test_setup(next_to_nothing_is_no_step, reset),
        cmocka_unit_test_setup(an_idle_host_is_left_alone, reset),
        cmocka_unit_test_setup(without_the_kernels_help, reset),
        cmocka_unit_test_setup(looks_are_fresh, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
