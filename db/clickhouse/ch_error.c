#include "db/clickhouse/ch_error.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* dbms/src/Common/ErrorCodes.cpp names them; numbers are never used again. `here`: it would fail anywhere. */
static const struct {
    int code;
    enum tw_rc rc;
    bool here;
} codes[] = {
    { 16, TW_EVERSION, true },   /* NO_SUCH_COLUMN_IN_TABLE */
    { 27, TW_EINVAL, true },     /* CANNOT_PARSE_INPUT_ASSERTION_FAILED */
    { 33, TW_EINVAL, true },     /* CANNOT_READ_ALL_DATA: an insert that is cut */
    { 36, TW_EINVAL, true },     /* BAD_ARGUMENTS */
    { 40, TW_ECORRUPT, false },  /* CHECKSUM_DOESNT_MATCH */
    { 46, TW_EINVAL, true },     /* UNKNOWN_FUNCTION */
    { 47, TW_EVERSION, true },   /* UNKNOWN_IDENTIFIER */
    { 57, TW_EEXIST, true },     /* TABLE_ALREADY_EXISTS */
    { 60, TW_ENOENT, true },     /* UNKNOWN_TABLE */
    { 62, TW_EINVAL, true },     /* SYNTAX_ERROR */
    { 81, TW_ENOENT, true },     /* UNKNOWN_DATABASE */
    { 82, TW_EEXIST, true },     /* DATABASE_ALREADY_EXISTS */
    { 159, TW_ETIMEOUT, false }, /* TIMEOUT_EXCEEDED */
    { 164, TW_EPERM, true },     /* READONLY: this user may not */
    { 192, TW_EPERM, true },     /* UNKNOWN_USER */
    { 193, TW_EPERM, true },     /* WRONG_PASSWORD */
    { 194, TW_EPERM, true },     /* REQUIRED_PASSWORD */
    { 195, TW_EPERM, false },    /* IP_ADDRESS_NOT_ALLOWED */
    { 201, TW_EBUSY, true },     /* QUOTA_EXPIRED */
    { 202, TW_EBUSY, false },    /* TOO_MANY_SIMULTANEOUS_QUERIES */
    { 209, TW_ETIMEOUT, false }, /* SOCKET_TIMEOUT */
    { 241, TW_ENOMEM, false },   /* MEMORY_LIMIT_EXCEEDED */
    { 243, TW_ENOSPC, false },   /* NOT_ENOUGH_SPACE */
    { 246, TW_ECORRUPT, false }, /* CORRUPTED_DATA */
    { 252, TW_EBUSY, false },    /* TOO_MANY_PARTS */
    { 271, TW_ECORRUPT, false }, /* CANNOT_DECOMPRESS */
    { 285, TW_EIO, true },       /* TOO_LESS_LIVE_REPLICAS */
    { 286, TW_EBUSY, true },     /* UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE */
    { 291, TW_EPERM, true },     /* DATABASE_ACCESS_DENIED */
    { 341, TW_EAGAIN, true },    /* UNFINISHED: a replica that is away does it later */
    { 394, TW_ECLOSED, true },   /* QUERY_WAS_CANCELLED */
    { 497, TW_EPERM, true },     /* ACCESS_DENIED */
    { 516, TW_EPERM, true },     /* AUTHENTICATION_FAILED */
};

enum tw_rc ch_error_rc(int code)
{
    for (size_t i = 0; i < TW_NELEM(codes); i++)
        if (codes[i].code == code)
            return codes[i].rc;
    return TW_EIO;
}

bool ch_error_elsewhere(int code)
{
    for (size_t i = 0; i < TW_NELEM(codes); i++)
        if (codes[i].code == code)
            return !codes[i].here;
    return true;
}

/* Where `what` begins in [p, end), else NULL. */
static const char *find(const char *p, const char *end, const char *what)
{
    return p < end ? memmem(p, (size_t)(end - p), what, strlen(what)) : NULL;
}

static void copy_line(const char *p, const char *end, char ret[CH_WHY_MAX])
{
    size_t n = 0;

    while (p < end && isspace((unsigned char)*p))
        p++;
    for (; p < end && *p && n < CH_WHY_MAX - 1; p++)
        ret[n++] = *p >= ' ' && *p <= '~' ? *p : ' ';
    while (n && ret[n - 1] == ' ')
        n--;
    ret[n] = '\0';
}

void ch_error_parse(const char *text, size_t len, int *ret_code, char ret_why[CH_WHY_MAX])
{
    static const char head[] = "Code: ", exception[] = "DB::Exception: ";
    const char *end = text + len, *p = find(text, end, head), *why = NULL, *tail;
    int code = 0;

    for (p = p ? p + strlen(head) : end; p < end && isdigit((unsigned char)*p) && code < 100000; p++)
        code = 10 * code + (*p - '0');
    *ret_code = code;
    if (code)
        why = find(p, end, exception);
    why = why ? why + strlen(exception) : text;
    if ((tail = find(why, end, ", e.what()")) || (tail = find(why, end, " (version ")))
        end = tail;
    copy_line(why, end, ret_why);
}
