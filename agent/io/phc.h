/* agent/io/phc.h - the clock of a network card: its time stamps switched on, and read beside the system
 * clock. Not thread-safe. */
#ifndef TW_AGENT_PHC_H
#define TW_AGENT_PHC_H

#include <net/if.h>
#include <linux/net_tstamp.h>
#include "agent/core/phc_map.h"

struct phc {
    char interface[IFNAMSIZ];
    unsigned index;                /* of the interface */
    int fd;                        /* -1: not open */
    struct hwtstamp_config before; /* of whoever had it */
    struct phc_map map;
};

/* Switches on stamps of all packets, both ways, and reads the clock once. TW_EINVAL: no such interface, or it
 * has no clock that can be used; TW_EPERM. *err says it in words. */
enum tw_rc phc_open(const char *interface, struct phc *ret, struct tw_err *err);
/* One more reading into the map: to be called once a second. */
enum tw_rc phc_read(struct phc *p);
/* Leaves the interface as it was found. */
void phc_close(struct phc *p);

#endif
