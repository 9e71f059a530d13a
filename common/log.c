#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clk.h"
#include "common/utf8.h"

enum {
    LINE_MAX_OCTETS = 4096, /* at most PIPE_BUF: lines of several processes on one pipe do not mix */
    VALUE_MAX_OCTETS = 1024,
    TAIL_OCTETS = 32 /* kept free for the truncation mark and the end of the line */
};

static struct {
    const char *program;
    _Atomic int min, format; /* enum log_level, enum log_format */
    int fd;
} config = { "twampmesh", LOG_INFO_, LOG_TEXT, STDERR_FILENO };

const char *const log_format_names[] = { [LOG_TEXT] = "text", [LOG_JSON] = "json", [LOG_JOURNAL] = "journal", NULL };
static const char *const level_names[] = { "debug", "info", "warn", "error" };

void log_init(const char *program, enum log_level min, enum log_format format)
{
    config.program = program;
    log_set(min, format);
}

void log_set(enum log_level min, enum log_format format)
{
    atomic_store_explicit(&config.min, (int)min, memory_order_relaxed);
    atomic_store_explicit(&config.format, (int)format, memory_order_relaxed);
}

void log_to(int fd)
{
    config.fd = fd;
}

enum tw_rc log_level_parse(const char *text, enum log_level *ret)
{
    for (size_t i = 0; i < TW_NELEM(level_names); i++)
        if (!strcmp(text, level_names[i])) {
            *ret = (enum log_level)i;
            return TW_OK;
        }
    return TW_EINVAL;
}

/* ---- A line that is being written ---- */

struct line {
    char text[LINE_MAX_OCTETS];
    size_t len;
    bool full, json, begun;
};

static void put(struct line *l, const char *s, size_t n)
{
    if (l->full || n > sizeof l->text - TAIL_OCTETS - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, s, n);
    l->len += n;
}

static void put_str(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

__attribute__((format(printf, 2, 3))) static void putf(struct line *l, const char *fmt, ...)
{
    char buf[64];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    put_str(l, buf);
}

/* U+0080..U+009F: terminals obey some of these like ESC sequences. */
static bool is_c1(const unsigned char *s, size_t n)
{
    return n == 2 && s[0] == 0xc2 && s[1] < 0xa0;
}

/* Inside quotes; these escapes are valid in JSON and are used for the text form as well. */
static void put_escaped(struct line *l, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    const unsigned char *end = s + VALUE_MAX_OCTETS;

    while (*s) {
        size_t n = tw_utf8_len(s);
        if (s + n > end) {
            put_str(l, "...[truncated]");
            return;
        }
        if (n == 0)
            put_str(l, "\xef\xbf\xbd"); /* U+FFFD */
        else if (*s == '"' || *s == '\\')
            putf(l, "\\%c", *s);
        else if (*s == '\n')
            put_str(l, "\\n");
        else if (*s < ' ' || *s == 0x7f)
            putf(l, "\\u%04x", *s);
        else if (is_c1(s, n))
            putf(l, "\\u%04x", s[1]);
        else
            put(l, (const char *)s, n);
        s += n ? n : 1;
    }
}

static void put_quoted(struct line *l, const char *text)
{
    put(l, "\"", 1);
    put_escaped(l, text);
    put(l, "\"", 1);
}

/* ---- Values ---- */

static bool needs_quotes(const char *s)
{
    if (!*s || strlen(s) > VALUE_MAX_OCTETS)
        return true;
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f || *s == '"' || *s == '\\' || *s == '=')
            return true;
    return false;
}

static void put_string_value(struct line *l, const char *s)
{
    if (!s)
        put_str(l, l->json ? "null" : "-");
    else if (l->json || needs_quotes(s))
        put_quoted(l, s);
    else
        put_str(l, s);
}

static void put_double(struct line *l, double v)
{
    if (l->json && !isfinite(v))
        put_str(l, "null");
    else
        putf(l, "%.10g", v);
}

static void put_value(struct line *l, const struct log_kv *kv)
{
    switch (kv->kind) {
    case LOG_KV_STR:
        put_string_value(l, kv->v.str);
        break;
    case LOG_KV_I64:
        putf(l, "%" PRId64, kv->v.i64);
        break;
    case LOG_KV_U64:
        putf(l, "%" PRIu64, kv->v.u64);
        break;
    case LOG_KV_F64:
        put_double(l, kv->v.f64);
        break;
    }
}

/* One pair, or nothing of it. */
static void put_pair(struct line *l, const struct log_kv *kv)
{
    size_t before = l->len;
    bool json = l->json;

    if (l->full)
        return;
    if (json) {
        put_str(l, l->begun ? "," : "{");
        put_quoted(l, kv->key);
    } else {
        put_str(l, l->begun ? " " : "");
        put_str(l, kv->key);
    }
    put_str(l, json ? ":" : "=");
    put_value(l, kv);
    l->begun = true;
    if (l->full)
        l->len = before;
}

static void put_end(struct line *l)
{
    bool json = l->json;
    const char *end = json ? "}\n" : "\n";

    if (l->full)
        end = json ? ",\"truncated\":true}\n" : " truncated=true\n";
    memcpy(l->text + l->len, end, strlen(end)); /* TAIL_OCTETS are free */
    l->len += strlen(end);
}

/* ---- Writing ---- */

static pthread_mutex_t writing =
    PTHREAD_MUTEX_INITIALIZER; /* so that what can be written is still room when it is written */
static uint64_t not_written;   /* lines, since the last that was */

/* Room for a line, without waiting? A file has always; a pipe or socket whose reader sleeps has none. */
static bool has_room(void)
{
    struct pollfd p = { .fd = config.fd, .events = POLLOUT };

    return poll(&p, 1, 0) < 0 || p.revents;
}

static bool write_line(const struct line *l)
{
    ssize_t n;

    if (!has_room())
        return false;
    do
        n = write(config.fd, l->text, l->len);
    while (n < 0 && errno == EINTR);
    return n >= 0 || errno != EAGAIN; /* nowhere to complain to if stderr is gone */
}

/* The journal takes the level from the beginning of a line (sd-daemon(3)). */
static void put_head(struct line *l, enum log_level level, bool journal)
{
    static const char *const priorities[] = { "<7>", "<6>", "<4>", "<3>" };
    struct timespec ts;
    char now[TW_TIME_TEXT];

    if (journal) {
        put_str(l, priorities[level]);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &ts);
    tw_wall_format((struct tw_wall){ ts.tv_sec * TW_NS_PER_S + ts.tv_nsec }, now);
    put_pair(l, &LOG_S("time", now));
    put_pair(l, &LOG_S("level", level_names[level]));
    put_pair(l, &LOG_S("program", config.program));
}

static void make_line(struct line *l, enum log_level level, const char *event, const struct log_kv *kv)
{
    int format = atomic_load_explicit(&config.format, memory_order_relaxed);

    l->len = 0;
    l->full = l->begun = false;
    l->json = format == LOG_JSON;
    put_head(l, level, format == LOG_JOURNAL);
    put_pair(l, &LOG_S("event", event));
    for (; kv && kv->key; kv++)
        put_pair(l, kv);
    put_end(l);
}

/* Before the first line that can be written again. */
static bool tell_not_written(void)
{
    struct line l;

    make_line(&l, LOG_WARN_, "lines of the log are lost: its reader did not read",
              (const struct log_kv[]){ LOG_U("lines", not_written), { 0 } });
    return write_line(&l);
}

void log_event(enum log_level level, const char *event, const struct log_kv *kv)
{
    struct line l;
    int saved_errno = errno; /* callers log first and look at errno later */

    if ((int)level < atomic_load_explicit(&config.min, memory_order_relaxed))
        return;
    make_line(&l, level, event, kv);
    pthread_mutex_lock(&writing);
    if (not_written && tell_not_written())
        not_written = 0;
    if (not_written || !write_line(&l))
        not_written++;
    pthread_mutex_unlock(&writing);
    errno = saved_errno;
}

/* ---- Limiting ---- */

#define LIMIT_WINDOW_NS (10 * TW_NS_PER_S)

/* One of the burst, if any is left. */
static bool take(struct log_limit *l)
{
    unsigned used = atomic_load(&l->used);

    do {
        if (used >= l->burst)
            return false;
    } while (!atomic_compare_exchange_weak(&l->used, &used, used + 1));
    return true;
}

/* The window starts anew with every line that is let through, and the burst is granted again only after a
 * whole window without one: that is what makes "any 10 s" true, where fixed windows would let two bursts
 * meet. Whoever grants it takes back what it saw used, not all: others may have taken from the new burst
 * already. */
bool log_limit_ok(struct log_limit *l, int64_t mono_ns, unsigned *ret_held)
{
    int64_t start = atomic_load(&l->window_start_ns);
    unsigned used = atomic_load(&l->used);

    if (used && mono_ns - start >= LIMIT_WINDOW_NS &&
        atomic_compare_exchange_strong(&l->window_start_ns, &start, mono_ns))
        atomic_fetch_sub(&l->used, used);
    if (!take(l)) {
        atomic_fetch_add(&l->held, 1);
        return false;
    }
    atomic_store(&l->window_start_ns, mono_ns);
    *ret_held = atomic_exchange(&l->held, 0);
    return true;
}
