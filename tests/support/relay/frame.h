/* tests/support/relay/frame.h - an Ethernet frame as the relay sees it: the UDP datagram in it, and the times
 * of TWAMP and STAMP answers. Pure. */
#ifndef TW_RELAY_FRAME_H
#define TW_RELAY_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MAC 6

struct frame {
    uint8_t *data; /* the frame, from the destination's MAC address on */
    size_t len;
    bool udp; /* holds one whole UDP datagram, over IPv4 or IPv6 without extension headers; else the rest is 0
               */
    uint16_t sport, dport;
    uint8_t ip_len; /* of each address: 4 or 16 */
    const uint8_t *src, *dst;
    uint8_t *checksum; /* the UDP header's */
    uint8_t *payload;
    size_t payload_len;
};

/* Looks at data[0..len), which must live as long as *ret. */
void frame_parse(uint8_t *data, size_t len, struct frame *ret);

/* The 32-bit number at this offset of the payload; 0 if it is shorter. */
uint32_t frame_word(const struct frame *f, size_t offset);

/* In an unauthenticated answer of TWAMP or STAMP: moves T2, T3 and the Follow-Up Timestamp (RFC 8972
 * section 4.7) by `ns`, in NTP or PTP format as the Error Estimate says, and mends the UDP checksum, unless
 * the network card was to do that (checksum_open: only the pseudo header is in it). Too short for an answer:
 * nothing. */
void frame_shift_times(struct frame *f, int64_t ns, bool checksum_open);

#endif
