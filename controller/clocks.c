#include "controller/clocks.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"

#define STALE_NS (3 * CLOCKS_EVERY_NS)
#define YOUNG_NS (2 * TW_NS_PER_S)
#define LATE_NS (60 * TW_NS_PER_S) /* a summary's way into the store, with a spool that catches up */

struct key {
    int64_t a, b; /* agents' row.id, a < b */
};

/* The least delays of some time. */
struct bucket {
    int64_t begun_ns, until_ns; /* monotonic; until 0 = empty */
    double forward_s, backward_s;
};

struct link {
    struct key key;
    struct bucket now, before;
    UT_hash_handle hh;
};

struct waiter {
    void (*done)(void *ctx, enum tw_rc rc, const struct clocks_result *r);
    void *ctx;
    struct waiter *next;
};

struct clocks {
    struct loop *loop;
    struct inventory *inv;
    struct reader_pool *readers;
    struct loop_timer timer;
    struct link *links; /* uthash */
    struct clocks_result last;
    int64_t last_at_ns; /* monotonic */
    bool running, no_memory_told;
    struct waiter *waiters;
};

/* ---- What is measured ---- */

static double least(const struct hist *h)
{
    return h->count ? (double)h->min_ns / (double)TW_NS_PER_S : INFINITY;
}

static void forget(struct link *l)
{
    l->now.until_ns = l->before.until_ns = 0;
}

static struct link *find(struct clocks *k, const struct agent *a, const struct agent *b)
{
    struct key key = { 0 };
    struct link *l;

    key.a = a->row.id < b->row.id ? a->row.id : b->row.id;
    key.b = a->row.id < b->row.id ? b->row.id : a->row.id;
    HASH_FIND(hh, k->links, &key, sizeof key, l);
    if (l)
        return l;
    l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->key = key;
    HASH_ADD(hh, k->links, key, sizeof key, l);
    return l;
}

static void note_delays(struct link *l, int64_t now_ns, int64_t period_ns, double forward_s,
                        double backward_s)
{
    struct bucket *b = &l->now;

    if (!b->until_ns || now_ns - b->begun_ns >= CLOCKS_WINDOW_NS) {
        l->before = *b;
        *b = (struct bucket){ .begun_ns = now_ns, .forward_s = INFINITY, .backward_s = INFINITY };
    }
    b->forward_s = fmin(b->forward_s, forward_s);
    b->backward_s = fmin(b->backward_s, backward_s);
    b->until_ns = now_ns + CLOCKS_WINDOW_NS + period_ns;
}

/* Not out of a spool that is being caught up with. */
static bool is_young(const struct clocks *k, const struct agent *source, const struct tw_summary *s)
{
    int64_t agents_now = loop_now(k->loop).wall.ns + source->clock_ahead_ns;

    return llabs(agents_now - s->end_ns) < LATE_NS + CLOCKS_WINDOW_NS + (s->end_ns - s->start_ns);
}

void clocks_note(struct clocks *k, const struct pair *p, const struct tw_summary *s)
{
    const struct agent *a = pair_source(p), *b = a ? inventory_agent(k->inv, p->row.target) : NULL;
    double forward = least(&s->delay[TW_FORWARD]), backward = least(&s->delay[TW_BACKWARD]);
    bool swap = b && a->row.id > b->row.id;
    struct link *l;

    if (!b || a == b || !is_young(k, a, s) || !(l = find(k, a, b)))
        return;
    if (s->clock_steps || s->clock_remote.steps)
        forget(l);
    else if (s->delay[TW_FORWARD].count || s->delay[TW_BACKWARD].count)
        note_delays(l, loop_now(k->loop).mono.ns, p->report_period_ns, swap ? backward : forward,
                    swap ? forward : backward);
}

/* ---- One audit: on a reader thread ---- */

struct raw {
    struct key key;
    double forward_s, backward_s;
};

struct audit_job {
    struct reader_job job; /* first */
    struct clocks *k;
    int64_t time_ns;
    size_t n_agents, n_raw;
    int64_t *ids; /* sorted */
    char (*names)[STORE_NAME_MAX];
    struct clock_claim *claims;
    struct raw *raw;
    struct clock_audit audit;
    enum tw_rc rc;
};

static int cmp_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static uint32_t number_of(const struct audit_job *j, int64_t id)
{
    const int64_t *at = bsearch(&id, j->ids, j->n_agents, sizeof *j->ids, cmp_id);

    return at ? (uint32_t)(at - j->ids) : UINT32_MAX; /* gone meanwhile: not used */
}

static void run_audit(struct reader_job *job, struct store_reader *db)
{
    struct audit_job *j = (struct audit_job *)job;
    struct clock_pair *pairs = malloc((j->n_raw + 1) * sizeof *pairs);

    (void)db;
    j->rc = TW_ENOMEM;
    for (size_t i = 0; pairs && i < j->n_raw; i++)
        pairs[i] = (struct clock_pair){ number_of(j, j->raw[i].key.a), number_of(j, j->raw[i].key.b),
                                        j->raw[i].forward_s, j->raw[i].backward_s };
    if (pairs)
        j->rc = clock_audit_run(j->claims, j->n_agents, pairs, j->n_raw, &j->audit);
    free(pairs);
}

/* ---- Before and after: loop thread ---- */

static void job_free(struct audit_job *j)
{
    if (j->rc == TW_OK)
        clock_audit_free(&j->audit);
    free(j->ids);
    free(j->names);
    free(j->claims);
    free(j->raw);
    free(j);
}

static struct clock_claim claim_of(const struct agent *a)
{
    const Tw__ClockState *c = a->health ? a->health->clock : NULL;

    if (!c)
        return (struct clock_claim){ 0 };
    return (struct clock_claim){ true, c->synced, (double)c->max_error_ns / (double)TW_NS_PER_S };
}

static int cmp_agent(const void *a, const void *b)
{
    return cmp_id(&(*(const struct agent *const *)a)->row.id, &(*(const struct agent *const *)b)->row.id);
}

static enum tw_rc take_agents(struct audit_job *j)
{
    size_t cap = HASH_COUNT(j->k->inv->agents) + 1;
    const struct agent **v = malloc(cap * sizeof *v);

    j->ids = malloc(cap * sizeof *j->ids);
    j->names = malloc(cap * sizeof *j->names);
    j->claims = malloc(cap * sizeof *j->claims);
    if (!v || !j->ids || !j->names || !j->claims) {
        free(v);
        return TW_ENOMEM;
    }
    for (const struct agent *a = j->k->inv->agents; a; a = a->hh.next)
        if (a->row.approved)
            v[j->n_agents++] = a;
    qsort(v, j->n_agents, sizeof *v, cmp_agent);
    for (size_t i = 0; i < j->n_agents; i++) {
        j->ids[i] = v[i]->row.id;
        memcpy(j->names[i], v[i]->row.name, sizeof j->names[i]);
        j->claims[i] = claim_of(v[i]);
    }
    free(v);
    return TW_OK;
}

static void take_link(struct audit_job *j, const struct link *l, int64_t now_ns)
{
    struct raw r = { l->key, INFINITY, INFINITY };

    for (int i = 0; i < 2; i++) {
        const struct bucket *b = i ? &l->before : &l->now;
        if (b->until_ns <= now_ns)
            continue;
        r.forward_s = fmin(r.forward_s, b->forward_s);
        r.backward_s = fmin(r.backward_s, b->backward_s);
    }
    j->raw[j->n_raw++] = r;
}

/* And lets go of what nobody measures any more. */
static enum tw_rc take_links(struct audit_job *j)
{
    struct clocks *k = j->k;
    int64_t now_ns = loop_now(k->loop).mono.ns;
    struct link *l, *next;

    j->raw = malloc((HASH_COUNT(k->links) + 1) * sizeof *j->raw);
    if (!j->raw)
        return TW_ENOMEM;
    HASH_ITER(hh, k->links, l, next)
    {
        if (l->now.until_ns > now_ns) {
            take_link(j, l, now_ns);
            continue;
        }
        HASH_DEL(k->links, l);
        free(l);
    }
    return TW_OK;
}

static void answer(struct clocks *k, enum tw_rc rc)
{
    struct waiter *w = k->waiters, *next;

    k->waiters = NULL;
    for (; w; w = next) {
        next = w->next;
        w->done(w->ctx, rc, rc ? NULL : &k->last);
        free(w);
    }
}

static void take_result(struct clocks *k, const struct audit_job *j)
{
    const struct clock_audit *a = &j->audit;
    struct clocks_result r = { j->time_ns, j->n_agents,   a->components,
                               a->pairs,   a->pairs_used, { { "", "", 0, 0 } },
                               0 };

    for (; r.n_crooked < a->n_crooked; r.n_crooked++) {
        const struct clock_crooked *from = &a->crooked[r.n_crooked];
        struct clocks_crooked *to = &r.crooked[r.n_crooked];
        memcpy(to->a, j->names[from->a], sizeof to->a);
        memcpy(to->b, j->names[from->b], sizeof to->b);
        to->longer_s = from->longer_s;
        to->round_trip_s = from->round_trip_s;
    }
    k->last = r;
    k->last_at_ns = loop_now(k->loop).mono.ns;
}

/* Says once in the log when an agent's clock is found wrong, and when it is right again. */
static void tell(const struct agent *a, const struct agent_audit *found)
{
    bool was = a->audit.host.verdict == CLOCK_OFFSET, is = found->host.verdict == CLOCK_OFFSET;

    if (is && !was)
        log_warn("an agent's clock is wrong", LOG_S("agent", a->row.name),
                 LOG_F("offset_seconds", found->host.offset_s),
                 LOG_F("uncertainty_seconds", found->host.uncertainty_s),
                 LOG_U("pairs", found->host.pairs_used));
    else if (was && !is && found->host.verdict == CLOCK_OK)
        log_info("an agent's clock is right again", LOG_S("agent", a->row.name));
}

static void take_findings(struct clocks *k, const struct audit_job *j)
{
    for (struct agent *a = k->inv->agents; a; a = a->hh.next) {
        uint32_t i = number_of(j, a->row.id);
        struct agent_audit found = { 0 };
        if (i < j->n_agents)
            found = (struct agent_audit){ true, j->claims[i], j->audit.hosts[i] };
        tell(a, &found);
        a->audit = found;
    }
}

static void audit_done(struct reader_job *job)
{
    struct audit_job *j = (struct audit_job *)job;
    struct clocks *k = j->k;
    enum tw_rc rc = j->rc;

    k->running = false;
    if (rc == TW_OK) {
        take_result(k, j);
        take_findings(k, j);
    }
    job_free(j);
    answer(k, rc);
}

static enum tw_rc start(struct clocks *k)
{
    struct audit_job *j = calloc(1, sizeof *j);
    enum tw_rc rc;

    if (!j)
        return TW_ENOMEM;
    j->job = (struct reader_job){ .run = run_audit, .done = audit_done };
    j->k = k;
    j->rc = TW_ENOMEM; /* nothing to free in `audit` */
    j->time_ns = loop_now(k->loop).wall.ns;
    rc = take_agents(j);
    if (!rc)
        rc = take_links(j);
    if (!rc)
        rc = reader_submit(k->readers, &j->job);
    if (rc)
        job_free(j);
    k->running = !rc;
    return rc;
}

void clocks_ask(struct clocks *k, void (*done)(void *ctx, enum tw_rc rc, const struct clocks_result *r),
                void *ctx)
{
    struct waiter *w;
    enum tw_rc rc = TW_OK;

    if (!k->running && k->last.time_ns && loop_now(k->loop).mono.ns - k->last_at_ns < YOUNG_NS) {
        done(ctx, TW_OK, &k->last);
        return;
    }
    w = malloc(sizeof *w);
    if (!w) {
        done(ctx, TW_ENOMEM, NULL);
        return;
    }
    *w = (struct waiter){ done, ctx, k->waiters };
    k->waiters = w;
    if (!k->running)
        rc = start(k);
    if (rc)
        answer(k, rc);
}

/* ---- Worst first ---- */

static int rank(const struct agent *a)
{
    static const int ranks[CLOCK_VERDICTS] = {
        [CLOCK_OFFSET] = 0, [CLOCK_EITHER] = 1, [CLOCK_UNKNOWN] = 2, [CLOCK_OK] = 3
    };

    return a->audit.known && a->audit.host.pairs ? ranks[a->audit.host.verdict] : 4;
}

static int cmp_worst(const void *x, const void *y)
{
    const struct agent *a = *(const struct agent *const *)x, *b = *(const struct agent *const *)y;
    double oa = fabs(a->audit.host.offset_s), ob = fabs(b->audit.host.offset_s);

    if (rank(a) != rank(b))
        return rank(a) - rank(b);
    if (oa > ob || oa < ob)
        return oa > ob ? -1 : 1;
    return strcmp(a->row.name, b->row.name);
}

const struct agent **clocks_sorted(const struct inventory *inv, size_t *ret_n)
{
    const struct agent **v = malloc((HASH_COUNT(inv->agents) + 1) * sizeof(*v));

    *ret_n = 0;
    for (const struct agent *a = inv->agents; v && a; a = a->hh.next)
        if (a->row.approved)
            v[(*ret_n)++] = a;
    if (v)
        qsort(v, *ret_n, sizeof(*v), cmp_worst);
    return v;
}

/* ---- Life ---- */

/* When no audit succeeds for long, what the last one found is no news any more. */
static void drop_stale(struct clocks *k)
{
    if (loop_now(k->loop).mono.ns - k->last_at_ns < STALE_NS)
        return;
    for (struct agent *a = k->inv->agents; a; a = a->hh.next)
        a->audit = (struct agent_audit){ 0 };
}

static void on_timer(struct loop_timer *t)
{
    struct clocks *k = t->ctx;
    enum tw_rc rc = k->running ? TW_OK : start(k);

    drop_stale(k);
    if (rc && !k->no_memory_told)
        log_warn("the clocks cannot be audited now", LOG_S("reason", tw_rc_name(rc)));
    k->no_memory_told = rc != TW_OK;
    if (loop_timer_set(k->loop, t, (struct tw_mono){ loop_now(k->loop).mono.ns + CLOCKS_EVERY_NS }) != TW_OK)
        log_error("no memory for the timer of the clock audit: there is none but on demand until a restart");
}

enum tw_rc clocks_new(struct loop *loop, struct inventory *inv, struct reader_pool *readers,
                      struct clocks **ret)
{
    struct clocks *k = calloc(1, sizeof *k);
    enum tw_rc rc;

    if (!k)
        return TW_ENOMEM;
    *k = (struct clocks){ .loop = loop, .inv = inv, .readers = readers };
    k->timer = (struct loop_timer){ .fn = on_timer, .ctx = k };
    rc = loop_timer_set(loop, &k->timer, (struct tw_mono){ loop_now(loop).mono.ns + CLOCKS_EVERY_NS });
    if (rc)
        free(k);
    else
        *ret = k;
    return rc;
}

void clocks_free(struct clocks *k)
{
    struct link *l, *next;

    if (!k)
        return;
    loop_timer_cancel(k->loop, &k->timer);
    answer(k, TW_ECLOSED);
    HASH_ITER(hh, k->links, l, next)
    {
        HASH_DEL(k->links, l);
        free(l);
    }
    free(k);
}
