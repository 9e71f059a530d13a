/* tests/unit/controller/wait.h - waits for a condition while the loop of the fixture `f` runs. */
#ifndef TW_TESTS_UNIT_CONTROLLER_WAIT_H
#define TW_TESTS_UNIT_CONTROLLER_WAIT_H

#include "common/net/loop.h"
#include "common/net/now.h"

#define WAIT_S 20

#define WAIT(expr)                                                                                          \
    do {                                                                                                    \
        int64_t wait_until_ = tw_mono_now().ns + WAIT_S * TW_NS_PER_S;                                      \
        bool wait_never_ = false;                                                                           \
        while (!(expr)) {                                                                                   \
            if (tw_mono_now().ns > wait_until_)                                                             \
                fail_msg("timed out waiting for: %s", #expr);                                               \
            loop_run_until(f->loop, &wait_never_, (struct tw_mono){ tw_mono_now().ns + 2 * TW_NS_PER_MS }); \
        }                                                                                                   \
    } while (0)

#endif
