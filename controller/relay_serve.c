/* Calls that other controllers ask for: to agents that are connected here, and about tests that run here. */
#include <stdlib.h>
#include <string.h>

#include "common/net/rpc_frame.h"
#include "controller/admin.h"
#include "controller/relay_priv.h"

/* What an agent can be asked for by another controller: what it answers soon, and changes nothing or ends by
 * itself. And what a controller, of its own tests. */
static const char *const of_agents[] = { "TestStart", "TestStop", "TestProgress", "Flight" },
                         *const of_controllers[] = { "TestStop", "TestProgress" };

/* Who gets the answer. */
struct served {
    struct relay *owner;
    uint64_t asker, id;
};

static void answer(struct relay *r, uint64_t asker, uint64_t id, const struct relay_result *res)
{
    relay_theirs_answer(&r->theirs, asker, id, res);
}

static void fail(struct relay *r, uint64_t asker, uint64_t id, Tw__Status status, const char *detail)
{
    answer(r, asker, id, &(struct relay_result){ .status = status, .detail = detail });
}

static void no_memory(struct relay *r, uint64_t asker, uint64_t id)
{
    fail(r, asker, id, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

static void answer_message(const struct served *s, const ProtobufCMessage *reply)
{
    size_t len = protobuf_c_message_get_packed_size(reply);
    uint8_t *packed = malloc(len + 1);

    if (!packed) {
        no_memory(s->owner, s->asker, s->id);
        return;
    }
    protobuf_c_message_pack(reply, packed);
    answer(s->owner, s->asker, s->id, &(struct relay_result){ .reply = packed, .len = len });
    free(packed);
}

static void end(struct served *s, const struct rpc_result *got, const ProtobufCMessage *reply)
{
    if (reply)
        answer_message(s, reply);
    else
        fail(s->owner, s->asker, s->id, got->status, got->detail);
    relay_say(s->owner);
    free(s);
}

static void agent_done(const ProtobufCMessage *reply, void *ctx)
{
    struct rpc_result got = rpc_result();

    end(ctx, &got, reply);
}

static void own_done(void *ctx, const struct rpc_result *r, const ProtobufCMessage *reply)
{
    end(ctx, r, reply);
}

static bool is_allowed(const ProtobufCServiceDescriptor *d, unsigned method, const char *const *names,
                       size_t n)
{
    for (size_t i = 0; method < d->n_methods && i < n; i++)
        if (!strcmp(d->methods[method].name, names[i]))
            return true;
    return false;
}

/* Whoever is called copies what he is told: the request is not needed any more. peer NULL: ourselves. */
static void pass_on(struct relay *r, struct rpc_peer *peer, struct served *s, const struct relay_in *c,
                    const ProtobufCMessage *m)
{
    ProtobufCService *agent;

    if (peer) {
        agent = rpc_peer_service(peer, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, RELAY_AGENT_MS);
        agent->invoke(agent, c->method, m, agent_done, s);
    } else {
        rpc_call_local(r->c->loop, &admin_trusted(r->c)->base, c->method, m, NULL, own_done, s);
    }
}

static void unpack_and_pass_on(struct relay *r, struct rpc_peer *peer, const ProtobufCServiceDescriptor *d,
                               const struct relay_in *c, uint64_t asker)
{
    struct served *s = malloc(sizeof *s);
    struct arena *a = NULL;
    struct tw_err err = { 0 };
    ProtobufCMessage *m = NULL;

    if (!s || arena_new(RPC_ARENA_CAP(c->len), &a) != TW_OK) {
        no_memory(r, asker, c->id);
        free(s);
        return;
    }
    *s = (struct served){ r, asker, c->id };
    if (rpc_body_unpack(d->methods[c->method].input, c->request, c->len, a, &m, &err) == TW_OK) {
        pass_on(r, peer, s, c, m);
    } else {
        fail(r, asker, c->id, TW__STATUS__STATUS_INVALID_ARGUMENT, err.text);
        free(s);
    }
    arena_free(a);
}

void relay_make(struct relay *r, const struct relay_in *c, uint64_t asker)
{
    bool own = !*c->agent;
    const ProtobufCServiceDescriptor *d = own ? &tw__admin__descriptor : &tw__fleet_agent__descriptor;
    const struct agent *a = own ? NULL : inventory_agent(&r->c->inv, c->agent);

    r->counts.made++;
    if (!is_allowed(d, c->method, own ? of_controllers : of_agents,
                    own ? TW_NELEM(of_controllers) : TW_NELEM(of_agents)))
        fail(r, asker, c->id, TW__STATUS__STATUS_UNIMPLEMENTED,
             "this controller does not do that for another one");
    else if (!own && (!a || !a->row.approved || !a->peer))
        answer(r, asker, c->id, &(struct relay_result){ .not_here = true });
    else
        unpack_and_pass_on(r, own ? NULL : a->peer, d, c, asker);
}
