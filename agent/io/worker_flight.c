/* agent/io/worker_flight.c - the flight recorder in the worker. The upper half of this file runs on the
 * worker thread, the lower half on the loop. */
#include <stdlib.h>
#include "agent/io/worker_priv.h"
#include "common/net/now.h"

enum { INCIDENTS_MAX = 1024 };
#define ASK_TIMEOUT_NS TW_NS_PER_S

/* ---- Worker thread ---- */

void flight_flow_start(struct worker *w, struct flow *f)
{
    if (!f->flight)
        return;
    flight_attach(f->flight, w->flights);
    session_set_flight(f->session, f->flight);
}

void flight_flow_end(struct flow *f)
{
    if (!f->flight)
        return;
    session_set_flight(f->session, NULL);
    if (f->tail) {
        struct flight_span all = { INT64_MIN, INT64_MAX, INT64_MAX };
        uint64_t total;
        f->n_tail = flight_read(f->flight, &all, f->tail, WORKER_FLIGHT_MAX, &total);
    }
    flight_detach(f->flight);
}

void flight_look(struct worker *w, struct flow *f)
{
    const struct session_cfg *cfg = session_config(f->session);
    struct worker_incident c = { .pair_id = f->pair_id, .flow = f->number, .timeout_ns = cfg->timeout_ns };
    struct flight_stats st;

    if (!flight_next_incident(f->flight, &c.what))
        return;
    flight_pool_stats(w->flights, &st);
    if (__builtin_mul_overflow((int64_t)st.share, cfg->spacing_ns, &c.holds_ns))
        c.holds_ns = INT64_MAX;
    if (ring_push(w->incidents, &c))
        w->news = true;
    else
        w->count.flight_incidents_lost++;
}

void flight_answer(struct worker *w, struct flow *f)
{
    struct flight_question *q = &w->flight_question;

    flight_kept(f->flight, &q->kept);
    q->n = flight_read(f->flight, &q->span, q->records, q->limit, &q->total);
}

void flight_count(const struct worker *w, struct worker_counters *ret)
{
    struct flight_stats st;

    if (!w->flights)
        return;
    flight_pool_stats(w->flights, &st);
    ret->flight_share = st.share;
    ret->flight_kept_min_ns = (uint64_t)st.kept_min_ns;
    ret->flight_octets = st.octets;
    ret->flight_refused = st.refused;
    ret->flight_withheld = st.withheld;
}

/* ---- Loop thread ---- */

enum tw_rc flight_init(struct worker *w)
{
    enum tw_rc rc;

    if (!w->cfg.flight_probes)
        return TW_OK;
    rc = flight_pool_new(w->cfg.flight_bytes, w->cfg.flight_probes, w->cfg.flight_loss_run, &w->flights);
    return rc ? rc : ring_new(sizeof(struct worker_incident), INCIDENTS_MAX, &w->incidents);
}

/* After the thread has ended and the flows have gone. */
void flight_free_all(struct worker *w)
{
    flight_pool_free(w->flights);
    ring_free(w->incidents);
    free(w->flight_question.records);
}

enum tw_rc flight_flow_init(const struct worker *w, struct flow *f)
{
    return w->flights ? flight_new(w->cfg.flight_probes, &f->flight) : TW_OK;
}

enum tw_rc worker_flight(struct worker *w, uint64_t pair_id, uint32_t flow, const struct flight_span *span,
                         size_t limit, struct worker_flight *ret)
{
    struct flow *f = worker_find_flow(w, pair_id, flow);
    struct tw_mono deadline = { tw_mono_now().ns + ASK_TIMEOUT_NS };
    struct flight_question *q = &w->flight_question;
    enum tw_rc rc = f && f->flight ? worker_quiet(w, deadline) : TW_ENOENT;

    if (!rc && !q->records && !(q->records = calloc(WORKER_FLIGHT_MAX, sizeof *q->records)))
        rc = TW_ENOMEM;
    if (rc)
        return rc;
    q->span = *span;
    q->limit = limit < WORKER_FLIGHT_MAX ? limit : WORKER_FLIGHT_MAX;
    rc = worker_ask(w, CMD_FLIGHT, f, deadline);
    if (!rc)
        *ret = (struct worker_flight){ q->kept, q->total, q->records, q->n };
    return rc;
}

enum tw_rc worker_keep_tail(struct worker *w, uint64_t pair_id, uint32_t flow)
{
    struct flow *f = worker_find_flow(w, pair_id, flow);
    enum tw_rc rc = f && f->flight ? worker_check_room(w) : TW_ENOENT;
    struct cmd c = { .op = CMD_TAIL, .flow = f };

    if (rc)
        return rc;
    c.tail = malloc(WORKER_FLIGHT_MAX * sizeof *c.tail);
    if (!c.tail)
        return TW_ENOMEM;
    f->last_cmd = worker_send(w, &c);
    return TW_OK;
}

size_t worker_flows(const struct worker *w, uint64_t pair_id, uint32_t *ret, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < w->buckets; i++) {
        for (const struct flow *f = w->registry[i]; f; f = f->bucket_next) {
            if (f->removed || f->pair_id != pair_id)
                continue;
            if (n < cap)
                ret[n] = f->number;
            n++;
        }
    }
    return n;
}

enum tw_rc worker_next_incident(struct worker *w, struct worker_incident *ret)
{
    return w->incidents && ring_pop(w->incidents, ret) ? TW_OK : TW_EAGAIN;
}
