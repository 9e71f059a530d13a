/* tests/bench/bare_reflector.h - the least that a reflector of TWAMP Light with kernel receive times can do:
 * batches by recvmmsg() and sendmmsg(), no senders, no checks, no counters, no timers. A thread of its own,
 * on 127.0.0.1. */
#ifndef TW_TESTS_BENCH_BARE_REFLECTOR_H
#define TW_TESTS_BENCH_BARE_REFLECTOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bare_reflector {
    pthread_t thread;
    int fd;
    uint16_t port;
    _Atomic bool stop;
};

void bare_reflector_start(struct bare_reflector *r);
void bare_reflector_stop(struct bare_reflector *r);

/* An IPv4 socket with large buffers at `ip` (host order) and a port of the kernel's; ends the program if
 * there is none. */
int bench_udp_socket(uint32_t ip, uint16_t *ret_port);
_Noreturn void bench_die(const char *what);

#endif
