/* agent/io/ctl_random.h - the kernel's random octets, as both ends of TWAMP-Control draw them
 * (ctl_random_fn). Private to agent/io. */
#ifndef TW_AGENT_CTL_RANDOM_H
#define TW_AGENT_CTL_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void ctl_random(void *ctx, uint8_t *buf, size_t n); /* ctx is not used */

#endif
