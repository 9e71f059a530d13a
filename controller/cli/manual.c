/* twampctl(1), from the table of commands. */
#include <string.h>
#include "controller/cli/cli.h"

static const char *const exit_codes[][2] = {
    { "0", "Done." },
    { "1", "The controller refused, or something else went wrong." },
    { "2", "The command line or the configuration file is wrong." },
    { "3", "The controller cannot be reached." },
    { "4", "No answer in time." },
    { "5", "The document, or what it asks for, was refused." },
    { "6", "Applied, but some connected agents do not run it yet." },
};

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
    for (size_t i = 0; i < TW_NELEM(exit_codes); i++) {
        fprintf(to, ".TP\n\\fB%s\\fR\n", exit_codes[i][0]);
        conf_roff_text(to, exit_codes[i][1]);
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
    conf_roff_text(to, "twamp(1), twamp-agent(8), twamp-controller(8)");
}
