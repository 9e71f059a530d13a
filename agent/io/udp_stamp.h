/* agent/io/udp_stamp.h - what udp_tx.c tells udp_stamp.c. Private to agent/io. */
#ifndef TW_AGENT_UDP_STAMP_H
#define TW_AGENT_UDP_STAMP_H

#include <sys/socket.h>
#include "agent/io/udpsock.h"

/* Receive times by the kernel from now on, and sending times for those who ask, if the kernel has them. */
void udp_stamps_open(struct udpsock *s);
/* A datagram that asked for its send time could not be sent. */
void udp_stamps_unsure(struct udpsock *s);
/* What the control messages of a received datagram say; and of one of the error queue: false if that is no
 * sending time. */
void udp_read_control(const struct msghdr *h, struct udp_in *in);
bool udp_read_stamp(const struct msghdr *h, struct udp_txstamp *ret);

#endif
