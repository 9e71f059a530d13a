/* tests/support/relay/port.h - one end of the relay: a network interface, its packets by AF_PACKET. Arrivals
 * come with the kernel's receive time, departures with its send time (both CLOCK_REALTIME). What the network
 * card would have done, checksums and cutting, is handed on as it is (PACKET_VNET_HDR). Not thread-safe. */
#ifndef TW_RELAY_PORT_H
#define TW_RELAY_PORT_H

#include <linux/virtio_net.h>
#include "common/clk.h"

/* As large as the largest packet that a veth hands over uncut. */
#define PORT_FRAME_MAX (65536 + 64)
#define PORT_BATCH 32

struct packet {
    struct virtio_net_hdr offload;
    uint8_t *data;
    size_t len;
    struct tw_wall arrival;
};

struct port {
    char name[32]; /* as rules and records call it */
    int fd;
    uint8_t *buffers; /* PORT_BATCH of PORT_FRAME_MAX */
    uint32_t sent;    /* number that the kernel gives the next packet's send time */
};

/* name=interface, or an interface only. */
enum tw_rc port_open(const char *spec, struct port *ret, struct tw_err *err);
void port_close(struct port *p);

/* Takes up to PORT_BATCH packets; their data lives until the next call. Returns how many. */
unsigned port_receive(struct port *p, struct packet out[PORT_BATCH]);
/* Sends now. *ret_id is what port_sent_at() will call it. */
enum tw_rc port_send(struct port *p, const struct packet *pkt, uint32_t *ret_id);
/* The next send time that the kernel tells; false: none now. */
bool port_sent_at(struct port *p, uint32_t *ret_id, struct tw_wall *ret);
/* Packets that the kernel dropped since the last call because we were too slow to take them. */
uint64_t port_drops(struct port *p);

#endif
