/* common/net/process.h - what this process uses and may use, for health reports and metrics about ourselves.
 * Any thread.
 */
#ifndef TW_NET_PROCESS_H
#define TW_NET_PROCESS_H

#include <stdint.h>

uint64_t process_rss_bytes(void); /* resident memory; 0 = not known */
int64_t process_cpu_ns(void);     /* user and system time of all threads */
unsigned process_open_files(void);   /* descriptors in use; 0 = not known */
/* Lets this process open as many files as it may without privileges: the usual soft limit of 1,024 is for
 * select(). */
void process_raise_files(void);

/* Tells the service manager, if there is one that wants to know (systemd, Type=notify): "READY=1", "STOPPING=1". */
void process_notify(const char *state);

#endif
