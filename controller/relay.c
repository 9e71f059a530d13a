#include "controller/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/net/now.h"
#include "controller/events.h"
#include "controller/registry.h"
#include "controller/relay_priv.h"
#include "controller/shared_id.h"

#define TIDY_NS TW_NS_PER_S    /* what nobody waits for goes no sooner after the last time */
#define OCTET_NS INT64_C(8000) /* 128 KB/s */

/* A call of ours: who waits. */
struct waiter {
    ProtobufCClosure closure;
    void *ctx;
    const ProtobufCMessageDescriptor *output;
};

/* ---- What we say ---- */

static enum relay_changed changed(const struct relay *r)
{
    enum relay_changed calls = r->ours.changed > r->theirs.changed ? r->ours.changed : r->theirs.changed;

    return calls > r->tests_changed ? calls : r->tests_changed;
}

static char *compose(struct relay *r, bool *ret_empty)
{
    Tw__RelaySaid m = TW__RELAY_SAID__INIT;
    Tw__RelayTest tests[RELAY_TESTS_MAX], *list[RELAY_TESTS_MAX];
    char *text = NULL;

    *ret_empty = false;
    m.self = r->self;
    m.tests = list;
    m.n_tests = relay_tests_fill(r, tests, list);
    m.calls = calloc(RELAY_CALLS_MAX, sizeof(*m.calls));
    m.answers = calloc(RELAY_ANSWERS_MAX, sizeof(*m.answers));
    if (m.calls && m.answers) {
        relay_ours_fill(&r->ours, &m);
        relay_theirs_fill(&r->theirs, &m);
        *ret_empty = !m.n_calls && !m.n_answers && !m.n_tests;
        text = *ret_empty ? NULL : relay_text_write(&m);
    }
    free(m.calls);
    free(m.answers);
    return text;
}

static void wait_until(struct relay *r, int64_t due_ns)
{
    if (loop_timer_set(r->c->loop, &r->timer, (struct tw_mono){ due_ns }) != TW_OK)
        log_error("no memory for the timer of calls to other controllers: they wait");
}

void relay_say(struct relay *r)
{
    int64_t now_ns = tw_mono_now().ns, due_ns = r->next_ns + (changed(r) == RELAY_NEWS ? 0 : TIDY_NS),
            pace_ns;
    bool empty;
    char *text;

    if (changed(r) == RELAY_SAME || !r->c->registry)
        return;
    if (now_ns < due_ns) {
        wait_until(r, due_ns);
        return;
    }
    text = compose(r, &empty);
    if (!text && !empty) {
        r->ours.changed = RELAY_NEWS; /* tried again */
        wait_until(r, now_ns + TIDY_NS);
        return;
    }
    pace_ns = text ? (int64_t)strlen(text) * OCTET_NS : 0;
    r->next_ns = now_ns + (pace_ns > RELAY_PACE_NS ? pace_ns : RELAY_PACE_NS);
    registry_put_relay(r->c->registry, text);
}

/* ---- Calls of ours ---- */

static void tell(struct relay *r, struct waiter *w, struct rpc_result res, const ProtobufCMessage *reply)
{
    r->counts.failed += !res.answered;
    rpc_tell(w->closure, w->ctx, res, reply);
    free(w);
}

static void tell_reply(struct relay *r, struct waiter *w, const struct relay_out *c)
{
    struct arena *a = NULL;
    struct tw_err err = { 0 };
    ProtobufCMessage *m = NULL;
    enum tw_rc rc = arena_new(RPC_ARENA_CAP(c->reply_len), &a);

    if (!rc)
        rc = rpc_body_unpack(w->output, c->reply, c->reply_len, a, &m, &err);
    if (rc)
        tell(r, w, (struct rpc_result){ .status = TW__STATUS__STATUS_INTERNAL, .detail = err.text }, NULL);
    else
        tell(r, w, (struct rpc_result){ .detail = "", .answered = true }, m);
    arena_free(a);
}

/* Its agent came to us before anybody made it. */
static void make_here(struct relay *r, struct waiter *w, const struct relay_out *c)
{
    struct agent *ag = inventory_agent(&r->c->inv, c->call.agent);
    ProtobufCService *agent = ag && ag->peer ? rpc_peer_service(ag->peer, RPC_FLEET_AGENT,
                                                                &tw__fleet_agent__descriptor, RELAY_AGENT_MS)
                                             : NULL;
    const ProtobufCMessageDescriptor *input = tw__fleet_agent__descriptor.methods[c->call.method].input;
    struct arena *a = NULL;
    struct tw_err err = { 0 };
    ProtobufCMessage *m = NULL;

    if (!agent || arena_new(RPC_ARENA_CAP(c->call.request.len), &a) != TW_OK ||
        rpc_body_unpack(input, c->call.request.data, c->call.request.len, a, &m, &err) != TW_OK) {
        tell(r, w,
             (struct rpc_result){ .status = TW__STATUS__STATUS_UNAVAILABLE,
                                  .detail = "its agent has just moved here" },
             NULL);
    } else {
        agent->invoke(agent, c->call.method, m, w->closure, w->ctx);
        free(w);
    }
    arena_free(a);
}

static void end_ours(struct relay *r)
{
    struct relay_out *c;

    while ((c = relay_ours_next_over(&r->ours))) {
        if (c->here)
            make_here(r, c->ctx, c);
        else if (c->reply)
            tell_reply(r, c->ctx, c);
        else
            tell(r, c->ctx,
                 (struct rpc_result){ .status = c->status, .detail = c->detail, .answered = c->answered },
                 NULL);
        relay_out_free(c);
    }
}

static enum tw_rc ask(struct relay *r, unsigned method, const ProtobufCMessage *input, struct waiter *w)
{
    size_t len = protobuf_c_message_get_packed_size(input);
    uint8_t *packed = malloc(len + 1);
    enum tw_rc rc = packed ? TW_OK : TW_ENOMEM;

    if (!rc) {
        protobuf_c_message_pack(input, packed);
        rc = relay_ours_ask(&r->ours, &(struct relay_ask){ .to = r->to,
                                                           .agent = r->agent,
                                                           .method = method,
                                                           .request = packed,
                                                           .len = len,
                                                           .by_ns = tw_mono_now().ns + RELAY_CALL_NS,
                                                           .ctx = w });
    }
    free(packed);
    return rc;
}

static void invoke(ProtobufCService *service, unsigned method, const ProtobufCMessage *input,
                   ProtobufCClosure closure, void *ctx)
{
    struct relay *r = (struct relay *)service;
    struct waiter *w = malloc(sizeof *w);
    enum tw_rc rc = TW_ENOMEM;

    r->counts.asked++;
    if (w) {
        *w = (struct waiter){ closure, ctx, service->descriptor->methods[method].output };
        rc = ask(r, method, input, w);
    }
    if (!rc) {
        relay_say(r);
        return;
    }
    free(w);
    r->counts.failed++;
    rpc_tell(
        closure, ctx,
        (struct rpc_result){ .status = TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                             .detail = rc == TW_EBUSY ? "too many calls to agents of other controllers wait"
                                       : rc == TW_ERANGE
                                           ? "the request is larger than what one controller may tell another"
                                           : "out of memory" },
        NULL);
}

static ProtobufCService *stub(struct relay *r, const char *to, const char *agent,
                              const ProtobufCServiceDescriptor *d)
{
    snprintf(r->to, sizeof r->to, "%s", to);
    snprintf(r->agent, sizeof r->agent, "%s", agent);
    r->stub = (ProtobufCService){ .descriptor = d, .invoke = invoke };
    return &r->stub;
}

bool relay_reaches(const struct relay *r, const struct agent *a)
{
    return r && !a->peer && a->elsewhere && registry_takes_calls(r->c->registry, a->elsewhere);
}

ProtobufCService *relay_agent(struct relay *r, const struct agent *a)
{
    return relay_reaches(r, a) ? stub(r, a->elsewhere, a->row.name, &tw__fleet_agent__descriptor) : NULL;
}

ProtobufCService *relay_test_owner(struct relay *r, uint64_t test_id)
{
    const struct relay_running *test;
    const char *owner = r ? relay_theirs_test(&r->theirs, test_id, &test) : NULL;

    return owner ? stub(r, owner, "", &tw__admin__descriptor) : NULL;
}

/* ---- What we hear ---- */

static void note_unread(struct relay *r, const struct relay_from *from, const struct tw_err *err)
{
    unsigned held;

    r->counts.unread++;
    if (log_limit_ok(&r->unread_log, tw_mono_now().ns, &held))
        log_warn("what a controller asks of others cannot be read", LOG_S("name", from->name),
                 LOG_S("error", err->text), LOG_U("held_back", held));
}

static void hear(void *ctx, const struct presence_text *t)
{
    struct relay *r = ctx;
    const struct relay_from from = { t->name, t->lease, t->revision };
    Tw__RelaySaid *said = NULL;
    struct tw_err err = { 0 };
    struct arena *a = NULL;
    enum tw_rc rc;

    if (relay_theirs_has(&r->theirs, t->lease, t->revision))
        return;
    rc = relay_text_read(t->text, &a, &said, &err);
    if (rc == TW_ENOMEM)
        return; /* the next time */
    if (rc)
        note_unread(r, &from, &err);
    if (relay_theirs_take(&r->theirs, r->c->name, &from, said) == TW_OK && said)
        relay_ours_take(&r->ours, t->name, r->self, said);
    arena_free(a);
}

static const char *where(void *ctx, const char *agent)
{
    const struct relay *r = ctx;
    const struct agent *a = inventory_agent(&r->c->inv, agent);

    return !a ? NULL : a->peer ? r->c->name : a->elsewhere;
}

static bool is_up(void *ctx, const char *controller)
{
    const struct relay *r = ctx;

    return registry_find_up(r->c->registry, controller) != NULL;
}

void relay_look(struct relay *r)
{
    const struct relay_in *c;
    uint64_t asker;
    int64_t now_ns = tw_mono_now().ns;

    if (!r || !r->c->registry)
        return;
    relay_theirs_begin(&r->theirs);
    registry_read_relay(r->c->registry, hear, r);
    relay_theirs_end(&r->theirs, now_ns);
    if (r->theirs.tests_changed)
        events_note(r->c->events, EVENT_TESTS);
    r->theirs.tests_changed = false;
    relay_tests_look(r);
    relay_ours_route(&r->ours, &(struct relay_places){ r->c->name, where, is_up, r });
    relay_ours_expire(&r->ours, now_ns);
    while ((c = relay_theirs_next(&r->theirs, &asker)))
        relay_make(r, c, asker);
    end_ours(r);
    relay_say(r);
}

static void on_timer(struct loop_timer *t)
{
    relay_say(t->ctx);
}

/* ---- Life ---- */

struct relay_counts relay_counts(const struct relay *r)
{
    struct relay_counts n = { 0 };

    if (r) {
        n = r->counts;
        n.ignored = r->theirs.ignored;
    }
    return n;
}

enum tw_rc relay_new(struct controller *c, struct relay **ret)
{
    struct relay *r = calloc(1, sizeof *r);
    uint64_t last = 0;

    if (!r)
        return TW_ENOMEM;
    r->c = c;
    r->self = shared_id_next(tw_wall_now(), &last);
    r->timer = (struct loop_timer){ .fn = on_timer, .ctx = r };
    r->unread_log.burst = 10;
    *ret = r;
    return TW_OK;
}

void relay_free(struct relay *r)
{
    if (!r)
        return;
    loop_timer_cancel(r->c->loop, &r->timer);
    relay_ours_end_all(&r->ours, "the controller is stopping");
    end_ours(r);
    relay_theirs_free(&r->theirs);
    free(r);
}
