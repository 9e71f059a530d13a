#include "tests/fuzz/fake_net.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fuzz/check.h"

struct nng_aio {
    void (*fn)(void *);
    void *ctx;
    void *output;
    int result;
    bool pending;
};

struct nng_stream {
    size_t place;
};

/* A listener or a dialer. */
struct place {
    nng_aio *waiting; /* for a connection */
    bool taken;
};
struct nng_stream_listener {
    struct place *at;
};
struct nng_stream_dialer {
    struct place *at;
};

struct conn {
    struct loop *loop;
    const struct conn_hooks *hooks;
    void *ctx;
    size_t number, place;
    struct loop_task readable, gone;
    uint8_t *in, *out;
    size_t in_len, out_len, out_cap, told; /* told: of what is queued, what fake_net_out() has had */
    bool reading, closed, failed, clogged, heard;
};

void (*fake_net_opened)(size_t number, size_t place);
void (*fake_net_out)(struct conn *c, size_t number, const uint8_t *data, size_t len);

size_t fake_net_ipc = FAKE_PLACES;

static struct conn *conns[FAKE_CONNS];
static size_t n_alive;
static struct place places[FAKE_PLACES];

/* ---- nng: somebody accepts or dials ---- */

int nng_aio_alloc(nng_aio **ret, void (*fn)(void *), void *ctx)
{
    *ret = calloc(1, sizeof **ret);
    CHECK(*ret);
    **ret = (struct nng_aio){ .fn = fn, .ctx = ctx };
    return 0;
}

static void finish(nng_aio *a, int result, void *output)
{
    for (size_t i = 0; i < FAKE_PLACES; i++)
        if (places[i].waiting == a)
            places[i].waiting = NULL;
    a->pending = false;
    a->result = result;
    a->output = output;
    a->fn(a->ctx);
}

void nng_aio_stop(nng_aio *a)
{
    if (a && a->pending)
        finish(a, NNG_ECANCELED, NULL);
}

void nng_aio_free(nng_aio *a)
{
    nng_aio_stop(a);
    free(a);
}

int nng_aio_result(nng_aio *a)
{
    return a->result;
}

void *nng_aio_get_output(nng_aio *a, unsigned index)
{
    (void)index;
    return a->output;
}

void nng_aio_set_timeout(nng_aio *a, nng_duration ms)
{
    (void)a;
    (void)ms;
}

const char *nng_strerror(int error)
{
    return error ? "an error" : "no error";
}

void nng_stream_free(nng_stream *s)
{
    free(s);
}

static struct place *take_place(void)
{
    for (size_t i = 0; i < FAKE_PLACES; i++)
        if (!places[i].taken) {
            places[i].taken = true;
            return &places[i];
        }
    abort();
}

static void give_back(struct place *p)
{
    CHECK(p->taken && !p->waiting);
    p->taken = false;
}

static void wait_at(struct place *p, nng_aio *a)
{
    CHECK(!a->pending && !p->waiting);
    a->pending = true;
    p->waiting = a;
}

static void wait_no_more(struct place *p)
{
    if (p->waiting)
        finish(p->waiting, NNG_ECLOSED, NULL);
}

int nng_stream_listener_alloc(nng_stream_listener **ret, const char *url)
{
    (void)url;
    *ret = malloc(sizeof **ret);
    CHECK(*ret);
    (*ret)->at = take_place();
    return 0;
}

int nng_stream_listener_set_bool(nng_stream_listener *l, const char *name, bool value)
{
    (void)l;
    (void)name;
    (void)value;
    return 0;
}

int nng_stream_listener_set_int(nng_stream_listener *l, const char *name, int value)
{
    (void)l;
    (void)name;
    (void)value;
    return 0;
}

int nng_stream_listener_get_int(nng_stream_listener *l, const char *name, int *ret)
{
    (void)l;
    (void)name;
    *ret = 862;
    return 0;
}

int nng_stream_listener_listen(nng_stream_listener *l)
{
    (void)l;
    return 0;
}

void nng_stream_listener_accept(nng_stream_listener *l, nng_aio *a)
{
    wait_at(l->at, a);
}

void nng_stream_listener_close(nng_stream_listener *l)
{
    wait_no_more(l->at);
}

void nng_stream_listener_free(nng_stream_listener *l)
{
    give_back(l->at);
    free(l);
}

int nng_stream_dialer_alloc(nng_stream_dialer **ret, const char *url)
{
    (void)url;
    *ret = malloc(sizeof **ret);
    CHECK(*ret);
    (*ret)->at = take_place();
    return 0;
}

int nng_stream_dialer_set_bool(nng_stream_dialer *d, const char *name, bool value)
{
    (void)d;
    (void)name;
    (void)value;
    return 0;
}

void nng_stream_dialer_dial(nng_stream_dialer *d, nng_aio *a)
{
    wait_at(d->at, a);
}

void nng_stream_dialer_close(nng_stream_dialer *d)
{
    wait_no_more(d->at);
}

void nng_stream_dialer_free(nng_stream_dialer *d)
{
    give_back(d->at);
    free(d);
}

bool fake_net_connect(size_t place, int error)
{
    nng_aio *a = place < FAKE_PLACES ? places[place].waiting : NULL;
    struct nng_stream *stream = NULL;

    if (!a || (!error && n_alive == FAKE_CONNS))
        return false;
    if (!error) {
        stream = calloc(1, sizeof *stream);
        CHECK(stream);
        stream->place = place;
    }
    finish(a, error, stream);
    return true;
}

/* ---- Connections ---- */

/* On the heap and as long as it is, so that a sanitizer sees the first octet too far. */
static void pump(struct conn *c)
{
    while (c->reading && !c->closed && !c->failed && c->in_len) {
        uint8_t *exact = malloc(c->in_len);
        struct conn_cut cut;

        CHECK(exact);
        memcpy(exact, c->in, c->in_len);
        cut = c->hooks->cut(c->ctx, exact, c->in_len);
        free(exact);
        CHECK(cut.used <= c->in_len);
        memmove(c->in, c->in + cut.used, c->in_len - cut.used);
        c->in_len -= cut.used;
        if (cut.deliver) {
            c->reading = false;
            loop_post(c->loop, &c->readable);
        } else if (!cut.used) {
            CHECK(cut.need > c->in_len); /* or it would wait for what is there already */
            return;
        }
    }
}

static void on_readable(struct loop_task *t)
{
    struct conn *c = t->ctx;

    if (!c->closed)
        c->hooks->readable(c->ctx);
}

static void release(struct conn *c)
{
    loop_unpost(c->loop, &c->readable);
    loop_unpost(c->loop, &c->gone);
    if (conns[c->number] == c)
        conns[c->number] = NULL;
    n_alive--;
    free(c->in);
    free(c->out);
    free(c);
}

static void on_gone(struct loop_task *t)
{
    struct conn *c = t->ctx;
    const struct conn_hooks *hooks = c->hooks;
    void *ctx = c->ctx;

    release(c);
    hooks->gone(ctx);
}

enum tw_rc conn_new(struct loop *l, nng_stream *stream, struct rpc_tls_session *tls,
                    const struct conn_hooks *hooks, void *ctx, struct conn **ret)
{
    struct conn *c = calloc(1, sizeof *c);

    CHECK(c && !tls);
    *c = (struct conn){ .loop = l, .hooks = hooks, .ctx = ctx, .place = stream->place };
    nng_stream_free(stream);
    c->readable = (struct loop_task){ .fn = on_readable, .ctx = c };
    c->gone = (struct loop_task){ .fn = on_gone, .ctx = c };
    while (c->number < FAKE_CONNS && conns[c->number])
        c->number++;
    CHECK(c->number < FAKE_CONNS);
    conns[c->number] = c;
    n_alive++;
    if (fake_net_opened)
        fake_net_opened(c->number, c->place);
    *ret = c;
    return TW_OK;
}

struct conn *fake_net_conn(size_t i)
{
    return i < FAKE_CONNS && conns[i] && !conns[i]->closed ? conns[i] : NULL;
}

bool fake_net_clean(void)
{
    for (size_t i = 0; i < FAKE_PLACES; i++)
        if (places[i].taken)
            return false;
    return n_alive == 0;
}

enum tw_rc conn_set_receive(struct conn *c, size_t buffer, uint32_t timeout_ms)
{
    (void)c;
    (void)timeout_ms;
    CHECK(buffer);
    return TW_OK;
}

void conn_resume(struct conn *c)
{
    c->reading = true;
    pump(c);
}

void fake_net_feed(struct conn *c, const uint8_t *data, size_t len)
{
    uint8_t *more = realloc(c->in, c->in_len + len + 1);

    CHECK(more);
    memcpy(more + c->in_len, data, len);
    c->in = more;
    c->in_len += len;
    c->heard = c->heard || len;
    pump(c);
}

void fake_net_fail(struct conn *c, enum tw_rc rc)
{
    if (c->closed || c->failed)
        return;
    c->failed = true;
    c->hooks->failed(c->ctx, rc, "it was cut off");
}

size_t conn_queued(const struct conn *c)
{
    return c->out_len;
}

uint8_t *conn_append(struct conn *c, size_t n)
{
    CHECK(!c->closed);
    if (c->out_len + n > c->out_cap) {
        uint8_t *more = realloc(c->out, c->out_len + n);

        CHECK(more);
        c->out = more;
        c->out_cap = c->out_len + n;
    }
    c->out_len += n;
    return c->out + c->out_len - n;
}

void conn_flush(struct conn *c)
{
    if (fake_net_out && c->told < c->out_len)
        fake_net_out(c, c->number, c->out + c->told, c->out_len - c->told);
    c->told = c->out_len;
    if (!c->clogged)
        c->out_len = c->told = 0;
}

void fake_net_clog(struct conn *c, bool clogged)
{
    c->clogged = clogged;
    conn_flush(c);
}

void conn_close(struct conn *c)
{
    c->closed = true;
    loop_post(c->loop, &c->gone);
}

void conn_free(struct conn *c)
{
    release(c);
}

void conn_set_most(struct conn *c, size_t octets)
{
    (void)c;
    (void)octets;
}

void conn_set_urgent(struct conn *c)
{
    (void)c;
}

bool conn_heard(const struct conn *c)
{
    return c->heard;
}

bool conn_is_tls(const struct conn *c)
{
    (void)c;
    return false;
}

bool conn_certificate(struct conn *c, struct rpc_certificate *ret)
{
    (void)c;
    (void)ret;
    return false;
}

enum tw_rc conn_binding(struct conn *c, uint8_t ret[RPC_TLS_BINDING])
{
    (void)c;
    memset(ret, 7, RPC_TLS_BINDING);
    return TW_OK;
}

void conn_peer_address(const struct conn *c, char ret[CONN_ADDRESS_TEXT])
{
    if (c->place == fake_net_ipc)
        *ret = '\0';
    else
        snprintf(ret, CONN_ADDRESS_TEXT, "192.0.2.%zu", c->number + 1);
}

void conn_local_address(const struct conn *c, char ret[CONN_ADDRESS_TEXT])
{
    snprintf(ret, CONN_ADDRESS_TEXT, "%s", c->place == fake_net_ipc ? "" : "192.0.2.100");
}

void conn_peer_ids(const struct conn *c, int64_t *ret_uid, int64_t *ret_pid)
{
    (void)c;
    *ret_uid = *ret_pid = -1;
}

enum tw_rc conn_rc(int nng_error)
{
    return nng_error ? TW_EIO : TW_OK;
}
