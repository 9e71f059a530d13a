/* twampctl report compare: a span beside another one. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "common/stats_compare.h"
#include "controller/cli/filter.h"
#include "controller/cli/group_rows.h"
#include "controller/cli/pairs.h"

/* A pair or a group. */
struct compare_row {
    const Tw__PairInfo *pair; /* NULL: a group */
    const char *key;
    uint64_t pairs;
    struct stats_view now, before;
    bool has_before;
    struct tw_num complete, before_complete;
};

struct compare {
    const Tw__ReportReply *reply;
    struct compare_row *rows;
    size_t n;
};

#define SHOWN(title_, name_, as_, drop_)                         \
    {                                                            \
        .title = title_, .name = name_, .as = as_, .drop = drop_ \
    }
static const struct out_col columns[] = {
    { .title = "MESH/CLASS" },
    { .title = "PAIR" },
    SHOWN("LOSS", "loss_ratio", OUT_AS_RATIO, 0),
    SHOWN("BEFORE", "loss_ratio_before", OUT_AS_RATIO, 0),
    SHOWN("RTT P50", "delay_roundtrip_p50_seconds", OUT_AS_SECONDS, 3),
    SHOWN("BEFORE", "delay_roundtrip_p50_seconds_before", OUT_AS_SECONDS, 3),
    SHOWN("RTT P99", "delay_roundtrip_p99_seconds", OUT_AS_SECONDS, 0),
    SHOWN("BEFORE", "delay_roundtrip_p99_seconds_before", OUT_AS_SECONDS, 0),
    SHOWN("CHANGE", "delay_roundtrip_p99_seconds_delta", OUT_AS_SECONDS, 2),
    SHOWN("AVAIL", "availability_ratio", OUT_AS_RATIO, 4),
    SHOWN("BEFORE", "availability_ratio_before", OUT_AS_RATIO, 4),
    SHOWN("COMPLETE", "completeness_ratio", OUT_AS_RATIO, 1),
    SHOWN("BEFORE", "completeness_ratio_before", OUT_AS_RATIO, 1),
};

static struct tw_num number(const char *name, const struct stats_view *v, struct tw_num complete)
{
    return !strcmp(name, "completeness_ratio") ? complete : stats_number(v, stats_field_find(name));
}

static bool is_worse(const char *name, const struct stats_change *c)
{
    return c->delta.known && (stats_low_is_worse(name) ? c->delta.value < 0 : c->delta.value > 0);
}

#define X_NAMES(name) { #name, #name "_before", #name "_delta", #name "_ratio" },
static const char *const names[][4] = { STATS_COMPARED(X_NAMES) };

static void put_row(struct out_records *r, const void *row, const void *ctx)
{
    const struct compare_row *w = row;

    (void)ctx;
    if (w->pair) {
        pairs_put_names(r, w->pair);
    } else {
        out_text(r, "key", w->key);
        out_u64(r, "pairs", w->pairs);
        out_show(r, "PAIR", OUT_PLAIN, "%s", *w->key ? w->key : "-");
    }
    for (size_t i = 0; i < TW_NELEM(names); i++) {
        const char *name = names[i][0];
        struct stats_change c = stats_change_of(number(name, &w->now, w->complete),
                                                w->has_before ? number(name, &w->before, w->before_complete)
                                                              : (struct tw_num){ 0 });
        out_num(r, name, c.now);
        out_style(r, name, is_worse(name, &c) ? OUT_BAD : OUT_PLAIN);
        out_num(r, names[i][1], c.before);
        out_num(r, names[i][2], c.delta);
        out_num(r, names[i][3], c.ratio);
    }
}

static const Tw__PairInfo no_pair = TW__PAIR_INFO__INIT;
static const struct compare_row no_row = { .pair = &no_pair, .key = "" };
static const struct out_listing pair_listing = {
    .key = "pairs",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = put_row,
    .none = &no_row,
    .empty = "No pair matches. \"twampctl schedule list\" shows what is measured.",
};
static const struct compare_row no_group = { .key = "" };
static const struct out_listing group_listing = {
    .key = "groups",
    .columns = columns + 1,
    .n_columns = TW_NELEM(columns) - 1,
    .put = put_row,
    .none = &no_group,
    .empty = "No pair matches. \"twampctl schedule list\" shows what is measured.",
};

static void put_head(struct out_records *r, const void *ctx)
{
    const Tw__ReportReply *reply = ((const struct compare *)ctx)->reply;

    out_ns(r, "from_ns", reply->from_ns);
    out_ns(r, "to_ns", reply->to_ns);
    out_ns(r, "before_from_ns", reply->before_from_ns);
    out_ns(r, "before_to_ns", reply->before_to_ns);
    out_bool(r, "truncated", reply->truncated);
}

static void print_spans(struct cli *c, const void *ctx)
{
    const Tw__ReportReply *reply = ((const struct compare *)ctx)->reply;
    char text[4][OUT_NUM];

    (void)c;
    printf("%s to %s, before: %s to %s\n", out_time(reply->from_ns, text[0]), out_time(reply->to_ns, text[1]),
           out_time(reply->before_from_ns, text[2]), out_time(reply->before_to_ns, text[3]));
}

static const Tw__Summary *measured(const Tw__Summary *m)
{
    return m && m->end_ns ? m : NULL;
}

static enum tw_rc decode_row(const struct compare *all, size_t i, struct compare_row *w, struct tw_err *err)
{
    const Tw__ReportReply *reply = all->reply;
    const Tw__Summary *now, *before;
    enum tw_rc rc;

    if (reply->n_groups) {
        const Tw__GroupReport *g = reply->groups[i];
        *w = (struct compare_row){ .key = g->key, .pairs = g->pairs };
        w->complete = report_complete(g->periods_stored, g->periods_expected);
        w->before_complete = report_complete(g->before_stored, g->before_expected);
        now = g->merged;
        before = g->before;
    } else {
        const Tw__PairReport *p = reply->pairs[i];
        *w = (struct compare_row){ .pair = p->pair ? p->pair : &no_pair, .key = "" };
        w->complete = report_complete(p->periods_stored, p->periods_expected);
        w->before_complete = report_complete(p->before_stored, p->before_expected);
        now = p->merged;
        before = p->before;
    }
    w->has_before = before != NULL;
    rc = pairs_view(measured(now), &w->now, err);
    return rc ? rc : pairs_view(measured(before), &w->before, err);
}

static enum cli_exit print_compared(struct cli *c, const Tw__ReportReply *reply)
{
    struct compare all = { .reply = reply };
    struct tw_err err = { 0 };
    char text[512];
    enum cli_exit code = CLI_OK;

    all.n = reply->n_groups ? reply->n_groups : reply->n_pairs;
    all.rows = calloc(all.n + 1, sizeof *all.rows);
    if (!all.rows)
        return cli_no_memory();
    for (size_t i = 0; !code && i < all.n; i++)
        if (decode_row(&all, i, &all.rows[i], &err) != TW_OK)
            code = cli_fail(CLI_FAILED, "the controller's report contradicts itself: %s",
                            tw_err_format(&err, text, sizeof text));
    if (!code)
        code = cli_print_answer(
            c, &(struct cli_answer){ .main = { *reply->group_by ? &group_listing : &pair_listing,
                                               OUT_ROW_ARRAY(all.rows, all.n) },
                                     .head = put_head,
                                     .before = print_spans,
                                     .ctx = &all });
    free(all.rows);
    return code;
}

/* The other span; the filter's own is complete afterwards, too, so that both are of the same length. */
static enum cli_exit fill_before(struct cli *c, Tw__PairFilter *f)
{
    int64_t back;
    enum cli_exit code = filter_time(c, "before-from", c->opt.before_from, &f->before_from_ns);

    if (!code)
        code = filter_time(c, "before-to", c->opt.before_to, &f->before_to_ns);
    if (code)
        return code;
    if (!f->to_ns)
        f->to_ns = c->wall_ns();
    if (!f->from_ns)
        f->from_ns = f->to_ns - 3600 * TW_NS_PER_S;
    if (f->before_from_ns || f->before_to_ns)
        return f->before_from_ns && f->before_from_ns < f->before_to_ns
                   ? CLI_OK
                   : cli_fail(CLI_USAGE, "--before-from must be before --before-to; both are needed");
    back = c->opt.back_ns ? c->opt.back_ns : f->to_ns - f->from_ns;
    if (back >= f->from_ns)
        return cli_fail(CLI_USAGE, "there is nothing so long before --from");
    f->before_from_ns = f->from_ns - back;
    f->before_to_ns = f->to_ns - back;
    return CLI_OK;
}

enum cli_exit cmd_report_compare(struct cli *c)
{
    Tw__PairFilter filter = TW__PAIR_FILTER__INIT;
    Tw__ReportReply *reply = NULL;
    enum cli_exit code = filter_fill(c, &filter);

    if (!code)
        code = fill_before(c, &filter);
    if (!code)
        code = report_call(c, &filter, &reply);
    if (code)
        return code;
    code = print_compared(c, reply);
    if (!code && reply->truncated)
        cli_fail(CLI_OK, "there is more than is shown: narrow it with --mesh, --class, --source or --target");
    cli_free_reply(&reply->base);
    return code;
}
