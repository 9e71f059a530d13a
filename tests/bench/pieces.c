/* tests/bench/pieces.c - linked into a controller (bench_pieces): says on stderr which pieces of its main
 * loop took how much processor time, of those beyond PIECE_TOLD_MS (2). Wall time, as
 * twamp_loop_longest_piece_seconds has it, is that of the whole machine. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "common/work.h"

void __real_work_begin(struct work *w, int64_t now_ns);
void __real_work_end(struct work *w, int64_t now_ns);
void __wrap_work_begin(struct work *w, int64_t now_ns);
void __wrap_work_end(struct work *w, int64_t now_ns);

static _Thread_local const struct work *inner; /* pieces are within rounds */
static _Thread_local double begun_ms;

static double cpu_ms(void)
{
    struct timespec ts = { 0 };

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

void __wrap_work_begin(struct work *w, int64_t now_ns)
{
    inner = w;
    begun_ms = cpu_ms();
    __real_work_begin(w, now_ns);
}

void __wrap_work_end(struct work *w, int64_t now_ns)
{
    const char *limit = getenv("PIECE_TOLD_MS");
    double took = cpu_ms() - begun_ms;

    __real_work_end(w, now_ns);
    if (inner == w && getpid() == gettid() && took > (limit ? atof(limit) : 2))
        fprintf(stderr, "    piece of %.1f ms\n", took);
    inner = NULL;
}
