/* agent/main.c - wires the agent: its parts begin and end in this order. The only place that exits. */
#include "agent/agent.h"
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/access_lists.h"
#include "agent/check.h"
#include "agent/control.h"
#include "agent/credentials.h"
#include "agent/diagnose.h"
#include "agent/enrolment.h"
#include "agent/join.h"
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
#include "common/net/process.h"
#include "common/version.h"
#include "db/spool.h"

#define SPOOL_TRIM_NS (60 * TW_NS_PER_S)
#define EXIT_USAGE 2
#define EXIT_UNWANTED 3

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

static enum tw_rc agent_start(struct agent *a, struct tw_err *err)
{
    enum tw_rc rc = loop_new(&a->loop);

    agent_parse_reflect(a);
    if (rc == TW_OK)
        rc = loop_on_signal(a->loop, SIGTERM, on_signal, a);
    if (rc == TW_OK)
        rc = loop_on_signal(a->loop, SIGINT, on_signal, a);
    if (rc == TW_OK)
        rc = loop_on_signal(a->loop, SIGHUP, agent_on_hangup, a);
    if (rc == TW_OK)
        rc = agent_open_data(a, err);
    if (rc == TW_OK)
        rc = agent_parse_targets(a, err);
    if (rc == TW_OK)
        rc = agent_open_access(a, err);
    if (rc == TW_OK)
        rc = cards_open(&a->cards, &a->opt.hw_timestamps, err);
    if (rc == TW_OK)
        rc = agent_start_workers(a, err);
    if (rc == TW_OK)
        rc = agent_open_keys(a, err);
    if (rc == TW_OK)
        rc = control_start(&a->opt, a->loop, a->workers, a->n_workers, a->keys,
                           access_lists_control(a->access), &a->control, err);
    confine_keep(agent_capabilities(&a->opt)); /* all ports are bound; threads that come inherit it */
    if (rc == TW_OK)
        rc = agent_make_parts(a, err);
    if (rc == TW_OK)
        rc = agent_make_recorder(a, err);
    if (rc == TW_OK)
        rc = agent_make_diagnose(a, err);
    if (rc == TW_OK)
        rc = agent_start_metrics(a, err);
    if (rc != TW_OK)
        return rc;
    clockwatch_start(&a->clock, a->loop, a->workers, a->n_workers);
    a->clock.on_step = agent_on_clock_step;
    a->clock.ctx = a;
    cards_start(&a->cards, a->loop, a->workers, a->n_workers);
    agent_start_xdp(a);
    access_lists_start(a->access, a->workers, a->n_workers, a->control, a->xdp);
    a->trim = (struct loop_timer){ .fn = on_trim, .ctx = a };
    on_trim(&a->trim);
    agent_apply_kept(a);
    rc = agent_connect(a, err);
    return rc == TW_OK ? agent_confine_calls(&a->opt, err) : rc;
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
    log_info("ready", LOG_S("name", a->opt.name), LOG_S("controller", a->opt.controllers.v[0]),
             LOG_U("controllers", a->opt.controllers.n), LOG_S("version", tw_version),
             LOG_U("reflector_port", a->reflector_port), LOG_U("control_port", control_port(a->control)),
             LOG_S("fingerprint", fingerprint));
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
    rc = agent_begin_confined(&a->opt, &err);
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
    struct agent a = {
        .conf = { .program = &agent_program, .check = agent_options_check, .argc = argc, .argv = argv }
    };
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
