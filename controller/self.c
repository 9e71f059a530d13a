/* What the controller says about itself: to metrics pages, Status and readyz. A new figure is one more row.
 */
#include <stdio.h>
#include <string.h>
#include "common/net/loop_metrics.h"
#include "common/net/now.h"
#include "common/net/process.h"
#include "common/version.h"
#include "common/net/now.h"
#include "controller/alerts.h"
#include "controller/audit.h"
#include "controller/controller.h"
#include "controller/events.h"
#include "controller/fleet.h"
#include "controller/gate.h"
#include "controller/http/login.h"
#include "controller/ingest.h"
#include "controller/learn.h"
#include "controller/joining.h"
#include "controller/matrix.h"
#include "controller/ondemand.h"
#include "controller/planner.h"
#include "controller/registry.h"
#include "controller/relay.h"
#include "controller/writer.h"

struct rows {
    struct metrics_self *v;
    size_t n, cap;
};

static void add_labelled(struct rows *r, const char *name, const char *type, const char *help,
                         const char *label, const char *label_value, double value)
{
    if (r->n < r->cap)
        r->v[r->n++] = (struct metrics_self){ name, help, type, label, label_value, value };
}

static void counter(struct rows *r, const char *name, const char *help, uint64_t value)
{
    add_labelled(r, name, "counter", help, NULL, NULL, (double)value);
}

static void gauge(struct rows *r, const char *name, const char *help, double value)
{
    add_labelled(r, name, "gauge", help, NULL, NULL, value);
}

/* ---- Ingest and store ---- */

static void add_ingest(struct rows *r, const struct controller *c)
{
    struct ingest_counters in;
    struct learn_counters learn;

    ingest_counters(c->ingest, &in);
    learn_counters(c->learn, &learn);
    counter(r, "twamp_ingest_summaries_total", "Summaries stored.", in.summaries);
    counter(r, "twamp_ingest_batches_total", "Batches stored.", in.batches);
    counter(r, "twamp_ingest_repeated_batches_total",
            "Batches that were stored already and only acknowledged again.", in.repeated_batches);
    counter(r, "twamp_ingest_out_of_sequence_total", "Batches refused because earlier ones are missing.",
            in.out_of_sequence);
    counter(r, "twamp_ingest_batches_refused_total", "Batches refused for any reason.", in.batches_refused);
    counter(r, "twamp_ingest_rows_refused_total",
            "Summaries of unknown pairs, or with times that cannot be right: not stored.", in.rows_refused);
    counter(r, "twamp_ingest_backlog_summaries_total",
            "Summaries stored that came after later ones of their agent: what waited while it could not deliver.",
            in.backlog_summaries);
    counter(r, "twamp_ingest_read_back_total",
            "Spools of agents that connected, of which a history that other controllers write, too, was asked how far they are stored.",
            learn.spools);
    counter(r, "twamp_ingest_read_back_late_total",
            "Of these: agents that were not kept waiting for the answer, and send again what is stored.", learn.late);
    gauge(r, "twamp_ingest_spools_ahead",
          "Agents' spools of which later summaries are stored than some that are to come: their backlog is not drained.",
          (double)in.spools_ahead);
    counter(r, "twamp_ingest_gap_summaries_total",
            "Summaries that agents had to drop before they could send them.", in.gap_summaries);
}

static void add_ondemand(struct rows *r, const struct controller *c)
{
    struct ondemand_counters n;

    ondemand_counters(c->ondemand, &n);
    gauge(r, "twamp_ondemand_tests_running", "Tests on demand that run now.", (double)n.running);
    counter(r, "twamp_ondemand_tests_total", "Tests on demand that were started.", n.started);
    counter(r, "twamp_ondemand_refused_total", "Tests on demand that could not be started.", n.refused);
    counter(r, "twamp_ondemand_abandoned_total",
            "Tests on demand that were stopped because nobody asked for their progress any more.", n.abandoned);
    counter(r, "twamp_ondemand_runs_total", "Pairs of tests on demand that were started.", n.runs);
    counter(r, "twamp_ondemand_runs_failed_total",
            "Pairs of tests on demand that were refused, or did not come to their end.", n.runs_failed);
}

/* One family after the other, or a page would not be valid. */
static void add_levels(struct rows *r, const struct store_stats *st)
{
    for (enum store_level l = STORE_RAW; l < STORE_LEVELS; l++)
        add_labelled(r, "twamp_store_level_rows", "gauge", "Rows stored, of summaries (raw) and of each level of roll-ups.",
                     "level", store_level_name(l), (double)st->levels[l].rows);
    for (enum store_level l = STORE_RAW; l < STORE_LEVELS; l++)
        add_labelled(r, "twamp_store_level_bytes", "gauge", "What those rows and their index entries take in the file.",
                     "level", store_level_name(l), (double)st->levels[l].bytes);
    for (enum store_level l = STORE_RAW; l < STORE_LEVELS; l++)
        add_labelled(r, "twamp_store_level_oldest_time_seconds", "gauge",
                     "Begin of the oldest day, month or year that is kept of it; 0: nothing.", "level",
                     store_level_name(l), (double)st->levels[l].oldest_ns / 1e9);
}

static void add_rollup(struct rows *r, const struct store_stats *st, int64_t now_ns)
{
    double lag = st->rollup_since_ns ? (double)(now_ns - st->rollup_since_ns) / 1e9 : 0;

    add_levels(r, st);
    gauge(r, "twamp_store_rollup_waiting_rows", "Summaries in no roll-up yet; reports count them nevertheless.",
          (double)st->rollup_waiting);
    gauge(r, "twamp_store_rollup_lag_seconds", "How long the first of them has waited: up to 11 min is normal.",
          lag > 0 ? lag : 0);
    counter(r, "twamp_store_rollup_rows_total", "Summaries rolled up.", st->rollup_rows);
    counter(r, "twamp_store_rollup_cells_total", "Rows of roll-ups written, or written again.", st->rollup_cells);
    counter(r, "twamp_store_rollup_slices_total", "Commits of the roll-up.", st->rollup_slices);
    counter(r, "twamp_store_rollup_damaged_total", "Damaged rows that the roll-up left out.", st->rollup_damaged);
    gauge(r, "twamp_store_free_bytes", "Part of the file that is free for what comes next.", (double)st->free_bytes);
}

/* The label before the last goes into the name of the label: a row has room for one. */
static void add_alert_states(struct rows *r, const struct alert_counts *n)
{
    static const char help[] = "Alerts that go on, explained and silenced ones, too.";

    for (int s = 0; s < ALERT_SEVERITY_COUNT; s++) {
        const char *severity = alert_severity_name((enum alert_severity)s);

        add_labelled(r, "twamp_alerts", "gauge", help, "state=\"pending\",severity", severity, n->active[ALERT_PENDING][s]);
        add_labelled(r, "twamp_alerts", "gauge", help, "state=\"firing\",severity", severity, n->active[ALERT_FIRING][s]);
    }
}

static void add_alerts(struct rows *r, const struct controller *c)
{
    uint64_t sent, failed, refused, dropped, queued;
    struct alerts_counters own;
    struct alert_counts n;

    if (!c->alerts)
        return;
    alert_engine_counts(alerts_engine(c->alerts), &n);
    alerts_counters(c->alerts, &own);
    notify_totals(alerts_notify(c->alerts), &sent, &failed, &refused, &dropped, &queued);
    add_alert_states(r, &n);
    counter(r, "twamp_alerts_fired_total", "Alerts that have fired.", n.fired);
    counter(r, "twamp_alerts_resolved_total", "Alerts that have ended.", n.resolved);
    counter(r, "twamp_alerts_lost_total", "Changes of alerts that could not be kept for want of memory.",
            own.lost + n.no_memory);
    counter(r, "twamp_alert_freezes_total", "Flight recorders of pairs frozen because of an alert.", own.freezes);
    gauge(r, "twamp_alert_notices_queued", "Notices that wait for their receivers.", (double)queued);
    counter(r, "twamp_alert_notices_sent_total", "Notices that receivers took.", sent);
    counter(r, "twamp_alert_notices_failed_total", "Tries to bring a notice to a receiver that failed.", failed);
    counter(r, "twamp_alert_notices_refused_total", "Notices that a receiver said it will never take.", refused);
    counter(r, "twamp_alert_notices_dropped_total", "Notices dropped because a receiver's queue was full, or it was removed.",
            dropped);
}

/* Of a history in a database of its own. */
static void add_history(struct rows *r, const struct writer_stats *w)
{
    gauge(r, "twamp_history_reachable", "1: the history's database can be used. 0: results wait for it.",
          w->history_problem[0] ? 0 : 1);
    gauge(r, "twamp_history_complete",
          "0: a replica of the history is away, only readable or far behind, and it goes on without that.",
          w->history.lacks[0] ? 0 : 1);
    gauge(r, "twamp_history_replica_behind_seconds",
          "Age of the oldest change that a replica of the history which is there has not got yet.",
          (double)w->history.behind_s);
    counter(r, "twamp_history_inserts_total", "Inserts that the history's database has confirmed.",
            w->history.inserts);
    counter(r, "twamp_history_insert_bytes_total", "Octets of those inserts.", w->history.insert_bytes);
    counter(r, "twamp_history_statements_total", "Statements of the store writer to it.",
            w->history.statements);
    counter(r, "twamp_history_failures_total", "Of those, statements that none of its servers took.",
            w->history.failures);
    counter(r, "twamp_history_moves_total", "Changes to another of its servers, since one did not answer.",
            w->history.moves);
    counter(r, "twamp_history_retries_total", "Groups of results that are tried again.", w->history_retries);
}

/* Of control state that others change, too. */
static void add_control(struct rows *r, const struct writer_stats *w)
{
    gauge(r, "twamp_control_reachable", "1: the shared control state can be used. 0: changes wait for it.",
          w->control_problem[0] ? 0 : 1);
    counter(r, "twamp_control_transactions_total",
            "Transactions of ours that changed the shared control state.", w->control.transactions);
    counter(r, "twamp_control_conflicts_total",
            "Transactions that were not done since another controller's came first.", w->control.conflicts);
    counter(r, "twamp_control_again_total", "Groups of changes that were run again at once because of that.",
            w->again);
    counter(r, "twamp_control_decided_again_total",
            "Changes that were to be decided again, since what they were decided by was changed by others.",
            w->decided);
    counter(r, "twamp_control_loads_total", "Times that all of the shared control state was read.",
            w->control.loads);
    counter(r, "twamp_control_settled_total",
            "Transactions whose answer was lost, and whose outcome was found out afterwards.",
            w->control.settled);
    counter(r, "twamp_control_retries_total", "Groups of changes that are tried again, since it is away.",
            w->control_retries);
}

/* Calls to agents that another controller has. */
static void add_relay(struct rows *r, struct relay_counts n)
{
    counter(r, "twamp_relay_calls_total", "Calls to agents of other controllers that those were to make.",
            n.asked);
    counter(r, "twamp_relay_calls_failed_total", "Of these, calls that no agent answered.", n.failed);
    counter(r, "twamp_relay_served_total", "Calls to agents of this controller that others asked for.",
            n.made);
    counter(r, "twamp_relay_unread_total", "Texts of other controllers that cannot be read.", n.unread);
    counter(r, "twamp_relay_ignored_total", "Calls of other controllers beyond what this one serves.",
            n.ignored);
}

/* Those that it is shared with. */
static void add_controllers(struct rows *r, const struct controller *c)
{
    struct registry_counts n = registry_counts(c->registry);

    for (enum registry_state s = REGISTRY_UP; s < REGISTRY_STATES; s++)
        add_labelled(r, "twamp_controllers", "gauge",
                     "Controllers that share the control state, this one among them.", "state",
                     registry_state_name(s), (double)n.of[s]);
    gauge(r, "twamp_controllers_other_release",
          "Of those that are up, how many are of another release than this one.", (double)n.other_release);
    gauge(r, "twamp_controllers_of_one_name",
          "Of those that are up, how many have a name that another one has, too.", (double)n.twins);
    add_relay(r, relay_counts(c->relay));
}

static void add_store(struct rows *r, const struct controller *c)
{
    static const char commit[] = "twamp_ingest_commit_seconds",
                      commit_help[] = "Time from begin to durable of a commit.";
    struct writer_stats w;

    writer_stats(c->writer, &w);
    gauge(r, "twamp_ingest_queue_rows", "Summaries that wait for the store writer.", (double)w.queued_rows);
    gauge(r, "twamp_ingest_queue_limit_rows", "Bound of that queue.", (double)w.max_rows);
    add_labelled(r, commit, "gauge", commit_help, "which", "last", w.commit_last_s);
    add_labelled(r, commit, "gauge", commit_help, "which", "p99", w.commit_p99_s);
    counter(r, "twamp_store_rows_written_total", "Rows of summaries written.", w.store.rows_written);
    counter(r, "twamp_store_commits_total", "Commits.", w.store.commits);
    counter(r, "twamp_store_commit_errors_total", "Commits that failed.", w.store.commit_errors);
    counter(r, "twamp_store_retries_total", "Groups of changes that were tried again.", w.retries);
    gauge(r, "twamp_store_writable", "1: the last commit worked. 0: the disk is full or fails.",
          w.problem[0] ? 0 : 1);
    gauge(r, "twamp_store_file_bytes", "Size of the database file.", (double)w.store.file_bytes);
    gauge(r, "twamp_store_wal_bytes", "Size of its write-ahead log.", (double)w.store.wal_bytes);
    gauge(r, "twamp_controller_planner",
          "1: this controller does what only one may do (retention, roll-ups).",
          planner_is(c->planner) ? 1 : 0);
    if (w.history.apart)
        add_history(r, &w);
    if (w.control.shared)
        add_control(r, &w);
    if (c->registry)
        add_controllers(r, c);
    add_rollup(r, &w.store, loop_now(c->loop).wall.ns);
    counter(r, "twamp_reader_refused_total", "Queries refused because too many ran.",
            reader_refused(c->readers));
    counter(r, "twamp_reader_client_refused_total", "Of those, queries of a client that had too many waiting.",
            reader_refused_client(c->readers));
}

/* ---- Schedules ---- */

static void add_schedules(struct rows *r, const struct controller *c)
{
    static const char sent[] = "twamp_schedule_requests_total",
                      sent_help[] = "Requests by which schedules were sent to agents.";
    const struct push_queue *q = c->pushes;

    if (!q)
        return;
    add_labelled(r, sent, "counter", sent_help, "form", "list", (double)q->lists);
    add_labelled(r, sent, "counter", sent_help, "form", "difference", (double)q->differences);
    counter(r, "twamp_schedule_requests_refused_total",
            "Requests with schedules that agents did not take, or that did not reach them.", q->refused);
    gauge(r, "twamp_schedule_sessions_under_way", "Sessions in requests that are not answered yet.",
          (double)q->under_way);
}

/* ---- RPC: each figure for both listeners ---- */

static const struct rpc_row {
    const char *name, *type, *help;
    size_t offset;
} rpc_rows[] = {
#define RPC_ROW(field, name, type, help)                                    \
    {                                                                       \
        "twamp_rpc_" name, type, help, offsetof(struct rpc_counters, field) \
    }
    RPC_ROW(peers, "peers", "gauge", "Connections past HELLO."),
    RPC_ROW(accepted, "accepted_total", "counter", "Connections accepted."),
    RPC_ROW(handshakes_failed, "handshakes_failed_total", "counter",
            "Connections whose HELLO was wrong or refused."),
    RPC_ROW(handshakes_timed_out, "handshakes_timed_out_total", "counter",
            "Connections that were silent or slow."),
    RPC_ROW(handshakes_evicted, "handshakes_evicted_total", "counter",
            "Connections cut off before HELLO to make room."),
    RPC_ROW(frames_in, "frames_in_total", "counter", "Frames received."),
    RPC_ROW(frames_out, "frames_out_total", "counter", "Frames sent."),
    RPC_ROW(bytes_in, "received_bytes_total", "counter", "Octets received."),
    RPC_ROW(bytes_out, "sent_bytes_total", "counter", "Octets sent."),
    RPC_ROW(calls_in, "calls_in_total", "counter", "Calls from peers."),
    RPC_ROW(calls_refused, "calls_refused_total", "counter",
            "Of them, told to come again: too many are unanswered, or a queue is full."),
    RPC_ROW(calls_now, "calls_unanswered", "gauge", "Calls from peers that are not answered yet."),
    RPC_ROW(calls_out, "calls_out_total", "counter", "Calls to peers."),
    RPC_ROW(bad_frames, "bad_frames_total", "counter", "Frames that cut off their connection."),
    RPC_ROW(dead_peers, "dead_peers_total", "counter", "Connections closed after 45 s of silence."),
    RPC_ROW(late_replies, "late_replies_total", "counter", "Replies that came after their deadline."),
#undef RPC_ROW
};

static double rpc_value(const struct rpc_counters *c, size_t offset)
{
    uint64_t v;

    memcpy(&v, (const char *)c + offset, sizeof v);
    return (double)v;
}

static void add_rpc(struct rows *r, const struct controller *c)
{
    struct rpc_counters fleet = { 0 }, admin = { 0 }, remote = { 0 };

    if (c->fleet)
        rpc_server_counters(c->fleet, &fleet);
    if (c->admin)
        rpc_server_counters(c->admin, &admin);
    if (c->admin_remote)
        rpc_server_counters(c->admin_remote, &remote);
    for (size_t i = 0; i < TW_NELEM(rpc_rows); i++) {
        const struct rpc_row *row = &rpc_rows[i];

        add_labelled(r, row->name, row->type, row->help, "listener", "fleet", rpc_value(&fleet, row->offset));
        add_labelled(r, row->name, row->type, row->help, "listener", "admin", rpc_value(&admin, row->offset));
        if (c->admin_remote)
            add_labelled(r, row->name, row->type, row->help, "listener", "admin_tls", rpc_value(&remote, row->offset));
    }
}

static void add_events(struct rows *r, const struct controller *c)
{
    struct events_counters n;
    struct matrix_counters m;

    events_counters(c->events, &n);
    gauge(r, "twamp_http_event_clients", "Listeners to /api/v1/events now.", (double)n.clients);
    counter(r, "twamp_http_events_sent_total", "Events sent to them.", n.sent);
    counter(r, "twamp_http_events_dropped_total",
            "Events not sent by themselves because the client had not taken what came before; a later one said it, too.",
            n.dropped);
    matrix_pages_counters(c->matrix_pages, &m);
    counter(r, "twamp_http_matrix_built_total", "Answers of /api/v1/matrix made.", m.built);
    counter(r, "twamp_http_matrix_kept_total", "Answers of /api/v1/matrix that were there already.", m.kept);
    gauge(r, "twamp_http_matrix_bytes", "Octets of the answers of /api/v1/matrix that are kept.", (double)m.bytes);
    counter(r, "twamp_http_events_refused_total", "Listeners refused because there were as many as may be.", n.refused);
}

static void add_login(struct rows *r, const struct controller *c)
{
    static const char logins[] = "twamp_web_logins_total", logins_help[] = "Logins at the page.",
                      ended[] = "twamp_web_sessions_ended_total", ended_help[] = "Sessions of the page that have ended, by why.";
    struct login_counters n;

    if (!c->login)
        return;
    login_counters(c->login, &n);
    gauge(r, "twamp_web_sessions", "Sessions of the page.", (double)n.sessions.now);
    add_labelled(r, logins, "counter", logins_help, "result", "ok", (double)n.sessions.opened);
    add_labelled(r, logins, "counter", logins_help, "result", "wrong", (double)n.wrong);
    add_labelled(r, logins, "counter", logins_help, "result", "limited", (double)n.limited);
    add_labelled(r, logins, "counter", logins_help, "result", "full", (double)n.sessions.full);
    for (enum web_end e = 0; e < WEB_ENDS; e++)
        add_labelled(r, ended, "counter", ended_help, "why", web_end_name(e), (double)n.sessions.ended[e]);
    counter(r, "twamp_web_forged_total", "Changes by cookie, and logins, refused because they were not our own page's.", n.forged);
}

static void add_tls(struct rows *r, const struct controller *c, const struct httpd_counters *h)
{
    static const char reloads[] = "twamp_http_certificate_reloads_total",
                      reloads_help[] = "Times that certificate and key of HTTPS were read anew.";
    int64_t end_ns = httpd_cert_end_ns(c->http);

    if (!end_ns)
        return;
    gauge(r, "twamp_http_certificate_expiry_time_seconds", "When the certificate of HTTPS expires, seconds since 1970.",
          (double)end_ns / 1e9);
    counter(r, "twamp_http_tls_handshakes_total", "TLS handshakes that came as far as the certificate.", h->handshakes);
    add_labelled(r, reloads, "counter", reloads_help, "result", "ok", (double)h->reloads);
    add_labelled(r, reloads, "counter", reloads_help, "result", "refused", (double)h->reloads_failed);
}

static void add_reload(struct rows *r, const struct controller *c)
{
    struct metrics_self rows[RELOAD_METRICS];
    size_t n = reload_metrics(&c->reload, rows);

    for (size_t i = 0; i < n && r->n < r->cap; i++)
        r->v[r->n++] = rows[i];
}

static void add_loop(struct rows *r, const struct controller *c)
{
    struct metrics_self rows[LOOP_METRICS];
    size_t n = loop_metrics(c->loop, rows);

    for (size_t i = 0; i < n && r->n < r->cap; i++)
        r->v[r->n++] = rows[i];
}

static void add_busy(struct rows *r, const struct httpd_counters *h)
{
    static const char busy[] = "twamp_http_busy_total",
                      busy_help[] = "Requests sent away with 503 and Retry-After because of a bound.";

    add_labelled(r, busy, "counter", busy_help, "bound", "requests", (double)h->busy_requests);
    add_labelled(r, busy, "counter", busy_help, "bound", "connections", (double)h->busy_connections);
    add_labelled(r, busy, "counter", busy_help, "bound", "address", (double)h->busy_address);
    add_labelled(r, busy, "counter", busy_help, "bound", "content", (double)h->busy_content);
}

static void add_http(struct rows *r, const struct controller *c)
{
    struct httpd_counters h;

    if (!c->http)
        return;
    httpd_counters(c->http, &h);
    counter(r, "twamp_http_requests_total", "Requests.", h.requests);
    counter(r, "twamp_http_refused_total",
            "Of them, answered without a handler: no such path or method, wrong content, too many.",
            h.refused);
    add_labelled(r, "twamp_http_errors_total", "counter", "Answers with an error status.", "class", "4xx",
                 (double)h.errors_4xx);
    add_labelled(r, "twamp_http_errors_total", "counter", "Answers with an error status.", "class", "5xx",
                 (double)h.errors_5xx);
    gauge(r, "twamp_http_open_requests", "Requests that are being answered, without streams.",
          (double)h.under_way);
    gauge(r, "twamp_http_connections", "Connections.", (double)h.open);
    add_busy(r, &h);
    counter(r, "twamp_http_cut_off_total",
            "Connections that had to make room: idle for longest, or with an answer that nobody took.",
            h.cut_off);
    counter(r, "twamp_http_accept_waits_total",
            "Times that no connection could be taken, because no descriptor or memory was left.", h.waits);
    counter(r, "twamp_http_connections_without_request_total",
            "Connections that ended before any request: failed TLS handshakes, scanners, browsers that kept one ready.", h.unasked);
    add_tls(r, c, &h);
    add_login(r, c);
    add_events(r, c);
}

/* ---- Certificates ---- */

static const char expiry[] = "twamp_certificate_expiry_timestamp_seconds";
static const char expiry_help[] = "When the certificate expires, seconds since 1970; of agents the soonest. None: no series.";

static void add_expiry(struct rows *r, const char *of, int64_t ns)
{
    if (ns)
        add_labelled(r, expiry, "gauge", expiry_help, "of", of, (double)ns / 1e9);
}

static void add_certificates(struct rows *r, const struct controller *c)
{
    struct joining_stats s;

    if (!c->joining)
        return;
    joining_stats(c->joining, tw_wall_now().ns, &s);
    add_expiry(r, "agents", s.agents_expire_ns);
    add_expiry(r, "controller", s.server_expires_ns);
    add_expiry(r, "ca", s.ca_expires_ns);
    counter(r, "twamp_certificates_issued_total", "Certificates issued to agents.", s.issued);
    counter(r, "twamp_certificate_renewals_failed_total", "Tries to renew the controller's own certificate that failed.",
            s.server_renewals_failed);
    counter(r, "twamp_join_calls_total", "Calls of agents that join or renew their certificate.", s.calls);
    counter(r, "twamp_join_refused_total", "Of them, refused: a wrong or worn token, a revoked agent, another's name.", s.refused);
    counter(r, "twamp_join_limited_total", "Of them, sent away: too many, or too many wrong tokens from an address.", s.limited);
    gauge(r, "twamp_join_tokens", "Join tokens that are usable.", (double)s.tokens_usable);
}

/* ---- Who may ---- */

static void add_access(struct rows *r, const struct controller *c)
{
    static const char refused[] = "twamp_access_refused_total", refused_help[] = "Connections, requests and calls that were not let in.";
    struct gate_counters g;
    struct audit_counters a;

    if (!c->gate || !c->audit)
        return;
    gate_counters(c->gate, &g);
    audit_counters(c->audit, &a);
    gauge(r, "twamp_access_tokens", "Access tokens that work.", (double)g.tokens);
    add_labelled(r, refused, "counter", refused_help, "reason", "wrong_token", (double)(g.tries.wrong - g.tries.limited));
    add_labelled(r, refused, "counter", refused_help, "reason", "too_many_tries", (double)g.tries.limited);
    add_labelled(r, refused, "counter", refused_help, "reason", "no_token", (double)g.anonymous);
    add_labelled(r, refused, "counter", refused_help, "reason", "role", (double)g.forbidden);
    add_labelled(r, refused, "counter", refused_help, "reason", "host", (double)g.misdirected);
    counter(r, "twamp_access_addresses_forgotten_total", "Addresses whose wrong tries were forgotten for want of room in the table.",
            g.tries.forgotten);
    counter(r, "twamp_access_cut_off_total", "Connections that ended with their access token.", g.cut_off);
    counter(r, "twamp_audit_rows_total", "Rows of the audit log written.", a.written);
    counter(r, "twamp_audit_lost_total", "Rows of the audit log that could not be written: they are in the controller's log.", a.lost);
    counter(r, "twamp_audit_held_back_total", "Refused tries that were only counted, since too many came.", a.held_back);
    counter(r, "twamp_audit_blocked_total", "Changes refused because the audit log had no room for them.", a.blocked);
}

/* ---- The process ---- */

static void add_process(struct rows *r, const struct controller *c)
{
    gauge(r, "process_start_time_seconds", "Start time, seconds since 1970.", (double)c->started_ns / 1e9);
    gauge(r, "process_resident_memory_bytes", "Resident memory.", (double)process_rss_bytes());
    add_labelled(r, "process_cpu_seconds_total", "counter", "CPU time, user and system.", NULL, NULL,
                 (double)process_cpu_ns() / 1e9);
    gauge(r, "process_open_fds", "Open descriptors.", (double)process_open_files());
}

size_t controller_self(void *ctx, struct metrics_self *rows, size_t cap)
{
    const struct controller *c = ctx;
    struct rows r = { rows, 0, cap };

    add_ingest(&r, c);
    add_ondemand(&r, c);
    add_alerts(&r, c);
    add_store(&r, c);
    add_schedules(&r, c);
    add_rpc(&r, c);
    add_http(&r, c);
    add_certificates(&r, c);
    add_access(&r, c);
    add_reload(&r, c);
    add_loop(&r, c);
    add_process(&r, c);
    return r.n;
}

#define CERT_SOON_NS (14 * 86400 * TW_NS_PER_S)

/* Of the certificate of HTTPS: "" while nothing has to be done. */
static void look_at_cert(struct controller *c)
{
    int64_t end_ns = c->http ? httpd_cert_end_ns(c->http) : 0, left_ns = end_ns - tw_wall_now().ns;
    char text[TW_TIME_TEXT];

    c->warning[0] = '\0';
    if (end_ns && left_ns < CERT_SOON_NS)
        snprintf(c->warning, sizeof c->warning, "the certificate of HTTPS %s %s: replace its file and send SIGHUP",
                 left_ns > 0 ? "expires at" : "has expired at", tw_wall_format((struct tw_wall){ end_ns }, text));
}

/* Agents of another release than this one work, as long as it is the one before or after; what they cannot do doctor says. */
static void look_at_releases(struct controller *c)
{
    const char *ours = strchr(tw_software_agent, ' ');
    size_t n = 0;

    for (const struct agent *a = c->inv.agents; a; a = a->hh.next) {
        const char *theirs = strchr(a->row.software, ' ');
        n += a->peer && (!theirs || strcmp(ours, theirs));
    }
    c->skew[0] = '\0';
    if (n)
        snprintf(c->skew, sizeof c->skew, "%zu agents run another release than this controller (%s): twampctl agent list", n, tw_version);
}

size_t controller_warnings(struct controller *c, const char **ret, size_t cap)
{
    size_t n = 0;

    look_at_cert(c);
    if (c->warning[0] && n < cap)
        ret[n++] = c->warning;
    if (c->reload.error[0] && n < cap)
        ret[n++] = c->reload.error;
    if (c->reload.restart[0])
        snprintf(c->restart, sizeof c->restart, "options were changed that need a restart: %s", c->reload.restart);
    if (c->reload.restart[0] && n < cap)
        ret[n++] = c->restart;
    if (*registry_warning(c->registry) && n < cap)
        ret[n++] = registry_warning(c->registry);
    look_at_releases(c);
    if (c->skew[0] && n < cap)
        ret[n++] = c->skew;
    return n;
}

size_t controller_problems(struct controller *c, const char **ret, size_t cap)
{
    struct writer_stats w;
    size_t n = 0;

    writer_stats(c->writer, &w);
    snprintf(c->problem, sizeof c->problem, "%.255s", w.problem);
    snprintf(c->control_problem, sizeof c->control_problem, "%.255s", w.control_problem);
    snprintf(c->history_problem, sizeof c->history_problem, "%.255s", w.history_problem);
    if (c->problem[0] && n < cap)
        ret[n++] = c->problem;
    if (c->control_problem[0] && n < cap)
        ret[n++] = c->control_problem;
    if (c->history_problem[0] && n < cap)
        ret[n++] = c->history_problem;
    return n;
}
