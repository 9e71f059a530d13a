#include "common/folder.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum tw_rc folder_sync(const char *path)
{
    char copy[PATH_MAX];
    int fd, why = 0;

    snprintf(copy, sizeof copy, "%s", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return tw_rc_errno(errno);
    if (fsync(fd))
        why = errno;
    close(fd);
    errno = why;
    return why ? tw_rc_errno(why) : TW_OK;
}
