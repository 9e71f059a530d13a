/* What happens to received octets on nng's threads: they are cut into frames, unpacked, checked, and queued
 * for the loop. Nothing here touches what the loop owns. */
#include <stdlib.h>
#include <string.h>
#include "common/net/rpc_peer.h"

void in_frame_free(struct rpc_side *s, struct rpc_in_frame *f)
{
    if (f->object)
        s->hooks.drop(s->hooks.ctx, f->object);
    arena_free(f->arena);
    free(f->hello);
    free(f->body);
    free(f->detail);
    free(f);
}

/* ---- By kind ---- */

static enum tw_rc keep_body(struct rpc_peer *p, const Tw__Frame *m, struct rpc_in_frame *f,
                            struct tw_err *err)
{
    (void)p;
    f->body = malloc(m->body.len + 1); /* never of 0 octets */
    if (!f->body)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    if (m->body.len)
        memcpy(f->body, m->body.data, m->body.len);
    f->body_len = m->body.len;
    return TW_OK;
}

/* Keeps the frame, with the reason why the loop shall refuse what it asks for. */
static enum tw_rc refuse(struct rpc_in_frame *f, Tw__Status status, const struct tw_err *why,
                         struct tw_err *err)
{
    char text[RPC_MAX_DETAIL + 1], clipped[RPC_MAX_DETAIL + 1];

    f->status = status;
    free(f->detail);
    f->detail = strdup(peer_clip_detail(tw_err_format(why, text, sizeof text), clipped));
    return f->detail ? TW_OK : tw_err_set(err, TW_ENOMEM, "out of memory");
}

static enum tw_rc decode_hello(struct rpc_peer *p, const Tw__Frame *m, struct rpc_in_frame *f,
                               struct tw_err *err)
{
    struct hello_channel ch;
    struct tw_err why = { 0 };
    struct arena *a;
    Tw__Status status;

    if (!p->side->server)
        return keep_body(p, m, f, err);
    if (peer_channel(p, &ch))
        return tw_err_set(err, TW_EIO, "this TLS connection has no binding");
    f->hello = malloc(sizeof *f->hello);
    if (!f->hello || arena_new(RPC_ARENA_CAP(m->body.len), &a))
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    status = hello_check_client(m->body.data, m->body.len, p->side->policy, &ch, a, f->hello, &why);
    arena_free(a);
    return status ? refuse(f, status, &why, err) : TW_OK;
}

static enum tw_rc decode_hello_ok(struct rpc_peer *p, const Tw__Frame *m, struct rpc_in_frame *f,
                                  struct tw_err *err)
{
    if (p->side->server)
        return tw_err_set(err, TW_EINVAL, "only servers say HELLO_OK");
    return keep_body(p, m, f, err);
}

static const struct rpc_service *find_service(const struct rpc_side *s, uint32_t method)
{
    for (size_t i = 0; i < s->n_services; i++)
        if ((uint32_t)s->services[i].number == method >> 8)
            return (method & 0xff) < s->services[i].service->descriptor->n_methods ? &s->services[i] : NULL;
    return NULL;
}

static enum tw_rc decode_request(struct rpc_peer *p, const Tw__Frame *m, struct rpc_in_frame *f,
                                 struct tw_err *err)
{
    const ProtobufCMessageDescriptor *input;
    struct tw_err why = { 0 };

    if (m->id == 0 || (m->id % 2 == 1) != p->side->server)
        return tw_err_set(err, TW_EINVAL, "clients call with odd ids, servers with even ones");
    f->status = TW__STATUS__STATUS_OK;
    f->service = find_service(p->side, m->method);
    f->method = m->method & 0xff;
    if (!f->service) {
        tw_err_set(&why, TW_ENOENT, "method %u.%u is not known here", m->method >> 8, m->method & 0xff);
        return refuse(f, TW__STATUS__STATUS_UNIMPLEMENTED, &why, err);
    }
    if (arena_new(RPC_ARENA_CAP(m->body.len), &f->arena))
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    input = f->service->service->descriptor->methods[f->method].input;
    if (rpc_body_unpack(input, m->body.data, m->body.len, f->arena, &f->request, &why))
        return refuse(f, TW__STATUS__STATUS_INVALID_ARGUMENT, &why, err);
    return TW_OK;
}

static enum tw_rc decode_data(struct rpc_peer *p, const Tw__Frame *m, struct rpc_in_frame *f,
                              struct tw_err *err)
{
    const struct rpc_hooks *h = &p->side->hooks;

    if (!h->decode)
        return tw_err_set(err, TW_EINVAL, "DATA is not taken here");
    f->object = h->decode(h->ctx, m->body.data, m->body.len, err);
    if (f->object)
        return TW_OK;
    return err->rc ? err->rc : tw_err_set(err, TW_ECORRUPT, "DATA that cannot be decoded");
}

static const struct kind_row {
    bool before_up, after_up;
    enum tw_rc (*decode)(struct rpc_peer *p, const Tw__Frame *m, struct rpc_in_frame *f, struct tw_err *err);
} kinds[] = {
    [TW__FRAME_KIND__FRAME_HELLO] = { true, false, decode_hello },
    [TW__FRAME_KIND__FRAME_HELLO_OK] = { true, false, decode_hello_ok },
    [TW__FRAME_KIND__FRAME_REQUEST] = { false, true, decode_request },
    [TW__FRAME_KIND__FRAME_REPLY] = { false, true, keep_body },
    [TW__FRAME_KIND__FRAME_CANCEL] = { false, true, NULL },
    [TW__FRAME_KIND__FRAME_DATA] = { false, true, decode_data },
    [TW__FRAME_KIND__FRAME_ACK] = { false, true, keep_body },
    [TW__FRAME_KIND__FRAME_PING] = { false, true, NULL },
    [TW__FRAME_KIND__FRAME_PONG] = { false, true, NULL },
    [TW__FRAME_KIND__FRAME_GOAWAY] = { true, true, NULL },
};

/* ---- One frame, and all of them ---- */

static enum tw_rc fill(struct rpc_peer *p, const Tw__Frame *m, struct rpc_in_frame *f, struct tw_err *err)
{
    const struct kind_row *row = &kinds[m->kind]; /* the kind was checked when the frame was unpacked */

    f->kind = m->kind;
    f->id = m->id;
    f->through_seq = m->through_seq;
    f->deadline_ms = m->deadline_ms;
    f->window = m->window;
    f->retry_ms = m->retry_ms;
    f->elsewhere = m->elsewhere;
    f->status = m->status;
    if (!(p->in.up ? row->after_up : row->before_up))
        return tw_err_set(err, TW_EINVAL, "frame kind %d does not belong %s the handshake", (int)m->kind,
                          p->in.up ? "after" : "into");
    if (m->detail[0] && !(f->detail = strdup(m->detail)))
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    return row->decode ? row->decode(p, m, f, err) : TW_OK;
}

static enum tw_rc take_frame(struct rpc_peer *p, struct arena *a, const uint8_t *data, size_t len,
                             struct tw_err *err)
{
    struct rpc_in_frame *f;
    Tw__Frame *m = NULL;
    enum tw_rc rc;

    arena_reset(a);
    rc = rpc_frame_unpack(data, len, a, &m, err);
    if (rc)
        return rc;
    f = calloc(1, sizeof *f);
    if (!f)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    rc = fill(p, m, f, err);
    if (rc) {
        in_frame_free(p->side, f);
        return rc;
    }
    if (!p->in.first)
        p->in.end = &p->in.first;
    *p->in.end = f;
    p->in.end = &f->next;
    rpc_count(&p->side->stats.frames_in, 1);
    return TW_OK;
}

/* Before the handshake is over one frame at a time: what may follow it depends on what the loop makes of it.
 */
static enum tw_rc take_frames(struct rpc_peer *p, struct arena *a, const uint8_t *data, size_t len,
                              struct conn_cut *cut, struct tw_err *err)
{
    size_t max = p->in.up ? RPC_MAX_FRAME : RPC_MAX_FRAME_BEFORE_HELLO;
    enum tw_rc rc;
    size_t n = 0;

    do {
        rc = rpc_frame_cut(data + cut->used, len - cut->used, max, &n);
        if (rc == TW_EAGAIN) {
            cut->need = n;
            return TW_OK;
        }
        if (rc && !p->in.up && data[0] == 0x16 && data[1] == 0x03) /* the head of a TLS record, RFC 8446 section 5.1 */
            return tw_err_set(err, rc, "TLS spoken to a port without: use tcp:// there, or let it be tls+tcp:// here");
        if (rc)
            return tw_err_set(err, rc, "a frame of more than %zu octets", max);
        rc = take_frame(p, a, data + cut->used + RPC_FRAME_HEADER, n - RPC_FRAME_HEADER, err);
        cut->used += n;
    } while (!rc && p->in.up);
    return rc;
}

struct conn_cut peer_cut(void *ctx, const uint8_t *data, size_t len)
{
    struct rpc_peer *p = ctx;
    struct conn_cut cut = { 0 };
    struct arena *a;
    enum tw_rc rc;

    if (p->in.discard)
        return (struct conn_cut){ .used = len };
    /* An honest frame is its body and little else; unknown fields would take far more. */
    rc = arena_new(RPC_MAX_FRAME + 65536, &a);
    if (rc) {
        p->in.bad = true;
        tw_err_set(&p->in.error, rc, "out of memory");
        return (struct conn_cut){ .deliver = true };
    }
    p->in.bad = take_frames(p, a, data, len, &cut, &p->in.error) != TW_OK;
    arena_free(a);
    rpc_count(&p->side->stats.bytes_in, cut.used);
    cut.deliver = p->in.first || p->in.bad;
    return cut;
}
