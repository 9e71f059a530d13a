/* Manual pages from the tables, in the macros of man(7). */
#include <stdio.h>
#include <string.h>

#include "common/conf_priv.h"
#include "common/version.h"

enum { ROFF_WIDTH = 78 };

/* Text that stands for itself: no escapes, no requests, and hyphens that can be searched for. Returns its
 * octets. */
static int print_word(FILE *to, const char *word, size_t len)
{
    int width = 0;

    for (size_t i = 0; i < len; i++) {
        bool escape = word[i] == '\\' || word[i] == '-';
        if (escape)
            fputs(word[i] == '-' ? "\\-" : "\\e", to);
        else
            putc(word[i], to);
        width += 1 + escape;
    }
    return width;
}

void conf_roff_text(FILE *to, const char *text)
{
    int column = 0;

    while (*text) {
        size_t len = strcspn(text, " ");
        if (column && column + 1 + (int)len > ROFF_WIDTH - 10) { /* escapes need room, too */
            putc('\n', to);
            column = 0;
        }
        if (column)
            putc(' ', to);
        else if (*text == '.' || *text == '\'')
            fputs("\\&", to);
        column += print_word(to, text, len) + 1;
        text += len;
        text += strspn(text, " ");
    }
    putc('\n', to);
}

/* Lines as they are. */
void conf_roff_lines(FILE *to, const char *text)
{
    fputs(".nf\n", to);
    while (*text) {
        size_t len = strcspn(text, "\n");
        if (*text == '.' || *text == '\'' || !len)
            fputs("\\&", to);
        print_word(to, text, len);
        putc('\n', to);
        text += len + (text[len] == '\n');
    }
    fputs(".fi\n", to);
}

void conf_roff_head(FILE *to, const char *name, int section, const char *brief)
{
    fputs(".\\\" Made from the program's own tables; change those.\n.TH ", to);
    for (const char *c = name; *c; c++)
        putc(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c, to);
    fprintf(to, " %d \"%s\" \"twampmesh %s\" \"twampmesh\"\n.SH NAME\n", section, TW_RELEASE_DATE,
            TW_VERSION);
    print_word(to, name, strlen(name));
    fputs(" \\- ", to);
    conf_roff_text(to, brief);
}

static void print_option_name(FILE *to, char short_name, const char *name, const char *arg, bool optional)
{
    fputs(".TP\n", to);
    if (short_name)
        fprintf(to, "\\fB\\-%c\\fR, ", short_name);
    fputs("\\fB\\-\\-", to);
    print_word(to, name, strlen(name));
    fputs("\\fR", to);
    if (arg) {
        fputs(optional ? "[=\\fI" : "=\\fI", to);
        print_word(to, arg, strlen(arg));
        fputs(optional ? "\\fR]" : "\\fR", to);
    }
    putc('\n', to);
}

void conf_roff_options(FILE *to, const struct conf_program *p)
{
    char text[1024];

    for (size_t i = 0; i < p->n_opts; i++) {
        const struct conf_opt *o = &p->opts[i];
        print_option_name(to, o->short_name, o->name, conf_placeholder(o), o->implied != NULL);
        conf_roff_text(to, conf_option_text(p, o, text, sizeof text));
    }
}

void conf_roff_synopsis(FILE *to, const struct conf_program *p)
{
    fputs("\\fB", to);
    print_word(to, p->name, strlen(p->name));
    fputs("\\fR [\\fIOPTION\\fR...]", to);
    if (p->usage_args) {
        fputs(" \\fI", to);
        print_word(to, p->usage_args, strlen(p->usage_args));
        fputs("\\fR", to);
    }
    putc('\n', to);
}

void conf_roff_examples(FILE *to, const char *examples)
{
    fputs(".PP\n.RS\n", to);
    conf_roff_lines(to, examples);
    fputs(".RE\n", to);
}

void conf_roff_part(FILE *to, const struct conf_program *p)
{
    conf_roff_synopsis(to, p);
    if (p->doc) {
        fputs(".PP\n", to);
        conf_roff_text(to, p->doc);
    }
    conf_roff_options(to, p);
    if (p->examples)
        conf_roff_examples(to, p->examples);
}

static const char *default_file(const struct conf_program *p)
{
    const struct conf_opt *o = conf_find(p, "config");

    return o && o->dflt ? o->dflt : "";
}

static void print_files(FILE *to, const struct conf_program *p)
{
    char text[256];

    if (!p->file_manual)
        return;
    fputs(".SH FILES\n.TP\n.I ", to);
    print_word(to, default_file(p), strlen(default_file(p)));
    snprintf(text, sizeof text,
             "Its configuration, if it exists and \"--config\" names no other: every option above under its name. See %s(5).", p->file_manual);
    putc('\n', to);
    conf_roff_text(to, text);
}

static void print_key(FILE *to, const struct conf_opt *o)
{
    char text[1024], allowed[160] = "";

    if (o->type == CONF_ENUM)
        conf_choices_text(o, allowed, sizeof allowed);
    else if (o->type != CONF_STR && o->type != CONF_STRLIST && o->type != CONF_PARSED && o->type != CONF_FLAG)
        conf_range_text(o, allowed, sizeof allowed);
    fputs(".TP\n\\fB", to);
    print_word(to, o->name, strlen(o->name));
    fputs("\\fR: \\fI", to);
    if (o->type == CONF_STRLIST)
        putc('[', to);
    print_word(to, o->type == CONF_FLAG ? "true|false" : conf_placeholder(o), strlen(o->type == CONF_FLAG ? "true|false" : conf_placeholder(o)));
    fputs(o->type == CONF_STRLIST ? ", ...]\\fR\n" : "\\fR\n", to);
    snprintf(text, sizeof text, "%s%s%s%s%s%s%s%s", o->help, allowed[0] ? " Allowed: " : "", allowed, allowed[0] ? "." : "",
             o->dflt ? " Default: " : "", o->dflt ? o->dflt : "", o->dflt ? "." : "",
             o->live ? " A reload changes it." : " A change needs a restart.");
    conf_roff_text(to, text);
}

void conf_print_roff_file(FILE *to, const struct conf_program *p)
{
    char text[512];

    snprintf(text, sizeof text, "configuration of %s", p->name);
    conf_roff_head(to, p->file_manual, 5, text);
    fputs(".SH SYNOPSIS\n.I ", to);
    print_word(to, default_file(p), strlen(default_file(p)));
    fputs("\n.SH DESCRIPTION\n", to);
    snprintf(text, sizeof text,
             "A YAML document of keys and values, each the name of an option of %s without its dashes. A list is written [a, b], or one item "
             "a line after a dash. The environment counts more than the file, the command line more than both.",
             p->name);
    conf_roff_text(to, text);
    fputs(".PP\n", to);
    snprintf(text, sizeof text,
             "\"%s --check-config\" tells everything that is wrong with file and line, \"--print-config\" what is in use and where it is from, "
             "\"--print-config=default\" writes a file with all keys and their defaults as comments.",
             p->name);
    conf_roff_text(to, text);
    fputs(".PP\n", to);
    conf_roff_text(to, "Secrets are not written here: keys of files with secrets take a path, /etc/... or ./..., and nothing else.");
    fputs(".PP\n", to);
    conf_roff_text(to, "SIGHUP reads the file anew. A file with a mistake changes nothing. What needs a restart is told in the log.");
    fputs(".SH KEYS\n", to);
    for (size_t i = 0; i < p->n_opts; i++)
        if (!p->opts[i].now)
            print_key(to, &p->opts[i]);
    fprintf(to, ".SH SEE ALSO\n%s(%d)\n", p->name, p->section);
}

void conf_print_roff(FILE *to, const struct conf_program *p)
{
    conf_roff_head(to, p->name, p->section ? p->section : 1, p->brief);
    fputs(".SH SYNOPSIS\n", to);
    conf_roff_synopsis(to, p);
    fputs(".SH DESCRIPTION\n", to);
    conf_roff_text(to, p->doc);
    fputs(".SH OPTIONS\n", to);
    conf_roff_options(to, p);
    if (p->env_prefix) {
        fputs(".SH ENVIRONMENT\n", to);
        conf_roff_text(
            to,
            "The variable that stands in brackets behind an option sets the same; the command line wins.");
    }
    print_files(to, p);
    if (p->examples) {
        fputs(".SH EXAMPLES\n", to);
        conf_roff_lines(to, p->examples);
    }
    fputs(".SH SEE ALSO\n", to);
    if (p->file_manual)
        fprintf(to, "%s(5),\n", p->file_manual);
    conf_roff_text(to, "twampctl(1), twamp(1), twamp-agent(8), twamp-controller(8)");
}
