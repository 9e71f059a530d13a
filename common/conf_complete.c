/* What may be written next on a command line, from the table of options. */
#include <stdio.h>
#include <string.h>

#include "common/conf_priv.h"

static void print_option(const struct conf_opt *o, const char *word, FILE *to)
{
    char name[CONF_ENV_NAME_MAX];
    bool value = o->type != CONF_FLAG && !o->implied;

    snprintf(name, sizeof name, "--%s%s", o->name, value ? "=" : "");
    if (!strncmp(name, word, strlen(word)))
        fprintf(to, "%s\t%.*s\n", name, (int)strcspn(o->help, ".;:"), o->help);
}

void conf_complete_options(const struct conf_program *p, const char *word, FILE *to)
{
    for (size_t i = 0; i < p->n_opts; i++)
        print_option(&p->opts[i], word, to);
}

static bool names_file(const struct conf_opt *o)
{
    return o->arg && (strstr(o->arg, "FILE") || strstr(o->arg, "PATH"));
}

void conf_complete_value(const struct conf_opt *o, const char *before, const char *value, FILE *to)
{
    static const char *const truth[] = { "true", "false", NULL };
    const char *const *choices = o->type == CONF_ENUM ? o->choices : o->type == CONF_FLAG ? truth : NULL;

    for (; choices && *choices; choices++)
        if (!strncmp(*choices, value, strlen(value)))
            fprintf(to, "%s%s\n", before, *choices);
    if (names_file(o))
        fputs(CONF_COMPLETE_FILES "\n", to);
    else if (o->arg && strstr(o->arg, "DIR"))
        fputs(CONF_COMPLETE_FOLDERS "\n", to);
}

const struct conf_opt *conf_option_of_word(const struct conf_program *p, const char *word)
{
    size_t len = strcspn(word, "=");

    for (size_t i = 0; i < p->n_opts; i++) {
        const struct conf_opt *o = &p->opts[i];
        if (len > 2 && !strncmp(word, "--", 2) && strlen(o->name) == len - 2 &&
            !strncmp(word + 2, o->name, len - 2))
            return o;
        if (word[0] == '-' && o->short_name && word[1] == o->short_name && !word[2])
            return o;
    }
    return NULL;
}

bool conf_value_follows(const struct conf_opt *o, const char *word)
{
    return o->type != CONF_FLAG && !o->implied && !strchr(word, '=');
}

void conf_complete(const struct conf_program *p, int n, char **words, FILE *to)
{
    const char *word = n ? words[n - 1] : "", *equals = strchr(word, '=');
    const struct conf_opt *before = n > 1 ? conf_option_of_word(p, words[n - 2]) : NULL;
    const struct conf_opt *o = equals ? conf_option_of_word(p, word) : NULL;
    char start[CONF_ENV_NAME_MAX];

    if (before && conf_value_follows(before, words[n - 2])) {
        conf_complete_value(before, "", word, to);
    } else if (o) {
        snprintf(start, sizeof start, "%.*s", (int)(equals + 1 - word), word);
        conf_complete_value(o, start, equals + 1, to);
    } else if (word[0] == '-') {
        conf_complete_options(p, word, to);
    } else if (p->usage_args && strstr(p->usage_args, "FILE")) {
        fputs(CONF_COMPLETE_FILES "\n", to);
    }
}
