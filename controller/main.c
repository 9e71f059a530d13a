/* controller/main.c - twamp-controller: options, start, signals. */
#include <curl/curl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/net/confine.h"
#include "common/net/process.h"
#include "common/version.h"
#include "controller/controller.h"
#include "controller/options.h"

#define EXIT_FAILED 1
#define EXIT_USAGE 2

struct running {
    struct controller_options opt;
    struct conf_daemon conf;
    struct controller *c; /* NULL: it is not running yet, or no more */
};

static void on_signal(void *ctx, int signo)
{
    log_info("stopping", LOG_S("signal", signo == SIGINT ? "SIGINT" : "SIGTERM"));
    process_notify("STOPPING=1");
    loop_release_signals();
    loop_stop(ctx);
}

static void on_hangup(void *ctx, int signo);

static enum tw_rc make_loop(struct loop **ret, struct running *r)
{
    enum tw_rc rc = loop_new(ret);

    if (rc == TW_OK)
        rc = loop_on_signal(*ret, SIGTERM, on_signal, *ret);
    if (rc == TW_OK)
        rc = loop_on_signal(*ret, SIGINT, on_signal, *ret);
    if (rc == TW_OK)
        rc = loop_on_signal(*ret, SIGHUP, on_hangup, r);
    return rc;
}

static int fail(const struct tw_err *err, int code)
{
    char text[512];

    fprintf(stderr, "%s: %s\n", controller_program.name, conf_error_text(&controller_program, err, text, sizeof text));
    return code;
}

/* Of an ipc:// address the folder that its socket will be in; "": there is none. */
static void socket_folder(const char *url, char *ret, size_t cap)
{
    const char *path = strncmp(url, "ipc://", 6) ? "" : url + 6, *slash = strrchr(path, '/');

    snprintf(ret, cap, "%.*s", slash ? (int)(slash - path) : 0, path);
}

/* A port below 1024 is bound when there are threads already, so these keep the capability; else none has any. */
static enum tw_rc begin_confined(const struct controller_options *o, struct tw_err *err)
{
    char folder[4096];
    struct confine_begin c = { .user = o->confine.user, .core_dumps = o->confine.core_dumps };
    size_t n = 0;

    socket_folder(o->admin_listen, folder, sizeof folder);
    c.folders[n++] = o->data_dir;
    if (folder[0])
        c.folders[n++] = folder;
    if (o->backup_dir)
        c.folders[n++] = o->backup_dir;
    if (confine_low_port(o->listen) || (o->admin_tls && confine_low_port(o->admin_tls)) || confine_low_port(o->http))
        c.capabilities = CONFINE_CAP(CAP_NET_BIND_SERVICE);
    return confine_begin(&c, err);
}

/* Programs that tell of alerts are run: they are confined like ourselves. */
static enum tw_rc confine_calls(const struct controller_options *o, struct tw_err *err)
{
    struct tw_err why = { 0 };
    enum tw_rc rc = confine_syscalls((enum confine_mode)o->confine.seccomp, CONFINE_CHILDREN, &why);

    if (rc == TW_EINVAL) {
        log_info("system calls are not filtered", LOG_S("reason", why.text));
        return TW_OK;
    }
    if (rc != TW_OK)
        *err = why;
    return rc;
}

static struct controller_conf conf_of(struct loop *loop, const struct controller_options *o, const char *name)
{
    return (struct controller_conf){ .loop = loop,
                                     .listen = o->listen,
                                     .admin_listen = o->admin_listen,
                                     .admin_tls = o->admin_tls,
                                     .http = o->http,
                                     .http_tls_cert = o->http_tls_cert,
                                     .http_tls_key = o->http_tls_key,
                                     .http_plaintext = o->http_plaintext,
                                     .http_names = o->http_names,
                                     .web_root = o->web_root,
                                     .data_dir = o->data_dir,
                                     .history = o->history,
                                     .control = o->control,
                                     .name = name,
                                     .advertise = o->advertise,
                                     .backup_dir = o->backup_dir,
                                     .ca_dir = o->ca_dir,
                                     .certificate_life_ns = o->certificate_life,
                                     .allow_plaintext = o->allow_plaintext,
                                     .auto_approve = o->auto_approve,
                                     .http_write = o->http_write,
                                     .open_metrics = o->open_metrics,
                                     .http_events_max = (uint32_t)o->http_events_max,
                                     .max_pair_series = (uint64_t)o->max_pair_series,
                                     .native_buckets = (uint32_t)o->native_buckets,
                                     .keep = { { o->keep_raw, o->keep_1min, o->keep_10min, o->keep_1h,
                                                 o->keep_1d } },
                                     .history_days = o->history_days,
                                     .audit_days = o->audit_days,
                                     .budgets = { .pairs = (double)o->budget_pairs,
                                                  .series = (double)o->budget_series,
                                                  .store_bytes_per_day = 1e6 * (double)o->budget_mb,
                                                  .agent_pps = (double)o->budget_pps,
                                                  .agent_bps = 1e3 * (double)o->budget_kbps } };
}

/* ---- Reload ---- */

static void tell_risks(const struct controller_options *o)
{
    if (o->http_write)
        log_warn("--http-write will go with the next release: roles decide who may change something over HTTP; until there is an access "
                 "token, requests from this host may; make one: twampctl access token create --role operator NAME");
    if (o->auto_approve)
        log_warn("every agent that connects is approved: --auto-approve is for labs");
}

static void use_options(const struct running *r, struct controller *c)
{
    const struct controller_conf conf = conf_of(NULL, &r->opt, NULL);

    log_set((enum log_level)r->opt.log_level, (enum log_format)r->opt.log_format);
    controller_use(c, &conf);
    tell_risks(&r->opt);
}

static void reload_options(void *ctx, struct controller *c)
{
    struct running *r = ctx;
    struct controller_options scratch = { 0 };
    struct conf_reload found;
    char text[sizeof c->reload.error];

    if (conf_daemon_reload(&r->conf, &r->opt, &scratch, &found) == TW_OK) {
        reload_restart(&c->reload, found.restart);
        use_options(r, c);
    } else {
        for (size_t i = 0; i < r->conf.errors.n; i++) {
            conf_error_text(&controller_program, &r->conf.errors.v[i], text, sizeof text);
            log_error("the configuration cannot be used: that before stays in use", LOG_S("error", text));
            reload_part(&c->reload, "configuration", text);
        }
    }
    conf_free(&controller_program, &scratch);
}

static void on_hangup(void *ctx, int signo)
{
    struct running *r = ctx;

    (void)signo;
    if (r->c)
        controller_reload(r->c, reload_options, r);
}

/* ---- Life ---- */

static int run(struct running *r, struct loop *loop, const char *name)
{
    const struct controller_options *o = &r->opt;
    const struct controller_conf conf = conf_of(loop, o, name);
    struct controller *c = NULL;
    struct tw_err err = { 0 };

    if (controller_start(&conf, &c, &err) != TW_OK)
        return fail(&err,
                    err.rc == TW_EINVAL ? EXIT_USAGE : EXIT_FAILED); /* an option's value was found wrong */
    if (confine_calls(o, &err) != TW_OK) {
        controller_stop(c);
        return fail(&err, EXIT_FAILED);
    }
    log_info("ready", LOG_S("listen", o->listen), LOG_S("admin_listen", o->admin_listen),
             LOG_S("http", o->http), LOG_S("data_dir", o->data_dir), LOG_S("name", name),
             LOG_S("version", tw_version), LOG_U("generation", c->inv.generation));
    tell_risks(o);
    process_notify("READY=1");
    r->c = c;
    loop_run(loop);
    r->c = NULL;
    controller_stop(c);
    log_info("stopped");
    return 0;
}

static int start(struct running *r)
{
    struct tw_err err = { 0 };
    struct loop *loop = NULL;
    char host[256] = "controller";
    enum tw_rc rc;
    int code;

    process_raise_files();
    log_init(controller_program.name, (enum log_level)r->opt.log_level, (enum log_format)r->opt.log_format);
    gethostname(host, sizeof host - 1);
    rc = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
             ? TW_OK
             : tw_err_set(&err, TW_ENOMEM, "cannot prepare libcurl");
    if (rc == TW_OK)
        rc = begin_confined(&r->opt, &err);
    if (rc == TW_OK && (rc = make_loop(&loop, r)) != TW_OK)
        tw_err_set(&err, rc, "cannot make the event loop: %s", tw_rc_name(rc));
    if (rc != TW_OK) {
        code = fail(&err, EXIT_FAILED);
    } else {
        code = run(r, loop, r->opt.name ? r->opt.name : host);
    }
    loop_free(loop);
    curl_global_cleanup();
    return code;
}

int main(int argc, char **argv)
{
    struct running r = { .conf = { .program = &controller_program, .check = controller_options_check, .argc = argc, .argv = argv } };
    int code;
    enum tw_rc rc = conf_daemon_parse(&r.conf, &r.opt, &code);

    if (rc == TW_OK) {
        code = start(&r);
    } else if (rc != TW_ECLOSED) {
        conf_daemon_complain(&r.conf);
        code = EXIT_USAGE;
    }
    conf_daemon_free(&r.conf);
    conf_free(&controller_program, &r.opt);
    return code;
}
