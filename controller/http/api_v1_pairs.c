/* /api/v1/pairs: every pair of the schedule as it is now. */
#include <stdlib.h>
#include <string.h>
#include "controller/http/api.h"

/* A copy: printed on a reader while pairs come and go. */
struct pair_row {
    struct store_pair pair;
    bool scheduled, paused, fresh, live, maintenance;
    const char *state;
    uint32_t flows;
    int64_t report_period_ns, scheduled_since_ns, last_start_ns, last_end_ns;
    struct tw_num completeness_ratio;
    uint64_t sent, received, lost, late, duplicates;
    struct stats_view view;
    struct maintenance_note *note; /* NULL: no maintenance goes on */
};
struct pairs_answer {
    int64_t now_ns;
    uint64_t generation;
    bool truncated;
    size_t n;
    struct pair_row rows[];
};

static void take_live(struct pair_row *r, const struct pair *p)
{
    const struct pair_live *l = p->live;

    r->live = true;
    r->last_start_ns = l->last_start_ns;
    r->last_end_ns = l->last_end_ns;
    r->sent = l->n.sent;
    r->received = l->n.received;
    r->lost = l->n.lost[TW_FORWARD] + l->n.lost[TW_BACKWARD] + l->n.lost[TW_UNKNOWN];
    r->late = l->n.late;
    r->duplicates = l->n.duplicates;
    r->view = *publish_view(p);
}

static void take_pair(struct pair_row *r, const struct controller *c, const struct pair *p, int64_t now_ns)
{
    *r = (struct pair_row){
        .pair = p->row,
        .scheduled = p->scheduled,
        .paused = p->paused,
        .fresh = publish_is_fresh(p, now_ns),
        .state = pair_state(p, now_ns),
        .maintenance = pair_in_maintenance(p, now_ns),
        .note = maintenance_note_pair(p, now_ns),
        .flows = p->flows,
        .report_period_ns = p->report_period_ns,
        .scheduled_since_ns = p->scheduled ? p->scheduled_since_ns : 0,
        .completeness_ratio = publish_completeness(c->publish, p, now_ns),
    };
    if (p->live)
        take_live(r, p);
}

/* The first `limit` by name, so that a cut answer is a beginning. */
static struct pairs_answer *snapshot(const struct controller *c, const struct report_filter *f,
                                     int64_t now_ns)
{
    size_t limit = f->limit ? f->limit : REPORT_LIMIT_DEFAULT, n = 0;
    const struct pair **v;
    struct pairs_answer *a;

    if (report_select(&c->inv, f, &v, &n) != TW_OK)
        return NULL;
    a = calloc(1, sizeof *a + (n < limit ? n : limit) * sizeof a->rows[0]);
    for (size_t i = 0; a && i < n && !a->truncated; i++) {
        if (!v[i]->scheduled && !v[i]->paused && !v[i]->drained)
            continue;
        a->truncated = a->n == limit;
        if (!a->truncated)
            take_pair(&a->rows[a->n++], c, v[i], now_ns);
    }
    free(v);
    if (a) {
        a->now_ns = now_ns;
        a->generation = c->inv.generation;
    }
    return a;
}

static cJSON *last_period(const struct pair_row *r)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "status", tw_status_name(r->view.status));
    json_time(o, "start", "start_ns", r->last_start_ns);
    json_time(o, "end", "end_ns", r->last_end_ns);
    json_stats(o, &r->view);
    return o;
}

static cJSON *totals(const struct pair_row *r)
{
    cJSON *o = cJSON_CreateObject();

    json_u64(o, "sent", r->sent);
    json_u64(o, "received", r->received);
    json_u64(o, "lost", r->lost);
    json_u64(o, "late", r->late);
    json_u64(o, "duplicates", r->duplicates);
    return o;
}

static cJSON *pair_item(const struct pair_row *r)
{
    cJSON *o = cJSON_CreateObject();

    json_pair(o, &r->pair);
    cJSON_AddBoolToObject(o, "scheduled", r->scheduled);
    cJSON_AddBoolToObject(o, "paused", r->paused);
    cJSON_AddStringToObject(o, "state", r->state);
    cJSON_AddBoolToObject(o, "maintenance", r->maintenance);
    api_maintenance(o, r->note);
    cJSON_AddBoolToObject(o, "fresh", r->fresh);
    cJSON_AddNumberToObject(o, "flows", r->flows);
    json_i64(o, "report_period_ns", r->report_period_ns);
    json_time(o, "scheduled_since", "scheduled_since_ns", r->scheduled_since_ns);
    json_num(o, "completeness_ratio", r->completeness_ratio);
    cJSON_AddItemToObject(o, "totals", r->live ? totals(r) : cJSON_CreateNull());
    cJSON_AddItemToObject(o, "last", r->live ? last_period(r) : cJSON_CreateNull());
    return o;
}

static char *write_pairs(const void *data, size_t *ret_len)
{
    const struct pairs_answer *a = data;
    cJSON *head = api_head("pairs");
    struct json_list l;

    json_time(head, "time", "time_ns", a->now_ns);
    json_u64(head, "generation", a->generation);
    cJSON_AddBoolToObject(head, "truncated", a->truncated);
    json_list_begin(&l, head, "pairs");
    for (size_t i = 0; i < a->n; i++)
        json_list_add(&l, pair_item(&a->rows[i]));
    return json_list_end(&l, ret_len);
}

static void free_pairs(void *data)
{
    struct pairs_answer *a = data;

    for (size_t i = 0; i < a->n; i++)
        free(a->rows[i].note);
    free(a);
}

void http_pairs(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter f;
    struct pairs_answer *a;

    if (!api_filter(c, rq, QUERY_NAMES | QUERY_LIMIT, &f))
        return;
    a = snapshot(c, &f, loop_now(c->loop).wall.ns);
    if (!a) {
        api_refuse(rq, TW_ENOMEM, NULL);
        return;
    }
    api_render(c, rq, write_pairs, free_pairs, a);
}
