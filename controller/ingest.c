#include "controller/ingest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "common/net/rpc_hello.h"
#include "controller/alerts.h"
#include "controller/events.h"
#include "controller/ingest_batch.h"

/* How far a spool is durable. */
struct cursor {
    struct cursor_key {
        int64_t agent_id;
        uint8_t spool_id[STORE_ID_LEN];
    } key;
    struct store_cursor at;
    UT_hash_handle hh;
};

struct ingest {
    struct controller *c;
    struct cursor *cursors;
    struct ingest_counters counters;
    struct log_limit refused_log;
};

enum tw_rc ingest_new(struct controller *c, struct ingest **ret)
{
    struct ingest *in = calloc(1, sizeof *in);

    if (!in)
        return TW_ENOMEM;
    in->c = c;
    in->refused_log.burst = 10;
    *ret = in;
    return TW_OK;
}

/* ---- Cursors ---- */

static struct cursor *find_cursor(const struct ingest *in, int64_t agent_id, const uint8_t *spool_id)
{
    struct cursor_key key = { .agent_id = agent_id };
    struct cursor *c;

    memcpy(key.spool_id, spool_id, sizeof key.spool_id);
    HASH_FIND(hh, in->cursors, &key, sizeof key, c);
    return c;
}

struct store_cursor ingest_cursor(const struct ingest *in, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN])
{
    const struct cursor *c = find_cursor(in, agent_id, spool_id);

    return c ? c->at : (struct store_cursor){ 0 };
}

struct rpc_ahead ingest_ahead(struct ingest *in, const struct store_cursor *at)
{
    return (struct rpc_ahead){
        .max = SEQSET_MAX,
        .backlog_per_s = window_backlog(HASH_COUNT(in->c->inv.agents), writer_pressed(in->c->writer)),
        .spans = at->ahead,
    };
}

enum tw_rc ingest_set_cursor(struct ingest *in, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN],
                             const struct store_cursor *at)
{
    struct cursor *c = find_cursor(in, agent_id, spool_id);

    if (c) {
        c->at = *at;
        return TW_OK;
    }
    c = calloc(1, sizeof *c);
    if (!c)
        return TW_ENOMEM;
    c->key.agent_id = agent_id;
    memcpy(c->key.spool_id, spool_id, sizeof c->key.spool_id);
    c->at = *at;
    HASH_ADD(hh, in->cursors, key, sizeof c->key, c);
    return TW_OK;
}

void ingest_forget(struct ingest *in, int64_t agent_id)
{
    struct cursor *c, *next;

    HASH_ITER(hh, in->cursors, c, next)
    {
        if (c->key.agent_id != agent_id)
            continue;
        HASH_DEL(in->cursors, c);
        free(c);
    }
}

void ingest_free(struct ingest *in)
{
    struct cursor *c, *next;

    if (!in)
        return;
    HASH_ITER(hh, in->cursors, c, next)
    {
        HASH_DEL(in->cursors, c);
        free(c);
    }
    free(in);
}

uint32_t ingest_window(struct ingest *in)
{
    return window_grant(writer_capacity(in->c->writer), HASH_COUNT(in->c->inv.agents),
                        writer_pressed(in->c->writer));
}

void ingest_counters(const struct ingest *in, struct ingest_counters *ret)
{
    const struct cursor *c;

    *ret = in->counters;
    for (c = in->cursors; c; c = c->hh.next)
        ret->spools_ahead += c->at.ahead.n > 0;
}

/* ---- Batches ---- */

void *ingest_decode(const uint8_t *body, size_t len, struct tw_err *err)
{
    return ingest_batch_decode(body, len, err);
}

void ingest_drop(void *object)
{
    ingest_batch_free(object);
}

static void send_ack(struct ingest *in, struct fleet_link *l, const struct store_cursor *at, Tw__Status status,
                     const char *detail)
{
    struct rpc_ahead ahead = ingest_ahead(in, at);

    rpc_peer_send_ack(l->peer, at->through, &ahead, ingest_window(in), status, detail);
}

static void refuse(struct ingest *in, struct fleet_link *l, const struct ingest_batch *b, Tw__Status status,
                   const char *detail)
{
    struct store_cursor at = ingest_cursor(in, l->agent->row.id, rpc_peer_hello(l->peer)->spool_id);
    unsigned held;

    in->counters.batches_refused++;
    if (log_limit_ok(&in->refused_log, tw_mono_now().ns, &held))
        log_warn("batch refused", LOG_S("agent", l->agent->row.name), LOG_S("reason", detail),
                 LOG_U("first_seq", b->first_seq), LOG_U("held_back", held));
    send_ack(in, l, &at, status, detail);
}

static void note_summary(struct controller *c, struct pair *p, const struct tw_summary *s, bool backlog)
{
    int64_t last_ns = p->live ? p->live->last_end_ns : 0;

    if (!backlog) {
        publish_summary(c->publish, p, s);
        clocks_note(c->clocks, p, s);
        alerts_note(c->alerts, p);
        return;
    }
    publish_backlog(c->publish, p, s);
    if (p->live && p->live->last_end_ns != last_ns) /* the latest of its pair all the same: shown, and not judged */
        p->live->judged_end_ns = p->live->last_end_ns;
}

static bool was_stored(const struct store_cursor *at, uint64_t seq)
{
    return seq <= at->through || seqset_has(&at->ahead, seq);
}

static bool is_backlog(const struct store_cursor *at, uint64_t seq)
{
    return at->ahead.n && seq < at->ahead.v[at->ahead.n - 1].first;
}

/* Rows are committed: show them. Numbers that were durable before are shown already. */
static void publish_rows(struct ingest *in, const struct ingest_batch *b, const struct store_cursor *before)
{
    for (size_t i = 0; i < b->n; i++) {
        bool backlog = is_backlog(before, b->first_seq + i);
        struct pair *p;

        if (was_stored(before, b->first_seq + i))
            continue;
        if (b->refused[i]) {
            in->counters.rows_refused++;
            continue;
        }
        in->counters.summaries++;
        in->counters.backlog_summaries += backlog;
        p = inventory_pair(&in->c->inv, b->rows[i].pair_id);
        if (p && p->scheduled)
            note_summary(in->c, p, &b->rows[i], backlog);
    }
    if (b->n)
        events_note(in->c->events, EVENT_PUBLISHED);
}

static uint64_t missing_of(const struct store_cursor *at, uint64_t first, uint64_t last)
{
    return seqset_count_missing(&at->ahead, first <= at->through ? at->through + 1 : first, last);
}

static void take_stored(struct ingest *in, const struct ingest_batch *b)
{
    struct store_cursor before = ingest_cursor(in, b->agent_id, b->spool_id);

    if (!before.through && !b->ahead) /* nothing was known of the spool: it begins here */
        before.through = b->first_seq - 1;
    for (size_t i = 0; i < b->n_learned; i++)
        inventory_pair(&in->c->inv, b->learned[i].id)->unstored = false;
    publish_rows(in, b, &before);
    in->counters.batches++;
    if (!b->n)
        in->counters.gap_summaries += missing_of(&before, b->first_seq, b->gap_last_seq);
    if (inventory_agent_by_id(&in->c->inv, b->agent_id) &&
        ingest_set_cursor(in, b->agent_id, b->spool_id, &b->at) != TW_OK)
        log_error("no memory for a spool's cursor: its agent sends again what is stored");
}

static void answer(struct ingest *in, const struct ingest_batch *b)
{
    struct fleet_link *l = b->link;
    bool stored = b->job.rc == TW_OK && b->result != STORE_OUT_OF_SEQ;

    l->unacked_rows -= b->n;
    if (l->down || !l->agent || b->job.rc == TW_ECLOSED)
        return;
    if (stored)
        send_ack(in, l, &b->at, TW__STATUS__STATUS_OK, "");
    else if (b->job.rc == TW_OK)
        refuse(in, l, b, TW__STATUS__STATUS_OUT_OF_RANGE, "out of sequence: go on after through_seq");
    else
        refuse(in, l, b, TW__STATUS__STATUS_INTERNAL, b->job.err.text);
}

static void batch_stored(struct writer_job *j)
{
    struct ingest_batch *b = (struct ingest_batch *)j;
    struct ingest *in = b->in;

    if (j->rc == TW_OK && b->result == STORE_APPENDED)
        take_stored(in, b);
    else if (j->rc == TW_OK && b->result == STORE_REPEATED)
        in->counters.repeated_batches++;
    else if (j->rc == TW_OK)
        in->counters.out_of_sequence++;
    answer(in, b);
    ingest_batch_free(b);
}

/* ---- Whose are the rows? ----
 * A pair's number is computed from its names, and its source can only be the agent that delivers. So an agent
 * can refill a controller that lost its database, and can never write another agent's history. */

/* The pair that row i says it is of; id 0: what it says is not so. */
static struct store_pair named_pair(const struct agent *a, const struct ingest_batch *b, size_t i)
{
    struct store_pair p = { 0 };

    if (!hello_agent_name_ok(b->names[i].mesh) || !hello_agent_name_ok(b->names[i].class_name) ||
        !hello_agent_name_ok(b->names[i].target))
        return p;
    p.mesh = b->names[i].mesh;
    p.class_name = b->names[i].class_name;
    p.source = a->row.name;
    p.target = b->names[i].target;
    p.id = store_pair_id(&p);
    if (p.id != b->rows[i].pair_id)
        p.id = 0;
    return p;
}

/* Its rows must not reach the store before it does. A batch that told of it earlier may have failed, so each
 * batch brings it until one is committed. */
static bool bring_pair(struct ingest_batch *b, const struct store_pair *row)
{
    struct store_pair *grown;

    for (size_t i = 0; i < b->n_learned; i++)
        if (b->learned[i].id == row->id)
            return true;
    grown = realloc(b->learned, (b->n_learned + 1) * sizeof *grown);
    if (!grown)
        return false;
    b->learned = grown;
    b->learned[b->n_learned++] = *row;
    return true;
}

/* A pair that this database does not know: kept in the inventory at once, stored with the rows. */
static bool learn_pair(struct ingest *in, struct agent *a, struct ingest_batch *b, size_t i)
{
    struct store_pair row = named_pair(a, b, i);
    struct pair *p;

    if (!row.id || a->pairs_learned >= INGEST_LEARN_MAX)
        return false;
    p = inventory_add_pair(&in->c->inv, &row);
    if (!p)
        return false;
    p->unstored = true;
    a->pairs_learned++;
    return bring_pair(b, &p->row); /* its names stay */
}

/* ---- When are they? ---- */

static bool is_impossible(const struct tw_summary *s, int64_t now_ns)
{
    return s->end_ns > now_ns + INGEST_FUTURE_NS || s->start_ns < now_ns - INGEST_PAST_NS;
}

/* Not before the agent has told its time; by our clock of this moment, which may have stepped since then. */
static bool clocks_agree(const struct fleet_link *l, int64_t now_ns)
{
    int64_t ahead_ns = l->clock_base_ns - now_ns + tw_mono_now().ns;

    return l->clock_known && ahead_ns < INGEST_AGREE_NS && ahead_ns > -INGEST_AGREE_NS;
}

static bool may_be_our_clock(const struct fleet_link *l, const struct ingest_batch *b)
{
    int64_t now_ns = tw_wall_now().ns;

    if (clocks_agree(l, now_ns))
        return false;
    for (size_t i = 0; i < b->n; i++)
        if (is_impossible(&b->rows[i], now_ns))
            return true;
    return false;
}

static enum ingest_refusal judge_row(struct ingest *in, struct agent *a, struct ingest_batch *b, size_t i,
                                     int64_t now_ns)
{
    const struct tw_summary *s = &b->rows[i];
    const struct pair *p = inventory_pair(&in->c->inv, s->pair_id);

    if (is_impossible(s, now_ns))
        return INGEST_BAD_TIME;
    if (p && strcmp(p->row.source, a->row.name) != 0)
        return INGEST_UNKNOWN_PAIR;
    if (p)
        return !p->unstored || bring_pair(b, &p->row) ? INGEST_ROW_OK : INGEST_UNKNOWN_PAIR;
    return learn_pair(in, a, b, i) ? INGEST_ROW_OK : INGEST_UNKNOWN_PAIR;
}

static void judge_rows(struct ingest *in, struct agent *a, struct ingest_batch *b)
{
    int64_t now_ns = tw_wall_now().ns;
    size_t refused = 0;
    unsigned held;

    for (size_t i = 0; i < b->n; i++) {
        b->refused[i] = (uint8_t)judge_row(in, a, b, i, now_ns);
        refused += b->refused[i] != INGEST_ROW_OK;
        if (b->refused[i] == INGEST_ROW_OK && b->rows[i].end_ns > in->c->newest_ns)
            in->c->newest_ns = b->rows[i].end_ns;
    }
    if (refused && log_limit_ok(&in->refused_log, tw_mono_now().ns, &held))
        log_warn("rows refused: not this agent's pairs, or their time cannot be right",
                 LOG_S("agent", a->row.name), LOG_U("rows", refused), LOG_U("first_seq", b->first_seq),
                 LOG_U("held_back", held));
}

static Tw__Status check_batch(struct ingest *in, struct fleet_link *l, struct ingest_batch *b,
                              const char **ret_why)
{
    if (memcmp(b->spool_id, rpc_peer_hello(l->peer)->spool_id, sizeof b->spool_id) != 0) {
        *ret_why = "the batch is of another spool than the connection";
        return TW__STATUS__STATUS_INVALID_ARGUMENT;
    }
    if (!l->agent->row.id) {
        *ret_why = "the agent is not stored yet";
        return TW__STATUS__STATUS_UNAVAILABLE;
    }
    if (l->unacked_rows + b->n >
        2 * INGEST_WINDOW) { /* twice: a window that shrank may still be on its way */
        *ret_why = "more summaries are unacknowledged than the window allows";
        return TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
    }
    if (may_be_our_clock(l, b)) {
        *ret_why = "the times of its results cannot be right by this controller's clock, with which the agent's does not agree: "
                   "they stay in its spool until it does";
        return TW__STATUS__STATUS_UNAVAILABLE;
    }
    judge_rows(in, l->agent, b);
    return TW__STATUS__STATUS_OK;
}

static void submit(struct ingest *in, struct fleet_link *l, struct ingest_batch *b)
{
    b->in = in;
    b->agent_id = l->agent->row.id;
    b->received_ns = tw_wall_now().ns;
    b->job = (struct writer_job){ .run = ingest_batch_store, .done = batch_stored, .rows = b->n ? b->n : 1 };
    if (writer_submit(in->c->writer, &b->job) != TW_OK) {
        refuse(in, l, b, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "the store writer's queue is full");
        ingest_batch_free(b);
        return;
    }
    b->link = l;
    l->refs++;
    l->unacked_rows += b->n;
    l->agent->last_contact_ns = b->received_ns;
}

void ingest_on_data(struct ingest *in, struct rpc_peer *p, void *object)
{
    struct fleet_link *l = rpc_peer_ctx(p);
    struct ingest_batch *b = object;
    const char *why = "";
    Tw__Status status;

    if (!l || !l->agent) { /* replaced or removed: its connection is being closed */
        ingest_batch_free(b);
        return;
    }
    if (!l->agent->row.approved) {
        in->counters.batches_refused++;
        rpc_peer_close(p, TW__STATUS__STATUS_PERMISSION_DENIED, "this agent is not approved");
        ingest_batch_free(b);
        return;
    }
    status = check_batch(in, l, b, &why);
    if (status == TW__STATUS__STATUS_OK) {
        submit(in, l, b);
        return;
    }
    refuse(in, l, b, status, why);
    ingest_batch_free(b);
}
