#include "controller/core/lately.h"

void lately_mark(struct lately *l, uint64_t total)
{
    l->at[l->marks++ % LATELY_MINUTES] = total;
}

uint64_t lately_count(const struct lately *l, uint64_t total)
{
    uint64_t then = l->marks < LATELY_MINUTES ? 0 : l->at[l->marks % LATELY_MINUTES];

    return total > then ? total - then : 0;
}
