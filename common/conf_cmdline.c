/* The command line. argp only collects: values are applied later, after the environment's. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf_priv.h"

enum { KEY_HELP = 0x10000, KEY_VERSION, KEY_FIRST_OPT };

struct collector {
    struct conf_cmdline *c;
    int error_at; /* argp's next word when it gave up */
    bool no_memory;
};

static const struct conf_opt *opt_of_key(const struct conf_program *p, int key)
{
    for (size_t i = 0; i < p->n_opts; i++)
        if (key == KEY_FIRST_OPT + (int)i || (p->opts[i].short_name && key == p->opts[i].short_name))
            return &p->opts[i];
    return NULL;
}

static error_t collect(int key, char *arg, struct argp_state *state)
{
    struct collector *to = state->input;
    const struct conf_opt *opt = opt_of_key(to->c->p, key);

    if (opt)
        to->c->given[to->c->n_given++] = (struct conf_given){ opt, arg ? arg : "true" };
    else if (key == ARGP_KEY_ARG)
        to->no_memory |= conf_strlist_append(&to->c->args, arg, strlen(arg)) != TW_OK;
    else if (key == KEY_HELP || key == 'h')
        to->c->help = true;
    else if (key == KEY_VERSION || key == 'V')
        to->c->version = true;
    else if (key == ARGP_KEY_ERROR)
        to->error_at = state->next;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static void fill_options(const struct conf_program *p, struct argp_option *o)
{
    for (size_t i = 0; i < p->n_opts; i++)
        *o++ = (struct argp_option){ .name = p->opts[i].name,
                                     .key = p->opts[i].short_name ? p->opts[i].short_name
                                                                  : KEY_FIRST_OPT + (int)i,
                                     .arg = conf_placeholder(&p->opts[i]) };
    *o++ = (struct argp_option){ .name = "help", .key = conf_short_is_free(p, 'h') ? 'h' : KEY_HELP };
    *o = (struct argp_option){ .name = "version", .key = conf_short_is_free(p, 'V') ? 'V' : KEY_VERSION };
}

/* ---- Why argp gave up: it only says where ---- */

static enum tw_rc needs_value(const struct conf_opt *o, struct tw_err *err)
{
    return tw_err_set(err, TW_EINVAL, "needs a value: --%s=%s", o->name, conf_placeholder(o));
}

static enum tw_rc unknown_option(const struct conf_program *p, struct tw_err *err)
{
    return tw_err_set(err, TW_EINVAL, "is not an option of %s (--help lists them)", p->name);
}

static enum tw_rc explain_long(const struct conf_program *p, const char *name, struct tw_err *err)
{
    size_t len = strcspn(name, "="), matches = 0;
    const struct conf_opt *match = NULL;

    for (size_t i = 0; i < p->n_opts; i++)
        if (!strncmp(p->opts[i].name, name, len)) {
            match = &p->opts[i];
            if (strlen(match->name) == len) {
                matches = 1;
                break;
            }
            matches++;
        }
    if (matches > 1)
        return tw_err_set(err, TW_EINVAL, "could be several options: write it in full (--help lists them)");
    if (!match && (!strncmp("help", name, len) || !strncmp("version", name, len)))
        return tw_err_set(err, TW_EINVAL, "takes no value");
    if (!match)
        return unknown_option(p, err);
    return name[len] ? tw_err_set(err, TW_EINVAL, "takes no value") : needs_value(match, err);
}

/* The first letter of "-abc" that is not an option, NULL if all are. */
static const char *unknown_letter(const struct conf_program *p, const char *word)
{
    for (const char *c = word + 1; *c; c++) {
        const struct conf_opt *o = opt_of_key(p, *c);
        if (!o && *c != 'h' && *c != 'V')
            return c;
        if (o && o->type != CONF_FLAG)
            return NULL; /* the rest is its value */
    }
    return NULL;
}

static bool is_cluster(const char *word)
{
    return word[0] == '-' && word[1] && word[1] != '-';
}

static enum tw_rc explain(const struct conf_program *p, const char *word, struct tw_err *err)
{
    const char *letter = is_cluster(word) ? unknown_letter(p, word) : NULL;

    if (err && letter)
        snprintf(err->field, sizeof err->field, "-%c", *letter);
    else if (err)
        snprintf(err->field, sizeof err->field, "%.*s", (int)strcspn(word, "="), word);
    if (letter)
        return unknown_option(p, err);
    if (is_cluster(word))
        return needs_value(opt_of_key(p, word[strlen(word) - 1]), err);
    return explain_long(p, word + strspn(word, "-"), err);
}

/* The word that argp could not use is the one before `at`, unless it stopped within a cluster of letters. */
static const char *culprit(const struct conf_program *p, int argc, char **argv, int at)
{
    if (at < argc && is_cluster(argv[at]) && unknown_letter(p, argv[at]))
        return argv[at];
    return argv[at > 0 ? at - 1 : 0];
}

enum tw_rc conf_cmdline_collect(struct conf_cmdline *c, int argc, char **argv, struct tw_err *err)
{
    struct argp argp = { .parser = collect };
    struct collector to = { .c = c };
    struct argp_option *options = calloc(c->p->n_opts + 3, sizeof *options); /* help, version, end */
    error_t failed = 0;

    c->given = calloc((size_t)argc + 1, sizeof *c->given);
    if (!options || !c->given) {
        free(options);
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    }
    fill_options(c->p, options);
    argp.options = options;
    if (argc > 0) /* argp wants argv[0] */
        failed = argp_parse(&argp, argc, argv, ARGP_SILENT, NULL, &to);
    free(options);
    if (failed)
        return explain(c->p, culprit(c->p, argc, argv, to.error_at), err);
    if (to.no_memory)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    return TW_OK;
}

void conf_cmdline_free(struct conf_cmdline *c)
{
    free(c->given);
    conf_strlist_free(&c->args);
}
