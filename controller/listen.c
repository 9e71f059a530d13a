#include "controller/listen.h"
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "common/addr.h"

static const char *after(const char *url, const char *scheme)
{
    size_t len = strlen(scheme);

    return strncmp(url, scheme, len) ? NULL : url + len;
}

enum tw_rc listen_check(const char *url, bool allow_plaintext, struct tw_err *err)
{
    const char *secure = after(url, "tls+tcp://"), *path = after(url, "ipc://"), *host = secure ? secure : after(url, "tcp://");
    struct tw_addr addr;

    if (path)
        return path[0] == '/' ? TW_OK : tw_err_set(err, TW_EINVAL, "%s: expected ipc:///absolute/path", url);
    if (!host || tw_addr_parse(host, 0, &addr) != TW_OK)
        return tw_err_set(err, TW_EINVAL,
                          "%s: expected tls+tcp://ADDRESS:PORT or tcp://ADDRESS:PORT with a numeric address, or ipc:///path",
                          url);
    if (secure || tw_addr_is_loopback(&addr) || allow_plaintext)
        return TW_OK;
    return tw_err_set(
        err, TW_EPERM,
        "%s would carry results unencrypted over the network: use tls+tcp://, listen on a loopback address, or give "
        "--allow-plaintext if that network is trusted",
        url);
}

enum tw_rc listen_prepare(const char *url, struct tw_err *err)
{
    const char *path = after(url, "ipc://"), *dir;
    char buf[4096];

    if (!path)
        return TW_OK;
    snprintf(buf, sizeof buf, "%s", path);
    dir = dirname(buf);
    if (mkdir(dir, 0755) == 0 || errno == EEXIST)
        return TW_OK;
    return tw_err_set(err, tw_rc_errno(errno),
                      "cannot make the directory %s for the socket: %s; make it, or name another one", dir,
                      strerror(errno));
}
