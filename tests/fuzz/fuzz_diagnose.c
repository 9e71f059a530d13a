/* What a controller may ask of an agent's Diagnose, with a network, names and a clock made up: whatever is
 * asked, each call is answered once and within half a minute, no more packets go out than diagnose.h
 * promises, not faster, and none to where the agent may not send.
 *
 * Input: an octet that says how many octets of script follow; the script, read over and over: what becomes of
 * each packet, name and connection; then requests, each behind an octet with its length. */
#include <string.h>

#include "agent/diagnose.h"
#include "agent/diagnose_io.h"
#include "common/net/now.h"
#include "tests/fuzz/check.h"

#define CALLS 12
#define TIMERS 64
#define LOOKUPS 8
#define CONNECTS 8
#define STEPS_MAX 20000
#define ANSWERED_NS (30 * TW_NS_PER_S)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world {
    int64_t now_ns, last_sent_ns;
    struct loop_timer *timers[TIMERS];
    struct tw_mono due[TIMERS];
    size_t n_timers;
    struct diag_lookup *lookups[LOOKUPS];
    size_t n_lookups;
    struct diag_connect *connects[CONNECTS];
    size_t n_connects;
    const uint8_t *script;
    size_t n_script, at;
    unsigned answers[CALLS];
    unsigned packets, lookups_made;
} w;

static struct tw_prefix fence; /* 10.0.0.0/8 */

/* ---- The script ---- */

static uint8_t next_octet(void)
{
    return w.n_script ? w.script[w.at++ % w.n_script] : 0;
}

static const char *const addresses[] = { "10.0.0.2", "127.0.0.1",   "224.0.0.1",
                                         "0.0.0.0",  "2001:db8::2", "ff02::1" };

static struct tw_addr some_address(void)
{
    struct tw_addr a;

    CHECK(tw_addr_parse(addresses[next_octet() % TW_NELEM(addresses)], 0, &a) == TW_OK);
    return a;
}

static void check_target(const struct tw_addr *to)
{
    CHECK(to->family == 4 && to->ip[0] == 10);
}

/* ---- Clock and timers ---- */

struct tw_mono __wrap_tw_mono_now(void);
struct tw_mono __wrap_tw_mono_now(void)
{
    return (struct tw_mono){ w.now_ns };
}

enum tw_rc __wrap_loop_timer_set(struct loop *l, struct loop_timer *t, struct tw_mono due);
void __wrap_loop_timer_cancel(struct loop *l, struct loop_timer *t);

static size_t find_timer(const struct loop_timer *t)
{
    size_t i = 0;

    while (i < w.n_timers && w.timers[i] != t)
        i++;
    return i;
}

enum tw_rc __wrap_loop_timer_set(struct loop *l, struct loop_timer *t, struct tw_mono due)
{
    size_t i = find_timer(t);

    (void)l;
    CHECK(i < TIMERS);
    w.timers[i] = t;
    w.due[i] = due;
    w.n_timers += i == w.n_timers;
    return TW_OK;
}

void __wrap_loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
    size_t i = find_timer(t);

    (void)l;
    if (i == w.n_timers)
        return;
    w.timers[i] = w.timers[--w.n_timers];
    w.due[i] = w.due[w.n_timers];
}

static bool fire_next(void)
{
    struct loop_timer *t;
    size_t first = 0;

    if (!w.n_timers)
        return false;
    for (size_t i = 1; i < w.n_timers; i++)
        if (w.due[i].ns < w.due[first].ns)
            first = i;
    t = w.timers[first];
    if (w.due[first].ns > w.now_ns)
        w.now_ns = w.due[first].ns;
    __wrap_loop_timer_cancel(NULL, t);
    t->fn(t);
    return true;
}

/* ---- The network ---- */

enum tw_rc __wrap_diag_sock_open(struct diag_sock *s, struct loop *loop, const struct tw_addr *to,
                                 const char *bind, uint8_t dscp, struct tw_err *err);
enum tw_rc __wrap_diag_sock_open(struct diag_sock *s, struct loop *loop, const struct tw_addr *to,
                                 const char *bind, uint8_t dscp, struct tw_err *err)
{
    (void)loop;
    check_target(to);
    CHECK(to->port && dscp < 64 && strlen(bind) < 64);
    if (next_octet() % 16 == 15)
        return tw_err_set(err, TW_EINVAL, "%s", bind);
    s->to = *to;
    s->local = some_address();
    return TW_OK;
}

void __wrap_diag_sock_close(struct diag_sock *s);
void __wrap_diag_sock_close(struct diag_sock *s)
{
    s->set = NULL;
}

void __wrap_diag_set_begin(struct diag_sock *s, struct diag_set *set, enum diag_kind kind, uint32_t size,
                           unsigned wanted, bool fragment);
void __wrap_diag_set_begin(struct diag_sock *s, struct diag_set *set, enum diag_kind kind, uint32_t size,
                           unsigned wanted, bool fragment)
{
    (void)fragment;
    CHECK(wanted && wanted <= DIAG_SET_MAX && size >= 14 && size <= 9000);
    *set = (struct diag_set){ .kind = kind, .size = size, .wanted = wanted };
    s->set = set;
}

bool __wrap_diag_send(struct diag_sock *s);
bool __wrap_diag_send(struct diag_sock *s)
{
    struct diag_set *set = s->set;
    uint8_t fate = next_octet();

    CHECK(set && set->tried < set->wanted);
    check_target(&s->to);
    set->tried++;
    if (fate % 8 == 7) {
        set->send_errno = 1;
        set->too_long = fate & 8;
        return false;
    }
    set->sent++;
    w.packets++;
    if (fate % 8 < 3) {
        set->received++;
        set->rtt_min_ns = 1 + fate * TW_NS_PER_MS;
    } else if (fate % 8 == 3) {
        set->elsewhere++;
        set->elsewhere_from = some_address();
    } else if (fate % 8 == 4) {
        set->icmp_count++;
        set->icmp = (struct diag_icmp){
            .type = fate, .code = next_octet(), .mtu = 256u * next_octet(), .from = some_address()
        };
    }
    return true;
}

uint32_t __wrap_diag_local_mtu(const struct diag_sock *s);
uint32_t __wrap_diag_local_mtu(const struct diag_sock *s)
{
    (void)s;
    return 256u * next_octet();
}

enum tw_rc __wrap_diag_connect_start(struct diag_connect *c, struct loop *loop, const struct tw_addr *to);
enum tw_rc __wrap_diag_connect_start(struct diag_connect *c, struct loop *loop, const struct tw_addr *to)
{
    (void)loop;
    check_target(to);
    CHECK(to->port);
    if (w.n_connects == CONNECTS || next_octet() % 8 == 7)
        return TW_ENOMEM;
    w.connects[w.n_connects++] = c;
    return TW_OK;
}

void __wrap_diag_connect_close(struct diag_connect *c);
void __wrap_diag_connect_close(struct diag_connect *c)
{
    for (size_t i = 0; i < w.n_connects; i++)
        if (w.connects[i] == c)
            w.connects[i--] = w.connects[--w.n_connects];
}

enum tw_rc __wrap_diag_lookup_start(struct loop *loop, const char *host, uint8_t family,
                                    void (*done)(struct diag_lookup *l), void *ctx, struct diag_lookup **ret);
enum tw_rc __wrap_diag_lookup_start(struct loop *loop, const char *host, uint8_t family,
                                    void (*done)(struct diag_lookup *l), void *ctx, struct diag_lookup **ret)
{
    struct diag_lookup *l;

    CHECK(*host && strlen(host) <= 253 && (!family || family == 4 || family == 6));
    if (w.n_lookups == LOOKUPS || next_octet() % 8 == 7)
        return TW_ENOMEM;
    l = calloc(1, sizeof *l);
    CHECK(l);
    l->loop = loop;
    l->done = done;
    l->ctx = ctx;
    w.lookups[w.n_lookups++] = *ret = l;
    w.lookups_made++;
    return TW_OK;
}

void __wrap_diag_lookup_free(struct diag_lookup *l);
void __wrap_diag_lookup_free(struct diag_lookup *l)
{
    for (size_t i = 0; i < w.n_lookups; i++)
        if (w.lookups[i] == l)
            w.lookups[i--] = w.lookups[--w.n_lookups];
    free(l);
}

static bool can_end_lookup(void)
{
    return w.n_lookups && !w.lookups[0]->finished;
}

static void end_lookup(void)
{
    struct diag_lookup *l = w.lookups[0];

    l->finished = true;
    l->n = next_octet() % (DIAG_ADDRESSES + 1);
    for (size_t i = 0; i < l->n; i++)
        l->addresses[i] = some_address();
    if (!l->n)
        strcpy(l->error, "no such host");
    l->done(l);
}

static void end_connect(void)
{
    struct diag_connect *c = w.n_connects ? w.connects[--w.n_connects] : NULL;

    if (!c)
        return;
    c->state = DIAG_SPOKEN + next_octet() % 5;
    c->done(c->ctx);
}

enum tw_rc __wrap_worker_tally_begin(struct worker *worker, uint64_t token);
enum tw_rc __wrap_worker_tally_begin(struct worker *worker, uint64_t token)
{
    (void)worker;
    CHECK(token && !(token & DIAG_KIND_MASK));
    return next_octet() % 8 == 7 ? TW_EBUSY : TW_OK;
}

enum tw_rc __wrap_worker_tally_end(struct worker *worker, uint64_t token, struct worker_tally *ret);
enum tw_rc __wrap_worker_tally_end(struct worker *worker, uint64_t token, struct worker_tally *ret)
{
    (void)worker;
    (void)token;
    *ret = (struct worker_tally){ .from = some_address() };
    return next_octet() % 4 == 3 ? TW_ENOENT : TW_OK;
}

/* ---- Answers ---- */

static void note_answer(void *closure_data)
{
    unsigned *n = closure_data;

    CHECK(n >= w.answers && n < w.answers + CALLS);
    ++*n;
    CHECK(*n == 1);
}

void __wrap_rpc_fail(void *closure_data, Tw__Status status, const char *fmt, ...);
void __wrap_rpc_fail(void *closure_data, Tw__Status status, const char *fmt, ...)
{
    CHECK(status && *fmt);
    note_answer(closure_data);
}

static void on_reply(const Tw__DiagnoseReply *m, void *closure_data)
{
    uint8_t *packed = malloc(tw__diagnose_reply__get_packed_size(m) + 1);
    Tw__DiagnoseReply *again;

    CHECK(packed);
    again = tw__diagnose_reply__unpack(NULL, tw__diagnose_reply__pack(m, packed), packed);
    CHECK(again);
    CHECK(m->packets <= DIAGNOSE_PACKETS && m->n_addresses <= DIAG_ADDRESSES);
    CHECK(strlen(m->lookup_error) < DIAG_REASON && strlen(m->address) < TW_ADDR_TEXT);
    tw__diagnose_reply__free_unpacked(again, NULL);
    free(packed);
    note_answer(closure_data);
}

/* ---- Running ---- */

struct requests {
    Tw__DiagnoseRequest *v[CALLS];
    size_t n;
};

static void serve(struct diagnose *d, struct requests *rq, const uint8_t *data, size_t size)
{
    while (size && rq->n < CALLS) {
        size_t len = data[0] < size - 1 ? data[0] : size - 1;
        Tw__DiagnoseRequest *m = tw__diagnose_request__unpack(NULL, len, data + 1);

        data += len + 1;
        size -= len + 1;
        if (!m)
            continue;
        rq->v[rq->n] = m;
        diagnose_serve(d, m, on_reply, &w.answers[rq->n]);
        rq->n++;
        for (int i = next_octet() % 4; i > 0; i--)
            fire_next();
    }
}

static bool all_answered(const struct requests *rq)
{
    for (size_t i = 0; i < rq->n; i++)
        if (!w.answers[i])
            return false;
    return true;
}

static void run(const struct requests *rq)
{
    int64_t end_ns = w.now_ns + ANSWERED_NS;

    for (int i = 0; !all_answered(rq) && i < STEPS_MAX; i++) {
        uint8_t what = next_octet() % 16;

        if (what == 1 && can_end_lookup())
            end_lookup();
        else if (w.n_connects &&
                 (what == 2 || !w.n_timers || w.now_ns > end_ns - ANSWERED_NS / 2)) /* of its own time */
            end_connect();
        else
            fire_next();
        CHECK(w.now_ns <= end_ns);
    }
    CHECK(all_answered(rq));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct worker *worker = (struct worker *)&w; /* nobody looks into it */
    struct diagnose_conf c = { .workers = &worker, .n_workers = 1, .targets = { &fence, 1 } };
    Tw__HealthReport h = TW__HEALTH_REPORT__INIT;
    struct requests rq = { .n = 0 };
    struct diagnose *d;
    size_t n_script;

    if (!size)
        return 0;
    n_script = data[0] < size - 1 ? data[0] : size - 1;
    w = (struct world){ .now_ns = 1000 * TW_NS_PER_S, .script = data + 1, .n_script = n_script };
    CHECK(tw_prefix_parse("10.0.0.0/8", &fence) == TW_OK);
    CHECK(diagnose_new(&c, &d) == TW_OK);
    serve(d, &rq, data + 1 + n_script, size - 1 - n_script);
    run(&rq);
    diagnose_fill_health(d, &h);
    CHECK(h.diagnose_packets == w.packets);
    CHECK(h.diagnoses + h.diagnoses_refused <= 2 * rq.n && w.packets <= DIAGNOSE_PACKETS * rq.n);
    diagnose_free(d);
    CHECK(!w.n_timers && !w.n_lookups && !w.n_connects);
    for (size_t i = 0; i < rq.n; i++)
        tw__diagnose_request__free_unpacked(rq.v[i], NULL);
    return 0;
}
