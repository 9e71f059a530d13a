/* Every method of every service that a controller serves, and what its agents answer to it, on a whole
 * controller: each call is answered exactly once, with a reply of its type or a reason; nothing of it keeps
 * the controller from stopping, or from starting again with what it has stored.
 *
 * Input: u8 flags, then records of { u8 what, u8 which }: octets of a message (pb_make.h), or as they are; or
 * a call as people (good_calls.h) or agents that want to join (good_joins.h) make them, the latter with the
 * token that was told last. Methods are those of the descriptors. */
#include <stdlib.h>
#include <string.h>

#include "common/net/join_token.h"
#include "common/net/now.h"
#include "common/net/rpc_frame.h"
#include "controller/admin.h"
#include "fleet.pb-c.h"
#include "join.pb-c.h"
#include "measure.pb-c.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fake_controller.h"
#include "tests/fuzz/good_calls.h"
#include "tests/fuzz/good_joins.h"
#include "token.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
enum tw_rc __wrap_identity_random(uint8_t *buf, size_t len);

enum { CALLS_MAX = 24, ASKED_MAX = 64, BODY_MAX = 32768 };

struct call {
    enum fake_peer peer;
    uint64_t id;
    const ProtobufCMessageDescriptor *output;
    bool answered;
};

struct asked {
    enum fake_peer peer;
    uint64_t id;
    uint32_t method;
};

static struct play {
    struct fake_controller f;
    struct pb_make in;
    struct call calls[CALLS_MAX];
    struct asked asked[ASKED_MAX];
    size_t n_calls, n_asked;
    char token[JOIN_TOKEN_TEXT]; /* for joining, that was told last */
} w;

static uint64_t random_state;

/* Not the same for each: ids and tokens are made of it. */
enum tw_rc __wrap_identity_random(uint8_t *buf, size_t len)
{
    if (len == 32) { /* the nonce of a connection */
        memset(buf, 0x5a, len);
        return TW_OK;
    }
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)((random_state = random_state * 6364136223846793005u + 1442695040888963407u) >> 56);
    return TW_OK;
}

static void take_token(const ProtobufCMessage *m)
{
    if (m->descriptor == &tw__join_token_create_reply__descriptor)
        snprintf(w.token, sizeof w.token, "%s", ((const Tw__JoinTokenCreateReply *)m)->token);
}

static void on_answer(void *ctx, const struct fake_answer *a)
{
    struct tw_err err = { 0 };
    ProtobufCMessage *m = NULL;
    struct arena *ar;

    (void)ctx;
    for (size_t i = 0; i < w.n_calls; i++) {
        struct call *c = &w.calls[i];

        if (c->peer != a->peer || c->id != a->id)
            continue;
        CHECK(!c->answered);
        c->answered = true;
        if (a->status) {
            CHECK(a->detail[0]); /* a reason */
            return;
        }
        CHECK(arena_new(64u << 20, &ar) == TW_OK);
        CHECK(rpc_body_unpack(c->output, a->body, a->len, ar, &m, &err) == TW_OK);
        take_token(m);
        arena_free(ar);
        return;
    }
}

static void on_call(void *ctx, enum fake_peer peer, uint64_t id, uint32_t method)
{
    (void)ctx;
    if (w.n_asked < ASKED_MAX)
        w.asked[w.n_asked++] = (struct asked){ peer, id, method };
}

static size_t body(const ProtobufCMessageDescriptor *d, uint8_t *out, bool raw)
{
    size_t n;

    if (!raw)
        return pb_make(&w.in, d, out, BODY_MAX);
    n = pb_make_octet(&w.in);
    n = n < (size_t)(w.in.end - w.in.p) ? n : (size_t)(w.in.end - w.in.p);
    memcpy(out, w.in.p, n);
    w.in.p += n;
    return n;
}

static void send_call(enum fake_peer peer, uint32_t method, const ProtobufCMessageDescriptor *output,
                      const uint8_t *data, size_t len)
{
    struct call *c = &w.calls[w.n_calls];

    if (w.n_calls == CALLS_MAX)
        return;
    *c = (struct call){ .peer = peer, .output = output };
    c->id = fake_controller_call(&w.f, peer, method, data, len);
    w.n_calls += c->id != 0; /* it is answered when the loop runs, not before */
}

static void call(enum fake_peer peer, uint32_t service, const ProtobufCServiceDescriptor *d, unsigned method,
                 bool raw)
{
    uint8_t out[BODY_MAX];

    method %= d->n_methods;
    send_call(peer, service * 256 + method, d->methods[method].output, out,
              body(d->methods[method].input, out, raw));
}

static void call_good(uint8_t which)
{
    uint8_t out[BODY_MAX];
    unsigned method;
    size_t len = good_call(which, tw_wall_now().ns, out, sizeof out, &method);

    send_call(FAKE_OPERATOR, RPC_ADMIN * 256 + method, tw__admin__descriptor.methods[method].output, out,
              len);
}

static unsigned method_of(const ProtobufCServiceDescriptor *d, const char *name)
{
    const ProtobufCMethodDescriptor *m = protobuf_c_service_descriptor_get_method_by_name(d, name);

    CHECK(m);
    return (unsigned)(m - d->methods);
}

/* Renew is an agent's that is in already; who has no token yet, or says so, asks whether it is approved. */
static void call_good_join(uint8_t which)
{
    bool poll = (which & 0x40) || !w.token[0];
    uint8_t out[BODY_MAX];

    if (which & 0x80) {
        send_call(FAKE_AMS,
                  RPC_FLEET_CONTROLLER * 256 + method_of(&tw__fleet_controller__descriptor, "Renew"),
                  &tw__join_reply__descriptor, out, good_renew(which, out, sizeof out));
        return;
    }
    fake_controller_connect(&w.f, FAKE_STRANGER);
    send_call(FAKE_STRANGER, RPC_JOIN * 256 + method_of(&tw__join__descriptor, poll ? "Poll" : "Join"),
              &tw__join_reply__descriptor, out, good_join(which, poll ? "" : w.token, out, sizeof out));
}

static void answer(uint8_t which, bool raw)
{
    const ProtobufCServiceDescriptor *d = &tw__fleet_agent__descriptor;
    uint8_t out[BODY_MAX];
    struct asked a;
    size_t len;

    if (!w.n_asked)
        return;
    a = w.asked[which % w.n_asked];
    w.asked[which % w.n_asked] = w.asked[w.n_asked - 1];
    w.n_asked--;
    CHECK((a.method & 0xff) < d->n_methods);
    len = which & 0x40 ? 0 : body(d->methods[a.method & 0xff].output, out, raw);
    fake_controller_reply(&w.f, a.peer, a.id,
                          which & 0x40 ? (Tw__Status)(1 + which % 16) : TW__STATUS__STATUS_OK, out, len);
}

static void step(void)
{
    uint8_t out[BODY_MAX], what = pb_make_octet(&w.in), which = pb_make_octet(&w.in);
    bool raw = what & 0x80;
    enum fake_peer agent = what & 0x40 ? FAKE_FRA : FAKE_AMS;

    if (what / 8 == 15) {
        if (what % 8 == 4)
            call_good_join(which);
        else
            call_good(which);
        fake_loop_run(w.f.loop);
        return;
    }
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        call(FAKE_OPERATOR, RPC_ADMIN, &tw__admin__descriptor, which, raw);
        break;
    case 3:
        call(agent, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, which, raw);
        break;
    case 4:
        fake_controller_connect(&w.f, FAKE_STRANGER);
        call(FAKE_STRANGER, RPC_JOIN, &tw__join__descriptor, which, raw);
        break;
    case 5:
        fake_controller_data(&w.f, agent, out, body(&tw__summary_batch__descriptor, out, raw));
        break;
    case 6:
        answer(which, raw);
        break;
    default:
        if (which & 0x80)
            fake_controller_cut(&w.f, agent);
        else if (which & 0x40)
            fake_controller_connect(&w.f, agent);
        else
            fake_loop_advance(w.f.loop, which * TW_NS_PER_S / 2);
    }
    fake_loop_run(w.f.loop);
}

/* Whoever is still connected has an answer to everything, once the longest deadline is over. */
static void check_answered(void)
{
    for (unsigned n = 0; n < 4; n++)
        fake_loop_advance(w.f.loop, 15 * TW_NS_PER_S);
    for (size_t i = 0; i < w.n_calls; i++)
        CHECK(w.calls[i].answered || !fake_controller_is_up(&w.f, w.calls[i].peer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t flags;

    memset(&w, 0, sizeof w);
    random_state = 0;
    w.f = (struct fake_controller){ .on_answer = on_answer, .on_call = on_call };
    fake_controller_begin(&w.f, false);
    w.in = (struct pb_make){ data, data + size, fake_words, fake_words_n, tw_wall_now().ns };
    flags = pb_make_octet(&w.in);
    for (unsigned n = 0; n < CALLS_MAX && w.in.p < w.in.end; n++)
        step();
    check_answered();
    fake_controller_end(&w.f, flags & 1);
    return 0;
}
