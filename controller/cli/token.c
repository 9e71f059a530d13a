#include "controller/cli/token.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "common/net/keyfile.h"

enum tw_rc token_read_file(const char *path, char buf[TOKEN_MAX], struct tw_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    enum tw_rc rc;
    ssize_t n;

    if (fd < 0)
        return tw_err_set(err, tw_rc_errno(errno), "%s: cannot be read: %s", path, strerror(errno));
    rc = keyfile_check(fd, path, "holds an access token", err);
    n = rc ? -1 : read(fd, buf, TOKEN_MAX - 1);
    if (!rc && n < 0)
        rc = tw_err_set(err, tw_rc_errno(errno), "%s: cannot be read: %s", path, strerror(errno));
    close(fd);
    if (rc)
        return rc;
    buf[n] = '\0';
    buf[strcspn(buf, " \t\r\n")] = '\0';
    return *buf ? TW_OK
                : tw_err_set(err, TW_EINVAL,
                             "%s: expected an access token, twa1.ID.SECRET, on its first line", path);
}

enum tw_rc token_read(const struct cli *c, char buf[TOKEN_MAX], struct tw_err *err)
{
    buf[0] = '\0';
    if (c->opt.token && *c->opt.token && c->token_origin >= c->origins[CONTEXT_TOKEN_FILE]) {
        if (strlen(c->opt.token) >= TOKEN_MAX)
            return tw_err_set(err, TW_EINVAL,
                              "--token: longer than any access token: expected twa1.ID.SECRET");
        strcpy(buf, c->opt.token);
        return TW_OK;
    }
    return c->opt.token_file && *c->opt.token_file ? token_read_file(c->opt.token_file, buf, err) : TW_OK;
}
