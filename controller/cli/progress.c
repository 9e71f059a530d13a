#include "controller/cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/net/now.h"

#define FIRST_NS (500 * TW_NS_PER_MS) /* what is quicker needs no line */
#define EVERY_NS (100 * TW_NS_PER_MS)

void progress_begin(struct progress *p)
{
    const char *term = getenv("TERM");

    *p = (struct progress){ .next_ns = tw_mono_now().ns + FIRST_NS };
    p->on = isatty(STDERR_FILENO) && !(term && !strcmp(term, "dumb"));
}

void progress_say(struct progress *p, const char *fmt, ...)
{
    int64_t now_ns = tw_mono_now().ns;
    va_list ap;

    if (!p->on || now_ns < p->next_ns)
        return;
    p->next_ns = now_ns + EVERY_NS;
    p->shown = true;
    fprintf(stderr, "\r%c ", "|/-\\"[p->frame++ % 4]);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputs("\033[K", stderr);
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = p->on = false;
}
