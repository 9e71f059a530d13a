/* tests/bench/reflector_load.h - keeps a window of TWAMP Light probes outstanding against a reflector. A peer
 * is a pair of source address and port. Up to LOAD_SOCKETS peers send bursts by UDP segmentation offload, so
 * that the generator is not what limits the rate; more peers, of addresses in 127/8, send in turn, one probe
 * each. */
#ifndef TW_TESTS_BENCH_REFLECTOR_LOAD_H
#define TW_TESTS_BENCH_REFLECTOR_LOAD_H

#include <stdbool.h>
#include <stdint.h>

enum { LOAD_SOCKETS = 16, LOAD_PEERS_MAX = 100000, LOAD_SIZE_MAX = 1400 };

struct load_cfg {
    uint32_t ip; /* of the reflector, host order; more than LOAD_SOCKETS peers only on loopback */
    uint16_t port;
    int peers, size;
    bool singles;         /* no bursts by segmentation offload */
    double seconds, rate; /* rate: probes/s, answered or not; 0 = as many as come back */
};
struct load_result {
    uint64_t sent, answers, lost;
};
struct load_result load_run(const struct load_cfg *cfg);

#endif
