/* common/prefix.h - a range of IP addresses, "192.0.2.0/24". Pure. */
#ifndef TW_COMMON_PREFIX_H
#define TW_COMMON_PREFIX_H

#include <stdbool.h>
#include "common/addr.h"

struct tw_prefix {
    uint8_t ip[16];
    uint8_t family; /* 4 or 6 */
    uint8_t len;    /* bits, 0..32 or 0..128; those behind it are 0 in ip */
};

/* "192.0.2.0/24", "2001:db8::/32", or an address alone; "::ffff:192.0.2.0/120" is the first. TW_EINVAL, also if bits behind the prefix are set:
 * then somebody means something else. */
enum tw_rc tw_prefix_parse(const char *text, struct tw_prefix *ret);
bool tw_prefix_contains(const struct tw_prefix *p, const struct tw_addr *a);

#endif
