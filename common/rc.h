/* common/rc.h - return codes and the one error report that parsers and edges share. Pure. */
#ifndef TW_COMMON_RC_H
#define TW_COMMON_RC_H

#include <stddef.h>

#define TW_NELEM(a) (sizeof(a) / sizeof((a)[0]))

/* Everything that can fail returns one of these; 0 is success. Append only: the numbers are logged. */
enum tw_rc {
    TW_OK = 0,
    TW_EAGAIN,   /* nothing to do now, call again later */
    TW_EINVAL,   /* an argument or a field has a value that is not allowed */
    TW_ETRUNC,   /* input ends before the thing it holds does */
    TW_ENOMEM,   /* out of memory, or a fixed bound reached */
    TW_ENOENT,   /* no such thing */
    TW_EEXIST,   /* already there */
    TW_EPERM,    /* not allowed */
    TW_ENOSPC,   /* disk or table full */
    TW_EIO,      /* the operating system failed us; see errno or tw_err.text */
    TW_ECORRUPT, /* stored or received bytes contradict themselves */
    TW_EVERSION, /* made by a newer program than this one */
    TW_ECLOSED,  /* the other end, or we, have gone */
    TW_ETIMEOUT, /* the deadline passed */
    TW_ERANGE,   /* number too large or too small */
    TW_EINUSE,   /* address or file in use by another process */
    TW_EBUSY,    /* a bound on work in progress was reached */
    TW_RC_COUNT
};

/* What is wrong with an input, for the person who wrote it. `field` is a dotted path such as
 * "classes.voice.dscp"; line and column count from 1, 0 = unknown. */
struct tw_err {
    enum tw_rc rc;
    unsigned line, column;
    char file[128];
    char field[96];
    char text[256]; /* what is wrong and what was expected; no newline */
};

/* Short stable name, e.g. "EINVAL" -> "invalid"; never NULL. */
const char *tw_rc_name(enum tw_rc rc);

/* Maps errno to the nearest code (EADDRINUSE -> TW_EINUSE, EACCES/EPERM -> TW_EPERM, ...); default TW_EIO. */
enum tw_rc tw_rc_errno(int err);

/* Fills *e (may be NULL) with rc and the formatted text and returns rc; leaves file/line/field as they are. */
enum tw_rc tw_err_set(struct tw_err *e, enum tw_rc rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes "file:line: field: text" with the parts that are known; always terminated. Returns buf. */
const char *tw_err_format(const struct tw_err *e, char *buf, size_t cap);

#endif
