/* agent/agent_parts.c - the agent's parts: made one by one, each saying what is wrong, and what they tell
 * each other. */
#include "agent/agent.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include "agent/access_lists.h"
#include "agent/control.h"
#include "agent/credentials.h"
#include "agent/diagnose.h"
#include "agent/enrolment.h"
#include "agent/keyring.h"
#include "agent/metrics_server.h"
#include "agent/ondemand.h"
#include "agent/recorder.h"
#include "agent/resolver.h"
#include "agent/results.h"
#include "agent/schedule_run.h"
#include "agent/uplink.h"
#include "agent/xdp/xdp_reflect.h"
#include "common/log.h"
#include "common/net/confine.h"
#include "common/net/now.h"
#include "db/spool.h"

#define XDP_TICK_NS TW_NS_PER_S

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

/* ---- Start, step by step; each says what is wrong ---- */

/* They have been checked. */
void agent_parse_reflect(struct agent *a)
{
    size_t n = 0;

    for (size_t i = 0; i < a->opt.reflect.n && n < REFLECT_MAX; i++)
        if (strcmp(a->opt.reflect.v[i], "none") != 0 &&
            tw_addr_parse(a->opt.reflect.v[i], 862, &a->reflect[n]) == TW_OK)
            n++;
    a->reflector_port = n ? a->reflect[0].port : 0;
}

enum tw_rc agent_open_data(struct agent *a, struct tw_err *err)
{
    char path[512];
    struct spool_cfg cfg = { .path = path,
                             .max_bytes = a->opt.spool_max_mb << 20,
                             .keep_acked_ns = agent_keep_acked(&a->opt) };
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

static void on_worker_thread(void *ctx)
{
    confine_keep(agent_capabilities(&((struct agent *)ctx)->opt));
}

enum tw_rc agent_start_workers(struct agent *a, struct tw_err *err)
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
                                  .flight_bytes =
                                      ((size_t)a->opt.flight_memory_mb << 20) / (size_t)a->opt.workers,
                                  .flight_loss_run = (uint32_t)a->opt.flight_loss_run };
        memcpy(cfg.reflect, a->reflect, sizeof cfg.reflect);
        enum tw_rc rc = worker_start(&cfg, &a->workers[i], err);
        if (rc != TW_OK)
            return rc;
        a->n_workers++;
    }
    return TW_OK;
}

enum tw_rc agent_parse_targets(struct agent *a, struct tw_err *err)
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
enum tw_rc agent_open_access(struct agent *a, struct tw_err *err)
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
void agent_start_xdp(struct agent *a)
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

enum tw_rc agent_open_keys(struct agent *a, struct tw_err *err)
{
    struct keyring_conf c = { .loop = a->loop,
                              .path = a->opt.secrets,
                              .workers = a->workers,
                              .n_workers = a->n_workers,
                              .on_changed = agent_on_keys,
                              .ctx = a };

    return a->opt.secrets ? keyring_open(&c, &a->keys, err) : TW_OK;
}

enum tw_rc agent_make_parts(struct agent *a, struct tw_err *err)
{
    struct schedule_run_conf sc = { .loop = a->loop,
                                    .workers = a->workers,
                                    .n_workers = a->n_workers,
                                    .limits = agent_limits(&a->opt),
                                    .targets = a->targets,
                                    .keys = a->keys,
                                    .on_summary = on_summary,
                                    .on_applied = agent_on_applied,
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

enum tw_rc agent_make_recorder(struct agent *a, struct tw_err *err)
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

enum tw_rc agent_make_diagnose(struct agent *a, struct tw_err *err)
{
    struct diagnose_conf c = { .loop = a->loop,
                               .workers = a->workers,
                               .n_workers = a->n_workers,
                               .targets = a->targets,
                               .driver_answers = a->opt.xdp != NULL };
    enum tw_rc rc = diagnose_new(&c, &a->diagnose);

    return rc == TW_OK ? TW_OK : tw_err_set(err, rc, "out of memory");
}

static bool is_up(void *ctx)
{
    return uplink_is_up(((struct agent *)ctx)->uplink);
}

static size_t ways(void *ctx, struct roam_view ret[HOMING_MAX])
{
    return uplink_controllers(((struct agent *)ctx)->uplink, ret);
}

static uint64_t moves(void *ctx)
{
    return uplink_moves(((struct agent *)ctx)->uplink);
}

enum tw_rc agent_start_metrics(struct agent *a, struct tw_err *err)
{
    struct metrics_server_conf c = { .loop = a->loop,
                                     .address = a->opt.http,
                                     .tls_cert = a->opt.http_tls_cert,
                                     .tls_key = a->opt.http_tls_key,
                                     .plaintext = a->opt.http_plaintext,
                                     .name = a->opt.name,
                                     .schedule = a->schedule,
                                     .fill_health = agent_fill_health,
                                     .is_up = is_up,
                                     .ways = ways,
                                     .moves = moves,
                                     .reload = &a->reload,
                                     .ctx = a };

    return strcmp(a->opt.http, "off") ? metrics_server_start(&c, &a->metrics, err) : TW_OK;
}
