#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/net/loop.h"
#include "common/net/now.h"

#define MUST(x) assert_int_equal((x), TW_OK)

static struct loop *l;
static bool done;

static int setup(void **state)
{
    (void)state;
    done = false;
    return loop_new(&l) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(l);
    return 0;
}

static struct tw_mono in(int64_t ns)
{
    return (struct tw_mono){ tw_mono_now().ns + ns };
}

static void run(void)
{
    enum tw_rc rc = loop_run_until(l, &done, in(30 * TW_NS_PER_S));

    if (rc)
        fail_msg("loop ended with %s", tw_rc_name(rc));
}

/* ---- Timers ---- */

static int order[16];
static size_t n_order;

struct numbered {
    struct loop_timer timer;
    int number;
};

static void note_number(struct loop_timer *t)
{
    const struct numbered *n = t->ctx;

    order[n_order++] = n->number;
    if (n->number < 0)
        done = true;
}

static void timers_fire_in_order_of_deadline(void **state)
{
    static const int64_t due_ms[] = { 30, 10, 20, 10, 0, -5 };
    static const int expect[] = { 5, 4, 1, 3, 2, 0, -1 };
    struct tw_mono base = in(0);
    struct numbered n[7];

    (void)state;
    n_order = 0;
    for (int i = 0; i < 7; i++) {
        n[i] = (struct numbered){ .timer = { .fn = note_number, .ctx = &n[i] }, .number = i < 6 ? i : -1 };
        MUST(loop_timer_set(l, &n[i].timer,
                            (struct tw_mono){ base.ns + (i < 6 ? due_ms[i] : 31) * TW_NS_PER_MS }));
    }
    run();
    assert_true(tw_mono_now().ns - base.ns >= 31 * TW_NS_PER_MS);
    assert_int_equal(n_order, 7);
    assert_memory_equal(order, expect, sizeof expect);
}

static struct numbered victim;

static void cancel_victim(struct loop_timer *t)
{
    (void)t;
    loop_timer_cancel(l, &victim.timer);
}

static void a_timer_cancelled_by_an_earlier_one_does_not_fire(void **state)
{
    struct loop_timer killer = { .fn = cancel_victim };
    struct numbered last = { .number = -1 };
    struct tw_mono at = in(TW_NS_PER_MS);

    (void)state;
    n_order = 0;
    victim = (struct numbered){ .timer = { .fn = note_number, .ctx = &victim }, .number = 7 };
    last.timer = (struct loop_timer){ .fn = note_number, .ctx = &last };
    MUST(loop_timer_set(l, &killer, at)); /* all three are due in the same round */
    MUST(loop_timer_set(l, &victim.timer, at));
    MUST(loop_timer_set(l, &last.timer, at));
    run();
    assert_int_equal(n_order, 1);
    assert_int_equal(order[0], -1);
}

struct periodic {
    struct loop_timer timer;
    unsigned n;
};

static void again(struct loop_timer *t)
{
    struct periodic *p = t->ctx;

    p->n++;
    MUST(loop_timer_set(l, t, loop_now(l).mono)); /* due at once, for ever */
}

static void a_timer_that_is_always_due_starves_nobody(void **state)
{
    struct periodic p = { .n = 0 };
    struct numbered last = { .number = -1 };

    (void)state;
    p.timer = (struct loop_timer){ .fn = again, .ctx = &p };
    last.timer = (struct loop_timer){ .fn = note_number, .ctx = &last };
    n_order = 0;
    MUST(loop_timer_set(l, &p.timer, in(0)));
    MUST(loop_timer_set(l, &last.timer, in(5 * TW_NS_PER_MS)));
    run();
    assert_true(p.n > 1);
    loop_timer_cancel(l, &p.timer);
}

static void until_has_a_deadline(void **state)
{
    struct tw_mono start = in(0);

    (void)state;
    assert_int_equal(loop_run_until(l, &done, in(20 * TW_NS_PER_MS)), TW_ETIMEOUT);
    assert_true(tw_mono_now().ns - start.ns >= 20 * TW_NS_PER_MS);
    done = true;
    MUST(loop_run_until(l, &done, in(0)));
}

static void an_idle_loop_does_not_wake_up(void **state)
{
    struct rusage before, after;

    (void)state;
    getrusage(RUSAGE_THREAD, &before);
    assert_int_equal(loop_run_until(l, &done, in(100 * TW_NS_PER_MS)), TW_ETIMEOUT);
    getrusage(RUSAGE_THREAD, &after);
    if (after.ru_nvcsw - before.ru_nvcsw > 5)
        fail_msg("%ld wake-ups", after.ru_nvcsw - before.ru_nvcsw);
}

/* ---- Descriptors ---- */

struct pipe_watch {
    struct loop_watch watch;
    struct pipe_watch *other;
    int fds[2];
    unsigned calls;
};

static void open_pipe(struct pipe_watch *p, struct pipe_watch *other,
                      void (*fn)(struct loop_watch *w, uint32_t events))
{
    assert_int_equal(pipe(p->fds), 0);
    p->watch = (struct loop_watch){ .fn = fn, .ctx = p, .fd = p->fds[0] };
    p->other = other;
    p->calls = 0;
    assert_int_equal(write(p->fds[1], "x", 1), 1);
    MUST(loop_watch(l, &p->watch, EPOLLIN));
}

static void close_pipe(struct pipe_watch *p)
{
    close(p->fds[0]);
    close(p->fds[1]);
}

static void remove_both(struct loop_watch *w, uint32_t events)
{
    struct pipe_watch *p = w->ctx;

    (void)events;
    p->calls++;
    loop_unwatch(l, &p->watch);
    loop_unwatch(l, &p->other->watch);
    done = true;
}

static void a_watch_removed_in_a_callback_is_not_called(void **state)
{
    struct pipe_watch a, b;

    (void)state;
    open_pipe(&a, &b, remove_both); /* both are ready in the same round */
    open_pipe(&b, &a, remove_both);
    run();
    assert_int_equal(a.calls + b.calls, 1);
    close_pipe(&a);
    close_pipe(&b);
}

static void read_one(struct loop_watch *w, uint32_t events)
{
    struct pipe_watch *p = w->ctx;
    char c;

    if (events & EPOLLHUP) {
        done = true;
        return;
    }
    p->calls++;
    assert_int_equal(read(w->fd, &c, 1), 1);
    if (p->calls == 3) {
        close(p->fds[1]);
        p->fds[1] = -1;
    }
}

static void watches_are_level_triggered(void **state)
{
    struct pipe_watch a;

    (void)state;
    open_pipe(&a, NULL, read_one);
    assert_int_equal(write(a.fds[1], "yz", 2), 2);
    assert_int_equal(loop_watch(l, &a.watch, EPOLLIN), TW_EEXIST);
    MUST(loop_rewatch(l, &a.watch, EPOLLIN | EPOLLRDHUP));
    run();
    assert_int_equal(a.calls, 3);
    loop_unwatch(l, &a.watch);
    close(a.fds[0]);
}

/* ---- Tasks ---- */

enum { THREADS = 4, POSTS = 20000 };

struct poster {
    struct loop_task task;
    pthread_t thread;
    _Atomic unsigned posted, seen; /* seen: value of `posted` when the task last ran */
    unsigned runs;
};

static struct poster posters[THREADS];

static void on_post(struct loop_task *t)
{
    struct poster *p = t->ctx;

    p->runs++;
    atomic_store(&p->seen, atomic_load(&p->posted));
    for (int i = 0; i < THREADS; i++)
        if (atomic_load(&posters[i].seen) < POSTS)
            return;
    done = true;
}

static void *post_many(void *arg)
{
    struct poster *p = arg;

    for (unsigned i = 0; i < POSTS; i++) {
        atomic_fetch_add(&p->posted, 1);
        loop_post(l, &p->task);
    }
    return NULL;
}

/* The last post of each must be followed by a run that sees it: none is lost, however they collide. */
static void posts_from_four_threads_are_all_seen(void **state)
{
    (void)state;
    memset(posters, 0, sizeof posters);
    for (int i = 0; i < THREADS; i++)
        posters[i].task = (struct loop_task){ .fn = on_post, .ctx = &posters[i] };
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
    run();
    for (int i = 0; i < THREADS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_true(posters[i].runs >= 1 && posters[i].runs <= POSTS);
    }
}

struct numbered_task {
    struct loop_task task;
    int number;
};

static void note_task(struct loop_task *t)
{
    const struct numbered_task *n = t->ctx;

    order[n_order++] = n->number;
    if (n->number == 9)
        done = true;
}

static void tasks_run_in_the_order_of_posting_once(void **state)
{
    struct numbered_task n[10];

    (void)state;
    n_order = 0;
    for (int i = 0; i < 10; i++) {
        n[i] = (struct numbered_task){ .task = { .fn = note_task, .ctx = &n[i] }, .number = i };
        loop_post(l, &n[i].task);
        loop_post(l, &n[0].task); /* queued already, but for the first time */
    }
    loop_unpost(l, &n[4].task);
    loop_unpost(l, &n[4].task); /* idle: no effect */
    run();
    assert_int_equal(n_order, 9);
    for (int i = 0; i < 9; i++)
        if (order[i] != (i < 4 ? i : i + 1))
            fail_msg("place %d is task %d", i, order[i]);
}

static void urgent_tasks_run_first(void **state)
{
    struct numbered_task n[10];
    static const int want[] = { 3, 6, 0, 1, 2, 5, 7, 8, 9, 4 };

    (void)state;
    n_order = 0;
    for (int i = 0; i < 10; i++) {
        n[i] = (struct numbered_task){
            .task = { .fn = note_task, .ctx = &n[i], .urgent = i == 3 || i == 4 || i == 6 }, .number = i
        };
        loop_post(l, &n[i].task);
    }
    loop_unpost(l, &n[4].task);
    n[4].task.urgent = false;
    loop_post(l, &n[4].task);
    run();
    assert_int_equal(n_order, 10);
    for (int i = 0; i < 10; i++)
        if (order[i] != want[i])
            fail_msg("place %d is task %d", i, order[i]);
}

static struct loop_task endless;
static unsigned n_again;

static void takes_long_and_comes_again(struct loop_task *t)
{
    int64_t end = tw_mono_now().ns + 3 * TW_NS_PER_MS;

    while (tw_mono_now().ns < end)
        ;
    if (++n_again < 1000)
        loop_post(l, t);
}

static void set_done(struct loop_timer *t)
{
    (void)t;
    done = true;
}

/* Tasks without end, urgent or not: timers and descriptors have their turn. */
static void tasks_leave_others_their_turn(void **state)
{
    struct loop_timer t = { .fn = set_done };
    struct loop_stats s;

    (void)state;
    for (int urgent = 0; urgent < 2; urgent++) {
        n_again = 0;
        done = false;
        endless = (struct loop_task){ .fn = takes_long_and_comes_again, .urgent = urgent };
        loop_post(l, &endless);
        assert_int_equal(loop_timer_set(l, &t, in(20 * TW_NS_PER_MS)), TW_OK);
        assert_int_equal(loop_run_until(l, &done, in(3 * TW_NS_PER_S)), TW_OK);
        assert_in_range(n_again, 1, 500);
        n_again = 1000;
        done = false;
        loop_run_until(l, &done, in(10 * TW_NS_PER_MS));
    }
    loop_stats(l, &s);
    assert_true(s.piece.longest_ns >= 3 * TW_NS_PER_MS && s.piece.longest_ns <= s.work.longest_ns);
}

static void free_task(struct loop_task *t)
{
    done = true;
    free(t->ctx);
}

static void a_task_may_free_itself(void **state)
{
    struct numbered_task *n = calloc(1, sizeof *n);

    (void)state;
    n->task = (struct loop_task){ .fn = free_task, .ctx = n };
    loop_post(l, &n->task);
    run();
}

static struct numbered_task second;

static void unpost_second(struct loop_task *t)
{
    (void)t;
    loop_unpost(l, &second.task);
    done = true;
}

static void a_task_may_take_out_a_later_one(void **state)
{
    struct loop_task first = { .fn = unpost_second };

    (void)state;
    n_order = 0;
    second = (struct numbered_task){ .task = { .fn = note_task, .ctx = &second }, .number = 1 };
    loop_post(l, &first);
    loop_post(l, &second.task);
    run();
    done = false;
    assert_int_equal(loop_run_until(l, &done, in(5 * TW_NS_PER_MS)), TW_ETIMEOUT);
    assert_int_equal(n_order, 0);
    loop_post(l, &second.task); /* it can be used again */
    assert_int_equal(loop_run_until(l, &done, in(5 * TW_NS_PER_MS)), TW_ETIMEOUT);
    assert_int_equal(n_order, 1);
}

/* ---- Stop and signals ---- */

static void *stop_it(void *arg)
{
    loop_stop(arg);
    return NULL;
}

static void stop_works_from_another_thread_and_before_the_run(void **state)
{
    pthread_t t;

    (void)state;
    assert_int_equal(pthread_create(&t, NULL, stop_it, l), 0);
    MUST(loop_run(l));
    pthread_join(t, NULL);
    loop_stop(l);
    MUST(loop_run(l));
    loop_stop(l);
    assert_int_equal(loop_run_until(l, &done, TW_MONO_NEVER), TW_ECLOSED);
}

static int got[2];

static void on_signo(void *ctx, int signo)
{
    assert_ptr_equal(ctx, got);
    got[signo == SIGUSR2]++;
    done = got[0] && got[1];
}

static void signals_are_delivered_in_the_loop(void **state)
{
    (void)state;
    got[0] = got[1] = 0;
    MUST(loop_on_signal(l, SIGUSR1, on_signo, got));
    MUST(loop_on_signal(l, SIGUSR2, on_signo, got));
    assert_int_equal(loop_on_signal(l, 0, on_signo, got), TW_EINVAL);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    run();
    assert_int_equal(got[0], 1);
    assert_int_equal(got[1], 1);
}

/* ---- How it is doing ---- */

#define WORK_NS (5 * TW_NS_PER_MS)

static void work(struct loop_timer *t)
{
    struct tw_mono end = in(WORK_NS);

    (void)t;
    while (tw_mono_now().ns < end.ns)
        ;
}

static void its_work_is_told(void **state)
{
    struct loop_timer worker = { .fn = work }, later = { .fn = work };
    struct numbered last = { .number = -1 };
    struct loop_stats s;

    (void)state;
    loop_stats(l, &s);
    assert_true(!s.work.rounds && !s.work.busy_ns && !s.work.longest_ns && !s.timers);
    last.timer = (struct loop_timer){ .fn = note_number, .ctx = &last };
    n_order = 0;
    MUST(loop_timer_set(l, &worker, in(0)));
    MUST(loop_timer_set(l, &last.timer, in(50 * TW_NS_PER_MS)));
    MUST(loop_timer_set(l, &later, in(3600 * TW_NS_PER_S)));
    loop_stats(l, &s);
    assert_int_equal(s.timers, 3);
    run();
    loop_stats(l, &s);
    assert_int_equal(s.timers, 1);
    assert_true(s.work.rounds >= 2 && s.work.longest_ns >= WORK_NS && s.work.busy_ns >= s.work.longest_ns);
    assert_true(!s.work.working && s.work.busy_ratio > 0);
    assert_true(s.work.busy_ns < 30 * TW_NS_PER_S); /* waiting is no work */
    loop_timer_cancel(l, &later);
}

/* ---- Clocks ---- */

static void clocks_are_read_together(void **state)
{
    struct clkstate c;
    struct tw_mono before = tw_mono_now();
    struct tw_now n = tw_now();

    (void)state;
    assert_true(n.mono.ns >= before.ns && n.mono.ns <= tw_mono_now().ns);
    assert_true(llabs(n.wall.ns - tw_wall_now().ns) < 60 * TW_NS_PER_S);
    tw_clock_read(&c);
    assert_true(c.state.max_error_ns > 0 && c.state.max_error_ns <= CLKSTATE_WORST_NS);
    assert_int_equal(c.state.steps, 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(timers_fire_in_order_of_deadline),
        T(a_timer_cancelled_by_an_earlier_one_does_not_fire),
        T(a_timer_that_is_always_due_starves_nobody),
        T(until_has_a_deadline),
        T(an_idle_loop_does_not_wake_up),
        T(a_watch_removed_in_a_callback_is_not_called),
        T(watches_are_level_triggered),
        T(posts_from_four_threads_are_all_seen),
        T(tasks_run_in_the_order_of_posting_once),
        T(urgent_tasks_run_first),
        T(tasks_leave_others_their_turn),
        T(a_task_may_free_itself),
        T(a_task_may_take_out_a_later_one),
        T(stop_works_from_another_thread_and_before_the_run),
        T(signals_are_delivered_in_the_loop),
        T(its_work_is_told),
        T(clocks_are_read_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
