#include "controller/publish.h"
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"
#include "controller/publish_page.h"

#define MINUTE_NS (60 * TW_NS_PER_S)
#define MINUTES 60         /* of pair_live.minute[] */
#define AHEAD_NS MINUTE_NS /* a period that ends later came of a clock that was ahead: it hides nothing */
#define RUN_BY_RUN_NS (30 * TW_NS_PER_S)
#define SITE_LABEL "site"
#define GRACE_NS (5 * TW_NS_PER_S) /* a summary's way from the agent into the store, with room */

/* What stands behind pair.live. */
struct live {
    struct pair_live pub; /* first */
    struct stats_view view;
    bool judged; /* a whole period has come since the start */
};

/* ---- Live state of a pair ---- */

static struct live *live_of(const struct pair *pair)
{
    return (struct live *)pair->live;
}

static struct live *make_live(struct pair *pair)
{
    struct live *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    summary_init(&l->pub.last);
    for (size_t i = 0; i < MINUTES; i++)
        l->pub.minute[i] = -1;
    for (int d = 0; d < 3; d++)
        hist_init(&l->pub.delay[d]);
    pair->live = &l->pub;
    return l;
}

static void free_live(struct pair *pair)
{
    if (!pair->live)
        return;
    summary_free(&pair->live->last);
    for (int d = 0; d < 3; d++)
        hist_free(&pair->live->delay[d]);
    free(live_of(pair));
    pair->live = NULL;
}

const struct stats_view *publish_view(const struct pair *pair)
{
    return pair->live ? &live_of(pair)->view : NULL;
}

/* The same bound as in pair_state(): a period's summary comes a timeout after its end, a period at most. What
 * is as far in the future comes from a clock that was wrong. */
bool publish_is_fresh(const struct pair *pair, int64_t now_ns)
{
    int64_t bound = 2 * pair->report_period_ns + TW_NS_PER_S;

    return pair->live && pair->live->last_end_ns && now_ns - pair->live->last_end_ns < bound &&
           pair->live->last_end_ns - now_ns < bound;
}

/* A period that ends on the minute belongs to the minute before it. */
static int64_t minute_of(int64_t end_ns)
{
    return (end_ns - 1) / MINUTE_NS;
}

static void note_minute(struct pair_live *l, int64_t end_ns)
{
    int64_t minute = minute_of(end_ns);
    size_t i = (size_t)(minute % MINUTES);

    if (minute < l->minute[i])
        return; /* of an hour that is over: out of a spool */
    if (minute > l->minute[i]) {
        l->minute[i] = minute;
        l->minute_periods[i] = 0;
    }
    l->minute_periods[i]++;
}

static void note_trouble(struct pair_trouble *t, bool has, int64_t start_ns, bool or_before)
{
    if (!has)
        *t = (struct pair_trouble){ 0 };
    else if (!t->since_ns)
        *t = (struct pair_trouble){ .since_ns = start_ns, .or_before = or_before };
}

/* A period counts when all flows are there: until then others may have what one of them has not. */
static void note_troubles(struct live *l, const struct pair *pair)
{
    struct pair_live *pub = &l->pub;
    const struct tw_summary *s = &pub->last;

    if (pub->last_flows < pair->flows)
        return;
    note_trouble(&pub->silent, s->sent && !s->received, s->start_ns, !l->judged);
    note_trouble(&pub->lossy, s->sent > s->received, s->start_ns, !l->judged);
    l->judged = true;
}

static void note_last(struct live *l, const struct pair *pair, const struct tw_summary *s,
                      const struct stats_view *view)
{
    struct pair_live *pub = &l->pub;

    if (s->end_ns < pub->last_end_ns && pub->last_end_ns <= tw_wall_now().ns + AHEAD_NS)
        return;
    metrics_take_last(&pub->last, &pub->last_flows, &l->view, s, view);
    pub->last_start_ns = pub->last.start_ns;
    pub->last_end_ns = pub->last.end_ns;
    note_troubles(l, pair);
}

static uint64_t stored_periods(const struct pair_live *l, int64_t from_minute, int64_t to_minute)
{
    uint64_t n = 0;

    for (size_t i = 0; l && i < MINUTES; i++)
        if (l->minute[i] >= from_minute && l->minute[i] < to_minute)
            n += l->minute_periods[i];
    return n;
}

static int64_t minute_up(int64_t ns)
{
    return (ns + MINUTE_NS - 1) / MINUTE_NS;
}

/* Run by run, unless they are so many that a page of thousands of pairs would take long. */
static uint64_t expected_of_flow(const struct pair *pair, uint32_t flow, int64_t from_ns, int64_t to_ns)
{
    const struct pair_key key = pair_key_of(pair);
    const struct times *t = pair->times->times;
    struct times_pace pace = class_times_pace(pair->times, &key, flow);

    if (t->kind != TIMES_INTERVAL || t->every_ns >= RUN_BY_RUN_NS)
        return times_expected(t, &pace, pair->report_period_ns, from_ns, to_ns);
    return (uint64_t)(times_duty(t, &pace, pair->report_period_ns).summaries_per_day *
                      (double)(to_ns - from_ns) / (24.0 * 60 * (double)MINUTE_NS));
}

static uint64_t expected_periods(const struct pair *pair, int64_t from_ns, int64_t to_ns)
{
    int64_t period_ns = pair->report_period_ns;
    uint64_t sum = 0;

    if (!pair->times || !pair->times->id)
        return (uint64_t)(to_ns / period_ns - from_ns / period_ns) * pair->flows;
    for (uint32_t flow = 0; flow < pair->flows; flow++)
        sum += expected_of_flow(pair, flow, from_ns, to_ns);
    return sum;
}

void publish_stepped(struct publish *p, int64_t by_ns)
{
    p->started_ns += by_ns;
}

bool publish_periods(const struct publish *p, const struct pair *pair, int64_t now_ns, struct publish_periods *ret)
{
    int64_t period_ns = pair->report_period_ns;
    int64_t since_ns = pair->scheduled_since_ns > p->started_ns ? pair->scheduled_since_ns : p->started_ns;
    int64_t from = minute_up(since_ns), to = (now_ns - period_ns - GRACE_NS) / MINUTE_NS;
    int64_t oldest = minute_of(now_ns) - (MINUTES - 1);

    if (from < oldest)
        from = oldest;
    if (!pair->scheduled || period_ns <= 0 || to <= from)
        return false;
    *ret = (struct publish_periods){ .from_ns = from * MINUTE_NS,
                                     .to_ns = to * MINUTE_NS,
                                     .expected = expected_periods(pair, from * MINUTE_NS, to * MINUTE_NS),
                                     .stored = stored_periods(pair->live, from, to) };
    return ret->expected > 0;
}

struct tw_num publish_completeness(const struct publish *p, const struct pair *pair, int64_t now_ns)
{
    struct publish_periods n;
    double ratio;

    if (!publish_periods(p, pair, now_ns, &n))
        return (struct tw_num){ 0 };
    ratio = (double)n.stored / (double)n.expected;
    return (struct tw_num){ true, ratio < 1 ? ratio : 1 };
}

/* ---- Groups ---- */

static void set_name(char dst[STORE_NAME_MAX], const char *src)
{
    memcpy(dst, src, strnlen(src, STORE_NAME_MAX - 1));
}

/* "": the agent has no such label, or there is no such agent. */
static const char *site_of(const struct publish *p, const char *name)
{
    const struct agent *a = inventory_agent(p->conf.inventory, name);
    const char *site = a ? label_value(a->labels, a->n_labels, SITE_LABEL) : NULL;

    return site ? site : "";
}

struct group *publish_group(struct publish *p, enum group_by by, const struct store_pair *pair)
{
    struct group_key key = { 0 };
    struct group *g;

    set_name(key.mesh, pair->mesh);
    set_name(key.class_name, pair->class_name);
    if (by != BY_MESH)
        set_name(key.source, by == BY_SITE ? site_of(p, pair->source) : pair->source);
    if (by == BY_SITE)
        set_name(key.target, site_of(p, pair->target));
    HASH_FIND(hh, p->groups[by], &key, sizeof key, g);
    if (g)
        return g;
    g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->key = key;
    for (int d = 0; d < 3; d++)
        hist_init(&g->delay[d]);
    HASH_ADD(hh, p->groups[by], key, sizeof key, g);
    return g;
}

void publish_free_group(struct publish *p, enum group_by by, struct group *g)
{
    HASH_DEL(p->groups[by], g);
    for (int d = 0; d < 3; d++)
        hist_free(&g->delay[d]);
    free(g);
}

static void free_groups(struct publish *p)
{
    struct group *g, *next;

    for (enum group_by by = 0; by < GROUP_KINDS; by++)
        HASH_ITER(hh, p->groups[by], g, next)
    publish_free_group(p, by, g);
}

/* ---- Events ---- */

static void add_to_groups(struct publish *p, const struct pair *pair, const struct tw_summary *s, const struct stats_view *view)
{
    for (enum group_by by = 0; by < GROUP_KINDS; by++) {
        struct group *g = publish_group(p, by, &pair->row);

        if (!g)
            continue;
        g->fed = true;
        metrics_group_add(&g->sum, g->delay, p->conf.native_buckets, s, view);
    }
}

void publish_backlog(struct publish *p, struct pair *pair, const struct tw_summary *s)
{
    struct live *l = live_of(pair);
    struct stats_view view;

    if (!pair->scheduled || pair->paused)
        return; /* the end of a session that was taken off: history only */
    if (!l && !(l = make_live(pair)))
        return;
    stats_view(s, &view);
    l->pub.report_period_ns = pair->report_period_ns;
    metrics_count(&l->pub.n, s);
    note_minute(&l->pub, s->end_ns);
    note_last(l, pair, s, &view);
    for (int d = 0; d < 3; d++)
        if (metrics_counts(&view, d))
            metrics_add_native(&l->pub.delay[d], &s->delay[d], p->conf.native_buckets);
    add_to_groups(p, pair, s, &view);
}

void publish_summary(struct publish *p, struct pair *pair, const struct tw_summary *s)
{
    if (!pair->scheduled || pair->paused)
        return;
    publish_backlog(p, pair, s);
    if (!pair->live)
        return;
    pair->live->heard = loop_now(p->conf.loop).mono;
    late_add(&p->late, pair->row.source, &s->send_lateness, pair->report_period_ns, pair->live->heard);
}

void publish_forget(struct publish *p, struct pair *pair)
{
    (void)p; /* groups without pairs go with the next page */
    free_live(pair);
}

/* ---- Life ---- */

void publish_set_max_pair_series(struct publish *p, uint64_t max)
{
    p->conf.max_pair_series = max ? max : 100000;
}

static void forget_native(struct publish *p)
{
    struct group *g, *next;

    for (size_t i = 0; i < p->conf.inventory->pairs.n; i++) {
        struct pair *pair = pair_table_at(&p->conf.inventory->pairs, i);
        for (int d = 0; pair->live && d < 3; d++)
            hist_reset(&pair->live->delay[d]);
    }
    for (enum group_by by = 0; by < GROUP_KINDS; by++)
        HASH_ITER(hh, p->groups[by], g, next)
    for (int d = 0; d < 3; d++)
        hist_reset(&g->delay[d]);
}

void publish_set_native_buckets(struct publish *p, uint32_t most)
{
    if (!most && p->conf.native_buckets)
        forget_native(p);
    p->conf.native_buckets = most;
}

enum tw_rc publish_new(const struct publish_conf *c, struct publish **ret)
{
    struct publish *p = calloc(1, sizeof *p);

    if (!p)
        return TW_ENOMEM;
    p->conf = *c;
    publish_set_max_pair_series(p, c->max_pair_series);
    if (!p->conf.page_interval_ns)
        p->conf.page_interval_ns = 5 * TW_NS_PER_S;
    p->started_ns = tw_wall_now().ns;
    *ret = p;
    return TW_OK;
}

void publish_free(struct publish *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->conf.inventory->pairs.n; i++)
        free_live(pair_table_at(&p->conf.inventory->pairs, i));
    free_groups(p);
    late_free(&p->late);
    publish_free_pages(p);
    free(p);
}
