/* schedule apply, plan and rollback: reads the documents, shows what is wrong with them or what they change, and
 * waits for the agents. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/plan.h"

#define DOCUMENT_MAX (1000u * 1024) /* a request has at most 1 MiB */

/* ---- Reading ---- */

static enum cli_exit read_all(FILE *f, const char *name, char **ret)
{
    char *text = malloc(DOCUMENT_MAX + 2);
    size_t n;

    if (!text)
        return cli_no_memory();
    n = fread(text, 1, DOCUMENT_MAX + 1, f);
    text[n] = '\0';
    *ret = text;
    if (!ferror(f) && n <= DOCUMENT_MAX && !memchr(text, 0, n))
        return CLI_OK;
    free(text);
    *ret = NULL;
    if (ferror(f))
        return cli_fail(CLI_FAILED, "cannot read %s: %s", name, strerror(errno));
    if (n > DOCUMENT_MAX)
        return cli_fail(CLI_REFUSED, "%s is larger than %u KiB: apply it in several parts", name,
                        DOCUMENT_MAX / 1024);
    return cli_fail(CLI_REFUSED, "%s is no text: it has a zero octet", name);
}

enum cli_exit cli_read_document(const char *path, char **ret)
{
    FILE *f;
    enum cli_exit code;

    if (!strcmp(path, "-"))
        return read_all(stdin, "standard input", ret);
    f = fopen(path, "re");
    if (!f)
        return cli_fail(CLI_FAILED, "cannot read %s: %s", path, strerror(errno));
    code = read_all(f, path, ret);
    fclose(f);
    return code;
}

/* ---- What is wrong with it ---- */

/* The line that is wrong, with a caret under the column. Tabs stay tabs, so that the caret stands right. */
static void quote(const char *document, const Tw__Field *e)
{
    const char *line = document;
    size_t len;

    for (uint32_t i = 1; i < e->line && line; i++) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    if (!e->line || !line || !*line)
        return;
    len = strcspn(line, "\r\n");
    if (len > 160)
        len = 160;
    fprintf(stderr, "%5u | ", e->line);
    for (size_t i = 0; i < len; i++)
        putc((unsigned char)line[i] < ' ' && line[i] != '\t' ? '?' : line[i], stderr);
    putc('\n', stderr);
    if (!e->column || e->column > len + 1)
        return;
    fprintf(stderr, "      | ");
    for (size_t i = 0; i + 1 < e->column; i++)
        if (line[i] == '\t')
            putc('\t', stderr);
        else if (((unsigned char)line[i] & 0xc0) != 0x80) /* one blank per character, not per octet */
            putc(' ', stderr);
    fprintf(stderr, "^\n");
}

enum cli_exit cli_document_refused(const char *file, const char *document, const Tw__Field *e)
{
    char place[64] = "";

    if (e->line && e->column)
        snprintf(place, sizeof place, ":%u:%u", e->line, e->column);
    else if (e->line)
        snprintf(place, sizeof place, ":%u", e->line);
    out_safe(stderr, *e->file ? e->file : file, false);
    fprintf(stderr, "%s: ", place);
    out_safe(stderr, e->path, false);
    fputs(*e->path ? ": " : "", stderr);
    out_safe(stderr, e->text, false);
    putc('\n', stderr);
    quote(document, e);
    return CLI_REFUSED;
}

/* ---- Apply ---- */

struct documents {
    Tw__ScheduleFile *files, **list;
    size_t n;
};

static void free_documents(struct documents *d)
{
    for (size_t i = 0; i < d->n; i++)
        free(d->files[i].text);
    free(d->files);
    free(d->list);
}

static enum cli_exit read_documents(const struct conf_strlist *paths, struct documents *d)
{
    enum cli_exit code = CLI_OK;

    d->files = calloc(paths->n + 1, sizeof *d->files);
    d->list = calloc(paths->n + 1, sizeof(Tw__ScheduleFile *));
    if (!d->files || !d->list)
        return cli_no_memory();
    for (size_t i = 0; !code && i < paths->n; i++) {
        Tw__ScheduleFile *f = &d->files[d->n];

        tw__schedule_file__init(f);
        f->name = strcmp(paths->v[i], "-") ? paths->v[i] : (char *)"<stdin>";
        f->text = NULL;
        code = cli_read_document(paths->v[i], &f->text);
        if (!code)
            d->list[d->n++] = f;
    }
    return code;
}

/* The document that the error is in. */
static const Tw__ScheduleFile *file_of(const struct documents *d, const Tw__Field *e)
{
    for (size_t i = 0; i < d->n; i++)
        if (!strcmp(d->files[i].name, e->file))
            return &d->files[i];
    return &d->files[0];
}

static enum cli_exit tell(struct cli *c, const Tw__ScheduleApplyReply *reply, const struct documents *d)
{
    const Tw__ScheduleFile *f;

    if (reply->error && reply->plan)
        return plan_refused(c, reply);
    if (reply->error && d) {
        f = file_of(d, reply->error);
        return cli_document_refused(f->name, f->text, reply->error);
    }
    if (reply->error)
        return cli_fail(CLI_REFUSED, "%s%s%s", reply->error->file, *reply->error->file ? ": " : "",
                        reply->error->text);
    if (!reply->plan)
        return cli_fail(CLI_FAILED, "the controller's answer lacks the plan");
    return plan_tell(c, reply);
}

static enum cli_exit apply(struct cli *c, const struct documents *d)
{
    Tw__ScheduleApplyRequest rq = TW__SCHEDULE_APPLY_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    char user[64];
    enum cli_exit code;

    rq.files = d->list;
    rq.n_files = d->n;
    rq.plan_only = c->opt.plan;
    rq.prune = c->opt.prune;
    rq.force = c->opt.force;
    rq.max_pairs = plan_max_pairs(c);
    rq.author = c->opt.author ? c->opt.author : ctl_user_name(user);
    if (c->opt.reason)
        rq.reason = c->opt.reason;
    code = cli_change_schedule(c, "ScheduleApply", &rq.base, &m);
    if (!code)
        code = tell(c, (const Tw__ScheduleApplyReply *)m, d);
    cli_free_reply(m);
    return code;
}

enum cli_exit cmd_schedule_apply(struct cli *c)
{
    struct documents d = { 0 };
    enum cli_exit code = read_documents(&c->opt.files, &d);

    if (!code)
        code = apply(c, &d);
    free_documents(&d);
    return code;
}

enum cli_exit cmd_schedule_plan(struct cli *c)
{
    c->opt.plan = true;
    return cmd_schedule_apply(c);
}

/* ---- Rollback ---- */

bool cli_read_generation(const char *text, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && !errno && *ret)
        return true;
    cli_fail(CLI_USAGE, "\"%.40s\" is no generation: expected a number as schedule history shows it", text);
    return false;
}

enum cli_exit cmd_schedule_rollback(struct cli *c)
{
    Tw__ScheduleRollbackRequest rq = TW__SCHEDULE_ROLLBACK_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    char user[64];
    enum cli_exit code;

    if (!cli_read_generation(c->args.v[0], &rq.generation))
        return CLI_USAGE;
    rq.plan_only = c->opt.plan;
    rq.force = c->opt.force;
    rq.max_pairs = plan_max_pairs(c);
    rq.author = c->opt.author ? c->opt.author : ctl_user_name(user);
    if (c->opt.reason)
        rq.reason = c->opt.reason;
    code = cli_change_schedule(c, "ScheduleRollback", &rq.base, &m);
    if (!code)
        code = tell(c, (const Tw__ScheduleApplyReply *)m, NULL);
    cli_free_reply(m);
    return code;
}
