/* tests/bench/reflector_load.h - keeps a window of TWAMP Light probes outstanding against a reflector on
 * 127.0.0.1. A peer is a pair of source address (127/8) and port. Up to LOAD_SOCKETS peers send bursts by UDP
 * segmentation offload, so that the generator is not what limits the rate; more peers send in turn, one probe
 * each. */
#ifndef TW_TESTS_BENCH_REFLECTOR_LOAD_H
#define TW_TESTS_BENCH_REFLECTOR_LOAD_H

#include <stdint.h>

enum { LOAD_SOCKETS = 16, LOAD_PEERS_MAX = 100000, LOAD_SIZE_MAX = 1400 };

struct load_result {
    uint64_t answers, lost;
};
struct load_result load_run(uint16_t port, int peers, int size, double seconds);

#endif
