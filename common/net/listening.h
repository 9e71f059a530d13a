/* common/net/listening.h - a longer queue of connections for a listener that nng made.
 *
 * nng 1.5.2 listens with room for 128 connections that wait to be accepted, and has no option for it. When a
 * controller ends, hundreds of agents come to another one within milliseconds; the kernel drops what finds no
 * room, and who was dropped tries again after 1, 3, 7 and 15 s. Any thread.
 */
#ifndef TW_NET_LISTENING_H
#define TW_NET_LISTENING_H

#include <stdint.h>

#define LISTENING_QUEUE 4096 /* Linux takes the smaller of this and net.core.somaxconn, which is 4,096 */

/* Gives the TCP listeners of this process at `port` (host order) that room: Linux lets one that listens
 * already do it again. Returns how many there were: 0 says that they stay as they are, since /proc is not
 * there. */
unsigned listening_lengthen(uint16_t port);

#endif
