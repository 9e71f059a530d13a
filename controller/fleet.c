#include "controller/fleet.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/fnv1a.h"
#include "common/log.h"
#include "common/net/now.h"
#include "controller/absence.h"
#include "controller/alerts.h"
#include "controller/change.h"
#include "controller/decide.h"
#include "controller/enrolment.h"
#include "controller/events.h"
#include "controller/fleet_push.h"
#include "controller/ingest.h"
#include "controller/joining.h"
#include "controller/learn.h"
#include "controller/schedule.h"
#include "controller/secure.h"
#include "controller/writer.h"

struct fleet {
    Tw__FleetController_Service service; /* first */
    struct rpc_service offered[2];
    bool tls;
    struct controller *c;
    struct push_queue pushes;
    char refused[160]; /* detail of a refused HELLO: lives until the next one */
    struct log_limit refused_log;
};

/* ---- The agent's row in the store ---- */

struct save_job {
    struct writer_job job; /* first */
    struct controller *c;
    struct store_agent row;
    int64_t stored_id;
};

enum tw_rc fleet_agent_row(const struct agent *a, struct store_agent *ret)
{
    struct store_agent row = a->row;

    row.last_contact_ns = a->last_contact_ns;
    row.enrolment = a->enrolment ? enrolment_to_json(a->enrolment, a->peer_address) : NULL;
    row.ops = a->ops ? agent_ops_to_json(a->ops) : NULL;
    if ((a->enrolment && !row.enrolment) || (a->ops && !row.ops)) {
        fleet_agent_row_clear(&row);
        return TW_ENOMEM;
    }
    *ret = row;
    return TW_OK;
}

void fleet_agent_row_clear(struct store_agent *row)
{
    free(row->enrolment);
    free(row->ops);
    row->enrolment = row->ops = NULL;
}

static enum tw_rc run_save(struct writer_job *j, struct store *s, struct tw_err *err)
{
    struct save_job *sj = (struct save_job *)j;
    struct store_agent row = sj->row; /* another run begins anew: a rolled back insert's id means nothing */
    enum tw_rc rc = row.id ? store_put_contact(s, &row, err) : store_put_agent(s, &row, err);

    sj->stored_id = row.id;
    return rc;
}

static void save_done(struct writer_job *j)
{
    struct save_job *sj = (struct save_job *)j;
    struct agent *a = sj->row.id ? inventory_agent_by_id(&sj->c->inv, sj->row.id)
                                 : inventory_agent(&sj->c->inv, sj->row.name);

    if (j->rc != TW_OK && j->rc != TW_ECLOSED && j->rc != TW_EAGAIN)
        log_error("an agent cannot be stored", LOG_S("agent", sj->row.name), LOG_S("error", j->err.text));
    if (a) {
        a->saving = false;
        if (j->rc == TW_OK && !a->row.id)
            a->row.id = sj->stored_id;
        if (j->rc == TW_EAGAIN || (j->rc == TW_OK && a->save_again))
            fleet_save(sj->c, a);
    }
    fleet_agent_row_clear(&sj->row);
    free(sj);
}

void fleet_save(struct controller *c, struct agent *a)
{
    struct save_job *j;

    a->save_again =
        a->saving || a->changing || a->editing; /* a change that is under way holds a row of its own */
    if (a->save_again)
        return;
    j = calloc(1, sizeof *j);
    if (!j || fleet_agent_row(a, &j->row) != TW_OK) {
        free(j);
        return; /* the next contact saves it */
    }
    j->c = c;
    j->job = (struct writer_job){
        .run = run_save, .done = save_done, .urgent = !a->row.id, .decided = a->row.id ? 0 : decide_memory(c)
    };
    if (writer_submit(c->writer, &j->job) == TW_OK) {
        a->saving = true;
        return;
    }
    fleet_agent_row_clear(&j->row);
    free(j);
}

/* ---- HELLO ---- */

struct agent *fleet_new_agent(struct controller *c, const char *name, const char *software, const uint8_t *public_key, const char *address)
{
    char fingerprint[IDENTITY_FINGERPRINT_TEXT];
    int64_t now = tw_wall_now().ns;
    struct store_agent row = { .first_seen_ns = now, .last_contact_ns = now, .approved = c->auto_approve };
    struct agent *a;

    row.approved_ns = row.approved ? now : 0;
    snprintf(row.name, sizeof row.name, "%s", name);
    snprintf(row.software, sizeof row.software, "%s", software);
    memcpy(row.public_key, public_key, sizeof row.public_key);
    a = inventory_add_agent(&c->inv, &row);
    if (!a)
        return NULL;
    identity_fingerprint(row.public_key, fingerprint);
    log_info(row.approved ? "new agent, approved without asking" : "new agent waits for approval",
             LOG_S("agent", a->row.name), LOG_S("address", address), LOG_S("fingerprint", fingerprint));
    return a;
}

static struct agent *new_agent(struct controller *c, const struct rpc_hello *h)
{
    struct agent *a = fleet_new_agent(c, h->name, h->software, h->public_key, h->address);

    if (a)
        fleet_save(c, a);
    return a;
}

#define FULL_RETRY_MS 60000 /* somebody has to act */

static void refuse(struct fleet *f, const struct rpc_hello *h, struct rpc_welcome *ret, Tw__Status status)
{
    unsigned held;

    *ret = (struct rpc_welcome){ .status = status, .detail = f->refused };
    if (log_limit_ok(&f->refused_log, tw_mono_now().ns, &held))
        log_warn("agent refused", LOG_S("agent", h->name), LOG_S("address", h->address),
                 LOG_S("reason", f->refused), LOG_U("held_back", held));
}

static void note_other_key(struct agent *a, const struct rpc_hello *h)
{
    a->twins.other_keys++;
    a->twins.other_key_ns = tw_wall_now().ns;
    snprintf(a->twins.other_key_address, sizeof a->twins.other_key_address, "%s", h->address);
}

/* A renamed agent still says the name that it was started with: its key says who it is. */
static struct agent *agent_of(struct inventory *inv, const struct rpc_hello *h)
{
    struct agent *named = inventory_agent(inv, h->name);

    if (named && !memcmp(named->row.public_key, h->public_key, sizeof named->row.public_key))
        return named;
    for (struct agent *a = inv->agents; a; a = a->hh.next)
        if (agent_ops_had_name(a->ops, h->name) &&
            !memcmp(a->row.public_key, h->public_key, sizeof a->row.public_key))
            return a;
    return named;
}

/* Not under another name either. */
static bool refuse_revoked(struct fleet *f, const struct agent *known, const struct rpc_hello *h,
                           struct rpc_welcome *ret)
{
    const struct agent *a = known ? known : f->c->inv.agents;

    if (!f->c->inv.revoked)
        return false;
    while (a && !(agent_is_revoked(a) && !memcmp(a->row.public_key, h->public_key, sizeof a->row.public_key)))
        a = known ? NULL : a->hh.next;
    if (!a)
        return false;
    snprintf(f->refused, sizeof f->refused,
             "revoked by an operator; to let it in again: twampctl agent remove %s, then approve", a->row.name);
    refuse(f, h, ret, TW__STATUS__STATUS_PERMISSION_DENIED);
    return true;
}

/* A certificate of our authority that names the agent is not enough: it must have been issued to it, and it not have been removed since. */
static bool refuse_certificate(struct fleet *f, const struct agent *a, const struct rpc_hello *h, struct rpc_welcome *ret)
{
    if (!h->tls || (a && h->certificate && agent_certs_have(a->certs, h->certificate->serial)))
        return false;
    if (a)
        snprintf(f->refused, sizeof f->refused, "the certificate shown was not issued to agent %s here: remove tls.pem in its data directory",
                 a->row.name);
    else
        snprintf(f->refused, sizeof f->refused, "no agent %s is known here: it has to join with a token", h->name);
    refuse(f, h, ret, TW__STATUS__STATUS_UNAUTHENTICATED);
    return true;
}

/* Only who has somewhere else to go is sent there: to the last one that it tries an agent may come all the
 * same. */
static bool cannot_store(struct controller *c)
{
    struct writer_stats w;

    writer_stats(c->writer, &w);
    return w.problem[0] || w.history_problem[0];
}

/* Another controller may have approved it. */
static bool cannot_know(struct controller *c, const struct agent *a)
{
    struct writer_stats w;

    if (!c->shared || (a && a->row.approved))
        return false;
    writer_stats(c->writer, &w);
    return w.control_problem[0];
}

static void send_on(struct fleet *f, const struct rpc_hello *h, struct rpc_welcome *ret, const char *why)
{
    snprintf(f->refused, sizeof f->refused, "%s at the moment, so another controller is to be tried", why);
    refuse(f, h, ret, TW__STATUS__STATUS_UNAVAILABLE);
    ret->elsewhere = true;
}

/* It is approved, and begins where its spool stands, as far as that can be known. */
static void let_in(struct fleet *f, struct agent *a, const struct rpc_hello *h, struct rpc_welcome *ret)
{
    struct controller *c = f->c;
    bool stores = !cannot_store(c);
    struct store_cursor at;

    if (h->others && !stores) {
        send_on(f, h, ret, "results cannot be stored here");
        return;
    }
    ret->later = stores && !learn_is_over(c->learn, a, h);
    if (ret->later)
        return;
    a->welcomed = true;
    ret->window = ingest_window(c->ingest);
    at = ingest_cursor(c->ingest, a->row.id, h->spool_id);
    ret->through_seq = at.through;
    ret->ahead = ingest_ahead(c->ingest, &at);
}

static void on_hello(void *ctx, const struct rpc_hello *h, struct rpc_welcome *ret)
{
    struct fleet *f = ctx;
    struct controller *c = f->c;
    struct agent *a = agent_of(&c->inv, h);

    if (refuse_revoked(f, a, h, ret))
        return;
    if (h->others && cannot_know(c, a)) {
        send_on(f, h, ret, "it is not known here who is approved");
        return;
    }
    if (a && memcmp(a->row.public_key, h->public_key, sizeof a->row.public_key) != 0) {
        snprintf(f->refused, sizeof f->refused,
                 "another key is enrolled under this name; twampctl agent remove %s, then approve", h->name);
        note_other_key(a, h);
        refuse(f, h, ret, TW__STATUS__STATUS_UNAUTHENTICATED);
        return;
    }
    if (refuse_certificate(f, a, h, ret))
        return;
    if (!a && !c->auto_approve && c->inv.pending >= FLEET_MAX_PENDING) {
        snprintf(f->refused, sizeof f->refused,
                 "%u agents wait for approval already; twampctl agent list, then approve or remove",
                 c->inv.pending);
        refuse(f, h, ret, TW__STATUS__STATUS_RESOURCE_EXHAUSTED);
        ret->retry_ms = FULL_RETRY_MS;
        return;
    }
    if (!a)
        a = new_agent(c, h);
    if (!a) {
        snprintf(f->refused, sizeof f->refused, "out of memory");
        refuse(f, h, ret, TW__STATUS__STATUS_UNAVAILABLE);
        return;
    }
    *ret = (struct rpc_welcome){ .approved = a->row.approved, .detail = "" };
    if (a->row.approved)
        let_in(f, a, h, ret);
    else
        a->welcomed = false;
}

/* ---- Connections ---- */

#define TAKEOVERS_NS (600 * TW_NS_PER_S)

/* A copy of its data directory on a second host takes the connection again and again. */
static void note_takeover(struct agent *a, const struct rpc_hello *old, const struct rpc_hello *h)
{
    int64_t now = tw_wall_now().ns;

    if (!memcmp(old->boot_id, h->boot_id, sizeof h->boot_id))
        return;
    if (now - a->twins.takeovers_ns > TAKEOVERS_NS) {
        a->twins.takeovers = 0;
        a->twins.takeovers_ns = now;
    }
    a->twins.takeovers++;
}

/* From now on this connection speaks for nobody. */
static void detach(struct agent *a, Tw__Status status, const char *why)
{
    struct fleet_link *l = a->link;

    if (!l)
        return;
    loop_timer_cancel(l->c->loop, &l->push);
    l->agent = NULL;
    a->link = NULL;
    a->peer = NULL;
    rpc_peer_close(l->peer, status, why);
}

static void attach(struct controller *c, struct agent *a, struct fleet_link *l, struct rpc_peer *p)
{
    const struct rpc_hello *h = rpc_peer_hello(p);

    if (a->link) {
        log_warn("a newer connection of the same agent takes over", LOG_S("agent", a->row.name),
                 LOG_S("old_address", rpc_peer_hello(a->link->peer)->address),
                 LOG_S("new_address", h->address));
        note_takeover(a, rpc_peer_hello(a->link->peer), h);
        detach(a, TW__STATUS__STATUS_ABORTED, "a newer connection of this agent took over");
    }
    *l = (struct fleet_link){ .c = c, .peer = p, .agent = a };
    fleet_push_init(l);
    rpc_peer_set_ctx(p, l);
    a->link = l;
    a->peer = p;
    a->last_contact_ns = tw_wall_now().ns;
    alerts_agent_came(c->alerts, a);
    snprintf(a->row.software, sizeof a->row.software, "%s", h->software);
    events_note(c->events, EVENT_AGENTS);
    log_info("agent connected", LOG_S("agent", a->row.name), LOG_S("state", agent_state(a)),
             LOG_S("address", h->address), LOG_S("software", a->row.software));
    if (a->row.approved && !a->welcomed)
        detach(a, TW__STATUS__STATUS_UNAVAILABLE, "approved: reconnect");
}

static void on_up(void *ctx, struct rpc_peer *p)
{
    struct controller *c = ((struct fleet *)ctx)->c;
    struct agent *a = agent_of(&c->inv, rpc_peer_hello(p));
    struct fleet_link *l = a ? calloc(1, sizeof *l) : NULL;

    rpc_peer_set_ctx(p, NULL);
    if (!l) {
        rpc_peer_close(p, TW__STATUS__STATUS_UNAVAILABLE, a ? "out of memory" : "removed: reconnect");
        return;
    }
    attach(c, a, l, p);
}

static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct fleet_link *l = rpc_peer_ctx(p);
    struct agent *a = l ? l->agent : NULL;

    (void)ctx;
    if (a) {
        log_info("agent disconnected", LOG_S("agent", a->row.name), LOG_S("status", rpc_status_name(status)),
                 LOG_S("detail", detail));
        a->peer = NULL;
        a->link = NULL;
        fleet_save(l->c, a);
        absence_lost(l->c, a);
        events_note(l->c->events, EVENT_AGENTS);
    }
    if (l)
        fleet_link_down(l);
}

void fleet_approved(struct controller *c, struct agent *a, int64_t now_ns)
{
    if (!a->row.approved)
        c->inv.pending--; /* who is revoked cannot be approved */
    a->row.approved = true;
    a->row.approved_ns = now_ns;
    log_info("agent approved", LOG_S("agent", a->row.name));
    detach(a, TW__STATUS__STATUS_UNAVAILABLE, "approved: reconnect");
    if (a->save_again)
        fleet_save(c, a);
}

void fleet_removed(struct controller *c, struct agent *a)
{
    log_info("agent removed", LOG_S("agent", a->row.name));
    detach(a, TW__STATUS__STATUS_PERMISSION_DENIED, "removed by an operator");
    ingest_forget(c->ingest, a->row.id);
    inventory_drop_agent(&c->inv, a);
}

void fleet_revoked(struct agent *a)
{
    log_warn("agent revoked", LOG_S("agent", a->row.name), LOG_S("author", a->ops->revoked.author),
             LOG_S("reason", a->ops->revoked.reason));
    if (a->link)
        fleet_push_nothing(a->link); /* the last that it hears of us */
    detach(a, TW__STATUS__STATUS_PERMISSION_DENIED, "revoked by an operator");
}

void fleet_push_all(struct controller *c)
{
    for (struct agent *a = c->inv.agents; a; a = a->hh.next)
        if (a->link)
            fleet_push_soon(a->link);
}

/* ---- Calls ---- */

/* The link of the caller, or NULL and the call is answered. */
static struct fleet_link *caller(void *closure_data, bool approved)
{
    struct rpc_peer *p = rpc_call_peer(closure_data);
    struct fleet_link *l = p ? rpc_peer_ctx(p) : NULL;

    if (!l || !l->agent) {
        rpc_fail(closure_data, TW__STATUS__STATUS_UNAVAILABLE,
                 "this connection has been replaced: reconnect");
        return NULL;
    }
    if (approved && !l->agent->row.approved) {
        rpc_fail(closure_data, TW__STATUS__STATUS_PERMISSION_DENIED, "this agent is not approved");
        return NULL;
    }
    l->agent->last_contact_ns = tw_wall_now().ns;
    return l;
}

/* Over the NUL, too. */
static uint64_t hash_text(uint64_t h, const char *text)
{
    return tw_fnv1a(h, text, strlen(text) + 1);
}

/* Labels, and all addresses: sessions go to the first of a family, `cidr` asks for any. */
static uint64_t hash_grouping(const struct agent *a)
{
    uint64_t h = TW_FNV1A_INIT;

    for (size_t i = 0; i < a->n_labels; i++)
        h = hash_text(hash_text(h, a->labels[i].key), a->labels[i].value);
    for (size_t i = 0; a->enrolment && i < a->enrolment->n_addresses; i++)
        h = hash_text(h, a->enrolment->addresses[i]);
    return h;
}

void fleet_place_of(const struct agent *a, struct fleet_place *ret)
{
    memset(ret, 0, sizeof *ret);
    reach_of(a, &ret->reach);
    ret->grouping = hash_grouping(a);
    ret->approved = a->row.approved;
}

bool fleet_place_same(const struct fleet_place *a, const struct fleet_place *b)
{
    return (!a->approved && !b->approved) || !memcmp(a, b, sizeof *a);
}

static void take_enrolment(struct fleet_link *l, Tw__EnrolRequest *m)
{
    struct agent *a = l->agent;
    struct fleet_place before, after;

    fleet_place_of(a, &before);
    if (a->enrolment)
        tw__enrol_request__free_unpacked(a->enrolment, NULL);
    a->enrolment = m;
    inventory_forget_ack(&l->c->inv, a); /* it tells anew what it refuses, if it still does */
    if (agent_refresh(a) != TW_OK)
        log_error("no memory for the labels of an agent: it has none now", LOG_S("agent", a->row.name));
    snprintf(a->peer_address, sizeof a->peer_address, "%s", rpc_peer_hello(l->peer)->address);
    fleet_place_of(a, &after);
    fleet_save(l->c, a);
    events_note(l->c->events, EVENT_AGENTS);
    if (!fleet_place_same(&before, &after))
        change_expand_for(l->c->changes, a->row.name);
}

/* Whether this controller has ever had pairs of that source. */
static bool is_known_source(const struct inventory *inv, const char *name)
{
    const char *kept = names_find(&inv->names, name);

    for (size_t i = 0; kept && i < inv->pairs.n; i++)
        if (pair_table_at(&inv->pairs, i)->row.source == kept)
            return true;
    return false;
}

static void fleet_enrol(Tw__FleetController_Service *service, const Tw__EnrolRequest *rq,
                        Tw__EnrolReply_Closure closure, void *closure_data)
{
    struct fleet_link *l = caller(closure_data, false);
    Tw__EnrolReply reply = TW__ENROL_REPLY__INIT;
    Tw__EnrolRequest *m;
    struct tw_err err = { 0 };

    (void)service;
    if (!l)
        return;
    if (enrolment_validate(rq, &err) != TW_OK) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s: %s", err.field, err.text);
        return;
    }
    m = message_clone(&rq->base);
    if (!m) {
        rpc_fail(closure_data, TW__STATUS__STATUS_UNAVAILABLE, "out of memory");
        return;
    }
    take_enrolment(l, m);
    if (!l->agent->row.approved && rq->generation && is_known_source(&l->c->inv, l->agent->row.name))
        fleet_push_nothing(l);
    reply.approved = l->agent->row.approved;
    if (reply.approved)
        fleet_acked(l, m->generation, &m->digest, m->schedule_age_ns);
    closure(&reply, closure_data);
    if (reply.approved)
        fleet_push(l);
}

/* They are kept, and shown many at a time: an honest reason is a line. */
static bool reasons_ok(const Tw__AckRequest *rq)
{
    for (size_t i = 0; i < rq->n_refusals; i++)
        if (strlen(rq->refusals[i]->reason) > FLEET_REASON_MAX)
            return false;
    return true;
}

static void fleet_ack(Tw__FleetController_Service *service, const Tw__AckRequest *rq,
                      Tw__AckReply_Closure closure, void *closure_data)
{
    struct fleet_link *l = caller(closure_data, true);
    Tw__AckReply reply = TW__ACK_REPLY__INIT;
    Tw__AckRequest *m;

    (void)service;
    if (!l)
        return;
    if (rq->n_refusals > SCHEDULE_MAX_SESSIONS || (rq->digest.len && rq->digest.len != AGENT_DIGEST_LEN) ||
        !reasons_ok(rq)) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "more refusals than sessions, a reason of more than %d octets, or a digest that is none",
                 FLEET_REASON_MAX);
        return;
    }
    m = message_clone(&rq->base);
    if (!m) {
        rpc_fail(closure_data, TW__STATUS__STATUS_UNAVAILABLE, "out of memory");
        return;
    }
    inventory_take_ack(&l->c->inv, l->agent, m);
    if (m->n_refusals)
        log_warn("agent refuses sessions", LOG_S("agent", l->agent->row.name),
                 LOG_U("sessions", m->n_refusals), LOG_S("first_reason", m->refusals[0]->reason));
    absence_acked(l->c, l->agent);
    fleet_acked(l, m->generation, &m->digest, 0);
    events_note(l->c->events, EVENT_SCHEDULE); /* the rollout goes on */
    closure(&reply, closure_data);
}

#define FLEET_LEAP_MAX 16

/* True: and the call is answered. */
static bool too_long(const char *field, const char *text, void *closure_data)
{
    if (strlen(text) <= FLEET_REASON_MAX)
        return false;
    rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s has more than %d octets", field, FLEET_REASON_MAX);
    return true;
}

/* Times that no clock can have are as far off as can be reckoned with. */
static void note_clock(struct fleet_link *l, int64_t told_ns)
{
    int64_t time_ns = told_ns < 0 ? 0 : told_ns > INT64_MAX / 2 ? INT64_MAX / 2 : told_ns;

    l->agent->clock_ahead_ns = time_ns - loop_now(l->c->loop).wall.ns;
    l->clock_known = true;
    l->clock_base_ns = time_ns - tw_mono_now().ns;
}

static void fleet_report(Tw__FleetController_Service *service, const Tw__HealthReport *rq,
                         Tw__HealthReply_Closure closure, void *closure_data)
{
    struct fleet_link *l = caller(closure_data, true);
    Tw__HealthReply reply = TW__HEALTH_REPLY__INIT;
    Tw__HealthReport *m;

    (void)service;
    if (!l)
        return;
    if (too_long("secrets_error", rq->secrets_error, closure_data) || too_long("access_error", rq->access_error, closure_data) ||
        too_long("config_error", rq->config_error, closure_data) || too_long("restart_needed", rq->restart_needed, closure_data) ||
        too_long("https_error", rq->https_error, closure_data))
        return;
    if (strlen(rq->clock_leap) > FLEET_LEAP_MAX) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "clock_leap has more than %d octets", FLEET_LEAP_MAX);
        return;
    }
    m = message_clone(&rq->base);
    if (!m) {
        rpc_fail(closure_data, TW__STATUS__STATUS_UNAVAILABLE, "out of memory");
        return;
    }
    inventory_take_health(l->agent, m);
    absence_found(l->c, l->agent, m->started_ns);
    events_note(l->c->events, EVENT_AGENTS);
    note_clock(l, m->time_ns);
    closure(&reply, closure_data);
}

static void fleet_renew(Tw__FleetController_Service *service, const Tw__RenewRequest *rq, Tw__JoinReply_Closure closure,
                        void *closure_data)
{
    struct fleet_link *l = caller(closure_data, true);

    (void)service;
    if (l)
        joining_renew(l->c->joining, l->agent, rpc_peer_hello(l->peer)->name, rq, closure, closure_data);
}

/* Renew is of joining's calls. */
static void fleet_invoke(ProtobufCService *service, unsigned method, const ProtobufCMessage *rq,
                         ProtobufCClosure closure, void *closure_data)
{
    bool renews = service->descriptor->methods[method].input == &tw__renew_request__descriptor;
    struct fleet_link *l = renews ? caller(closure_data, true) : NULL;

    if (renews && (!l || !joining_admits(l->c->joining, service, method, rq, closure, closure_data)))
        return;
    protobuf_c_service_invoke_internal(service, method, rq, closure, closure_data);
}

/* ---- Start ---- */

static void on_data(void *ctx, struct rpc_peer *p, void *object)
{
    ingest_on_data(((struct fleet *)ctx)->c->ingest, p, object);
}

static void drop(void *ctx, void *object)
{
    (void)ctx;
    ingest_drop(object);
}

static void *decode(void *ctx, const uint8_t *body, size_t len, struct tw_err *err)
{
    (void)ctx;
    return ingest_decode(body, len, err);
}

enum tw_rc fleet_start(struct controller *c, const char *url, struct fleet **ret, struct tw_err *err)
{
    const struct rpc_tls *tls;
    struct rpc_tls shown;
    struct fleet *f;
    enum tw_rc rc = secure_tls(c, url, &shown, &tls, err);

    if (rc != TW_OK)
        return rc;
    f = calloc(1, sizeof *f);
    if (!f)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    f->tls = tls != NULL;
    f->service = (Tw__FleetController_Service)TW__FLEET_CONTROLLER__INIT(fleet_);
    f->service.base.invoke = fleet_invoke;
    f->offered[0] = (struct rpc_service){ RPC_FLEET_CONTROLLER, &f->service.base };
    if (c->joining)
        f->offered[1] = *joining_service(c->joining);
    f->c = c;
    c->pushes = &f->pushes;
    fleet_push_start(c->pushes);
    f->refused_log.burst = 10;
    rc = rpc_server_start(&(struct rpc_server_conf){ .loop = c->loop,
                                                     .url = url,
                                                     .name = c->name,
                                                     .agents = true,
                                                     .tls = tls,
                                                     .joiners = c->joining != NULL,
                                                     .strangers = RPC_SERVICE_BIT(RPC_JOIN),
                                                     .services = f->offered,
                                                     .n_services = c->joining ? 2 : 1,
                                                     .hooks = { .ctx = f,
                                                                .on_up = on_up,
                                                                .on_down = on_down,
                                                                .decode = decode,
                                                                .drop = drop,
                                                                .on_data = on_data,
                                                                .on_hello = on_hello } },
                          &c->fleet, err);
    if (rc != TW_OK) {
        c->pushes = NULL;
        free(f);
        return rc;
    }
    *ret = f;
    return TW_OK;
}

void fleet_free(struct fleet *f)
{
    if (f)
        fleet_push_stop(&f->pushes, f->c->loop);
    free(f);
}
