#include "common/conf.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clk.h"
#include "common/version.h"

enum { KEY_HELP = 0x10000, KEY_VERSION, KEY_FIRST_OPT, ENV_NAME_MAX = 96 };

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

static enum tw_rc strlist_append(struct conf_strlist *l, const char *text, size_t len)
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
        if (len && strlist_append(field_of(o, target), p, len))
            return tw_err_set(err, TW_ENOMEM, "out of memory");
        if (!p[len])
            return TW_OK;
    }
}

static void range_text(const struct conf_opt *o, char *buf, size_t cap)
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
        range_text(o, expected, sizeof expected);
        return refuse(o, err, expected, text);
    }
    *(int64_t *)field_of(o, target) = v;
    return TW_OK;
}

static void choices_text(const struct conf_opt *o, char *buf, size_t cap)
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
    choices_text(o, choices, sizeof choices);
    snprintf(expected, sizeof expected, "one of %s", choices);
    return refuse(o, err, expected, text);
}

static enum tw_rc (*const setters[])(const struct conf_opt *, void *, const char *, struct tw_err *) = {
    [CONF_FLAG] = set_flag,  [CONF_STR] = set_str,         [CONF_STRLIST] = add_strlist,
    [CONF_INT] = set_number, [CONF_DURATION] = set_number, [CONF_ENUM] = set_enum,
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

/* ---- Help ---- */

/* A terminal's width is not asked for: help is the same everywhere, so it can be compared and pasted. */
enum { HELP_WIDTH = 96, HELP_INDENT = 8 };

static void print_wrapped(const char *text, int indent)
{
    int column = 0;

    while (*text) {
        size_t word = strcspn(text, " ");
        if (column && column + 1 + (int)word > HELP_WIDTH) {
            putchar('\n');
            column = 0;
        }
        column += printf("%*s%.*s", column ? 1 : indent, column ? " " : "", (int)word, text);
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static const char *placeholder(const struct conf_opt *o)
{
    static const char *const by_type[] = {
        [CONF_FLAG] = NULL, [CONF_STR] = "TEXT",          [CONF_STRLIST] = "ITEM,...",
        [CONF_INT] = "N",   [CONF_DURATION] = "DURATION", [CONF_ENUM] = "WORD",
    };

    return o->type != CONF_FLAG && o->arg ? o->arg : by_type[o->type];
}

static void print_name(char short_name, const char *name, const char *arg)
{
    if (short_name)
        printf("  -%c, --%s", short_name, name);
    else
        printf("      --%s", name);
    printf("%s%s\n", arg ? "=" : "", arg ? arg : "");
}

static void env_name(const struct conf_program *p, const struct conf_opt *o, char buf[ENV_NAME_MAX])
{
    snprintf(buf, ENV_NAME_MAX, "%s_%s", p->env_prefix, o->name);
    for (char *c = buf; *c; c++)
        *c = (char)(*c == '-' ? '_' : toupper((unsigned char)*c));
}

static void print_opt(const struct conf_program *p, const struct conf_opt *o)
{
    char text[1024], extra[160] = "", env[ENV_NAME_MAX] = "";

    print_name(o->short_name, o->name, placeholder(o));
    if (o->type == CONF_ENUM)
        choices_text(o, extra, sizeof extra);
    else if (o->type == CONF_INT)
        range_text(o, extra, sizeof extra);
    if (p->env_prefix)
        env_name(p, o, env);
    snprintf(text, sizeof text, "%s%s%s%s%s%s%s%s%s%s", o->help, extra[0] ? " Allowed: " : "", extra,
             extra[0] ? "." : "", o->dflt && o->type != CONF_FLAG ? " Default: " : "",
             o->dflt && o->type != CONF_FLAG ? o->dflt : "", o->required ? " Required." : "",
             p->env_prefix ? " [" : "", p->env_prefix ? env : "", p->env_prefix ? "]" : "");
    print_wrapped(text, HELP_INDENT);
}

static bool short_is_free(const struct conf_program *p, char c)
{
    for (size_t i = 0; i < p->n_opts; i++)
        if (p->opts[i].short_name == c)
            return false;
    return true;
}

void conf_print_help(const struct conf_program *p)
{
    printf("Usage: %s [OPTION...]%s%s\n\n", p->name, p->usage_args ? " " : "",
           p->usage_args ? p->usage_args : "");
    if (p->doc) {
        print_wrapped(p->doc, 0);
        putchar('\n');
    }
    printf("Options:\n");
    for (size_t i = 0; i < p->n_opts; i++)
        print_opt(p, &p->opts[i]);
    print_name(short_is_free(p, 'h') ? 'h' : 0, "help", NULL);
    print_wrapped("Print this help.", HELP_INDENT);
    print_name(short_is_free(p, 'V') ? 'V' : 0, "version", NULL);
    print_wrapped("Print the version.", HELP_INDENT);
    if (p->env_prefix)
        printf("\nThe variable in [] sets the same option; the command line wins.\n");
    if (p->examples)
        printf("\nExamples:\n%s%s", p->examples,
               p->examples[0] && p->examples[strlen(p->examples) - 1] == '\n' ? "" : "\n");
}

/* ---- Command line. argp only collects: values are applied later, after the environment's. ---- */

struct given {
    const struct conf_opt *opt;
    const char *text;
};

struct cmdline {
    const struct conf_program *p;
    struct argp_option *options;
    struct given *given; /* room for argc */
    size_t n_given;
    struct conf_strlist args;
    bool help, version, no_memory;
};

static error_t collect(int key, char *arg, struct argp_state *state)
{
    struct cmdline *c = state->input;

    if (key == ARGP_KEY_ARG) {
        c->no_memory |= strlist_append(&c->args, arg, strlen(arg)) != TW_OK;
        return 0;
    }
    if (key == KEY_HELP || (key == 'h' && short_is_free(c->p, 'h'))) {
        c->help = true;
        return 0;
    }
    if (key == KEY_VERSION || (key == 'V' && short_is_free(c->p, 'V'))) {
        c->version = true;
        return 0;
    }
    for (size_t i = 0; i < c->p->n_opts; i++)
        if (key == KEY_FIRST_OPT + (int)i || (c->p->opts[i].short_name && key == c->p->opts[i].short_name)) {
            c->given[c->n_given++] = (struct given){ &c->p->opts[i], arg ? arg : "true" };
            return 0;
        }
    return ARGP_ERR_UNKNOWN;
}

static void fill_options(const struct conf_program *p, struct argp_option *o)
{
    for (size_t i = 0; i < p->n_opts; i++)
        *o++ = (struct argp_option){ .name = p->opts[i].name,
                                     .key = p->opts[i].short_name ? p->opts[i].short_name
                                                                  : KEY_FIRST_OPT + (int)i,
                                     .arg = placeholder(&p->opts[i]) };
    *o++ = (struct argp_option){ .name = "help", .key = short_is_free(p, 'h') ? 'h' : KEY_HELP };
    *o = (struct argp_option){ .name = "version", .key = short_is_free(p, 'V') ? 'V' : KEY_VERSION };
}

/* Tells apart why argp gave up on this word: it only says where. */
static enum tw_rc explain(const struct conf_program *p, const char *word, struct tw_err *err)
{
    size_t len = strcspn(word, "="), matches = 0;
    const struct conf_opt *match = NULL;

    if (err)
        snprintf(err->field, sizeof err->field, "%s", word);
    if (!strncmp(word, "--", 2))
        for (size_t i = 0; i < p->n_opts; i++)
            if (!strncmp(p->opts[i].name, word + 2, len - 2)) {
                match = &p->opts[i];
                matches++;
                if (strlen(match->name) == len - 2) {
                    matches = 1;
                    break;
                }
            }
    if (word[0] == '-' && word[1] != '-')
        for (size_t i = 0; i < p->n_opts; i++)
            if (p->opts[i].short_name == word[strlen(word) - 1]) {
                match = &p->opts[i];
                matches = 1;
            }
    if (matches > 1)
        return tw_err_set(err, TW_EINVAL, "could be several options: write it in full (--help lists them)");
    if (matches == 1 && placeholder(match) && !word[len])
        return tw_err_set(err, TW_EINVAL, "needs a value: --%s=%s", match->name, placeholder(match));
    if (matches == 1 && !placeholder(match) && word[len])
        return tw_err_set(err, TW_EINVAL, "takes no value");
    return tw_err_set(err, TW_EINVAL, "is not an option of %s (--help lists them)", p->name);
}

static enum tw_rc run_argp(struct cmdline *c, int argc, char **argv, struct tw_err *err)
{
    struct argp argp = { .options = c->options, .parser = collect };
    int at = 0;

    if (argc < 1) /* argp wants argv[0] */
        return TW_OK;
    if (argp_parse(&argp, argc, argv, ARGP_SILENT, &at, c))
        return explain(c->p, argv[at > 0 && at <= argc ? at - 1 : 0], err);
    if (c->no_memory)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    return TW_OK;
}

static enum tw_rc collect_cmdline(struct cmdline *c, int argc, char **argv, struct tw_err *err)
{
    c->options = calloc(c->p->n_opts + 3, sizeof *c->options); /* help, version, end */
    c->given = calloc((size_t)argc + 1, sizeof *c->given);
    if (!c->options || !c->given)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    fill_options(c->p, c->options);
    return run_argp(c, argc, argv, err);
}

/* ---- Putting it together ---- */

static void restart_list(const struct conf_opt *o, void *target)
{
    if (o->type == CONF_STRLIST)
        conf_strlist_free(field_of(o, target));
}

static enum tw_rc apply_default_and_env(const struct conf_program *p, const struct conf_opt *o, void *target,
                                        bool *ret_set, struct tw_err *err)
{
    char name[ENV_NAME_MAX];
    const char *text;
    enum tw_rc rc;

    if (o->dflt) {
        rc = conf_set(o, target, o->dflt, err);
        if (rc)
            return rc;
        *ret_set = true;
    }
    if (!p->env_prefix)
        return TW_OK;
    env_name(p, o, name);
    text = getenv(name);
    if (!text)
        return TW_OK;
    restart_list(o, target);
    rc = conf_set(o, target, text, err);
    if (rc && err) /* point at the variable: that is where it must be mended */
        snprintf(err->field, sizeof err->field, "%s", name);
    *ret_set = true;
    return rc;
}

static bool is_given(const struct cmdline *c, const struct conf_opt *o, size_t before)
{
    for (size_t i = 0; i < before; i++)
        if (c->given[i].opt == o)
            return true;
    return false;
}

static enum tw_rc apply_all(const struct cmdline *c, void *target, struct tw_err *err)
{
    enum tw_rc rc;

    for (size_t i = 0; i < c->p->n_opts; i++) {
        const struct conf_opt *o = &c->p->opts[i];
        bool is_set = false;
        rc = apply_default_and_env(c->p, o, target, &is_set, err);
        if (rc)
            return rc;
        if (o->required && !is_set && !is_given(c, o, c->n_given)) {
            if (err)
                snprintf(err->field, sizeof err->field, "%s", o->name);
            return tw_err_set(err, TW_EINVAL, "is required: give --%s", o->name);
        }
    }
    for (size_t i = 0; i < c->n_given; i++) {
        if (!is_given(c, c->given[i].opt, i))
            restart_list(c->given[i].opt, target);
        rc = conf_set(c->given[i].opt, target, c->given[i].text, err);
        if (rc)
            return rc;
    }
    return TW_OK;
}

static enum tw_rc check_arg_count(const struct cmdline *c, struct tw_err *err)
{
    const char *usage = c->p->usage_args ? c->p->usage_args : "no arguments";

    if ((int)c->args.n < c->p->min_args)
        return tw_err_set(err, TW_EINVAL, "too few arguments: expected %s", usage);
    if ((int)c->args.n > c->p->max_args)
        return tw_err_set(err, TW_EINVAL, "unexpected argument \"%.60s\": expected %s",
                          c->args.v[c->p->max_args], usage);
    return TW_OK;
}

static enum tw_rc evaluate(struct cmdline *c, void *target, struct tw_err *err)
{
    enum tw_rc rc;

    if (c->help) {
        conf_print_help(c->p);
        return TW_ECLOSED;
    }
    if (c->version) {
        printf("%s %s\n", c->p->name, TW_VERSION);
        return TW_ECLOSED;
    }
    rc = check_arg_count(c, err);
    if (rc)
        return rc;
    rc = apply_all(c, target, err);
    if (rc)
        conf_free(c->p, target);
    return rc;
}

enum tw_rc conf_parse(const struct conf_program *p, int argc, char **argv, void *target,
                      struct conf_strlist *ret_args, struct tw_err *err)
{
    struct cmdline c = { .p = p };
    enum tw_rc rc = collect_cmdline(&c, argc, argv, err);

    if (rc == TW_OK)
        rc = evaluate(&c, target, err);
    free(c.options);
    free(c.given);
    if (rc || !ret_args)
        conf_strlist_free(&c.args);
    else
        *ret_args = c.args;
    return rc;
}
