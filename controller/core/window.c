#include "controller/core/window.h"

uint32_t window_grant(size_t capacity, size_t agents, bool pressed)
{
    size_t most = pressed ? WINDOW_PRESSED : WINDOW_MAX;
    size_t share = capacity / 2 / (agents ? agents : 1);

    if (share > most)
        return (uint32_t)most;
    return share < WINDOW_MIN ? WINDOW_MIN : (uint32_t)share;
}
