/* agent/io/schedstat.c - see schedstat.h. */
#include "agent/io/schedstat.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

int schedstat_open(void)
{
    return open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
}

void schedstat_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* "running waiting slices", the first two in ns. */
bool schedstat_wait_ns(int fd, uint64_t *ret)
{
    char text[96];
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);

    if (n <= 0)
        return false;
    text[n] = '\0';
    return sscanf(text, "%*u %" SCNu64, ret) == 1;
}
