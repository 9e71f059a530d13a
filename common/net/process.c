/* common/net/process.c - see process.h. */
#include "common/net/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include "common/clk.h"

uint64_t process_rss_bytes(void)
{
    unsigned long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void process_raise_files(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur == l.rlim_max)
        return;
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l); /* as before where it fails: what cannot be opened is reported then */
}

static int64_t timeval_ns(struct timeval t)
{
    return t.tv_sec * TW_NS_PER_S + t.tv_usec * TW_NS_PER_US;
}

int64_t process_cpu_ns(void)
{
    struct rusage u = { 0 };

    getrusage(RUSAGE_SELF, &u);
    return timeval_ns(u.ru_utime) + timeval_ns(u.ru_stime);
}

unsigned process_open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    if (!d)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}
