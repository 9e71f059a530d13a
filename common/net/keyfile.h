/* common/net/keyfile.h - files that hold keys and certificates: for their owner alone, and never half
 * written. */
#ifndef TW_NET_KEYFILE_H
#define TW_NET_KEYFILE_H

#include "common/net/pki.h"

/* A regular file of at most PKI_PEM_MAX octets. TW_ENOENT: there is none. TW_EPERM: others may read or write
 * it. */
enum tw_rc keyfile_read(const char *path, struct pki_octets *ret, struct tw_err *err);
/* Mode 0600; whatever was there is replaced at once, or, on an error or after a crash, not at all. */
enum tw_rc keyfile_write(const char *path, const void *data, size_t len, struct tw_err *err);
/* A text that stands in a file or a pipe, such as a token; without the white space around it. TW_EINVAL:
 * none, or too long. */
enum tw_rc keyfile_read_line(const char *path, char *ret, size_t cap, struct tw_err *err);
/* That an open file is a regular one of its owner alone; TW_EPERM: others may read or write it. holds: what is said then, such as "holds a
 * private key". */
enum tw_rc keyfile_check(int fd, const char *path, const char *holds, struct tw_err *err);
/* All of it, and to the disk. False: errno says why. */
bool keyfile_put(int fd, const char *p, size_t n);

#endif
