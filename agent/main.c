/* agent/main.c - wires the agent: options, key, spool, workers, schedule, uplink. The only place that exits.
 */
#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include "agent/access_lists.h"
#include "agent/cards.h"
#include "agent/check.h"
#include "agent/clockwatch.h"
#include "agent/control.h"
#include "agent/diagnose.h"
#include "agent/enrolment.h"
#include "agent/join.h"
#include "agent/keyring.h"
#include "agent/metrics_server.h"
#include "agent/ondemand.h"
#include "agent/options.h"
#include "agent/recorder.h"
#include "agent/resolver.h"
#include "agent/results.h"
#include "agent/schedule_merge.h"
#include "agent/threads.h"
#include "agent/uplink.h"
#include "agent/xdp/xdp_reflect.h"
#include "common/net/confine.h"
#include "common/net/join_token.h"
#include "common/net/keyfile.h"
#include "common/net/now.h"
#include "common/net/process.h"
#include "common/net/reload.h"
#include "common/version.h"

#define REFLECT_MAX 8 /* as struct worker_cfg */
#define HEALTH_FRESH_NS (60 * TW_NS_PER_S)
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))
#define XDP_TICK_NS TW_NS_PER_S
#define SPOOL_TRIM_NS (60 * TW_NS_PER_S)
#define SCHEDULE_KEY "schedule"
#define EXIT_USAGE 2
#define EXIT_UNWANTED 3

struct agent {
    struct agent_options opt;
    struct conf_daemon conf;
    struct loop *loop;
    struct identity *identity;
    struct credentials *credentials;
    struct join *join; /* NULL: it has a certificate, or needs none */
    struct spool *spool;
    struct worker **workers;
    size_t n_workers;
    struct tw_addr reflect[REFLECT_MAX];
    uint16_t reflector_port;
    Tw__EnrolRequest *enrolment;
    struct keyring *keys;    /* NULL: no file of secrets */
    struct control *control; /* NULL: no TWAMP-Control server */
    struct resolver *resolver;
    struct schedule_run *schedule;
    struct ondemand *ondemand;
    struct schedule_parts parts;
    struct results *results;
    struct frozen *frozen;
    struct recorder *recorder;
    struct diagnose *diagnose;
    struct metrics_server *metrics; /* NULL: not served */
    struct clockwatch clock;
    struct cards cards;
    struct uplink *uplink;
    struct loop_timer trim, xdp_tick;
    struct tw_prefix *probe_allow;
    struct access_lists *access;
    struct source_limit *limit;  /* of the reflectors */
    struct target_rules targets; /* points to probe_allow */
    struct xdp_reflect *xdp; /* NULL: all by the sockets */
    int64_t started_ns;
    struct reload reload;
    char config_error[400]; /* why the configuration file as it is now is not in use; "": it is */
    struct tw_err https_error; /* the same of the certificate of --http */
    bool unwanted; /* by the controller: revoked or removed */
    bool failed;   /* it cannot join, and said why */
};

/* ---- Hooks between the parts ---- */

static void on_worker_results(void *ctx)
{
    struct agent *a = ctx;
    struct worker_notice n;

    control_on_results(a->control);
    if (!a->results)
        return;
    results_notify(a->results);
    for (size_t i = 0; i < a->n_workers; i++)
        while (worker_next_notice(a->workers[i], &n) == TW_OK)
            if (!ondemand_notice(a->ondemand, &n))
                schedule_run_notice(a->schedule, &n);
    if (a->recorder)
        recorder_on_results(a->recorder);
}

static void name_summary(void *ctx, Tw__Summary *m)
{
    const struct agent *a = ctx;

    if (!ondemand_name(a->ondemand, m))
        schedule_run_name(a->schedule, m);
}

static void note_summary(void *ctx, const struct tw_summary *s)
{
    const struct agent *a = ctx;

    ondemand_note(a->ondemand, s);
    metrics_server_note(a->metrics, s);
}

/* Of a session that nobody runs: what is known of this host's clock belongs to it, too. */
static void on_summary(void *ctx, const struct tw_summary *s)
{
    struct agent *a = ctx;
    struct tw_summary with_clock = *s; /* nothing in it is freed here */

    with_clock.clock_local = clockwatch_look(&a->clock)->state;
    if (a->results)
        results_add(a->results, &with_clock);
}

static void on_stored(void *ctx)
{
    struct agent *a = ctx;

    if (a->uplink)
        uplink_kick(a->uplink);
}

static void on_applied(void *ctx)
{
    struct agent *a = ctx;

    log_info("schedule applied", LOG_U("generation", schedule_run_generation(a->schedule)),
             LOG_U("sessions", schedule_run_sessions(a->schedule)));
    if (a->uplink)
        uplink_send_ack(a->uplink);
}

static void on_clock_step(void *ctx)
{
    schedule_run_clock_set(((struct agent *)ctx)->schedule);
}

static void keep_schedule(struct agent *a, const Tw__ScheduleRequest *rq)
{
    size_t len = tw__schedule_request__get_packed_size(rq);
    uint8_t *data = malloc(len ? len : 1);
    enum tw_rc rc = TW_ENOMEM;

    if (data) {
        tw__schedule_request__pack(rq, data);
        rc = spool_put_value(a->spool, SCHEDULE_KEY, data, len);
    }
    if (rc != TW_OK)
        log_warn("the schedule cannot be kept for a restart", LOG_S("reason", tw_rc_name(rc)));
    free(data);
}

static void apply_kept_schedule(struct agent *a);

/* What was refused for want of a key may start, what has lost its key must stop, the rest gets the new ones.
 */
static void on_keys_changed(void *ctx)
{
    apply_kept_schedule(ctx);
}

static Tw__ScheduleRequest *kept_schedule(struct agent *a, struct tw_err *err);

/* Only one that is accepted replaces the one that is kept. After a crash in between the agent runs the one
 * before and says so when it enrols. */
static enum tw_rc apply_and_keep(struct agent *a, const Tw__ScheduleRequest *rq, struct tw_err *err)
{
    enum tw_rc rc = schedule_run_apply(a->schedule, rq, err);

    if (rc == TW_OK)
        keep_schedule(a, rq);
    ondemand_on_schedule(a->ondemand);
    return rc;
}

static enum tw_rc whole_schedule(struct agent *a, const Tw__ScheduleRequest *rq, Tw__ScheduleRequest **ret,
                                 struct tw_err *err)
{
    Tw__ScheduleRequest *base;
    enum tw_rc rc;

    if (schedule_is_part(rq))
        return schedule_parts_take(&a->parts, rq, ret, err);
    base = kept_schedule(a, err);
    rc = schedule_merge(base, rq, ret, err);
    if (base)
        tw__schedule_request__free_unpacked(base, NULL);
    return rc;
}

/* A part is answered like a list; what it is part of is applied with the last one. */
static enum tw_rc on_schedule(void *ctx, const Tw__ScheduleRequest *rq, struct tw_err *err)
{
    struct agent *a = ctx;
    Tw__ScheduleRequest *whole = NULL;
    enum tw_rc rc;

    if (!schedule_is_part(rq))
        schedule_parts_drop(&a->parts);
    if (!schedule_is_part(rq) && !rq->base_digest.len)
        return apply_and_keep(a, rq, err);
    rc = whole_schedule(a, rq, &whole, err);
    if (rc == TW_EAGAIN)
        return TW_OK;
    if (rc == TW_OK) {
        rc = apply_and_keep(a, whole, err);
        tw__schedule_request__free_unpacked(whole, NULL);
    }
    return rc;
}

/* Nothing runs, and nothing would after a restart without a controller in reach. */
static void stop_all(struct agent *a, const char *why)
{
    static const uint8_t none[32]; /* no schedule has this digest: the next one is taken over, whatever it is */
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;
    struct tw_err err = { 0 };

    rq.generation = schedule_run_generation(a->schedule);
    rq.digest = (ProtobufCBinaryData){ sizeof none, (uint8_t *)none };
    if (schedule_run_apply(a->schedule, &rq, &err) != TW_OK)
        log_error("sessions cannot be stopped", LOG_S("reason", err.text));
    keep_schedule(a, &rq);
    schedule_parts_drop(&a->parts);
    ondemand_end_all(a->ondemand, why);
}

/* Whoever revoked it, or took its place with another key, must not be probed for by it any more. It goes on
 * asking, now and then: an operator may let it in again. */
static void on_unwanted(void *ctx, const char *why)
{
    struct agent *a = ctx;

    log_error("the controller does not want this agent: all its sessions are stopped, its schedule is forgotten",
              LOG_S("reason", why), LOG_U("sessions", schedule_run_sessions(a->schedule)));
    a->unwanted = true;
    stop_all(a, why);
}

static void on_wanted(void *ctx)
{
    ((struct agent *)ctx)->unwanted = false;
    log_info("the controller lets this agent in again");
}

/* The worst of the workers, as long as it is of the last minute. */
static void add_host_health(Tw__HealthReport *h, const struct worker_counters *c, struct tw_mono now)
{
    struct tw_noise n = { c->self_test_sent, c->self_test_lost, (int64_t)c->noise_p50_ns,
                          (int64_t)c->noise_p99_ns, (int64_t)c->noise_max_ns };
    bool fresh = c->host_looked_ns && now.ns - (int64_t)c->host_looked_ns < HEALTH_FRESH_NS;

    h->host_stalls += c->host_stalls;
    h->send_errors += c->send_errors;
    h->sender_drops += c->sender_rxq_drops;
    h->noise->sent += n.sent;
    h->noise->lost += n.lost;
    if (!fresh)
        return;
    h->host_stall_max_ns = MAX_OF(h->host_stall_max_ns, (int64_t)c->host_stall_max_ns);
    h->host_cpu_wait_ppm = MAX_OF(h->host_cpu_wait_ppm, (uint32_t)c->host_cpu_wait_ppm);
    h->noise->p50_ns = MAX_OF(h->noise->p50_ns, n.p50_ns);
    h->noise->p99_ns = MAX_OF(h->noise->p99_ns, n.p99_ns);
    h->noise->max_ns = MAX_OF(h->noise->max_ns, n.max_ns);
}

static void fill_clock(const struct clkstate *c, Tw__HealthReport *h)
{
    h->clock->synced = c->state.synced;
    h->clock->max_error_ns = c->state.max_error_ns;
    h->clock->steps = c->state.steps;
    h->clock_leap = (char *)tw_leap_name(c->leap);
    h->clock_est_error_ns = c->est_error_ns;
    h->clock_frequency_ppb = c->frequency_ppb;
    h->clock_tai_offset_s = c->tai_offset_s;
}

static void fill_names(const struct agent *a, Tw__HealthReport *h)
{
    struct resolver_counters c;

    resolver_counters(a->resolver, &c);
    h->names = c.names;
    h->names_unresolved = c.unresolved;
    h->names_stale = c.stale;
    h->name_lookups = c.lookups;
    h->name_failures = c.failures;
    h->name_changes = schedule_run_moves(a->schedule);
}

static void fill_health(void *ctx, Tw__HealthReport *h)
{
    struct agent *a = ctx;
    struct xdp_reflect_counters xdp;
    struct spool_stats sp;
    struct tw_mono now = tw_mono_now();

    spool_stats(a->spool, &sp);
    h->time_ns = tw_wall_now().ns;
    h->started_ns = a->started_ns;
    fill_clock(clockwatch_look(&a->clock), h);
    h->spool_summaries = sp.waiting;
    h->spool_backlog = uplink_backlog(a->uplink);
    h->spool_bytes = sp.bytes;
    h->spool_dropped = sp.dropped;
    h->generation = schedule_run_generation(a->schedule);
    schedule_run_runs(a->schedule, &h->runs, &h->runs_missed);
    fill_names(a, h);
    h->results_refused = results_dropped(a->results);
    h->cpu_ns = (uint64_t)process_cpu_ns();
    h->rss_bytes = process_rss_bytes();
    control_fill_health(a->control, h);
    recorder_fill_health(a->recorder, h);
    diagnose_fill_health(a->diagnose, h);
    ondemand_fill_health(a->ondemand, h);
    if (a->keys)
        h->secrets_error = (char *)keyring_error(a->keys);
    xdp_reflect_counters(a->xdp, &xdp);
    h->reflected_xdp = h->reflected = xdp.reflected;
    h->reflected_stamp = xdp.reflected_stamp;
    h->reflector_rejected = h->reflector_rate_limited = xdp.rate_limited;
    h->access_error = (char *)access_lists_error(a->access);
    h->config_error = a->config_error;
    h->restart_needed = a->reload.restart;
    h->https_error = a->https_error.text;
    for (size_t i = 0; i < a->n_workers; i++) {
        struct worker_counters c;
        worker_counters(a->workers[i], &c);
        h->sessions += c.sessions;
        h->probes_sent += c.probes_sent;
        h->probes_received += c.probes_received;
        h->reflected += c.reflected;
        h->reflector_rejected += c.reflector_rejected;
        h->reflector_drops += c.rxq_drops;
        h->reflector_auth_failed += c.reflector_auth_failed + c.reflector_tlv_auth_failed;
        h->reflector_not_allowed += c.reflector_not_allowed;
        h->reflector_rate_limited += c.reflector_rate_limited;
        h->reflector_loops += c.reflector_loops;
        h->reflector_longer += c.reflector_longer;
        h->reflector_evicted += c.reflector_evicted;
        h->reflector_auth_demanded += c.reflector_auth_demanded;
        h->reflected_stamp += c.reflected_stamp;
        h->reflected_auth += c.reflected_auth;
        h->reflect_sessions += c.reflect_sessions;
        h->auth_failed += c.auth_failed;
        h->results_refused += c.summaries_lost;
        add_host_health(h, &c, now);
    }
    if (!h->noise->sent)
        h->noise = NULL;
}

static void fill_threads(void *ctx, struct thread_list *ret)
{
    const struct agent *a = ctx;

    agent_threads_tell(&(struct agent_threads){ .loop = a->loop,
                                                .workers = a->workers,
                                                .n_workers = a->n_workers,
                                                .resolver = a->resolver,
                                                .metrics = a->metrics },
                       ret);
}

static struct schedule_limits limits_of(const struct agent_options *o)
{
    return (struct schedule_limits){ (uint32_t)o->max_sessions, (uint32_t)o->max_pps, (uint64_t)o->max_bps };
}

/* To the spool 0 is its default. */
static int64_t keep_acked(const struct agent_options *o)
{
    return o->keep_acked_ns ? o->keep_acked_ns : 1;
}

/* Options that a reload can change, but for access lists, which are read anew anyway. The controller is told of the limits
 * when the agent connects next. */
static void use_options(struct agent *a)
{
    const struct schedule_limits limits = limits_of(&a->opt);

    log_set((enum log_level)a->opt.log_level, (enum log_format)a->opt.log_format);
    schedule_run_set_limits(a->schedule, &limits);
    resolver_set_every(a->resolver, a->opt.resolve_every_ns);
    spool_set_bounds(a->spool, a->opt.spool_max_mb << 20, keep_acked(&a->opt));
    source_limit_set(a->limit, a->opt.reflect_rate, a->opt.reflect_burst);
    xdp_reflect_set_rate(a->xdp, a->opt.reflect_rate, a->opt.reflect_burst);
    control_set_rate(a->control, a->opt.control_rate);
    a->enrolment->max_pps = limits.max_pps;
    a->enrolment->max_bps = limits.max_bps;
}

static void reload_options(struct agent *a)
{
    struct agent_options scratch = { 0 };
    struct conf_reload r;
    char text[sizeof a->config_error];
    enum tw_rc rc = conf_daemon_reload(&a->conf, &a->opt, &scratch, &r);

    a->config_error[0] = '\0';
    for (size_t i = 0; rc != TW_OK && i < a->conf.errors.n; i++) {
        conf_error_text(&agent_program, &a->conf.errors.v[i], text, sizeof text);
        log_error("the configuration cannot be used: that before stays in use", LOG_S("error", text));
        if (!i)
            memcpy(a->config_error, text, sizeof text);
    }
    reload_part(&a->reload, "configuration", a->config_error);
    if (rc == TW_OK) {
        reload_restart(&a->reload, r.restart);
        use_options(a);
    }
    conf_free(&agent_program, &scratch);
}

static void on_hangup(void *ctx, int signo)
{
    struct agent *a = ctx;

    (void)signo;
    reload_begin(&a->reload);
    reload_options(a);
    if (a->keys) {
        keyring_look(a->keys);
        reload_part(&a->reload, "secrets", keyring_error(a->keys));
    }
    a->https_error = (struct tw_err){ 0 };
    if (a->metrics) {
        metrics_server_reload(a->metrics, &a->https_error);
        reload_part(&a->reload, "certificate of HTTPS", a->https_error.text);
    }
    access_lists_reload(a->access);
    reload_part(&a->reload, "access lists", access_lists_error(a->access));
    reload_end(&a->reload);
}

static void on_signal(void *ctx, int signo)
{
    struct agent *a = ctx;

    log_info("stopping", LOG_S("signal", strsignal(signo)));
    process_notify("STOPPING=1");
    loop_release_signals();
    loop_stop(a->loop);
}

static void on_trim(struct loop_timer *t)
{
    struct agent *a = t->ctx;

    if (spool_trim(a->spool, tw_wall_now().ns) != TW_OK)
        log_warn("the spool cannot be trimmed");
    loop_timer_set(a->loop, t, (struct tw_mono){ tw_mono_now().ns + SPOOL_TRIM_NS });
}

/* ---- Start, step by step; each says what is wrong ---- */

/* They have been checked. */
static void parse_reflect(struct agent *a)
{
    size_t n = 0;

    for (size_t i = 0; i < a->opt.reflect.n && n < REFLECT_MAX; i++)
        if (strcmp(a->opt.reflect.v[i], "none") != 0 && tw_addr_parse(a->opt.reflect.v[i], 862, &a->reflect[n]) == TW_OK)
            n++;
    a->reflector_port = n ? a->reflect[0].port : 0;
}

static enum tw_rc open_data(struct agent *a, struct tw_err *err)
{
    char path[512];
    struct spool_cfg cfg = { .path = path,
                             .max_bytes = a->opt.spool_max_mb << 20,
                             .keep_acked_ns = keep_acked(&a->opt) };
    enum tw_rc rc;

    if (mkdir(a->opt.data_dir, 0750) && errno != EEXIST)
        return tw_err_set(err, tw_rc_errno(errno), "cannot make %.200s: %s; choose another --data-dir",
                          a->opt.data_dir, strerror(errno));
    snprintf(path, sizeof path, "%s/agent.key", a->opt.data_dir);
    rc = identity_load(path, &a->identity, err);
    if (rc != TW_OK)
        return rc;
    rc = credentials_open(a->opt.data_dir, &a->credentials, err);
    if (rc != TW_OK)
        return rc;
    snprintf(path, sizeof path, "%s/spool.db", a->opt.data_dir);
    return spool_open(&cfg, &a->spool, err);
}

static bool any_low_port(const struct conf_strlist *list)
{
    bool found = false;

    for (size_t i = 0; i < list->n; i++)
        found |= confine_low_port(list->v[i]);
    return found;
}

/* What goes on to be needed when all ports are bound. */
static uint64_t capabilities_kept(const struct agent_options *o)
{
    uint64_t caps = 0;

    if (o->xdp)
        caps |= CONFINE_CAP(CAP_BPF) | CONFINE_CAP(CAP_NET_ADMIN);
    if (o->hw_timestamps.n)
        caps |= CONFINE_CAP(CAP_NET_ADMIN);
    if ((o->test_ports.low && o->test_ports.low < 1024) || confine_low_port(o->http))
        caps |= CONFINE_CAP(CAP_NET_BIND_SERVICE);
    return caps;
}

static enum tw_rc begin_confined(const struct agent_options *o, struct tw_err *err)
{
    struct confine_begin c = { .user = o->confine.user,
                               .folders = { o->data_dir },
                               .capabilities = capabilities_kept(o),
                               .core_dumps = o->confine.core_dumps };

    if (any_low_port(&o->reflect) || any_low_port(&o->control))
        c.capabilities |= CONFINE_CAP(CAP_NET_BIND_SERVICE);
    return confine_begin(&c, err);
}

static enum tw_rc confine_calls(const struct agent_options *o, struct tw_err *err)
{
    struct tw_err why = { 0 };
    enum tw_rc rc = confine_syscalls((enum confine_mode)o->confine.seccomp, o->xdp ? CONFINE_BPF : 0, &why);

    if (rc == TW_EINVAL) {
        log_info("system calls are not filtered", LOG_S("reason", why.text));
        return TW_OK;
    }
    if (rc != TW_OK)
        *err = why;
    return rc;
}

static void on_worker_thread(void *ctx)
{
    confine_keep(capabilities_kept(&((struct agent *)ctx)->opt));
}

static enum tw_rc start_workers(struct agent *a, struct tw_err *err)
{
    a->workers = calloc((size_t)a->opt.workers, sizeof(struct worker *));
    if (!a->workers)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    for (unsigned i = 0; i < (unsigned)a->opt.workers; i++) {
        struct worker_cfg cfg = { .index = i,
                                  .loop = a->loop,
                                  .on_results = on_worker_results,
                                  .on_thread = on_worker_thread,
                                  .ctx = a,
                                  .max_sessions = (size_t)a->opt.max_sessions,
                                  .acl = access_lists_reflect(a->access),
                                  .limit = a->limit,
                                  .stateless = a->opt.reflect_stateless,
                                  .demand_auth = a->opt.demand_auth,
                                  .refuse_dscp = a->opt.refuse_dscp,
                                  .refuse_short = a->opt.refuse_short,
                                  .precise = a->opt.precise,
                                  .self_test = a->opt.self_test,
                                  .hw_times = a->cards.n > 0,
                                  .user_tx_times = !a->opt.tx_timestamps,
                                  .flight_probes = (uint32_t)a->opt.flight_probes,
                                  .flight_bytes = ((size_t)a->opt.flight_memory_mb << 20) /
                                                  (size_t)a->opt.workers,
                                  .flight_loss_run = (uint32_t)a->opt.flight_loss_run };
        memcpy(cfg.reflect, a->reflect, sizeof cfg.reflect);
        enum tw_rc rc = worker_start(&cfg, &a->workers[i], err);
        if (rc != TW_OK)
            return rc;
        a->n_workers++;
    }
    return TW_OK;
}

static enum tw_rc parse_targets(struct agent *a, struct tw_err *err)
{
    const struct conf_strlist *list = &a->opt.probe_allow;

    a->probe_allow = calloc(list->n + 1, sizeof *a->probe_allow);
    if (!a->probe_allow)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    for (size_t i = 0; i < list->n; i++)
        if (tw_prefix_parse(list->v[i], &a->probe_allow[i]) != TW_OK)
            return tw_err_set(err, TW_EINVAL,
                              "--probe-allow: \"%.64s\" is no prefix; expected 192.0.2.0/24 or 2001:db8::/32",
                              list->v[i]);
    a->targets = (struct target_rules){ a->probe_allow, list->n };
    return TW_OK;
}

/* Who may ask us, and how often. */
static enum tw_rc open_access(struct agent *a, struct tw_err *err)
{
    struct source_limit_cfg c = { .per_second = a->opt.reflect_rate, .burst = a->opt.reflect_burst };
    struct access_lists_conf ac = { .opt = &a->opt, .loop = a->loop };
    enum tw_rc rc = access_lists_load(&ac, &a->access, err);

    if (rc != TW_OK)
        return rc;
    if (getrandom(&c.hash_seed, sizeof c.hash_seed, 0) != (ssize_t)sizeof c.hash_seed)
        return tw_err_set(err, TW_EIO, "this host gives no random numbers");
    rc = source_limit_new(&c, &a->limit);
    return rc == TW_OK ? TW_OK : tw_err_set(err, rc, "out of memory");
}

static void on_xdp_tick(struct loop_timer *t)
{
    struct agent *a = t->ctx;

    xdp_reflect_tick(a->xdp, &clockwatch_look(&a->clock)->state);
    loop_timer_set(a->loop, t, (struct tw_mono){ tw_mono_now().ns + XDP_TICK_NS });
}

/* Only speed is lost without: the sockets answer as well. */
static void start_xdp(struct agent *a)
{
    struct xdp_reflect_cfg c = { .interface = a->opt.xdp,
                                 .reflect = a->reflect,
                                 .rules = { .max_sessions = REFLECT_SENDERS,
                                            .refwait_ns = REFLECT_REFWAIT_NS,
                                            .restart_gap_ns = REFLECT_RESTART_GAP_NS,
                                            .port = a->reflector_port,
                                            .stateless = a->opt.reflect_stateless,
                                            .acl = access_lists_reflect(a->access) },
                                 .per_second = a->opt.reflect_rate,
                                 .burst = a->opt.reflect_burst };
    struct tw_err err = { 0 };

    if (!a->opt.xdp)
        return;
    while (c.n_reflect < REFLECT_MAX && a->reflect[c.n_reflect].family)
        c.n_reflect++;
    if (xdp_reflect_open(&c, &a->xdp, &err)) {
        log_warn("the sockets answer all probes", LOG_S("reason", err.text));
        return;
    }
    log_info("the network driver answers plain probes", LOG_S("interface", a->opt.xdp));
    a->xdp_tick = (struct loop_timer){ .fn = on_xdp_tick, .ctx = a };
    on_xdp_tick(&a->xdp_tick);
}

static enum tw_rc open_keys(struct agent *a, struct tw_err *err)
{
    struct keyring_conf c = { .loop = a->loop,
                              .path = a->opt.secrets,
                              .workers = a->workers,
                              .n_workers = a->n_workers,
                              .on_changed = on_keys_changed,
                              .ctx = a };

    return a->opt.secrets ? keyring_open(&c, &a->keys, err) : TW_OK;
}

static enum tw_rc make_parts(struct agent *a, struct tw_err *err)
{
    struct schedule_run_conf sc = { .loop = a->loop,
                                    .workers = a->workers,
                                    .n_workers = a->n_workers,
                                    .limits = limits_of(&a->opt),
                                    .targets = a->targets,
                                    .keys = a->keys,
                                    .on_summary = on_summary,
                                    .on_applied = on_applied,
                                    .ctx = a };
    struct results_conf rc_conf = { .loop = a->loop,
                                    .spool = a->spool,
                                    .workers = a->workers,
                                    .n_workers = a->n_workers,
                                    .name = name_summary,
                                    .note = note_summary,
                                    .on_stored = on_stored,
                                    .ctx = a };

    struct ondemand_conf oc = { .loop = a->loop,
                                .workers = a->workers,
                                .n_workers = a->n_workers,
                                .keys = a->keys,
                                .recording = a->opt.flight_probes != 0,
                                .collect = on_worker_results,
                                .ctx = a };

    struct resolver_conf nc = { .loop = a->loop, .every_ns = a->opt.resolve_every_ns, .targets = a->targets };

    if (resolver_new(&nc, &a->resolver) != TW_OK)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    sc.resolver = oc.resolver = a->resolver;
    if (schedule_run_new(&sc, &a->schedule) != TW_OK)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    oc.schedule = a->schedule;
    if (ondemand_new(&oc, &a->ondemand) != TW_OK || results_new(&rc_conf, &a->results) != TW_OK ||
        enrolment_new(&a->opt, a->reflector_port, control_port(a->control), &a->enrolment) != TW_OK)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    return TW_OK;
}

static enum tw_rc make_recorder(struct agent *a, struct tw_err *err)
{
    struct frozen_conf fc = { .loop = a->loop,
                              .spool = a->spool,
                              .max_octets = (size_t)a->opt.flight_frozen_mb << 20 };
    struct recorder_conf rc_conf = { .loop = a->loop,
                                     .workers = a->workers,
                                     .n_workers = a->n_workers,
                                     .recording = a->opt.flight_probes != 0 };
    enum tw_rc rc = frozen_new(&fc, &a->frozen);

    rc_conf.frozen = a->frozen;
    if (rc == TW_OK)
        rc = recorder_new(&rc_conf, &a->recorder);
    return rc == TW_OK ? TW_OK : tw_err_set(err, rc, "out of memory for the flight recorder");
}

/* NULL: there is none; err->rc is not 0 if it cannot be decoded. */
static Tw__ScheduleRequest *kept_schedule(struct agent *a, struct tw_err *err)
{
    uint8_t *data = NULL;
    size_t len = 0;
    Tw__ScheduleRequest *rq;
    enum tw_rc rc;

    rc = spool_get_value(a->spool, SCHEDULE_KEY, &data, &len);
    if (rc != TW_OK && rc != TW_ENOENT)
        tw_err_set(err, rc, "it cannot be read: %s", tw_rc_name(rc));
    if (rc != TW_OK)
        return NULL;
    rq = tw__schedule_request__unpack(NULL, len, data);
    free(data);
    if (!rq)
        tw_err_set(err, TW_ECORRUPT, "it cannot be decoded");
    return rq;
}

/* At the start: goes on with what ran before; without one, waits for the controller. */
static void apply_kept_schedule(struct agent *a)
{
    struct tw_err err = { 0 };
    Tw__ScheduleRequest *rq = kept_schedule(a, &err);

    if (rq)
        schedule_run_apply(a->schedule, rq, &err);
    if (err.rc != TW_OK)
        log_error("the kept schedule cannot be used, waiting for the controller", LOG_S("reason", err.text));
    if (rq)
        tw__schedule_request__free_unpacked(rq, NULL);
}

static enum tw_rc make_diagnose(struct agent *a, struct tw_err *err)
{
    struct diagnose_conf c = { .loop = a->loop,
                               .workers = a->workers,
                               .n_workers = a->n_workers,
                               .targets = a->targets,
                               .driver_answers = a->opt.xdp != NULL };
    enum tw_rc rc = diagnose_new(&c, &a->diagnose);

    return rc == TW_OK ? TW_OK : tw_err_set(err, rc, "out of memory");
}

static enum tw_rc start_uplink(struct agent *a, struct tw_err *err);
static void on_expired(void *ctx);

static void on_joined(void *ctx)
{
    struct agent *a = ctx;
    struct tw_err err = { 0 };

    join_stop(a->join);
    a->join = NULL;
    if (a->uplink) /* it dials by the new one */
        return;
    if (start_uplink(a, &err) == TW_OK)
        return;
    log_error("cannot connect", LOG_S("reason", err.text));
    a->failed = true;
    loop_stop(a->loop);
}

static void on_join_failed(void *ctx, const char *why)
{
    struct agent *a = ctx;

    log_error("this agent cannot join the fleet", LOG_S("reason", why));
    join_stop(a->join);
    a->join = NULL;
    a->failed = true;
    loop_stop(a->loop);
}

/* `token`: NULL: it has joined, and asks by its identity. */
static enum tw_rc start_join(struct agent *a, const char *token, struct tw_err *err)
{
    struct join_conf c = { .loop = a->loop,
                           .url = a->opt.controller,
                           .name = a->opt.name,
                           .token = token,
                           .identity = a->identity,
                           .credentials = a->credentials,
                           .on_joined = on_joined,
                           .on_failed = on_join_failed,
                           .ctx = a };

    return join_start(&c, &a->join, err);
}

/* Before each dial: a certificate may have been renewed since. */
static enum tw_rc give_tls(void *ctx, struct rpc_tls *ret, struct tw_err *err)
{
    struct agent *a = ctx;
    const char *own = credentials_pem(a->credentials), *ca = credentials_ca_pem(a->credentials);

    if (!own || !ca)
        return tw_err_set(err, TW_EPERM, "this agent has no certificate: let it join by --join-token-file");
    if (!credentials_usable(a->credentials, tw_wall_now().ns))
        on_expired(a);
    *ret = (struct rpc_tls){ .ca = ca, .certificate = own, .key = own };
    return TW_OK;
}

/* It was away for long. It goes on dialling, and asks for another certificate meanwhile. */
static void on_expired(void *ctx)
{
    struct agent *a = ctx;
    struct tw_err err = { 0 };

    if (a->join)
        return;
    log_warn("the certificate has expired: asking for another one by this agent's identity");
    if (start_join(a, NULL, &err) != TW_OK)
        log_error("cannot ask for a certificate", LOG_S("reason", err.text));
}

/* Joins first if a token was given, or TLS needs a certificate, and there is none. */
static enum tw_rc connect_or_join(struct agent *a, struct tw_err *err)
{
    bool tls = !strncmp(a->opt.controller, "tls+tcp://", 10);
    char token[JOIN_TOKEN_TEXT];
    enum tw_rc rc;

    if (credentials_usable(a->credentials, tw_wall_now().ns) || (!tls && !a->opt.join_token_file))
        return start_uplink(a, err);
    if ((credentials_pem(a->credentials) && credentials_ca_pem(a->credentials)) || !a->opt.join_token_file)
        return start_join(a, NULL, err);
    rc = keyfile_read_line(a->opt.join_token_file, token, sizeof token, err);
    if (rc == TW_OK)
        rc = start_join(a, token, err);
    explicit_bzero(token, sizeof token);
    return rc;
}

static enum tw_rc start_uplink(struct agent *a, struct tw_err *err)
{
    struct uplink_conf c = { .loop = a->loop,
                             .url = a->opt.controller,
                             .name = a->opt.name,
                             .identity = a->identity,
                             .credentials = a->credentials,
                             .tls = give_tls,
                             .tls_ctx = a,
                             .spool = a->spool,
                             .schedule = a->schedule,
                             .workers = a->workers,
                             .n_workers = a->n_workers,
                             .recorder = a->recorder,
                             .diagnose = a->diagnose,
                             .ondemand = a->ondemand,
                             .enrolment = a->enrolment,
                             .on_schedule = on_schedule,
                             .on_unwanted = on_unwanted,
                             .on_wanted = on_wanted,
                             .fill_health = fill_health,
                             .fill_threads = fill_threads,
                             .ctx = a };

    return uplink_start(&c, &a->uplink, err);
}

static bool is_up(void *ctx)
{
    return uplink_is_up(((struct agent *)ctx)->uplink);
}

static enum tw_rc start_metrics(struct agent *a, struct tw_err *err)
{
    struct metrics_server_conf c = { .loop = a->loop,
                                     .address = a->opt.http,
                                     .tls_cert = a->opt.http_tls_cert,
                                     .tls_key = a->opt.http_tls_key,
                                     .plaintext = a->opt.http_plaintext,
                                     .name = a->opt.name,
                                     .schedule = a->schedule,
                                     .fill_health = fill_health,
                                     .is_up = is_up,
                                     .reload = &a->reload,
                                     .ctx = a };

    return strcmp(a->opt.http, "off") ? metrics_server_start(&c, &a->metrics, err) : TW_OK;
}

static enum tw_rc agent_start(struct agent *a, struct tw_err *err)
{
    enum tw_rc rc = loop_new(&a->loop);

    parse_reflect(a);
    if (rc == TW_OK)
        rc = loop_on_signal(a->loop, SIGTERM, on_signal, a);
    if (rc == TW_OK)
        rc = loop_on_signal(a->loop, SIGINT, on_signal, a);
    if (rc == TW_OK)
        rc = loop_on_signal(a->loop, SIGHUP, on_hangup, a);
    if (rc == TW_OK)
        rc = open_data(a, err);
    if (rc == TW_OK)
        rc = parse_targets(a, err);
    if (rc == TW_OK)
        rc = open_access(a, err);
    if (rc == TW_OK)
        rc = cards_open(&a->cards, &a->opt.hw_timestamps, err);
    if (rc == TW_OK)
        rc = start_workers(a, err);
    if (rc == TW_OK)
        rc = open_keys(a, err);
    if (rc == TW_OK)
        rc = control_start(&a->opt, a->loop, a->workers, a->n_workers, a->keys,
                           access_lists_control(a->access), &a->control, err);
    confine_keep(capabilities_kept(&a->opt)); /* all ports are bound; threads that come inherit it */
    if (rc == TW_OK)
        rc = make_parts(a, err);
    if (rc == TW_OK)
        rc = make_recorder(a, err);
    if (rc == TW_OK)
        rc = make_diagnose(a, err);
    if (rc == TW_OK)
        rc = start_metrics(a, err);
    if (rc != TW_OK)
        return rc;
    clockwatch_start(&a->clock, a->loop, a->workers, a->n_workers);
    a->clock.on_step = on_clock_step;
    a->clock.ctx = a;
    cards_start(&a->cards, a->loop, a->workers, a->n_workers);
    start_xdp(a);
    access_lists_start(a->access, a->workers, a->n_workers, a->control, a->xdp);
    a->trim = (struct loop_timer){ .fn = on_trim, .ctx = a };
    on_trim(&a->trim);
    apply_kept_schedule(a);
    rc = connect_or_join(a, err);
    return rc == TW_OK ? confine_calls(&a->opt, err) : rc;
}

/* Workers first: what they still hold goes to the spool. */
static void agent_stop(struct agent *a)
{
    diagnose_free(a->diagnose); /* it answers what is open */
    a->diagnose = NULL;
    join_stop(a->join);
    a->join = NULL;
    uplink_stop(a->uplink);
    a->uplink = NULL;
    metrics_server_stop(a->metrics);
    a->metrics = NULL;
    access_lists_stop(a->access);
    xdp_reflect_close(a->xdp);
    clockwatch_stop(&a->clock);
    cards_close(&a->cards);
    control_stop(a->control);
    a->control = NULL;
    for (size_t i = 0; i < a->n_workers; i++)
        worker_stop(a->workers[i]);
    if (a->results)
        results_flush(a->results);
    recorder_free(a->recorder);
    a->recorder = NULL;
    frozen_free(a->frozen);
    ondemand_free(a->ondemand);
    schedule_run_free(a->schedule);
    schedule_parts_drop(&a->parts);
    resolver_free(a->resolver);
    keyring_free(a->keys);
    results_free(a->results);
    for (size_t i = 0; i < a->n_workers; i++)
        worker_free(a->workers[i]);
    free(a->workers);
    source_limit_free(a->limit);
    access_lists_free(a->access);
    free(a->probe_allow);
    enrolment_free(a->enrolment);
    if (a->spool)
        spool_close(a->spool);
    credentials_free(a->credentials);
    if (a->identity)
        identity_free(a->identity);
    if (a->loop)
        loop_free(a->loop);
}

static int fail(const struct tw_err *err, enum tw_rc rc, int code)
{
    char text[512];

    if (err->text[0])
        fprintf(stderr, "twamp-agent: %s\n", conf_error_text(&agent_program, err, text, sizeof text));
    else
        fprintf(stderr, "twamp-agent: cannot start: %s\n", tw_rc_name(rc));
    return code;
}

/* With the fingerprint, which an operator compares before letting the agent in. */
static void log_ready(const struct agent *a)
{
    uint8_t key[IDENTITY_KEY_LEN];
    char fingerprint[IDENTITY_FINGERPRINT_TEXT];

    identity_public(a->identity, key);
    identity_fingerprint(key, fingerprint);
    log_info("ready", LOG_S("name", a->opt.name), LOG_S("controller", a->opt.controller),
             LOG_S("version", tw_version), LOG_U("reflector_port", a->reflector_port),
             LOG_U("control_port", control_port(a->control)), LOG_S("fingerprint", fingerprint));
}

static int run(struct agent *a)
{
    struct tw_err err = { 0 };
    enum tw_rc rc;
    int code;

    process_raise_files();
    /* One heap for all threads: what one of them frees another can use. With a heap each, the report periods
     * that the workers make and the loop's sessions leave behind would need their memory twice. */
    mallopt(M_ARENA_MAX, 1);
    log_init("twamp-agent", (enum log_level)a->opt.log_level, (enum log_format)a->opt.log_format);
    a->started_ns = tw_wall_now().ns;
    rc = begin_confined(&a->opt, &err);
    if (rc == TW_OK)
        rc = agent_start(a, &err);
    if (rc == TW_OK) {
        log_ready(a);
        process_notify("READY=1");
        loop_run(a->loop);
        code = a->failed ? 1 : a->unwanted ? EXIT_UNWANTED : 0;
    } else {
        code = fail(&err, rc, rc == TW_EINVAL ? 2 : 1); /* an option's value was found wrong */
    }
    agent_stop(a);
    return code;
}

int main(int argc, char **argv)
{
    struct agent a = { .conf = { .program = &agent_program, .check = agent_options_check, .argc = argc, .argv = argv } };
    int code;
    enum tw_rc rc = conf_daemon_parse(&a.conf, &a.opt, &code);

    if (rc == TW_OK && a.opt.check) {
        log_init("twamp-agent", LOG_ERROR_, LOG_TEXT);
        code = check_run(&a.opt, stdout);
    } else if (rc == TW_OK) {
        code = run(&a);
    } else if (rc != TW_ECLOSED) {
        conf_daemon_complain(&a.conf);
        code = EXIT_USAGE;
    }
    conf_daemon_free(&a.conf);
    conf_free(&agent_program, &a.opt);
    return code;
}
