/* Windows: what any number of agents may send at once fits into the queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/rc.h"
#include "controller/core/window.h"

#define QUEUE 32768u

static void grants(void **state)
{
    static const struct {
        const char *name;
        size_t capacity, agents;
        bool pressed;
        uint32_t window;
    } cases[] = {
        { "nobody known yet", QUEUE, 0, false, WINDOW_MAX },
        { "the only agent", QUEUE, 1, false, WINDOW_MAX },
        { "the only agent, queue half full", QUEUE, 1, true, WINDOW_PRESSED },
        { "8 agents share half of it", QUEUE, 8, false, 2048 },
        { "9 agents", QUEUE, 9, false, 1820 },
        { "200 agents", QUEUE, 200, false, 81 },
        { "200 agents, queue half full", QUEUE, 200, true, 81 },
        { "more agents than it has room for", QUEUE, 100000, false, WINDOW_MIN },
        { "a larger queue does not raise the bound", 1u << 24, 1, false, WINDOW_MAX },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        uint32_t w = window_grant(cases[i].capacity, cases[i].agents, cases[i].pressed);
        if (w != cases[i].window)
            fail_msg("%s: %u, expected %u", cases[i].name, w, cases[i].window);
    }
}

static void all_windows_together_fit(void **state)
{
    (void)state;
    for (size_t n = 1; n <= QUEUE / 2 / WINDOW_MIN; n++)
        if (n * window_grant(QUEUE, n, false) > QUEUE / 2)
            fail_msg("%zu agents: %zu rows at once", n, n * window_grant(QUEUE, n, false));
}

static void backlogs_come_slowly(void **state)
{
    static const struct {
        size_t agents;
        bool pressed;
        uint32_t per_s;
    } rates[] = {
        { 0, false, BACKLOG_MAX_PER_S }, { 1, false, BACKLOG_MAX_PER_S }, { 5, false, 2000 }, { 10, false, 1000 },
        { 10, true, 250 },               { 1000, false, 10 },             { 1000, true, BACKLOG_MIN_PER_S },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rates); i++)
        if (window_backlog(rates[i].agents, rates[i].pressed) != rates[i].per_s)
            fail_msg("%zu agents: %u", rates[i].agents, window_backlog(rates[i].agents, rates[i].pressed));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants),
        cmocka_unit_test(all_windows_together_fit),
        cmocka_unit_test(backlogs_come_slowly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
