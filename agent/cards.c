#include "agent/cards.h"

#include "common/log.h"
#include "common/net/now.h"

enum tw_rc cards_open(struct cards *c, const struct conf_strlist *interfaces, struct tw_err *err)
{
    for (size_t i = 0; i < interfaces->n; i++) {
        struct tw_err why = { 0 };
        enum tw_rc rc;

        if (i == WORKER_PHCS_MAX)
            return tw_err_set(err, TW_EINVAL, "--hw-timestamps: at most %d interfaces", WORKER_PHCS_MAX);
        rc = phc_open(interfaces->v[i], &c->at[i], &why);
        if (rc)
            return tw_err_set(err, rc, "--hw-timestamps: %s", why.text);
        c->n++;
    }
    return TW_OK;
}

static void tell(struct cards *c)
{
    struct worker_phc told[WORKER_PHCS_MAX];

    for (size_t i = 0; i < c->n; i++)
        told[i] = (struct worker_phc){ c->at[i].index, c->at[i].map };
    for (size_t i = 0; i < c->n_workers; i++)
        worker_set_phcs(c->workers[i], told, c->n);
}

static void read_all(struct cards *c)
{
    for (size_t i = 0; i < c->n; i++) {
        uint32_t steps = c->at[i].map.steps;
        bool failed =
            phc_read(&c->at[i]) != TW_OK; /* its line grows old, then the kernel's stamps are used */
        if (failed && !c->failed[i])
            log_warn("the clock of a network card cannot be read", LOG_S("interface", c->at[i].interface));
        c->failed[i] = failed;
        if (c->at[i].map.steps != steps)
            log_info("the clock of a network card was set, or the system's",
                     LOG_S("interface", c->at[i].interface));
    }
    tell(c);
}

static void on_timer(struct loop_timer *t)
{
    struct cards *c = t->ctx;

    read_all(c);
    loop_timer_set(c->loop, t, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_S });
}

void cards_start(struct cards *c, struct loop *loop, struct worker **workers, size_t n_workers)
{
    if (!c->n)
        return;
    c->loop = loop;
    c->workers = workers;
    c->n_workers = n_workers;
    c->timer = (struct loop_timer){ .fn = on_timer, .ctx = c };
    on_timer(&c->timer);
}

void cards_close(struct cards *c)
{
    if (c->loop)
        loop_timer_cancel(c->loop, &c->timer);
    for (size_t i = 0; i < c->n; i++)
        phc_close(&c->at[i]);
    *c = (struct cards){ 0 };
}
