#include "controller/relay_theirs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static void note(struct relay_theirs *t, enum relay_changed c)
{
    if (c > t->changed)
        t->changed = c;
}

/* ---- Who asks ---- */

static void drop_call(struct relay_theirs *t, struct relay_asker *a, struct relay_in *c)
{
    if (c->said)
        note(t, t->n_waiting ? RELAY_NEWS : RELAY_TIDIER);
    DL_DELETE(a->calls, c);
    a->n--;
    free(c->agent);
    free(c->request);
    if (c->answer.detail != protobuf_c_empty_string)
        free(c->answer.detail);
    free(c->answer.reply.data);
    free(c);
}

static void drop_calls(struct relay_theirs *t, struct relay_asker *a)
{
    while (a->calls)
        drop_call(t, a, a->calls);
    t->tests_changed |= a->n_tests != 0;
    a->n_tests = 0;
}

static void drop_asker(struct relay_theirs *t, struct relay_asker *a)
{
    drop_calls(t, a);
    DL_DELETE(t->askers, a);
    t->n--;
    free(a->name);
    free(a);
}

static struct relay_asker *find_self(const struct relay_theirs *t, uint64_t self)
{
    struct relay_asker *a;

    DL_FOREACH(t->askers, a)
    {
        if (a->self == self)
            return a;
    }
    return NULL;
}

static struct relay_asker *find_lease(const struct relay_theirs *t, int64_t lease)
{
    struct relay_asker *a;

    DL_FOREACH(t->askers, a)
    {
        if (a->lease == lease)
            return a;
    }
    return NULL;
}

static struct relay_asker *oldest_gone(const struct relay_theirs *t)
{
    struct relay_asker *a, *old = NULL;

    DL_FOREACH(t->askers, a)
    {
        if (a->gone_ns && (!old || a->gone_ns < old->gone_ns))
            old = a;
    }
    return old;
}

static struct relay_asker *add_asker(struct relay_theirs *t, const char *name, uint64_t self)
{
    struct relay_asker *a;

    if (t->n >= RELAY_ASKERS_MAX && oldest_gone(t))
        drop_asker(t, oldest_gone(t));
    a = t->n < RELAY_ASKERS_MAX ? calloc(1, sizeof *a) : NULL;
    if (a)
        a->name = strdup(name);
    if (!a || !a->name) {
        free(a);
        return NULL;
    }
    a->self = self;
    DL_APPEND(t->askers, a);
    t->n++;
    return a;
}

/* ---- What is heard ---- */

void relay_theirs_begin(struct relay_theirs *t)
{
    struct relay_asker *a;

    DL_FOREACH(t->askers, a)
    {
        a->seen = false;
    }
}

bool relay_theirs_has(struct relay_theirs *t, int64_t lease, int64_t revision)
{
    struct relay_asker *a = find_lease(t, lease);

    if (!a || a->revision != revision || a->gone_ns)
        return false;
    a->seen = true;
    return true;
}

static struct relay_in *find_call(const struct relay_asker *a, uint64_t id)
{
    struct relay_in *c;

    DL_FOREACH(a->calls, c)
    {
        if (c->id == id)
            return c;
    }
    return NULL;
}

static bool add_call(struct relay_asker *a, const Tw__RelayCall *call)
{
    struct relay_in *c = calloc(1, sizeof *c);

    if (!c)
        return false;
    tw__relay_answer__init(&c->answer);
    c->agent = strdup(call->agent);
    c->request = relay_copy(call->request.data, call->request.len);
    if (!c->agent || !c->request) {
        free(c->agent);
        free(c->request);
        free(c);
        return false;
    }
    c->len = call->request.len;
    c->id = call->id;
    c->method = call->method;
    DL_APPEND(a->calls, c);
    a->n++;
    a->highest = c->id;
    return true;
}

/* What is asked no more makes room. */
static void drop_unasked(struct relay_theirs *t, struct relay_asker *a, const char *own,
                         const Tw__RelaySaid *said)
{
    struct relay_in *c, *next;

    DL_FOREACH(a->calls, c)
    {
        c->seen = false;
    }
    for (size_t i = 0; i < said->n_calls; i++) {
        c = strcmp(said->calls[i]->to, own) == 0 ? find_call(a, said->calls[i]->id) : NULL;
        if (c)
            c->seen = true;
    }
    DL_FOREACH_SAFE(a->calls, c, next)
    {
        if (!c->seen)
            drop_call(t, a, c);
    }
}

static enum tw_rc take_call(struct relay_theirs *t, struct relay_asker *a, const Tw__RelayCall *call)
{
    if (call->id <= a->highest)
        return TW_OK;
    if (a->n >= RELAY_CALLS_MAX || call->request.len > RELAY_REQUEST_MAX) {
        t->ignored++;
        return TW_OK;
    }
    return add_call(a, call) ? TW_OK : TW_ENOMEM;
}

static enum tw_rc take_calls(struct relay_theirs *t, struct relay_asker *a, const char *own,
                             const Tw__RelaySaid *said)
{
    enum tw_rc rc = TW_OK;

    drop_unasked(t, a, own, said);
    for (size_t i = 0; i < said->n_calls && !rc; i++)
        if (!strcmp(said->calls[i]->to, own))
            rc = take_call(t, a, said->calls[i]);
    return rc;
}

static void take_tests(struct relay_theirs *t, struct relay_asker *a, const Tw__RelaySaid *said)
{
    struct relay_running v[RELAY_TESTS_MAX] = { 0 };
    size_t n = 0;

    for (; n < said->n_tests && n < RELAY_TESTS_MAX; n++) {
        const Tw__RelayTest *m = said->tests[n];

        v[n].id = m->test_id;
        v[n].queued = m->queued;
        v[n].running = m->running;
        v[n].done = m->done;
        v[n].failed = m->failed;
        snprintf(v[n].state, sizeof v[n].state, "%s", m->state);
    }
    t->tests_changed |= n != a->n_tests || memcmp(v, a->tests, sizeof v) != 0;
    memcpy(a->tests, v, sizeof v);
    a->n_tests = n;
}

/* What cannot be read counts as nothing, and only once. */
static enum tw_rc take_unread(struct relay_theirs *t, const struct relay_from *from)
{
    struct relay_asker *a = find_lease(t, from->lease);

    if (a)
        drop_calls(t, a);
    else
        a = add_asker(t, from->name, 0);
    if (!a)
        return TW_ENOMEM;
    a->lease = from->lease;
    a->revision = from->revision;
    a->gone_ns = 0;
    a->seen = true;
    return TW_OK;
}

enum tw_rc relay_theirs_take(struct relay_theirs *t, const char *own, const struct relay_from *from,
                             const Tw__RelaySaid *said)
{
    struct relay_asker *a = said ? find_self(t, said->self) : NULL, *old = find_lease(t, from->lease);
    enum tw_rc rc;

    if (!said)
        return take_unread(t, from);
    if (old && old != a)
        drop_asker(t, old);
    if (!a)
        a = add_asker(t, from->name, said->self);
    if (!a) {
        t->ignored++;
        return TW_ENOMEM;
    }
    a->seen = true;
    a->gone_ns = 0;
    rc = take_calls(t, a, own, said);
    take_tests(t, a, said);
    a->lease = from->lease;
    a->revision = rc ? 0 : from->revision;
    return rc;
}

void relay_theirs_end(struct relay_theirs *t, int64_t now_ns)
{
    struct relay_asker *a, *next;

    DL_FOREACH_SAFE(t->askers, a, next)
    {
        if (a->seen)
            continue;
        drop_calls(t, a);
        if (!a->gone_ns)
            a->gone_ns = now_ns;
        if (!a->self || now_ns - a->gone_ns > RELAY_REMEMBER_NS)
            drop_asker(t, a);
    }
}

void relay_theirs_free(struct relay_theirs *t)
{
    while (t->askers)
        drop_asker(t, t->askers);
    *t = (struct relay_theirs){ 0 };
}

/* ---- Answers ---- */

const struct relay_in *relay_theirs_next(struct relay_theirs *t, uint64_t *ret_self)
{
    struct relay_asker *a;
    struct relay_in *c;

    DL_FOREACH(t->askers, a)
    {
        DL_FOREACH(a->calls, c)
        {
            if (c->state != RELAY_TO_DO)
                continue;
            c->state = RELAY_MADE;
            *ret_self = a->self;
            return c;
        }
    }
    return NULL;
}

/* Without memory it says that at least. */
static void fill_answer(Tw__RelayAnswer *m, const struct relay_result *r)
{
    char *detail = r->status && r->detail && *r->detail ? strdup(r->detail) : NULL;
    bool large = r->len > RELAY_ANSWER_MAX;

    m->status = (uint32_t)r->status;
    m->not_here = r->not_here;
    if (detail)
        m->detail = detail;
    if (r->status || r->not_here)
        return;
    m->reply.data = large ? NULL : relay_copy(r->reply, r->len);
    if (!m->reply.data) {
        m->status = TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
        m->detail = strdup(large ? "the answer is larger than what one controller may tell another"
                                 : "out of memory");
        m->detail = m->detail ? m->detail : (char *)protobuf_c_empty_string;
        return;
    }
    m->reply.len = r->len;
}

void relay_theirs_answer(struct relay_theirs *t, uint64_t self, uint64_t id, const struct relay_result *r)
{
    struct relay_asker *a = find_self(t, self);
    struct relay_in *c = a ? find_call(a, id) : NULL;

    if (!c || c->state == RELAY_ANSWERED)
        return;
    fill_answer(&c->answer, r);
    c->answer.asker = self;
    c->answer.id = id;
    c->state = RELAY_ANSWERED;
    note(t, RELAY_NEWS);
}

const char *relay_theirs_test(const struct relay_theirs *t, uint64_t id, const struct relay_running **ret)
{
    struct relay_asker *a;

    DL_FOREACH(t->askers, a)
    {
        for (size_t i = 0; i < a->n_tests; i++)
            if (a->tests[i].id == id) {
                *ret = &a->tests[i];
                return a->name;
            }
    }
    return NULL;
}

static void fill(struct relay_theirs *t, Tw__RelaySaid *m, size_t *room, bool said)
{
    struct relay_asker *a;
    struct relay_in *c;

    DL_FOREACH(t->askers, a)
    {
        DL_FOREACH(a->calls, c)
        {
            size_t octets = c->state == RELAY_ANSWERED ? relay_octets(&c->answer.base) : 0;
            bool fits = octets <= *room && m->n_answers < RELAY_ANSWERS_MAX;

            if (c->state != RELAY_ANSWERED || c->said != said)
                continue;
            t->n_waiting += !fits;
            if (!fits)
                continue;
            *room -= octets;
            m->answers[m->n_answers++] = &c->answer;
        }
    }
}

static void note_said(struct relay_theirs *t, const Tw__RelaySaid *m)
{
    for (size_t i = 0; i < m->n_answers; i++)
        find_call(find_self(t, m->answers[i]->asker), m->answers[i]->id)->said = true;
}

/* What was said stays as long as its call: it comes first. */
void relay_theirs_fill(struct relay_theirs *t, Tw__RelaySaid *m)
{
    size_t room = RELAY_ANSWERS_OCTETS;

    t->n_waiting = 0;
    fill(t, m, &room, true);
    fill(t, m, &room, false);
    note_said(t, m);
    t->changed = RELAY_SAME;
}
