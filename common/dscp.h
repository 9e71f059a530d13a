/* common/dscp.h - the DSCP code points by name (IANA registry: RFC 2474, 2597, 3246, 5865, 8622). Pure. */
#ifndef TW_COMMON_DSCP_H
#define TW_COMMON_DSCP_H

#include <stdint.h>
#include "common/rc.h"

/* Accepts a name in any case ("EF", "af41", "cs0", "be", "default", "voice-admit", "le"), decimal 0..63 or
 * hexadecimal 0x0..0x3f. TW_EINVAL otherwise. Never shifts: the value is the 6-bit code point. */
enum tw_rc dscp_parse(const char *text, uint8_t *ret);
/* Standard name, or the number as text for code points without one. Static storage. */
const char *dscp_name(uint8_t dscp);
/* Code point and ECN bits to the TOS / Traffic Class octet. */
static inline uint8_t dscp_to_tos(uint8_t dscp, uint8_t ecn)
{
    return (uint8_t)((dscp & 0x3f) << 2 | (ecn & 3));
}

#endif
