/* tests/chaos/shim.c - preloaded into the programs under test: keeps a journal of what an agent closes, lets
 * calls fail or take long, and steps the wall clock.
 *
 * Journal (CHAOS_JOURNAL=FILE): every Summary that is packed by itself is written down, octet for octet,
 * before the program can do anything with it, and every commit of the spool with the number of records that
 * it made durable. It stands on libprotobuf-c's and SQLite's entry points and not on a line of the program,
 * so what the checker compares with has not passed through spool, connection or database.
 *
 * Faults (CHAOS_CONTROL=FILE): a struct control that the test maps, too; it takes effect at once, needs no
 * system call, and holds nothing back from a seccomp filter. Random numbers come of its seed and of each
 * thread's number. Only allocations that the chosen parties ask for fail: libraries that end a program for
 * want of memory are not ours. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "common/splitmix.h"

/* ---- The block that is shared with the test; rig.py knows it, too ---- */

enum call {
    CALL_MALLOC,
    CALL_CALLOC,
    CALL_REALLOC,
    CALL_WRITE,
    CALL_PWRITE,
    CALL_FSYNC,
    CALL_FTRUNCATE,
    CALL_OPEN,
    CALL_SENDMSG,
    CALL_RECVMSG,
    CALL_EPOLL_WAIT,
    CALL_ACCEPT,
    CALLS
};
enum party { PARTY_PROGRAM = 1, PARTY_SQLITE = 2, PARTY_PROTOBUF = 4, PARTY_OTHER = 8 };

struct rule {
    _Atomic uint32_t rate_ppm; /* how often it fails, or is slow */
    _Atomic int32_t error;     /* errno; 0: it is only slow */
    _Atomic uint64_t delay_ns;
    _Atomic uint64_t injected; /* counted here */
};

struct control {
    _Atomic uint32_t armed, parties;
    _Atomic uint64_t seed;
    _Atomic int64_t clock_step_ns;
    struct rule rule[CALLS];
};

static struct control *control; /* NULL: no faults */
static int journal_fd = -1;
static _Atomic uint64_t threads;
static __thread uint64_t random_state;
static __thread bool inside; /* our own calls */

/* ---- Who calls? ---- */

#define SPANS 16
static struct span {
    uintptr_t from, to;
    enum party party;
} spans[SPANS];
static size_t n_spans;

static int note_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
    enum party p = !info->dlpi_name[0]                        ? PARTY_PROGRAM
                   : strstr(info->dlpi_name, "libsqlite3")    ? PARTY_SQLITE
                   : strstr(info->dlpi_name, "libprotobuf-c") ? PARTY_PROTOBUF
                                                              : PARTY_OTHER;

    (void)size;
    (void)ctx;
    for (int i = 0; p != PARTY_OTHER && i < info->dlpi_phnum && n_spans < SPANS; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type == PT_LOAD && (h->p_flags & PF_X))
            spans[n_spans++] =
                (struct span){ info->dlpi_addr + h->p_vaddr, info->dlpi_addr + h->p_vaddr + h->p_memsz, p };
    }
    return 0;
}

static enum party party_of(const void *caller)
{
    for (size_t i = 0; i < n_spans; i++)
        if ((uintptr_t)caller >= spans[i].from && (uintptr_t)caller < spans[i].to)
            return spans[i].party;
    return PARTY_OTHER;
}

/* ---- Faults ---- */

static uint64_t draw(void)
{
    if (!random_state)
        random_state = control->seed + (atomic_fetch_add(&threads, 1) + 1) * UINT64_C(0x9E3779B97F4A7C15);
    return tw_splitmix64(&random_state);
}

static void pause_for(uint64_t ns)
{
    struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

    if (ns)
        syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
}

/* True: the call fails, errno is set. */
static bool fails(enum call which, const void *caller)
{
    struct rule *r;
    int e;

    if (!control || !control->armed || inside)
        return false;
    r = &control->rule[which];
    if (!r->rate_ppm || !(party_of(caller) & control->parties) || draw() % 1000000 >= r->rate_ppm)
        return false;
    atomic_fetch_add(&r->injected, 1);
    e = errno;
    pause_for(r->delay_ns);
    errno = r->error ? r->error : e;
    return r->error != 0;
}

#define CALLER __builtin_return_address(0)
#define NEXT(fn)                                   \
    static __typeof__(&fn) next;                   \
    if (!next) {                                   \
        inside = true;                             \
        *(void **)(&next) = dlsym(RTLD_NEXT, #fn); \
        inside = false;                            \
    }

/* Not by dlsym(), which may allocate. A program with AddressSanitizer has an allocator of its own, and gives
 * back to that one what it got; it comes behind us (rig.py: verify_asan_link_order=0), so we are asked first
 * there, too. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
__attribute__((weak)) void *__interceptor_malloc(size_t n);
__attribute__((weak)) void *__interceptor_calloc(size_t n, size_t size);
__attribute__((weak)) void *__interceptor_realloc(void *p, size_t n);

void *malloc(size_t n)
{
    if (fails(CALL_MALLOC, CALLER))
        return NULL;
    return __interceptor_malloc ? __interceptor_malloc(n) : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    if (fails(CALL_CALLOC, CALLER))
        return NULL;
    return __interceptor_calloc ? __interceptor_calloc(n, size) : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    if (n && fails(CALL_REALLOC, CALLER))
        return NULL;
    return __interceptor_realloc ? __interceptor_realloc(p, n) : __libc_realloc(p, n);
}

/* Files only: what fails on a socket is sendmsg()'s. */
static bool is_file(int fd)
{
    struct stat st;

    return fd > 2 && fd != journal_fd && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static bool file_fails(enum call which, int fd, const void *caller)
{
    return control && control->armed && control->rule[which].rate_ppm && is_file(fd) && fails(which, caller);
}

ssize_t write(int fd, const void *buf, size_t n)
{
    NEXT(write)
    return file_fails(CALL_WRITE, fd, CALLER) ? -1 : next(fd, buf, n);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at)
{
    NEXT(pwrite64)
    return file_fails(CALL_PWRITE, fd, CALLER) ? -1 : next(fd, buf, n, at);
}

int fsync(int fd)
{
    NEXT(fsync)
    return file_fails(CALL_FSYNC, fd, CALLER) ? -1 : next(fd);
}

int fdatasync(int fd)
{
    NEXT(fdatasync)
    return file_fails(CALL_FSYNC, fd, CALLER) ? -1 : next(fd);
}

int ftruncate64(int fd, off64_t n)
{
    NEXT(ftruncate64)
    return file_fails(CALL_FTRUNCATE, fd, CALLER) ? -1 : next(fd, n);
}

int open64(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode = 0;

    NEXT(open64)
    va_start(ap, flags);
    if (flags & (O_CREAT | O_TMPFILE))
        mode = va_arg(ap, mode_t);
    va_end(ap);
    return fails(CALL_OPEN, CALLER) ? -1 : next(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode = 0;

    NEXT(open)
    va_start(ap, flags);
    if (flags & (O_CREAT | O_TMPFILE))
        mode = va_arg(ap, mode_t);
    va_end(ap);
    return fails(CALL_OPEN, CALLER) ? -1 : next(path, flags, mode);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    NEXT(sendmsg)
    return fails(CALL_SENDMSG, CALLER) ? -1 : next(fd, m, flags);
}

int sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
    NEXT(sendmmsg)
    return fails(CALL_SENDMSG, CALLER) ? -1 : next(fd, m, n, flags);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    NEXT(recvmsg)
    return fails(CALL_RECVMSG, CALLER) ? -1 : next(fd, m, flags);
}

int recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *t)
{
    NEXT(recvmmsg)
    return fails(CALL_RECVMSG, CALLER) ? -1 : next(fd, m, n, flags, t);
}

int epoll_wait(int fd, struct epoll_event *e, int n, int ms)
{
    NEXT(epoll_wait)
    return fails(CALL_EPOLL_WAIT, CALLER) ? -1 : next(fd, e, n, ms);
}

int accept(int fd, struct sockaddr *a, socklen_t *len)
{
    NEXT(accept)
    return fails(CALL_ACCEPT, CALLER) ? -1 : next(fd, a, len);
}

int accept4(int fd, struct sockaddr *a, socklen_t *len, int flags)
{
    NEXT(accept4)
    return fails(CALL_ACCEPT, CALLER) ? -1 : next(fd, a, len, flags);
}

/* ---- The wall clock ---- */

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int64_t step = control ? control->clock_step_ns : 0, ns;
    NEXT(clock_gettime)
    int rc = next(id, ts);

    if (rc || !step || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
        return rc;
    ns = ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec + step;
    *ts = (struct timespec){ ns / 1000000000, ns % 1000000000 };
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec ts = { 0 };

    clock_gettime(CLOCK_REALTIME, &ts);
    if (ret)
        *ret = ts.tv_sec;
    return ts.tv_sec;
}

int gettimeofday(struct timeval *tv, void *zone)
{
    struct timespec ts = { 0 };

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &ts);
    *tv = (struct timeval){ ts.tv_sec, ts.tv_nsec / 1000 };
    return 0;
}

/* ---- The journal ---- */

struct entry {
    uint32_t kind; /* 'S' a summary, 'K' a commit */
    uint32_t len;
    int64_t mono_ns; /* the test's clock: never stepped */
};

static void put(uint32_t kind, const void *data, size_t len)
{
    struct timespec ts = { 0 };
    struct entry e = { kind, (uint32_t)len, 0 };
    struct iovec v[2] = { { &e, sizeof e }, { (void *)data, len } };

    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
    e.mono_ns = ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
    if (syscall(SYS_writev, journal_fd, v, 2) != (long)(sizeof e + len))
        abort(); /* without a journal the test proves nothing */
}

/* As far as we need them, so that nothing of the libraries' headers comes between us and the symbols. */
struct message {
    const struct descriptor {
        uint32_t magic;
        const char *name;
    } * descriptor;
};
size_t protobuf_c_message_pack(const struct message *m, uint8_t *out);
size_t protobuf_c_message_pack(const struct message *m, uint8_t *out)
{
    NEXT(protobuf_c_message_pack)
    size_t n = next(m, out);

    /* The library calls itself for those within a batch, which is on its way to the controller. */
    if (journal_fd >= 0 && !strcmp(m->descriptor->name, "tw.Summary") && party_of(CALLER) == PARTY_PROGRAM)
        put('S', out, n);
    return n;
}

const char *sqlite3_sql(void *st);
int sqlite3_step(void *st);
int sqlite3_step(void *st)
{
    static uint64_t records; /* an agent's spool has one thread */
    const char *sql;
    NEXT(sqlite3_step)
    int rc = next(st);

    if (journal_fd < 0 || rc != 101 /* SQLITE_DONE */ || !(sql = sqlite3_sql(st)))
        return rc;
    if (!strncmp(sql, "BEGIN", 5)) {
        records = 0;
    } else if (!strncmp(sql, "INSERT INTO record", 18)) {
        records++;
    } else if (!strcmp(sql, "COMMIT") && records) {
        put('K', &records, sizeof records);
        records = 0;
    }
    return rc;
}

/* ---- Start: before the program can restrict itself ---- */

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("CHAOS_JOURNAL");
    int fd;

    dl_iterate_phdr(note_object, NULL);
    if (path) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        journal_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 200);
        if (journal_fd < 0)
            abort();
        close(fd);
    }
    path = getenv("CHAOS_CONTROL");
    if (!path)
        return;
    fd = open(path, O_RDWR | O_CLOEXEC);
    control = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED)
        abort();
    close(fd);
}
