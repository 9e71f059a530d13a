/* common/hostname.h - names of hosts, as documents and messages have them. Pure. */
#ifndef TW_COMMON_HOSTNAME_H
#define TW_COMMON_HOSTNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

#define HOSTNAME_MAX 254 /* octets with the NUL: RFC 1035 section 2.3.4 */

/* Labels of 1 to 63 letters, digits, - and _ between dots, no - at their ends; the last is no number in any
 * notation that resolvers take for an address ("127.1", "0x7f000001"). A dot at the end is allowed: the name
 * is complete. */
bool hostname_ok(const char *text);
/* "name" or "name:port", into lower case. TW_EINVAL: it is none, has no port in 1..65535, or more than cap -
 * 1 octets. */
enum tw_rc hostname_parse(const char *text, uint16_t dflt_port, char *ret, size_t cap, uint16_t *ret_port);

#endif
