/* What the engine is fed with: results as they come, and silence and agents in rounds. */
#include "controller/alerts_priv.h"

#include <math.h>
#include "common/log.h"
#include "common/net/now.h"

#define SCAN_MAX 20000   /* pairs of one round: a million take a minute */
#define SCAN_PIECE 64    /* of them at a time, */
#define LOOKS_PIECE 2000 /* and of pairs and alerts by the engine, */
#define PIECE_NS                                                                              \
    (5 * TW_NS_PER_MS) /* until so much time has passed: then the loop has other things to do \
                        */
#define PAUSE_NS TW_NS_PER_MS
#define SHARE 10                     /* of the loop's time, at most: a tenth */
#define FRESH_NS (120 * TW_NS_PER_S) /* after our start: what has not come yet may be on its way */
#define AGENTS_NS (60 * TW_NS_PER_S) /* agents come back within that */
#define FLOWS_NS (3 * TW_NS_PER_S)   /* a period whose flows have not all come by then goes as it is */

/* ---- Feeding ---- */

/* The worse of what the mesh clock audit finds of the clocks of both ends, if it finds one of them wrong. */
static struct tw_num audited_offset(const struct alerts *a, const struct pair *p)
{
    const struct agent *ends[] = { alerts_agent(a, p->row.source), alerts_agent(a, p->row.target) };
    struct tw_num worst = { 0 };

    for (size_t i = 0; i < TW_NELEM(ends); i++) {
        const struct agent_audit *f = ends[i] ? &ends[i]->audit : NULL;
        double off = f ? fabs(f->host.offset_s) : 0;

        if (f && f->known && f->host.verdict == CLOCK_OFFSET && off > worst.value)
            worst = (struct tw_num){ true, off };
    }
    return worst;
}

static void feed(struct alerts *a, struct pair *p, int64_t now_ns)
{
    struct pair_live *l = p->live;
    struct alert_subject s = alerts_subject(a, p);
    struct alert_facts f = { .start_ns = l->last_start_ns,
                             .end_ns = l->last_end_ns,
                             .period_ns = l->report_period_ns,
                             .view = publish_view(p),
                             .completeness = publish_completeness(a->c->publish, p, now_ns),
                             .clock_offset = audited_offset(a, p) };

    l->judged_end_ns = l->last_end_ns;
    if (alert_engine_feed(a->engine, &s, &f, now_ns) != TW_OK)
        log_error("no memory for alerts: a report period was not judged");
}

static bool is_new(const struct pair *p)
{
    return p->live && p->live->last_end_ns != p->live->judged_end_ns; /* a clock that was ahead may go back */
}

void alerts_note(struct alerts *a, struct pair *p)
{
    if (a && a->doc.version && p->scheduled && !p->paused && is_new(p) && p->live->last_flows >= p->flows)
        feed(a, p, alerts_now(a));
}

static struct tw_num in_seconds(int64_t ns)
{
    return (struct tw_num){ true, ns > 0 ? (double)ns / (double)TW_NS_PER_S : 0 };
}

/* For how long nothing came that should, whatever clocks say; unknown: nothing should, or it cannot be told
 * yet. */
static struct tw_num silent_s(const struct alerts *a, const struct pair *p, int64_t now_ns)
{
    const struct pair_key key = pair_key_of(p);
    int64_t since_ns = p->scheduled_since_ns > a->started_ns ? p->scheduled_since_ns : a->started_ns,
            silent_ns;
    bool heard = p->live && p->live->last_end_ns;

    if (!heard && now_ns - a->started_ns < FRESH_NS && since_ns == a->started_ns)
        return (struct tw_num){ 0 };
    if (heard && now_ns - (alerts_mono(a) - p->live->heard.ns) > since_ns)
        since_ns = now_ns - (alerts_mono(a) - p->live->heard.ns);
    silent_ns = class_times_silence(p->times, &key, since_ns, now_ns);
    return silent_ns < 0 ? (struct tw_num){ 0 } : in_seconds(silent_ns);
}

/* Who an agent is connected to judges what it measures, and that it is not any more. */
static bool is_judged_here(const struct alerts *a, const struct agent *source)
{
    return !a->c->shared || (source && source->ours);
}

static void scan_pair(struct alerts *a, struct pair *p, int64_t now_ns)
{
    struct alert_subject s;

    if (!p->scheduled || p->paused || !is_judged_here(a, pair_source(p))) {
        alert_engine_forget(a->engine, p->row.id);
        return;
    }
    if (is_new(p) && now_ns - p->live->last_end_ns > FLOWS_NS)
        feed(a, p, now_ns);
    s = alerts_subject(a, p);
    if (alert_engine_absent(a->engine, &s, silent_s(a, p, now_ns), now_ns) != TW_OK)
        log_error("no memory for alerts: a pair was not looked at");
}

static void scan_piece(struct alerts *a, int64_t now_ns)
{
    size_t n = a->c->inv.pairs.n;

    for (unsigned i = 0; i < SCAN_PIECE && a->round.left; i++, a->round.left--) {
        if (a->scan_at >= n)
            a->scan_at = 0;
        scan_pair(a, pair_table_at(&a->c->inv.pairs, a->scan_at++), now_ns);
    }
}

static struct tw_num down_s(const struct alerts *a, const struct agent *ag, int64_t now_ns)
{
    int64_t since_ns = ag->last_contact_ns > a->started_ns ? ag->last_contact_ns : a->started_ns;

    if (ag->peer)
        return (struct tw_num){ true, 0 };
    if (now_ns - a->started_ns < AGENTS_NS && !(a->c->shared && ag->last_contact_ns > a->started_ns))
        return (struct tw_num){ 0 };
    return in_seconds(now_ns - since_ns);
}

static void scan_agents(struct alerts *a, int64_t now_ns)
{
    for (const struct agent *ag = a->c->inv.agents; ag; ag = ag->hh.next) {
        struct alert_subject s = alerts_agent_subject(ag);

        if (alerts_is_watched(ag) && is_judged_here(a, ag) &&
            alert_engine_agent(a->engine, &s, down_s(a, ag, now_ns), now_ns) != TW_OK)
            log_error("no memory for alerts: an agent was not looked at");
    }
}

/* ---- Once a second, or as often as a tenth of the loop's time allows ---- */

static void begin_round(struct alerts *a)
{
    size_t n = a->c->inv.pairs.n;

    a->round.on = true;
    a->round.scanned = false;
    a->round.left = n < SCAN_MAX ? n : SCAN_MAX;
    a->round.began_ns = tw_mono_now().ns;
    a->round.spent_ns = 0;
    if (alerts_mono(a) - a->minute_ns >= 60 * TW_NS_PER_S) {
        a->minute_ns = alerts_mono(a);
        a->freezes_of_minute = 0;
    }
}

static void end_round(struct alerts *a)
{
    a->round.on = false;
    alerts_resend_due(a);
    alert_pasts_go(a->pasts);
    alert_save_flush(a->save);
}

/* False: the round is over. */
static bool go_on(struct alerts *a, int64_t now_ns)
{
    bool more = true;

    if (a->round.left) {
        scan_piece(a, now_ns);
    } else if (!a->round.scanned) {
        scan_agents(a, now_ns);
        a->round.scanned = true;
    } else {
        alert_engine_work(a->engine, now_ns, LOOKS_PIECE, &more);
    }
    return more;
}

/* A million pairs and their alerts take longer than anybody at the loop should wait: a piece of the round at
 * a time. */
static void work(struct alerts *a, int64_t now_ns)
{
    int64_t start_ns = tw_mono_now().ns, spent_ns;
    bool more;

    if (!a->round.on)
        begin_round(a);
    do {
        more = go_on(a, now_ns);
        spent_ns = tw_mono_now().ns - start_ns;
    } while (more && spent_ns < PIECE_NS);
    a->round.spent_ns += spent_ns;
    if (!more)
        end_round(a);
}

static int64_t next_ns(const struct alerts *a)
{
    int64_t soon_ns = tw_mono_now().ns + PAUSE_NS, pause_ns = SHARE * a->round.spent_ns,
            due_ns = a->round.began_ns + (pause_ns > TICK_NS ? pause_ns : TICK_NS);

    return a->round.on || due_ns < soon_ns ? soon_ns : due_ns;
}

/* There are no rules. */
static void idle(struct alerts *a)
{
    a->round.began_ns = tw_mono_now().ns;
    a->round.spent_ns = 0;
    alert_save_flush(a->save);
}

void alerts_tick(struct loop_timer *t)
{
    struct alerts *a = t->ctx;

    if (a->doc.version)
        work(a, alerts_now(a));
    else
        idle(a);
    alerts_adopt_look(a->adopt, alerts_mono(a));
    if (loop_timer_set(a->c->loop, t, (struct tw_mono){ next_ns(a) }) != TW_OK)
        log_error("no memory for the timer of alerts: they stand still until a restart");
}
