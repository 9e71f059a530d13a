/* agent/tool/main.c - the stand-alone tool `twamp`: finds the sub-command and runs it. The only place that
 * exits. */
#include <stdio.h>
#include <string.h>
#include "agent/tool/tool.h"
#include "common/name_index.h"
#include "common/net/process.h"
#include "common/version.h"

/* One row per sub-command. */
static const struct tool_cmd *const cmds[] = {
    &cmd_responder, &cmd_sender, &cmd_server, &cmd_controller, &cmd_controlclient, &cmd_probe, &cmd_dscptable,
};

static const char about[] = "Measures delay, jitter and loss between two hosts, in each direction, by TWAMP (RFC 5357), TWAMP "
                            "Light and STAMP (RFC 8762). Needs no controller: start a responder on one host, a sender on "
                            "the other.";
static const char exit_codes[] = "0 done, also when all probes were lost and when stopped by a signal; 1 could not be done; 2 "
                                 "the command line is wrong.";

static void print_usage(FILE *to)
{
    fputs("Usage: twamp COMMAND [OPTION...] [ADDRESS...]\n"
          "\n"
          "Measures delay, jitter and loss between two hosts, in each direction, by TWAMP (RFC 5357), TWAMP "
          "Light and\n"
          "STAMP (RFC 8762). Needs no controller: start a responder on one host, a sender on the other.\n"
          "\n"
          "Commands:\n",
          to);
    for (size_t i = 0; i < TW_NELEM(cmds); i++)
        fprintf(to, "  %-14s %s\n", cmds[i]->name, cmds[i]->summary);
    fputs("\n"
          "twamp COMMAND --help tells the options of a command. twamp --version (or -v) prints the version.\n"
          "Exit codes: 0 done, also when all probes were lost and when stopped by a signal; 1 could not be "
          "done; 2 the\n"
          "command line is wrong.\n"
          "\n"
          "Examples:\n"
          "  twamp responder                                    on the far host: reflect at port 20001\n"
          "  twamp sender 192.0.2.7                             100 probes, 100 ms apart, and a table\n"
          "  twamp sender --dscp ef -i 20 -c 500 --json 192.0.2.7 | jq .total.delay_roundtrip_p99_seconds\n"
          "  twamp sender --forever --metrics 192.0.2.7         for Prometheus, at port 8000\n",
          to);
}

static const struct tool_cmd *find(const char *name)
{
    for (size_t i = 0; i < TW_NELEM(cmds); i++)
        if (!strcmp(cmds[i]->name, name))
            return cmds[i];
    return NULL;
}

static enum tool_exit unknown(const char *word)
{
    struct name_near near = { .wanted = word };
    char names[300] = "";
    const char *meant;
    size_t len = 0;

    if (word[0] == '-')
        return tool_fail(TOOL_USAGE, "%.60s: is not an option of twamp itself (twamp --help)", word);
    for (size_t i = 0; i < TW_NELEM(cmds) && len < sizeof names; i++) {
        name_near_look(&near, cmds[i]->name);
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", i ? ", " : "", cmds[i]->name);
    }
    meant = name_near_get(&near);
    if (meant)
        return tool_fail(TOOL_USAGE, "no command \"%.60s\"; did you mean \"%s\"?", word, meant);
    return tool_fail(TOOL_USAGE, "no command \"%.60s\"; expected one of %s", word, names);
}

/* ---- For shells and manual pages; not for people, so not in the help ---- */

/* Lets the table of a command print something of itself. */
static void print_of_itself(const struct tool_cmd *cmd, int n, char **words)
{
    struct tool_line l;

    if (tool_parse(cmd, n, words, &l, NULL) == TW_OK)
        tool_line_free(&l);
}

/* argv[1] is "--complete"; the words to complete follow. */
static void complete(int argc, char **argv)
{
    const struct tool_cmd *cmd = argc > 3 ? find(argv[2]) : NULL;
    const char *word = argc > 2 ? argv[2] : "";

    if (argc > 3 && cmd) {
        argv[2] = argv[1]; /* in the command's own argv that is the first word */
        print_of_itself(cmd, argc - 1, argv + 1);
        return;
    }
    for (size_t i = 0; argc <= 3 && i < TW_NELEM(cmds); i++)
        if (!strncmp(cmds[i]->name, word, strlen(word)))
            printf("%s\t%s\n", cmds[i]->name, cmds[i]->summary);
}

static void print_roff(void)
{
    char *words[] = { (char *)"twamp", (char *)"--help=roff", NULL };

    conf_roff_head(stdout, "twamp", 1, "measure delay, jitter and loss between two hosts by TWAMP and STAMP");
    fputs(".SH SYNOPSIS\n\\fBtwamp\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR...] [\\fIADDRESS\\fR...]\n.SH DESCRIPTION\n", stdout);
    conf_roff_text(stdout, about);
    for (size_t i = 0; i < TW_NELEM(cmds); i++) {
        printf(".SH %s: %s\n", cmds[i]->name, cmds[i]->summary);
        print_of_itself(cmds[i], 2, words);
    }
    fputs(".SH EXIT STATUS\n", stdout);
    conf_roff_text(stdout, exit_codes);
    fputs(".SH SEE ALSO\n", stdout);
    conf_roff_text(stdout, "twampctl(1), twamp-agent(8), twamp-controller(8)");
}

static bool is(const char *word, const char *short_name, const char *long_name)
{
    return !strcmp(word, short_name) || !strcmp(word, long_name);
}

int main(int argc, char **argv)
{
    const struct tool_cmd *cmd;

    if (argc < 2) {
        print_usage(stderr);
        return TOOL_USAGE;
    }
    if (is(argv[1], "-h", "--help")) {
        print_usage(stdout);
        return TOOL_OK;
    }
    if (is(argv[1], "-v", "--version") || !strcmp(argv[1], "-V")) {
        printf("twamp %s\n", TW_VERSION);
        return TOOL_OK;
    }
    if (!strcmp(argv[1], "--help=roff")) {
        print_roff();
        return TOOL_OK;
    }
    if (!strcmp(argv[1], "--complete")) {
        complete(argc, argv);
        return TOOL_OK;
    }
    process_raise_files();
    cmd = find(argv[1]);
    return (int)(cmd ? tool_run_cmd(cmd, argc - 1, argv + 1) : unknown(argv[1]));
}
