#include "controller/events.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "common/json.h"

#define TEXT_MAX 2048
#define RETRY_AFTER_S 5u

struct client {
    struct http_stream *stream;
    uint64_t told[EVENT_KINDS];  /* the versions that it knows */
    uint64_t waits[EVENT_KINDS]; /* the version that could not be sent when it came; 0: none */
    int64_t last_ns;             /* something was sent */
    struct client *prev, *next;
};

struct events {
    struct events_conf conf;
    struct loop_timer tick;
    bool ticking;
    uint64_t version[EVENT_KINDS];
    uint64_t announced[EVENT_KINDS]; /* the versions of the last tick */
    int64_t at_ns[EVENT_KINDS];      /* wall clock */
    int64_t published_ns;            /* monotonic */
    struct client *clients;
    struct events_counters n;
};

static const char *const names[] = { "published", "alerts", "schedule", "agents", "tests" };
_Static_assert(TW_NELEM(names) == EVENT_KINDS, "every kind has a name");

const char *event_kind_name(enum event_kind k)
{
    return names[k];
}

/* ---- Text ---- */

struct text {
    char v[TEXT_MAX];
    size_t len;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(t->v + t->len, sizeof t->v - t->len, fmt, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < sizeof t->v - t->len) /* what is too long is left out: nothing here is */
        t->len += (size_t)n;
}

static void add_event(struct text *t, const struct events *e, enum event_kind k)
{
    struct tw_wall wall = { e->at_ns[k] };
    char at[TW_TIME_TEXT];

    add(t, "event: %s\ndata: {\"version\":%llu,\"at\":\"%s\",\"at_ns\":%lld}\n\n", names[k],
        (unsigned long long)e->version[k], tw_wall_format(wall, at), (long long)e->at_ns[k]);
}

/* What a page has to know to begin with. */
static bool make_hello(struct text *t, const struct events *e, bool may_change)
{
    char boot[24];
    cJSON *o = cJSON_CreateObject(), *versions;
    char *line;

    snprintf(boot, sizeof boot, "%016llx", (unsigned long long)e->conf.started_ns);
    cJSON_AddStringToObject(o, "controller", e->conf.name);
    cJSON_AddStringToObject(o, "version", e->conf.version);
    cJSON_AddStringToObject(o, "boot_id", boot);
    cJSON_AddBoolToObject(o, "http_write", may_change);
    json_time(o, "time", "time_ns", loop_now(e->conf.loop).wall.ns);
    versions = cJSON_AddObjectToObject(o, "versions");
    for (enum event_kind k = 0; k < EVENT_KINDS; k++)
        json_u64(versions, names[k], events_told(e, k));
    line = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (line)
        add(t, "retry: 2000\nevent: hello\ndata: %s\n\n", line);
    cJSON_free(line);
    return line;
}

/* ---- Clients ---- */

static void drop(struct events *e, struct client *c)
{
    DL_DELETE(e->clients, c);
    http_stream_close(c->stream);
    free(c);
    e->n.clients--;
}

static void drop_gone(struct events *e)
{
    struct client *c, *next;

    DL_FOREACH_SAFE(e->clients, c, next)
    {
        if (http_stream_is_gone(c->stream))
            drop(e, c);
    }
}

/* What is new to it; returns how many events. */
static unsigned gather(const struct events *e, const struct client *c, struct text *t)
{
    unsigned n = 0;

    for (enum event_kind k = 0; k < EVENT_KINDS; k++)
        if (c->told[k] != e->version[k]) {
            add_event(t, e, k);
            n++;
        }
    return n;
}

static void keep_waiting(struct events *e, struct client *c)
{
    for (enum event_kind k = 0; k < EVENT_KINDS; k++) {
        if (c->told[k] == e->version[k])
            continue;
        e->n.dropped += c->waits[k] && c->waits[k] != e->version[k];
        c->waits[k] = e->version[k];
    }
}

static void tell(struct events *e, struct client *c, int64_t now_ns)
{
    struct text t = { .len = 0 };
    unsigned n = gather(e, c, &t);

    if (!n && now_ns - c->last_ns < e->conf.silence_ns)
        return;
    if (!n)
        add(&t, ": %s\n\n", e->conf.name);
    if (http_stream_send(c->stream, t.v, t.len) != TW_OK) {
        keep_waiting(e, c);
        return;
    }
    e->n.sent += n;
    c->last_ns = now_ns;
    memcpy(c->told, e->version, sizeof c->told);
    memset(c->waits, 0, sizeof c->waits);
}

/* ---- Time ---- */

static void arm(struct events *e)
{
    e->ticking =
        e->clients &&
        loop_timer_set(e->conf.loop, &e->tick,
                       (struct tw_mono){ loop_now(e->conf.loop).mono.ns + e->conf.interval_ns }) == TW_OK;
}

static void on_tick(struct loop_timer *timer)
{
    struct events *e = timer->ctx;
    int64_t now_ns = loop_now(e->conf.loop).mono.ns;
    struct client *c;

    if (now_ns - e->published_ns >= e->conf.stale_ns)
        events_note(e, EVENT_PUBLISHED);
    drop_gone(e);
    memcpy(e->announced, e->version, sizeof e->announced);
    DL_FOREACH(e->clients, c)
    tell(e, c, now_ns);
    arm(e);
}

void events_note(struct events *e, enum event_kind k)
{
    struct tw_now now;

    if (!e)
        return;
    now = loop_now(e->conf.loop);
    e->version[k]++;
    e->at_ns[k] = now.wall.ns;
    if (k == EVENT_PUBLISHED)
        e->published_ns = now.mono.ns;
}

bool events_are_told(const struct events *e)
{
    return e && e->ticking;
}

uint64_t events_told(const struct events *e, enum event_kind k)
{
    return events_are_told(e) ? e->announced[k] : events_version(e, k);
}

uint64_t events_version(const struct events *e, enum event_kind k)
{
    return e ? e->version[k] : 0;
}

/* ---- Joining ---- */

static void refuse(struct events *e, struct http_req *rq)
{
    e->n.refused++;
    http_answer_later(rq, RETRY_AFTER_S,
                      "%u listen to events already, and no more are taken (--http-events-max)",
                      e->conf.max_clients);
}

void events_set_max(struct events *e, unsigned max_clients)
{
    e->conf.max_clients = max_clients;
}

void events_join(struct events *e, struct http_req *rq, bool may_change)
{
    struct text t = { .len = 0 };
    struct client *c;

    if (e->n.clients >= e->conf.max_clients)
        drop_gone(e);
    if (e->n.clients >= e->conf.max_clients) {
        refuse(e, rq);
        return;
    }
    c = calloc(1, sizeof *c);
    if (!c || !make_hello(&t, e, may_change)) {
        http_answer_error(rq, 503, "out of memory");
        free(c);
        return;
    }
    if (http_answer_stream(rq, "text/event-stream", t.v, t.len, &c->stream) != TW_OK) {
        free(c);
        return;
    }
    for (enum event_kind k = 0; k < EVENT_KINDS; k++)
        c->told[k] = events_told(e, k); /* what has changed since comes with the next tick */
    c->last_ns = loop_now(e->conf.loop).mono.ns;
    DL_APPEND(e->clients, c);
    e->n.clients++;
    if (!e->ticking)
        arm(e);
}

/* ---- Life ---- */

enum tw_rc events_new(const struct events_conf *c, struct events **ret)
{
    struct events *e = calloc(1, sizeof *e);

    if (!e)
        return TW_ENOMEM;
    e->conf = *c;
    if (!e->conf.interval_ns)
        e->conf.interval_ns = TW_NS_PER_S;
    if (!e->conf.silence_ns)
        e->conf.silence_ns = 15 * TW_NS_PER_S;
    if (!e->conf.stale_ns)
        e->conf.stale_ns = 10 * TW_NS_PER_S;
    e->published_ns = loop_now(c->loop).mono.ns;
    e->tick = (struct loop_timer){ .fn = on_tick, .ctx = e };
    for (enum event_kind k = 0; k < EVENT_KINDS; k++)
        e->at_ns[k] = c->started_ns;
    *ret = e;
    return TW_OK;
}

void events_free(struct events *e)
{
    if (!e)
        return;
    loop_timer_cancel(e->conf.loop, &e->tick);
    while (e->clients)
        drop(e, e->clients);
    free(e);
}

void events_counters(const struct events *e, struct events_counters *ret)
{
    *ret = e ? e->n : (struct events_counters){ 0 };
}
