#include "controller/cli/group_rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/pairs.h"

struct tw_num report_complete(uint64_t stored, uint64_t expected)
{
    double ratio = expected ? (double)stored / (double)expected : 0;

    return (struct tw_num){ expected != 0, ratio < 1 ? ratio : 1 };
}

static enum cli_exit call_once(struct cli *c, const Tw__PairFilter *filter, Tw__ReportReply **ret)
{
    ProtobufCMessage *m = NULL;
    enum cli_exit code = cli_call(c, "Report", &filter->base, &m);
    Tw__ReportReply *r = (Tw__ReportReply *)m;
    bool by = *filter->group_by && strcmp(filter->group_by, "pair") != 0;

    if (code)
        return code;
    if (strcmp(r->group_by, by ? filter->group_by : "") != 0 || strcmp(r->sort_by, filter->sort_by) != 0 ||
        r->before_to_ns != filter->before_to_ns) {
        cli_free_reply(m);
        return cli_fail(CLI_FAILED, "this controller is too old for that: it only has a report by pairs");
    }
    *ret = r;
    return CLI_OK;
}

/* Moves `n` pointers behind the others. Both lists come from unpack() with malloc(). */
static bool move_rows(void ***all, size_t *n_all, void **v, size_t *n)
{
    void **more;

    if (!*n) /* then there may be no list */
        return true;
    more = realloc(*all, (*n_all + *n + 1) * sizeof *more);
    if (!more)
        return false;
    *all = more;
    memcpy(more + *n_all, v, *n * sizeof *more);
    *n_all += *n;
    *n = 0;
    return true;
}

static bool append(Tw__ReportReply *all, Tw__ReportReply *part)
{
    return move_rows((void ***)&all->groups, &all->n_groups, (void **)part->groups, &part->n_groups) &&
           move_rows((void ***)&all->pairs, &all->n_pairs, (void **)part->pairs, &part->n_pairs);
}

/* An answer holds 900 KiB: the rest is asked for as long as there is more, of the same span. */
enum cli_exit report_call(struct cli *c, const Tw__PairFilter *filter, Tw__ReportReply **ret)
{
    Tw__PairFilter rq = *filter;
    enum cli_exit code;

    *ret = NULL;
    code = call_once(c, &rq, ret);
    while (!code && (*ret)->truncated && (*ret)->next > rq.skip) {
        Tw__ReportReply *part;
        bool room;

        rq.skip = (*ret)->next;
        if (!rq.latest) {
            rq.from_ns = (*ret)->from_ns;
            rq.to_ns = (*ret)->to_ns;
        }
        code = call_once(c, &rq, &part);
        if (code)
            break;
        room = append(*ret, part);
        (*ret)->truncated = part->truncated;
        (*ret)->next = part->next;
        tw__report_reply__free_unpacked(part, NULL);
        code = room ? CLI_OK : cli_no_memory();
    }
    if (code && *ret) {
        tw__report_reply__free_unpacked(*ret, NULL);
        *ret = NULL;
    }
    return code;
}

/* ---- The listing ---- */

static const struct out_col columns[] = {
    { .title = "GROUP", .name = "key" },
    { .title = "PAIRS", .name = "pairs", .as = OUT_AS_COUNT },
    { .title = "SENT", .name = "sent", .as = OUT_AS_COUNT, .drop = 5 },
    { .title = "LOSS", .name = "loss_ratio", .as = OUT_AS_RATIO },
    { .title = "FWD", .name = "loss_forward_ratio", .as = OUT_AS_RATIO, .drop = 8 },
    { .title = "BWD", .name = "loss_backward_ratio", .as = OUT_AS_RATIO, .drop = 8 },
    { .title = "UNKN", .name = "loss_unknown_ratio", .as = OUT_AS_RATIO, .drop = 8 },
    { .title = "RTT P50", .name = "delay_roundtrip_p50_seconds", .as = OUT_AS_SECONDS },
    { .title = "P95", .name = "delay_roundtrip_p95_seconds", .as = OUT_AS_SECONDS, .drop = 6 },
    { .title = "P99", .name = "delay_roundtrip_p99_seconds", .as = OUT_AS_SECONDS, .drop = 4 },
    { .title = "JIT RTT", .name = "delay_roundtrip_jitter_rfc3550_seconds", .as = OUT_AS_SECONDS, .drop = 3 },
    { .title = "AVAIL", .name = "availability_ratio", .as = OUT_AS_RATIO },
    { .title = "COMPLETE", .name = "completeness_ratio", .as = OUT_AS_RATIO, .drop = 7 },
    { .title = "LOSS RUNS", .name = "loss_runs", .as = OUT_AS_COUNT, .wide = true },
    { .title = "LONGEST", .name = "loss_run_longest_seconds", .as = OUT_AS_SECONDS, .wide = true },
    { .title = "RTT MIN", .name = "delay_roundtrip_min_seconds", .as = OUT_AS_SECONDS, .wide = true },
    { .title = "MAX", .name = "delay_roundtrip_max_seconds", .as = OUT_AS_SECONDS, .wide = true },
    { .title = "MOS G711", .name = "mos_g711", .as = OUT_AS_TEXT, .wide = true },
};

static void put_row(struct out_records *r, const void *row, const void *ctx)
{
    const struct group_row *w = row;
    const Tw__GroupReport *g = w->report;
    struct tw_num complete = report_complete(g->periods_stored, g->periods_expected);

    (void)ctx;
    out_text(r, "key", g->key);
    out_u64(r, "pairs", g->pairs);
    out_text(r, "status", w->measured ? tw_status_name(w->view.status) : NULL);
    out_ns(r, "start_ns", w->view.start_ns);
    out_ns(r, "end_ns", w->view.end_ns);
    out_ns(r, "covers_from_ns", g->covers_from_ns);
    out_ns(r, "covers_to_ns", g->covers_to_ns);
    out_u64(r, "periods_expected", g->periods_expected);
    out_u64(r, "periods_stored", g->periods_stored);
    out_num(r, "completeness_ratio", complete);
    out_style(r, "completeness_ratio", complete.known && complete.value < 1 ? OUT_DOUBT : OUT_PLAIN);
    pairs_put_view(r, &w->view);
    if (w->view.mos_g711.known)
        out_show(r, "mos_g711", OUT_PLAIN, "%.2f", w->view.mos_g711.value);
}

static const Tw__GroupReport no_group = TW__GROUP_REPORT__INIT;
static const struct group_row no_row = { .report = &no_group };
static const struct out_listing listing = {
    .key = "groups",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = put_row,
    .none = &no_row,
    .empty = "No pair matches. \"twampctl schedule list\" shows what is measured.",
};

static void put_head(struct out_records *r, const void *ctx)
{
    const Tw__ReportReply *reply = ctx;

    out_ns(r, "from_ns", reply->from_ns);
    out_ns(r, "to_ns", reply->to_ns);
    out_text(r, "group_by", reply->group_by);
    out_bool(r, "truncated", reply->truncated);
}

static void print_span(struct cli *c, const void *ctx)
{
    const Tw__ReportReply *reply = ctx;
    char from[OUT_NUM], to[OUT_NUM];

    (void)c;
    printf("By %s, %s to %s\n", reply->group_by, out_time(reply->from_ns, from), out_time(reply->to_ns, to));
}

static void print_covers(struct cli *c, const void *ctx, const struct out_table *t)
{
    const Tw__ReportReply *reply = ctx;
    char from[OUT_NUM], to[OUT_NUM];

    (void)t;
    for (size_t i = 0; !c->opt.latest && i < reply->n_groups; i++) {
        const Tw__GroupReport *g = reply->groups[i];
        if (!g->covers_to_ns || (g->covers_from_ns == reply->from_ns && g->covers_to_ns == reply->to_ns))
            continue;
        fputs("The numbers of ", stdout);
        out_safe(stdout, *g->key ? g->key : "(none)", false);
        printf(" are of %s to %s: what is kept of that time, with roll-ups as a whole\n",
               out_time(g->covers_from_ns, from), out_time(g->covers_to_ns, to));
    }
}

enum cli_exit group_rows_print(struct cli *c, const Tw__ReportReply *reply)
{
    struct group_row *rows = calloc(reply->n_groups + 1, sizeof *rows);
    struct tw_err err = { 0 };
    struct cli_answer a = { .main = { &listing, OUT_ROW_ARRAY(rows, reply->n_groups) },
                            .head = put_head,
                            .before = print_span,
                            .after = print_covers,
                            .ctx = reply };
    char text[512];
    enum cli_exit code = CLI_OK;

    if (!rows)
        return cli_no_memory();
    for (size_t i = 0; !code && i < reply->n_groups; i++) {
        const Tw__Summary *m = reply->groups[i]->merged;
        rows[i].report = reply->groups[i];
        rows[i].measured = m && m->end_ns;
        if (pairs_view(rows[i].measured ? m : NULL, &rows[i].view, &err) != TW_OK)
            code = cli_fail(CLI_FAILED, "the controller's report contradicts itself: %s",
                            tw_err_format(&err, text, sizeof text));
    }
    if (!code)
        code = cli_print_answer(c, &a);
    if (!code && reply->truncated)
        cli_fail(CLI_OK,
                 "there are more groups than shown: narrow it with --mesh, --class, --source or --target");
    free(rows);
    return code;
}
