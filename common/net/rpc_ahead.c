#include "common/net/rpc_ahead.h"
#include "common/net/rpc_frame.h"

Tw__Ahead *ahead_to_pb(const struct rpc_ahead *a, struct ahead_pb *room)
{
    room->m = (Tw__Ahead)TW__AHEAD__INIT;
    room->m.max = a->max;
    room->m.backlog_per_s = a->backlog_per_s;
    room->m.n_spans = a->spans.n;
    room->m.spans = room->list;
    for (size_t i = 0; i < a->spans.n; i++) {
        room->span[i] = (Tw__SeqSpan)TW__SEQ_SPAN__INIT;
        room->span[i].first = a->spans.v[i].first;
        room->span[i].last = a->spans.v[i].last;
        room->list[i] = &room->span[i];
    }
    return &room->m;
}

enum tw_rc ahead_from_pb(const Tw__Ahead *m, struct rpc_ahead *ret)
{
    struct rpc_ahead a = { 0 };

    if (!m) {
        *ret = a;
        return TW_OK;
    }
    a.max = m->max;
    a.backlog_per_s = m->backlog_per_s;
    for (size_t i = 0; i < m->n_spans; i++) {
        const Tw__SeqSpan *s = m->spans[i];

        if ((i && s->first <= m->spans[i - 1]->last) || seqset_add(&a.spans, s->first, s->last))
            return TW_EINVAL;
    }
    *ret = a;
    return TW_OK;
}

enum tw_rc ahead_unpack(const uint8_t *body, size_t len, struct rpc_ahead *ret)
{
    ProtobufCMessage *m = NULL;
    struct arena *a;
    enum tw_rc rc;

    if (!len)
        return ahead_from_pb(NULL, ret);
    rc = arena_new(RPC_ARENA_CAP(len), &a);
    if (rc)
        return rc;
    rc = rpc_body_unpack(&tw__ahead__descriptor, body, len, a, &m, NULL);
    if (!rc)
        rc = ahead_from_pb((const Tw__Ahead *)m, ret);
    arena_free(a);
    return rc;
}
