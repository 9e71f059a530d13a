#include "common/net/keyfile.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/folder.h"

/* Up to cap octets, until the end of the file. */
static enum tw_rc read_all(int fd, void *buf, size_t cap, size_t *ret)
{
    size_t n = 0;

    while (n < cap) {
        ssize_t got = read(fd, (char *)buf + n, cap - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tw_rc_errno(errno);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret = n;
    return TW_OK;
}

enum tw_rc keyfile_check(int fd, const char *path, const char *holds, struct tw_err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return tw_err_set(err, tw_rc_errno(errno), "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return tw_err_set(err, TW_EINVAL, "%s: not a regular file", path);
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        return tw_err_set(err, TW_EPERM, "%s: mode %04o lets others in; it %s: chmod 600", path,
                          (unsigned)(st.st_mode & 07777), holds);
    return TW_OK;
}

enum tw_rc keyfile_read(const char *path, struct pki_octets *ret, struct tw_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    uint8_t *data;
    size_t n = 0;
    enum tw_rc rc;

    if (fd < 0)
        return tw_err_set(err, tw_rc_errno(errno), "%s: %s", path, strerror(errno));
    data = malloc(PKI_PEM_MAX + 1);
    rc = data ? keyfile_check(fd, path, "is for its owner alone", err) : tw_err_set(err, TW_ENOMEM, "out of memory");
    if (!rc && (rc = read_all(fd, data, PKI_PEM_MAX + 1, &n)) != TW_OK)
        tw_err_set(err, rc, "%s: %s", path, strerror(errno));
    if (!rc && n > PKI_PEM_MAX)
        rc = tw_err_set(err, TW_ECORRUPT, "%s: longer than %d octets", path, PKI_PEM_MAX);
    close(fd);
    if (rc) {
        if (data)
            OPENSSL_cleanse(data, n);
        free(data);
        return rc;
    }
    data[n] = 0;
    *ret = (struct pki_octets){ data, n };
    return TW_OK;
}

bool keyfile_put(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);

        if (done < 0 && errno != EINTR)
            return false;
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
    return fsync(fd) == 0;
}

enum tw_rc keyfile_write(const char *path, const void *data, size_t len, struct tw_err *err)
{
    char tmp[PATH_MAX];
    enum tw_rc rc = TW_OK;
    int fd;

    if (snprintf(tmp, sizeof tmp, "%s.XXXXXX", path) >= (int)sizeof tmp)
        return tw_err_set(err, TW_EINVAL, "%s: path too long", path);
    fd = mkostemp(tmp, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return tw_err_set(err, tw_rc_errno(errno), "%s: cannot be made: %s", path, strerror(errno));
    if (!keyfile_put(fd, data, len) || rename(tmp, path) < 0) {
        rc = tw_err_set(err, tw_rc_errno(errno), "%s: cannot be written: %s", path, strerror(errno));
        unlink(tmp);
    }
    close(fd);
    folder_sync(path);
    return rc;
}

enum tw_rc keyfile_read_line(const char *path, char *ret, size_t cap, struct tw_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    size_t n = 0, from = 0;
    enum tw_rc rc;

    if (fd < 0)
        return tw_err_set(err, tw_rc_errno(errno), "%s: %s", path, strerror(errno));
    rc = read_all(fd, ret, cap, &n);
    close(fd);
    if (rc)
        return tw_err_set(err, rc, "%s: %s", path, strerror(errno));
    while (n > 0 && isspace((unsigned char)ret[n - 1]))
        n--;
    while (from < n && isspace((unsigned char)ret[from]))
        from++;
    if (from == n || n == cap || memchr(ret, 0, n))
        return tw_err_set(err, TW_EINVAL, "%s: expected one line of at most %zu characters", path, cap - 1);
    memmove(ret, ret + from, n - from);
    ret[n - from] = '\0';
    return TW_OK;
}
