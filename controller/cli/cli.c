/* How the command line is read: the options that every command has may stand anywhere, so they are sorted out
 * first; then the command's own table parses what is left. */
#include "controller/cli/cli.h"
#include "controller/cli/token.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/version.h"

/* ---- Saying what is wrong ---- */

enum cli_exit cli_fail(enum cli_exit code, const char *fmt, ...)
{
    char text[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fflush(stdout);
    fputs("twampctl: ", stderr);
    out_safe(stderr, text, false);
    putc('\n', stderr);
    return code;
}

enum cli_exit cli_no_memory(void)
{
    return cli_fail(CLI_FAILED, "out of memory");
}

/* ---- What commands need ---- */

enum cli_exit cli_confirm(const struct cli *c, const char *verb, const char *before, const char *after)
{
    const char *name = c->args.n ? c->args.v[0] : c->opt.select;
    char answer[16] = "";

    if (c->opt.yes)
        return CLI_OK;
    if (!isatty(STDIN_FILENO))
        return cli_fail(CLI_USAGE, "nobody can be asked here: give --yes to %s %.64s", verb, name);
    fprintf(stderr, "%s ", before);
    out_safe(stderr, name, false);
    fprintf(stderr, " %s [y/N] ", after);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return CLI_OK;
    return cli_fail(CLI_FAILED, "no: %.64s is left as it is", name);
}

static enum cli_exit make_ctl(struct cli *c, bool catch_signals)
{
    struct tw_err err = { 0 };
    char token[TOKEN_MAX];

    if (c->ctl)
        return CLI_OK;
    if (token_read(c, token, &err) != TW_OK)
        return cli_fail(CLI_USAGE, "%s", err.text);
    if (c->token_origin == CLI_FROM_OPTION)
        cli_fail(CLI_OK, "--token: everybody on this host can read it in the list of processes: --token-file or TWAMPCTL_TOKEN is safe");
    if (ctl_new(c->opt.controller, c->opt.timeout_ns, catch_signals, &c->ctl) != TW_OK)
        return cli_no_memory();
    if (cli_for_people(c))
        ctl_for_people(c->ctl);
    ctl_set_token(c->ctl, token);
    ctl_set_tls(c->ctl, &(struct ctl_tls){ c->opt.ca_file, c->opt.server_name, c->opt.client_cert,
                                           c->opt.client_key });
    return CLI_OK;
}

enum cli_exit cli_connect(struct cli *c)
{
    return make_ctl(c, false);
}

enum cli_exit cli_connect_catching(struct cli *c)
{
    return make_ctl(c, true);
}

enum progress_mode cli_progress(const struct cli *c)
{
    enum progress_mode mode = (enum progress_mode)c->opt.progress;

    return mode == PROGRESS_AUTO && (c->repeats || c->looks) ? PROGRESS_NONE : mode;
}

enum cli_exit cli_call(struct cli *c, const char *method, const ProtobufCMessage *request,
                       ProtobufCMessage **ret)
{
    struct ctl_error err = { "" };
    enum cli_exit code = cli_connect(c);

    if (code)
        return code;
    code = ctl_call(c->ctl, method, request, ret, &err);
    return code ? cli_fail(code, "%s", err.text) : CLI_OK;
}

#define QUICK_NS TW_NS_PER_S /* what takes no longer is not talked about */

static void say_waiting(void *ctx, int64_t waited_ns)
{
    if (waited_ns >= QUICK_NS)
        progress_say(ctx, (uint64_t)(waited_ns / TW_NS_PER_S), 0, "the controller works on it, %" PRId64 " s",
                     waited_ns / TW_NS_PER_S);
}

enum cli_exit cli_change_schedule(struct cli *c, const char *method, const ProtobufCMessage *request,
                                  ProtobufCMessage **ret)
{
    struct ctl_error err = { "" };
    struct progress progress;
    struct ctl_patience patience = { say_waiting, &progress };
    enum cli_exit code = cli_connect(c);

    if (code)
        return code;
    if (c->origins[CONTEXT_TIMEOUT] == CLI_FROM_DEFAULT) {
        progress_begin(&progress, cli_progress(c), "apply");
        code = ctl_call_patiently(c->ctl, method, request, &patience, ret, &err);
        progress_end(&progress);
    } else {
        code = ctl_call(c->ctl, method, request, ret, &err);
    }
    if (code == CLI_TIMEOUT)
        return cli_fail(code, "%s; it may do it all the same: twampctl schedule history", err.text);
    return code ? cli_fail(code, "%s", err.text) : CLI_OK;
}

void cli_begin(struct cli *c, const char *method, const ProtobufCMessage *request)
{
    if (c->ctl)
        ctl_begin(c->ctl, method, request);
}

void cli_free_reply(ProtobufCMessage *m)
{
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
}

/* ---- Sorting the words ---- */

struct words {
    char **global, **own; /* each like an argv, beginning with the program's name */
    int n_global, n_own;
    const char *command[2];
    int n_command;
    bool alone; /* command[0] has the name of a group, and stands alone */
    bool help, version;
    uint32_t given; /* bit by row of cli_global */
    char watch[80];    /* "--watch=5s", of two words */
    const char *stray; /* an option before the command that no command line begins with */
};

static void words_free(struct words *w)
{
    free(w->global);
    free(w->own);
}

static enum cli_exit words_init(struct words *w, int argc)
{
    w->global = calloc((size_t)argc + 2, sizeof *w->global);
    w->own = calloc((size_t)argc + 2, sizeof *w->own);
    if (!w->global || !w->own)
        return cli_no_memory();
    w->global[w->n_global++] = w->own[w->n_own++] = (char *)"twampctl";
    return CLI_OK;
}

static const struct conf_opt *find_global(const char *word)
{
    size_t len = strcspn(word, "=");

    for (size_t i = 0; i < cli_global.n_opts; i++) {
        const struct conf_opt *o = &cli_global.opts[i];
        if (!strncmp(word, "--", 2) && strlen(o->name) == len - 2 && !strncmp(word + 2, o->name, len - 2))
            return o;
        if (word[0] == '-' && word[1] != '-' && o->short_name && word[1] == o->short_name)
            return o;
    }
    return NULL;
}

/* Does the option's value stand in the next word? */
static bool value_follows(const struct conf_opt *o, const char *word)
{
    if (o->type == CONF_FLAG || o->implied)
        return false;
    return word[1] == '-' ? !strchr(word, '=') : !word[2];
}

/* How many words belong to the command, given the first. */
static int command_length(const char *first)
{
    return cli_group_exists(first) ? 2 : 1;
}

static const struct cli_command *find_command(const char *first, const char *second);

/* "flight ams:fra": the word after the name of a group that is also a command is none of the group's. */
static bool stands_alone(const struct words *w, const char *next)
{
    const struct cli_command *alone, *of_group;

    if (w->n_command != 1 || !cli_group_exists(w->command[0]))
        return false;
    alone = find_command(w->command[0], NULL);
    of_group = find_command(w->command[0], next);
    return alone && (!of_group || !of_group->group);
}

static bool command_complete(const struct words *w)
{
    return w->alone || (w->n_command && w->n_command >= command_length(w->command[0]));
}

static void take_command_word(struct words *w, const char *word)
{
    const char *group = w->n_command == 1 ? cli_group_of_words(w->command[0], word) : NULL;

    if (group)
        w->command[0] = group; /* "access token" */
    else
        w->command[w->n_command++] = word;
}

static void sort_word(struct words *w, char *word)
{
    if (!strcmp(word, "--help") || !strcmp(word, "-h"))
        w->help = true;
    else if (!strcmp(word, "--version") || !strcmp(word, "-V"))
        w->version = true;
    else if (command_complete(w) || (w->alone = stands_alone(w, word)))
        w->own[w->n_own++] = word;
    else if (word[0] != '-')
        take_command_word(w, word);
    else if (!w->stray)
        w->stray = word;
}

/* "--watch 5s": the value may be left out, so argp would not look for it in the next word. */
static bool takes_interval(struct words *w, const struct conf_opt *o, const char *word, const char *next)
{
    int64_t ns;

    if (!o->implied || !next || strchr(word, '=') || tw_duration_parse(next, &ns) != TW_OK)
        return false;
    snprintf(w->watch, sizeof w->watch, "%s=%s", word, next);
    w->global[w->n_global++] = w->watch;
    return true;
}

static void sort_words(struct words *w, int argc, char **argv)
{
    bool options = true;

    for (int i = 1; i < argc; i++) {
        const struct conf_opt *o = options ? find_global(argv[i]) : NULL;
        if (o)
            w->given |= 1u << (o - cli_global.opts);
        if (o && takes_interval(w, o, argv[i], argv[i + 1])) {
            i++;
        } else if (o) {
            w->global[w->n_global++] = argv[i];
            if (value_follows(o, argv[i]) && i + 1 < argc)
                w->global[w->n_global++] = argv[++i];
        } else if (!options && command_complete(w)) {
            w->own[w->n_own++] = argv[i];
        } else {
            options = options && strcmp(argv[i], "--") != 0;
            sort_word(w, argv[i]);
        }
    }
}

static const struct cli_command *find_command(const char *first, const char *second)
{
    for (const struct cli_command *cmd = cli_commands; cmd->name; cmd++) {
        if (!cmd->group && !strcmp(cmd->name, first))
            return cmd;
        if (cmd->group && second && !strcmp(cmd->group, first) && !strcmp(cmd->name, second))
            return cmd;
    }
    return NULL;
}

/* ---- Help ---- */

/* words: what help is wanted about, n of them. */
static int help_about(char *const *words, int n)
{
    const char *first = n > 0 ? words[0] : NULL, *second = n > 1 ? words[1] : NULL;
    const struct cli_command *cmd = first ? find_command(first, second) : NULL;
    bool group = first && cli_group_exists(first);

    if (cmd && n > (cmd->group ? 2 : 1))
        return cli_fail(CLI_USAGE, "help is about one command: \"%.60s\" is too much after it",
                        words[cmd->group ? 2 : 1]);
    if (!first || !strcmp(first, "help"))
        cli_print_help();
    else if (cmd)
        cli_print_command_help(cmd);
    else if (!second && group)
        cli_print_group_help(first);
    else {
        cli_unknown_command(group ? first : NULL, group ? second : first);
        return CLI_USAGE;
    }
    return CLI_OK;
}

static int no_command(const struct words *w)
{
    if (w->stray)
        return cli_fail(CLI_USAGE,
                        "%.60s is no option of twampctl itself; options of a command come after the command",
                        w->stray);
    if (!w->n_command)
        return cli_fail(CLI_USAGE, "a command is missing; twampctl --help lists all");
    if (cli_group_exists(w->command[0]) && w->n_command == 1)
        return cli_fail(CLI_USAGE, "\"%s\" needs one more word; twampctl help %s lists the commands",
                        w->command[0], w->command[0]);
    cli_unknown_command(w->n_command == 2 ? w->command[0] : NULL, w->command[w->n_command - 1]);
    return CLI_USAGE;
}

/* ---- Running ---- */

static int usage_error(const struct tw_err *err, const char *what)
{
    char text[512];

    /* Fields are options without their dashes, or words as they were typed, or variables. */
    bool option = err->field[0] && err->field[0] != '-' && strncmp(err->field, "TWAMPCTL_", 9) != 0;

    tw_err_format(err, text, sizeof text);
    if (strstr(text, "--help"))
        return cli_fail(CLI_USAGE, "%s%s", option ? "--" : "", text);
    return cli_fail(CLI_USAGE, "%s%s; %s --help tells more", option ? "--" : "", text, what);
}

static bool wants_colour(const struct cli *c)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return !c->opt.no_color && !(no && *no) && isatty(STDOUT_FILENO) && !(term && !strcmp(term, "dumb"));
}

/* A full disk must not look like success; a reader that has seen enough (EPIPE) is fine. */
static int close_output(int code)
{
    if ((fflush(stdout) || ferror(stdout)) && errno != EPIPE && code == CLI_OK)
        return cli_fail(CLI_FAILED, "cannot write the output: %s", strerror(errno));
    return code;
}

static enum cli_exit run_command(struct cli *c)
{
    char words[64];

    if (c->opt.output == FORMAT_NDJSON && !c->command->lines)
        return cli_fail(CLI_USAGE,
                        "--output: \"ndjson\" is for results, report and report top: \"%s\" has table, wide, "
                        "json, yaml and csv",
                        cli_command_words(c->command, words));
    if (!c->opt.watch_ns)
        return c->command->run(c);
    if (c->command->reads)
        return cli_repeat(c);
    return cli_fail(CLI_USAGE, "--watch: \"%s\" is not a command that can be repeated%s", cli_command_words(c->command, words),
                    c->command->run == cmd_watch ? ": it has --interval" : "");
}

static int run(struct cli *c, struct words *w)
{
    char words[64], name[80];
    struct conf_program own = { .usage_args = c->command->args,
                                .opts = c->command->opts,
                                .n_opts = c->command->n_opts,
                                .beside = &cli_global,
                                .min_args = c->command->n_args,
                                .max_args = c->command->max_args ? c->command->max_args : c->command->n_args };
    struct tw_err err = { 0 };
    int code;

    snprintf(name, sizeof name, "twampctl %s", cli_command_words(c->command, words));
    own.name = name;
    if (conf_parse(&cli_global, w->n_global, w->global, &c->opt, NULL, &err) != TW_OK)
        return usage_error(&err, "twampctl");
    if (conf_parse(&own, w->n_own, w->own, &c->opt, &c->args, &err) != TW_OK) {
        conf_free(&cli_global, &c->opt);
        return usage_error(&err, name);
    }
    c->given = w->given;
    code = cli_configure(c);
    c->colour = wants_colour(c);
    if (!code)
        code = close_output(run_command(c));
    ctl_free(c->ctl);
    config_free(&c->config);
    conf_strlist_free(&c->args);
    conf_free(&own, &c->opt);
    conf_free(&cli_global, &c->opt);
    return code;
}

/* Options that came before may name another controller; whatever is wrong with them, the shell gets what there is. */
static int complete(int argc, char **argv, int64_t (*wall_ns)(void))
{
    struct words w = { 0 };
    struct cli c = { .wall_ns = wall_ns };
    struct cli_place at = { .word = argc ? argv[argc - 1] : "" };
    struct conf_program own = { 0 };
    const char *before = argc > 1 ? argv[argc - 2] : "";

    if (words_init(&w, argc) != CLI_OK)
        return CLI_OK;
    sort_words(&w, argc, argv - 1); /* all but the last; the program's name is not among them */
    if (at.word[0] == '-') /* an option of what may be a group, too: of the command then */
        w.alone = w.alone || stands_alone(&w, at.word);
    c.command = w.n_command && command_complete(&w) ? find_command(w.command[0], w.command[1]) : NULL;
    if (c.command) {
        own.opts = c.command->opts;
        own.n_opts = c.command->n_opts;
    }
    at.group = w.n_command == 1 ? w.command[0] : NULL;
    if (at.group && !strcmp(at.group, "help"))
        at.group = w.n_own > 1 ? w.own[1] : NULL;
    at.option = conf_option_of_word(&cli_global, before);
    if (at.option && conf_value_follows(at.option, before))
        w.n_global--; /* its value is what we complete */
    if (!at.option)
        at.option = conf_option_of_word(&own, before);
    if (at.option && !conf_value_follows(at.option, before))
        at.option = NULL;
    for (int i = 1; i < w.n_own; i++)
        at.n_args += w.own[i][0] != '-';
    c.given = w.given;
    if (conf_parse(&cli_global, w.n_global, w.global, &c.opt, NULL, NULL) == TW_OK &&
        cli_configure(&c) == CLI_OK)
        cli_complete(&c, c.command ? &own : NULL, &at);
    ctl_free(c.ctl);
    config_free(&c.config);
    conf_free(&cli_global, &c.opt);
    words_free(&w);
    return CLI_OK;
}

/* "access token create" has a group of two words. */
static int help_on_words(char *const *words, int n)
{
    const char *group = n > 1 ? cli_group_of_words(words[0], words[1]) : NULL;
    char *joined[] = { (char *)group, n > 2 ? words[2] : NULL, n > 3 ? words[3] : NULL };

    return group ? help_about(joined, n - 1 < 3 ? n - 1 : 3) : help_about(words, n);
}

static bool takes_arguments(const struct cli_command *cmd)
{
    return cmd->n_args || cmd->max_args;
}

static int dispatch(struct words *w, int64_t (*wall_ns)(void))
{
    struct cli c = { .wall_ns = wall_ns };

    if (w->n_command && !strcmp(w->command[0], "help"))
        return help_on_words(w->own + 1, w->n_own - 1);
    if (w->version) {
        printf("twampctl %s\n", tw_version);
        return CLI_OK;
    }
    if (w->help)
        return help_about((char *const *)w->command, w->n_command);
    if (w->n_command && !w->stray)
        c.command = find_command(w->command[0], w->command[1]);
    if (c.command && w->alone && !takes_arguments(c.command) && w->n_own > 1 && w->own[1][0] != '-') {
        cli_unknown_command(w->command[0], w->own[1]);
        return CLI_USAGE;
    }
    return c.command ? run(&c, w) : no_command(w);
}

int cli_main(int argc, char **argv, int64_t (*wall_ns)(void))
{
    struct words w = { 0 };
    int code;

    if (argc > 1 && !strcmp(argv[1], "--complete"))
        return complete(argc - 2, argv + 2, wall_ns);
    if (argc == 2 && (!strcmp(argv[1], "--help=roff") || !strcmp(argv[1], "--help=markdown"))) {
        if (!strcmp(argv[1], "--help=roff"))
            cli_print_roff(stdout);
        else
            cli_print_markdown(stdout);
        return close_output(CLI_OK);
    }
    code = words_init(&w, argc);
    if (!code) {
        sort_words(&w, argc, argv);
        code = close_output(dispatch(&w, wall_ns));
    }
    words_free(&w);
    return code;
}
