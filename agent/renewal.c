#include "agent/renewal.h"
#include <stdlib.h>
#include "common/log.h"
#include "common/net/now.h"
#include "fleet.pb-c.h"

#define CALL_DEADLINE_MS 10000
#define LOOK_NS (3600 * TW_NS_PER_S) /* the wall clock may be set */
#define RETRY_MAX_NS (60 * TW_NS_PER_S)

struct renewal {
    struct loop *loop;
    struct credentials *credentials;
    const char *name;
    struct rpc_peer *peer; /* NULL: not connected */
    struct loop_timer timer;
    bool asking;
};

static void look_in(struct renewal *r, int64_t ns)
{
    if (ns > LOOK_NS)
        ns = LOOK_NS;
    if (loop_timer_set(r->loop, &r->timer, (struct tw_mono){ tw_mono_now().ns + (ns > 0 ? ns : 0) }) != TW_OK)
        log_error("no memory for a timer: the certificate is not renewed before the next connection");
}

/* Sooner when little is left. */
static void try_again(struct renewal *r)
{
    struct pki_info info;
    int64_t left =
        credentials_info(r->credentials, &info) ? (info.not_after_ns - tw_wall_now().ns) / 8 : RETRY_MAX_NS;

    look_in(r, left > RETRY_MAX_NS ? RETRY_MAX_NS : left < TW_NS_PER_S ? TW_NS_PER_S : left);
}

static void renewed(const Tw__JoinReply *reply, void *ctx)
{
    struct renewal *r = ctx;
    struct rpc_result res = rpc_result();
    struct pki_info info;
    struct tw_err err = { 0 };

    r->asking = false;
    if (!reply) {
        if (res.answered)
            log_warn("the certificate is not renewed", LOG_S("status", rpc_status_name(res.status)),
                     LOG_S("reason", res.detail));
        if (r->peer)
            try_again(r);
        return;
    }
    if (credentials_take(r->credentials, r->name, reply->certificate.data, reply->certificate.len,
                         tw_wall_now().ns, &err)) {
        log_error("the renewed certificate is refused", LOG_S("reason", err.text));
        try_again(r);
        return;
    }
    credentials_info(r->credentials, &info);
    log_info("the certificate is renewed", LOG_S("serial", info.serial));
    look_in(r, 0);
}

static void ask(struct renewal *r)
{
    Tw__RenewRequest rq = TW__RENEW_REQUEST__INIT;
    struct pki_octets csr = { 0 };
    struct tw_err err = { 0 };

    if (credentials_request(r->credentials, r->name, &csr, &err)) {
        log_error("the certificate is not renewed", LOG_S("reason", err.text));
        try_again(r);
        return;
    }
    rq.csr = (ProtobufCBinaryData){ csr.len, csr.data };
    r->asking = true;
    tw__fleet_controller__renew(
        rpc_peer_service(r->peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, CALL_DEADLINE_MS),
        &rq, renewed, r);
    pki_octets_free(&csr);
}

static void on_timer(struct loop_timer *t)
{
    struct renewal *r = t->ctx;
    int64_t due, now_ns = tw_wall_now().ns;
    struct pki_info info;

    if (!r->peer || r->asking || !credentials_info(r->credentials, &info))
        return;
    due = pki_renew_at_ns(info.not_before_ns, info.not_after_ns);
    if (now_ns >= due)
        ask(r);
    else
        look_in(r, due - now_ns);
}

void renewal_set_peer(struct renewal *r, struct rpc_peer *p)
{
    r->peer = p;
    if (p)
        look_in(r, 0);
    else
        loop_timer_cancel(r->loop, &r->timer);
}

enum tw_rc renewal_new(struct loop *l, struct credentials *credentials, const char *name,
                       struct renewal **ret)
{
    struct renewal *r = calloc(1, sizeof *r);

    if (!r)
        return TW_ENOMEM;
    r->loop = l;
    r->credentials = credentials;
    r->name = name;
    r->timer = (struct loop_timer){ .fn = on_timer, .ctx = r };
    *ret = r;
    return TW_OK;
}

void renewal_free(struct renewal *r)
{
    if (!r)
        return;
    loop_timer_cancel(r->loop, &r->timer);
    free(r);
}
