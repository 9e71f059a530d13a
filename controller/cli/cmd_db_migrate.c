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

/* ---- What was found ---- */

struct outcome {
    const char *file, *history;
    bool dry_run;
    double elapsed_s, estimate_s; /* 0: none was asked for */
    struct carry_report report;
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
    out_text(r, "history", o->history);
    out_bool(r, "dry_run", o->dry_run);
    out_u64(r, "rows", o->report.rows);
    out_u64(r, "rows_found", o->report.found_there);
    out_bool(r, "was_there", o->report.was_there);
    out_real(r, "elapsed_seconds", o->elapsed_s);
    out_real(r, "estimate_seconds", o->estimate_s);
}

static const struct carry_sum none;
static const struct out_listing sums = { .key = "carried", .put = put_sum, .none = &none };

static const struct out_column columns[] = { { "WHAT", false, 0 },       { "LEVEL", false, 0 },
                                             { "DAYS", true, 0 },        { "ROWS", true, 0 },
                                             { "PROBES SENT", true, 0 }, { "LOST", true, 0 },
                                             { "DIGEST", true, 0 } };

static enum cli_exit print_table(struct cli *c, const struct outcome *o)
{
    struct out_table t;

    out_table_init(&t, columns, TW_NELEM(columns));
    for (size_t i = 0; i < o->report.n; i++) {
        const struct carry_sum *s = &o->report.v[i];
        out_cell(&t, OUT_PLAIN, "%s", carry_kind_name(s->kind));
        out_cell(&t, OUT_PLAIN, "%s", s->kind == HISTORY_CELL ? store_level_name(s->level) : "");
        out_cell(&t, OUT_PLAIN, o->dry_run ? "" : "%" PRIu64, s->days);
        out_cell(&t, OUT_PLAIN, "%s%" PRIu64, o->dry_run ? "about " : "", s->rows);
        out_cell(&t, OUT_PLAIN, o->dry_run ? "" : "%" PRIu64, s->sent);
        out_cell(&t, OUT_PLAIN, o->dry_run ? "" : "%" PRIu64, s->lost);
        out_cell(&t, OUT_PLAIN, o->dry_run ? "" : "%016" PRIx64, s->digest);
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
    code = print_table(c, o);
    if (code)
        return code;
    if (o->dry_run)
        printf("about %" PRIu64
               " rows would be copied and compared, in some %.0f min or more; nothing was done\n",
               o->report.rows, o->estimate_s / 60 + 0.5);
    else if (o->report.was_there)
        printf("all %" PRIu64 " rows were there already, and are the same on both sides\n", o->report.rows);
    else
        printf("%" PRIu64
               " rows are the same on both sides, in %.0f s; now start the controller with --history '%s'\n",
               o->report.rows, o->elapsed_s, o->history);
    return CLI_OK;
}

enum cli_exit cmd_db_migrate(struct cli *c)
{
    static struct migrating m;
    static struct outcome o;
    struct tw_err err = { 0 };
    char path[PATH_MAX];
    const struct migrate_conf conf = {
        .path = path, .history = c->opt.to_history, .progress = show_progress, .ctx = &m
    };
    int64_t began_ns = tw_mono_now().ns;
    double rate = 0;
    enum tw_rc rc;

    if (!c->opt.to_history)
        return cli_fail(CLI_USAGE, "--history says where to: clickhouse://HOST/DATABASE");
    if (snprintf(path, sizeof path, "%s/controller.db", c->opt.data_dir) >= (int)sizeof path)
        return cli_fail(CLI_USAGE, "the path of --data-dir is too long");
    m = (struct migrating){ .since_ns = 0 };
    o = (struct outcome){ .file = path, .history = c->opt.to_history, .dry_run = c->opt.dry_run };
    progress_begin(&m.progress, cli_progress(c), "db");
    rc = o.dry_run ? migrate_look(&conf, &o.report, &rate, &err) : migrate_history(&conf, &o.report, &err);
    progress_end(&m.progress);
    if (rc)
        return cli_fail(rc == TW_EINVAL ? CLI_USAGE : CLI_FAILED, "%s", err.text);
    o.elapsed_s = out_ns_to_s(tw_mono_now().ns - began_ns);
    o.estimate_s = rate > 0 ? PASSES * (double)o.report.rows / rate : 0;
    return print(c, &o);
}
