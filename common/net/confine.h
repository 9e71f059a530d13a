/* common/net/confine.h - what a daemon gives up before it listens to anybody: users, capabilities, new privileges, core
 * dumps, system calls. Main thread only; not for libraries.
 *
 * The order: confine_begin() before the first thread is started, since users and capabilities are each thread's own and
 * a new one has those of who made it; then open files and sockets; confine_keep() as soon as all ports are bound;
 * confine_syscalls() when everything runs: it holds for all threads that there are. */
#ifndef TW_NET_CONFINE_H
#define TW_NET_CONFINE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

#define CONFINE_CAP(number) (UINT64_C(1) << (number)) /* of linux/capability.h */

struct confine_begin {
    const char *user;       /* to become, by name; NULL: stays who it is */
    const char *folders[4]; /* made for that user, if they are not there yet; NULL ends the list */
    uint64_t capabilities;  /* CONFINE_CAP()s that are needed until confine_keep(), if it has them at all */
    bool core_dumps;        /* may be written: they hold keys and passphrases */
};

/* TW_ENOENT, TW_EPERM: *err names --user and what to do. A root that stays root keeps its capabilities: it could not
 * read the files of others without. */
enum tw_rc confine_begin(const struct confine_begin *c, struct tw_err *err);
/* This thread, and those that it will start, give up all other capabilities. Not of a root that stays root. */
void confine_keep(uint64_t capabilities);

/* Does this address, "ADDR:PORT" or a URL, have a port for which CAP_NET_BIND_SERVICE is needed? */
bool confine_low_port(const char *address);

enum confine_mode { CONFINE_OFF, CONFINE_LOG, CONFINE_ON };
extern const char *const confine_modes[]; /* their names, for options */

enum confine_needs { /* beyond what every daemon of ours does */
    CONFINE_CHILDREN = 1, /* runs programs; these are confined, too */
    CONFINE_BPF = 2
};
/* From now on only system calls that are known to be needed: any other fails with ENOSYS, so that libraries do without,
 * and is in the kernel's log; those that only an intruder wants end the process. CONFINE_LOG: all are let through, and
 * in the kernel's log. TW_EINVAL: this build cannot (sanitizers), *err says so; TW_EIO. */
enum tw_rc confine_syscalls(enum confine_mode mode, unsigned needs, struct tw_err *err);

/* ---- The same options in each daemon: one row, and a member of struct confine_options, each ---- */

struct confine_options {
    char *user;
    int seccomp; /* enum confine_mode */
    bool core_dumps;
};
/* at(member): its offset in the program's struct. */
#define CONFINE_OPTS(at)                                                                                        \
    { .name = "user",                                                                                           \
      .type = CONF_STR,                                                                                         \
      .offset = at(user),                                                                                       \
      .arg = "NAME",                                                                                            \
      .help = "Started by root: become this user, with no capability but those that its options need." },       \
    { .name = "seccomp",                                                                                        \
      .type = CONF_ENUM,                                                                                        \
      .offset = at(seccomp),                                                                                    \
      .dflt = "on",                                                                                             \
      .choices = confine_modes,                                                                                 \
      .arg = "off|log|on",                                                                                      \
      .help = "Make no system calls but those that are known to be needed; log: only write others to the "      \
              "kernel's log." },                                                                                \
    { .name = "core-dumps",                                                                                     \
      .type = CONF_FLAG,                                                                                        \
      .offset = at(core_dumps),                                                                                 \
      .help = "Let a crash leave a core dump, and debuggers in: both see keys and passphrases." }

#endif
