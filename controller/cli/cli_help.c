#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/name_index.h"
#include "controller/cli/cli.h"

const char *cli_command_words(const struct cli_command *cmd, char buf[64])
{
    snprintf(buf, 64, "%s%s%s", cmd->group ? cmd->group : "", cmd->group ? " " : "", cmd->name);
    return buf;
}

const struct cli_exit_text cli_exit_texts[] = {
    { CLI_OK, "done", "Done.", "" },
    { CLI_FAILED, "failed, or doctor has found problems",
      "The controller refused, a file cannot be read, or the output cannot be written; doctor: it has found problems.",
      "read the line on standard error" },
    { CLI_USAGE, "wrong usage", "The command line or the configuration file is wrong.", "`twampctl help COMMAND`" },
    { CLI_UNREACHABLE, "controller out of reach", "The controller cannot be reached.",
      "is it running? is `--controller` its `--admin-listen`? may you open its socket?" },
    { CLI_TIMEOUT, "no answer in time", "No answer within --timeout.", "`twampctl status`, or wait longer" },
    { CLI_REFUSED, "document, plan or test refused",
      "The document or test, or what it asks for, was refused, or a plan would be; nothing has changed.",
      "mend the line that is shown, or what costs too much" },
    { CLI_BEHIND, "some connected agents do not run the present schedule yet",
      "Applied, but some connected agents do not run it yet.", "`twampctl schedule rollout` says which, and why" },
    { 0 },
};

/* What of the command's group is behind these words: "" if they are all of it; NULL: it is another one. */
static const char *rest_of_group(const struct cli_command *cmd, const char *words)
{
    size_t n = strlen(words);

    if (!cmd->group || strncmp(cmd->group, words, n) != 0)
        return NULL;
    return !cmd->group[n] ? "" : cmd->group[n] == ' ' ? cmd->group + n + 1 : NULL;
}

bool cli_group_exists(const char *group)
{
    for (const struct cli_command *cmd = cli_commands; cmd->name; cmd++)
        if (rest_of_group(cmd, group))
            return true;
    return false;
}

const char *cli_group_of_words(const char *first, const char *second)
{
    for (const struct cli_command *cmd = cli_commands; cmd->name; cmd++) {
        const char *rest = rest_of_group(cmd, first);

        if (rest && *rest && !strcmp(rest, second))
            return cmd->group;
    }
    return NULL;
}

static void print_line(const struct cli_command *cmd)
{
    char words[64], usage[96];

    snprintf(usage, sizeof usage, "%s%s%s", cli_command_words(cmd, words), cmd->args ? " " : "",
             cmd->args ? cmd->args : "");
    printf("  %-22s  %s\n", usage, cmd->brief);
}

static void print_commands(const char *group)
{
    printf("Commands:\n");
    for (const struct cli_command *cmd = cli_commands; cmd->name; cmd++)
        if (!group || rest_of_group(cmd, group))
            print_line(cmd);
    if (!group)
        printf("  %-22s  %s\n", "help [COMMAND]", "what a command does, its options, and examples");
}

void cli_print_help(void)
{
    printf("twampctl looks after a twampmesh: its agents, what they measure, and the results.\n\n");
    print_commands(NULL);
    putchar('\n');
    conf_print_help(&cli_global);
    printf("\nExit codes:\n");
    for (const struct cli_exit_text *e = cli_exit_texts; e->brief; e++)
        printf("  %d  %s\n", e->code, e->brief);
}

void cli_print_group_help(const char *group)
{
    printf("Usage: twampctl [OPTION...] %s COMMAND [ARGUMENT...]\n\n", group);
    print_commands(group);
    printf("\ntwampctl help %s COMMAND tells more.\n", group);
}

void cli_print_command_help(const struct cli_command *cmd)
{
    char words[64], name[80];
    struct conf_program p = { .usage_args = cmd->args,
                              .doc = cmd->doc,
                              .examples = cmd->examples,
                              .opts = cmd->opts,
                              .n_opts = cmd->n_opts };

    snprintf(name, sizeof name, "twampctl %s", cli_command_words(cmd, words));
    p.name = name;
    conf_print_help(&p);
    printf(
        "\nThe options of every command (--controller, --output, --context, --watch ...): twampctl --help\n");
}

/* Each first word once: groups stand together. */
void cli_complete_commands(const char *group, const char *word, FILE *to)
{
    const char *last = "";

    for (const struct cli_command *cmd = cli_commands; cmd->name; cmd++) {
        const char *rest = group ? rest_of_group(cmd, group) : cmd->group;
        const char *offered = rest && *rest ? rest : cmd->name;
        size_t len = strcspn(offered, " ");
        bool more = rest && *rest; /* words come after it */

        if ((group && !rest) || ((more || !group) && strcspn(last, " ") == len && !strncmp(offered, last, len)))
            continue;
        last = offered;
        if (!strncmp(offered, word, strlen(word)))
            fprintf(to, "%.*s\t%s\n", (int)len, offered, more ? "commands" : cmd->brief);
    }
    if (!group && !strncmp("help", word, strlen(word)))
        fputs("help\twhat a command does, its options, and examples\n", to);
}

/* ---- Suggestions ---- */

/* What the user may have typed in place of the whole command. */
static unsigned command_distance(const struct cli_command *cmd, const char *group, const char *word)
{
    unsigned d = name_distance(word, cmd->name), by_group;

    if (group)
        return cmd->group && !strcmp(cmd->group, group) ? d : UINT_MAX;
    by_group = cmd->group ? name_distance(word, cmd->group) : UINT_MAX;
    return by_group < d ? by_group : d;
}

/* Verbs that others use for the same. A command of the group with one in the line of the word is meant. */
static const char *const same_verbs[] = {
    "list ls get",
    "show get describe info view cat",
    "remove delete rm del forget drop revoke unsilence",
    "apply set put update edit load import",
    "plan diff preview check",
    "add create new make",
    "approve accept allow",
    "export dump save get",
    "history log",
    "pause stop disable",
    "resume start enable unpause",
    "rename mv move",
    "rollback undo revert",
};

static bool has_verb(const char *verbs, const char *verb)
{
    size_t len = strlen(verb);

    for (const char *at = strstr(verbs, verb); at; at = strstr(at + 1, verb))
        if ((at == verbs || at[-1] == ' ') && (!at[len] || at[len] == ' '))
            return true;
    return false;
}

static const struct cli_command *same_in_group(const char *group, const char *word)
{
    for (size_t i = 0; group && *word && i < TW_NELEM(same_verbs); i++)
        for (const struct cli_command *cmd = cli_commands; has_verb(same_verbs[i], word) && cmd->name; cmd++)
            if (cmd->group && !strcmp(cmd->group, group) && has_verb(same_verbs[i], cmd->name))
                return cmd;
    return NULL;
}

static const struct cli_command *nearest(const char *group, const char *word, unsigned *ret_distance)
{
    const struct cli_command *best = NULL;
    unsigned least = strlen(word) > 4 ? 3 : 2; /* further away is no misspelling: "nope" is not "top" */

    for (const struct cli_command *cmd = cli_commands; cmd->name; cmd++) {
        unsigned d = command_distance(cmd, group, word);
        if (d < least) {
            least = d;
            best = cmd;
        }
    }
    *ret_distance = least;
    return best;
}

void cli_unknown_command(const char *group, const char *word)
{
    unsigned least = 0;
    const struct cli_command *best = same_in_group(group, word);
    char words[64] = "";

    if (!best)
        best = nearest(group, word, &least);
    if (best && !group && best->group && name_distance(word, best->group) == least)
        snprintf(words, sizeof words, "%s", best->group); /* it was the group that was misspelt */
    else if (best)
        cli_command_words(best, words);
    cli_fail(CLI_USAGE, "there is no command \"%s%s%.40s\"%s%s%s; twampctl %s%s lists all",
             group ? group : "", group ? " " : "", word, best ? ": did you mean \"" : "", words,
             best ? "\"?" : "", group ? "help " : "--help", group ? group : "");
}
