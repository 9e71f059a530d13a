/* controller/core/lately.h - how often something happened in the last ten minutes, from a counter that only
 * grows. Pure. */
#ifndef TW_CONTROLLER_CORE_LATELY_H
#define TW_CONTROLLER_CORE_LATELY_H

#include <stddef.h>
#include <stdint.h>

#define LATELY_MINUTES 10

struct lately { /* zero at first, as the counter */
    uint64_t at[LATELY_MINUTES];
    size_t marks;
};

/* Once a minute: the counter now. */
void lately_mark(struct lately *l, uint64_t total);
/* Since ten minutes ago, or a minute less; since the beginning if that was later. */
uint64_t lately_count(const struct lately *l, uint64_t total);

#endif
