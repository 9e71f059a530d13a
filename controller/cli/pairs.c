#include "controller/cli/pairs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/summary_pb.h"

static const char host_note[] =
    "! the source host was in trouble in that span (it dropped datagrams, refused "
    "to send, was starved or stalled, "
    "or its\n  loopback is noisy): loss and delays may be its own. host_trouble "
    "in --output json says which\n";
static const char one_way_note[] =
    "? one-way delay is not reliable: the clocks of both ends are not known to "
    "agree (round trips and jitter are good)\n";

/* ---- Decoding ---- */

enum tw_rc pairs_view(const Tw__Summary *m, struct stats_view *ret, struct tw_err *err)
{
    struct tw_summary s;
    enum tw_rc rc = TW_OK;

    summary_init(&s);
    if (m)
        rc = summary_from_pb(m, &s, err);
    if (rc == TW_OK)
        stats_view(&s, ret);
    summary_free(&s);
    return rc;
}

/* Nothing merged is no summary, however it is written. */
static const Tw__Summary *merged_of(const Tw__PairReport *p)
{
    return p->merged && p->merged->end_ns ? p->merged : NULL;
}

enum tw_rc pairs_decode(const Tw__ReportReply *reply, struct pairs *ret, struct tw_err *err)
{
    struct pairs p = { .reply = reply, .rows = calloc(reply->n_pairs + 1, sizeof *p.rows) };

    if (!p.rows)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    for (; p.n < reply->n_pairs; p.n++) {
        struct pair_row *row = &p.rows[p.n];
        row->report = reply->pairs[p.n];
        row->measured = merged_of(row->report) != NULL;
        if (!row->report->pair || pairs_view(merged_of(row->report), &row->view, err) != TW_OK) {
            pairs_free(&p);
            return TW_ECORRUPT;
        }
    }
    *ret = p;
    return TW_OK;
}

void pairs_free(struct pairs *p)
{
    free(p->rows);
    *p = (struct pairs){ 0 };
}

/* ---- Records ---- */

static struct tw_num completeness(const Tw__PairReport *p)
{
    double ratio;

    if (!p->periods_expected)
        return (struct tw_num){ 0 };
    ratio = (double)p->periods_stored / (double)p->periods_expected;
    return (struct tw_num){ true, ratio < 1 ? ratio : 1 };
}

static const Tw__PairInfo no_info = TW__PAIR_INFO__INIT;
static const Tw__PairReport no_report = TW__PAIR_REPORT__INIT;
const struct pair_row pairs_no_row = { .report = &no_report };

static void put_maintenance(struct out_records *r, const Tw__PairReport *p, const Tw__PairInfo *pair)
{
    bool of_agent = p->maintenance && *pair->maintenance_agent;

    out_text(r, "maintenance_agent", of_agent ? pair->maintenance_agent : NULL);
    out_text(r, "maintenance_reason", p->maintenance ? pair->maintenance_reason : NULL);
    out_ns(r, "maintenance_until_ns", p->maintenance ? pair->maintenance_until_ns : 0);
}

void pairs_put_row(struct out_records *r, const void *row, const void *ctx)
{
    const struct pair_row *w = row;
    const struct pairs *all = ctx;
    const Tw__PairReport *p = w->report;
    const Tw__PairInfo *pair = p->pair ? p->pair : &no_info;

    pairs_put_names(r, pair);
    if (all->reply->flows)
        out_u64(r, "flow", p->flow);
    pairs_put_state(r, "state", p->state);
    out_bool(r, "maintenance", p->maintenance);
    if (p->maintenance)
        out_show(r, "state", OUT_DIM, "%s M", p->state);
    out_text(r, "status", w->measured ? tw_status_name(w->view.status) : NULL);
    out_ns(r, "start_ns", w->view.start_ns);
    out_ns(r, "end_ns", w->view.end_ns);
    out_ns(r, "covers_from_ns", p->covers_from_ns);
    out_ns(r, "covers_to_ns", p->covers_to_ns);
    out_bool(r, "scheduled", pair->scheduled);
    out_u64(r, "pair_id", pair->pair_id);
    out_u64(r, "periods_expected", p->periods_expected);
    out_u64(r, "periods_stored", p->periods_stored);
    out_u64(r, "summaries_dropped", p->summaries_dropped);
    out_num(r, "completeness_ratio", completeness(p));
    out_style(r, "completeness_ratio", p->periods_stored < p->periods_expected ? OUT_DOUBT : OUT_PLAIN);
    if (!all->reply->flows)
        pairs_put_missing(r, p->missing);
    pairs_put_view(r, &w->view);
    put_maintenance(r, p, pair);
}

void pairs_put_head(struct out_records *r, const void *ctx)
{
    const struct pairs *p = ctx;

    out_ns(r, "from_ns", p->reply->from_ns);
    out_ns(r, "to_ns", p->reply->to_ns);
    out_bool(r, "truncated", p->reply->truncated);
}

#define COVERS_SHOWN 3
struct cover {
    int64_t from_ns, to_ns;
    size_t n;
};

/* 0: nothing is kept of it, or the controller is too old to say. */
static bool is_other_cover(const Tw__ReportReply *r, const Tw__PairReport *p)
{
    return p->covers_to_ns && (p->covers_from_ns != r->from_ns || p->covers_to_ns != r->to_ns);
}

void pairs_print_covers(const struct pairs *p)
{
    struct cover v[COVERS_SHOWN];
    size_t n = 0, others = 0, k;
    char from[OUT_NUM], to[OUT_NUM];

    for (size_t i = 0; i < p->n; i++) {
        const Tw__PairReport *r = p->rows[i].report;
        if (!is_other_cover(p->reply, r))
            continue;
        for (k = 0; k < n && (v[k].from_ns != r->covers_from_ns || v[k].to_ns != r->covers_to_ns); k++)
            ;
        if (k < n)
            v[k].n++;
        else if (n < COVERS_SHOWN)
            v[n++] = (struct cover){ r->covers_from_ns, r->covers_to_ns, 1 };
        else
            others++;
    }
    for (k = 0; k < n; k++)
        printf("The numbers of %zu %s%s are of %s to %s: what is kept of that time, with roll-ups as a whole\n", v[k].n,
               p->reply->flows ? "flow" : "pair", v[k].n == 1 ? "" : "s", out_time(v[k].from_ns, from),
               out_time(v[k].to_ns, to));
    if (others)
        printf("Those of %zu more are of still other spans: covers_from_ns and covers_to_ns with -o json\n", others);
}

/* ---- What tables make of them ---- */

void pairs_put_missing(struct out_records *r, const Tw__Missing *m)
{
    static const Tw__Missing nothing = TW__MISSING__INIT;

    m = m ? m : &nothing;
    out_u64(r, "missing_refused", m->refused);
    out_u64(r, "missing_dropped", m->dropped);
    out_u64(r, "missing_agent_down", m->agent_down);
    out_u64(r, "missing_awaited", m->awaited);
    out_u64(r, "missing_unknown", m->unknown);
}

void pairs_put_names(struct out_records *r, const Tw__PairInfo *p)
{
    out_text(r, "mesh", p->mesh);
    out_text(r, "class", p->class_name);
    out_text(r, "source", p->source);
    out_text(r, "target", p->target);
    out_show(r, "MESH/CLASS", OUT_PLAIN, "%s/%s", p->mesh, p->class_name);
    out_show(r, "PAIR", OUT_PLAIN, "%s > %s", p->source, p->target);
}

static const struct {
    const char *state;
    enum out_style style;
    int severity;
} states[] = {
    { "ok", OUT_PLAIN, 0 },       { "paused", OUT_DIM, 1 }, { "drained", OUT_DIM, 1 },     { "not_scheduled", OUT_DIM, 1 }, { "elsewhere", OUT_DIM, 1 },
    { "idle", OUT_DIM, 0 },
    { "partial", OUT_DOUBT, 2 },  { "no_data", OUT_DOUBT, 3 },  { "not_run", OUT_DOUBT, 3 },
    { "send_error", OUT_BAD, 4 }, { "name_error", OUT_BAD, 4 }, { "refused", OUT_BAD, 4 },
    { "all_lost", OUT_BAD, 5 },   { "agent_down", OUT_BAD, 5 },
};

void pairs_put_state(struct out_records *r, const char *name, const char *state)
{
    out_text(r, name, state);
    for (size_t i = 0; i < TW_NELEM(states); i++)
        if (!strcmp(states[i].state, state))
            out_style(r, name, states[i].style);
}

int pairs_severity(const struct pair_row *row)
{
    for (size_t i = 0; i < TW_NELEM(states); i++)
        if (!strcmp(states[i].state, row->report->state))
            return states[i].severity;
    return 1;
}

/* ---- Marks ---- */

static bool host_in_trouble(const struct stats_view *v)
{
    return v->host_trouble && strcmp(v->host_trouble, tw_trouble_name(TW_TROUBLE_NONE)) != 0;
}

static bool is_above_0(struct tw_num n)
{
    return n.known && n.value > 0;
}

static void mark_ratio(struct out_records *r, const char *name, struct tw_num ratio)
{
    out_style(r, name, is_above_0(ratio) ? OUT_BAD : OUT_PLAIN);
}

static void mark_loss(struct out_records *r, const struct stats_view *v)
{
    char text[OUT_NUM];

    mark_ratio(r, "loss_ratio", v->loss_ratio);
    mark_ratio(r, "loss_forward_ratio", v->loss_forward_ratio);
    mark_ratio(r, "loss_backward_ratio", v->loss_backward_ratio);
    mark_ratio(r, "loss_unknown_ratio", v->loss_unknown_ratio);
    if (host_in_trouble(v))
        out_show(r, "loss_ratio", is_above_0(v->loss_ratio) ? OUT_BAD : OUT_DOUBT, "%s!",
                 out_percent(v->loss_ratio, text));
}

static void mark_lost(struct out_records *r, const struct stats_view *v, const char *name, uint64_t n)
{
    if (host_in_trouble(v))
        out_show(r, name, n ? OUT_BAD : OUT_DOUBT, "%" PRIu64 "!", n);
    else
        out_style(r, name, n ? OUT_BAD : OUT_PLAIN);
}

static void mark_one_way(struct out_records *r, const char *name, struct tw_num delay)
{
    char text[OUT_NUM];

    if (delay.known)
        out_show(r, name, OUT_DOUBT, "%s?", out_seconds(delay, text));
}

void pairs_put_view(struct out_records *r, const struct stats_view *v)
{
    out_view(r, v);
    mark_loss(r, v);
    mark_lost(r, v, "lost_forward", v->lost_forward);
    mark_lost(r, v, "lost_backward", v->lost_backward);
    mark_lost(r, v, "lost_unknown", v->lost_unknown);
    if (v->one_way_valid)
        return;
    mark_one_way(r, "delay_forward_p50_seconds", v->delay[TW_FORWARD].p50_s);
    mark_one_way(r, "delay_forward_p95_seconds", v->delay[TW_FORWARD].p95_s);
    mark_one_way(r, "delay_backward_p50_seconds", v->delay[TW_BACKWARD].p50_s);
    mark_one_way(r, "delay_backward_p95_seconds", v->delay[TW_BACKWARD].p95_s);
}

void pairs_note_marks(struct pairs_marks *m, const struct stats_view *v)
{
    m->host |= host_in_trouble(v);
    m->one_way |=
        !v->one_way_valid && (v->delay[TW_FORWARD].p50_s.known || v->delay[TW_BACKWARD].p50_s.known);
}

static bool same_maintenance(const Tw__PairInfo *a, const Tw__PairInfo *b)
{
    return a->maintenance_until_ns == b->maintenance_until_ns && !strcmp(a->maintenance_agent, b->maintenance_agent) &&
           !strcmp(a->maintenance_reason, b->maintenance_reason) &&
           (*a->maintenance_agent || !strcmp(a->mesh, b->mesh));
}

void pairs_note_maintenance(struct pairs_marks *m, const Tw__PairReport *p)
{
    if (!p->maintenance || !p->pair)
        return;
    for (size_t i = 0; i < m->n_maintenance; i++)
        if (same_maintenance(m->maintenance[i], p->pair))
            return;
    if (m->n_maintenance < PAIRS_MAINTENANCE)
        m->maintenance[m->n_maintenance++] = p->pair;
    else
        m->more_maintenance++;
}

static void print_maintenance(const struct pairs_marks *m, FILE *to)
{
    char text[OUT_NUM];

    for (size_t i = 0; i < m->n_maintenance; i++) {
        const Tw__PairInfo *p = m->maintenance[i];
        bool agent = *p->maintenance_agent;

        fprintf(to, "M maintenance of %s ", agent ? "agent" : "mesh");
        out_safe(to, agent ? p->maintenance_agent : p->mesh, false);
        if (p->maintenance_until_ns)
            fprintf(to, " until %s", out_time(p->maintenance_until_ns, text));
        if (*p->maintenance_reason) {
            fputs(": ", to);
            out_safe(to, p->maintenance_reason, false);
        }
        fputc('\n', to);
    }
    if (m->more_maintenance)
        fprintf(to, "  and more maintenance: twampctl status\n");
}

void pairs_print_marks(const struct pairs_marks *m, const struct out_listing *l, const struct out_table *t,
                       FILE *to)
{
    print_maintenance(m, to);
    if (m->one_way && out_listing_shows(l, t, "delay_forward_p50_seconds"))
        fputs(one_way_note, to);
    if (m->host)
        fputs(host_note, to);
}
