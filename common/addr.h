/* common/addr.h - an IP address and port as a value: comparable, hashable, printable. Pure (inet_pton only).
 */
#ifndef TW_COMMON_ADDR_H
#define TW_COMMON_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

/* No padding, so memcmp() compares and the bytes hash. IPv4 in the first four octets, the rest zero. An
 * IPv4-mapped IPv6 address is stored as IPv4. */
struct tw_addr {
    uint8_t ip[16];
    uint16_t port;  /* host order */
    uint8_t family; /* 4 or 6; 0 = none */
    uint8_t zero;
    uint32_t scope; /* IPv6 interface index, else 0 */
};
#define TW_ADDR_TEXT 72

/* "192.0.2.1", "192.0.2.1:862", "2001:db8::1", "[2001:db8::1]:862", ":862" (any IPv4 address); numeric only.
 * Without a port: dflt_port. TW_EINVAL. */
enum tw_rc tw_addr_parse(const char *text, uint16_t dflt_port, struct tw_addr *ret);
/* "192.0.2.1:862", "[2001:db8::1]:862". Returns buf. */
const char *tw_addr_format(const struct tw_addr *a, char buf[TW_ADDR_TEXT]);
/* Without the port. */
const char *tw_addr_format_ip(const struct tw_addr *a, char buf[TW_ADDR_TEXT]);
/* 127.0.0.0/8 or ::1. */
bool tw_addr_is_loopback(const struct tw_addr *a);
enum tw_rc tw_addr_from_sockaddr(const struct sockaddr *sa, struct tw_addr *ret);
/* Returns the length to pass on. */
socklen_t tw_addr_to_sockaddr(const struct tw_addr *a, struct sockaddr_storage *ret);

#endif
