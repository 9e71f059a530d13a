#include "controller/core/window.h"

uint32_t window_grant(size_t capacity, size_t agents, bool pressed)
{
    size_t most = pressed ? WINDOW_PRESSED : WINDOW_MAX;
    size_t share = capacity / 2 / (agents ? agents : 1);

    if (share > most)
        return (uint32_t)most;
    return share < WINDOW_MIN ? WINDOW_MIN : (uint32_t)share;
}

uint32_t window_backlog(size_t agents, bool pressed)
{
    size_t share = BACKLOG_FLEET_PER_S / (pressed ? 4 : 1) / (agents ? agents : 1);

    if (share > BACKLOG_MAX_PER_S)
        return BACKLOG_MAX_PER_S;
    return share < BACKLOG_MIN_PER_S ? BACKLOG_MIN_PER_S : (uint32_t)share;
}
