/* The controller's database: copies, putting one back, and whether it is whole. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "controller/cli/cli.h"
#include "controller/cli/progress.h"
#include "db/backup.h"

#define LOOK_NS (200 * TW_NS_PER_MS)
#define CHECKS_MAX 16

/* ---- What was found ---- */

static void put_check(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__DatabaseCheck *k = row;

    (void)ctx;
    out_text(r, "check", k->name);
    out_bool(r, "ok", k->ok);
    out_u64(r, "looked_at", k->looked_at);
    out_text(r, "what", k->what);
    out_text(r, "problem", k->problem);
}

static const Tw__DatabaseCheck none = TW__DATABASE_CHECK__INIT;
static const struct out_listing checks = { .key = "checks", .put = put_check, .none = &none };

static void put_head(struct out_records *r, const void *ctx)
{
    const Tw__DatabaseReply *d = ctx;

    out_text(r, "kind", d->kind);
    out_text(r, "file", d->file);
    out_u64(r, "bytes", d->bytes);
    out_real(r, "elapsed_seconds", out_ns_to_s(out_ns_between(d->started_ns, d->ended_ns)));
    out_text(r, "not_covered", d->not_covered);
}

/* As a row, for CSV. */
static void put_copy(struct out_records *r, const void *row, const void *ctx)
{
    (void)ctx;
    put_head(r, row);
}

static const Tw__DatabaseReply no_copy = TW__DATABASE_REPLY__INIT;
static const struct out_listing copies = { .key = "copies", .put = put_copy, .none = &no_copy };

static const struct out_column check_columns[] = { { "CHECK", false, 0 },
                                                   { "LOOKED AT", true, 0 },
                                                   { "", false, 0 } };

static enum cli_exit print_checks(struct cli *c, const Tw__DatabaseReply *d)
{
    struct out_table t;

    out_table_init(&t, check_columns, TW_NELEM(check_columns));
    for (size_t i = 0; i < d->n_checks; i++) {
        const Tw__DatabaseCheck *k = d->checks[i];

        out_cell(&t, k->ok ? OUT_PLAIN : OUT_BAD, "%s", k->name);
        out_cell(&t, OUT_PLAIN, "%" PRIu64, k->looked_at);
        out_cell(&t, k->ok ? OUT_PLAIN : OUT_BAD, "%s", k->ok ? k->what : k->problem);
    }
    return cli_print_table(c, &t);
}

static bool all_ok(const Tw__DatabaseReply *d)
{
    for (size_t i = 0; i < d->n_checks; i++)
        if (!d->checks[i]->ok)
            return false;
    return true;
}

static enum cli_exit print(struct cli *c, const Tw__DatabaseReply *d)
{
    struct cli_answer a = { .main = { &checks, OUT_ROWS(d->checks, d->n_checks) },
                            .head = put_head,
                            .ctx = d };
    char size[OUT_NUM];
    enum cli_exit code = CLI_OK;

    if (c->opt.output == FORMAT_CSV && !strcmp(d->kind, "backup"))
        code = cli_print_list(c, &copies, OUT_ROWS(&d, 1), NULL);
    else if (!cli_for_people(c))
        code = cli_print_answer(c, &a);
    else if (d->n_checks)
        code = print_checks(c, d);
    else
        printf("%s on the controller's host: %s in %.1f s\n", d->file, out_si((double)d->bytes, "B", size),
               out_ns_to_s(out_ns_between(d->started_ns, d->ended_ns)));
    if (!code && cli_for_people(c) && *d->not_covered)
        printf("what is not in it: %s (%s at %s)\n", d->not_covered, d->history ? d->history->backend : "",
               d->history ? d->history->address : "");
    return code ? code : all_ok(d) ? CLI_OK : CLI_FAILED;
}

/* ---- By the controller ---- */

static void stop(struct cli *c)
{
    Tw__DatabaseLookRequest rq = TW__DATABASE_LOOK_REQUEST__INIT;
    struct ctl_error err;
    ProtobufCMessage *reply = NULL;

    ctl_call(c->ctl, "DatabaseStop", &rq.base, &reply, &err); /* as far as that still works */
    cli_free_reply(reply);
}

static enum cli_exit wait_until_over(struct cli *c, ProtobufCMessage **reply)
{
    Tw__DatabaseLookRequest rq = TW__DATABASE_LOOK_REQUEST__INIT;
    enum cli_exit code = CLI_OK;
    struct progress progress;

    progress_begin(&progress, cli_progress(c), "db");
    for (const Tw__DatabaseReply *d = (const Tw__DatabaseReply *)*reply; !code && !d->over;) {
        progress_say(&progress, d->done, d->total, "%s: %.0f %%", d->kind,
                     d->total ? 100 * (double)d->done / (double)d->total : 0);
        ctl_pause(c->ctl, LOOK_NS);
        if (ctl_interrupted(c->ctl)) {
            progress_end(&progress);
            stop(c);
            return cli_fail(CLI_FAILED, "interrupted");
        }
        cli_free_reply(*reply);
        *reply = NULL;
        code = cli_call(c, "DatabaseLook", &rq.base, reply);
        d = (const Tw__DatabaseReply *)*reply;
    }
    progress_end(&progress);
    return code;
}

static enum cli_exit ask_controller(struct cli *c, const char *kind, const char *name)
{
    Tw__DatabaseRequest rq = TW__DATABASE_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    const Tw__DatabaseReply *d;
    enum cli_exit code = CLI_OK;

    rq.kind = (char *)kind;
    rq.name = (char *)name;
    code = cli_connect_catching(c);
    if (!code)
        code = cli_call(c, "DatabaseStart", &rq.base, &reply);
    if (!code)
        code = wait_until_over(c, &reply);
    d = (const Tw__DatabaseReply *)reply;
    if (!code && *d->error)
        code = cli_fail(CLI_FAILED, "%s", d->error);
    if (!code)
        code = print(c, d);
    cli_free_reply(reply);
    return code;
}

enum cli_exit cmd_db_backup(struct cli *c)
{
    return ask_controller(c, "backup", c->args.n ? c->args.v[0] : "");
}

/* ---- On files, without a controller ---- */

struct local {
    struct progress progress;
    const char *what;
    Tw__DatabaseReply reply;
    Tw__DatabaseCheck rows[CHECKS_MAX], *list[CHECKS_MAX];
    char problems[CHECKS_MAX][256];
};

static bool show_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct local *l = ctx;

    progress_say(&l->progress, done, total, "%s: %.0f %%", l->what, total ? 100 * (double)done / (double)total : 0);
    return true;
}

static void keep_check(void *ctx, const struct store_checked *k)
{
    struct local *l = ctx;
    size_t i = l->reply.n_checks;

    if (i == CHECKS_MAX)
        return;
    tw__database_check__init(&l->rows[i]);
    snprintf(l->problems[i], sizeof l->problems[i], "%s", k->text);
    l->rows[i].name = (char *)k->name;
    l->rows[i].what = (char *)k->what;
    l->rows[i].ok = k->ok;
    l->rows[i].looked_at = k->looked_at;
    l->rows[i].problem = l->problems[i];
    l->list[i] = &l->rows[i];
    l->reply.n_checks++;
}

static void begin_local(struct local *l, struct cli *c, const char *what, const char *file)
{
    memset(l, 0, sizeof *l);
    l->what = what;
    tw__database_reply__init(&l->reply);
    l->reply.kind = (char *)what;
    l->reply.file = (char *)file;
    l->reply.checks = l->list;
    l->reply.started_ns = c->wall_ns();
    progress_begin(&l->progress, cli_progress(c), "db");
}

static enum cli_exit check_file(struct cli *c, const char *file)
{
    static struct local l;
    struct tw_err err = { 0 };
    enum tw_rc rc;

    begin_local(&l, c, "check", file);
    rc = store_check(file, &(struct store_progress){ show_progress, &l }, keep_check, &l, &err);
    progress_end(&l.progress);
    l.reply.ended_ns = c->wall_ns();
    return rc ? cli_fail(CLI_FAILED, "%s", err.text) : print(c, &l.reply);
}

enum cli_exit cmd_db_check(struct cli *c)
{
    return c->args.n ? check_file(c, c->args.v[0]) : ask_controller(c, "check", "");
}

static enum cli_exit print_restored(struct cli *c, const char *path, const char *kept)
{
    struct out_records r = { 0 };

    if (cli_for_people(c)) {
        printf("%s is restored from %s%s%s\n", path, c->args.v[0], *kept ? "; what was there is " : "", kept);
        return CLI_OK;
    }
    out_record(&r);
    out_text(&r, "file", path);
    out_text(&r, "restored_from", c->args.v[0]);
    out_text(&r, "kept", kept);
    return cli_print_records(c, "restored", &r);
}

enum cli_exit cmd_db_restore(struct cli *c)
{
    static struct local l;
    struct tw_err err = { 0 };
    char path[PATH_MAX], kept[PATH_MAX];
    enum tw_rc rc;

    if (snprintf(path, sizeof path, "%s/controller.db", c->opt.data_dir) >= (int)sizeof path)
        return cli_fail(CLI_USAGE, "the path of --data-dir is too long");
    if (access(c->opt.data_dir, W_OK | X_OK))
        return cli_fail(CLI_FAILED,
                        "cannot write in %s: %s: --data-dir says where the controller has its database",
                        c->opt.data_dir, strerror(errno));
    begin_local(&l, c, "restore", path);
    rc = store_restore(c->args.v[0], path, c->wall_ns(), &(struct store_progress){ show_progress, &l }, kept,
                       sizeof kept, &err);
    progress_end(&l.progress);
    if (rc)
        return cli_fail(CLI_FAILED, "%s", err.text);
    return print_restored(c, path, kept);
}
