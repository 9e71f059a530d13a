/* agent/tool/measure.c - see measure.h. */
#include "agent/tool/measure.h"

#include <errno.h>
#include <string.h>
#include "common/dscp.h"
#include "common/log.h"

/* ---- What the run tells ---- */

static void on_sample(void *ctx, unsigned flow, const struct session_sample *s)
{
    struct measure *m = ctx;

    live_sample(&m->live, s);
    if (m->o->metrics.on)
        tool_metrics_sample(&m->metrics, flow, s);
    log_debug("probe", LOG_S("outcome", out_sample_kind(s->kind)), LOG_U("flow", flow), LOG_U("seq", s->seq),
              LOG_I("forward_ns", s->forward_ns), LOG_I("backward_ns", s->backward_ns));
    if (!m->out->sample)
        return;
    live_clear(&m->live);
    m->out->sample(stdout, m->plan, flow, s);
    fflush(stdout); /* somebody may be looking */
}

static void print(struct measure *m, const struct report *r)
{
    live_clear(&m->live);
    if (m->out->report)
        m->out->report(stdout, r);
    fflush(stdout);
}

static void on_period(void *ctx, const struct run_period *p)
{
    struct measure *m = ctx;
    struct report r = { .plan = m->plan, .flows = p->flows, .n_flows = p->n_flows, .total = p->total };

    if (m->o->metrics.on)
        tool_metrics_period(&m->metrics, p->total);
    summary_merge(&m->whole, p->total);
    for (size_t i = 0; i < p->n_flows; i++)
        if (p->flows[i].end_ns)
            summary_merge(&m->flows[i], &p->flows[i]);
    if (m->plan->forever)
        print(m, &r);
}

static void on_end(void *ctx)
{
    struct measure *m = ctx;
    struct report r = { .plan = m->plan,
                        .whole = true,
                        .interrupted = m->interrupted,
                        .flows = m->flows,
                        .n_flows = m->plan->run.n_flows,
                        .total = &m->whole };

    m->done = true;
    live_stop(&m->live);
    if (run_samples_lost(m->run))
        log_warn(
            "this host was too slow to follow every packet: they are in the counts, but not shown one by one",
            LOG_U("packets", run_samples_lost(m->run)));
    if (!m->plan->forever || m->out->periods)
        print(m, &r);
    if (m->on_end)
        m->on_end(m->ctx);
}

/* ---- Life ---- */

static void render(void *ctx, struct mbuf *b)
{
    struct measure *m = ctx;

    tool_metrics_render(&m->metrics, b);
}

static enum tw_rc start_page(struct measure *m, struct tw_err *err)
{
    char source[TW_ADDR_TEXT];

    if (!m->o->metrics.on)
        return TW_OK;
    tool_metrics_init(&m->metrics, &m->o->metrics, m->o->nodegraph,
                      tw_addr_format_ip(&m->plan->source[0], source), m->plan->target,
                      dscp_name(m->plan->run.tos >> 2));
    m->page = (struct page){ .render = render, .ctx = m };
    return page_start(&m->page, m->loop, m->o->metrics.address, err);
}

static void log_plan(const struct measure *m)
{
    char target[TW_ADDR_TEXT], source[TW_ADDR_TEXT];

    log_info("sending", LOG_S("target", m->plan->target),
             LOG_S("address", tw_addr_format(&m->plan->remote, target)),
             LOG_S("source", tw_addr_format(&m->plan->source[0], source)),
             LOG_S("protocol", m->plan->protocol), LOG_U("flows", m->plan->run.n_flows),
             LOG_U("tos", m->plan->run.tos), LOG_U("count", m->plan->run.session.count));
}

enum tw_rc measure_start(struct measure *m, struct tw_err *err)
{
    struct run_cfg cfg = m->plan->run;
    enum tw_rc rc;

    summary_init(&m->whole);
    for (size_t i = 0; i < RUN_FLOWS_MAX; i++)
        summary_init(&m->flows[i]);
    rc = out_choose(m->o, &m->out, err);
    if (rc == TW_OK)
        rc = start_page(m, err);
    if (rc)
        return rc;
    log_plan(m);
    if (m->out->begin)
        m->out->begin(stdout, m->plan, m->page.httpd ? httpd_port(m->page.httpd) : 0);
    fflush(stdout);
    cfg.loop = m->loop;
    cfg.on_sample = on_sample;
    cfg.on_period = on_period;
    cfg.on_end = on_end;
    cfg.ctx = m;
    rc = run_start(&cfg, &m->run, err);
    if (rc == TW_OK)
        live_start(&m->live, m->loop, m->run, m->plan->run.session.count * m->plan->run.n_flows,
                   !m->o->quiet);
    return rc;
}

void measure_interrupt(struct measure *m)
{
    m->interrupted = true;
    if (m->run)
        run_stop(m->run);
}

enum tw_rc measure_verdict(const struct measure *m, struct tw_err *err)
{
    if (ferror(stdout))
        return tw_err_set(err, TW_EIO, "cannot write to standard output");
    if (!m->whole.sent && m->whole.send_errors)
        return tw_err_set(err, TW_EIO, "none of %llu probes could be sent: %s%s",
                          (unsigned long long)m->whole.send_errors, strerror(run_last_error(m->run)),
                          run_last_error(m->run) == EMSGSIZE
                              ? "; choose a smaller --size, or leave out --do-not-fragment"
                              : "");
    return TW_OK;
}

void measure_close(struct measure *m)
{
    live_stop(&m->live);
    run_free(m->run);
    m->run = NULL;
    page_stop(&m->page);
    summary_free(&m->whole);
    for (size_t i = 0; i < RUN_FLOWS_MAX; i++)
        summary_free(&m->flows[i]);
}
