/* agent/io/udp_stamp.h - what udp_tx.c tells udp_stamp.c. Private to agent/io. */
#ifndef TW_AGENT_UDP_STAMP_H
#define TW_AGENT_UDP_STAMP_H

#include "agent/io/udpsock.h"

/* A datagram that asked for its send time could not be sent. */
void udp_stamps_unsure(struct udpsock *s);

#endif
