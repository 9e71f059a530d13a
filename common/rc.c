#include "common/rc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const names[TW_RC_COUNT] = {
    [TW_OK] = "ok",
    [TW_EAGAIN] = "again",
    [TW_EINVAL] = "invalid",
    [TW_ETRUNC] = "truncated",
    [TW_ENOMEM] = "no-memory",
    [TW_ENOENT] = "not-found",
    [TW_EEXIST] = "exists",
    [TW_EPERM] = "not-allowed",
    [TW_ENOSPC] = "no-space",
    [TW_EIO] = "io-error",
    [TW_ECORRUPT] = "corrupt",
    [TW_EVERSION] = "version",
    [TW_ECLOSED] = "closed",
    [TW_ETIMEOUT] = "timeout",
    [TW_ERANGE] = "range",
    [TW_EINUSE] = "in-use",
    [TW_EBUSY] = "busy",
};

const char *tw_rc_name(enum tw_rc rc)
{
    return (unsigned)rc < TW_RC_COUNT ? names[rc] : "unknown";
}

static const struct {
    int err;
    enum tw_rc rc;
} errnos[] = {
    { 0, TW_OK },
    { EAGAIN, TW_EAGAIN },
    { EINTR, TW_EAGAIN },
    { EINPROGRESS, TW_EAGAIN },
    { EINVAL, TW_EINVAL },
    { ENOMEM, TW_ENOMEM },
    { ENOBUFS, TW_ENOMEM },
    { EMFILE, TW_ENOMEM },
    { ENFILE, TW_ENOMEM },
    { ENOENT, TW_ENOENT },
    { EADDRNOTAVAIL, TW_ENOENT },
    { EEXIST, TW_EEXIST },
    { EACCES, TW_EPERM },
    { EPERM, TW_EPERM },
    { EROFS, TW_EPERM },
    { ENOSPC, TW_ENOSPC },
    { EDQUOT, TW_ENOSPC },
    { EPIPE, TW_ECLOSED },
    { ECONNRESET, TW_ECLOSED },
    { ECONNABORTED, TW_ECLOSED },
    { ECONNREFUSED, TW_ECLOSED },
    { ESHUTDOWN, TW_ECLOSED },
    { ETIMEDOUT, TW_ETIMEOUT },
    { ERANGE, TW_ERANGE },
    { EOVERFLOW, TW_ERANGE },
    { EADDRINUSE, TW_EINUSE },
    { EBUSY, TW_EBUSY },
};

enum tw_rc tw_rc_errno(int err)
{
    for (size_t i = 0; i < TW_NELEM(errnos); i++)
        if (errnos[i].err == err)
            return errnos[i].rc;
    return TW_EIO;
}

enum tw_rc tw_err_set(struct tw_err *e, enum tw_rc rc, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return rc;
    e->rc = rc;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    /* The text quotes input and goes to terminals and logs as one line. */
    for (char *c = e->text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    return rc;
}

const char *tw_err_format(const struct tw_err *e, char *buf, size_t cap)
{
    char where[sizeof e->file + 32] = "";

    if (!cap)
        return buf;
    if (e->file[0] && e->line)
        snprintf(where, sizeof where, "%s:%u: ", e->file, e->line);
    else if (e->file[0])
        snprintf(where, sizeof where, "%s: ", e->file);
    else if (e->line)
        snprintf(where, sizeof where, "line %u: ", e->line);
    snprintf(buf, cap, "%s%s%s%s", where, e->field, e->field[0] ? ": " : "",
             e->text[0] ? e->text : tw_rc_name(e->rc));
    return buf;
}
