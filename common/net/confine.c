/* common/net/confine.c - see confine.h. The capability calls are the kernel's own: there are two. */
#include "common/net/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool stays_root; /* set once, before there are threads */

/* ---- Capabilities ---- */

static bool get_caps(struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

    return syscall(SYS_capget, &head, data) == 0;
}

static bool set_caps(const struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

    return syscall(SYS_capset, &head, data) == 0;
}

/* Of those that it is permitted, only these; none for programs that it runs. */
static bool reduce_caps(uint64_t keep)
{
    struct __user_cap_data_struct data[2];

    if (!get_caps(data))
        return false;
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(keep >> 32 * i);
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L);
    return set_caps(data);
}

/* What cannot be had again by running a program with file capabilities, either; needs CAP_SETPCAP. */
static void drop_bounding_set(uint64_t keep)
{
    for (int cap = 0; cap <= 63 && prctl(PR_CAPBSET_READ, cap, 0L, 0L, 0L) >= 0; cap++)
        if (!(keep & CONFINE_CAP(cap)))
            prctl(PR_CAPBSET_DROP, cap, 0L, 0L, 0L);
}

void confine_keep(uint64_t capabilities)
{
    if (!stays_root)
        reduce_caps(capabilities);
}

bool confine_low_port(const char *address)
{
    const char *colon = strrchr(address, ':');
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;

    return port > 0 && port < 1024;
}

/* ---- Users ---- */

/* One that is made now, by root, shall be the user's. */
static enum tw_rc make_folder(const char *path, const struct passwd *pw, struct tw_err *err)
{
    if (mkdir(path, 0750) < 0) {
        if (errno == EEXIST)
            return TW_OK;
        return tw_err_set(err, tw_rc_errno(errno), "cannot make %.150s for --user %.32s: %s", path, pw->pw_name,
                          strerror(errno));
    }
    if (chown(path, pw->pw_uid, pw->pw_gid) < 0)
        return tw_err_set(err, tw_rc_errno(errno), "cannot give %.150s to --user %.32s: %s", path, pw->pw_name,
                          strerror(errno));
    return TW_OK;
}

static enum tw_rc check_folder(const char *path, const struct passwd *pw, struct tw_err *err)
{
    struct stat st;

    if (stat(path, &st) == 0 && st.st_uid != pw->pw_uid && access(path, W_OK) != 0)
        return tw_err_set(err, TW_EPERM, "%.150s belongs to user %u, and --user %.32s cannot write there: chown -R %.32s %.150s",
                          path, (unsigned)st.st_uid, pw->pw_name, pw->pw_name, path);
    return TW_OK;
}

static enum tw_rc become(const struct confine_begin *c, const struct passwd *pw, struct tw_err *err)
{
    bool ok = prctl(PR_SET_KEEPCAPS, 1L, 0L, 0L, 0L) == 0;

    drop_bounding_set(c->capabilities);
    ok = ok && initgroups(pw->pw_name, pw->pw_gid) == 0 && setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == 0 &&
         setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == 0;
    if (!ok)
        return tw_err_set(err, tw_rc_errno(errno), "cannot become --user %.32s: %s", c->user, strerror(errno));
    prctl(PR_SET_KEEPCAPS, 0L, 0L, 0L, 0L);
    if (!reduce_caps(c->capabilities) || (pw->pw_uid && setresuid(0, 0, 0) == 0))
        return tw_err_set(err, TW_EPERM, "--user %.32s: the privileges of root cannot be given up", c->user);
    return TW_OK;
}

static enum tw_rc change_user(const struct confine_begin *c, struct tw_err *err)
{
    struct passwd *pw = getpwnam(c->user);
    enum tw_rc rc = TW_OK;

    if (!pw)
        return tw_err_set(err, TW_ENOENT, "--user: there is no user \"%.32s\"; expected one of this host: useradd --system %.32s",
                          c->user, c->user);
    if (geteuid() == pw->pw_uid) {
        reduce_caps(c->capabilities);
        return TW_OK;
    }
    if (geteuid() != 0)
        return tw_err_set(err, TW_EPERM, "--user %.32s: only root can become somebody else; start it as root, or as that user",
                          c->user);
    for (size_t i = 0; rc == TW_OK && i < TW_NELEM(c->folders) && c->folders[i]; i++)
        rc = make_folder(c->folders[i], pw, err);
    if (rc == TW_OK)
        rc = become(c, pw, err);
    for (size_t i = 0; rc == TW_OK && i < TW_NELEM(c->folders) && c->folders[i]; i++)
        rc = check_folder(c->folders[i], pw, err);
    return rc;
}

enum tw_rc confine_begin(const struct confine_begin *c, struct tw_err *err)
{
    const struct rlimit none = { 0, 0 };
    enum tw_rc rc = TW_OK;

    stays_root = geteuid() == 0 && !c->user;
    if (c->user)
        rc = change_user(c, err);
    else if (!stays_root)
        reduce_caps(c->capabilities);
    if (rc != TW_OK)
        return rc;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0)
        return tw_err_set(err, TW_EIO, "cannot give up new privileges: %s", strerror(errno));
    if (c->core_dumps) {
        prctl(PR_SET_DUMPABLE, 1L, 0L, 0L, 0L); /* whoever changes users loses it */
        return TW_OK;
    }
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
    return TW_OK;
}
