/* What the controller has in its file, carried to databases that several controllers share. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include "common/net/now.h"
#include "controller/cli/cli.h"
#include "controller/cli/progress.h"
#include "db/migrate.h"

#define PASSES 3 /* over all rows: copying, and reading both sides */

/* ---- How far it is ---- */

struct migrating {
    struct progress progress;
    enum carry_phase phase;
    uint64_t first; /* rows that were there when the phase began */
    int64_t since_ns;
};

static bool show_progress(void *ctx, enum carry_phase phase, uint64_t done, uint64_t total)
{
    static const char *const names[] = { "copied", "compared: added up here", "compared: added up there" };
    struct migrating *m = ctx;
    int64_t now_ns = tw_mono_now().ns;
    uint64_t all_done = (uint64_t)phase * total + (done < total ? done : total);
    double rate, left_s;

    if (phase != m->phase || !m->since_ns) {
        m->phase = phase;
        m->first = done;
        m->since_ns = now_ns;
    }
    rate = now_ns > m->since_ns ? (double)(done - m->first) / out_ns_to_s(now_ns - m->since_ns) : 0;
    left_s = rate > 0 ? (double)(PASSES * total - all_done) / rate : 0;
    progress_say(&m->progress, all_done, PASSES * total,
                 "%" PRIu64 " of %" PRIu64 " rows %s, %.0f/s, about %.0f min left", done, total, names[phase],
                 rate, left_s / 60);
    return true;
}

static bool show_rows(void *ctx, uint64_t done, uint64_t total)
{
    struct migrating *m = ctx;

    progress_say(&m->progress, done, total, "%" PRIu64 " of %" PRIu64 " rows of control state", done, total);
    return true;
}

/* ---- What was found ---- */

struct outcome {
    const char *file, *history, *control; /* NULL: not asked for */
    bool dry_run;
    double elapsed_s, estimate_s; /* 0: none was asked for */
    struct carry_report report;
    struct mirror_filled filled;
};

static void put_sum(struct out_records *r, const void *row, const void *ctx)
{
    const struct carry_sum *s = row;
    char digest[20];

    (void)ctx;
    snprintf(digest, sizeof digest, "%016" PRIx64, s->digest);
    out_text(r, "kind", carry_kind_name(s->kind));
    out_text(r, "level", store_level_name(s->level));
    out_u64(r, "days", s->days);
    out_u64(r, "rows", s->rows);
    out_u64(r, "sent", s->sent);
    out_u64(r, "lost", s->lost);
    out_text(r, "digest", digest);
}

static void put_head(struct out_records *r, const void *ctx)
{
    const struct outcome *o = ctx;

    out_text(r, "file", o->file);
    out_text(r, "history", o->history ? o->history : "");
    out_text(r, "control", o->control ? o->control : "");
    out_bool(r, "dry_run", o->dry_run);
    out_u64(r, "rows", o->report.rows);
    out_u64(r, "rows_found", o->report.found_there);
    out_bool(r, "was_there", o->report.was_there);
    out_u64(r, "control_rows", o->filled.rows);
    out_bool(r, "control_was_there", o->filled.was_there);
    out_real(r, "elapsed_seconds", o->elapsed_s);
    out_real(r, "estimate_seconds", o->estimate_s);
}

static const struct carry_sum none;
static const struct out_listing sums = { .key = "carried", .put = put_sum, .none = &none };

static const struct out_column columns[] = { { "WHAT", false, 0 },       { "LEVEL", false, 0 },
                                             { "DAYS", true, 0 },        { "ROWS", true, 0 },
                                             { "PROBES SENT", true, 0 }, { "LOST", true, 0 },
                                             { "DIGEST", true, 0 } };

/* What only who has read all of it knows. */
static void print_sums(struct out_table *t, const struct carry_sum *s)
{
    out_cell(t, OUT_PLAIN, "%" PRIu64, s->sent);
    out_cell(t, OUT_PLAIN, "%" PRIu64, s->lost);
    out_cell(t, OUT_PLAIN, "%016" PRIx64, s->digest);
}

static enum cli_exit print_table(struct cli *c, const struct outcome *o)
{
    struct out_table t;

    out_table_init(&t, columns, TW_NELEM(columns));
    for (size_t i = 0; i < o->report.n; i++) {
        const struct carry_sum *s = &o->report.v[i];
        out_cell(&t, OUT_PLAIN, "%s", carry_kind_name(s->kind));
        out_cell(&t, OUT_PLAIN, "%s", s->kind == HISTORY_CELL ? store_level_name(s->level) : "");
        if (o->dry_run)
            out_cell(&t, OUT_PLAIN, "%s", "");
        else
            out_cell(&t, OUT_PLAIN, "%" PRIu64, s->days);
        out_cell(&t, OUT_PLAIN, "%s%" PRIu64, o->dry_run ? "about " : "", s->rows);
        for (int k = 0; k < 3 && o->dry_run; k++)
            out_cell(&t, OUT_PLAIN, "%s", "");
        if (!o->dry_run)
            print_sums(&t, s);
    }
    return cli_print_table(c, &t);
}

static enum cli_exit print(struct cli *c, const struct outcome *o)
{
    struct cli_answer a = { .main = { &sums, OUT_ROW_ARRAY(o->report.v, o->report.n) },
                            .head = put_head,
                            .ctx = o };
    enum cli_exit code;

    if (!cli_for_people(c))
        return cli_print_answer(c, &a);
    code = o->history ? print_table(c, o) : CLI_OK;
    if (code)
        return code;
    if (o->dry_run) {
        printf("about %" PRIu64 " rows of history and %" PRIu64
               " of control state would be copied and compared, in some %.0f min or more; nothing was done\n",
               o->report.rows, o->filled.rows, o->estimate_s / 60 + 0.5);
        return CLI_OK;
    }
    if (o->history)
        printf("%" PRIu64 " rows of history are the same on both sides%s\n", o->report.rows,
               o->report.was_there ? ", and were there already" : "");
    if (o->control)
        printf("%" PRIu64 " rows of control state are the same on both sides%s\n", o->filled.rows,
               o->filled.was_there ? ", and were there already" : "");
    printf("now start the controller with%s%s%s%s%s%s\n", o->history ? " --history '" : "",
           o->history ? o->history : "", o->history ? "'" : "", o->control ? " --control '" : "",
           o->control ? o->control : "", o->control ? "'" : "");
    return CLI_OK;
}

struct paths {
    char file[PATH_MAX], mirror[PATH_MAX];
};

static enum tw_rc look(struct outcome *o, struct migrating *m, struct tw_err *err)
{
    const struct migrate_conf conf = { .path = o->file, .history = o->history, .ctx = m };
    double rate = 0;
    enum tw_rc rc = o->history ? migrate_look(&conf, &o->report, &rate, err) : TW_OK;

    o->estimate_s = rate > 0 ? PASSES * (double)o->report.rows / rate : 0;
    return rc || !o->control ? rc : mirror_fill_count(o->file, &o->filled.rows, err);
}

static enum tw_rc migrate(struct outcome *o, struct migrating *m, const char *mirror, struct tw_err *err)
{
    const struct migrate_conf conf = {
        .path = o->file, .history = o->history, .progress = show_progress, .ctx = m
    };
    enum tw_rc rc = o->history ? migrate_history(&conf, &o->report, err) : TW_OK;

    return rc || !o->control ? rc
                             : migrate_control(o->file, o->control, mirror, show_rows, m, &o->filled, err);
}

enum cli_exit cmd_db_migrate(struct cli *c)
{
    static struct migrating m;
    static struct outcome o;
    static struct paths paths;
    struct tw_err err = { 0 };
    int64_t began_ns = tw_mono_now().ns;
    enum tw_rc rc;

    if (!c->opt.to_history && !c->opt.to_control)
        return cli_fail(
            CLI_USAGE,
            "--history says where to: clickhouse://HOST/DATABASE; or --control: etcd://HOST/CLUSTER");
    if (snprintf(paths.file, PATH_MAX, "%s/controller.db", c->opt.data_dir) >= PATH_MAX ||
        snprintf(paths.mirror, PATH_MAX, "%s/mirror.db", c->opt.data_dir) >= PATH_MAX)
        return cli_fail(CLI_USAGE, "the path of --data-dir is too long");
    m = (struct migrating){ .since_ns = 0 };
    o = (struct outcome){ .file = paths.file,
                          .history = c->opt.to_history,
                          .control = c->opt.to_control,
                          .dry_run = c->opt.dry_run };
    progress_begin(&m.progress, cli_progress(c), "db");
    rc = o.dry_run ? look(&o, &m, &err) : migrate(&o, &m, paths.mirror, &err);
    progress_end(&m.progress);
    if (rc)
        return cli_fail(rc == TW_EINVAL ? CLI_USAGE : CLI_FAILED, "%s", err.text);
    o.elapsed_s = out_ns_to_s(tw_mono_now().ns - began_ns);
    return print(c, &o);
}
