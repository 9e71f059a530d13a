#include "controller/cli/progress.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/net/now.h"
#include "controller/cli/out.h"

#define FIRST_NS (500 * TW_NS_PER_MS) /* what is quicker needs no line */
#define EVERY_NS (100 * TW_NS_PER_MS)

const char *const progress_names[] = { "auto", "none", "json", NULL };

void progress_begin(struct progress *p, enum progress_mode mode, const char *work)
{
    const char *term = getenv("TERM");

    *p = (struct progress){ .mode = mode, .work = work };
    p->on = mode == PROGRESS_JSON ||
            (mode == PROGRESS_AUTO && isatty(STDERR_FILENO) && !(term && !strcmp(term, "dumb")));
    if (mode == PROGRESS_AUTO)
        p->next_ns = tw_mono_now().ns + FIRST_NS;
}

/* text NULL: it is over. */
static void print_json(const struct progress *p, const char *text)
{
    cJSON *o = cJSON_CreateObject();
    char *line;

    cJSON_AddStringToObject(o, "progress", p->work);
    cJSON_AddNumberToObject(o, "done", (double)p->done);
    if (p->total)
        cJSON_AddNumberToObject(o, "total", (double)p->total);
    else
        cJSON_AddNullToObject(o, "total");
    if (text)
        cJSON_AddStringToObject(o, "text", text);
    else
        cJSON_AddTrueToObject(o, "over");
    line = cJSON_PrintUnformatted(o);
    if (line)
        fprintf(stderr, "%s\n", line);
    cJSON_free(line);
    cJSON_Delete(o);
}

static void print_line(struct progress *p, const char *text)
{
    fprintf(stderr, "\r%c ", "|/-\\"[p->frame++ % 4]);
    out_safe(stderr, text, false);
    fprintf(stderr, "\033[K");
    fflush(stderr);
}

void progress_say(struct progress *p, uint64_t done, uint64_t total, const char *fmt, ...)
{
    int64_t now_ns = tw_mono_now().ns;
    char text[256];
    va_list ap;

    if (!p->on || now_ns < p->next_ns)
        return;
    p->next_ns = now_ns + EVERY_NS;
    if (p->mode == PROGRESS_JSON && p->shown && done == p->done && total == p->total)
        return;
    p->shown = true;
    p->done = done;
    p->total = total;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (p->mode == PROGRESS_JSON)
        print_json(p, text);
    else
        print_line(p, text);
}

void progress_end(struct progress *p)
{
    if (p->shown && p->mode == PROGRESS_JSON)
        print_json(p, NULL);
    else if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = p->on = false;
}
