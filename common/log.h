/* common/log.h - one line per event on stderr: key=value for people, or one JSON object (--log-format json).
 * Thread-safe (one write(2) per line). Not for packet paths. Nobody waits for who reads it: lines for which a
 * pipe or socket has no room are dropped, counted, and told once there is. */
#ifndef TW_COMMON_LOG_H
#define TW_COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

enum log_level { LOG_DEBUG_, LOG_INFO_, LOG_WARN_, LOG_ERROR_ };
enum log_format {
    LOG_TEXT,
    LOG_JSON,
    LOG_JOURNAL /* as text, but for the systemd journal: "<6>event=..."; time and program it knows */
};
extern const char *const log_format_names[]; /* for options; NULL ends the list */

/* Set once by main before threads start. `program` must outlive the process. */
void log_init(const char *program, enum log_level min, enum log_format format);
/* While it runs; any thread. */
void log_set(enum log_level min, enum log_format format);
/* Another descriptor than stderr; the caller keeps it open. As log_init(). */
void log_to(int fd);
enum tw_rc log_level_parse(const char *text, enum log_level *ret);

/* A key and its value; the LOG_* constructors below make them. The list ends with { 0 }. */
struct log_kv {
    const char *key;
    enum { LOG_KV_STR, LOG_KV_I64, LOG_KV_U64, LOG_KV_F64 } kind;
    union {
        const char *str;
        int64_t i64;
        uint64_t u64;
        double f64;
    } v;
};
#define LOG_S(k, x) ((struct log_kv){ .key = (k), .kind = LOG_KV_STR, .v.str = (x) })
#define LOG_I(k, x) ((struct log_kv){ .key = (k), .kind = LOG_KV_I64, .v.i64 = (x) })
#define LOG_U(k, x) ((struct log_kv){ .key = (k), .kind = LOG_KV_U64, .v.u64 = (x) })
#define LOG_F(k, x) ((struct log_kv){ .key = (k), .kind = LOG_KV_F64, .v.f64 = (x) })

/* Text: time=... level=... program=... event="..." k=v k="quoted if needed". Values are escaped: a hostile
 * agent name cannot forge a line. `event` is a fixed phrase, the variable parts are keys. */
void log_event(enum log_level level, const char *event, const struct log_kv *kv);
#define log_debug(ev, ...) log_event(LOG_DEBUG_, ev, (const struct log_kv[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
#define log_info(ev, ...) log_event(LOG_INFO_, ev, (const struct log_kv[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
#define log_warn(ev, ...) log_event(LOG_WARN_, ev, (const struct log_kv[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
#define log_error(ev, ...) log_event(LOG_ERROR_, ev, (const struct log_kv[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })

/* For whatever a peer can trigger: at most `burst` lines in any 10 s for this limiter, then one line that says
 * how many were held back. Zero-initialise with burst set; thread-safe. */
struct log_limit {
    unsigned burst;
    _Atomic int64_t window_start_ns;
    _Atomic unsigned used;
    _Atomic unsigned held;
};
/* true: go ahead and log. *ret_held: lines suppressed since the last one that was let through. */
bool log_limit_ok(struct log_limit *l, int64_t mono_ns, unsigned *ret_held);

#endif
