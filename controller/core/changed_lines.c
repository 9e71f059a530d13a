#include "controller/core/changed_lines.h"
#include <string.h>
#include "common/rc.h"

static size_t line_len(const char *at)
{
    size_t n = strcspn(at, "\n");

    return n + (at[n] == '\n');
}

/* NULL: there is none. */
static char *find_line(char *text, const char *line, size_t len)
{
    for (char *at = text; *at; at += line_len(at))
        if (line_len(at) == len && !memcmp(at, line, len))
            return at;
    return NULL;
}

static void cut(char *at, size_t len)
{
    memmove(at, at + len, strlen(at + len) + 1);
}

void changed_lines(char *before, char *after)
{
    for (char *at = before; *at;) {
        size_t len = line_len(at);
        char *same = find_line(after, at, len);

        if (same) {
            cut(same, len);
            cut(at, len);
        } else {
            at += len;
        }
    }
}
