#include "common/conf.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clk.h"
#include "common/conf_priv.h"
#include "common/version.h"

static void *field_of(const struct conf_opt *o, void *target)
{
    return (char *)target + o->offset;
}

/* ---- One value ---- */

static enum tw_rc refuse(const struct conf_opt *o, struct tw_err *err, const char *expected, const char *text)
{
    if (err)
        snprintf(err->field, sizeof err->field, "%s", o->name);
    return tw_err_set(err, TW_EINVAL, "must be %s, not \"%.60s\"", expected, text);
}

static enum tw_rc set_flag(const struct conf_opt *o, void *target, const char *text, struct tw_err *err)
{
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };

    for (size_t i = 0; i < TW_NELEM(words); i++)
        if (!strcasecmp(text, words[i])) {
            *(bool *)field_of(o, target) = i % 2;
            return TW_OK;
        }
    return refuse(o, err, "true or false", text);
}

static enum tw_rc set_str(const struct conf_opt *o, void *target, const char *text, struct tw_err *err)
{
    char **field = field_of(o, target), *copy = strdup(text);

    if (!copy)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    free(*field);
    *field = copy;
    return TW_OK;
}

enum tw_rc conf_strlist_append(struct conf_strlist *l, const char *text, size_t len)
{
    char **v = realloc(l->v, (l->n + 1) * sizeof *v);

    if (!v)
        return TW_ENOMEM;
    l->v = v;
    l->v[l->n] = strndup(text, len);
    if (!l->v[l->n])
        return TW_ENOMEM;
    l->n++;
    return TW_OK;
}

static enum tw_rc add_strlist(const struct conf_opt *o, void *target, const char *text, struct tw_err *err)
{
    size_t len;

    for (const char *p = text;; p += len + 1) {
        len = strcspn(p, ",");
        if (len && conf_strlist_append(field_of(o, target), p, len))
            return tw_err_set(err, TW_ENOMEM, "out of memory");
        if (!p[len])
            return TW_OK;
    }
}

void conf_range_text(const struct conf_opt *o, char *buf, size_t cap)
{
    char min[TW_TIME_TEXT], max[TW_TIME_TEXT];
    const char *what = "";

    if (o->type == CONF_DURATION) {
        what = "a duration with a unit such as \"20ms\", ";
        tw_duration_format(o->min, min);
        tw_duration_format(o->max, max);
    } else {
        snprintf(min, sizeof min, "%" PRId64, o->min);
        snprintf(max, sizeof max, "%" PRId64, o->max);
    }
    if (o->max == INT64_MAX)
        snprintf(buf, cap, "%sat least %s", what, min);
    else
        snprintf(buf, cap, "%s%s..%s", what, min, max);
}

static bool parse_int(const char *text, int64_t *ret)
{
    char *end;

    if (!*text || isspace((unsigned char)*text))
        return false;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return !errno && !*end;
}

static enum tw_rc set_number(const struct conf_opt *o, void *target, const char *text, struct tw_err *err)
{
    char expected[128];
    int64_t v;
    bool ok = o->type == CONF_DURATION ? tw_duration_parse(text, &v) == TW_OK : parse_int(text, &v);

    if (!ok || v < o->min || v > o->max) {
        conf_range_text(o, expected, sizeof expected);
        return refuse(o, err, expected, text);
    }
    *(int64_t *)field_of(o, target) = v;
    return TW_OK;
}

void conf_choices_text(const struct conf_opt *o, char *buf, size_t cap)
{
    size_t len = 0;

    buf[0] = '\0';
    for (const char *const *c = o->choices; *c && len < cap; c++)
        len += (size_t)snprintf(buf + len, cap - len, "%s%s", c == o->choices ? "" : ", ", *c);
}

static enum tw_rc set_enum(const struct conf_opt *o, void *target, const char *text, struct tw_err *err)
{
    char choices[128], expected[160];

    for (int i = 0; o->choices[i]; i++)
        if (!strcmp(o->choices[i], text)) {
            *(int *)field_of(o, target) = i;
            return TW_OK;
        }
    conf_choices_text(o, choices, sizeof choices);
    snprintf(expected, sizeof expected, "one of %s", choices);
    return refuse(o, err, expected, text);
}

static enum tw_rc set_parsed(const struct conf_opt *o, void *target, const char *text, struct tw_err *err)
{
    enum tw_rc rc = o->parse(text, field_of(o, target), err);

    if (rc && err)
        snprintf(err->field, sizeof err->field, "%s", o->name);
    return rc;
}

static enum tw_rc (*const setters[])(const struct conf_opt *, void *, const char *, struct tw_err *) = {
    [CONF_FLAG] = set_flag,     [CONF_STR] = set_str,         [CONF_STRLIST] = add_strlist,
    [CONF_INT] = set_number,    [CONF_DURATION] = set_number, [CONF_ENUM] = set_enum,
    [CONF_PARSED] = set_parsed,
};

enum tw_rc conf_set(const struct conf_opt *o, void *target, const char *text, struct tw_err *err)
{
    return setters[o->type](o, target, text, err);
}

/* ---- Memory ---- */

void conf_strlist_free(struct conf_strlist *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (struct conf_strlist){ 0 };
}

void conf_free(const struct conf_program *p, void *target)
{
    for (size_t i = 0; i < p->n_opts; i++) {
        void *field = field_of(&p->opts[i], target);
        if (p->opts[i].type == CONF_STRLIST) {
            conf_strlist_free(field);
        } else if (p->opts[i].type == CONF_STR) {
            free(*(char **)field);
            *(char **)field = NULL;
        }
    }
}

/* ---- Two structs of a program ---- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_list(const struct conf_strlist *a, const struct conf_strlist *b)
{
    bool same = a->n == b->n;

    for (size_t i = 0; same && i < a->n; i++)
        same = same_text(a->v[i], b->v[i]);
    return same;
}

static const size_t sizes[] = {
    [CONF_FLAG] = sizeof(bool),   [CONF_STR] = sizeof(char *),      [CONF_STRLIST] = sizeof(struct conf_strlist),
    [CONF_INT] = sizeof(int64_t), [CONF_DURATION] = sizeof(int64_t), [CONF_ENUM] = sizeof(int),
    [CONF_PARSED] = 0,
};

bool conf_same(const struct conf_opt *o, const void *a, const void *b)
{
    const void *x = (const char *)a + o->offset, *y = (const char *)b + o->offset;

    if (o->type == CONF_STR)
        return same_text(*(char *const *)x, *(char *const *)y);
    if (o->type == CONF_STRLIST)
        return same_list(x, y);
    return memcmp(x, y, sizes[o->type]) == 0;
}

void conf_swap(const struct conf_opt *o, void *to, void *from)
{
    char kept[sizeof(struct conf_strlist)];

    memcpy(kept, field_of(o, to), sizes[o->type]);
    memcpy(field_of(o, to), field_of(o, from), sizes[o->type]);
    memcpy(field_of(o, from), kept, sizes[o->type]);
}

/* ---- Names ---- */

void conf_env_name(const struct conf_program *p, const struct conf_opt *o, char buf[CONF_ENV_NAME_MAX])
{
    snprintf(buf, CONF_ENV_NAME_MAX, "%s_%s", p->env_prefix, o->name);
    for (char *c = buf; *c; c++)
        *c = (char)(*c == '-' ? '_' : toupper((unsigned char)*c));
}

const char *conf_placeholder(const struct conf_opt *o)
{
    static const char *const by_type[] = {
        [CONF_FLAG] = NULL,           [CONF_STR] = "TEXT",  [CONF_STRLIST] = "ITEM,...", [CONF_INT] = "N",
        [CONF_DURATION] = "DURATION", [CONF_ENUM] = "WORD", [CONF_PARSED] = "VALUE",
    };

    return o->type != CONF_FLAG && o->arg ? o->arg : by_type[o->type];
}

bool conf_short_is_free(const struct conf_program *p, char c)
{
    for (size_t i = 0; i < p->n_opts; i++)
        if (p->opts[i].short_name == c)
            return false;
    return true;
}

/* ---- Putting it together ---- */

static enum tw_rc check_arg_count(const struct conf_cmdline *c, struct tw_err *err)
{
    const char *usage = c->p->usage_args ? c->p->usage_args : "no arguments";

    if ((int)c->args.n < c->p->min_args)
        return tw_err_set(err, TW_EINVAL, "too few arguments: expected %s", usage);
    if ((int)c->args.n > c->p->max_args)
        return tw_err_set(err, TW_EINVAL, "unexpected argument \"%.60s\": expected %s",
                          c->args.v[c->p->max_args], usage);
    return TW_OK;
}

/* For those who build manual pages and for shells: not for people, so not in the help. */
static bool prints_of_itself(const struct conf_program *p, int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--help=roff")) {
        if (p->brief)
            conf_print_roff(stdout, p);
        else
            conf_roff_part(stdout, p);
        return true;
    }
    if (argc == 2 && !strcmp(argv[1], "--help=roff5") && p->file_manual) {
        conf_print_roff_file(stdout, p);
        return true;
    }
    if (argc == 2 && !strcmp(argv[1], "--help=markdown")) {
        conf_print_markdown(stdout, p);
        return true;
    }
    if (argc < 2 || strcmp(argv[1], "--complete") != 0)
        return false;
    conf_complete(p, argc - 2, argv + 2, stdout);
    return true;
}

enum tw_rc conf_begin(struct conf_cmdline *c, int argc, char **argv, struct tw_err *err)
{
    enum tw_rc rc;

    if (prints_of_itself(c->p, argc, argv))
        return TW_ECLOSED;
    rc = conf_cmdline_collect(c, argc, argv, err);
    if (rc != TW_OK)
        return rc;
    if (c->help) {
        conf_print_help(c->p);
        return TW_ECLOSED;
    }
    if (c->version) {
        printf("%s %s\n", c->p->name, tw_version);
        return TW_ECLOSED;
    }
    return check_arg_count(c, err);
}

static enum tw_rc evaluate(const struct conf_cmdline *c, void *target, struct tw_err *err)
{
    struct conf_values values = { 0 };
    struct conf_errors errors = { 0 };
    enum tw_rc rc = conf_values_from_env(&values, c->p);

    if (rc == TW_OK)
        rc = conf_values_from_cmdline(&values, c);
    if (rc == TW_OK)
        conf_apply(c->p, &values, target, &errors);
    if (rc != TW_OK || errors.lost)
        rc = tw_err_set(err, TW_ENOMEM, "out of memory");
    else if (errors.n && err)
        *err = errors.v[0];
    if (rc == TW_OK && errors.n)
        rc = errors.v[0].rc;
    if (rc != TW_OK)
        conf_free(c->p, target);
    conf_errors_free(&errors);
    conf_values_free(&values);
    return rc;
}

enum tw_rc conf_parse(const struct conf_program *p, int argc, char **argv, void *target,
                      struct conf_strlist *ret_args, struct tw_err *err)
{
    struct conf_cmdline c = { .p = p };
    enum tw_rc rc = conf_begin(&c, argc, argv, err);

    if (rc == TW_OK)
        rc = evaluate(&c, target, err);
    if (rc == TW_OK && ret_args) {
        *ret_args = c.args;
        c.args = (struct conf_strlist){ 0 };
    }
    conf_cmdline_free(&c);
    return rc;
}

const char *conf_error_text(const struct conf_program *p, const struct tw_err *e, char *buf, size_t cap)
{
    struct tw_err named = *e;
    const struct conf_opt *o = e->file[0] ? NULL : conf_find(p, e->field); /* in a file it has no dashes */

    if (o)
        snprintf(named.field, sizeof named.field, "--%s", o->name);
    return tw_err_format(&named, buf, cap);
}
