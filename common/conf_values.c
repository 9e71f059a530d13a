/* What environment, command line and configuration file say of options, in the order in which it counts. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf_priv.h"

/* ---- Values ---- */

enum tw_rc conf_values_add(struct conf_values *l, const struct conf_opt *o, const char *text, size_t len,
                           enum conf_by by, unsigned line)
{
    struct conf_value *v = realloc(l->v, (l->n + 1) * sizeof *v);
    char *copy = strndup(text, len);

    if (v)
        l->v = v;
    if (!v || !copy) {
        free(copy);
        return TW_ENOMEM;
    }
    l->v[l->n++] = (struct conf_value){ o, copy, by, line };
    return TW_OK;
}

const struct conf_value *conf_values_find(const struct conf_values *l, const struct conf_opt *o)
{
    for (size_t i = l->n; i-- > 0;)
        if (l->v[i].opt == o)
            return &l->v[i];
    return NULL;
}

void conf_values_free(struct conf_values *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].text);
    free(l->v);
    free(l->file);
    *l = (struct conf_values){ 0 };
}

enum tw_rc conf_values_from_env(struct conf_values *l, const struct conf_program *p)
{
    char name[CONF_ENV_NAME_MAX];

    for (size_t i = 0; p->env_prefix && i < p->n_opts; i++) {
        const char *text;

        conf_env_name(p, &p->opts[i], name);
        text = getenv(name);
        if (text && conf_values_add(l, &p->opts[i], text, strlen(text), CONF_BY_ENV, 0))
            return TW_ENOMEM;
    }
    return TW_OK;
}

enum tw_rc conf_values_from_cmdline(struct conf_values *l, const struct conf_cmdline *c)
{
    for (size_t i = 0; i < c->n_given; i++)
        if (conf_values_add(l, c->given[i].opt, c->given[i].text, strlen(c->given[i].text), CONF_BY_CMDLINE,
                            0))
            return TW_ENOMEM;
    return TW_OK;
}

/* ---- Errors ---- */

void conf_errors_add(struct conf_errors *l, const struct tw_err *e)
{
    struct tw_err *v = l->n < CONF_ERRORS_MAX ? realloc(l->v, (l->n + 1) * sizeof *v) : NULL;

    if (!v) {
        l->lost++;
        return;
    }
    l->v = v;
    l->v[l->n++] = *e;
}

void conf_errors_set(struct conf_errors *l, const char *option, const char *fmt, ...)
{
    struct tw_err e = { .rc = TW_EINVAL };
    va_list ap;

    snprintf(e.field, sizeof e.field, "%s", option);
    va_start(ap, fmt);
    vsnprintf(e.text, sizeof e.text, fmt, ap);
    va_end(ap);
    conf_errors_add(l, &e);
}

void conf_errors_free(struct conf_errors *l)
{
    free(l->v);
    *l = (struct conf_errors){ 0 };
}

/* Points to where it must be mended: a line, a variable, an option. */
void conf_err_place(const struct conf_program *p, const struct conf_values *l, const struct conf_value *v,
                    struct tw_err *e)
{
    char name[CONF_ENV_NAME_MAX];

    if (v->by == CONF_BY_ENV) {
        conf_env_name(p, v->opt, name);
        snprintf(e->field, sizeof e->field, "%s", name);
        return;
    }
    snprintf(e->field, sizeof e->field, "%s", v->opt->name);
    if (v->by != CONF_BY_FILE)
        return;
    snprintf(e->file, sizeof e->file, "%s", l->file);
    e->line = v->line;
}

/* ---- Into the program's struct ---- */

const struct conf_opt *conf_find(const struct conf_program *p, const char *name)
{
    for (size_t i = 0; i < p->n_opts; i++)
        if (!strcmp(p->opts[i].name, name))
            return &p->opts[i];
    return NULL;
}

/* A list given at a later place replaces that of an earlier one. */
static bool begins_list(const struct conf_values *l, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (l->v[i].opt == l->v[at].opt && l->v[i].by == l->v[at].by)
            return false;
    return l->v[at].opt->type == CONF_STRLIST;
}

static void apply_defaults(const struct conf_program *p, void *target, struct conf_errors *errors)
{
    for (size_t i = 0; i < p->n_opts; i++) {
        struct tw_err err = { 0 };
        if (p->opts[i].dflt && conf_set(&p->opts[i], target, p->opts[i].dflt, &err))
            conf_errors_add(errors, &err);
    }
}

void conf_apply(const struct conf_program *p, const struct conf_values *l, void *target,
                struct conf_errors *errors)
{
    apply_defaults(p, target, errors);
    for (size_t i = 0; i < l->n; i++) {
        const struct conf_value *v = &l->v[i];
        struct tw_err err = { 0 };

        if (begins_list(l, i))
            conf_strlist_free((struct conf_strlist *)((char *)target + v->opt->offset));
        if (conf_set(v->opt, target, v->text, &err)) {
            conf_err_place(p, l, v, &err);
            conf_errors_add(errors, &err);
        }
    }
    for (size_t i = 0; i < p->n_opts; i++)
        if (p->opts[i].required && !p->opts[i].dflt && !conf_values_find(l, &p->opts[i]))
            conf_errors_set(errors, p->opts[i].name, "is required");
}
