/* common/net/confine_calls.c - the filter of system calls: the lists, and handing them to the kernel. */
#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include "common/net/confine.h"

const char *const confine_modes[] = { "off", "log", "on", NULL };

/* By name, since not every machine has all of them. The lists are what the programs, and glibc, nng,
 * libmicrohttpd, GnuTLS, OpenSSL, SQLite, curl and its resolvers were seen to use (strace of the system
 * tests: 77 calls), with the calls that other versions and machines use for the same, and those of their
 * rarer ways (a crash, a signal that is caught). To find what is missing: --seccomp log, and the kernel's log
 * (docs/security.md). */
/* clang-format off: several to a line */
static const char *const usual[] = {
    /* descriptors */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "lseek", "_llseek", "close",
    "close_range", "fcntl", "fcntl64", "ioctl", "poll", "ppoll", "ppoll_time64", "epoll_create1", "epoll_ctl",
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "timerfd_create", "timerfd_settime",
    "timerfd_settime64", "signalfd", "signalfd4",
    /* files */
    "open", "openat", "stat", "stat64", "fstat", "fstat64", "lstat", "lstat64", "newfstatat", "fstatat64", "statx",
    "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents", "getdents64", "mkdir", "mkdirat",
    "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "ftruncate", "ftruncate64",
    "fallocate", "fsync", "fdatasync", "flock", "chmod", "fchmod", "fchmodat", "fchownat", "fchown", "fchown32",
    "statfs", "statfs64", "fstatfs", "fstatfs64",
    /* sockets */
    "socket", "socketpair", "bind", "listen", "accept", "accept4", "connect", "getsockname", "getpeername",
    "getsockopt", "setsockopt", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
    "recvmmsg_time64", "recv", "send", "shutdown", "socketcall",
    /* memory */
    "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "brk", "msync",
    /* threads and the process itself */
    "clone", "clone3", "futex", "futex_time64", "set_robust_list", "get_robust_list", "rseq", "set_tid_address",
    "arch_prctl", "set_thread_area", "gettid", "getpid", "sched_yield", "sched_getaffinity", "sched_getparam",
    "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "getcpu", "membarrier", "exit",
    "exit_group", "tgkill", "tkill", "prctl", "getuid", "getuid32", "geteuid", "geteuid32", "getgid", "getgid32",
    "getegid", "getegid32", "getresuid", "getresuid32", "getresgid", "getresgid32", "getrlimit", "ugetrlimit",
    "prlimit64", "getrusage", "sysinfo", "uname", "capget", "getrandom",
    /* signals */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "rt_sigpending", "rt_sigtimedwait",
    "rt_sigtimedwait_time64", "restart_syscall",
    /* time; without CAP_SYS_TIME it can only be read */
    "clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "clock_nanosleep",
    "clock_nanosleep_time64", "nanosleep", "gettimeofday", "time", "adjtimex", "clock_adjtime", "clock_adjtime64",
};

/* And what programs that are run begin with, and use: shells, Python, curl, mail clients. */
static const char *const of_children[] = {
    "execve", "execveat", "fork", "vfork", "wait4", "waitid", "waitpid", "setpgid", "setsid", "getsid", "setrlimit",
    "chown", "lchown", "symlink", "symlinkat", "dup", "dup2", "dup3", "pipe", "pipe2", "sendfile", "sendfile64",
    "creat", "rmdir", "truncate", "truncate64", "umask", "getcwd", "chdir", "fchdir", "utimensat",
    "utimensat_time64", "utime", "utimes", "fadvise64", "fadvise64_64", "copy_file_range", "getppid", "getpgid",
    "getpgrp", "kill", "sigaltstack", "pause", "setitimer", "getitimer", "alarm", "times", "select", "_newselect",
    "pselect6", "pselect6_time64", "getgroups", "getgroups32", "rt_sigsuspend",
};

/* clang-format on */

static const char *const of_bpf[] = { "bpf" };

/* Nobody calls these by mistake. */
static const char *const of_intruders[] = {
    /* the first ones a program that is run may want: it does without */
    "execve", "execveat", "setuid", "setresuid", "setreuid", "setgid", "setresgid", "setregid", "setgroups", "personality",
    "ptrace", "process_vm_readv", "process_vm_writev", "mount", "umount2", "move_mount", "open_tree",
    "fsopen", "pivot_root", "chroot", "unshare", "setns", "init_module", "finit_module", "delete_module", "kexec_load",
    "kexec_file_load", "reboot", "swapon", "swapoff", "iopl", "ioperm", "bpf", "perf_event_open", "userfaultfd", "keyctl",
    "add_key", "request_key", "open_by_handle_at", "capset", "io_uring_setup", "pidfd_getfd", "acct", "quotactl", "settimeofday",
    "clock_settime", "sethostname", "setdomainname", "syslog",
};

enum { CHILDREN_MAY_TRY = 10 };

/* gcc and clang say it differently. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static int add(scmp_filter_ctx f, uint32_t action, const char *const *names, size_t n)
{
    int e = 0;

    for (size_t i = 0; i < n && !e; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);

        if (number != __NR_SCMP_ERROR) /* else this library does not know it: it stays forbidden */
            e = seccomp_rule_add(f, action, number, 0);
        if (e == -EEXIST || e == -EDOM) /* allowed already, or not on this machine */
            e = 0;
    }
    return e;
}

static int build(scmp_filter_ctx f, enum confine_mode mode, unsigned needs)
{
    int e = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);

    if (!e)
        e = seccomp_attr_set(f, SCMP_FLTATR_CTL_LOG, 1);
    seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* only speed is lost without */
    if (!e)
        e = add(f, SCMP_ACT_ALLOW, usual, TW_NELEM(usual));
    if (!e && (needs & CONFINE_CHILDREN))
        e = add(f, SCMP_ACT_ALLOW, of_children, TW_NELEM(of_children));
    if (!e && (needs & CONFINE_BPF))
        e = add(f, SCMP_ACT_ALLOW, of_bpf, TW_NELEM(of_bpf));
    if (mode == CONFINE_LOG || e)
        return e;
    for (size_t i = 0; i < TW_NELEM(of_intruders) && !e; i++) {
        bool child = (needs & CONFINE_CHILDREN) && i < CHILDREN_MAY_TRY, bpf = (needs & CONFINE_BPF) && !strcmp(of_intruders[i], "bpf");
        if (!child && !bpf)
            e = add(f, SCMP_ACT_KILL_PROCESS, &of_intruders[i], 1);
    }
    return e;
}

enum tw_rc confine_syscalls(enum confine_mode mode, unsigned needs, struct tw_err *err)
{
    scmp_filter_ctx f;
    int e;

    if (mode == CONFINE_OFF)
        return TW_OK;
    if (SANITIZED)
        return tw_err_set(err, TW_EINVAL, "this program was built with a sanitizer, which makes system calls of its own");
    f = seccomp_init(mode == CONFINE_LOG ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(ENOSYS));
    if (!f)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    e = build(f, mode, needs);
    if (!e)
        e = seccomp_load(f);
    seccomp_release(f);
    return e ? tw_err_set(err, TW_EIO, "the kernel does not take the filter of system calls: %s; start with --seccomp off",
                          strerror(e < 0 ? -e : e))
             : TW_OK;
}
