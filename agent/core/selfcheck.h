/* agent/core/selfcheck.h - what is wrong on an agent's own host, for `twamp-agent --check`. Pure: facts in,
 * findings out. As controller/core/doctor.h a table of checks; docs/operations.md has a line for each row, a
 * test compares the two. */
#ifndef TW_AGENT_SELFCHECK_H
#define TW_AGENT_SELFCHECK_H

#include <stdint.h>
#include "agent/core/homing.h"
#include "common/clkstate.h"
#include "common/finding.h"

enum selfcheck_reach {
    REACH_NOT_TRIED,
    REACH_OK,      /* a controller spoke */
    REACH_STRANGE, /* something else spoke, or nothing did */
    REACH_REFUSED,
    REACH_TIMEOUT,
    REACH_UNREACHABLE
};
enum selfcheck_hello { HELLO_NOT_TRIED, HELLO_APPROVED, HELLO_PENDING, HELLO_REFUSED };

/* To one of its controllers. */
struct selfcheck_way {
    const char *url;
    char host[256];         /* of the controller; "" = the URL has none */
    char lookup_error[160]; /* "" = it has an address */
    char address[80];
    enum selfcheck_reach reach;
    char reach_error[160];
    enum selfcheck_hello hello;
    char hello_error[600];
};

#define SELFCHECK_PORTS 16
struct selfcheck_facts {
    const char *name, *data_dir;
    struct selfcheck_way ways[HOMING_MAX]; /* as they stand in --controller */
    size_t n_ways;
    bool runs;                                              /* an agent has the data directory open */
    char data_error[300], key_error[300], spool_error[300]; /* "" = nothing wrong */
    bool new_here; /* there is no key yet: it has never run with this directory */
    bool disk_known;
    uint64_t disk_free;
    struct {
        char text[80], error[300]; /* error "": free, or the running agent's */
    } ports[SELFCHECK_PORTS];
    size_t n_ports;
    char secrets_error[300];
    bool kernel_times;
    bool clock_known;
    struct clkstate clock;
    uint64_t rmem_max; /* net.core.rmem_max; 0 = not known */
    bool net_admin;    /* CAP_NET_ADMIN: that bound does not hold */
};

struct selfcheck {
    const char *id, *title;
    enum tw_severity severity;
    bool (*fn)(const struct selfcheck_facts *f, const struct selfcheck *c, struct findings *out);
    const char *cause, *next;
};
extern const struct selfcheck selfchecks[];
extern const size_t selfchecks_n;

void selfcheck_examine(const struct selfcheck_facts *f, struct findings *ret);

#endif
