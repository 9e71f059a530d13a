/* agent/io/schedstat.h - how long a thread has waited for a CPU, as the kernel's scheduler books it. */
#ifndef TW_AGENT_SCHEDSTAT_H
#define TW_AGENT_SCHEDSTAT_H

#include <stdbool.h>
#include <stdint.h>

/* Of the calling thread, whoever reads it later. -1: this kernel or this /proc does not tell. */
int schedstat_open(void);
void schedstat_close(int fd);
/* Time that the thread was ready to run but did not, since it began. One system call. false: not known. */
bool schedstat_wait_ns(int fd, uint64_t *ret);

#endif
