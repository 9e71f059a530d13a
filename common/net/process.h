/* common/net/process.h - what this process uses, for health reports and metrics about ourselves. Any thread.
 */
#ifndef TW_NET_PROCESS_H
#define TW_NET_PROCESS_H

#include <stdint.h>

uint64_t process_rss_bytes(void); /* resident memory; 0 = not known */
int64_t process_cpu_ns(void);     /* user and system time of all threads */

#endif
