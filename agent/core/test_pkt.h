/* agent/core/test_pkt.h - a test packet and its answer as values, whatever their form on the wire. Timestamps
 * are as they stand in the packet; the Z bit of the Error Estimate that goes with them tells the format. */
#ifndef TW_AGENT_TEST_PKT_H
#define TW_AGENT_TEST_PKT_H

#include <stdbool.h>
#include <stdint.h>

#define TEST_DATAGRAM_MAX 9000 /* UDP payload octets that we send or answer */

struct test_probe {
    uint32_t seq;
    uint64_t t1;
    uint16_t err_est;
    uint16_t ssid; /* STAMP, RFC 8972 section 3; 0 = none */
};

struct test_reply {
    uint32_t seq; /* the reflector's own number */
    uint64_t t3;
    uint16_t err_est; /* of t3 and t2 */
    uint64_t t2;
    uint32_t sender_seq;
    uint64_t sender_t1; /* as returned */
    uint16_t sender_err_est;
    uint16_t ssid;  /* STAMP; 0 = none, or the reflector does not know of it */
    bool ttl_known; /* TTL or Hop Limit of the probe as the reflector received it */
    uint8_t sender_ttl;
    bool tos_known; /* TOS or Traffic Class of the probe as received: RFC 7750, or a Class of Service TLV */
    uint8_t sender_tos;
};

#endif
