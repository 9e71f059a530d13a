/* tests/bench/load.c - the reflector benchmarks' load as a program, for reflectors in other namespaces.
 *
 *     bench_load ADDRESS PORT PEERS OCTETS RATE SECONDS      prints "sent answers" */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/bench/reflector_load.h"

int main(int argc, char **argv)
{
    struct load_cfg c = { .singles = true };
    struct load_result r;
    struct in_addr a;

    if (argc != 7 || inet_pton(AF_INET, argv[1], &a) != 1) {
        fprintf(stderr, "usage: bench_load ADDRESS PORT PEERS OCTETS RATE SECONDS\n");
        return 2;
    }
    c.ip = ntohl(a.s_addr);
    c.port = (uint16_t)atoi(argv[2]);
    c.peers = atoi(argv[3]);
    c.size = atoi(argv[4]);
    c.rate = atof(argv[5]);
    c.seconds = atof(argv[6]);
    if (c.peers < 1 || c.peers > LOAD_SOCKETS || c.size < 41 || c.size > LOAD_SIZE_MAX || c.seconds <= 0) {
        fprintf(stderr, "bench_load: 1 to %d peers, 41 to %d octets\n", LOAD_SOCKETS, LOAD_SIZE_MAX);
        return 2;
    }
    r = load_run(&c);
    printf("%llu %llu\n", (unsigned long long)r.sent, (unsigned long long)r.answers);
    return 0;
}
