#include "controller/controller.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/log.h"
#include "common/net/now.h"
#include "common/version.h"
#include "controller/admin.h"
#include "controller/alerts.h"
#include "controller/audit.h"
#include "controller/change.h"
#include "controller/dbjob.h"
#include "controller/decide.h"
#include "controller/doctor.h"
#include "controller/events.h"
#include "controller/fleet.h"
#include "controller/follow.h"
#include "controller/gate.h"
#include "controller/http/export.h"
#include "controller/http/login.h"
#include "controller/http/page.h"
#include "controller/ingest.h"
#include "controller/intervals.h"
#include "controller/joining.h"
#include "controller/learn.h"
#include "controller/listen.h"
#include "controller/load.h"
#include "controller/schedule.h"
#include "controller/secure.h"
#include "controller/matrix.h"
#include "controller/ondemand.h"
#include "controller/planner.h"
#include "controller/registry.h"
#include "controller/relay.h"
#include "controller/writer.h"
#include "db/store_access.h"
#include "db/store_alert.h"

#define READER_JOBS 64
#define RETAIN_EVERY_NS (3600 * TW_NS_PER_S)
#define RETAIN_WAIT_NS (2 * TW_NS_PER_S) /* until there are results to tell the time by */
#define DAY_NS (86400 * TW_NS_PER_S)

/* ---- Retention: what is kept no more goes, a step in each commit ---- */

_Static_assert((int)MESH_LEVELS == (int)STORE_LEVELS, "a mesh says how long each level is kept");

struct retain_job {
    struct writer_job job; /* first */
    struct controller *c;
    struct store_retention r;
    struct store_mesh_keep *meshes;
    char (*names)[STORE_NAME_MAX];
    int64_t history_before_ns, audit_before_ns;
    bool more, planner;
};

static enum tw_rc run_retain(struct writer_job *j, struct store *s, struct tw_err *err)
{
    struct retain_job *r = (struct retain_job *)j;
    enum tw_rc rc = store_retain(s, &r->r, &r->more, err);

    if (rc != TW_OK || !r->planner) /* of control state another one does it */
        return rc;
    rc = store_retain_history(s, r->history_before_ns, err);
    if (rc == TW_OK)
        rc = store_retain_alerts(s, r->history_before_ns, err);
    return rc == TW_OK ? store_retain_audit(s, r->audit_before_ns, err) : rc;
}

static void retain_free(struct retain_job *r)
{
    free(r->meshes);
    free(r->names);
    free(r);
}

static void retain_done(struct writer_job *j)
{
    struct retain_job *r = (struct retain_job *)j;

    if (j->rc != TW_OK && j->rc != TW_ECLOSED && j->rc != TW_EPERM) /* the last: another one does it now */
        log_error("old results cannot be dropped", LOG_S("error", j->err.text));
    if (j->rc != TW_OK || !r->more || writer_submit(r->c->writer, &r->job) != TW_OK)
        retain_free(r);
}

static bool has_own(const struct mesh *m)
{
    for (size_t l = 0; l < MESH_LEVELS; l++)
        if (m->keep_ns[l])
            return true;
    return false;
}

static void add_mesh(struct retain_job *r, const struct mesh_state *m)
{
    size_t n = r->r.n_meshes;

    if (!has_own(m->mesh))
        return;
    snprintf(r->names[n], sizeof r->names[n], "%s", m->row.name);
    r->meshes[n].mesh = r->names[n];
    memcpy(r->meshes[n].keep.ns, m->mesh->keep_ns, sizeof r->meshes[n].keep.ns);
    r->r.n_meshes++;
}

/* A clock that is years ahead, as after a host's battery was empty, must not cost the history: what is old is
 * so by the newest result, too, which has the time of an agent. While nothing comes, nothing goes. */
static int64_t retain_now_ns(const struct controller *c)
{
    int64_t now_ns = tw_wall_now().ns, most_ns = c->newest_ns + DAY_NS;

    return now_ns < most_ns ? now_ns : most_ns;
}

static struct retain_job *retain_job_new(struct controller *c)
{
    struct retain_job *r = calloc(1, sizeof *r);
    size_t n = HASH_COUNT(c->inv.meshes);

    if (!r)
        return NULL;
    r->job = (struct writer_job){ .run = run_retain, .done = retain_done, .history = true };
    r->planner = planner_take(c->planner, &r->job.fence);
    r->c = c;
    r->meshes = calloc(n + 1, sizeof *r->meshes);
    r->names = calloc(n + 1, sizeof *r->names);
    if (!r->meshes || !r->names) {
        retain_free(r);
        return NULL;
    }
    for (const struct mesh_state *m = c->inv.meshes; m; m = m->hh.next)
        add_mesh(r, m);
    r->r.now_ns = retain_now_ns(c);
    r->r.keep = c->keep;
    r->r.meshes = r->meshes;
    r->history_before_ns = r->r.now_ns - c->history_ns;
    r->audit_before_ns = r->r.now_ns - c->audit_ns;
    return r;
}

static void retain(struct loop_timer *t)
{
    struct controller *c = t->ctx;
    struct retain_job *r = c->newest_ns ? retain_job_new(c) : NULL;
    int64_t wait_ns = c->newest_ns ? RETAIN_EVERY_NS : RETAIN_WAIT_NS;

    if (r && writer_submit(c->writer, &r->job) != TW_OK)
        retain_free(r);
    if (loop_timer_set(c->loop, t, (struct tw_mono){ tw_mono_now().ns + wait_ns }) != TW_OK)
        log_error("no memory for the retention timer: old summaries stay until a restart");
}

/* ---- Start ---- */

static enum tw_rc make_dir(const char *path, struct tw_err *err)
{
    if (mkdir(path, 0750) == 0 || errno == EEXIST)
        return TW_OK;
    return tw_err_set(err, tw_rc_errno(errno),
                      "cannot make the directory %s: %s; make it, or name another one", path,
                      strerror(errno));
}

static enum tw_rc open_store(struct controller *c, const struct controller_conf *conf, struct tw_err *err)
{
    enum tw_rc rc = make_dir(conf->data_dir, err);
    int n = conf->backup_dir ? snprintf(c->backup_dir, sizeof c->backup_dir, "%s", conf->backup_dir)
                             : snprintf(c->backup_dir, sizeof c->backup_dir, "%s/backups", conf->data_dir);

    if (rc == TW_OK && snprintf(c->db_path, sizeof c->db_path, "%s/%s", conf->data_dir,
                                conf->control ? "mirror.db" : "controller.db") >= (int)sizeof c->db_path)
        rc = tw_err_set(err, TW_EINVAL, "the path of --data-dir is too long");
    if (rc == TW_OK && n >= (int)sizeof c->backup_dir)
        rc = tw_err_set(err, TW_EINVAL, "the path of --backup-dir is too long");
    if (rc == TW_OK)
        rc = planner_start(conf->control, conf->name, &c->planner, err);
    if (rc)
        return rc;
    rc = store_open_at(&(struct store_where){ .control = c->db_path,
                                              .history = conf->history,
                                              .shared = conf->control,
                                              .maintainer = planner_number,
                                              .ctx = c->planner },
                       &c->store, err);
    if (rc == TW_OK && conf->control)
        log_info("the control state is shared", LOG_S("mirror", c->db_path));
    return rc;
}

static enum tw_rc start_publish(struct controller *c, const struct controller_conf *conf, struct tw_err *err)
{
    enum tw_rc rc = publish_new(&(struct publish_conf){ .loop = c->loop,
                                                        .inventory = &c->inv,
                                                        .readers = c->readers,
                                                        .max_pair_series = conf->max_pair_series,
                                                        .native_buckets = conf->native_buckets,
                                                        .self = controller_self,
                                                        .self_ctx = c,
                                                        .shared = c->shared },
                                &c->publish);

    return rc == TW_OK ? rc : tw_err_set(err, rc, "cannot prepare the metrics pages: %s", tw_rc_name(rc));
}

static enum tw_rc start_ondemand(struct controller *c, struct tw_err *err)
{
    uint64_t last_id = 0;
    enum tw_rc rc = store_last_test(c->store, &last_id, err);

    if (rc == TW_OK && (rc = ondemand_new(c, last_id, &c->ondemand)) != TW_OK)
        tw_err_set(err, rc, "out of memory");
    return rc;
}

static enum tw_rc start_joining(struct controller *c, const struct controller_conf *conf, struct tw_err *err)
{
    char dir[4096];

    snprintf(dir, sizeof dir, "%s/ca", conf->data_dir);
    return joining_new(&(struct joining_conf){ .c = c,
                                               .ca_dir = conf->ca_dir ? conf->ca_dir : dir,
                                               .life_ns = conf->certificate_life_ns },
                       &c->joining, err);
}

/* Everything behind the servers. */
static enum tw_rc start_inside(struct controller *c, const struct controller_conf *conf, struct tw_err *err)
{
    enum tw_rc rc = open_store(c, conf, err);

    if (rc == TW_OK && (ingest_new(c, &c->ingest) != TW_OK || changes_new(c, &c->changes) != TW_OK ||
                        intervals_new(c, &c->intervals) != TW_OK || follow_new(c, &c->follow) != TW_OK ||
                        learn_new(c, &c->learn) != TW_OK))
        rc = tw_err_set(err, TW_ENOMEM, "out of memory");
    if (rc == TW_OK)
        rc = load_all(c, err);
    if (rc == TW_OK)
        rc = start_joining(c, conf, err);
    if (rc == TW_OK)
        rc = audit_new(c, &c->audit, err);
    if (rc == TW_OK)
        rc = gate_new(c, &c->gate, err);
    if (rc == TW_OK)
        rc = start_ondemand(c, err);
    if (rc == TW_OK)
        rc = alerts_new(c, &c->alerts, err);
    if (rc == TW_OK)
        rc = writer_start(&(struct writer_conf){
                              .loop = c->loop, .store = c->store, .news = decide_news, .ctx = c },
                          &c->writer, err);
    if (rc == TW_OK)
        rc = reader_pool_start(c->loop, &(struct store_where){ .control = c->db_path, .history = conf->history },
                               CONTROLLER_READERS, READER_JOBS, &c->readers, err);
    if (rc == TW_OK)
        rc = start_publish(c, conf, err);
    if (rc == TW_OK && (rc = clocks_new(c->loop, &c->inv, c->readers, &c->clocks)) != TW_OK)
        tw_err_set(err, rc, "cannot start the clock audit: %s", tw_rc_name(rc));
    if (rc == TW_OK && (rc = dbjob_new(c->db_path, c->backup_dir, &c->dbjob)) != TW_OK)
        tw_err_set(err, rc, "out of memory");
    if (rc == TW_OK && (rc = doctor_new(c, &c->doctor)) != TW_OK)
        tw_err_set(err, rc, "out of memory");
    if (rc == TW_OK)
        rc = alerts_start(c->alerts, err);
    return rc;
}

/* Listeners take nothing from those who only ask. */
#define CONNECTIONS 512u
#define CONNECTIONS_EACH 64u /* of one address; all listeners may be behind one */

static enum tw_rc start_events(struct controller *c, const struct controller_conf *conf, struct tw_err *err)
{
    enum tw_rc rc = events_new(&(struct events_conf){ .loop = c->loop,
                                                      .max_clients = conf->http_events_max,
                                                      .name = c->name,
                                                      .version = tw_version,
                                                      .started_ns = c->started_ns },
                               &c->events);

    return rc == TW_OK ? rc : tw_err_set(err, rc, "out of memory");
}

static enum tw_rc start_http(struct controller *c, const struct controller_conf *conf, struct tw_err *err)
{
    const struct authority *ca = joining_authority(c->joining);
    enum tw_rc rc;

    if (!conf->http || !strcmp(conf->http, "off"))
        return TW_OK;
    rc = page_new(conf->web_root, conf->http_tls_cert, &c->page, err);
    if (rc == TW_OK)
        rc = start_events(c, conf, err);
    if (rc == TW_OK && (rc = matrix_pages_new(c, &c->matrix_pages)) != TW_OK)
        tw_err_set(err, rc, "out of memory");
    if (rc == TW_OK && (rc = login_new(c, &c->login)) != TW_OK)
        tw_err_set(err, rc, "out of memory");
    if (rc != TW_OK)
        return rc;
    return httpd_start(&(struct httpd_conf){ .loop = c->loop,
                                             .address = conf->http,
                                             .tls_cert = conf->http_tls_cert,
                                             .tls_key = conf->http_tls_key,
                                             .plaintext = conf->http_plaintext,
                                             .client_ca = ca ? authority_ca_pem(ca) : NULL,
                                             .index = "/api/v1",
                                             .max_connections = CONNECTIONS + conf->http_events_max,
                                             .max_per_address = CONNECTIONS_EACH + conf->http_events_max,
                                             .max_requests = CONTROLLER_HTTP_REQUESTS,
                                             .routes = controller_routes,
                                             .n_routes = controller_routes_n,
                                             .guard = gate_http,
                                             .after = gate_http_after,
                                             .ctx = c },
                       &c->http, err);
}

/* The agents' listener comes last: when it answers, all else does. */
static enum tw_rc start_servers(struct controller *c, const struct controller_conf *conf, struct tw_err *err)
{
    enum tw_rc rc = listen_prepare(conf->admin_listen, err);

    if (rc == TW_OK)
        rc = listen_prepare(conf->listen, err);
    if (rc == TW_OK)
        rc = admin_start(c, conf->admin_listen, conf->admin_tls, &c->admin_state, err);
    if (rc == TW_OK)
        rc = start_http(c, conf, err);
    return rc == TW_OK ? fleet_start(c, conf->listen, &c->fleet_state, err) : rc;
}

static enum tw_rc check_conf(const struct controller_conf *conf, struct tw_err *err)
{
    enum tw_rc rc = listen_check(conf->listen, conf->allow_plaintext, err);

    if (rc == TW_OK)
        rc = gate_check_names(&conf->http_names, err);
    if (rc == TW_OK)
        rc = listen_check(conf->admin_listen, conf->allow_plaintext, err);
    if (rc || !conf->admin_tls)
        return rc;
    if (!secure_is_tls(conf->admin_tls))
        return tw_err_set(err, TW_EINVAL, "%s: --admin-tls is for operators from elsewhere: expected tls+tcp://ADDRESS:PORT", conf->admin_tls);
    return listen_check(conf->admin_tls, false, err);
}

void controller_use(struct controller *c, const struct controller_conf *conf)
{
    c->auto_approve = conf->auto_approve;
    c->http_write = conf->http_write;
    c->open_metrics = conf->open_metrics;
    c->keep = conf->keep;
    c->budgets = conf->budgets;
    c->history_ns = conf->history_days * DAY_NS;
    c->audit_ns = (conf->audit_days ? conf->audit_days : conf->history_days) * DAY_NS;
    c->http_names = conf->http_names;
    if (c->publish) {
        publish_set_max_pair_series(c->publish, conf->max_pair_series);
        publish_set_native_buckets(c->publish, conf->native_buckets);
    }
    if (c->events)
        events_set_max(c->events, conf->http_events_max);
    if (c->http)
        httpd_set_bounds(c->http, CONNECTIONS + conf->http_events_max,
                         CONNECTIONS_EACH + conf->http_events_max);
}

static enum tw_rc start_registry(struct controller *c, const struct controller_conf *conf, struct tw_err *err)
{
    enum tw_rc rc = relay_new(c, &c->relay);

    if (rc != TW_OK)
        return tw_err_set(err, rc, "out of memory");
    return registry_start(c, conf, &c->registry, err);
}

enum tw_rc controller_start(const struct controller_conf *conf, struct controller **ret, struct tw_err *err)
{
    struct controller *c;
    enum tw_rc rc = check_conf(conf, err);

    if (rc != TW_OK)
        return rc;
    c = calloc(1, sizeof *c);
    if (!c)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    c->loop = conf->loop;
    c->name = conf->name;
    c->data_dir = conf->data_dir;
    gethostname(c->host_name, sizeof c->host_name - 1);
    c->started_ns = tw_wall_now().ns;
    c->shared = conf->shared || conf->control;
    controller_use(c, conf);
    c->retention = (struct loop_timer){ .fn = retain, .ctx = c };
    rc = start_inside(c, conf, err);
    if (rc == TW_OK && (rc = gate_start(c->gate)) != TW_OK)
        tw_err_set(err, rc, "out of memory");
    if (rc == TW_OK)
        rc = start_servers(c, conf, err);
    if (rc == TW_OK && conf->control)
        rc = start_registry(c, conf, err);
    if (rc != TW_OK) {
        controller_stop(c);
        return rc;
    }
    retain(&c->retention);
    change_expand(c->changes); /* finishes what a crash may have left half done */
    *ret = c;
    return TW_OK;
}

static void reload_http(struct controller *c)
{
    struct tw_err err = { 0 };

    if (!c->http || !httpd_cert_end_ns(c->http))
        return;
    if (httpd_reload(c->http, &err) == TW_OK)
        log_info("the certificate of HTTPS was read anew", LOG_I("days_left", (httpd_cert_end_ns(c->http) - tw_wall_now().ns) / DAY_NS));
    reload_part(&c->reload, "the certificate of HTTPS stays as it was", err.text);
}

static void reload_authority(struct controller *c)
{
    struct tw_err err = { 0 };

    joining_reload(c->joining, &err);
    reload_part(&c->reload, "the certificates of --ca-dir stay as they were", err.text);
}

void controller_reload(struct controller *c, void (*options)(void *ctx, struct controller *c), void *ctx)
{
    reload_begin(&c->reload);
    if (options)
        options(ctx, c);
    reload_http(c);
    reload_authority(c);
    reload_end(&c->reload);
}

#define LEAVE_NS (500 * TW_NS_PER_MS)
#define LEAVE_LOOK_NS (10 * TW_NS_PER_MS)

/* Agents that have another controller are there when this one is still busy with ending. */
static void send_agents_away(struct controller *c)
{
    static const bool never = false;
    int64_t now_ns = tw_mono_now().ns, end_ns = now_ns + LEAVE_NS;
    struct rpc_counters n;

    rpc_server_send_away(c->fleet, "this controller ends");
    for (rpc_server_counters(c->fleet, &n); n.peers && now_ns < end_ns; now_ns = tw_mono_now().ns) {
        loop_run_until(c->loop, &never, (struct tw_mono){ now_ns + LEAVE_LOOK_NS });
        rpc_server_counters(c->fleet, &n);
    }
}

/* First nothing new comes in, then what has come goes to the disk, then the rest goes. */
void controller_stop(struct controller *c)
{
    if (!c)
        return;
    loop_timer_cancel(c->loop, &c->retention);
    doctor_stop(c->doctor);
    decide_stop(c);
    if (c->fleet) {
        send_agents_away(c);
        rpc_server_stop(c->fleet);
    }
    c->fleet = NULL; /* operators may ask for the status until the writer has stopped */
    if (c->http)
        httpd_stop(c->http);
    c->http = NULL;
    exports_stop(c);
    registry_stop(c->registry);
    c->registry = NULL;
    relay_free(c->relay);
    c->relay = NULL;
    alerts_stop(c->alerts);
    if (c->writer) {
        intervals_flush(c->intervals);
        gate_stop(c->gate);
        writer_stop(c->writer);
    }
    audit_stop(c->audit);
    if (c->changes)
        changes_free(c->changes);
    c->changes = NULL;
    follow_free(c->follow);
    c->follow = NULL;
    intervals_free(c->intervals);
    if (c->readers)
        reader_pool_stop(c->readers);
    if (c->admin) /* after those that answer its calls */
        rpc_server_stop(c->admin);
    if (c->admin_remote)
        rpc_server_stop(c->admin_remote);
    ondemand_free(c->ondemand);
    alerts_free(c->alerts);
    c->alerts = NULL;
    clocks_free(c->clocks);
    doctor_free(c->doctor); /* after those that it waits for */
    if (c->publish)
        publish_free(c->publish);
    learn_free(c->learn);
    ingest_free(c->ingest);
    fleet_free(c->fleet_state);
    admin_free(c->admin_state);
    login_free(c->login);
    gate_free(c->gate);
    audit_free(c->audit);
    matrix_pages_free(c->matrix_pages);
    events_free(c->events); /* after all who have news */
    page_free(c->page);
    joining_free(c->joining);
    dbjob_free(c->dbjob); /* after whoever asks it */
    inventory_free(&c->inv);
    store_close(c->store);
    planner_stop(c->planner);
    free(c);
}
