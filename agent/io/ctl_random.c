/* agent/io/ctl_random.c - see ctl_random.h. */
#include "agent/io/ctl_random.h"

#include <sys/random.h>

void ctl_random(void *ctx, uint8_t *buf, size_t n)
{
    (void)ctx;
    while (n) {
        ssize_t got = getrandom(buf, n, 0); /* fails only when a signal comes */
        if (got > 0) {
            buf += got;
            n -= (size_t)got;
        }
    }
}
