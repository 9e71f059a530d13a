#include "controller/cli/test_runs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "controller/cli/pairs.h"
#include "controller/cli/probe.h"

/* ---- Rows ---- */

bool test_runs_add(struct test_runs *r, Tw__TestProgressReply *reply, bool own)
{
    struct test_run *v = realloc(r->v, (r->n + reply->n_runs + 1) * sizeof *v);
    ProtobufCMessage **replies = realloc(r->replies, (r->n_replies + 1) * sizeof *replies);
    struct tw_err err = { 0 };
    char text[512];

    if (v)
        r->v = v;
    if (replies)
        r->replies = replies;
    if (own && replies)
        r->replies[r->n_replies++] = &reply->base;
    if (!v || !replies) {
        cli_no_memory();
        return false;
    }
    for (size_t i = 0; i < reply->n_runs; i++) {
        struct test_run *row = &r->v[r->n++];
        *row = (struct test_run){ .run = reply->runs[i], .measured = reply->runs[i]->total != NULL };
        if (row->measured && pairs_view(row->run->total, &row->view, &err) != TW_OK) {
            cli_fail(CLI_FAILED, "the numbers of %s > %s contradict themselves: %s", row->run->source,
                     row->run->target, tw_err_format(&err, text, sizeof text));
            return false;
        }
    }
    return true;
}

void test_runs_free(struct test_runs *r)
{
    for (size_t i = 0; i < r->n_replies; i++)
        cli_free_reply(r->replies[i]);
    free(r->replies);
    free(r->v);
}

/* ---- Single probes ---- */

void test_packets_keep(struct test_packets *p, uint32_t flow, const Tw__FlightRecord *r)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 256;
        struct test_packet *grown = cap <= 2 * TEST_PACKETS_MAX ? realloc(p->v, cap * sizeof *grown) : NULL;
        if (!grown || p->n >= TEST_PACKETS_MAX) {
            p->left_out++;
            p->v = grown ? grown : p->v;
            p->cap = grown ? cap : p->cap;
            return;
        }
        p->v = grown;
        p->cap = cap;
    }
    p->v[p->n++] = (struct test_packet){ flow, *r };
}

void test_packets_free(struct test_packets *p)
{
    free(p->v);
    *p = (struct test_packets){ 0 };
}

void test_print_packet(uint32_t flow, const Tw__FlightRecord *r, bool colour, bool heading)
{
    char when[TW_TIME_TEXT], rtt[OUT_NUM], forward[OUT_NUM], backward[OUT_NUM];
    const char *way = probe_way(r);
    bool bad = probe_is_lost(r) || r->fate == TW__FLIGHT_FATE__FLIGHT_FATE_SEND_ERROR;

    if (heading)
        printf("%-27s %4s %8s  %-10s %-8s %9s %9s %9s\n", "SENT AT", "FLOW", "SEQ", "FATE", "LOST ON", "RTT",
               "FWD", "BWD");
    printf("%-27s %4u %8u  %s%-10s%s %-8s %9s %9s %9s\n", probe_time(r, when), flow, r->seq, bad && colour ? "\033[31m" : "", probe_fate(r),
           bad && colour ? "\033[0m" : "", *way ? way : "-",
           out_seconds(probe_seconds(r, out_ns_sum(r->forward_ns, r->backward_ns)), rtt),
           out_seconds(probe_seconds(r, r->forward_ns), forward),
           out_seconds(probe_seconds(r, r->backward_ns), backward));
}

static void put_packet(struct out_records *r, const void *row, const void *ctx)
{
    const struct test_packet *p = row;
    const Tw__FlightRecord *m = &p->record;

    (void)ctx;
    probe_put(r, p->flow, m);
    out_u64(r, "duplicates", m->duplicates);
}

static const struct test_packet no_packet = { 0, TW__FLIGHT_RECORD__INIT };
static const struct out_col packet_columns[] = {
    { .title = "SENT AT", .name = "sent_ns", .as = OUT_AS_EXACT },
    { .title = "SEQ", .name = "seq", .as = OUT_AS_COUNT },
    { .title = "FATE", .name = "fate" },
};
static const struct out_listing packet_listing = {
    .key = "packets",
    .columns = packet_columns,
    .n_columns = TW_NELEM(packet_columns),
    .put = put_packet,
    .none = &no_packet,
    .empty = "No packets.",
};

/* ---- Runs ---- */

static const struct out_col run_columns[] = {
    { .title = "CLASS", .name = "class" },
    { .title = "PAIR" },
    { .title = "STATE", .name = "state" },
    { .title = "SENT", .name = "sent", .as = OUT_AS_COUNT, .drop = 5 },
    { .title = "LOSS", .name = "loss_ratio", .as = OUT_AS_RATIO },
    { .title = "FWD", .name = "loss_forward_ratio", .as = OUT_AS_RATIO, .drop = 8 },
    { .title = "BWD", .name = "loss_backward_ratio", .as = OUT_AS_RATIO, .drop = 8 },
    { .title = "UNKN", .name = "loss_unknown_ratio", .as = OUT_AS_RATIO, .drop = 8 },
    { .title = "RTT MIN", .name = "delay_roundtrip_min_seconds", .as = OUT_AS_SECONDS, .drop = 4 },
    { .title = "P50", .name = "delay_roundtrip_p50_seconds", .as = OUT_AS_SECONDS },
    { .title = "P99", .name = "delay_roundtrip_p99_seconds", .as = OUT_AS_SECONDS, .drop = 6 },
    { .title = "FWD P50", .name = "delay_forward_p50_seconds", .as = OUT_AS_SECONDS, .drop = 2 },
    { .title = "BWD P50", .name = "delay_backward_p50_seconds", .as = OUT_AS_SECONDS, .drop = 2 },
    { .title = "JIT RTT", .name = "delay_roundtrip_jitter_rfc3550_seconds", .as = OUT_AS_SECONDS, .drop = 3 },
    { .title = "WHY", .name = "reason", .optional = true },
    { .title = "PAIR ID", .name = "pair_id", .as = OUT_AS_COUNT, .wide = true },
};

static const Tw__TestRun no_proto_run = TW__TEST_RUN__INIT;
static const struct test_run no_run = { .run = &no_proto_run };

static void put_run(struct out_records *r, const void *row, const void *ctx)
{
    const struct test_run *w = row;
    const struct test_runs *all = ctx;

    out_u64(r, "test_id", all && all->info ? all->info->test_id : 0);
    out_text(r, "mesh", "on-demand");
    out_text(r, "class", w->run->class_name);
    out_text(r, "source", w->run->source);
    out_text(r, "target", w->run->target);
    out_show(r, "PAIR", OUT_PLAIN, "%s > %s", w->run->source, w->run->target);
    out_text(r, "state", w->run->state);
    out_style(r, "state", *w->run->reason ? OUT_BAD : OUT_PLAIN);
    out_text(r, "reason", w->run->reason);
    out_ns(r, "start_ns", w->view.start_ns);
    out_ns(r, "end_ns", w->view.end_ns);
    out_u64(r, "pair_id", w->run->pair_id);
    pairs_put_view(r, &w->view);
}

static const struct out_listing run_listing = {
    .key = "runs",
    .columns = run_columns,
    .n_columns = TW_NELEM(run_columns),
    .put = put_run,
    .none = &no_run,
    .empty = "Nothing was measured.",
};

static void put_head(struct out_records *r, const void *ctx)
{
    const Tw__TestInfo *i = ((const struct test_runs *)ctx)->info;

    out_u64(r, "test_id", i->test_id);
    out_text(r, "what", i->what);
    out_text(r, "state", i->state);
    out_text(r, "settings", i->settings);
    out_text(r, "author", i->author);
    out_ns(r, "started_ns", i->started_ns);
    out_ns(r, "ended_ns", i->ended_ns);
    out_u64(r, "failed", i->failed);
}

static void print_notes(struct cli *c, const void *ctx, const struct out_table *t)
{
    const struct test_runs *runs = ctx;
    struct pairs_marks marks = { 0 };

    (void)c;
    for (size_t i = 0; i < runs->n; i++)
        pairs_note_marks(&marks, &runs->v[i].view);
    if (t)
        pairs_print_marks(&marks, &run_listing, t, stdout);
}

/* ---- One pair, for people ---- */

static void print_delay(const char *name, const struct stats_delay *d, bool doubt)
{
    char min[OUT_NUM], p50[OUT_NUM], p95[OUT_NUM], p99[OUT_NUM], max[OUT_NUM], jitter[OUT_NUM];

    if (!d->count)
        return;
    printf("  %-9s min %-9s p50 %-9s p95 %-9s p99 %-9s max %-9s jitter %s%s\n", name,
           out_seconds(d->min_s, min), out_seconds(d->p50_s, p50), out_seconds(d->p95_s, p95),
           out_seconds(d->p99_s, p99), out_seconds(d->max_s, max), out_seconds(d->jitter_rfc3550_s, jitter),
           doubt ? "  ?" : "");
}

static void print_clocks(const struct stats_view *v)
{
    char bound[OUT_NUM];

    if (v->one_way_valid)
        printf("  clocks    agree within %s\n", out_seconds(v->one_way_error_bound_s, bound));
    else
        printf("  clocks    not known to agree: one-way delays (?) may be wrong by any amount; round trips "
               "and jitter are "
               "right\n");
    if (strcmp(v->host_trouble, "none") != 0)
        printf("  host      this host had trouble (%s) that may look like the network's\n", v->host_trouble);
}

static enum cli_exit print_pair(const struct test_runs *runs)
{
    const struct test_run *r = &runs->v[0];
    const struct stats_view *v = &r->view;
    char percent[OUT_NUM];

    printf("%s", r->run->state);
    if (*r->run->reason)
        printf(": "), out_safe(stdout, r->run->reason, false);
    putchar('\n');
    if (!r->measured) {
        puts("  nothing was measured");
        return CLI_OK;
    }
    printf("  probes    %" PRIu64 " sent, %" PRIu64 " received, %" PRIu64 " lost (%s)", v->sent, v->received,
           v->lost, out_percent(v->loss_ratio, percent));
    if (v->lost)
        printf(": %" PRIu64 " forward, %" PRIu64 " backward, %" PRIu64 " unknown", v->lost_forward,
               v->lost_backward, v->lost_unknown);
    if (v->duplicates)
        printf(", %" PRIu64 " duplicates", v->duplicates);
    if (v->send_errors)
        printf(", %" PRIu64 " could not be sent", v->send_errors);
    putchar('\n');
    print_delay("rtt", &v->delay[TW_ROUNDTRIP], false);
    print_delay("forward", &v->delay[TW_FORWARD], !v->one_way_valid);
    print_delay("backward", &v->delay[TW_BACKWARD], !v->one_way_valid);
    if (v->received)
        print_clocks(v);
    return CLI_OK;
}

enum cli_exit test_print_runs(struct cli *c, const struct test_runs *runs, const struct test_packets *packets)
{
    struct cli_part of_runs = { &run_listing, OUT_ROW_ARRAY(runs->v, runs->n) };
    struct cli_answer a = { .main = of_runs, .head = put_head, .after = print_notes, .ctx = runs };

    if (runs->n == 1 && cli_for_people(c))
        return print_pair(runs);
    if (packets) {
        struct cli_part of_packets = { &packet_listing, OUT_ROW_ARRAY(packets->v, packets->n) };
        if (packets->left_out)
            cli_fail(CLI_OK, "%" PRIu64 " packets more than %u are left out", packets->left_out,
                     TEST_PACKETS_MAX);
        a.main = cli_for_tree(c) ? of_runs : of_packets;
        a.more[0] = of_packets;
        if (!cli_for_tree(c))
            a.more[0] = (struct cli_part){ .listing = NULL };
    }
    return cli_print_answer(c, &a);
}
