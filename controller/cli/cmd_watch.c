#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controller/cli/fetch.h"
#include "controller/cli/filter.h"
#include "controller/cli/pairs.h"
#include "controller/cli/screen.h"

/* What is left out last is what says whether somebody has to act. The parts of a loss go together: two of
 * them without the third would mislead. */
static const struct out_col columns[] = {
    { .title = "MESH/CLASS" },
    { .title = "PAIR" },
    { .title = "STATE", .name = "state" },
    { .title = "LOSS", .name = "loss_ratio", .as = OUT_AS_RATIO },
    { .title = "FWD", .name = "loss_forward_ratio", .as = OUT_AS_RATIO, .drop = 7 },
    { .title = "BWD", .name = "loss_backward_ratio", .as = OUT_AS_RATIO, .drop = 7 },
    { .title = "UNKN", .name = "loss_unknown_ratio", .as = OUT_AS_RATIO, .drop = 7 },
    { .title = "RTT P50", .name = "delay_roundtrip_p50_seconds", .as = OUT_AS_SECONDS },
    { .title = "P95", .name = "delay_roundtrip_p95_seconds", .as = OUT_AS_SECONDS, .drop = 5 },
    { .title = "FWD P50", .name = "delay_forward_p50_seconds", .as = OUT_AS_SECONDS, .drop = 3 },
    { .title = "P95", .name = "delay_forward_p95_seconds", .as = OUT_AS_SECONDS, .drop = 2 },
    { .title = "BWD P50", .name = "delay_backward_p50_seconds", .as = OUT_AS_SECONDS, .drop = 3 },
    { .title = "P95", .name = "delay_backward_p95_seconds", .as = OUT_AS_SECONDS, .drop = 2 },
    { .title = "JIT FWD", .name = "delay_forward_jitter_rfc3550_seconds", .as = OUT_AS_SECONDS, .drop = 1 },
    { .title = "JIT BWD", .name = "delay_backward_jitter_rfc3550_seconds", .as = OUT_AS_SECONDS, .drop = 1 },
    { .title = "JIT RTT", .name = "delay_roundtrip_jitter_rfc3550_seconds", .as = OUT_AS_SECONDS, .drop = 4 },
    { .title = "AGE", .name = "end_ns", .as = OUT_AS_AGO, .drop = 6 },
};
static const struct out_listing listing = {
    .key = "pairs",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = pairs_put_row,
    .none = &pairs_no_row,
};

#define LINES_AROUND \
    8 /* title, heading, left out columns, notes (3), left out pairs, and the cursor's line for failures */

struct watch {
    struct cli *c;
    Tw__PairFilter filter;
    struct screen screen;
    bool terminal;
};

/* ---- One look ---- */

static int by_severity(const void *a, const void *b)
{
    const struct pair_row *ra = a, *rb = b;
    return pairs_severity(rb) - pairs_severity(ra); /* glibc's qsort() merges: equal rows keep their order */
}

/* Maintenance has lines of its own. */
static size_t room(const struct watch *w, const struct pairs *p)
{
    size_t lines = w->terminal ? screen_lines() : 0, around = LINES_AROUND;
    struct pairs_marks marks = { 0 };

    for (size_t i = 0; i < p->n; i++)
        pairs_note_maintenance(&marks, p->rows[i].report);
    around += marks.n_maintenance + (marks.more_maintenance > 0);
    return lines > around + 1 ? lines - around : SIZE_MAX;
}

static void print_title(struct watch *w, const struct pairs *p, FILE *to)
{
    size_t trouble = 0;
    char now[OUT_NUM];

    for (size_t i = 0; i < p->n; i++)
        trouble += pairs_severity(&p->rows[i]) > 1;
    fprintf(to, "%s  %zu pair%s, %zu in trouble", out_time(w->c->wall_ns(), now), p->n, p->n == 1 ? "" : "s",
            trouble);
    fprintf(to, "%s\n", w->terminal && !w->c->opt.once ? "  (Ctrl-C ends)" : "");
}

static enum cli_exit print_table(struct watch *w, struct pairs *p, FILE *to)
{
    size_t lines = room(w, p);
    struct out_records r = { .for_people = true };
    struct pairs_marks marks = { 0 };
    struct out_table t;
    bool wide = w->c->opt.output == FORMAT_WIDE;

    print_title(w, p, to);
    if (!p->n) {
        fprintf(to, "No pair is scheduled that matches: twampctl schedule list\n");
        if (w->c->opt.once) /* on a screen that is drawn again and again it would not stay */
            cli_explain_empty(w->c);
        return CLI_OK;
    }
    if (p->n > lines)
        qsort(p->rows, p->n, sizeof *p->rows, by_severity);
    else
        lines = p->n;
    for (size_t i = 0; i < lines; i++) {
        pairs_note_marks(&marks, &p->rows[i].view);
        pairs_note_maintenance(&marks, p->rows[i].report);
    }
    out_listing_records(&listing, &r, OUT_ROW_ARRAY(p->rows, lines), p);
    out_listing_table(&listing, &r, wide, w->c->wall_ns(), &t);
    out_table_fit(&t, wide ? 0 : cli_terminal_width());
    if (!t.no_memory)
        out_table_print(&t, to, w->c->colour, 0);
    out_table_print_hidden(&t, to);
    pairs_print_marks(&marks, &listing, &t, to);
    out_table_free(&t);
    out_records_free(&r);
    if (p->n > lines)
        fprintf(to, "... and %zu more: narrow it with --mesh, --class, --source or --target\n", p->n - lines);
    return CLI_OK;
}

static enum cli_exit draw(struct watch *w, struct pairs *p)
{
    char *text = NULL;
    size_t len = 0;
    FILE *mem;
    enum cli_exit code;

    if (!w->terminal) {
        if (w->c->looks)
            putchar('\n');
        return print_table(w, p, stdout);
    }
    mem = open_memstream(&text, &len);
    if (!mem)
        return cli_no_memory();
    code = print_table(w, p, mem);
    fclose(mem);
    if (text)
        screen_draw(&w->screen, text, 0);
    free(text);
    return code;
}

static enum cli_exit print_records(struct watch *w, const struct pairs *p)
{
    struct cli_answer a = { .main = { &listing, OUT_ROW_ARRAY(p->rows, p->n) },
                            .head = pairs_put_head,
                            .ctx = p };

    return cli_print_answer(w->c, &a);
}

static enum cli_exit show(struct watch *w, const Tw__ReportReply *reply, struct ctl_error *err)
{
    struct tw_err why = { 0 };
    struct pairs p = { 0 };
    enum cli_exit code;

    if (pairs_decode(reply, &p, &why) != TW_OK) {
        char text[512];
        snprintf(err->text, sizeof err->text, "the controller's report contradicts itself: %s",
                 tw_err_format(&why, text, sizeof text));
        return CLI_FAILED;
    }
    code = cli_for_people(w->c) ? draw(w, &p) : print_records(w, &p);
    pairs_free(&p);
    return code;
}

static enum cli_exit look(struct watch *w, struct ctl_error *err)
{
    Tw__ReportReply *reply = NULL;
    enum cli_exit code = fetch_report(w->c->ctl, &w->filter, cli_progress(w->c), &reply, err);

    if (!code)
        code = show(w, reply, err);
    if (reply)
        tw__report_reply__free_unpacked(reply, NULL);
    return code;
}

/* ---- Again and again ---- */

/* The controller may be restarting: who watches wants to see it come back. The old table stays, with the
 * reason below. */
static bool goes_on_after(const struct watch *w, enum cli_exit code)
{
    return w->c->looks > 0 && (code == CLI_UNREACHABLE || code == CLI_TIMEOUT) && !w->c->opt.once;
}

/* On a terminal below the table, without moving it. */
static void complain(const struct watch *w, enum cli_exit code, const char *text)
{
    if (w->screen.drawn)
        screen_note(text);
    else
        cli_fail(code, "%s", text);
}

static enum cli_exit watch(struct watch *w)
{
    struct ctl_error err = { "" };
    enum cli_exit code;

    for (;;) {
        code = look(w, &err);
        if (ctl_interrupted(w->c->ctl))
            return CLI_OK;
        if (code && !goes_on_after(w, code))
            return err.text[0] ? cli_fail(code, "%s", err.text) : code;
        if (code)
            complain(w, code, err.text);
        fflush(stdout);
        if (ferror(stdout) || ++w->c->looks == (size_t)w->c->opt.count || w->c->opt.once)
            return code;
        ctl_pause(w->c->ctl, w->c->opt.interval_ns);
        if (ctl_interrupted(w->c->ctl))
            return CLI_OK;
    }
}

enum cli_exit cmd_watch(struct cli *c)
{
    struct watch w = { .c = c, .filter = TW__PAIR_FILTER__INIT };
    enum cli_exit code;

    c->opt.latest = true;
    c->repeats = true;
    code = filter_fill(c, &w.filter);
    if (code)
        return code;
    w.terminal = cli_for_people(c) && !c->opt.once && isatty(STDOUT_FILENO);
    code = cli_connect_catching(c);
    if (code)
        return code;
    code = watch(&w);
    screen_end(&w.screen);
    return code;
}
