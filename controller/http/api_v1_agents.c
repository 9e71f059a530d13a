/* /api/v1/agents: the fleet as the Admin service knows it. */
#include <stdlib.h>
#include <string.h>
#include "controller/http/api.h"

#define ARENA_BYTES ((size_t)4 << 20) /* one agent: labels, addresses, refusals */

static cJSON *labels(const Tw__AgentInfo *i)
{
    cJSON *o = cJSON_CreateObject();

    for (size_t k = 0; k < i->n_labels; k++)
        cJSON_AddStringToObject(o, i->labels[k]->key, i->labels[k]->value);
    return o;
}

static cJSON *texts(char *const *v, size_t n)
{
    cJSON *a = cJSON_CreateArray();

    for (size_t k = 0; k < n; k++)
        cJSON_AddItemToArray(a, cJSON_CreateString(v[k]));
    return a;
}

static cJSON *refusals(const Tw__AgentInfo *i)
{
    cJSON *a = cJSON_CreateArray();

    for (size_t k = 0; k < i->n_refusals; k++) {
        cJSON *o = cJSON_CreateObject();
        json_u64(o, "pair_id", i->refusals[k]->pair_id);
        cJSON_AddNumberToObject(o, "flow", i->refusals[k]->flow);
        cJSON_AddStringToObject(o, "reason", i->refusals[k]->reason);
        cJSON_AddItemToArray(a, o);
    }
    return a;
}

static cJSON *clock_state(const Tw__ClockState *c)
{
    cJSON *o = c ? cJSON_CreateObject() : cJSON_CreateNull();

    if (!c)
        return o;
    cJSON_AddBoolToObject(o, "synced", c->synced);
    json_i64(o, "max_error_ns", c->max_error_ns);
    cJSON_AddNumberToObject(o, "steps", c->steps);
    return o;
}

static cJSON *noise(const Tw__Noise *n)
{
    cJSON *o = n ? cJSON_CreateObject() : cJSON_CreateNull();

    if (!n)
        return o;
    json_u64(o, "sent", n->sent);
    json_u64(o, "lost", n->lost);
    json_i64(o, "p50_ns", n->p50_ns);
    json_i64(o, "p99_ns", n->p99_ns);
    json_i64(o, "max_ns", n->max_ns);
    return o;
}

static void put_flight(cJSON *o, const Tw__HealthReport *h)
{
    json_u64(o, "flight_share", h->flight_share);
    json_i64(o, "flight_kept_ns", h->flight_kept_ns);
    json_u64(o, "flight_bytes", h->flight_bytes);
    json_u64(o, "flight_frozen", h->flight_frozen);
    json_u64(o, "flight_frozen_bytes", h->flight_frozen_bytes);
    json_u64(o, "flight_gave_way", h->flight_gave_way);
    json_u64(o, "flight_unrecorded", h->flight_unrecorded);
    json_u64(o, "flight_withheld", h->flight_withheld);
}

static cJSON *health(const Tw__HealthReport *h)
{
    cJSON *o = h ? cJSON_CreateObject() : cJSON_CreateNull();

    if (!h)
        return o;
    json_time(o, "time", "time_ns", h->time_ns);
    json_time(o, "started", "started_ns", h->started_ns);
    cJSON_AddItemToObject(o, "clock", clock_state(h->clock));
    json_u64(o, "spool_summaries", h->spool_summaries);
    json_u64(o, "spool_bytes", h->spool_bytes);
    json_u64(o, "spool_dropped", h->spool_dropped);
    json_u64(o, "sessions", h->sessions);
    json_u64(o, "probes_sent", h->probes_sent);
    json_u64(o, "probes_received", h->probes_received);
    json_u64(o, "reflected", h->reflected);
    json_u64(o, "reflector_rejected", h->reflector_rejected);
    json_u64(o, "reflector_drops", h->reflector_drops);
    json_u64(o, "results_refused", h->results_refused);
    json_u64(o, "cpu_ns", h->cpu_ns);
    json_u64(o, "rss_bytes", h->rss_bytes);
    json_u64(o, "reflector_auth_failed", h->reflector_auth_failed);
    json_u64(o, "reflector_auth_demanded", h->reflector_auth_demanded);
    json_u64(o, "reflected_stamp", h->reflected_stamp);
    json_u64(o, "reflected_xdp", h->reflected_xdp);
    json_u64(o, "reflector_not_allowed", h->reflector_not_allowed);
    json_u64(o, "reflected_auth", h->reflected_auth);
    json_u64(o, "reflect_sessions", h->reflect_sessions);
    json_u64(o, "auth_failed", h->auth_failed);
    json_u64(o, "control_connections", h->control_connections);
    json_u64(o, "control_logins_failed", h->control_logins_failed);
    json_u64(o, "control_refused", h->control_refused);
    if (h->secrets_error[0])
        cJSON_AddStringToObject(o, "secrets_error", h->secrets_error);
    else
        cJSON_AddNullToObject(o, "secrets_error");
    json_u64(o, "send_errors", h->send_errors);
    json_u64(o, "sender_drops", h->sender_drops);
    json_u64(o, "host_stalls", h->host_stalls);
    json_i64(o, "host_stall_max_ns", h->host_stall_max_ns);
    cJSON_AddNumberToObject(o, "host_cpu_wait_ratio", h->host_cpu_wait_ppm / 1e6);
    cJSON_AddItemToObject(o, "noise", noise(h->noise));
    put_flight(o, h);
    if (h->clock_leap[0])
        cJSON_AddStringToObject(o, "clock_leap", h->clock_leap);
    else
        cJSON_AddNullToObject(o, "clock_leap");
    json_i64(o, "clock_est_error_ns", h->clock_est_error_ns);
    json_i64(o, "clock_frequency_ppb", h->clock_frequency_ppb);
    cJSON_AddNumberToObject(o, "clock_tai_offset_s", h->clock_tai_offset_s);
    return o;
}

static cJSON *agent_item(const Tw__AgentInfo *i)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "name", i->name);
    cJSON_AddStringToObject(o, "state", i->state);
    cJSON_AddStringToObject(o, "fingerprint", i->fingerprint);
    cJSON_AddItemToObject(o, "labels", labels(i));
    cJSON_AddItemToObject(o, "addresses", texts(i->addresses, i->n_addresses));
    cJSON_AddNumberToObject(o, "reflector_port", i->reflector_port);
    cJSON_AddNumberToObject(o, "control_port", i->control_port);
    cJSON_AddItemToObject(o, "capabilities", texts(i->capabilities, i->n_capabilities));
    cJSON_AddStringToObject(o, "software", i->software);
    cJSON_AddStringToObject(o, "peer_address", i->peer_address);
    json_time(o, "approved", "approved_ns", i->approved_ns);
    json_time(o, "last_contact", "last_contact_ns", i->last_contact_ns);
    json_u64(o, "generation", i->generation);
    json_u64(o, "generation_wanted", i->generation_wanted);
    json_u64(o, "pairs", i->pairs);
    cJSON_AddItemToObject(o, "refusals", refusals(i));
    cJSON_AddItemToObject(o, "health", health(i->health));
    return o;
}

static int cmp_agents(const void *a, const void *b)
{
    return strcmp((*(const struct agent *const *)a)->row.name, (*(const struct agent *const *)b)->row.name);
}

static const struct agent **sorted(const struct controller *c, size_t *ret_n)
{
    const struct agent **v = malloc((HASH_COUNT(c->inv.agents) + 1) * sizeof(*v));

    *ret_n = 0;
    for (const struct agent *a = c->inv.agents; v && a; a = a->hh.next)
        v[(*ret_n)++] = a;
    if (v)
        qsort(v, *ret_n, sizeof(*v), cmp_agents);
    return v;
}

static char *write_agents(const struct controller *c, struct arena *ar, size_t *ret_len)
{
    size_t n;
    const struct agent **v = sorted(c, &n);
    cJSON *head = api_head("agents");
    struct json_list l;

    json_time(head, "time", "time_ns", loop_now(c->loop).wall.ns);
    json_u64(head, "generation", c->inv.generation);
    json_list_begin(&l, head, "agents");
    l.failed = l.failed || !v;
    for (size_t i = 0; i < n; i++) {
        Tw__AgentInfo info = TW__AGENT_INFO__INIT;
        arena_reset(ar);
        controller_fill_agent(c, v[i], ar, &info);
        json_list_add(&l, agent_item(&info));
    }
    free(v);
    return json_list_end(&l, ret_len);
}

void http_agents(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter none;
    struct arena *ar;
    size_t len = 0;
    char *text;

    if (!api_filter(c, rq, 0, &none))
        return;
    if (arena_new(ARENA_BYTES, &ar)) {
        api_refuse(rq, TW_ENOMEM, NULL);
        return;
    }
    text = write_agents(c, ar, &len);
    arena_free(ar);
    api_answer(rq, text, len);
}
