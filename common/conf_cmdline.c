/* The command line. argp only collects: values are applied later, after the environment's. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf_priv.h"
#include "common/name_index.h"

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
        to->c->given[to->c->n_given++] = (struct conf_given){ opt, arg            ? arg
                                                                   : opt->implied ? opt->implied
                                                                                  : "true" };
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
    for (size_t i = 0; i < p->n_opts; i++) {
        const struct conf_opt *row = &p->opts[i];
        bool split =
            row->implied && row->short_name; /* the letter takes no value, so that letters may follow */

        *o++ = (struct argp_option){
            .name = row->name,
            .key = row->short_name && !split ? row->short_name : KEY_FIRST_OPT + (int)i,
            .arg = conf_placeholder(row),
            .flags = row->implied ? OPTION_ARG_OPTIONAL : 0,
        };
        if (split)
            *o++ = (struct argp_option){ .key = row->short_name };
    }
    *o++ = (struct argp_option){ .name = "help", .key = conf_short_is_free(p, 'h') ? 'h' : KEY_HELP };
    *o = (struct argp_option){ .name = "version", .key = conf_short_is_free(p, 'V') ? 'V' : KEY_VERSION };
}

/* ---- Abbreviations that argp would call ambiguous ---- */

static bool takes_next_word(const struct conf_opt *o)
{
    return o && o->type != CONF_FLAG && !o->implied;
}

/* The preferred option that `name` (len octets) abbreviates; NULL when none, several, or it is a whole name.
 */
static const struct conf_opt *preferred(const struct conf_program *p, const char *name, size_t len)
{
    const struct conf_opt *found = NULL;
    bool several = false;

    for (size_t i = 0; i < p->n_opts; i++) {
        const struct conf_opt *o = &p->opts[i];
        if (strncmp(o->name, name, len) != 0)
            continue;
        if (strlen(o->name) == len)
            return NULL;
        if (o->prefer) {
            several = found != NULL;
            found = o;
        }
    }
    return several ? NULL : found;
}

static const struct conf_opt *named(const struct conf_program *p, const char *name, size_t len)
{
    for (size_t i = 0; i < p->n_opts; i++)
        if (strlen(p->opts[i].name) == len && !strncmp(p->opts[i].name, name, len))
            return &p->opts[i];
    return NULL;
}

/* Does the value of the option in this word of letters stand in the next word? */
static bool cluster_takes_next(const struct conf_program *p, const char *word)
{
    for (const char *c = word + 1; *c && *c != '-'; c++)
        if (takes_next_word(opt_of_key(p, *c)))
            return !c[1];
    return false;
}

/* Puts "--NAME" and what follows the abbreviation in place of the word. */
static enum tw_rc replace_word(struct conf_cmdline *c, char **word, const char *name, const char *rest)
{
    char *full;
    enum tw_rc rc;

    if (asprintf(&full, "--%s%s", name, rest) < 0)
        return TW_ENOMEM;
    rc = conf_strlist_append(&c->expanded, full, strlen(full));
    free(full);
    if (!rc)
        *word = c->expanded.v[c->expanded.n - 1];
    return rc;
}

/* Writes preferred abbreviations in full, and letters whose value may be left out but is not. TW_ENOMEM. */
static enum tw_rc expand(struct conf_cmdline *c, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *name = argv[i] + 2;
        size_t len = strcspn(argv[i], "=") - 2;
        const struct conf_opt *o;

        if (strncmp(argv[i], "--", 2) != 0) {
            o = argv[i][0] == '-' && argv[i][1] && argv[i][2] == '=' ? opt_of_key(c->p, argv[i][1]) : NULL;
            if (o && o->implied && replace_word(c, &argv[i], o->name, argv[i] + 2)) /* "-m=VALUE" */
                return TW_ENOMEM;
            i += argv[i][0] == '-' && cluster_takes_next(c->p, argv[i]);
            continue;
        }
        o = preferred(c->p, name, len);
        if (!o)
            o = named(c->p, name, len);
        else if (replace_word(c, &argv[i], o->name, name + len))
            return TW_ENOMEM;
        i += !strchr(argv[i], '=') && takes_next_word(o);
    }
    return TW_OK;
}

/* ---- Why argp gave up: it only says where ---- */

static enum tw_rc needs_value(const struct conf_opt *o, struct tw_err *err)
{
    return tw_err_set(err, TW_EINVAL, "needs a value: --%s=%s", o->name, conf_placeholder(o));
}

static enum tw_rc unknown_option(const struct conf_program *p, const char *meant, struct tw_err *err)
{
    return tw_err_set(err, TW_EINVAL, "is not an option of %s%s%s%s (--help lists them)", p->name,
                      meant ? ": did you mean \"--" : "", meant ? meant : "", meant ? "\"?" : "");
}

/* The option that `name` (len octets) is, or the last one of those that it abbreviates; and how many they
 * are. */
static const struct conf_opt *match_long(const struct conf_program *p, const char *name, size_t len,
                                         size_t *ret_matches)
{
    const struct conf_opt *match = named(p, name, len);

    *ret_matches = match != NULL;
    if (match)
        return match;
    for (size_t i = 0; i < p->n_opts; i++)
        if (!strncmp(p->opts[i].name, name, len)) {
            match = &p->opts[i];
            ++*ret_matches;
        }
    return match;
}

static bool is_help_or_version(const char *name, size_t len)
{
    return !strncmp("help", name, len) || !strncmp("version", name, len);
}

static void look_near(struct name_near *near, const struct conf_program *p)
{
    for (size_t i = 0; p && i < p->n_opts; i++)
        name_near_look(near, p->opts[i].name);
}

static enum tw_rc explain_unknown(const struct conf_program *p, const char *name, size_t len,
                                  struct tw_err *err)
{
    char wanted[64];
    struct name_near near = { .wanted = wanted };

    snprintf(wanted, sizeof wanted, "%.*s", (int)len, name);
    look_near(&near, p);
    look_near(&near, p->beside);
    return unknown_option(p, name_near_get(&near), err);
}

static enum tw_rc explain_long(const struct conf_program *p, const char *name, struct tw_err *err)
{
    size_t len = strcspn(name, "="), matches;
    const struct conf_opt *match = match_long(p, name, len, &matches);

    if (matches > 1)
        return tw_err_set(err, TW_EINVAL, "could be several options: write it in full (--help lists them)");
    if (!match && is_help_or_version(name, len))
        return tw_err_set(err, TW_EINVAL, "takes no value");
    if (!match)
        return explain_unknown(p, name, len, err);
    return name[len] ? tw_err_set(err, TW_EINVAL, "takes no value") : needs_value(match, err);
}

/* The first letter of "-abc" that is not an option, NULL if all are. */
static const char *unknown_letter(const struct conf_program *p, const char *word)
{
    for (const char *c = word + 1; *c; c++) {
        const struct conf_opt *o = opt_of_key(p, *c);
        if (!o && *c != 'h' && *c != 'V')
            return c;
        if (takes_next_word(o))
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
        return unknown_option(p, NULL, err);
    if (is_cluster(word))
        return needs_value(opt_of_key(p, word[strlen(word) - 1]), err);
    return explain_long(p, word + strspn(word, "-"), err);
}

/* "--nope", or "--con" that could be several. */
static bool is_bad_long(const struct conf_program *p, const char *word)
{
    size_t len = strcspn(word, "="), matches;

    if (strncmp(word, "--", 2) != 0 || len == 2 || is_help_or_version(word + 2, len - 2))
        return false;
    match_long(p, word + 2, len - 2, &matches);
    return matches != 1;
}

/* The word that argp could not use is the one before `at`, unless it stopped within a cluster of letters. */
static const char *culprit(const struct conf_program *p, int argc, char **argv, int at)
{
    if (at < argc && at > 0 && is_bad_long(p, argv[at - 1]))
        return argv[at - 1]; /* "--nope -1h": what comes behind is not looked at */
    if (at < argc && is_cluster(argv[at]) && unknown_letter(p, argv[at]))
        return argv[at];
    return argv[at > 0 ? at - 1 : 0];
}

enum tw_rc conf_cmdline_collect(struct conf_cmdline *c, int argc, char **argv, struct tw_err *err)
{
    struct argp argp = { .parser = collect };
    struct collector to = { .c = c };
    struct argp_option *options = calloc(2 * c->p->n_opts + 3, sizeof *options); /* help, version, end */
    error_t failed = 0;

    c->given = calloc((size_t)argc + 1, sizeof *c->given);
    if (!options || !c->given || expand(c, argc, argv)) {
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
    conf_strlist_free(&c->expanded);
}
