/* agent/io/udp_addr.h - socket addresses as the batches use them: just large enough for both families, so
 * that filling and clearing them costs little. Private to agent/io. */
#ifndef TW_AGENT_UDP_ADDR_H
#define TW_AGENT_UDP_ADDR_H

#include <arpa/inet.h>
#include <string.h>
#include "common/addr.h"

union udp_name {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

#define UDP_CACHE_LINE 64

/* Distance between datagram buffers: an odd number of cache lines, so that their first lines, which are all
 * that small datagrams use, spread over the whole cache. */
static inline size_t udp_stride(size_t bytes)
{
    return ((bytes + UDP_CACHE_LINE - 1) / UDP_CACHE_LINE | 1) * UDP_CACHE_LINE;
}

#endif
