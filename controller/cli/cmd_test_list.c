/* twampctl test list, test show, test stop: tests that were, what is stored of them, and the end of one that
 * runs. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/fetch.h"
#include "controller/cli/pairs.h"
#include "controller/cli/test_runs.h"

/* Summaries begin when the first probe leaves; their clock is the agent's. */
#define AROUND_NS (3600 * TW_NS_PER_S)

static const struct out_col columns[] = {
    { .title = "TEST", .name = "test_id", .as = OUT_AS_COUNT },
    { .title = "STARTED", .name = "started_ns", .as = OUT_AS_TIME },
    { .title = "WHAT", .name = "what" },
    { .title = "STATE", .name = "state" },
    { .title = "PAIRS", .name = "runs", .as = OUT_AS_COUNT, .drop = 3 },
    { .title = "FAILED", .name = "failed", .as = OUT_AS_COUNT, .drop = 2 },
    { .title = "BY", .name = "author", .drop = 4 },
    { .title = "SETTINGS", .name = "settings", .drop = 1 },
    { .title = "ENDED", .name = "ended_ns", .as = OUT_AS_TIME, .wide = true },
};

static void put_test(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__TestInfo *i = row;

    (void)ctx;
    out_u64(r, "test_id", i->test_id);
    out_ns(r, "started_ns", i->started_ns);
    out_ns(r, "ended_ns", i->ended_ns);
    out_text(r, "what", i->what);
    out_text(r, "state", i->state);
    out_u64(r, "runs", i->runs);
    out_u64(r, "failed", i->failed);
    out_style(r, "failed", i->failed ? OUT_BAD : OUT_PLAIN);
    out_text(r, "author", i->author);
    out_text(r, "settings", i->settings);
}

static const Tw__TestInfo no_test = TW__TEST_INFO__INIT;
static const struct out_listing listing = {
    .key = "tests",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = put_test,
    .none = &no_test,
    .empty = "No test on demand was made yet: twampctl test SRC DST",
};

enum cli_exit cmd_test_list(struct cli *c)
{
    Tw__TestListRequest rq = TW__TEST_LIST_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    const Tw__TestListReply *reply;
    enum cli_exit code;

    rq.limit = (uint32_t)c->opt.limit;
    code = cli_call(c, "TestList", &rq.base, &m);
    if (code)
        return code;
    reply = (const Tw__TestListReply *)m;
    code = cli_print_list(c, &listing, OUT_ROWS(reply->tests, reply->n_tests), NULL);
    if (!code && reply->truncated && c->opt.limit)
        cli_fail(CLI_OK, "there are older tests than these: raise --limit");
    cli_free_reply(m);
    return code;
}

/* ---- One of them ---- */

static enum cli_exit fetch_stored(struct cli *c, const Tw__TestInfo *info, Tw__ReportReply **ret)
{
    Tw__PairFilter f = TW__PAIR_FILTER__INIT;
    struct ctl_error err;
    enum cli_exit code;

    f.mesh = (char *)"on-demand";
    f.test_id = info->test_id;
    f.from_ns = info->started_ns > AROUND_NS ? info->started_ns - AROUND_NS : 1;
    f.to_ns = out_ns_sum(info->ended_ns ? info->ended_ns : out_ns_sum(info->started_ns, 24 * AROUND_NS), AROUND_NS);
    code = fetch_report(c->ctl, &f, cli_progress(c), ret, &err);
    return code ? cli_fail(code, "%s", err.text) : CLI_OK;
}

static Tw__Summary *stored_of(const Tw__ReportReply *report, uint64_t pair_id)
{
    for (size_t i = 0; i < report->n_pairs; i++)
        if (report->pairs[i]->pair && report->pairs[i]->pair->pair_id == pair_id)
            return report->pairs[i]->merged;
    return NULL;
}

/* The runs of the list with the totals of the report, as one progress would bring them. */
static enum cli_exit print_test(struct cli *c, const Tw__TestListReply *list, const Tw__ReportReply *report)
{
    Tw__TestProgressReply both = TW__TEST_PROGRESS_REPLY__INIT;
    struct test_runs runs = { .info = list->tests[0] };
    enum cli_exit code = CLI_FAILED;
    char text[OUT_NUM];

    both.n_runs = list->n_runs;
    both.runs = list->runs;
    for (size_t i = 0; i < list->n_runs; i++)
        list->runs[i]->total = stored_of(report, list->runs[i]->pair_id);
    if (cli_for_people(c)) {
        printf("test %" PRIu64 "  ", runs.info->test_id);
        out_safe(stdout, *runs.info->what ? runs.info->what : "known by its results only", false);
        printf("  %s  %s\n", out_time(runs.info->started_ns, text), runs.info->settings);
    }
    if (test_runs_add(&runs, &both, false))
        code = test_print_runs(c, &runs, NULL);
    for (size_t i = 0; i < list->n_runs; i++)
        list->runs[i]->total = NULL; /* the report's */
    test_runs_free(&runs);
    return code;
}

static enum cli_exit read_id(const char *text, uint64_t *ret)
{
    char *end;

    *ret = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && *ret && *ret < UINT64_C(1) << 53)
        return CLI_OK;
    return cli_fail(CLI_USAGE, "\"%.40s\" is no number of a test: twampctl test list shows them", text);
}

enum cli_exit cmd_test_show(struct cli *c)
{
    Tw__TestListRequest rq = TW__TEST_LIST_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    Tw__ReportReply *report = NULL;
    const Tw__TestListReply *list;
    enum cli_exit code = read_id(c->args.v[0], &rq.test_id);

    if (!code)
        code = cli_call(c, "TestList", &rq.base, &m);
    if (code)
        return code;
    list = (const Tw__TestListReply *)m;
    if (list->n_tests != 1)
        code = cli_fail(CLI_FAILED, "the controller's answer lacks the test");
    if (!code)
        code = fetch_stored(c, list->tests[0], &report);
    if (!code)
        code = print_test(c, list, report);
    if (report)
        tw__report_reply__free_unpacked(report, NULL);
    cli_free_reply(m);
    return code;
}

/* ---- Its end ---- */

static enum cli_exit print_stopped(struct cli *c, const Tw__TestInfo *i)
{
    if (!i)
        return cli_fail(CLI_FAILED, "the controller's answer lacks the test");
    if (!cli_for_people(c))
        return cli_print_list(c, &listing, OUT_ONE_ROW(i), NULL);
    printf("Test %" PRIu64 ", ", i->test_id);
    out_safe(stdout, i->what, false);
    printf(", is %s; twampctl test show %" PRIu64 " has what was measured\n", i->state, i->test_id);
    return CLI_OK;
}

enum cli_exit cmd_test_stop(struct cli *c)
{
    Tw__TestStopRequest rq = TW__TEST_STOP_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    enum cli_exit code = read_id(c->args.v[0], &rq.test_id);

    if (!code)
        code = cli_call(c, "TestStop", &rq.base, &m);
    if (!code)
        code = print_stopped(c, ((const Tw__TestStopReply *)m)->info);
    cli_free_reply(m);
    return code;
}
