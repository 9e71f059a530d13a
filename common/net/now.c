#include "common/net/now.h"
#include <sys/timex.h>
#include <time.h>

/* Two clocks are read together if nobody took the CPU from us in between: else the wall clock seems to have
 * stepped by as much. Right after such a pause it hardly happens again. */
#define TOGETHER_NS (20 * TW_NS_PER_US)
#define TRIES_MAX 5

static int64_t read_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t); /* cannot fail for the two clocks that we ask for */
    return (int64_t)t.tv_sec * TW_NS_PER_S + t.tv_nsec;
}

struct tw_mono tw_mono_now(void)
{
    return (struct tw_mono){ read_ns(CLOCK_MONOTONIC) };
}

struct tw_wall tw_wall_now(void)
{
    return (struct tw_wall){ read_ns(CLOCK_REALTIME) };
}

struct tw_now tw_now(void)
{
    struct tw_now n;

    for (int tries = 0; tries < TRIES_MAX; tries++) {
        int64_t before = read_ns(CLOCK_MONOTONIC), between;
        n.wall = tw_wall_now();
        between = read_ns(CLOCK_MONOTONIC) - before;
        n.mono.ns = before + between / 2;
        if (between <= TOGETHER_NS)
            break;
    }
    return n;
}

/* Leaves the core to its other thread, and power. */
static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

struct tw_mono tw_spin_until(struct tw_mono due)
{
    struct tw_mono now = tw_mono_now();

    while (now.ns < due.ns) {
        relax();
        now = tw_mono_now();
    }
    return now;
}

void tw_clock_read(struct clkstate *ret)
{
    struct timex tx = { .modes = 0 };
    int result = adjtimex(&tx);

    clkstate_from_timex(result, &tx, tw_wall_now(), ret);
}
