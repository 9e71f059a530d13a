#include "controller/relay_ours.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static void note(struct relay_ours *o, enum relay_changed c)
{
    if (c > o->changed)
        o->changed = c;
}

uint8_t *relay_copy(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len + 1);

    if (copy && len)
        memcpy(copy, data, len);
    return copy;
}

void relay_out_free(struct relay_out *c)
{
    if (!c)
        return;
    free(c->call.to);
    free(c->call.agent);
    free(c->call.request.data);
    free(c->reply);
    free(c);
}

static struct relay_out *new_out(const struct relay_ask *what)
{
    struct relay_out *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    tw__relay_call__init(&c->call);
    c->call.to = strdup(what->to);
    c->call.agent = strdup(what->agent);
    c->call.request.data = relay_copy(what->request, what->len);
    if (!c->call.to || !c->call.agent || !c->call.request.data) {
        relay_out_free(c);
        return NULL;
    }
    c->call.request.len = what->len;
    c->call.method = what->method;
    c->by_ns = what->by_ns;
    c->ctx = what->ctx;
    return c;
}

/* It is said the next time there is room, after all that have been. */
static void line_up(struct relay_ours *o, struct relay_out *c)
{
    c->call.id = ++o->last_id;
    c->said = c->not_here = false;
    DL_APPEND(o->calls, c);
    note(o, RELAY_NEWS);
}

enum tw_rc relay_ours_ask(struct relay_ours *o, const struct relay_ask *what)
{
    struct relay_out *c;

    if (what->len > RELAY_REQUEST_MAX)
        return TW_ERANGE;
    if (o->n >= RELAY_WAITING_MAX)
        return TW_EBUSY;
    c = new_out(what);
    if (!c)
        return TW_ENOMEM;
    o->n++;
    line_up(o, c);
    return TW_OK;
}

static void take_out(struct relay_ours *o, struct relay_out *c)
{
    DL_DELETE(o->calls, c);
    o->n_said -= c->said;
    if (c->said)
        note(o, o->n - 1 > o->n_said ? RELAY_NEWS : RELAY_TIDIER); /* others wait for its room */
    c->said = false;
}

static void end(struct relay_ours *o, struct relay_out *c, Tw__Status status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void end(struct relay_ours *o, struct relay_out *c, Tw__Status status, const char *fmt, ...)
{
    va_list ap;

    take_out(o, c);
    o->n--;
    c->status = status;
    va_start(ap, fmt);
    vsnprintf(c->detail, sizeof c->detail, fmt, ap);
    va_end(ap);
    DL_APPEND(o->over, c);
}

/* ---- Answers ---- */

static struct relay_out *find(const struct relay_ours *o, uint64_t id)
{
    struct relay_out *c;

    DL_FOREACH(o->calls, c)
    {
        if (c->call.id == id)
            return c;
    }
    return NULL;
}

static Tw__Status status_of(uint32_t number)
{
    bool known =
        number <= INT_MAX && protobuf_c_enum_descriptor_get_value(&tw__status__descriptor, (int)number);

    return known ? (Tw__Status)number : TW__STATUS__STATUS_UNKNOWN;
}

static void take_answer(struct relay_ours *o, struct relay_out *c, const Tw__RelayAnswer *a)
{
    if (a->not_here) {
        c->not_here = true;
        return;
    }
    c->answered = true;
    if (a->status) {
        end(o, c, status_of(a->status), "%s", a->detail);
        return;
    }
    c->reply = relay_copy(a->reply.data, a->reply.len);
    if (!c->reply) {
        end(o, c, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    c->reply_len = a->reply.len;
    end(o, c, TW__STATUS__STATUS_OK, "%s", "");
}

void relay_ours_take(struct relay_ours *o, const char *who, uint64_t self, const Tw__RelaySaid *said)
{
    for (size_t i = 0; i < said->n_answers; i++) {
        const Tw__RelayAnswer *a = said->answers[i];
        struct relay_out *c = a->asker == self ? find(o, a->id) : NULL;

        if (c && c->said && !strcmp(c->call.to, who))
            take_answer(o, c, a);
    }
}

/* ---- Where it goes ---- */

static void send_on(struct relay_ours *o, struct relay_out *c, const char *to)
{
    char *copy = strdup(to);

    if (!copy) {
        end(o, c, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    take_out(o, c);
    free(c->call.to);
    c->call.to = copy;
    line_up(o, c);
}

static void route(struct relay_ours *o, struct relay_out *c, const struct relay_places *p)
{
    bool unmade = !c->said || c->not_here;
    const char *at = *c->call.agent ? p->where(p->ctx, c->call.agent) : c->call.to;

    if (at && strcmp(at, c->call.to) != 0) {
        c->here = unmade && !strcmp(at, p->own);
        if (c->here)
            end(o, c, TW__STATUS__STATUS_OK, "%s", "");
        else if (unmade)
            send_on(o, c, at);
        else
            end(o, c, TW__STATUS__STATUS_UNAVAILABLE,
                "agent %s has moved from controller %.100s to %.100s meanwhile", c->call.agent, c->call.to,
                at);
    } else if (!unmade && !p->is_up(p->ctx, c->call.to)) {
        end(o, c, TW__STATUS__STATUS_UNAVAILABLE, "controller %.200s is gone", c->call.to);
    }
}

void relay_ours_route(struct relay_ours *o, const struct relay_places *p)
{
    struct relay_out *c, *next, *last = o->calls ? o->calls->prev : NULL;
    bool more = last != NULL;

    for (c = o->calls; more; c = next) { /* what is sent on is behind `last` */
        next = c->next;
        more = c != last;
        route(o, c, p);
    }
}

/* ---- The end ---- */

void relay_ours_expire(struct relay_ours *o, int64_t now_ns)
{
    struct relay_out *c, *next;

    DL_FOREACH_SAFE(o->calls, c, next)
    {
        if (c->by_ns > now_ns)
            continue;
        if (c->not_here)
            end(o, c, TW__STATUS__STATUS_UNAVAILABLE,
                "agent %s is not connected to controller %.200s any more", c->call.agent, c->call.to);
        else
            end(o, c, TW__STATUS__STATUS_UNAVAILABLE, "controller %.200s did not answer in time", c->call.to);
    }
}

void relay_ours_end_all(struct relay_ours *o, const char *detail)
{
    while (o->calls)
        end(o, o->calls, TW__STATUS__STATUS_UNAVAILABLE, "%s", detail);
}

struct relay_out *relay_ours_next_over(struct relay_ours *o)
{
    struct relay_out *c = o->over;

    if (c)
        DL_DELETE(o->over, c);
    return c;
}

/* ---- What is said ---- */

size_t relay_octets(const ProtobufCMessage *m)
{
    return protobuf_c_message_get_packed_size(m) + 8;
}

static bool fill_one(struct relay_out *c, Tw__RelaySaid *m, size_t *room)
{
    size_t octets = relay_octets(&c->call.base);

    if (m->n_calls >= RELAY_CALLS_MAX || octets > *room)
        return false;
    *room -= octets;
    m->calls[m->n_calls++] = &c->call;
    return true;
}

/* In order of their numbers, so who sees one has seen all before it. What was said comes before what was not.
 */
void relay_ours_fill(struct relay_ours *o, Tw__RelaySaid *m)
{
    size_t room = RELAY_CALLS_OCTETS;
    struct relay_out *c;

    DL_FOREACH(o->calls, c)
    {
        if (!fill_one(c, m, &room))
            break;
        o->n_said += !c->said;
        c->said = true;
    }
    o->changed = RELAY_SAME;
}
