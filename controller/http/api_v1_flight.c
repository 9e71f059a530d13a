/* /api/v1/flight: single probes of one pair around a moment, as its agent recorded them; /api/v1/frozen: what
 * agents keep of that. */
#include <stdlib.h>
#include <string.h>
#include "common/net/words.h"
#include "controller/enrolment.h"
#include "controller/flight.h"
#include "controller/http/api.h"
#include "controller/results.h"

#define SPAN_DEFAULT_NS (10 * TW_NS_PER_S)

static unsigned http_status(Tw__Status s)
{
    switch (s) {
    case TW__STATUS__STATUS_NOT_FOUND:
        return 404;
    case TW__STATUS__STATUS_INVALID_ARGUMENT:
        return 400;
    case TW__STATUS__STATUS_FAILED_PRECONDITION:
        return 409;
    default:
        return 503;
    }
}

/* ---- Probes ---- */

struct flight_json {
    struct store_pair pair;
    int64_t from_ns, at_ns, to_ns;
    Tw__FlightReply *reply;
};

static cJSON *way(const Tw__FlightRecord *r)
{
    bool lost = r->fate == TW__FLIGHT_FATE__FLIGHT_FATE_LOST || r->fate == TW__FLIGHT_FATE__FLIGHT_FATE_LATE;

    return lost ? cJSON_CreateString(words_of(&tw__flight_way__descriptor, (int)r->way)) : cJSON_CreateNull();
}

static void put_seconds(cJSON *o, const char *key, const Tw__FlightRecord *r, int64_t ns)
{
    json_num(o, key, (struct tw_num){ r->timed, (double)ns / 1e9 });
}

static void put_octet(cJSON *o, const char *key, uint32_t v, uint32_t less)
{
    json_put(o, key, v ? cJSON_CreateNumber(v - less) : cJSON_CreateNull());
}

static cJSON *probe_item(uint32_t flow, const Tw__FlightRecord *r)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddNumberToObject(o, "flow", flow);
    json_time(o, "sent", "sent_ns", r->t1_ns);
    cJSON_AddNumberToObject(o, "seq", r->seq);
    cJSON_AddStringToObject(o, "fate", words_of(&tw__flight_fate__descriptor, (int)r->fate));
    json_put(o, "lost_on", way(r));
    put_seconds(o, "rtt_seconds", r, r->forward_ns + r->backward_ns);
    put_seconds(o, "forward_seconds", r, r->forward_ns);
    put_seconds(o, "backward_seconds", r, r->backward_ns);
    put_seconds(o, "residence_seconds", r, r->residence_ns);
    put_octet(o, "ttl_forward", r->ttl_forward, 0);
    put_octet(o, "ttl_backward", r->ttl_backward, 0);
    put_octet(o, "tos_forward", r->tos_forward, 1);
    put_octet(o, "tos_backward", r->tos_backward, 1);
    cJSON_AddNumberToObject(o, "duplicates", r->duplicates);
    cJSON_AddStringToObject(o, "tx_source", tw_ts_source_name((enum tw_ts_source)r->tx_source));
    cJSON_AddStringToObject(o, "rx_source", tw_ts_source_name((enum tw_ts_source)r->rx_source));
    return o;
}

static cJSON *flow_item(const Tw__FlightFlow *f)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddNumberToObject(o, "flow", f->flow);
    cJSON_AddBoolToObject(o, "running", f->running);
    json_u64(o, "kept", f->kept);
    json_time(o, "kept_from", "kept_from_ns", f->kept_from_ns);
    json_time(o, "kept_to", "kept_to_ns", f->kept_to_ns);
    json_u64(o, "total", f->total);
    json_u64(o, "shown", f->n_records);
    return o;
}

static void put_frozen(cJSON *o, const struct flight_row *r)
{
    cJSON_AddNumberToObject(o, "flow", r->flow);
    json_u64(o, "id", r->id);
    cJSON_AddStringToObject(o, "cause", flight_cause_name(r->cause));
    cJSON_AddStringToObject(o, "reason", r->reason);
    json_time(o, "at", "at_ns", r->at_ns);
    json_time(o, "frozen", "frozen_ns", r->frozen_ns);
    json_time(o, "first", "first_ns", r->first_ns);
    json_time(o, "last", "last_ns", r->last_ns);
    json_u64(o, "probes", r->probes);
    json_u64(o, "lost", r->lost);
}

static cJSON *frozen_item(const Tw__FlightFrozen *m)
{
    struct flight_row r;
    cJSON *o = cJSON_CreateObject();

    flight_row_of(m, &r);
    put_frozen(o, &r);
    return o;
}

static char *write_flight(const void *data, size_t *ret_len)
{
    const struct flight_json *a = data;
    cJSON *head = api_head("flight"), *flows = cJSON_CreateArray(), *frozen = cJSON_CreateArray();
    struct json_list l;

    json_pair(head, &a->pair);
    json_time(head, "from", "from_ns", a->from_ns);
    json_time(head, "at", "at_ns", a->at_ns);
    json_time(head, "to", "to_ns", a->to_ns);
    cJSON_AddBoolToObject(head, "recording", a->reply->recording);
    for (size_t i = 0; i < a->reply->n_flows; i++)
        cJSON_AddItemToArray(flows, flow_item(a->reply->flows[i]));
    for (size_t i = 0; i < a->reply->n_frozen; i++)
        cJSON_AddItemToArray(frozen, frozen_item(a->reply->frozen[i]));
    json_put(head, "flows", flows);
    json_put(head, "frozen", frozen);
    json_list_begin(&l, head, "probes");
    for (size_t i = 0; i < a->reply->n_flows; i++)
        for (size_t k = 0; k < a->reply->flows[i]->n_records; k++)
            json_list_add(&l, probe_item(a->reply->flows[i]->flow, a->reply->flows[i]->records[k]));
    return json_list_end(&l, ret_len);
}

static void free_flight(void *data)
{
    struct flight_json *a = data;

    tw__flight_reply__free_unpacked(a->reply, NULL);
    free(a);
}

static void on_flight(void *ctx, const struct flight_result *r)
{
    struct api_wait *w = ctx;
    struct flight_json *a = NULL;
    Tw__FlightReply *copy = r->status ? NULL : message_clone(&r->reply->base);

    if (copy && (a = malloc(sizeof *a)))
        *a = (struct flight_json){ r->pair->row, r->from_ns, r->at_ns, r->to_ns, copy };
    if (a)
        api_render(w->c, w->rq, write_flight, free_flight, a);
    else if (r->status)
        http_answer_error(w->rq, http_status(r->status), "%s", r->text);
    else
        api_refuse(w->rq, TW_ENOMEM, NULL);
    if (copy && !a)
        tw__flight_reply__free_unpacked(copy, NULL);
    free(w);
}

void http_flight(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter f;
    struct flight_query q;
    struct api_wait *w;

    if (!api_filter(c, rq, QUERY_NAMES | QUERY_LIMIT | QUERY_AT | QUERY_SPAN | QUERY_FLOW, &f))
        return;
    w = api_wait_new(c, rq, &f);
    if (!w)
        return;
    if (!f.span_ns)
        f.span_ns = SPAN_DEFAULT_NS;
    q = (struct flight_query){ .pairs = f,
                               .one_flow = f.one_flow,
                               .flow = f.flow,
                               .at_ns = f.at_ns ? f.at_ns : loop_now(c->loop).wall.ns,
                               .before_ns = f.at_ns ? f.span_ns / 2 : f.span_ns,
                               .limit = f.limit };
    q.after_ns = f.span_ns - q.before_ns;
    flight_fetch(c, &q, on_flight, w);
}

/* ---- Frozen parts ---- */

struct frozen_row {
    struct store_pair pair; /* id 0: not known */
    struct flight_row row;
};
struct frozen_json {
    bool truncated;
    size_t n;
    struct frozen_row rows[];
};

static cJSON *row_item(const struct frozen_row *r)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "agent", r->row.agent);
    json_put(o, "error", *r->row.error ? cJSON_CreateString(r->row.error) : cJSON_CreateNull());
    if (*r->row.error)
        return o;
    json_pair(o, &r->pair);
    put_frozen(o, &r->row);
    return o;
}

static char *write_frozen(const void *data, size_t *ret_len)
{
    const struct frozen_json *a = data;
    cJSON *head = api_head("frozen");
    struct json_list l;

    cJSON_AddBoolToObject(head, "truncated", a->truncated);
    json_list_begin(&l, head, "frozen");
    for (size_t i = 0; i < a->n; i++)
        json_list_add(&l, row_item(&a->rows[i]));
    return json_list_end(&l, ret_len);
}

static void on_list(void *ctx, const struct flight_rows *r)
{
    struct api_wait *w = ctx;
    size_t limit = w->filter.limit ? w->filter.limit : RESULTS_LIMIT_DEFAULT, n = r->n < limit ? r->n : limit;
    struct frozen_json *a = r->status ? NULL : calloc(1, sizeof *a + n * sizeof a->rows[0]);

    for (size_t i = 0; a && i < n; i++) {
        const struct pair *p = r->rows[i].pair_id ? inventory_pair(&w->c->inv, r->rows[i].pair_id) : NULL;
        a->rows[i].row = r->rows[i];
        if (p)
            a->rows[i].pair = p->row;
        a->rows[i].pair.id = r->rows[i].pair_id;
    }
    if (a) {
        a->n = n;
        a->truncated = r->truncated || n < r->n;
        api_render(w->c, w->rq, write_frozen, free, a);
    } else if (r->status) {
        http_answer_error(w->rq, http_status(r->status), "%s", r->text);
    } else {
        api_refuse(w->rq, TW_ENOMEM, NULL);
    }
    free(w);
}

void http_frozen(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter f;
    struct api_wait *w;

    if (!api_filter(c, rq, QUERY_NAMES | QUERY_LIMIT, &f))
        return;
    w = api_wait_new(c, rq, &f);
    if (w)
        flight_list(c, &f, on_list, w);
}
