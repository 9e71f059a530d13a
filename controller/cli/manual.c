/* twampctl(1), and the reference in docs/twampctl.md, from the tables of commands, options and exit codes. */
#include <string.h>
#include "controller/cli/cli.h"

static void print_command(FILE *to, const struct cli_command *cmd)
{
    char words[64], name[80];
    struct conf_program p = { .name = name,
                              .usage_args = cmd->args,
                              .doc = cmd->doc,
                              .examples = cmd->examples,
                              .opts = cmd->opts,
                              .n_opts = cmd->n_opts };

    snprintf(name, sizeof name, "twampctl %s", cli_command_words(cmd, words));
    fprintf(to, ".SS %s\n", words);
    conf_roff_part(to, &p);
}

void cli_print_roff(FILE *to)
{
    conf_roff_head(to, "twampctl", 1, "look after a twampmesh: agents, schedules, results");
    fputs(".SH SYNOPSIS\n", to);
    conf_roff_synopsis(to, &cli_global);
    fputs(".SH DESCRIPTION\n", to);
    conf_roff_text(
        to, "twampctl speaks to the controller of a twampmesh: it approves agents, puts mesh documents in "
            "force, and "
            "shows what was measured. It prints tables for people; with --output JSON, YAML or CSV for "
            "programs.");
    fputs(".SH OPTIONS\nThey may stand before or after the command.\n", to);
    conf_roff_options(to, &cli_global);
    fputs(".SH COMMANDS\n", to);
    for (const struct cli_command *cmd = cli_commands; cmd->name; cmd++)
        print_command(to, cmd);
    fputs(".SH EXIT STATUS\n", to);
    for (const struct cli_exit_text *e = cli_exit_texts; e->brief; e++) {
        fprintf(to, ".TP\n\\fB%d\\fR\n", e->code);
        conf_roff_text(to, e->meaning);
    }
    fputs(".SH ENVIRONMENT\n", to);
    conf_roff_text(to, "The variable that stands in brackets behind an option sets the same. An option wins "
                       "over its variable, "
                       "that over the context of the configuration file, and that over the default.");
    fputs(".SH FILES\n.TP\n\\fI~/.config/twampmesh/twampctl.yaml\\fR\n", to);
    conf_roff_text(to, "Contexts: names for controllers, see twampctl context add.");
    fputs(".SH EXAMPLES\n", to);
    conf_roff_lines(to, cli_global.examples);
    fputs(".SH SEE ALSO\n", to);
    conf_roff_text(to, "twamp(1), twampmesh-mesh(5), twamp-agent(8), twamp-controller(8)");
}

/* ---- The reference in docs/twampctl.md ---- */

/* In a cell of a table. */
static void print_cell(FILE *to, const char *text)
{
    for (; *text; text++)
        fprintf(to, *text == '|' ? "\\|" : "%c", *text);
}

static void print_option(FILE *to, const struct conf_opt *o)
{
    fputs("`", to);
    if (o->short_name)
        fprintf(to, "-%c`, `", o->short_name);
    fprintf(to, "--%s%s%s%s%s`", o->name, o->implied ? "[" : "", o->arg ? "=" : "", o->arg ? o->arg : "", o->implied ? "]" : "");
}

static void print_options(FILE *to)
{
    char env[CONF_ENV_NAME_MAX];

    fputs("| option | variable | default | |\n|---|---|---|---|\n", to);
    for (size_t i = 0; i < cli_global.n_opts; i++) {
        const struct conf_opt *o = &cli_global.opts[i];
        const char *dflt = o->dflt ? o->dflt : o->implied;

        conf_env_name(&cli_global, o, env);
        fputs("| ", to);
        print_option(to, o);
        fprintf(to, " | `%s` | %s%s%s | ", env, dflt ? "`" : "", dflt ? dflt : "", dflt ? "`" : "");
        print_cell(to, o->help);
        fputs(" |\n", to);
    }
    fputs("| `-h`, `--help`; `-V`, `--version` | | | |\n", to);
}

static void print_exit_codes(FILE *to)
{
    fputs("| code | meaning | do |\n|---|---|---|\n", to);
    for (const struct cli_exit_text *e = cli_exit_texts; e->brief; e++)
        fprintf(to, "| %d | %s | %s |\n", e->code, e->meaning, e->advice);
}

static void print_commands(FILE *to)
{
    char words[64];

    fputs("| command | what it does | its options |\n|---|---|---|\n", to);
    for (const struct cli_command *cmd = cli_commands; cmd->name; cmd++) {
        fprintf(to, "| `%s%s", cli_command_words(cmd, words), cmd->args ? " " : "");
        print_cell(to, cmd->args ? cmd->args : "");
        fputs("` | ", to);
        print_cell(to, cmd->brief);
        fputs(" | ", to);
        for (size_t i = 0; i < cmd->n_opts; i++) {
            fputs(i ? ", " : "", to);
            print_option(to, &cmd->opts[i]);
        }
        fputs(cmd->reads ? cmd->n_opts ? ", `--watch` |\n" : "`--watch` |\n" : " |\n", to);
    }
}

void cli_print_markdown(FILE *to)
{
    static const struct {
        const char *name;
        void (*print)(FILE *to);
    } parts[] = { { "options", print_options }, { "exit codes", print_exit_codes }, { "commands", print_commands } };

    for (size_t i = 0; i < TW_NELEM(parts); i++) {
        fprintf(to, "<!-- made: %s -->\n", parts[i].name);
        parts[i].print(to);
        fputs("<!-- end -->\n", to);
    }
}
