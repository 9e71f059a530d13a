/* tests/soak/heap.c - preloaded into a daemon, tells each second how many octets it has allocated, and how many of them SQLite has (its
 * caches fill as a database grows, up to their bounds): in $TW_SOAK_HEAP/PID. Resident memory does not tell under AddressSanitizer, whose
 * allocator keeps most of what is freed. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));
long long sqlite3_memory_used(void) __attribute__((weak));

static char path[256];

static size_t allocated(void)
{
    struct mallinfo2 all;

    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    all = mallinfo2();
    return all.uordblks + all.hblkhd;
}

static void *tell(void *arg)
{
    (void)arg;
    for (;;) {
        FILE *f = fopen(path, "we");

        if (f) {
            fprintf(f, "%zu %lld\n", allocated(), sqlite3_memory_used ? sqlite3_memory_used() : 0);
            fclose(f);
        }
        sleep(1);
    }
    return NULL;
}

/* Not in the tools that tests start meanwhile. */
static int is_watched(void)
{
    static const char *const names[] = { "twamp-controller", "twamp-agent", "soak_agents" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(program_invocation_short_name, names[i]))
            return 1;
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *dir = getenv("TW_SOAK_HEAP");
    sigset_t all, before;
    pthread_t t;

    if (!dir || !is_watched())
        return;
    snprintf(path, sizeof path, "%.200s/%d", dir, (int)getpid());
    sigfillset(&all); /* signals are the program's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&t, NULL, tell, NULL) == 0)
        pthread_detach(t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
