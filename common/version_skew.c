#include "common/version.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct release {
    long major, minor;
};

static bool read_release(const char *text, struct release *ret)
{
    char *end;

    text += strcspn(text, "0123456789");
    if (!*text)
        return false;
    ret->major = strtol(text, &end, 10);
    if (*end != '.' || strspn(end + 1, "0123456789") == 0)
        return false;
    ret->minor = strtol(end + 1, NULL, 10);
    return true;
}

/* Is b the release after a, as far as can be told? */
static bool is_next(const struct release *a, const struct release *b)
{
    return a->major == b->major ? b->minor - a->minor == 1 : b->major - a->major == 1 && b->minor == 0;
}

enum tw_skew tw_version_skew(const char *of, const char *from)
{
    struct release a, b;

    if (!read_release(of, &a) || !read_release(from, &b) || (a.major == b.major && a.minor == b.minor))
        return TW_SKEW_NONE;
    if (a.major < b.major || (a.major == b.major && a.minor < b.minor))
        return is_next(&a, &b) ? TW_SKEW_OLDER : TW_SKEW_TOO_OLD;
    return is_next(&b, &a) ? TW_SKEW_NEWER : TW_SKEW_TOO_NEW;
}

const char *tw_skew_name(enum tw_skew s)
{
    static const char *const names[] = { "", "older", "newer", "too_old", "too_new" };

    return names[s];
}
