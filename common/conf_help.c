#include "common/conf.h"

#include <stdio.h>
#include <string.h>

#include "common/conf_priv.h"

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

static void print_name(char short_name, const char *name, const char *arg, bool optional)
{
    if (short_name)
        printf("  -%c, --%s", short_name, name);
    else
        printf("      --%s", name);
    printf("%s%s%s%s\n", arg && optional ? "[" : "", arg ? "=" : "", arg ? arg : "",
           arg && optional ? "]" : "");
}

const char *conf_option_text(const struct conf_program *p, const struct conf_opt *o, char *buf, size_t cap)
{
    char extra[160] = "", env[CONF_ENV_NAME_MAX] = "";

    if (o->type == CONF_ENUM)
        conf_choices_text(o, extra, sizeof extra);
    else if (o->type == CONF_INT)
        conf_range_text(o, extra, sizeof extra);
    if (p->env_prefix)
        conf_env_name(p, o, env);
    snprintf(buf, cap, "%s%s%s%s%s%s%s%s%s%s", o->help, extra[0] ? " Allowed: " : "", extra,
             extra[0] ? "." : "", o->dflt && o->type != CONF_FLAG ? " Default: " : "",
             o->dflt && o->type != CONF_FLAG ? o->dflt : "", o->required ? " Required." : "",
             p->env_prefix ? " [" : "", p->env_prefix ? env : "", p->env_prefix ? "]" : "");
    return buf;
}

static void print_opt(const struct conf_program *p, const struct conf_opt *o)
{
    char text[1024];

    print_name(o->short_name, o->name, conf_placeholder(o), o->implied != NULL);
    print_wrapped(conf_option_text(p, o, text, sizeof text), HELP_INDENT);
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
    print_name(conf_short_is_free(p, 'h') ? 'h' : 0, "help", NULL, false);
    print_wrapped("Print this help.", HELP_INDENT);
    print_name(conf_short_is_free(p, 'V') ? 'V' : 0, "version", NULL, false);
    print_wrapped("Print the version.", HELP_INDENT);
    if (p->env_prefix)
        printf("\nThe variable in [] sets the same option; the command line wins.\n");
    if (p->examples)
        printf("\nExamples:\n%s%s", p->examples,
               p->examples[0] && p->examples[strlen(p->examples) - 1] == '\n' ? "" : "\n");
}
