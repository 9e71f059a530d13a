/* agent/tool/tool.h - what a sub-command of `twamp` is, and how it says what is wrong. A new sub-command is a
 * file cmd_NAME.c with one `const struct tool_cmd`, and one row in main.c. */
#ifndef TW_AGENT_TOOL_H
#define TW_AGENT_TOOL_H

#include "agent/tool/options.h"

/* Exit codes, the same for all sub-commands. */
enum tool_exit {
    TOOL_OK = 0,     /* did what was asked, also when every probe was lost, and when stopped by a signal */
    TOOL_FAILED = 1, /* could not: no such host, port in use, not allowed, nothing could be sent */
    TOOL_USAGE = 2   /* the command line is wrong */
};

struct tool_cmd {
    const char *name;
    const char *summary;    /* one line, for the list of sub-commands */
    const char *usage_args; /* NULL = takes none */
    const char *doc, *examples;
    unsigned shares;             /* TOOL_SHARES_*: option groups that it has besides its own */
    const struct conf_opt *opts; /* offsets in struct tool_options */
    size_t n_opts;
    int min_args, max_args;
    enum tool_exit (*run)(struct tool_options *o, const struct conf_strlist *args);
};

extern const struct tool_cmd cmd_responder, cmd_sender, cmd_dscptable, cmd_server, cmd_controller,
    cmd_controlclient, cmd_probe;

/* One line on stderr, "twamp sender: ..."; returns code. */
enum tool_exit tool_fail(enum tool_exit code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same from an error report; where it is empty, from rc. Wrong values are TOOL_USAGE when they are the
 * command line's: the caller knows. */
enum tool_exit tool_fail_err(enum tool_exit code, const struct tw_err *err, enum tw_rc rc);

/* An event loop that calls on_signal() on SIGINT and SIGTERM; before threads start. */
struct loop;
enum tw_rc tool_loop_new(struct loop **ret, void (*on_signal)(void *ctx, int signo), void *ctx,
                         struct tw_err *err);

/* A command line that has been read. */
struct tool_line {
    struct tool_options options;
    struct conf_strlist args;
    char name[48];
    struct conf_program program; /* tool's own, for freeing */
    struct conf_opt *rows;
};
/* As conf_parse(): TW_ECLOSED after --help. On TW_OK *ret is ended with tool_line_free(). */
enum tw_rc tool_parse(const struct tool_cmd *cmd, int argc, char **argv, struct tool_line *ret,
                      struct tw_err *err);
void tool_line_free(struct tool_line *l);
/* Reads the command line of one sub-command and runs it. argv[0] is the sub-command's name. */
enum tool_exit tool_run_cmd(const struct tool_cmd *cmd, int argc, char **argv);

#endif
