/* agent/diagnose_call.c - see diagnose_call.h. In turn: the name, a set of small packets, one of the wanted
 * size, the search for the path's MTU; beside them the TCP connection. What a step finds decides whether the
 * next makes sense. */
#include "agent/diagnose_call.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/core/test_pkt.h"
#include "agent/diagnose_io.h"
#include "common/net/now.h"

#define SMALL_PACKETS 10u
#define SIZED_PACKETS 5u
#define SEARCH_PACKETS 2u
#define SPACING_NS (20 * TW_NS_PER_MS)
#define FIRST_WAIT_NS (1 * TW_NS_PER_S) /* for answers, as long as the round trip is not known */
#define LEAST_WAIT_NS (100 * TW_NS_PER_MS)
#define LOOKUP_NS (4 * TW_NS_PER_S)
#define DEFAULT_MTU 1500u

enum step { STEP_NAME, STEP_SMALL, STEP_SIZED, STEP_SEARCH, STEP_OVER };

struct diagnose_call {
    struct diagnose_call_conf conf;
    enum step step;
    bool answered;
    struct tw_addr to;
    struct diag_sock sock;
    struct diag_set small, sized, tried;
    struct diag_search search;
    bool searched;
    uint32_t mtu_local;
    struct diag_icmp search_icmp;
    unsigned search_icmp_count, packets;
    struct diag_connect connect;
    bool connecting;
    enum tw_rc connect_rc;
    struct diag_lookup *lookup;
    bool looking; /* nobody has given up on it */
    char lookup_error[DIAG_REASON];
    struct loop_timer timer, lookup_timer;
};

static void next_step(struct diagnose_call *c);

/* ---- The answer ---- */

/* What the messages point to. */
struct answer {
    Tw__DiagnoseReply reply;
    Tw__DiagnosePackets small, sized;
    Tw__DiagnoseIcmp icmp[3];
    struct set_texts {
        char elsewhere[TW_ADDR_TEXT], icmp[TW_ADDR_TEXT], error[DIAG_REASON];
    } small_texts, sized_texts;
    char address[TW_ADDR_TEXT], local[TW_ADDR_TEXT], told_by[TW_ADDR_TEXT];
    char *addresses[DIAG_ADDRESSES], address_text[DIAG_ADDRESSES][TW_ADDR_TEXT];
};

static void fill_icmp(const struct diag_icmp *i, Tw__DiagnoseIcmp *ret, char text[TW_ADDR_TEXT])
{
    tw__diagnose_icmp__init(ret);
    ret->six = i->six;
    ret->type = i->type;
    ret->code = i->code;
    ret->mtu = i->mtu;
    if (i->from.family)
        ret->from = (char *)tw_addr_format_ip(&i->from, text);
}

static void fill_set(const struct diag_set *s, Tw__DiagnosePackets *ret, Tw__DiagnoseIcmp *icmp,
                     struct set_texts *texts)
{
    tw__diagnose_packets__init(ret);
    ret->size_bytes = s->size;
    ret->sent = s->sent;
    ret->received = s->received;
    ret->elsewhere = s->elsewhere;
    if (s->elsewhere)
        ret->elsewhere_from = (char *)tw_addr_format(&s->elsewhere_from, texts->elsewhere);
    ret->too_long = s->too_long;
    if (s->send_errno) {
        snprintf(texts->error, sizeof texts->error, "%s", strerror(s->send_errno));
        ret->send_error = texts->error;
    }
    ret->rtt_min_ns = s->rtt_min_ns;
    ret->icmp_count = s->icmp_count;
    if (s->icmp_count) {
        fill_icmp(&s->icmp, icmp, texts->icmp);
        ret->icmp = icmp;
    }
}

static void fill_connect(const struct diagnose_call *c, Tw__DiagnoseReply *r)
{
    static const Tw__DiagnoseConnect states[] = { [DIAG_SPOKEN] = TW__DIAGNOSE_CONNECT__CONNECT_GREETED,
                                                  [DIAG_MUTE] = TW__DIAGNOSE_CONNECT__CONNECT_SILENT,
                                                  [DIAG_REFUSED] = TW__DIAGNOSE_CONNECT__CONNECT_REFUSED,
                                                  [DIAG_TIMEOUT] = TW__DIAGNOSE_CONNECT__CONNECT_TIMEOUT,
                                                  [DIAG_UNREACHABLE] =
                                                      TW__DIAGNOSE_CONNECT__CONNECT_UNREACHABLE };

    if (!c->conf.rq->control_port || !c->to.family)
        return;
    r->connect = states[c->connect.state];
    r->connect_error = (char *)c->connect.why;
    r->connect_ns = c->connect.took_ns;
}

static void fill_search(const struct diagnose_call *c, struct answer *a)
{
    Tw__DiagnoseReply *r = &a->reply;

    r->mtu_local = c->mtu_local;
    r->mtu_searched = c->searched;
    if (!c->searched)
        return;
    r->mtu_through = c->search.through;
    r->mtu_lost = c->search.lost;
    if (c->search_icmp_count) {
        fill_icmp(&c->search_icmp, &a->icmp[2], a->told_by);
        r->mtu_icmp = &a->icmp[2];
    }
}

static void fill_lookup(const struct diagnose_call *c, struct answer *a)
{
    Tw__DiagnoseReply *r = &a->reply;

    r->lookup_error = (char *)c->lookup_error;
    if (!c->lookup || !c->lookup->finished)
        return;
    r->lookup_ns = c->lookup->took_ns;
    for (size_t i = 0; i < c->lookup->n; i++)
        a->addresses[i] = (char *)tw_addr_format_ip(&c->lookup->addresses[i], a->address_text[i]);
    r->addresses = a->addresses;
    r->n_addresses = c->lookup->n;
}

static void answer(struct diagnose_call *c)
{
    struct answer a = { .reply = TW__DIAGNOSE_REPLY__INIT };
    Tw__DiagnoseReply *r = &a.reply;

    c->answered = true;
    fill_lookup(c, &a);
    if (c->to.family) {
        r->address = (char *)tw_addr_format(&c->to, a.address);
        if (c->sock.local.family)
            r->local_address = (char *)tw_addr_format_ip(&c->sock.local, a.local);
    }
    if (c->small.size) {
        fill_set(&c->small, &a.small, &a.icmp[0], &a.small_texts);
        r->small = &a.small;
    }
    if (c->sized.size) {
        fill_set(&c->sized, &a.sized, &a.icmp[1], &a.sized_texts);
        r->sized = &a.sized;
    }
    fill_search(c, &a);
    fill_connect(c, r);
    r->packets = c->packets;
    c->conf.closure(r, c->conf.closure_data);
    c->conf.ended(c->conf.ctx, c, c->packets);
}

static void answer_if_over(struct diagnose_call *c)
{
    if (c->step == STEP_OVER && !c->connecting && !c->looking && !c->answered)
        answer(c);
}

/* ---- Sets ---- */

static bool is_settled(const struct diag_set *s)
{
    return s->tried == s->wanted && s->received + s->elsewhere + s->icmp_count >= s->sent;
}

static int64_t wait_ns(const struct diagnose_call *c)
{
    int64_t ns = 2 * c->small.rtt_min_ns + LEAST_WAIT_NS;

    return c->step == STEP_SMALL || ns > FIRST_WAIT_NS ? FIRST_WAIT_NS : ns;
}

static void set_timer(struct diagnose_call *c, int64_t ns)
{
    loop_timer_set(c->conf.loop, &c->timer, (struct tw_mono){ tw_mono_now().ns + ns });
}

static void begin_set(struct diagnose_call *c, struct diag_set *set, enum diag_kind kind, uint32_t size,
                      unsigned n, bool fragment)
{
    diag_set_begin(&c->sock, set, kind, size, n, fragment);
    set_timer(c, 0);
}

/* ---- The search ---- */

static void search_on(struct diagnose_call *c)
{
    uint32_t size = diag_search_next(&c->search);

    if (!size || c->packets + SEARCH_PACKETS > DIAGNOSE_PACKETS) {
        c->step = STEP_OVER;
        answer_if_over(c);
        return;
    }
    begin_set(c, &c->tried, DIAG_SEARCH, size - diag_overhead(&c->to), SEARCH_PACKETS, false);
}

static void take_search_result(struct diagnose_call *c)
{
    const struct diag_set *s = &c->tried;

    diag_search_result(&c->search, s->size + diag_overhead(&c->to), s->received > 0);
    if (s->icmp_count && s->icmp.mtu) {
        c->search_icmp = s->icmp;
        c->search_icmp_count += s->icmp_count;
    }
}

static bool begin_search(struct diagnose_call *c)
{
    const Tw__DiagnoseRequest *rq = c->conf.rq;
    uint32_t overhead = diag_overhead(&c->to), top = c->mtu_local ? c->mtu_local : DEFAULT_MTU;

    if (!rq->path_mtu || !c->small.received || c->sized.received) /* what is wanted comes through: no need */
        return false;
    if (top > TEST_DATAGRAM_MAX + overhead)
        top = TEST_DATAGRAM_MAX + overhead;
    c->searched = true;
    diag_search_begin(&c->search, c->small.size + overhead, top);
    if (c->sized.size && c->sized.icmp.mtu) {
        c->search_icmp = c->sized.icmp;
        c->search_icmp_count = c->sized.icmp_count;
    }
    c->step = STEP_SEARCH;
    search_on(c);
    return true;
}

/* ---- Steps ---- */

static void begin_udp(struct diagnose_call *c)
{
    const Tw__DiagnoseRequest *rq = c->conf.rq;
    struct tw_err err = { 0 };

    c->to.port = (uint16_t)rq->port;
    c->step = STEP_OVER;
    if (!rq->port)
        return;
    if (diag_sock_open(&c->sock, c->conf.loop, &c->to, rq->bind, (uint8_t)rq->dscp, &err)) {
        snprintf(c->lookup_error, sizeof c->lookup_error, "%.150s", err.text);
        return;
    }
    c->mtu_local = diag_local_mtu(&c->sock);
    c->step = STEP_SMALL;
    begin_set(c, &c->small, DIAG_SMALL, rq->small_bytes, SMALL_PACKETS, true);
}

static void on_tcp_done(void *ctx)
{
    struct diagnose_call *c = ctx;

    c->connecting = false;
    answer_if_over(c);
}

static void begin_tcp(struct diagnose_call *c)
{
    struct tw_addr to = c->to;

    if (!c->conf.rq->control_port)
        return;
    to.port = (uint16_t)c->conf.rq->control_port;
    c->connect = (struct diag_connect){ .fd = -1, .done = on_tcp_done, .ctx = c };
    c->connecting = diag_connect_start(&c->connect, c->conf.loop, &to) == TW_OK;
    if (!c->connecting) {
        c->connect.state = DIAG_UNREACHABLE;
        snprintf(c->connect.why, sizeof c->connect.why, "this agent cannot open a connection");
    }
}

static void begin_target(struct diagnose_call *c)
{
    begin_tcp(c);
    begin_udp(c);
    answer_if_over(c);
}

static void next_step(struct diagnose_call *c)
{
    const Tw__DiagnoseRequest *rq = c->conf.rq;

    if (c->step == STEP_SMALL && rq->size_bytes > c->small.size && c->small.received) {
        c->step = STEP_SIZED;
        begin_set(c, &c->sized, DIAG_SIZED, rq->size_bytes, SIZED_PACKETS, !rq->df);
        return;
    }
    if (c->step == STEP_SEARCH) {
        take_search_result(c);
        search_on(c);
        return;
    }
    if (begin_search(c))
        return;
    c->step = STEP_OVER;
    answer_if_over(c);
}

static void on_time(struct loop_timer *t)
{
    struct diagnose_call *c = t->ctx;
    struct diag_set *set = c->sock.set;

    if (set->tried == set->wanted) {
        next_step(c);
        return;
    }
    c->packets += diag_send(&c->sock);
    if (set->tried < set->wanted)
        set_timer(c, SPACING_NS);
    else if (is_settled(set))
        next_step(c);
    else
        set_timer(c, wait_ns(c));
}

static void on_news(void *ctx)
{
    struct diagnose_call *c = ctx;

    if (c->step != STEP_OVER && c->sock.set && is_settled(c->sock.set)) {
        loop_timer_cancel(c->conf.loop, &c->timer);
        next_step(c);
    }
}

/* ---- The name ---- */

static void take_name(struct diagnose_call *c)
{
    const char *why = NULL;

    c->looking = false;
    loop_timer_cancel(c->conf.loop, &c->lookup_timer);
    if (c->step != STEP_NAME) {
        answer_if_over(c);
        return;
    }
    if (!c->lookup_error[0])
        why = target_rules_forbid(&c->conf.targets, &c->lookup->addresses[0]);
    if (why)
        snprintf(c->lookup_error, sizeof c->lookup_error, "%s", why);
    if (c->lookup_error[0]) {
        c->step = STEP_OVER;
        answer_if_over(c);
        return;
    }
    c->to = c->lookup->addresses[0];
    begin_target(c);
}

static void on_name(struct diag_lookup *l)
{
    struct diagnose_call *c = l->ctx;

    if (!c->looking || c->answered)
        return;
    snprintf(c->lookup_error, sizeof c->lookup_error, "%s", l->error);
    take_name(c);
}

static void on_lookup_time(struct loop_timer *t)
{
    struct diagnose_call *c = t->ctx;

    snprintf(c->lookup_error, sizeof c->lookup_error, "no answer from the name servers within %d s",
             (int)(LOOKUP_NS / TW_NS_PER_S));
    take_name(c);
}

static enum tw_rc begin_name(struct diagnose_call *c)
{
    const Tw__DiagnoseRequest *rq = c->conf.rq;
    enum tw_rc rc;

    if (!*rq->host)
        return TW_OK;
    rc = diag_lookup_start(c->conf.loop, rq->host, (uint8_t)rq->family, on_name, c, &c->lookup);
    if (rc)
        return rc;
    c->looking = true;
    return loop_timer_set(c->conf.loop, &c->lookup_timer, (struct tw_mono){ tw_mono_now().ns + LOOKUP_NS });
}

/* ---- Life ---- */

enum tw_rc diagnose_call_start(const struct diagnose_call_conf *conf, struct diagnose_call **ret,
                               struct tw_err *err)
{
    struct diagnose_call *c = calloc(1, sizeof *c);
    enum tw_rc rc = TW_OK;

    if (!c)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    c->conf = *conf;
    c->timer = (struct loop_timer){ .fn = on_time, .ctx = c };
    c->lookup_timer = (struct loop_timer){ .fn = on_lookup_time, .ctx = c };
    c->sock = (struct diag_sock){
        .fd = -1, .token = conf->rq->token, .stamp = conf->rq->stamp, .news = on_news, .ctx = c
    };
    c->connect.fd = -1;
    rc = begin_name(c);
    if (rc) {
        c->answered = true;
        diagnose_call_free(c, true);
        return tw_err_set(err, rc, "cannot look a name up: %s", tw_rc_name(rc));
    }
    *ret = c;
    if (*conf->rq->address) {
        tw_addr_parse(conf->rq->address, 0, &c->to); /* it has been checked */
        begin_target(c);
    }
    return TW_OK;
}

void diagnose_call_cancel(struct diagnose_call *c)
{
    if (c->answered)
        return;
    c->answered = true;
    rpc_fail(c->conf.closure_data, TW__STATUS__STATUS_UNAVAILABLE, "the agent stops");
}

bool diagnose_call_free(struct diagnose_call *c, bool wait)
{
    loop_timer_cancel(c->conf.loop, &c->timer);
    loop_timer_cancel(c->conf.loop, &c->lookup_timer);
    diag_sock_close(&c->sock);
    diag_connect_close(&c->connect);
    if (c->lookup && !c->lookup->finished && !wait)
        return false;
    diag_lookup_free(c->lookup);
    free(c);
    return true;
}
