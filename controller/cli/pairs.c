#include "controller/cli/pairs.h"

#include <stdlib.h>
#include <string.h>
#include "common/net/summary_pb.h"

const char pairs_host_note[] = "! the source host was in trouble in that span (it dropped datagrams, refused "
                               "to send, was starved or stalled, "
                               "or its\n  loopback is noisy): loss and delays may be its own. host_trouble "
                               "in --output json says which\n";
const char pairs_one_way_note[] = "? one-way delay is not reliable: the clocks of both ends are not known to "
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

static void put_record(struct out_records *r, const Tw__PairInfo *pair, const struct pair_row *row,
                       bool flows)
{
    const Tw__PairReport *p = row->report;

    out_record(r);
    out_text(r, "mesh", pair->mesh);
    out_text(r, "class", pair->class_name);
    out_text(r, "source", pair->source);
    out_text(r, "target", pair->target);
    if (flows)
        out_u64(r, "flow", p->flow);
    out_text(r, "state", p->state);
    out_text(r, "status", row->measured ? tw_status_name(row->view.status) : NULL);
    out_ns(r, "start_ns", row->view.start_ns);
    out_ns(r, "end_ns", row->view.end_ns);
    out_bool(r, "scheduled", pair->scheduled);
    out_u64(r, "pair_id", pair->pair_id);
    out_u64(r, "periods_expected", p->periods_expected);
    out_u64(r, "periods_stored", p->periods_stored);
    out_u64(r, "summaries_dropped", p->summaries_dropped);
    out_num(r, "completeness_ratio", completeness(p));
    out_view(r, &row->view);
}

static const Tw__PairInfo no_info = TW__PAIR_INFO__INIT;
static const Tw__PairReport no_report = TW__PAIR_REPORT__INIT;
static const struct pair_row no_row = { .report = &no_report };

void pairs_records(const struct pairs *p, struct out_records *r)
{
    r->skip = p->n ? 0 : 1;
    if (!p->n)
        put_record(r, &no_info, &no_row, p->reply->flows);
    for (size_t i = 0; i < p->n; i++)
        put_record(r, p->rows[i].report->pair, &p->rows[i], p->reply->flows);
}

cJSON *pairs_json(const struct pairs *p, const struct out_records *r)
{
    struct out_records head = { 0 };
    cJSON *root, *list = out_json_array(r);

    out_record(&head);
    out_ns(&head, "from_ns", p->reply->from_ns);
    out_ns(&head, "to_ns", p->reply->to_ns);
    out_bool(&head, "truncated", p->reply->truncated);
    root = out_json_object(&head, 0);
    out_records_free(&head);
    if (list && cJSON_AddItemToObject(root, "pairs", list))
        return root;
    cJSON_Delete(list);
    cJSON_Delete(root);
    return NULL;
}

/* ---- Cells ---- */

void pairs_cell_names(struct out_table *t, const Tw__PairInfo *p)
{
    out_cell(t, OUT_PLAIN, "%s/%s", p->mesh, p->class_name);
    out_cell(t, OUT_PLAIN, "%s > %s", p->source, p->target);
}

static const struct {
    const char *state;
    enum out_style style;
    int severity;
} states[] = {
    { "ok", OUT_PLAIN, 0 },       { "paused", OUT_DIM, 1 },     { "not_scheduled", OUT_DIM, 1 },
    { "partial", OUT_DOUBT, 2 },  { "no_data", OUT_DOUBT, 3 },  { "not_run", OUT_DOUBT, 3 },
    { "send_error", OUT_BAD, 4 }, { "name_error", OUT_BAD, 4 }, { "refused", OUT_BAD, 4 },
    { "all_lost", OUT_BAD, 5 },   { "agent_down", OUT_BAD, 5 },
};

void pairs_cell_state(struct out_table *t, const char *state)
{
    enum out_style style = OUT_PLAIN;

    for (size_t i = 0; i < TW_NELEM(states); i++)
        if (!strcmp(states[i].state, state))
            style = states[i].style;
    out_cell(t, style, "%s", *state ? state : "-");
}

int pairs_severity(const struct pair_row *row)
{
    for (size_t i = 0; i < TW_NELEM(states); i++)
        if (!strcmp(states[i].state, row->report->state))
            return states[i].severity;
    return 1;
}

void pairs_cell_loss(struct out_table *t, struct tw_num ratio)
{
    char text[OUT_NUM];

    out_cell(t, ratio.known && ratio.value > 0 ? OUT_BAD : OUT_PLAIN, "%s", out_percent(ratio, text));
}

const char *pairs_host_mark(const struct stats_view *v)
{
    return v->host_trouble && strcmp(v->host_trouble, tw_trouble_name(TW_TROUBLE_NONE)) ? "!" : "";
}

bool pairs_cell_total_loss(struct out_table *t, const struct stats_view *v)
{
    const char *mark = pairs_host_mark(v);
    char text[OUT_NUM];

    out_cell(t,
             v->loss_ratio.known && v->loss_ratio.value > 0 ? OUT_BAD
             : *mark                                        ? OUT_DOUBT
                                                            : OUT_PLAIN,
             "%s%s", out_percent(v->loss_ratio, text), mark);
    return *mark;
}

void pairs_cell_seconds(struct out_table *t, struct tw_num s)
{
    char text[OUT_NUM];

    out_cell(t, OUT_PLAIN, "%s", out_seconds(s, text));
}

bool pairs_cell_one_way(struct out_table *t, const struct stats_view *v, struct tw_num delay)
{
    bool doubt = delay.known && !v->one_way_valid;
    char text[OUT_NUM];

    out_cell(t, doubt ? OUT_DOUBT : OUT_PLAIN, "%s%s", out_seconds(delay, text), doubt ? "?" : "");
    return doubt;
}
