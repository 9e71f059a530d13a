/* tests/bench/cpu.h - where a benchmark's threads run, and what they cost. */
#ifndef TW_TESTS_BENCH_CPU_H
#define TW_TESTS_BENCH_CPU_H

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

/* The calling thread, and those that it starts. */
static inline void bench_pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/* User and system time; who: RUSAGE_SELF or RUSAGE_THREAD. */
static inline double bench_cpu_seconds(int who)
{
    struct rusage u;

    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

#endif
