#include "tests/fuzz/fake_worker.h"
#include <stdlib.h>
#include <string.h>
#include "agent/core/form.h"
#include "agent/core/session.h"
#include "agent/io/ctl_dialer.h"
#include "common/net/now.h"
#include "common/prefix.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/fake_results.h"

enum { NOTICES = 4 * FAKE_SESSIONS, NEWS = 16, RECORDS = 8 };

struct one {
    uint64_t pair_id;
    uint32_t flow;
    struct form *form;
    bool used, removed, keep_tail;
};

struct news {
    uint64_t pair_id;
    uint32_t flow;
    unsigned how;
};

struct worker {
    struct loop *loop;
    void (*on_results)(void *ctx);
    void *ctx;
    const struct tw_prefix *fence;
    struct one v[FAKE_SESSIONS];
    struct worker_notice notices[NOTICES];
    size_t n_notices, taken;
    struct news summaries[NEWS], incidents[NEWS];
    size_t n_summaries, n_incidents;
    struct flight_record records[RECORDS];
    struct loop_task news;
};

static void tell(struct loop_task *t)
{
    struct worker *w = t->ctx;

    w->on_results(w->ctx);
}

struct worker *fake_worker_new(struct loop *l, void (*on_results)(void *ctx), void *ctx,
                               const struct tw_prefix *fence)
{
    struct worker *w = calloc(1, sizeof *w);

    CHECK(w);
    *w = (struct worker){ .loop = l, .on_results = on_results, .ctx = ctx, .fence = fence };
    w->news = (struct loop_task){ .fn = tell, .ctx = w };
    return w;
}

void fake_worker_free(struct worker *w)
{
    loop_unpost(w->loop, &w->news);
    for (size_t i = 0; i < FAKE_SESSIONS; i++)
        if (w->v[i].used)
            form_free(w->v[i].form);
    free(w);
}

size_t fake_worker_sessions(const struct worker *w)
{
    size_t n = 0;

    for (size_t i = 0; i < FAKE_SESSIONS; i++)
        n += w->v[i].used && !w->v[i].removed;
    return n;
}

static struct one *find(const struct worker *w, uint64_t pair_id, uint32_t flow)
{
    for (size_t i = 0; i < FAKE_SESSIONS; i++)
        if (w->v[i].used && !w->v[i].removed && w->v[i].pair_id == pair_id && w->v[i].flow == flow)
            return (struct one *)&w->v[i];
    return NULL;
}

/* What it recorded lately: some of each fate. */
static const struct flight_record *look_back(struct worker *w)
{
    for (unsigned i = 0; i < RECORDS; i++)
        w->records[i] = (struct flight_record){ .t1_ns = tw_wall_now().ns - (RECORDS - i) * TW_NS_PER_S / 4,
                                                .seq = i,
                                                .forward_ns = TW_NS_PER_MS,
                                                .backward_ns = -TW_NS_PER_MS,
                                                .fate = (uint8_t)(i % FLIGHT_FATE_COUNT),
                                                .way = (uint8_t)(i % 2 ? TW_UNKNOWN : TW_FORWARD),
                                                .flags = (uint8_t)(i * 37) };
    return w->records;
}

static void end(struct worker *w, struct one *s, enum tw_rc rc)
{
    CHECK(w->n_notices < NOTICES);
    w->notices[w->n_notices++] = (struct worker_notice){ .pair_id = s->pair_id,
                                                         .flow = s->flow,
                                                         .rc = rc,
                                                         .removed = s->removed,
                                                         .tail = s->keep_tail ? look_back(w) : NULL,
                                                         .n_tail = s->keep_tail ? RECORDS : 0 };
    form_free(s->form);
    *s = (struct one){ .used = false };
    loop_post(w->loop, &w->news);
}

void fake_worker_end_one(struct worker *w, size_t which, enum tw_rc rc)
{
    struct one *s = &w->v[which % FAKE_SESSIONS];

    if (s->used)
        end(w, s, rc);
}

static void add_news(struct worker *w, struct news *v, size_t *n, size_t which, unsigned how)
{
    const struct one *s = &w->v[which % FAKE_SESSIONS];

    if (!s->used || *n == NEWS)
        return;
    v[(*n)++] = (struct news){ s->pair_id, s->flow, how };
    loop_post(w->loop, &w->news);
}

void fake_worker_summary(struct worker *w, size_t which, unsigned how)
{
    add_news(w, w->summaries, &w->n_summaries, which, how);
}

void fake_worker_incident(struct worker *w, size_t which, unsigned how)
{
    add_news(w, w->incidents, &w->n_incidents, which, how);
}

/* ---- What the agent asks of it ---- */

enum tw_rc worker_add(struct worker *w, const struct worker_session *ws)
{
    const struct session_cfg *c = &ws->cfg;
    size_t i = 0;

    CHECK(tw_prefix_contains(w->fence, &ws->target) && ws->target.port);
    CHECK(c->spacing_ns > 0 && c->timeout_ns > 0 && c->report_period_ns > 0);
    if (find(w, c->pair_id, c->flow))
        return TW_EEXIST;
    while (i < FAKE_SESSIONS && w->v[i].used)
        i++;
    if (i == FAKE_SESSIONS)
        return TW_ENOSPC;
    w->v[i] = (struct one){ .pair_id = c->pair_id, .flow = c->flow, .form = ws->form, .used = true };
    return TW_OK;
}

enum tw_rc worker_remove(struct worker *w, uint64_t pair_id, uint32_t flow)
{
    struct one *s = find(w, pair_id, flow);

    if (!s)
        return TW_ENOENT;
    s->removed = true;
    end(w, s, TW_OK);
    return TW_OK;
}

void worker_let_end(struct worker *w, uint64_t pair_id, uint32_t flow)
{
    struct one *s = find(w, pair_id, flow);

    if (s)
        s->removed = true;
}

enum tw_rc worker_set_generation(struct worker *w, uint64_t pair_id, uint32_t flow, uint64_t generation)
{
    (void)generation;
    return find(w, pair_id, flow) ? TW_OK : TW_ENOENT;
}

enum tw_rc worker_set_form(struct worker *w, uint64_t pair_id, uint32_t flow, struct form *form)
{
    struct one *s = find(w, pair_id, flow);

    if (!s)
        return TW_ENOENT;
    form_free(s->form);
    s->form = form;
    return TW_OK;
}

enum tw_rc worker_keep_tail(struct worker *w, uint64_t pair_id, uint32_t flow)
{
    struct one *s = find(w, pair_id, flow);

    if (s)
        s->keep_tail = true;
    return s ? TW_OK : TW_ENOENT;
}

size_t worker_flows(const struct worker *w, uint64_t pair_id, uint32_t *ret, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < FAKE_SESSIONS; i++)
        if (w->v[i].used && w->v[i].pair_id == pair_id) {
            if (n < cap)
                ret[n] = w->v[i].flow;
            n++;
        }
    return n;
}

/* ---- What it has to tell ---- */

enum tw_rc worker_next_notice(struct worker *w, struct worker_notice *ret)
{
    if (w->taken == w->n_notices) {
        w->taken = w->n_notices = 0;
        return TW_EAGAIN;
    }
    *ret = w->notices[w->taken++];
    return TW_OK;
}

enum tw_rc worker_next_summary(struct worker *w, struct tw_summary *ret)
{
    const struct news *n = w->summaries;

    if (!w->n_summaries)
        return TW_EAGAIN;
    summary_free(ret);
    summary_init(ret);
    ret->pair_id = n->pair_id;
    ret->flow = n->flow;
    fake_result_fill(ret, n->how % FAKE_RESULTS, tw_wall_now().ns);
    memmove(w->summaries, n + 1, --w->n_summaries * sizeof *n);
    return TW_OK;
}

enum tw_rc worker_next_incident(struct worker *w, struct worker_incident *ret)
{
    const struct news *n = w->incidents;

    if (!w->n_incidents)
        return TW_EAGAIN;
    *ret = (struct worker_incident){ .pair_id = n->pair_id,
                                     .flow = n->flow,
                                     .what = { .at_ns = tw_wall_now().ns - (n->how & 7) * TW_NS_PER_S,
                                               .probes = 3 + n->how,
                                               .ended = n->how & 1 },
                                     .timeout_ns = TW_NS_PER_S,
                                     .holds_ns = (n->how & 3) * 20 * TW_NS_PER_S };
    memmove(w->incidents, n + 1, --w->n_incidents * sizeof *n);
    return TW_OK;
}

void worker_counters(const struct worker *w, struct worker_counters *ret)
{
    *ret = (struct worker_counters){ .sessions = fake_worker_sessions(w) };
}

enum tw_rc worker_live(struct worker *w, struct worker_live *ret, size_t cap, size_t *ret_n)
{
    size_t n = 0;

    for (size_t i = 0; i < FAKE_SESSIONS; i++)
        if (w->v[i].used && n++ < cap)
            ret[n - 1] = (struct worker_live){ .pair_id = w->v[i].pair_id, .flow = w->v[i].flow };
    *ret_n = n;
    return TW_OK;
}

enum tw_rc worker_peek(struct worker *w, uint64_t pair_id, uint32_t flow, struct tw_summary *sum,
                       struct session_peek *ret)
{
    (void)sum;
    *ret = (struct session_peek){ 0 };
    return find(w, pair_id, flow) ? TW_OK : TW_ENOENT;
}

/* Those of the span, at most `limit`. */
enum tw_rc worker_flight(struct worker *w, uint64_t pair_id, uint32_t flow, const struct flight_span *span,
                         size_t limit, struct worker_flight *ret)
{
    const struct flight_record *v = look_back(w);
    size_t first = 0, n = RECORDS;

    if (!find(w, pair_id, flow))
        return TW_ENOENT;
    while (first < n && v[first].t1_ns < span->from_ns)
        first++;
    while (n > first && v[n - 1].t1_ns >= span->to_ns)
        n--;
    *ret = (struct worker_flight){ .kept = { v[0].t1_ns, v[RECORDS - 1].t1_ns, RECORDS },
                                   .total = n - first,
                                   .records = v + first,
                                   .n = limit < n - first ? limit : n - first };
    return TW_OK;
}

enum tw_rc worker_tally_begin(struct worker *w, uint64_t token)
{
    (void)w;
    (void)token;
    return TW_EBUSY;
}

enum tw_rc worker_tally_end(struct worker *w, uint64_t token, struct worker_tally *ret)
{
    (void)w;
    (void)token;
    (void)ret;
    return TW_ENOENT;
}

enum tw_rc worker_set_stamp_keys(struct worker *w, struct stamp_keys *keys)
{
    (void)w;
    (void)keys;
    return TW_ECLOSED;
}

/* ---- No TWAMP-Control ---- */

enum tw_rc ctl_dialer_start(const struct ctl_dialer_cfg *cfg, struct ctl_dialer **ret, struct tw_err *err)
{
    (void)cfg;
    (void)ret;
    return tw_err_set(err, TW_EIO, "there is no network");
}

void ctl_dialer_free(struct ctl_dialer *d)
{
    CHECK(!d);
}

enum tw_rc ctl_dialer_request(struct ctl_dialer *d, uint32_t id, const struct ctl_session_spec *spec)
{
    (void)d;
    (void)id;
    (void)spec;
    return TW_ECLOSED;
}

enum tw_rc ctl_dialer_start_sessions(struct ctl_dialer *d, const uint32_t *ids, size_t n)
{
    (void)d;
    (void)ids;
    (void)n;
    return TW_ECLOSED;
}

enum tw_rc ctl_dialer_stop_sessions(struct ctl_dialer *d, const uint32_t *ids, size_t n)
{
    return ctl_dialer_start_sessions(d, ids, n);
}

uint32_t ctl_dialer_mode(const struct ctl_dialer *d)
{
    (void)d;
    return 0;
}

uint32_t ctl_dialer_offered(const struct ctl_dialer *d)
{
    return ctl_dialer_mode(d);
}

enum tw_rc ctl_dialer_addrs(const struct ctl_dialer *d, struct tw_addr *ret_local, struct tw_addr *ret_peer)
{
    (void)d;
    (void)ret_local;
    (void)ret_peer;
    return TW_EAGAIN;
}
