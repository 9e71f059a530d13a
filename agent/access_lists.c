/* agent/access_lists.c - see access_lists.h. */
#include "agent/access_lists.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"

#define FILE_MAX (4 << 20)
#define RETRY_NS (20 * TW_NS_PER_MS)

struct access_lists {
    struct access_lists_conf conf;
    struct acl *reflect, *control;
    struct worker **workers;
    size_t n_workers, told; /* workers that have the present list */
    struct control *server;
    struct xdp_reflect *xdp;
    struct loop_timer retry;
    bool running;
    char error[sizeof((struct tw_err *)0)->text + sizeof((struct tw_err *)0)->file];
};

/* What one list comes from. */
struct source {
    const char *allow_option, *deny_option, *file_option;
    const struct conf_strlist *allow, *deny;
    const char *file; /* NULL: none */
};

/* ---- Reading ---- */

static enum tw_rc in_option(struct tw_err *err, const char *option, enum tw_rc rc)
{
    if (rc != TW_OK)
        snprintf(err->field, sizeof err->field, "%s", option);
    return rc;
}

static enum tw_rc add_all(struct acl_rules *l, bool allow, const struct conf_strlist *from,
                          const char *option, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < from->n && rc == TW_OK; i++)
        rc = in_option(err, option, acl_rules_add(l, allow, from->v[i], err));
    return rc;
}

static enum tw_rc read_file(const char *path, char **ret, size_t *ret_len, struct tw_err *err)
{
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(FILE_MAX + 1) : NULL;
    size_t n = text ? fread(text, 1, FILE_MAX + 1, f) : 0;
    int e = errno;
    bool failed = !text || ferror(f);

    if (f)
        fclose(f);
    if (failed || n > FILE_MAX) {
        free(text);
        if (failed)
            return tw_err_set(err, f ? TW_EIO : tw_rc_errno(e), "cannot be read: %s", strerror(e));
        return tw_err_set(err, TW_EINVAL, "is too long; expected at most %d octets", FILE_MAX);
    }
    *ret = text;
    *ret_len = n;
    return TW_OK;
}

static enum tw_rc add_file(struct acl_rules *l, const struct source *s, struct tw_err *err)
{
    char *text = NULL;
    size_t len = 0;
    enum tw_rc rc;

    if (!s->file)
        return TW_OK;
    snprintf(err->file, sizeof err->file, "%s", s->file);
    rc = read_file(s->file, &text, &len, err);
    if (rc == TW_OK)
        rc = acl_rules_parse(l, text, len, err);
    free(text);
    if (rc == TW_OK)
        err->file[0] = '\0';
    return rc;
}

static enum tw_rc make_list(const struct source *s, struct acl **ret, struct tw_err *err)
{
    struct acl_rules rules = { 0 };
    struct acl *list = NULL;
    enum tw_rc rc = add_all(&rules, true, s->allow, s->allow_option, err);

    if (rc == TW_OK)
        rc = add_all(&rules, false, s->deny, s->deny_option, err);
    if (rc == TW_OK)
        rc = add_file(&rules, s, err);
    if (rc == TW_OK && rules.n)
        rc = in_option(err, s->file ? s->file_option : s->deny_option, acl_new(&rules, &list, err));
    acl_rules_free(&rules);
    if (rc == TW_OK)
        *ret = list;
    return rc;
}

static enum tw_rc make_lists(const struct agent_options *o, struct acl **reflect, struct acl **control,
                             struct tw_err *err)
{
    const struct source of_reflect = { "reflect-allow",   "reflect-deny",   "reflect-acl",
                                       &o->reflect_allow, &o->reflect_deny, o->reflect_acl };
    const struct source of_control = { "control-allow",   "control-deny",   "control-acl",
                                       &o->control_allow, &o->control_deny, o->control_acl };
    enum tw_rc rc = make_list(&of_reflect, reflect, err);

    if (rc != TW_OK)
        return rc;
    rc = make_list(&of_control, control, err);
    if (rc != TW_OK)
        acl_free(*reflect);
    return rc;
}

/* ---- Telling ---- */

/* A worker whose ring is full is told a little later. */
static void tell_workers(struct access_lists *a)
{
    while (a->told < a->n_workers) {
        if (worker_set_acl(a->workers[a->told], a->reflect) == TW_EBUSY) {
            loop_timer_set(a->conf.loop, &a->retry, (struct tw_mono){ tw_mono_now().ns + RETRY_NS });
            return;
        }
        a->told++;
    }
}

static void on_retry(struct loop_timer *t)
{
    tell_workers(t->ctx);
}

static void tell_all(struct access_lists *a)
{
    if (!a->running)
        return;
    a->told = 0;
    tell_workers(a);
    control_set_acl(a->server, a->control);
    if (xdp_reflect_set_acl(a->xdp, a->reflect) != TW_OK)
        log_error("the network driver could not be given the access list as a whole: what it lacks is left "
                  "to the sockets");
}

void access_lists_reload(struct access_lists *a)
{
    struct acl *reflect = NULL, *control = NULL;
    struct tw_err err = { 0 };

    if (make_lists(a->conf.opt, &reflect, &control, &err) != TW_OK) {
        tw_err_format(&err, a->error, sizeof a->error);
        log_error("access lists cannot be used: those before stay in use", LOG_S("error", a->error));
        return;
    }
    acl_free(a->reflect);
    acl_free(a->control);
    a->reflect = reflect;
    a->control = control;
    a->error[0] = '\0';
    if (a->conf.opt->reflect_acl || a->conf.opt->control_acl)
        log_info("access lists were read anew");
    tell_all(a);
}

/* ---- Life ---- */

enum tw_rc access_lists_load(const struct access_lists_conf *c, struct access_lists **ret, struct tw_err *err)
{
    struct access_lists *a = calloc(1, sizeof *a);
    enum tw_rc rc;

    if (!a)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    a->conf = *c;
    a->retry = (struct loop_timer){ .fn = on_retry, .ctx = a };
    rc = make_lists(c->opt, &a->reflect, &a->control, err);
    if (rc != TW_OK) {
        free(a);
        return rc;
    }
    *ret = a;
    return TW_OK;
}

void access_lists_start(struct access_lists *a, struct worker **workers, size_t n_workers,
                        struct control *control, struct xdp_reflect *xdp)
{
    a->workers = workers;
    a->n_workers = a->told = n_workers;
    a->server = control;
    a->xdp = xdp;
    a->running = true;
}

void access_lists_stop(struct access_lists *a)
{
    if (!a)
        return;
    loop_timer_cancel(a->conf.loop, &a->retry);
    a->running = false;
}

void access_lists_free(struct access_lists *a)
{
    if (!a)
        return;
    acl_free(a->reflect);
    acl_free(a->control);
    free(a);
}

struct acl *access_lists_reflect(const struct access_lists *a)
{
    return a->reflect;
}

struct acl *access_lists_control(const struct access_lists *a)
{
    return a->control;
}

const char *access_lists_error(const struct access_lists *a)
{
    return a->error;
}
