/* What a stranger can send: the octets are cut into frames, unpacked and checked, and each body is read as
 * both HELLO messages and as a request. First octet: odd = after the handshake. */
#include <stdlib.h>
#include <string.h>

#include "common/net/rpc.h"
#include "common/net/rpc_check.h"
#include "common/net/rpc_frame.h"
#include "common/net/rpc_hello.h"
#include "fleet.pb-c.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_hello(const ProtobufCBinaryData *b)
{
    static const struct hello_channel channel = { .tls = true };
    struct hello_policy all = { .agents = true, .operators = true, .joiners = true };
    struct hello_server server;
    struct tw_err err = { 0 };
    struct hello_id id;
    struct arena *a;

    if (arena_new(RPC_ARENA_CAP(b->len), &a))
        return;
    if (hello_check_client(b->data, b->len, all, &channel, a, &id, &err) == TW__STATUS__STATUS_OK) {
        CHECK(id.role >= TW__ROLE__ROLE_AGENT && id.role <= TW__ROLE__ROLE_JOINER);
        CHECK(id.name[0] && memchr(id.name, 0, sizeof id.name) && tw_utf8_ok(id.name));
    } else {
        CHECK(err.text[0]);
    }
    arena_reset(a);
    if (hello_check_server(b->data, b->len, a, &server, &err) == TW__STATUS__STATUS_OK)
        CHECK(server.version == 1 && memchr(server.controller, 0, sizeof server.controller));
    arena_free(a);
}

static void try_request(const ProtobufCBinaryData *b)
{
    ProtobufCMessage *m = NULL;
    struct tw_err err = { 0 };
    struct arena *a;

    if (arena_new(RPC_ARENA_CAP(b->len), &a))
        return;
    if (rpc_body_unpack(&tw__schedule_request__descriptor, b->data, b->len, a, &m, &err) == TW_OK) {
        const Tw__ScheduleRequest *rq = (const Tw__ScheduleRequest *)m;

        for (size_t i = 0; i < rq->n_sessions; i++)
            CHECK(tw_utf8_ok(rq->sessions[i]->mesh));
    }
    arena_free(a);
}

/* Unpacked, packed and unpacked again it says the same. Not so with fields that we do not know, which we
 * never pack: protobuf-c reads a field number 0 in two octets, writes it in one, and does not read that. */
static void check_again(const Tw__Frame *f)
{
    size_t n = rpc_frame_size(f, NULL);
    uint8_t *buf = malloc(n);
    struct tw_err err = { 0 };
    Tw__Frame *back;
    struct arena *a;

    CHECK(buf);
    rpc_frame_pack(f, NULL, buf);
    CHECK(arena_new(2 * RPC_MAX_FRAME, &a) == TW_OK);
    CHECK(rpc_frame_unpack(buf + RPC_FRAME_HEADER, n - RPC_FRAME_HEADER, a, &back, &err) == TW_OK);
    CHECK(back->kind == f->kind && back->id == f->id && back->body.len == f->body.len);
    arena_free(a);
    free(buf);
}

static void try_frame(const uint8_t *data, size_t len)
{
    struct tw_err err = { 0 };
    struct arena *a;
    Tw__Frame *f;

    if (arena_new(RPC_MAX_FRAME + 65536, &a))
        return;
    if (rpc_frame_unpack(data, len, a, &f, &err) == TW_OK) {
        CHECK(f->kind >= TW__FRAME_KIND__FRAME_HELLO && f->kind <= TW__FRAME_KIND__FRAME_GOAWAY);
        CHECK(strlen(f->detail) <= RPC_MAX_DETAIL);
        if (!f->base.n_unknown_fields)
            check_again(f);
        try_hello(&f->body);
        try_request(&f->body);
    } else {
        CHECK(err.text[0]);
    }
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t max, n;

    if (size == 0)
        return 0;
    max = data[0] & 1 ? RPC_MAX_FRAME : RPC_MAX_FRAME_BEFORE_HELLO;
    for (data++, size--; rpc_frame_cut(data, size, max, &n) == TW_OK; data += n, size -= n) {
        CHECK(n >= RPC_FRAME_HEADER && n <= size && n - RPC_FRAME_HEADER <= max);
        try_frame(data + RPC_FRAME_HEADER, n - RPC_FRAME_HEADER);
    }
    return 0;
}
