/* agent/tool/tool.c - see tool.h. */
#include "agent/tool/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/net/loop.h"

static char program[48] = "twamp";

/* ---- Saying what is wrong ---- */

enum tool_exit tool_fail(enum tool_exit code, const char *fmt, ...)
{
    char text[600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (char *c = text; *c; c++) /* one line, whatever a file or a peer put into it */
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", program, text);
    return code;
}

enum tool_exit tool_fail_err(enum tool_exit code, const struct tw_err *err, enum tw_rc rc)
{
    char text[512];

    if (!err->text[0])
        return tool_fail(code, "%s", tw_rc_name(rc));
    return tool_fail(code, "%s", tw_err_format(err, text, sizeof text));
}

/* The option as it is typed. */
static enum tool_exit wrong_option(struct tw_err *err, enum tw_rc rc)
{
    char field[sizeof err->field];

    if (err->field[0] && err->field[0] != '-' && snprintf(field, sizeof field, "--%s", err->field) > 0)
        memcpy(err->field, field, sizeof field);
    return tool_fail_err(TOOL_USAGE, err, rc);
}

/* ---- The log ---- */

static enum tool_exit open_log(const struct tool_options *o)
{
    int fd;

    log_init("twamp",
             o->debug     ? LOG_DEBUG_
             : o->verbose ? LOG_INFO_
             : o->quiet   ? LOG_ERROR_
                          : LOG_WARN_,
             LOG_TEXT);
    if (!o->logfile)
        return TOOL_OK;
    if (!strcmp(o->logfile, "-")) {
        log_to(STDOUT_FILENO);
        return TOOL_OK;
    }
    fd = open(o->logfile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return tool_fail(TOOL_FAILED, "cannot write the log to %.200s: %s", o->logfile, strerror(errno));
    log_to(fd); /* open until the end */
    return TOOL_OK;
}

/* ---- One sub-command ---- */

#define OWN_ROWS ((enum tool_share)0)

enum tw_rc tool_loop_new(struct loop **ret, void (*on_signal)(void *ctx, int signo), void *ctx,
                         struct tw_err *err)
{
    enum tw_rc rc = loop_new(ret);

    if (rc == TW_OK)
        rc = loop_on_signal(*ret, SIGINT, on_signal, ctx);
    if (rc == TW_OK)
        rc = loop_on_signal(*ret, SIGTERM, on_signal, ctx);
    return rc ? tw_err_set(err, rc, "cannot make an event loop: %s", tw_rc_name(rc)) : TW_OK;
}

static const struct conf_opt *rows_of(const struct tool_cmd *cmd, enum tool_share share, size_t *ret_n)
{
    *ret_n = cmd->n_opts;
    if (share == OWN_ROWS)
        return cmd->opts;
    return cmd->shares & share ? tool_group(share, ret_n) : NULL;
}

/* Its own rows and those of the groups that it shares, in the order of the help. */
static struct conf_opt *collect_rows(const struct tool_cmd *cmd, size_t *ret_n)
{
    static const enum tool_share order[] = { TOOL_SHARES_RUN,    OWN_ROWS,         TOOL_SHARES_CONTROL,
                                             TOOL_SHARES_SOURCE, TOOL_SHARES_MARK, TOOL_SHARES_SECRETS,
                                             TOOL_SHARES_LOG };
    struct conf_opt *rows = NULL;
    size_t n = 0, more;

    for (size_t i = 0; i < TW_NELEM(order); i++) {
        const struct conf_opt *group = rows_of(cmd, order[i], &more);
        struct conf_opt *larger = group ? realloc(rows, (n + more + 1) * sizeof *rows) : rows;
        if (!group)
            continue;
        if (!larger) {
            free(rows);
            return NULL;
        }
        rows = larger;
        memcpy(rows + n, group, more * sizeof *rows);
        n += more;
    }
    *ret_n = n;
    return rows;
}

enum tw_rc tool_parse(const struct tool_cmd *cmd, int argc, char **argv, struct tool_line *ret,
                      struct tw_err *err)
{
    struct tool_line l = {
        .options = { .tos = -1, .dscp = -1, .reply_dscp = -1, .padding = TOOL_PADDING_DEFAULT },
        .program = { .usage_args = cmd->usage_args,
                     .doc = cmd->doc,
                     .examples = cmd->examples,
                     .min_args = cmd->min_args,
                     .max_args = cmd->max_args }
    };
    enum tw_rc rc;

    snprintf(l.name, sizeof l.name, "twamp %s", cmd->name);
    l.program.name = l.name;
    l.program.opts = l.rows = collect_rows(cmd, &l.program.n_opts);
    if (!l.rows)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    rc = conf_parse(&l.program, argc, argv, &l.options, &l.args, err);
    if (rc) {
        free(l.rows);
        return rc;
    }
    *ret = l;
    ret->program.name = ret->name;
    return TW_OK;
}

void tool_line_free(struct tool_line *l)
{
    conf_strlist_free(&l->args);
    conf_free(&l->program, &l->options);
    free(l->rows);
}

enum tool_exit tool_run_cmd(const struct tool_cmd *cmd, int argc, char **argv)
{
    struct tool_line l;
    struct tw_err err = { 0 };
    enum tool_exit code;
    enum tw_rc rc;

    snprintf(program, sizeof program, "twamp %s", cmd->name);
    rc = tool_parse(cmd, argc, argv, &l, &err);
    if (rc)
        return rc == TW_ECLOSED ? TOOL_OK : wrong_option(&err, rc);
    code = open_log(&l.options);
    if (code == TOOL_OK)
        code = cmd->run(&l.options, &l.args);
    tool_line_free(&l);
    return code;
}
